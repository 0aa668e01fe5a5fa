//! Time: the one place that reads it, and a hand-moved one for tests.
//!
//! Nothing here waits. Time that decisions depend on comes in with the command.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// Tells the time. Shared as `Arc<dyn Clock>`.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now, in UTC, cut to whole microseconds: what Postgres and the stored metadata keep.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one home of the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        to_the_microsecond(Utc::now())
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    /// A clock that shows `now` until it is moved.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self(Mutex::new(to_the_microsecond(now)))
    }

    /// Moves the clock on by `by` (back, when negative).
    pub fn advance(&self, by: TimeDelta) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = to_the_microsecond(*now + by);
    }

    /// Sets the clock to `now`.
    pub fn set(&self, now: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = to_the_microsecond(now);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn to_the_microsecond(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_cut_to_what_is_stored() {
        let clock = ManualClock::at(DateTime::from_timestamp_nanos(1_700_000_000_123_456_789));
        assert_eq!(clock.now(), DateTime::from_timestamp_nanos(1_700_000_000_123_456_000));
        assert_eq!(SystemClock.now().timestamp_subsec_nanos() % 1_000, 0);
    }

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        assert_eq!(clock.now(), clock.now());
        clock.advance(TimeDelta::seconds(90));
        assert_eq!(clock.now().timestamp(), 90);
        clock.set(DateTime::UNIX_EPOCH);
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH);
    }
}
