//! How long to wait before trying again: longer each time, never in step with others.

use std::time::Duration;

use rand::Rng;

/// Waiting times that double up to a limit, each shortened by up to half at random.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    first: Duration,
    limit: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, limit: Duration) -> Self {
        Self { next: first, first, limit }
    }

    /// For reconnecting: from 50 ms to 5 s.
    pub(crate) fn reconnecting() -> Self {
        Self::new(Duration::from_millis(50), Duration::from_secs(5))
    }

    /// The next waiting time.
    pub(crate) fn next(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.limit);
        full.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Starts over after a success.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_doubles_up_to_the_limit_and_starts_over_after_success() {
        let (first, limit) = (Duration::from_millis(50), Duration::from_millis(150));
        let mut backoff = Backoff::new(first, limit);
        for full in [50, 100, 150, 150].map(Duration::from_millis) {
            let wait = backoff.next();
            assert!(full / 2 <= wait && wait <= full, "{wait:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= first);
    }
}
