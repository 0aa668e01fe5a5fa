//! The consumers of a group, as the group sees them: how much each may hold, and what was measured.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tells the consumers of a group apart; later ones have larger numbers.
pub(crate) type ConsumerId = u64;

/// Deliveries whose times are remembered.
const MEASURED: usize = 1_000;

/// Who a consumer is, for those who look at the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: Arc<str>,
    pub(crate) connection: Arc<str>,
}

#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) identity: Identity,
    /// Messages that it may hold at a time.
    pub(crate) capacity: usize,
    /// Messages that it holds.
    pub(crate) in_flight: usize,
    /// Nothing more can be sent to it at the moment, however much it may hold.
    pub(crate) blocked: bool,
    /// Messages that it ever got.
    pub(crate) total: u64,
    /// The same when it was last asked for.
    pub(crate) total_before: u64,
    pub(crate) timings: Option<Timings>,
}

impl Consumer {
    pub(crate) fn new(identity: Identity, capacity: usize, measured: bool) -> Self {
        let timings = measured.then(Timings::default);
        Self {
            identity,
            capacity,
            in_flight: 0,
            blocked: false,
            total: 0,
            total_before: 0,
            timings,
        }
    }

    pub(crate) fn available(&self) -> usize {
        self.capacity.saturating_sub(self.in_flight)
    }

    pub(crate) fn can_take(&self) -> bool {
        !self.blocked && self.available() > 0
    }

    /// It holds one message less, which was sent to it at that time.
    pub(crate) fn released(&mut self, sent_at: Instant, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(timings) = &mut self.timings {
            timings.push(now.saturating_duration_since(sent_at));
        }
    }
}

/// How long the newest deliveries took, from sending a message to hearing of it.
#[derive(Debug, Default)]
pub(crate) struct Timings(VecDeque<u64>);

impl Timings {
    fn push(&mut self, time: Duration) {
        if self.0.len() >= MEASURED {
            self.0.pop_front();
        }
        self.0.push_back(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    }

    /// In milliseconds, under the names that the protocol gives them.
    pub(crate) fn summary(&self) -> Vec<(&'static str, u64)> {
        let mut times: Vec<u64> = self.0.iter().copied().collect();
        times.sort_unstable();
        let (Some(fastest), Some(highest)) = (times.first(), times.last()) else {
            return Vec::new();
        };
        let mean = times.iter().sum::<u64>() / times.len() as u64;
        // In thousandths, so that no fraction is needed.
        let at = |share: usize| {
            let index = (times.len() * share / 1_000).min(times.len() - 1);
            times.get(index).copied().unwrap_or(*highest)
        };
        vec![
            ("Mean", mean),
            ("Median", at(500)),
            ("Fastest", *fastest),
            ("Quintile 1", at(0)),
            ("Quintile 2", at(200)),
            ("Quintile 3", at(400)),
            ("Quintile 4", at(600)),
            ("Quintile 5", at(800)),
            ("90%", at(900)),
            ("95%", at(950)),
            ("99%", at(990)),
            ("99.5%", at(995)),
            ("99.9%", at(999)),
            ("Highest", *highest),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_tell_how_the_newest_deliveries_spread() {
        let mut timings = Timings::default();
        assert_eq!(timings.summary(), []);
        (1..=1_100).for_each(|millis| timings.push(Duration::from_millis(millis)));
        let summary = timings.summary();
        let of = |name| summary.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        assert_eq!(of("Fastest"), Some(101));
        assert_eq!(of("Quintile 3"), Some(501));
        assert_eq!(of("Highest"), Some(1_100));
    }
}
