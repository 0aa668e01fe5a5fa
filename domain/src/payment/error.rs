//! The rules that a record about a payment can break.

use thiserror::Error;

use crate::money::{Currency, Money};

/// The rule that a record about a payment would have broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PaymentRejection {
    /// No money is held.
    #[error("no payment has been authorised")]
    NotAuthorised,
    /// Amounts are above zero.
    #[error("an amount must be above zero, not {amount}")]
    NotPositive {
        /// As given.
        amount: Money,
    },
    /// The payment is in another currency.
    #[error("the payment is in {expected}, not {given}")]
    OtherCurrency {
        /// The payment's.
        expected: Currency,
        /// As given.
        given: Currency,
    },
    /// Not more is captured than was authorised, what is on its way included.
    #[error("{amount} cannot be captured, {held} are held and not on their way yet")]
    OverCapture {
        /// As given.
        amount: Money,
        /// Authorised, and neither captured, nor on its way, nor let go.
        held: Money,
    },
    /// Not more is refunded than was captured, what is on its way included.
    #[error("{amount} cannot be refunded, {refundable} can")]
    OverRefund {
        /// As given.
        amount: Money,
        /// Captured, and neither refunded nor on its way back.
        refundable: Money,
    },
    /// Not more is charged back than was captured.
    #[error(
        "{amount} cannot have been charged back, {captured} were captured and not charged back"
    )]
    OverChargeback {
        /// As given.
        amount: Money,
        /// Captured and not charged back.
        captured: Money,
    },
    /// Something else is known about this payment.
    #[error("something else was recorded about this payment before")]
    Contradiction,
}
