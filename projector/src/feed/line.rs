//! Following the end of the log together: one subscription per category for all workers of a
//! process, whatever slices and generations they write. Nobody holds the others up: who is slow is
//! left behind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use journal::{Delivery, Filter, Journal, Position, Subscription};
use tokio_util::sync::CancellationToken;

use super::passage::{Entrance, Passage, passage};
use crate::slice::Slice;

/// So many deliveries are handed on at once.
const AT_ONCE: usize = 1_024;
/// So many batches may be on their way to a worker.
const BEHIND: usize = 512;

/// The subscriptions that are running, by category.
#[derive(Debug, Default)]
pub(super) struct Lines {
    running: Mutex<HashMap<&'static str, Line>>,
}

#[derive(Debug)]
pub(super) struct Line {
    /// Everything up to here has been handed on.
    at: Position,
    passengers: Vec<Passenger>,
}

#[cfg(test)]
impl Line {
    pub(super) fn passengers(&self) -> usize {
        self.passengers.len()
    }
}

#[derive(Debug)]
struct Passenger {
    slice: Slice,
    entrance: Entrance,
}

impl Lines {
    /// Everything of `category` and `slice` after a position, and that position: `at`, or wherever
    /// those who follow the category already are.
    pub(super) fn join(
        self: &Arc<Self>,
        journal: &Journal,
        stop: &CancellationToken,
        category: &'static str,
        slice: Slice,
        at: Position,
    ) -> (Passage, Position) {
        let mut running = self.running();
        let is_first = !running.contains_key(category);
        let line = running.entry(category).or_insert_with(|| Line { at, passengers: vec![] });
        let (entrance, passage) = passage(line.at, BEHIND);
        line.passengers.push(Passenger { slice, entrance });
        if is_first {
            let subscription = journal.subscribe(Filter::categories(&[category]), at);
            let running = Running { lines: Arc::clone(self), category, is_over: false };
            let stop = stop.clone();
            tokio::spawn(async move { stop.run_until_cancelled(running.run(subscription)).await });
        }
        (passage, line.at)
    }

    pub(super) fn running(&self) -> MutexGuard<'_, HashMap<&'static str, Line>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line for as long as it runs. However it ends, its passengers notice, and go on alone.
struct Running {
    lines: Arc<Lines>,
    category: &'static str,
    /// Whether what runs under the name of the category, if anything does, is another one.
    is_over: bool,
}

impl Running {
    async fn run(mut self, mut subscription: Subscription) {
        while self.hand_on(subscription.next_batch(AT_ONCE).await) {}
    }

    /// False if nobody wants anything any more.
    fn hand_on(&mut self, mut batch: Vec<Delivery>) -> bool {
        let mut running = self.lines.running();
        let Some(line) = running.get_mut(self.category) else { return false };
        line.at = batch.iter().filter_map(Delivery::position).max().unwrap_or(line.at);
        let last = line.passengers.pop();
        let (at, all) = (line.at, &batch);
        line.passengers.retain(|it| {
            it.hand(all.iter().filter(|delivery| it.wants(delivery)).cloned().collect(), at)
        });
        // Most lines have one passenger only, for whom nothing has to be copied.
        if let Some(last) = last {
            batch.retain(|delivery| last.wants(delivery));
            if last.hand(batch, at) {
                line.passengers.push(last);
            }
        }
        if line.passengers.is_empty() {
            running.remove(self.category);
            self.is_over = true;
        }
        !self.is_over
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            self.lines.running().remove(self.category);
        }
    }
}

impl Passenger {
    fn wants(&self, delivery: &Delivery) -> bool {
        match delivery {
            Delivery::Event(event) => self.slice.has(&event.stream),
            Delivery::Checkpoint(_) | Delivery::CaughtUp => true,
        }
    }

    /// Hands on what there was for it up to `at`. False if it is gone, or left behind.
    fn hand(&self, mut batch: Vec<Delivery>, at: Position) -> bool {
        if batch.iter().rev().find_map(Delivery::position) != Some(at) {
            batch.push(Delivery::Checkpoint(at));
        }
        self.entrance.send_now(batch)
    }
}
