//! A circuit breaker: when a partner fails again and again, leave it alone for a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open the circuit.
const TOLERATED: u32 = 8;
/// How long the circuit stays open the first time; doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Counts failures in a row. Closed: calls pass. Open: they are refused until a time, then one may
/// try; its outcome closes the circuit or opens it for longer.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<Circuit>);

#[derive(Debug, Default)]
struct Circuit {
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// How long to wait before a call may be tried; `None` when it may be now.
    pub(super) fn refuses_for(&self) -> Option<Duration> {
        let mut circuit = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = circuit.open_until?;
        let now = Instant::now();
        if now < until {
            return Some(until - now);
        }
        // This caller tries; the others wait for what comes of it.
        circuit.open_until = Some(now + pause(circuit.failures));
        None
    }

    pub(super) fn record(&self, success: bool) {
        let mut circuit = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if success {
            *circuit = Circuit::default();
            return;
        }
        circuit.failures = circuit.failures.saturating_add(1);
        if circuit.failures >= TOLERATED {
            circuit.open_until = Some(Instant::now() + pause(circuit.failures));
        }
    }
}

fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(TOLERATED).min(16);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_circuit_opens_after_failures_in_a_row_and_lets_one_try_later() {
        let breaker = Breaker::default();
        for _ in 0..TOLERATED {
            assert_eq!(breaker.refuses_for(), None);
            breaker.record(false);
        }
        let wait = breaker.refuses_for().unwrap();
        tokio::time::advance(wait).await;
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
    async fn the_pause_grows_but_is_bounded() {
        assert_eq!(pause(TOLERATED), FIRST);
        assert_eq!(pause(TOLERATED + 1), FIRST * 2);
        assert_eq!(pause(u32::MAX), LONGEST);
    }
}
