//! Going through the log record by record: which records to hand on, and after how many to say how
//! far one has come. The same for records from memory and from disk.

use std::sync::Arc;

use crate::event::Recorded;
use crate::semantics::filter::{self, Filter};

/// Something a scan hands on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    Event(Arc<Recorded>),
    /// Everything up to and including this position has been examined.
    Checkpoint(u64),
}

/// A scan of the log, with what it remembers between two pages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scan {
    filter: Option<Arc<Filter>>,
    /// Records between two checkpoints; `None` without checkpoints.
    interval: Option<u32>,
    since_checkpoint: u32,
}

impl Scan {
    pub(crate) fn new(filter: Option<Filter>) -> Self {
        Self { filter: filter.map(Arc::new), ..Self::default() }
    }

    /// A scan that makes a checkpoint after every `interval` records examined.
    pub(crate) fn with_checkpoints(self, interval: u32) -> Self {
        Self { interval: Some(interval.max(1)), ..self }
    }

    pub(crate) fn wants(&self, stream: &str, kind: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.passes(stream, kind))
            && !filter::is_outside_of_all(stream)
    }

    /// Whether the filter takes so long that it lets everything through.
    pub(crate) fn has_given_up(&self) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.has_given_up())
    }

    /// Notes that the record at `position` was examined, after it was handed on if it was wanted.
    /// Of checkpoints with nothing between them only the newest is kept.
    pub(crate) fn examined(&mut self, position: u64, out: &mut Vec<Item>) {
        let Some(interval) = self.interval else { return };
        self.since_checkpoint += 1;
        if self.since_checkpoint >= interval {
            self.checkpoint(position, out);
        }
    }

    /// Makes a checkpoint now.
    pub(crate) fn checkpoint(&mut self, position: u64, out: &mut Vec<Item>) {
        self.since_checkpoint = 0;
        if let Some(Item::Checkpoint(last)) = out.last_mut() {
            *last = position;
        } else {
            out.push(Item::Checkpoint(position));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_follows_every_interval_of_records_examined() {
        let mut scan = Scan::new(None).with_checkpoints(3);
        let mut first = Vec::new();
        (1..=4).for_each(|position| scan.examined(position, &mut first));
        assert_eq!(first, [Item::Checkpoint(3)]);
        let mut second = Vec::new();
        (5..=6).for_each(|position| scan.examined(position, &mut second));
        assert_eq!(second, [Item::Checkpoint(6)]);
    }

    #[test]
    fn checkpoints_with_nothing_between_them_are_one() {
        let mut scan = Scan::new(None).with_checkpoints(1);
        let mut out = Vec::new();
        (1..=9).for_each(|position| scan.examined(position, &mut out));
        assert_eq!(out, [Item::Checkpoint(9)]);
    }

    #[test]
    fn a_scan_without_checkpoints_makes_none() {
        let mut out = Vec::new();
        (1..=9).for_each(|position| Scan::new(None).examined(position, &mut out));
        assert_eq!(out, []);
    }
}
