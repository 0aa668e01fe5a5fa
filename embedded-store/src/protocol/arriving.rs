//! Memory for appends that have arrived in part. All calls share it: the end of an append may never
//! come, and a client may begin thousands.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes for all of them.
const BYTES: usize = 64 * 1024 * 1024;

/// How long an append waits for others to be complete.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the appends that are arriving may take.
#[derive(Debug, Clone)]
pub(crate) struct Arriving {
    shared: Arc<Semaphore>,
    /// Of the appends that wait, one at a time may have as much again: if all were half there, none
    /// could go on.
    extra: Arc<Semaphore>,
    bytes: usize,
    patience: Duration,
}

/// The server holds as much of other appends as it can.
#[derive(Debug)]
pub(super) struct TooMuch;

impl Arriving {
    pub(crate) fn new(max_append_size: usize) -> Self {
        let bytes = BYTES.max(max_append_size.saturating_mul(2)).min(Semaphore::MAX_PERMITS);
        Self::with(bytes, PATIENCE)
    }

    fn with(bytes: usize, patience: Duration) -> Self {
        Self {
            shared: Arc::new(Semaphore::new(bytes)),
            extra: Arc::new(Semaphore::new(1)),
            bytes,
            patience,
        }
    }

    /// Waits for others to end, or to be the one that need not.
    async fn wait(&self, count: u32) -> Room {
        let (shared, extra) = (Arc::clone(&self.shared), Arc::clone(&self.extra));
        tokio::select! {
            biased;
            Ok(more) = shared.acquire_many_owned(count) => Room::Shared(more),
            Ok(alone) = extra.acquire_owned() => Room::Extra(alone),
        }
    }

    /// Nothing yet.
    pub(super) fn nothing(&self) -> Held {
        Held { arriving: self.clone(), shared: None, extra: None }
    }
}

/// Where there is place.
enum Room {
    Shared(OwnedSemaphorePermit),
    Extra(OwnedSemaphorePermit),
}

/// What one append holds, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    arriving: Arriving,
    shared: Option<OwnedSemaphorePermit>,
    /// What it holds beyond what is shared, if it is the one that may.
    extra: Option<(OwnedSemaphorePermit, usize)>,
}

impl Held {
    /// Takes so many bytes more, once they are free.
    pub(super) async fn grow(&mut self, bytes: usize) -> Result<(), TooMuch> {
        if let Some((_, extra)) = &mut self.extra {
            *extra = extra.saturating_add(bytes);
            return if *extra > self.arriving.bytes { Err(TooMuch) } else { Ok(()) };
        }
        let count = u32::try_from(bytes).map_err(|_| TooMuch)?;
        let free = Arc::clone(&self.arriving.shared).try_acquire_many_owned(count);
        let room = match free {
            Ok(more) => Room::Shared(more),
            Err(_none) => {
                let waiting = self.arriving.wait(count);
                tokio::time::timeout(self.arriving.patience, waiting).await.map_err(|_| TooMuch)?
            }
        };
        match (room, &mut self.shared) {
            (Room::Extra(alone), _) => self.extra = Some((alone, bytes)),
            (Room::Shared(more), Some(shared)) => shared.merge(more),
            (Room::Shared(more), none) => *none = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arriving(patience: Duration) -> Arriving {
        Arriving::with(1_000, patience)
    }

    #[tokio::test]
    async fn what_is_held_is_free_again_when_the_append_is_over() {
        let arriving = arriving(Duration::ZERO);
        for _ in 0..10 {
            let mut held = arriving.nothing();
            held.grow(500).await.unwrap();
            held.grow(500).await.unwrap();
        }
    }

    #[tokio::test]
    async fn when_everything_is_taken_one_append_still_goes_on_and_the_others_are_refused() {
        let arriving = arriving(Duration::from_millis(5));
        let mut held: Vec<_> = (0..3).map(|_| arriving.nothing()).collect();
        for append in &mut held[..2] {
            append.grow(500).await.unwrap();
        }
        held[0].grow(300).await.unwrap();
        assert!(held[1].grow(1).await.is_err());
        assert!(held[2].grow(1).await.is_err());
        held[0].grow(700).await.unwrap();
        assert!(held[0].grow(1).await.is_err(), "no append is without a limit");
        held.remove(0);
        held[0].grow(500).await.unwrap();
    }

    #[tokio::test]
    async fn an_append_waits_for_others_to_be_complete() {
        let arriving = arriving(PATIENCE);
        let [mut first, mut second, mut third] = [(); 3].map(|()| arriving.nothing());
        first.grow(1_000).await.unwrap();
        second.grow(1).await.unwrap();
        let (waited, ()) = tokio::join!(third.grow(1), async { drop(first) });
        waited.unwrap();
    }
}
