//! Parking messages and replaying them.

use super::super::group::Parking;
use super::super::ledger::Parked;
use super::{PAUSE, ParkResult, ReplayPage, Task};
use crate::storage::{ReadError, WriteError};

/// Messages parked in one write.
const PARKED_AT_ONCE: usize = 100;

/// Parked messages that are to be delivered anew: these revisions of their stream.
#[derive(Debug, Clone, Copy)]
struct Replay {
    next: u64,
    before: u64,
}

/// Which messages are parked, and which of them are on their way back.
#[derive(Debug)]
pub(in super::super) struct Replays {
    /// Those that are not on their way.
    parked: Parked,
    replay: Option<Replay>,
    /// The parked messages before this revision are to be hidden, once they are done.
    to_truncate: Option<u64>,
}

impl Replays {
    pub(super) fn new(parked: Parked) -> Self {
        Self { parked, replay: None, to_truncate: None }
    }

    /// How many messages are parked.
    pub(in super::super) fn parked(&self) -> u64 {
        self.parked.count()
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.replay.is_some()
    }

    /// Brings back the messages before a revision, or all. What is on its way already stays so.
    pub(super) fn begin(&mut self, stop_at: Option<u64>) {
        let end = self.parked.next;
        let before = stop_at.map_or(end, |stop_at| stop_at.min(end)).max(self.parked.first);
        let next = self.replay.map_or(self.parked.first, |replay| replay.next);
        if next < before {
            self.replay = Some(Replay { next, before });
            self.parked.first = before;
            self.to_truncate = Some(before);
        }
    }

    /// So many messages were parked, the last of them at this revision.
    fn add(&mut self, count: u64, last: u64) {
        let next = last + 1;
        // What was in the stream before is hidden, perhaps since an earlier life of it.
        if self.parked.count() == 0 {
            self.parked.first = next.saturating_sub(count);
        }
        self.parked.next = next;
    }

    /// The messages before `next` were read.
    fn advance(&mut self, next: u64) {
        self.replay = self
            .replay
            .map(|replay| Replay { next, ..replay })
            .filter(|replay| replay.next < replay.before);
    }

    /// The messages that were not read stay where they are, and are not hidden.
    fn give_up(&mut self) {
        if let Some(Replay { next, .. }) = self.replay.take() {
            self.parked.first = next;
            self.to_truncate = Some(next);
        }
    }

    /// What is to be hidden, once everything that was brought back is done.
    fn take_done(&mut self) -> Option<u64> {
        if self.is_under_way() { None } else { self.to_truncate.take() }
    }
}

/// Whether what could not be parked can be parked later. If nobody knows whether it was, the
/// repetition is harmless.
fn comes_right(error: &WriteError) -> bool {
    match error {
        WriteError::DiskFull | WriteError::Locked | WriteError::Uncertain => true,
        WriteError::Stopping | WriteError::Damaged(_) | WriteError::Failed(_) => false,
    }
}

impl Task {
    pub(super) fn park(&mut self) {
        if self.parking.is_some() || self.to_park.is_empty() {
            return;
        }
        let count = self.to_park.len().min(PARKED_AT_ONCE);
        let messages: Vec<Parking> = self.to_park.drain(..count).collect();
        let (ledger, ids) = (self.ledger.clone(), self.ledger.new_ids(messages.len()));
        self.parking = Some(Box::pin(async move {
            loop {
                match ledger.park(&messages, &ids).await {
                    Err(error) if comes_right(&error) => {
                        tracing::warn!(%error, "messages could not be parked yet");
                        tokio::time::sleep(PAUSE).await;
                    }
                    parked => {
                        if matches!(parked, Err(WriteError::Damaged(_))) {
                            tokio::time::sleep(PAUSE).await;
                        }
                        return (messages, parked);
                    }
                }
            }
        }));
    }

    pub(super) fn note_parked(&mut self, messages: Vec<Parking>, parked: ParkResult) {
        match parked {
            Ok(last) => {
                for message in &messages {
                    self.group.parked(message);
                }
                if let Some(last) = last {
                    self.replays.add(messages.len() as u64, last);
                }
            }
            Err(error @ WriteError::Damaged(_)) => {
                tracing::error!(%error, "messages could not be parked: they are delivered again");
                for message in messages {
                    self.group.not_parked(message);
                }
            }
            // Nothing can be written any more: the messages stay undone and come again after the
            // next start.
            Err(error) => tracing::error!(%error, "messages could not be parked"),
        }
    }

    pub(super) fn replay_on(&mut self) {
        if let Some(Replay { next, before }) = self.replays.replay
            && self.replaying.is_none()
            && self.group.wanted().is_some()
        {
            let (ledger, limit) = (self.ledger.clone(), self.definition.settings.batch());
            self.replaying =
                Some(Box::pin(async move { ledger.parked_page(next, before, limit).await }));
        }
    }

    pub(super) fn replay_page(&mut self, page: ReplayPage) {
        let (messages, next) = match page {
            Ok(page) => page,
            Err(ReadError::Stopping) => return,
            Err(error) => {
                tracing::error!(%error, "parked messages cannot be read: they are not replayed");
                return self.replays.give_up();
            }
        };
        for message in messages {
            // What a link pointed at may be gone; then there is nothing to deliver.
            if message.event().is_some() {
                self.group.replay(message);
            }
        }
        self.replays.advance(next);
    }

    /// Parked messages are hidden once they are replayed and done: a stop before that brings them
    /// again.
    pub(super) fn truncate(&mut self) {
        if self.replaying.is_none()
            && self.truncating.is_none()
            && self.group.replayed() == 0
            && let Some(before) = self.replays.take_done()
        {
            let ledger = self.ledger.clone();
            self.truncating = Some(Box::pin(async move {
                if let Err(error) = ledger.truncate(before).await {
                    tracing::warn!(%error, "replayed messages may be replayed once more");
                }
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replays() -> Replays {
        Replays::new(Parked { first: 2, next: 10 })
    }

    #[test]
    fn what_was_brought_back_is_hidden_once_all_of_it_was_read() {
        let mut replays = replays();
        replays.begin(Some(6));
        assert_eq!((replays.parked(), replays.take_done()), (4, None));
        replays.advance(4);
        assert_eq!(replays.take_done(), None);
        replays.advance(6);
        assert_eq!((replays.parked(), replays.take_done()), (4, Some(6)));
    }

    #[test]
    fn what_could_not_be_read_stays_parked_and_is_not_hidden() {
        let mut replays = replays();
        replays.begin(None);
        replays.advance(5);
        replays.give_up();
        assert_eq!((replays.parked(), replays.take_done()), (5, Some(5)));
        replays.begin(None);
        assert_eq!(replays.replay.map(|replay| replay.next), Some(5));
    }

    #[test]
    fn a_shorter_replay_takes_nothing_back_from_the_one_under_way() {
        let mut replays = replays();
        replays.begin(Some(8));
        replays.advance(4);
        replays.begin(Some(5));
        assert_eq!(replays.replay.map(|replay| replay.before), Some(8));
        assert_eq!(replays.parked(), 2);
        replays.begin(None);
        assert_eq!(replays.replay.map(|replay| replay.before), Some(10));
        assert_eq!(replays.parked(), 0);
    }

    #[test]
    fn parking_is_tried_again_while_it_may_succeed() {
        assert!(comes_right(&WriteError::Uncertain));
        assert!(comes_right(&WriteError::DiskFull));
        assert!(comes_right(&WriteError::Locked));
        assert!(!comes_right(&WriteError::Stopping));
    }
}
