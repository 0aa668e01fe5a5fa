//! What can have happened to a payment.
//!
//! These types are stored. A change of shape is a new version with an upcaster in `schemas`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{CaptureId, OrderId, PartnerReference, RefundId};
use crate::money::Money;

/// Everything that can have happened to a payment.
#[derive(Debug, Clone, PartialEq)]
pub enum PaymentEvent {
    /// The gateway thinks about holding money.
    AuthorisationPending(PaymentAuthorisationPending),
    /// The gateway holds the money.
    Authorised(PaymentAuthorised),
    /// The gateway refused.
    Declined(PaymentDeclined),
    /// Money is on its way to us.
    CapturePending(PaymentCapturePending),
    /// Money came to us.
    Captured(PaymentCaptured),
    /// Money did not come to us.
    CaptureFailed(PaymentCaptureFailed),
    /// The gateway thinks about letting go.
    VoidPending(PaymentVoidPending),
    /// What was held and not moved was let go.
    Voided(PaymentVoided),
    /// Money is on its way back.
    RefundPending(PaymentRefundPending),
    /// Money went back.
    Refunded(PaymentRefunded),
    /// Money did not go back.
    RefundFailed(PaymentRefundFailed),
    /// The authorisation ran out.
    Expired(PaymentExpired),
    /// The customer's bank took money back.
    ChargedBack(PaymentChargedBack),
    /// It was paid in another system.
    SettledElsewhere(PaymentSettledElsewhere),
    /// It was paid in another way.
    PaidManually(PaymentPaidManually),
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }
    )+};
}

events! {
    /// The gateway thinks about holding money for us.
    PaymentAuthorisationPending {
        /// For which order.
        order: OrderId,
        /// How much.
        amount: Money,
        /// How the gateway knows it, if it said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<PartnerReference>,
    }

    /// The gateway holds money for us.
    PaymentAuthorised {
        /// For which order.
        order: OrderId,
        /// How much.
        amount: Money,
        /// How the gateway knows it.
        reference: PartnerReference,
        /// Until when, if the gateway said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
    }

    /// The gateway refused.
    PaymentDeclined {
        /// For which order.
        order: OrderId,
        /// How much was asked for.
        amount: Money,
        /// The gateway's code.
        code: String,
    }

    /// Money is on its way to us.
    PaymentCapturePending {
        /// Which capture.
        capture: CaptureId,
        /// How much.
        amount: Money,
        /// Whether the gateway lets go of the rest.
        is_final: bool,
    }

    /// Money came to us.
    PaymentCaptured {
        /// Which capture.
        capture: CaptureId,
        /// How much.
        amount: Money,
        /// Whether the gateway let go of the rest.
        is_final: bool,
    }

    /// Money did not come to us.
    PaymentCaptureFailed {
        /// Which capture.
        capture: CaptureId,
        /// The gateway's code.
        code: String,
    }

    /// The gateway thinks about letting go.
    PaymentVoidPending {
        /// Of how much.
        amount: Money,
    }

    /// What was held and not moved was let go.
    PaymentVoided {
        /// How much; nothing when the gateway had not even begun to hold it.
        amount: Money,
    }

    /// Money is on its way back to the customer.
    PaymentRefundPending {
        /// Which refund.
        refund: RefundId,
        /// How much.
        amount: Money,
    }

    /// Money went back to the customer.
    PaymentRefunded {
        /// Which refund.
        refund: RefundId,
        /// How much.
        amount: Money,
    }

    /// Money did not go back to the customer.
    PaymentRefundFailed {
        /// Which refund.
        refund: RefundId,
        /// The gateway's code.
        code: String,
    }

    /// The authorisation ran out.
    PaymentExpired {
        /// How much had been held; nothing when the gateway had not even begun to hold it.
        amount: Money,
    }

    /// The customer's bank took money back.
    PaymentChargedBack {
        /// How the gateway knows the charge-back.
        reference: PartnerReference,
        /// How much.
        amount: Money,
        /// The bank's words or code.
        reason: String,
    }

    /// The order was paid in another system.
    PaymentSettledElsewhere {
        /// Which order.
        order: OrderId,
        /// How much was paid there.
        amount: Money,
        /// How the other system knows it.
        reference: PartnerReference,
    }

    /// The order was paid in another way.
    PaymentPaidManually {
        /// Which order.
        order: OrderId,
        /// How much.
        amount: Money,
        /// How it is known: a bank statement, a till receipt.
        reference: PartnerReference,
    }
}
