//! A circuit breaker: when a partner fails again and again, leave it alone for a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open the circuit.
const TOLERATED: u32 = 8;
/// How long the circuit stays open the first time, and at most.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Counts failures in a row. Closed: calls pass. Open: they are refused until a time, then one may
/// try; its outcome closes the circuit or opens it for twice as long.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<Circuit>);

#[derive(Debug)]
enum Circuit {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
        pause: Duration,
    },
    /// One caller tries, the others wait for what comes of it.
    Trying {
        until: Instant,
        pause: Duration,
    },
}

impl Default for Circuit {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// How long to wait before a call may be tried; `None` when it may be now.
    pub(super) fn refuses_for(&self) -> Option<Duration> {
        let mut circuit = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match *circuit {
            Circuit::Closed { .. } => None,
            Circuit::Open { until, .. } | Circuit::Trying { until, .. } if now < until => {
                Some(until - now)
            }
            Circuit::Open { pause, .. } | Circuit::Trying { pause, .. } => {
                *circuit = Circuit::Trying { until: now + pause, pause };
                None
            }
        }
    }

    pub(super) fn record(&self, success: bool) {
        let mut circuit = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match *circuit {
            _ if success => *circuit = Circuit::default(),
            Circuit::Closed { failures } if failures + 1 < TOLERATED => {
                *circuit = Circuit::Closed { failures: failures + 1 };
            }
            Circuit::Closed { .. } => *circuit = Circuit::Open { until: now + FIRST, pause: FIRST },
            // Of a call that was under way when the circuit opened: nothing new.
            Circuit::Open { .. } => {}
            Circuit::Trying { pause, .. } => {
                let pause = (pause * 2).min(LONGEST);
                *circuit = Circuit::Open { until: now + pause, pause };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..TOLERATED {
            assert_eq!(breaker.refuses_for(), None);
            breaker.record(false);
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn the_circuit_opens_after_failures_in_a_row_and_lets_one_try_later() {
        let breaker = opened();
        tokio::time::advance(breaker.refuses_for().unwrap()).await;
        assert_eq!(breaker.refuses_for(), None, "one may try");
        assert!(breaker.refuses_for().is_some(), "the others wait for what comes of it");

        breaker.record(true);
        assert_eq!(breaker.refuses_for(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_in_between_keeps_it_closed() {
        let breaker = Breaker::default();
        for round in 0..100 {
            breaker.record(round % 3 == 0);
        }
        assert_eq!(breaker.refuses_for(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_were_under_way_when_it_opened_do_not_make_it_worse() {
        let breaker = opened();
        for _ in 0..50 {
            breaker.record(false);
        }
        assert_eq!(breaker.refuses_for(), Some(FIRST));
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_doubles_with_every_failed_try_but_is_bounded() {
        let breaker = opened();
        let mut pauses = vec![];
        for _ in 0..10 {
            let pause = breaker.refuses_for().unwrap();
            pauses.push(pause);
            tokio::time::advance(pause).await;
            assert_eq!(breaker.refuses_for(), None);
            breaker.record(false);
        }
        assert_eq!(pauses[..3], [FIRST, FIRST * 2, FIRST * 4]);
        assert_eq!(pauses.last(), Some(&LONGEST));
    }
}
