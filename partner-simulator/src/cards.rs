//! The test cards: which token makes the gateway do what.

use std::time::Duration;

/// How long `tok_slow` waits before anything is authorised.
pub(crate) const SLOW: Duration = Duration::from_millis(600);

/// How often `tok_flaky` fails before it works.
pub(crate) const FLAKY_FAILURES: u32 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Card {
    /// Authorises at once.
    Good,
    /// The bank says no.
    Declined,
    /// Authorises, then leaves the caller without an answer.
    Timeout,
    /// Authorises late.
    Slow,
    /// Fails twice before anything is done, then authorises.
    Flaky,
}

impl Card {
    pub(crate) fn of(token: &str) -> Self {
        match token {
            "tok_declined" => Self::Declined,
            "tok_timeout" => Self::Timeout,
            "tok_slow" => Self::Slow,
            "tok_flaky" => Self::Flaky,
            _ => Self::Good,
        }
    }
}
