//! The test cards: which token makes the gateway do what.

use std::time::Duration;

use chrono::TimeDelta;

/// How long `tok_slow` waits before anything is authorised.
pub(crate) const SLOW: Duration = Duration::from_millis(600);

/// How long a card's bank holds money, unless the card is `tok_expiring`.
pub(crate) const HOLD: TimeDelta = TimeDelta::days(7);

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
    /// Authorises after a while.
    Pending,
    /// Authorises for a short while.
    Expiring,
    /// Pays after a while.
    CapturePending,
    /// Does not pay.
    CaptureFails,
    /// Takes money back after a while.
    RefundPending,
    /// Does not take money back.
    RefundFails,
}

impl Card {
    pub(crate) fn of(token: &str) -> Self {
        match token {
            "tok_declined" => Self::Declined,
            "tok_timeout" => Self::Timeout,
            "tok_slow" => Self::Slow,
            "tok_flaky" => Self::Flaky,
            "tok_pending" => Self::Pending,
            "tok_expiring" => Self::Expiring,
            "tok_capture_pending" => Self::CapturePending,
            "tok_capture_fails" => Self::CaptureFails,
            "tok_refund_pending" => Self::RefundPending,
            "tok_refund_fails" => Self::RefundFails,
            _ => Self::Good,
        }
    }
}
