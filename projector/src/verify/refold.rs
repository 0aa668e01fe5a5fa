//! Folds one stream again, in memory, to where its rows should be.

use futures::TryStreamExt;
use journal::{EventStream, Journal, Position, Recorded};
use schemas::StreamName;

use crate::failure::{Failure, is_about_events};
use crate::fold::{Fold, Poisoned, Taken};
use crate::projection::{Projection, State as _, Unfoldable};
use crate::quarantine::{Exceptions, readable_from};

/// Where the rows of a stream should be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Until {
    /// The event with which it is quarantined: not there.
    pub(super) quarantined: Option<u64>,
    /// The event that its row claims to be at: there at least.
    pub(super) revision: Option<u64>,
    /// All events up to here.
    pub(super) reached: Position,
}

impl Until {
    fn includes(&self, event: &Recorded) -> bool {
        match self.quarantined {
            Some(quarantined) => event.revision < quarantined,
            None => {
                event.position <= self.reached
                    || self.revision.is_some_and(|revision| event.revision <= revision)
            }
        }
    }
}

/// A stream being folded again.
pub(super) struct Refold<P: Projection> {
    pub(super) stream: StreamName,
    pub(super) state: Option<P::State>,
    /// Why it cannot be folded any further, although it should be.
    pub(super) stuck: Option<Unfoldable>,
    pub(super) until: Until,
    journal: Journal,
    events: EventStream,
    ended: bool,
}

impl<P: Projection> Refold<P> {
    pub(super) fn begin(journal: &Journal, stream: StreamName, until: Until) -> Self {
        let events = journal.read(&stream, 0);
        let journal = journal.clone();
        Self { stream, state: None, stuck: None, until, journal, events, ended: false }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Folds so many more events, at most.
    pub(super) async fn go_on(
        &mut self,
        at_most: usize,
        exceptions: &Exceptions,
    ) -> Result<(), Failure> {
        let mut fold = Fold::<P>::new(self.state.iter().cloned().collect(), exceptions);
        for _ in 0..at_most {
            match self.events.try_next().await {
                Ok(Some(event)) if self.until.includes(&event) => self.take(&mut fold, &event),
                Ok(_) => self.ended = true,
                Err(error) if !is_about_events(&error) => return Err(error.into()),
                Err(error) => self.meet_unreadable(&error, exceptions).await?,
            }
            if self.ended {
                break;
            }
        }
        if let Some(change) = fold.changes().pop() {
            self.state = Some(change.now.clone());
        }
        if self.ended
            && let Some(state) = &mut self.state
        {
            *state.head().quarantined = self.stuck.is_some() || self.until.quarantined.is_some();
        }
        Ok(())
    }

    /// What comes next cannot be read: it is passed over, is the end, or is in the way.
    async fn meet_unreadable(
        &mut self,
        error: &journal::Error,
        exceptions: &Exceptions,
    ) -> Result<(), Failure> {
        let skipped = &exceptions.skipped;
        if let journal::Error::Foreign { revision, .. } = error
            && skipped.contains(&self.stream, *revision)
        {
            let kept = skipped.next_kept(&self.stream, *revision);
            self.events = self.journal.read(&self.stream, kept);
            return Ok(());
        }
        self.ended = true;
        // Such an event is one of those with which a stream is quarantined.
        if self.until.quarantined.is_none() && self.is_in_the_way(error).await? {
            self.stuck = Some(Unfoldable::Unreadable { reason: error.to_string() });
        }
        Ok(())
    }

    /// Whether something behind an event that cannot be read should be in the rows.
    async fn is_in_the_way(&mut self, error: &journal::Error) -> Result<bool, Failure> {
        let journal::Error::Foreign { revision, .. } = error else { return Ok(true) };
        if self.until.revision.is_some_and(|claimed| *revision <= claimed) {
            return Ok(true);
        }
        let next = readable_from(&self.journal, &self.stream, revision + 1).await?;
        Ok(next.is_some_and(|next| self.until.includes(&next)))
    }

    fn take(&mut self, fold: &mut Fold<'_, P>, event: &Recorded) {
        if let Taken::Gap { from } = fold.take(event) {
            self.ended = true;
            if self.until.quarantined.is_none() {
                self.stuck = Some(Unfoldable::Gone { from, to: event.revision - 1 });
            }
        }
        if let Some(Poisoned { error, .. }) = fold.poisoned().first() {
            self.ended = true;
            self.stuck = Some(error.clone());
        }
    }
}
