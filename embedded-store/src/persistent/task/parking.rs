//! Parking messages and replaying them.

use super::super::group::Parking;
use super::{PAUSE, ParkResult, ReplayPage, Task};
use crate::storage::{ReadError, WriteError};

/// Messages parked in one write.
const PARKED_AT_ONCE: usize = 100;

/// Parked messages that are to be delivered anew: these revisions of their stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replay {
    next: u64,
    before: u64,
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
                    Err(error @ (WriteError::DiskFull | WriteError::Locked)) => {
                        tracing::warn!(%error, "messages could not be parked yet");
                        tokio::time::sleep(PAUSE).await;
                    }
                    parked => return (messages, parked),
                }
            }
        }));
    }

    pub(super) fn note_parked(&mut self, messages: &[Parking], parked: ParkResult) {
        match parked {
            Ok(last) => {
                for message in messages {
                    self.group.parked(message);
                }
                if let Some(next) = last.map(|last| last + 1) {
                    // What was in the stream before is hidden, perhaps since an earlier life of it.
                    if self.parked.count() == 0 {
                        self.parked.first = next.saturating_sub(messages.len() as u64);
                    }
                    self.parked.next = next;
                }
            }
            // Nothing can be written any more: the messages stay undone and come again after the
            // next start.
            Err(error) => tracing::error!(%error, "messages could not be parked"),
        }
    }

    pub(super) fn begin_replay(&mut self, stop_at: Option<u64>) {
        let before = stop_at.map_or(self.parked.next, |stop_at| stop_at.min(self.parked.next));
        let next = self.replay.map_or(self.parked.first, |replay| replay.next);
        if next < before {
            self.replay = Some(Replay { next, before });
            self.parked.first = before;
            self.to_truncate = Some(before);
        }
    }

    pub(super) fn replay_on(&mut self) {
        if let Some(Replay { next, before }) = self.replay
            && self.replaying.is_none()
            && self.group.wants_page()
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
                self.parked.first = self.replay.take().map_or(self.parked.first, |it| it.next);
                return;
            }
        };
        for message in messages {
            // What a link pointed at may be gone; then there is nothing to deliver.
            if message.event().is_some() {
                self.group.replay(message);
            }
        }
        self.replay = self
            .replay
            .map(|replay| Replay { next, ..replay })
            .filter(|replay| replay.next < replay.before);
    }

    /// Parked messages are hidden once they are replayed and done: a stop before that brings them
    /// again.
    pub(super) fn truncate(&mut self) {
        if self.replay.is_none()
            && self.replaying.is_none()
            && self.truncating.is_none()
            && self.group.replayed() == 0
            && let Some(before) = self.to_truncate.take()
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
