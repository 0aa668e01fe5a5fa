//! The newest committed events in memory, so that those who follow the log do not each read it from
//! disk. Whoever is further behind than this reaches goes to the database; nothing is lost either
//! way.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use crate::event::Recorded;

/// At most so many events are kept.
const EVENTS: usize = 8_192;

/// At most so many bytes of payload are kept.
const BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Tail(RwLock<Window>);

#[derive(Debug, Default)]
struct Window {
    /// Without gaps, in order.
    events: VecDeque<Arc<Recorded>>,
    bytes: usize,
}

impl Tail {
    /// Adds events that follow those before without a gap.
    pub(crate) fn push(&self, events: Vec<Arc<Recorded>>) {
        let mut window = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            window.bytes += size(&event);
            window.events.push_back(event);
        }
        while window.events.len() > EVENTS || window.bytes > BYTES {
            let Some(oldest) = window.events.pop_front() else { break };
            window.bytes -= size(&oldest);
        }
    }

    /// Forgets everything: some of it was destroyed.
    pub(crate) fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Window::default();
    }

    /// Up to `limit` events after `position`, in order; empty if there is none yet. `None` if the
    /// tail does not reach back so far.
    pub(crate) fn after(&self, position: u64, limit: usize) -> Option<Vec<Arc<Recorded>>> {
        let window = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let first = window.events.front()?.position;
        let skip = usize::try_from((position + 1).checked_sub(first)?).ok()?;
        Some(window.events.iter().skip(skip).take(limit).cloned().collect())
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
