//! The part of one worker in what several read together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use journal::{Delivery, Position};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

/// Bytes of events that are handed out at once, about.
const AT_ONCE: usize = 8 << 20;

/// Deliveries from a position on, until they end.
#[derive(Debug)]
pub(super) struct Passage {
    batches: mpsc::Receiver<Vec<Delivery>>,
    /// Bytes of events in there.
    on_the_way: Arc<AtomicUsize>,
    /// Everything up to and including this has been handed out.
    at: Position,
    /// Taken over, but not handed out yet.
    waiting: VecDeque<Delivery>,
    /// Bytes of events in there.
    bytes: usize,
    _attendant: Option<AbortOnDropHandle<()>>,
}

/// Where deliveries for a [`Passage`] come in.
#[derive(Debug)]
pub(super) struct Entrance {
    batches: mpsc::Sender<Vec<Delivery>>,
    on_the_way: Arc<AtomicUsize>,
}

/// A passage from `from` on that so many batches may be on their way to.
pub(super) fn passage(from: Position, most: usize) -> (Entrance, Passage) {
    let (sender, batches) = mpsc::channel(most);
    let on_the_way = Arc::new(AtomicUsize::new(0));
    let entrance = Entrance { batches: sender, on_the_way: Arc::clone(&on_the_way) };
    let (waiting, bytes) = (VecDeque::new(), 0);
    (entrance, Passage { batches, on_the_way, at: from, waiting, bytes, _attendant: None })
}

impl Entrance {
    /// Sends a batch as soon as there is room. False if nobody wants it any more.
    pub(super) async fn send(&self, batch: Vec<Delivery>) -> bool {
        self.on_the_way.fetch_add(bytes_of(&batch), Ordering::Relaxed);
        self.batches.send(batch).await.is_ok()
    }

    /// Sends a batch, unless there is no room for it, or nobody wants it: false then, and what is
    /// sent later would leave a gap.
    pub(super) fn send_now(&self, batch: Vec<Delivery>) -> bool {
        let before = self.on_the_way.fetch_add(bytes_of(&batch), Ordering::Relaxed);
        before < AT_ONCE && self.batches.try_send(batch).is_ok()
    }
}

impl Passage {
    /// The same with somebody who works for it as long as it is there.
    pub(super) fn attended(self, attendant: AbortOnDropHandle<()>) -> Self {
        Self { _attendant: Some(attendant), ..self }
    }

    /// The same for a worker that has had everything up to `at`. Nothing may have been handed out.
    pub(super) fn after(self, at: Position) -> Self {
        Self { at, ..self }
    }

    /// Everything up to and including this has been handed out.
    pub(super) fn at(&self) -> Position {
        self.at
    }

    /// Whether something has come that was not handed out.
    pub(super) fn has_some(&self) -> bool {
        !self.waiting.is_empty() || !self.batches.is_empty()
    }

    /// Waits for a delivery and takes up to `max` with it, and no more bytes than are folded at once;
    /// waits for more with `patience`. `None` when nothing comes any more. Safe to cancel.
    pub(super) async fn gather(&mut self, max: usize, patience: Duration) -> Option<Vec<Delivery>> {
        while self.waiting.is_empty() {
            if !self.take_over().await {
                return None;
            }
        }
        let until = Instant::now() + patience;
        while self.waiting.len() < max && self.bytes < AT_ONCE {
            if let Ok(batch) = self.batches.try_recv() {
                self.admit(batch);
            // (Even no time at all is a millisecond for a timer.)
            } else if patience.is_zero()
                || !matches!(timeout_at(until, self.take_over()).await, Ok(true))
            {
                break;
            }
        }
        Some(self.hand_out(max))
    }

    /// Waits for the next batch; false if none comes any more. Safe to cancel: nothing is awaited
    /// after it has been received.
    async fn take_over(&mut self) -> bool {
        let Some(batch) = self.batches.recv().await else { return false };
        self.admit(batch);
        true
    }

    fn admit(&mut self, batch: Vec<Delivery>) {
        self.on_the_way.fetch_sub(bytes_of(&batch), Ordering::Relaxed);
        let at = self.at;
        for delivery in batch {
            if delivery.position().is_none_or(|position| position > at) {
                self.bytes += one(&delivery);
                self.waiting.push_back(delivery);
            }
        }
    }

    fn hand_out(&mut self, max: usize) -> Vec<Delivery> {
        let count = self.waiting.len().min(max.max(1));
        let mut bytes = 0;
        let fits = self.waiting.iter().take(count).take_while(|delivery| {
            let has_room = bytes < AT_ONCE;
            bytes += one(delivery);
            has_room
        });
        let count = fits.count();
        let out: Vec<_> = self.waiting.drain(..count).collect();
        self.bytes -= bytes_of(&out);
        self.at = out.iter().filter_map(Delivery::position).max().unwrap_or(self.at);
        out
    }
}

fn bytes_of(batch: &[Delivery]) -> usize {
    batch.iter().map(one).sum()
}

fn one(delivery: &Delivery) -> usize {
    match delivery {
        Delivery::Event(event) => event.data.len(),
        Delivery::Checkpoint(_) | Delivery::CaughtUp => 0,
    }
}
