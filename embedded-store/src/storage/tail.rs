//! The newest committed events in memory, so that those who follow the log do not each read it from
//! disk. Whoever is further behind than this reaches goes to the database; nothing is lost either
//! way.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use crate::event::Recorded;

/// At most so many events are kept.
const EVENTS: usize = 8_192;

/// At most so many bytes of payload are kept.
const BYTES: usize = 16 * 1024 * 1024;

/// Bytes of payload after which a page ends.
const PAGE_BYTES: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Tail(RwLock<Window>);

#[derive(Debug, Default)]
struct Window {
    /// Everything that the log has after this position is in the window.
    since: u64,
    /// In order.
    events: VecDeque<Arc<Recorded>>,
    bytes: usize,
}

impl Tail {
    /// Adds the events that follow those before.
    pub(crate) fn push(&self, events: Vec<Arc<Recorded>>) {
        let mut window = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if window.events.is_empty()
            && let Some(first) = events.first()
        {
            window.since = first.position - 1;
        }
        for event in events {
            window.bytes += size(&event);
            window.events.push_back(event);
        }
        while window.events.len() > EVENTS || window.bytes > BYTES {
            let Some(oldest) = window.events.pop_front() else { break };
            window.bytes -= size(&oldest);
            window.since = oldest.position;
        }
    }

    /// Forgets the events at these positions, which were removed from the log.
    pub(crate) fn forget(&self, positions: &HashSet<u64>) {
        let mut window = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut forgotten = 0;
        window.events.retain(|event| {
            let keep = !positions.contains(&event.position);
            forgotten += if keep { 0 } else { size(event) };
            keep
        });
        window.bytes -= forgotten;
    }

    /// Forgets everything: some of it was destroyed.
    pub(crate) fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Window::default();
    }

    /// How many events are kept, and their bytes.
    pub(crate) fn extent(&self) -> (usize, usize) {
        let window = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (window.events.len(), window.bytes)
    }

    /// Up to `limit` events after `position`, in order, and no more than a page of bytes; empty if
    /// there is none yet. `None` if the tail does not reach back so far.
    pub(crate) fn after(&self, position: u64, limit: usize) -> Option<Vec<Arc<Recorded>>> {
        let window = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if window.events.is_empty() || position < window.since {
            return None;
        }
        let skip = window.events.partition_point(|event| event.position <= position);
        let mut bytes = 0;
        let page = window.events.range(skip..).take(limit).take_while(|event| {
            // Whoever takes a page may be slow and hold it for long. The first event fits always.
            let fits = bytes < PAGE_BYTES;
            bytes += size(event);
            fits
        });
        Some(page.cloned().collect())
    }
}

fn size(event: &Recorded) -> usize {
    event.metadata.len() + event.data.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use uuid::Uuid;

    fn events(positions: std::ops::Range<u64>, size: usize) -> Vec<Arc<Recorded>> {
        positions
            .map(|position| {
                Arc::new(Recorded {
                    position,
                    stream: "s".into(),
                    revision: position,
                    id: Uuid::nil(),
                    kind: "k".into(),
                    is_json: false,
                    created: 0,
                    metadata: Bytes::new(),
                    data: vec![0; size].into(),
                })
            })
            .collect()
    }

    fn positions(events: Option<Vec<Arc<Recorded>>>) -> Option<Vec<u64>> {
        Some(events?.iter().map(|event| event.position).collect())
    }

    #[test]
    fn the_tail_serves_from_the_position_asked_for() {
        let tail = Tail::default();
        tail.push(events(5..9, 1));
        assert_eq!(positions(tail.after(4, 2)), Some(vec![5, 6]));
        assert_eq!(positions(tail.after(7, 9)), Some(vec![8]));
        assert_eq!(positions(tail.after(8, 9)), Some(vec![]));
    }

    #[test]
    fn the_tail_says_when_it_does_not_reach_back_far_enough() {
        let tail = Tail::default();
        assert_eq!(positions(tail.after(0, 9)), None);
        tail.push(events(5..9, 1));
        assert_eq!(positions(tail.after(3, 9)), None);
    }

    #[test]
    fn what_was_removed_from_the_log_leaves_a_gap_and_nothing_else_is_missing() {
        let tail = Tail::default();
        tail.push(events(5..10, 1));
        tail.forget(&HashSet::from([5, 6, 8]));
        assert_eq!(positions(tail.after(4, 9)), Some(vec![7, 9]));
        assert_eq!(positions(tail.after(6, 9)), Some(vec![7, 9]));
        assert_eq!(positions(tail.after(7, 9)), Some(vec![9]));
        assert_eq!(positions(tail.after(3, 9)), None);
        tail.push(events(10..12, 1));
        assert_eq!(positions(tail.after(8, 9)), Some(vec![9, 10, 11]));
        tail.forget(&(1..12).collect());
        assert_eq!(positions(tail.after(11, 9)), None);
    }

    #[test]
    fn a_page_ends_when_it_is_large_and_holds_at_least_one_event() {
        let tail = Tail::default();
        tail.push(events(1..9, 100_000));
        assert_eq!(positions(tail.after(0, 9)), Some(vec![1, 2, 3]));
        tail.push(events(9..12, PAGE_BYTES + 1));
        assert_eq!(positions(tail.after(8, 9)), Some(vec![9]));
    }

    #[test]
    fn a_cleared_tail_begins_anew_with_the_next_event() {
        let tail = Tail::default();
        tail.push(events(1..5, 1));
        tail.clear();
        assert_eq!(positions(tail.after(3, 9)), None);
        tail.push(events(5..7, 1));
        assert_eq!(positions(tail.after(4, 9)), Some(vec![5, 6]));
        assert_eq!(positions(tail.after(3, 9)), None);
    }

    #[test]
    fn the_tail_is_bounded_in_events_and_in_bytes() {
        let tail = Tail::default();
        tail.push(events(1..20_001, 1));
        assert_eq!(positions(tail.after(20_000 - EVENTS as u64 - 1, 1)), None);
        assert!(tail.after(20_000 - EVENTS as u64, 1).is_some());
        tail.push(events(20_001..20_041, 1024 * 1024));
        assert_eq!(positions(tail.after(20_000, 1)), None);
        assert!(tail.after(20_030, 1).is_some());
    }
}
