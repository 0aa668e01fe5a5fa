//! The one place in this crate that asks what time it is.

use chrono::{DateTime, Utc};

#[expect(
    clippy::disallowed_methods,
    reason = "the simulator stands for systems outside ours, which have clocks of their own"
)]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
