//! The one place in this crate that asks what time it is, and what time it will be.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

#[expect(
    clippy::disallowed_methods,
    reason = "the simulator stands for systems outside ours, which have clocks of their own"
)]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// `time` after `then`, or the end of time.
pub(crate) fn later(then: DateTime<Utc>, time: Duration) -> DateTime<Utc> {
    let time = TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX);
    then.checked_add_signed(time).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
