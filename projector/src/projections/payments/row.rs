//! The row of a payment.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::movements::PaymentMovement;
use crate::code::{PaymentSource, PaymentStatus};
use crate::table::table;

table! {
/// A payment of an order. Amounts are in minor units.
pub struct PaymentRow {
    /// The payment's id.
    pub id: Uuid,
    /// The order it pays for.
    pub order_id: Uuid,
    /// Who took the money.
    pub source: PaymentSource,
    /// How far it has come.
    pub status: PaymentStatus,
    /// ISO 4217 code of the amounts.
    pub currency: String,
    /// What the gateway thinks about holding.
    pub authorising_minor: i64,
    /// Held at first, or paid; 0 when declined.
    pub authorised_minor: i64,
    /// On its way to us.
    pub capturing_minor: i64,
    /// Moved to us.
    pub captured_minor: i64,
    /// Let go without being moved.
    pub voided_minor: i64,
    /// On its way back to the customer.
    pub refunding_minor: i64,
    /// Moved back to the customer.
    pub refunded_minor: i64,
    /// Taken back by the customer's bank.
    pub charged_back_minor: i64,
    /// Whether the gateway thinks about letting go of what it holds.
    pub voiding: bool,
    /// Whether the authorisation ran out.
    pub expired: bool,
    /// Until when the gateway holds the money, if it said so.
    pub expires_at: Option<DateTime<Utc>>,
    /// How the gateway, or whoever took the money, knows it.
    pub reference: Option<String>,
    /// The gateway's code when it declined.
    pub decline_code: Option<String>,
    /// Captures, refunds and charge-backs, in the order in which they were first heard of.
    pub movements: Json<Vec<PaymentMovement>>,
    /// When its first event was recorded.
    pub opened_at: DateTime<Utc>,
    /// When its last event was recorded.
    pub updated_at: DateTime<Utc>,
    /// Revision of the last event of its stream in this row.
    pub revision: i64,
    /// Whether a later event could not be understood: the row is right, but may be out of date.
    pub quarantined: bool,
}
in payments, key 1, of id, once [order_id, source, currency, opened_at]
}

impl PaymentRow {
    /// Still held, and not on its way to us.
    pub const fn held_minor(&self) -> i64 {
        if self.expired {
            return 0;
        }
        let gone = self.capturing_minor.saturating_add(self.captured_minor);
        self.authorised_minor.saturating_sub(gone).saturating_sub(self.voided_minor)
    }

    /// Came to us, and neither went back, nor is on its way back, nor was taken back.
    pub fn refundable_minor(&self) -> i64 {
        self.captured_minor
            .saturating_sub(self.refunding_minor)
            .saturating_sub(self.gone_back())
            .max(0)
    }

    const fn gone_back(&self) -> i64 {
        self.refunded_minor.saturating_add(self.charged_back_minor)
    }

    /// What the amounts say.
    pub(super) fn told_status(&self) -> PaymentStatus {
        if self.decline_code.is_some() {
            PaymentStatus::Declined
        } else if self.authorising_minor > 0 {
            PaymentStatus::Pending
        } else if self.captured_minor > 0 {
            self.status_once_captured()
        } else if self.expired {
            PaymentStatus::Expired
        } else if self.held_minor() > 0 || self.capturing_minor > 0 {
            PaymentStatus::Authorised
        } else {
            PaymentStatus::Voided
        }
    }

    fn status_once_captured(&self) -> PaymentStatus {
        if self.gone_back() < self.captured_minor {
            PaymentStatus::Captured
        } else if self.charged_back_minor > 0 {
            PaymentStatus::ChargedBack
        } else {
            PaymentStatus::Refunded
        }
    }
}
