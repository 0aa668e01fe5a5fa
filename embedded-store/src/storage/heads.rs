//! What the writer remembers so that judging an append costs no query: the state of streams it met
//! lately, and the ids it wrote lately. Both are bounded, and both are only a memory of what the
//! database says.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use crate::semantics::append::StreamState;

/// A stream's number, if it has one yet, and its state.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Head {
    pub(crate) id: Option<i64>,
    pub(crate) state: StreamState,
}

/// Heads in two generations: when the young one is full it becomes the old one, and what nobody
/// asked for since is forgotten. Cheaper than an exact order of use, and as good here.
#[derive(Debug)]
pub(crate) struct Heads {
    young: HashMap<Arc<str>, Head>,
    old: HashMap<Arc<str>, Head>,
    generation: usize,
}

impl Heads {
    /// Remembers at least `generation` heads and at most twice as many.
    pub(crate) fn new(generation: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), generation }
    }

    pub(crate) fn get(&mut self, stream: &Arc<str>) -> Option<Head> {
        if let Some(head) = self.young.get(stream) {
            return Some(*head);
        }
        let head = self.old.remove(stream)?;
        self.put(Arc::clone(stream), head);
        Some(head)
    }

    pub(crate) fn put(&mut self, stream: Arc<str>, head: Head) {
        if self.young.len() >= self.generation && !self.young.contains_key(&stream) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream, head);
    }

    pub(crate) fn forget(&mut self, stream: &str) {
        self.young.remove(stream);
        self.old.remove(stream);
    }
}

/// The newest ids of the whole log, each under its stream.
#[derive(Debug)]
pub(crate) struct RecentIds {
    revisions: HashMap<(i64, Uuid), u64>,
    order: VecDeque<(i64, Uuid, u64)>,
    capacity: usize,
}

impl RecentIds {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { revisions: HashMap::new(), order: VecDeque::new(), capacity }
    }

    /// Takes an event that is newer than all before.
    pub(crate) fn push(&mut self, stream: i64, id: Uuid, revision: u64) {
        if self.order.len() >= self.capacity {
            self.pop();
        }
        self.revisions.insert((stream, id), revision);
        self.order.push_back((stream, id, revision));
    }

    fn pop(&mut self) {
        let Some((stream, id, revision)) = self.order.pop_front() else { return };
        // The id may have been written again since.
        if self.revisions.get(&(stream, id)) == Some(&revision) {
            self.revisions.remove(&(stream, id));
        }
    }

    pub(crate) fn revision(&self, stream: i64, id: Uuid) -> Option<u64> {
        self.revisions.get(&(stream, id)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(last: u64) -> Head {
        Head { id: Some(1), state: StreamState { last: Some(last), ..StreamState::default() } }
    }

    #[test]
    fn a_head_in_use_outlives_the_others() {
        let mut heads = Heads::new(2);
        let used: Arc<str> = "used".into();
        heads.put(Arc::clone(&used), head(7));
        for number in 0..20 {
            heads.put(format!("other-{number}").into(), head(0));
            assert_eq!(heads.get(&used).unwrap().state.last, Some(7));
        }
        assert!(heads.get(&"other-0".into()).is_none());
    }

    #[test]
    fn a_forgotten_head_is_gone_from_both_generations() {
        let mut heads = Heads::new(1);
        heads.put("a".into(), head(1));
        heads.put("b".into(), head(2));
        heads.forget("a");
        heads.forget("b");
        assert!(heads.get(&"a".into()).is_none());
        assert!(heads.get(&"b".into()).is_none());
    }

    #[test]
    fn only_the_newest_ids_are_known_and_only_in_their_stream() {
        let mut recent = RecentIds::new(2);
        for number in 0..3_u8 {
            recent.push(1, Uuid::from_u128(u128::from(number)), u64::from(number));
        }
        assert_eq!(recent.revision(1, Uuid::from_u128(0)), None);
        assert_eq!(recent.revision(1, Uuid::from_u128(2)), Some(2));
        assert_eq!(recent.revision(2, Uuid::from_u128(2)), None);
    }

    #[test]
    fn an_id_written_twice_is_known_until_its_second_writing_is_old() {
        let mut recent = RecentIds::new(2);
        recent.push(1, Uuid::nil(), 0);
        recent.push(1, Uuid::nil(), 1);
        recent.push(1, Uuid::from_u128(9), 2);
        assert_eq!(recent.revision(1, Uuid::nil()), Some(1));
    }
}
