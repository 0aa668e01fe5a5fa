//! How far a group has come: which messages are still on their way, and so up to where everything is
//! done. A checkpoint is taken from here, so it never passes a message that is not done.

use std::collections::BTreeMap;

#[derive(Debug)]
pub(crate) struct Progress {
    /// The number of the next record, of those that the group has looked at.
    next: u64,
    /// The position of the last record that was looked at.
    examined: Option<u64>,
    /// Records that are not done, each with the position of the one before it.
    pending: BTreeMap<u64, Option<u64>>,
}

/// Everything before a record is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    /// How many records were looked at, count and are done.
    pub(crate) count: u64,
    /// The position of the last of them; `None` before the first.
    pub(crate) position: Option<u64>,
}

impl Progress {
    /// Goes on after `position`.
    pub(crate) fn after(position: Option<u64>) -> Self {
        Self { next: 0, examined: position, pending: BTreeMap::new() }
    }

    /// A message was read. Its number tells it from all others.
    pub(crate) fn begin(&mut self, position: u64) -> u64 {
        let sequence = self.next;
        self.pending.insert(sequence, self.examined);
        self.next += 1;
        self.examined = Some(position);
        sequence
    }

    /// Records up to `position` were looked at, and none of them is for the group. `foreign` of
    /// them count; the others were written by groups, and if a checkpoint counted, it would be a
    /// reason for the next.
    pub(crate) fn pass(&mut self, position: u64, foreign: u64) {
        if position > self.examined.unwrap_or(0) {
            self.examined = Some(position);
        }
        self.next += foreign;
    }

    pub(crate) fn done(&mut self, sequence: u64) {
        self.pending.remove(&sequence);
    }

    pub(crate) fn reached(&self) -> Reached {
        match self.pending.first_key_value() {
            Some((sequence, before)) => Reached { count: *sequence, position: *before },
            None => Reached { count: self.next, position: self.examined },
        }
    }

    /// Forgets that anything from this message on was looked at.
    pub(crate) fn rewind(&mut self, sequence: u64) {
        let forgotten = self.pending.split_off(&sequence);
        if let Some((first, before)) = forgotten.first_key_value() {
            self.next = *first;
            self.examined = *before;
        }
    }

    /// The position of the last record that was looked at.
    pub(crate) fn examined(&self) -> Option<u64> {
        self.examined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_before_the_first_message_under_way_is_reached() {
        let mut progress = Progress::after(Some(9));
        let [a, b, c] = [10, 11, 14].map(|position| progress.begin(position));
        assert_eq!(progress.reached().position, Some(9));
        progress.done(b);
        assert_eq!(progress.reached().position, Some(9));
        progress.done(a);
        assert_eq!(progress.reached().position, Some(11));
        progress.done(c);
        assert_eq!(progress.reached(), Reached { count: 3, position: Some(14) });
    }

    #[test]
    fn records_that_are_not_for_the_group_count_as_done() {
        let mut progress = Progress::after(None);
        progress.pass(5, 5);
        assert_eq!(progress.reached(), Reached { count: 5, position: Some(5) });
        let message = progress.begin(6);
        progress.pass(9, 3);
        assert_eq!(progress.reached().position, Some(5));
        progress.done(message);
        assert_eq!(progress.reached(), Reached { count: 9, position: Some(9) });
    }

    #[test]
    fn what_groups_wrote_is_passed_without_counting() {
        let mut progress = Progress::after(Some(2));
        progress.pass(5, 0);
        assert_eq!(progress.reached(), Reached { count: 0, position: Some(5) });
        progress.pass(4, 0);
        assert_eq!(progress.examined(), Some(5));
    }

    #[test]
    fn what_was_forgotten_is_looked_at_again() {
        let mut progress = Progress::after(None);
        let first = progress.begin(3);
        let second = progress.begin(4);
        progress.pass(8, 4);
        progress.rewind(second);
        assert_eq!(progress.examined(), Some(3));
        assert_eq!(progress.begin(4), second);
        progress.done(first);
        assert_eq!(progress.reached().position, Some(3));
    }
}
