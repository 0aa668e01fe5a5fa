//! States of streams, kept in memory: the least recently used one goes first.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Up to a number of values by key.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    capacity: usize,
    /// Counted up at every use.
    now: u64,
    values: HashMap<K, (u64, V)>,
    by_last_use: BTreeMap<u64, K>,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, now: 0, values: HashMap::new(), by_last_use: BTreeMap::new() }
    }

    /// The value of `key`, which counts as used now.
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        self.now += 1;
        let (last_use, value) = self.values.get_mut(key)?;
        if let Some(key) = self.by_last_use.remove(last_use) {
            self.by_last_use.insert(self.now, key);
        }
        *last_use = self.now;
        Some(value.clone())
    }

    /// Keeps `value`, at the cost of the least recently used one.
    pub(crate) fn put(&mut self, key: K, value: V) {
        if self.capacity == 0 {
            return;
        }
        self.now += 1;
        if let Some((last_use, _)) = self.values.insert(key.clone(), (self.now, value)) {
            self.by_last_use.remove(&last_use);
        }
        self.by_last_use.insert(self.now, key);
        if self.values.len() > self.capacity
            && let Some((_, oldest)) = self.by_last_use.pop_first()
        {
            self.values.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = Cache::new(2);
        cache.put("a", 1);
        cache.put("b", 2);
        assert_eq!(cache.get(&"a"), Some(1));
        cache.put("c", 3);
        assert_eq!((cache.get(&"a"), cache.get(&"b"), cache.get(&"c")), (Some(1), None, Some(3)));
    }

    #[test]
    fn a_new_value_replaces_the_old_one_and_costs_no_other() {
        let mut cache = Cache::new(2);
        cache.put("a", 1);
        cache.put("b", 2);
        cache.put("a", 3);
        assert_eq!((cache.get(&"a"), cache.get(&"b")), (Some(3), Some(2)));
        assert_eq!((cache.values.len(), cache.by_last_use.len()), (2, 2));
    }

    #[test]
    fn without_capacity_nothing_is_kept() {
        let mut cache = Cache::new(0);
        cache.put("a", 1);
        assert_eq!(cache.get(&"a"), None);
    }
}
