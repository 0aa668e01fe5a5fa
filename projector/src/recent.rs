//! What a writer has written last, and need not read again: the next event of a stream often comes
//! soon.
//!
//! It is in the tables as well, and what is there counts. Nobody else writes the rows of a slice,
//! but for those who count an intervention or end the writer's right, which it notices before it
//! folds; whoever is not sure that all is as it was forgets everything.

use lru::LruCache;

use crate::projection::State;

/// So many bytes may all rows together take in the tables, which are those of about a thousand orders;
/// in memory it is a few times as many, and every worker has such a room.
const ROOM: usize = 2 << 20;

/// States as they are in the tables.
pub(crate) struct Recent<S: State> {
    states: LruCache<S::Key, Kept<S>>,
    bytes: usize,
}

struct Kept<S> {
    state: S,
    /// That its rows take.
    bytes: usize,
}

impl<S: State> Default for Recent<S> {
    fn default() -> Self {
        Self { states: LruCache::unbounded(), bytes: 0 }
    }
}

impl<S: State> Recent<S> {
    /// Hands out the states with these keys, and the keys of those that are not here.
    pub(crate) fn take(&mut self, keys: Vec<S::Key>) -> (Vec<S>, Vec<S::Key>) {
        let (mut known, mut unknown) = (Vec::with_capacity(keys.len()), vec![]);
        for key in keys {
            match self.states.pop(&key) {
                Some(Kept { state, bytes }) => {
                    self.bytes -= bytes;
                    known.push(state);
                }
                None => unknown.push(key),
            }
        }
        (known, unknown)
    }

    /// Keeps states that have been written, and how many bytes their rows take; and forgets those
    /// that were not written for longest, where there is no room for all.
    pub(crate) fn keep(&mut self, written: Vec<(S, usize)>) {
        for (mut state, bytes) in written {
            state.forget_history();
            self.bytes += bytes;
            if let Some(before) = self.states.put(state.key(), Kept { state, bytes }) {
                self.bytes -= before.bytes;
            }
        }
        while self.bytes > ROOM
            && let Some((_, gone)) = self.states.pop_lru()
        {
            self.bytes -= gone.bytes;
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.states.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::projection::state;

    #[derive(Debug, Clone, PartialEq)]
    struct Draft {
        id: u8,
        revision: i64,
        updated_at: DateTime<Utc>,
        quarantined: bool,
        history: Vec<u8>,
    }
    state!(Draft, id: u8, added history);

    fn draft(id: u8, revision: i64) -> Draft {
        let updated_at = DateTime::UNIX_EPOCH;
        Draft { id, revision, updated_at, quarantined: false, history: vec![] }
    }

    #[test]
    fn what_was_written_is_handed_out_once_as_it_would_be_loaded() {
        let mut recent = Recent::default();
        let written = Draft { history: vec![1, 2], ..draft(1, 5) };
        recent.keep(vec![(written, 10), (draft(2, 0), 10)]);
        assert_eq!(recent.take(vec![1, 3]), (vec![draft(1, 5)], vec![3]));
        // Until it is written again, nobody knows what is in the tables.
        assert_eq!(recent.take(vec![1, 2]), (vec![draft(2, 0)], vec![1]));
        recent.keep(vec![(draft(1, 6), 10)]);
        recent.clear();
        assert_eq!(recent.take(vec![1]), (vec![], vec![1]));
    }

    #[test]
    fn those_that_were_not_written_for_longest_make_room() {
        let mut recent = Recent::default();
        let third = ROOM / 3;
        recent.keep(vec![(draft(1, 0), third), (draft(2, 0), third), (draft(3, 0), third)]);
        let (one, _) = recent.take(vec![1]);
        recent.keep(one.into_iter().map(|one| (one, third)).collect());
        recent.keep(vec![(draft(4, 0), third)]);
        assert_eq!(recent.take(vec![2]), (vec![], vec![2]));
        let (left, gone) = recent.take(vec![1, 3, 4]);
        assert_eq!((left.len(), gone), (3, vec![]));
        assert_eq!(recent.bytes, 0);
        recent.keep(vec![(draft(5, 0), ROOM + 1)]);
        assert_eq!((recent.states.len(), recent.bytes), (0, 0));
    }
}
