//! What can be recorded about a payment.

use chrono::{DateTime, Utc};

use crate::ids::{CaptureId, OrderId, PartnerReference, RefundId};
use crate::money::Money;

/// Everything that can be recorded about a payment. Each is a no-op when it is known already.
#[derive(Debug, Clone, PartialEq)]
pub enum PaymentCommand {
    /// The gateway is still thinking about holding money, for hours perhaps. No-op also when it has
    /// moved on.
    RecordAuthorisationPending {
        /// For which order.
        order: OrderId,
        /// How much it was asked to hold.
        amount: Money,
        /// How the gateway knows it, if it says so already.
        reference: Option<PartnerReference>,
    },
    /// The gateway holds the money for us.
    RecordAuthorisation {
        /// For which order.
        order: OrderId,
        /// How much is held.
        amount: Money,
        /// How the gateway knows it.
        reference: PartnerReference,
        /// Until when it is held, if the gateway says so.
        expires_at: Option<DateTime<Utc>>,
    },
    /// The gateway refused.
    RecordDecline {
        /// For which order.
        order: OrderId,
        /// How much was asked for.
        amount: Money,
        /// The gateway's code.
        code: String,
    },
    /// The gateway is still thinking about moving money to us. No-op also when it has moved on.
    RecordCapturePending {
        /// Which capture.
        capture: CaptureId,
        /// How much.
        amount: Money,
        /// Whether the gateway lets go of the rest.
        is_final: bool,
    },
    /// The gateway moved money to us. Recorded also after a failure: what happened has happened.
    RecordCapture {
        /// Which capture.
        capture: CaptureId,
        /// How much.
        amount: Money,
        /// Whether the gateway let go of the rest.
        is_final: bool,
    },
    /// The gateway did not move money to us.
    RecordCaptureFailure {
        /// Which capture.
        capture: CaptureId,
        /// The gateway's code.
        code: String,
    },
    /// The gateway is still thinking about letting go. No-op also when nothing is held.
    RecordVoidPending,
    /// The gateway let go of what it held and was not moving. No-op also when nothing is held.
    RecordVoid,
    /// The gateway is still thinking about moving money back. No-op also when it has moved on.
    RecordRefundPending {
        /// Which refund.
        refund: RefundId,
        /// How much.
        amount: Money,
    },
    /// The gateway moved money back. Recorded also after a failure: what happened has happened.
    RecordRefund {
        /// Which refund.
        refund: RefundId,
        /// How much.
        amount: Money,
    },
    /// The gateway did not move money back.
    RecordRefundFailure {
        /// Which refund.
        refund: RefundId,
        /// The gateway's code.
        code: String,
    },
    /// The authorisation ran out: nothing is held any more but what is being moved. No-op also when
    /// nothing is held.
    RecordExpiry,
    /// The customer's bank took money back.
    RecordChargeback {
        /// How the gateway knows the charge-back; one is counted once.
        reference: PartnerReference,
        /// How much.
        amount: Money,
        /// The bank's words or code.
        reason: String,
    },
    /// The order was paid in another system.
    RecordSettlementElsewhere {
        /// Which order.
        order: OrderId,
        /// How much was paid there.
        amount: Money,
        /// How the other system knows it.
        reference: PartnerReference,
    },
    /// Somebody says that it was paid in another way: a bank transfer, cash.
    RecordManualPayment {
        /// Which order.
        order: OrderId,
        /// How much.
        amount: Money,
        /// How it is known: a bank statement, a till receipt.
        reference: PartnerReference,
    },
}
