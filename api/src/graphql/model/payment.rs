//! A payment as its own stream has it: what the gateway did, movement by movement.

use async_graphql::{Enum, SimpleObject};
use chrono::{DateTime, Utc};
use projector::read_model::{self, PaymentRow};
use uuid::Uuid;

use super::{Money, MovementStatus};

/// How far a payment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::PaymentStatus")]
pub(crate) enum PaymentStatus {
    /// The gateway thinks about it, for hours perhaps.
    Pending,
    /// The gateway refused.
    Declined,
    /// Money is held, or on its way to us.
    Authorised,
    /// Too much time went by; nothing came to us.
    Expired,
    /// Money came to us, and some of it is still here.
    Captured,
    /// All that was held was let go; nothing came to us.
    Voided,
    /// All that came to us went back.
    Refunded,
    /// All that came to us went back, and the customer's bank took some of it.
    ChargedBack,
}

/// Who took the money of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::PaymentSource")]
pub(crate) enum PaymentSource {
    /// A payment gateway, for us.
    Gateway,
    /// Another system.
    Elsewhere,
    /// Somebody who says so: a bank transfer, cash.
    Manual,
}

/// Where money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::PaymentMovementKind")]
pub(crate) enum PaymentMovementKind {
    /// To us.
    Capture,
    /// Back to the customer.
    Refund,
    /// Back to the customer, by their bank.
    Chargeback,
}

/// A payment of an order: what the gateway did with the customer's money.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Payment {
    /// Its id.
    id: Uuid,
    /// How far it has come.
    status: PaymentStatus,
    /// Who took the money.
    source: PaymentSource,
    /// What the gateway thinks about holding.
    authorising: Money,
    /// Held at first, or paid; nothing when declined.
    authorised: Money,
    /// Still held, and not on its way to us.
    held: Money,
    /// On its way to us.
    capturing: Money,
    /// Moved to us.
    captured: Money,
    /// Let go without being moved.
    voided: Money,
    /// On its way back to the customer.
    refunding: Money,
    /// Moved back to the customer.
    refunded: Money,
    /// Taken back by the customer's bank.
    charged_back: Money,
    /// Can still go back.
    refundable: Money,
    /// Whether the gateway thinks about letting go of what it holds.
    voiding: bool,
    /// Whether the gateway holds nothing any more because too much time went by.
    expired: bool,
    /// Until when the gateway holds the money, if it said so.
    expires_at: Option<DateTime<Utc>>,
    /// How the gateway, or whoever took the money, knows it.
    reference: Option<String>,
    /// The gateway's code when it declined.
    decline_code: Option<String>,
    /// Captures, refunds and charge-backs, in the order in which they were first heard of.
    movements: Vec<PaymentMovement>,
    /// When its first event was recorded.
    opened_at: DateTime<Utc>,
    /// When its last event was recorded.
    updated_at: DateTime<Utc>,
    /// Whether a later event could not be understood: what is here is right, but may be out of date.
    quarantined: bool,
}

/// One capture, refund or charge-back.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct PaymentMovement {
    /// What it is.
    kind: PaymentMovementKind,
    /// Which: the id of the order's capture or refund; of a charge-back how the gateway knows it.
    id: String,
    /// How much; not known of one that was refused outright.
    amount: Option<Money>,
    /// Of a capture: whether the gateway lets go of the rest.
    #[graphql(name = "final")]
    is_final: bool,
    /// How far it is.
    status: MovementStatus,
    /// The gateway's code when it failed, the bank's words for a charge-back.
    reason: Option<String>,
    /// When the last news of it was recorded.
    at: DateTime<Utc>,
}

impl From<PaymentRow> for Payment {
    fn from(row: PaymentRow) -> Self {
        let money = |minor| Money::from_minor(minor, &row.currency);
        let movements = row.movements.iter();
        Self {
            id: row.id,
            status: row.status.into(),
            source: row.source.into(),
            authorising: money(row.authorising_minor),
            authorised: money(row.authorised_minor),
            held: money(row.held_minor()),
            capturing: money(row.capturing_minor),
            captured: money(row.captured_minor),
            voided: money(row.voided_minor),
            refunding: money(row.refunding_minor),
            refunded: money(row.refunded_minor),
            charged_back: money(row.charged_back_minor),
            refundable: money(row.refundable_minor()),
            voiding: row.voiding,
            expired: row.expired,
            expires_at: row.expires_at,
            movements: movements.map(|it| PaymentMovement::new(it, &row.currency)).collect(),
            reference: row.reference,
            decline_code: row.decline_code,
            opened_at: row.opened_at,
            updated_at: row.updated_at,
            quarantined: row.quarantined,
        }
    }
}

impl PaymentMovement {
    fn new(movement: &read_model::PaymentMovement, currency: &str) -> Self {
        Self {
            kind: movement.kind.into(),
            id: movement.id.clone(),
            amount: movement.amount_minor.map(|minor| Money::from_minor(minor, currency)),
            is_final: movement.is_final,
            status: match movement.state {
                read_model::PaymentMovementState::Pending => MovementStatus::Pending,
                read_model::PaymentMovementState::Done => MovementStatus::Done,
                read_model::PaymentMovementState::Failed => MovementStatus::Failed,
            },
            reason: movement.reason.clone(),
            at: movement.at,
        }
    }
}
