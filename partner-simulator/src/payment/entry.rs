//! What is asked of the gateway and what happened, as stored. Old lines of the ledger still read.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// What is asked of the gateway under a payment's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaymentRequest {
    pub(crate) order: String,
    /// In minor units of the currency.
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) token: String,
}

/// A part of an authorised amount to capture, refund or charge back, under a key of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    pub(crate) key: String,
    /// In minor units of the payment's currency.
    pub(crate) amount: i64,
    /// Of a capture: whether the rest is let go.
    #[serde(default, rename = "final")]
    pub(crate) is_final: bool,
}

/// What happened to a payment, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaymentEntry {
    Authorised {
        request: PaymentRequest,
        reference: String,
        /// Pending before then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<DateTime<Utc>>,
        /// Expired from then on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<DateTime<Utc>>,
    },
    Declined {
        request: PaymentRequest,
    },
    Captured {
        key: String,
        amount: i64,
        /// Pending before then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        done_at: Option<DateTime<Utc>>,
        /// Let go with it.
        #[serde(default, skip_serializing_if = "is_nothing")]
        released: i64,
    },
    Refunded {
        key: String,
        amount: i64,
        /// Pending before then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        done_at: Option<DateTime<Utc>>,
    },
    Voided {
        amount: i64,
    },
    ChargedBack {
        key: String,
        amount: i64,
    },
    Closed,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "it is what serde passes")]
const fn is_nothing(amount: &i64) -> bool {
    *amount == 0
}

impl PaymentRequest {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.order.is_empty() || self.token.is_empty() {
            return Err(Refusal::InvalidRequest("order and token must not be empty"));
        }
        if self.currency.len() != 3 || !self.currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(Refusal::InvalidRequest(
                "currency must be a code of three capital letters",
            ));
        }
        check_amount(self.amount)
    }
}

impl Part {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.key.is_empty() {
            return Err(Refusal::InvalidRequest("key must not be empty"));
        }
        check_amount(self.amount)
    }
}

fn check_amount(amount: i64) -> Result<(), Refusal> {
    if amount > 0 { Ok(()) } else { Err(Refusal::InvalidRequest("amount must be positive")) }
}
