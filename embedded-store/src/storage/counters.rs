//! What the log counts about itself while it runs, for statistics. Every number is on its own: two
//! of them read one after the other may belong to different moments.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Everything since the start, except where it says otherwise.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) started: Instant,
    pub(crate) commits: Counter,
    pub(crate) committed_events: Counter,
    pub(crate) committed_bytes: Counter,
    /// Time from the begin of a transaction to the end of its fsync, in microseconds.
    pub(crate) commit_time: Counter,
    pub(crate) last_commit_time: Counter,
    pub(crate) longest_commit_time: Counter,
    pub(crate) last_commit_events: Counter,
    pub(crate) largest_commit_events: Counter,
    /// Queries to the database, and the time they took, in microseconds.
    pub(crate) queries: Counter,
    pub(crate) query_time: Counter,
    /// Pages of the newest events that were taken from memory, and those that were not there.
    pub(crate) pages_from_memory: Counter,
    pub(crate) pages_from_disk: Counter,
    /// Connections and subscriptions that are open now.
    pub(crate) connections: Arc<Counter>,
    pub(crate) subscriptions: Arc<Counter>,
    /// Reads of our own that hold the write-ahead log for long.
    pub(crate) long_reads: Arc<Counter>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            commits: Counter::default(),
            committed_events: Counter::default(),
            committed_bytes: Counter::default(),
            commit_time: Counter::default(),
            last_commit_time: Counter::default(),
            longest_commit_time: Counter::default(),
            last_commit_events: Counter::default(),
            largest_commit_events: Counter::default(),
            queries: Counter::default(),
            query_time: Counter::default(),
            pages_from_memory: Counter::default(),
            pages_from_disk: Counter::default(),
            connections: Arc::default(),
            subscriptions: Arc::default(),
            long_reads: Arc::default(),
        }
    }
}

impl Counters {
    /// Notes a transaction that brought events to the disk.
    pub(super) fn committed(&self, events: usize, bytes: usize, time: Duration) {
        let (events, time) = (events as u64, micros(time));
        self.commits.add(1);
        self.committed_events.add(events);
        self.committed_bytes.add(bytes as u64);
        self.commit_time.add(time);
        self.last_commit_time.set(time);
        self.longest_commit_time.raise(time);
        self.last_commit_events.set(events);
        self.largest_commit_events.raise(events);
    }

    /// Notes a query that has ended.
    pub(super) fn queried(&self, time: Duration) {
        self.queries.add(1);
        self.query_time.add(micros(time));
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A number that many threads may change.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn raise(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    /// Counts one more until the answer is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Counted {
        self.add(1);
        Counted(Arc::clone(self))
    }
}

/// Something that is counted as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Counter>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_not_counted_any_more() {
        let counter = Arc::new(Counter::default());
        let first = counter.enter();
        let second = counter.enter();
        assert_eq!(counter.get(), 2);
        drop((first, second));
        assert_eq!(counter.get(), 0);
    }
}
