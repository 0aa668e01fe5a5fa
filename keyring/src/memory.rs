//! What is remembered of persons between two looks into the event store, and for how long.
//!
//! What a look does is not here (`keyring`).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::SubjectId;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::cipher::DataKey;

/// What is known of a person counts for so many seconds from when it was looked for: an erasure that
/// another node carried out goes unnoticed for no longer.
pub const SECONDS_REMEMBERED: i64 = 3;

/// Persons per generation; there are two.
const PERSONS: usize = 10_000;
/// Keys that are gone, per generation.
const GONE: usize = 100_000;

/// What is known of persons.
pub(crate) struct Memory {
    persons: Mutex<Generations<SubjectId, Arc<Look>>>,
    /// A key that was found missing never comes back, so this stays true.
    gone: Mutex<Generations<Uuid, ()>>,
    moments: AtomicU64,
}

/// A point in the order of calls and looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// One look at a person's key. Whoever comes while it lasts waits for it, and all get what it finds.
pub(crate) struct Look {
    pub(crate) begun: Moment,
    time: DateTime<Utc>,
    pub(crate) found: OnceCell<Option<Arc<DataKey>>>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            persons: Mutex::new(Generations::new(PERSONS)),
            gone: Mutex::new(Generations::new(GONE)),
            moments: AtomicU64::new(0),
        }
    }

    /// This moment: after all that were, before all that will be.
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.moments.fetch_add(1, Ordering::Relaxed))
    }

    /// The last look at `subject` if it still counts and began after `after`; else a new one.
    pub(crate) fn look(
        &self,
        subject: SubjectId,
        time: DateTime<Utc>,
        after: Option<Moment>,
    ) -> Arc<Look> {
        let mut persons = lock(&self.persons);
        let last = persons.get(&subject).filter(|last| {
            // A clock that was set back must not keep it for longer.
            let age = time - last.time;
            let counts = TimeDelta::zero() <= age && age < TimeDelta::seconds(SECONDS_REMEMBERED);
            counts && after.is_none_or(|after| last.begun > after)
        });
        last.unwrap_or_else(|| self.begin(&mut persons, subject, time))
    }

    /// A new look at `subject`, which from now on all who come wait for.
    pub(crate) fn look_anew(&self, subject: SubjectId, time: DateTime<Utc>) -> Arc<Look> {
        self.begin(&mut lock(&self.persons), subject, time)
    }

    fn begin(
        &self,
        persons: &mut Generations<SubjectId, Arc<Look>>,
        subject: SubjectId,
        time: DateTime<Utc>,
    ) -> Arc<Look> {
        let look = Arc::new(Look { begun: self.moment(), time, found: OnceCell::new() });
        persons.put(subject, Arc::clone(&look));
        look
    }

    /// Looks that are under way find nothing for those who come from now on.
    pub(crate) fn forget(&self, subject: SubjectId) {
        lock(&self.persons).forget(&subject);
    }

    pub(crate) fn note_gone(&self, key: Uuid) {
        lock(&self.gone).put(key, ());
    }

    pub(crate) fn is_gone(&self, key: Uuid) -> bool {
        lock(&self.gone).get(&key).is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Values in two generations: when the young one is full it becomes the old one, and what nobody
/// asked for since is forgotten.
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    capacity: usize,
}

impl<K: Copy + Eq + Hash, V: Clone> Generations<K, V> {
    fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), capacity }
    }

    fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.put(*key, value.clone());
        Some(value)
    }

    fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.capacity && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    fn forget(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(milliseconds)
    }

    fn jane() -> SubjectId {
        SubjectId(Uuid::from_u128(1))
    }

    #[test]
    fn a_look_counts_for_three_seconds_and_not_when_the_clock_goes_back() {
        let memory = Memory::new();
        let first = memory.look(jane(), at(10_000), None).begun;
        assert_eq!(memory.look(jane(), at(12_999), None).begun, first);
        let second = memory.look(jane(), at(13_000), None).begun;
        assert_ne!(second, first);
        assert_ne!(memory.look(jane(), at(12_999), None).begun, second);
    }

    #[test]
    fn who_must_not_miss_anything_gets_a_look_that_began_after_them() {
        let memory = Memory::new();
        let first = memory.look(jane(), at(0), None);
        let moment = memory.moment();
        let second = memory.look(jane(), at(0), Some(moment));
        assert!(first.begun < moment && moment < second.begun);
        assert_eq!(memory.look(jane(), at(0), Some(moment)).begun, second.begun);
    }

    #[test]
    fn a_forgotten_look_is_not_given_to_anybody() {
        let memory = Memory::new();
        let first = memory.look(jane(), at(0), None).begun;
        memory.forget(jane());
        assert_ne!(memory.look(jane(), at(0), None).begun, first);
    }

    #[test]
    fn memory_is_bounded_and_keeps_what_is_in_use() {
        let mut generations = Generations::new(2);
        generations.put(0, "used");
        for key in 1..20 {
            generations.put(key, "other");
            assert_eq!(generations.get(&0), Some("used"));
            assert!(generations.young.len() + generations.old.len() <= 4);
        }
        assert_eq!(generations.get(&1), None);
        generations.forget(&0);
        assert_eq!(generations.get(&0), None);
    }
}
