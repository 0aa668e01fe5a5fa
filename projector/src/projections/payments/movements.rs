//! The single captures, refunds and charge-backs of a payment, as its row keeps them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One capture, refund or charge-back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentMovement {
    /// What it is.
    pub kind: PaymentMovementKind,
    /// Which: a UUID, or of a charge-back how the gateway knows it.
    pub id: String,
    /// How much, in minor units; not known of one that was refused outright.
    pub amount_minor: Option<i64>,
    /// Of a capture: whether the gateway lets go of the rest.
    pub is_final: bool,
    /// How far it has come.
    pub state: PaymentMovementState,
    /// The gateway's code when it failed, the bank's words for a charge-back.
    pub reason: Option<String>,
    /// When the last news of it was recorded.
    pub at: DateTime<Utc>,
}

/// Where money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaymentMovementKind {
    /// To us.
    Capture,
    /// Back to the customer.
    Refund,
    /// Back to the customer, by their bank.
    Chargeback,
}

/// Whether money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaymentMovementState {
    /// The gateway thinks about it.
    Pending,
    /// It did.
    Done,
    /// It did not.
    Failed,
}

impl PaymentMovement {
    /// Minor units that are on their way because of it.
    pub(super) fn pending_minor(&self) -> i64 {
        match self.state {
            PaymentMovementState::Pending => self.amount_minor.unwrap_or_default(),
            PaymentMovementState::Done | PaymentMovementState::Failed => 0,
        }
    }
}
