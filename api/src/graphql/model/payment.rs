//! The payment of an order, as the schema shows it.

use async_graphql::{Enum, SimpleObject};
use chrono::{DateTime, Utc};
use projector::read_model::PaymentRow;
use uuid::Uuid;

use super::Money;

/// How far a payment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::PaymentStatus")]
pub(crate) enum PaymentStatus {
    /// The gateway refused.
    Declined,
    /// Money is held.
    Authorised,
    /// Money came to us, and some of it is still here.
    Captured,
    /// All that was held was let go; nothing came to us.
    Voided,
    /// All that came to us went back.
    Refunded,
}

/// The payment of an order: what the gateway did with the customer's money.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Payment {
    /// Its id.
    id: Uuid,
    /// How far it has come.
    status: PaymentStatus,
    /// Held at first; nothing when declined.
    authorised: Money,
    /// Moved to us.
    captured: Money,
    /// Let go without being moved.
    voided: Money,
    /// Moved back to the customer.
    refunded: Money,
    /// How the gateway, or the system it was settled in, knows it.
    reference: Option<String>,
    /// The gateway's code when it declined.
    decline_code: Option<String>,
    /// Whether another system moved the money.
    settled_elsewhere: bool,
    /// When its last event was recorded.
    updated_at: DateTime<Utc>,
    /// Whether a later event could not be understood: what is here is right, but may be out of date.
    quarantined: bool,
}

impl From<PaymentRow> for Payment {
    fn from(row: PaymentRow) -> Self {
        let money = |minor| Money::from_minor(minor, &row.currency);
        Self {
            id: row.id,
            status: row.status.into(),
            authorised: money(row.authorised_minor),
            captured: money(row.captured_minor),
            voided: money(row.voided_minor),
            refunded: money(row.refunded_minor),
            reference: row.reference,
            decline_code: row.decline_code,
            settled_elsewhere: row.settled_elsewhere,
            updated_at: row.updated_at,
            quarantined: row.quarantined,
        }
    }
}
