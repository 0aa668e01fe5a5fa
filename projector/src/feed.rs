//! What a worker folds: the log from where it is, without an end.
//!
//! Workers of a process read the log together where they can: what is read, sent and taken apart once
//! is most of what events cost besides writing rows. Those that have a long way to go share a
//! [`scan`]; those that have come to the end share a subscription per category, a [`line`]. In
//! between, and where they are too slow for the others, each has a subscription of its own.

mod line;
mod passage;
mod scan;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use journal::{Delivery, Filter, Journal, Position, Subscription};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::line::Lines;
use self::passage::Passage;
use self::scan::{BOARDING, Boarding};
use crate::slice::Slice;

/// From so many events on it is a long way. Where positions are numbers of bytes, every way is; it
/// is then gone in no time.
const LONG: u64 = 5_000;

/// Where the workers of a process meet, to read together.
#[derive(Debug, Clone)]
pub(crate) struct Company {
    journal: Journal,
    stop: CancellationToken,
    boarding: Arc<Boarding>,
    lines: Arc<Lines>,
}

impl Company {
    /// For workers that read `journal`, until `stop`.
    pub(crate) fn new(journal: &Journal, stop: &CancellationToken) -> Self {
        let (journal, stop) = (journal.clone(), stop.clone());
        Self { journal, stop, boarding: Arc::default(), lines: Arc::default() }
    }
}

/// Every event of a category and a slice once, in order, from a position on, whatever happens to the
/// store meanwhile. Events of other slices may come, too.
#[derive(Debug)]
pub(crate) struct Feed {
    company: Company,
    category: &'static str,
    slice: Slice,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Together(Passage),
    Alone(Alone),
}

/// A subscription of one worker.
#[derive(Debug)]
struct Alone {
    subscription: Subscription,
    /// Everything up to here has been handed out.
    at: Position,
    /// Whether it has come to the end of the log.
    at_the_end: bool,
    /// Everything after a position, from a line that is changed to from there on.
    changing: Option<(Passage, Position)>,
}

impl Feed {
    /// Everything of `category` and `slice` after `from`.
    pub(crate) async fn after(
        company: &Company,
        category: &'static str,
        slice: Slice,
        from: Position,
    ) -> Self {
        let Company { journal, stop, boarding, .. } = company;
        // When the store is away, nobody knows that the way is long; a subscription waits for it.
        let head = timeout(BOARDING, journal.head()).await;
        let is_long =
            matches!(head, Ok(Ok(head)) if head.commit.saturating_sub(from.commit) > LONG);
        let way = if is_long {
            Way::Together(boarding.join(journal, stop, category, slice, from))
        } else {
            Way::alone(journal, category, from)
        };
        Self { company: company.clone(), category, slice, way }
    }

    /// Whether something has come that was not handed out yet, as far as it is known.
    pub(crate) fn has_some(&self) -> bool {
        match &self.way {
            Way::Alone(alone) => alone.subscription.has_gathered(),
            Way::Together(passage) => passage.has_some(),
        }
    }

    /// Waits for a delivery and takes up to `max` that are already there with it; with `patience`
    /// waits for more than that. Safe to cancel: nothing is lost.
    pub(crate) async fn gather(&mut self, max: usize, patience: Duration) -> Vec<Delivery> {
        loop {
            self.change();
            let passage = match &mut self.way {
                Way::Alone(alone) => return alone.gather(max, patience).await,
                Way::Together(passage) => passage,
            };
            if let Some(batch) = passage.gather(max, patience).await {
                return batch;
            }
            let at = passage.at();
            self.way = Way::alone(&self.company.journal, self.category, at);
        }
    }

    /// Changes to the line of the category, once we are at the end of the log and no less far.
    fn change(&mut self) {
        let Way::Alone(alone) = &mut self.way else { return };
        if !alone.at_the_end {
            return;
        }
        let Company { journal, stop, lines, .. } = &self.company;
        let joined = alone
            .changing
            .take()
            .unwrap_or_else(|| lines.join(journal, stop, self.category, self.slice, alone.at));
        let (passage, from) = joined;
        if alone.at >= from {
            self.way = Way::Together(passage.after(alone.at));
        } else {
            alone.changing = Some((passage, from));
        }
    }
}

impl Way {
    fn alone(journal: &Journal, category: &'static str, from: Position) -> Self {
        let subscription = journal.subscribe(Filter::categories(&[category]), from);
        Self::Alone(Alone { subscription, at: from, at_the_end: false, changing: None })
    }
}

impl Alone {
    /// Safe to cancel.
    async fn gather(&mut self, max: usize, patience: Duration) -> Vec<Delivery> {
        let batch = self.subscription.gather(max, patience).await;
        self.at = batch.iter().filter_map(Delivery::position).max().unwrap_or(self.at);
        self.at_the_end |= batch.contains(&Delivery::CaughtUp);
        batch
    }
}
