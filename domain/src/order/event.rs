//! What can have happened to an order. The order's stream is its timeline: everything that a shop
//! wants to know about an order is in it.
//!
//! These types are stored. A change of shape is a new version with an upcaster in `schemas`.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::details::OrderDetails;
use super::terms::{
    CancelReason, HoldReason, LineAllocation, LineUnits, ReceivedUnits, RefundCause, RefundReason,
    RejectReason, ReturnReason, ShippedBy, StockRevision,
};
use crate::ids::{
    CaptureId, CountryCode, CustomerRef, HoldName, LocationCode, MovementId, OrderNumber,
    PartnerReference, PaymentId, PaymentToken, RefundId, ReturnId, ShipmentId, Tag,
};
use crate::money::Money;
use crate::personal::Sealed;
use crate::pricing::Prices;
use crate::quantity::Quantity;
use crate::shipment::{BookedParcel, TrackingStatus};

/// Everything that can have happened to an order.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderEvent {
    /// Accepted; from here on nothing about it is lost.
    Placed(OrderPlaced),
    /// Its goods are reserved and its payment is authorised.
    Confirmed(OrderConfirmed),
    /// All its goods have left, in the days when an order was one shipment.
    Shipped(OrderShipped),
    /// Everything has been delivered and paid.
    Completed(OrderCompleted),
    /// Given up as a whole.
    Cancelled(OrderCancelled),
    /// Refused, because it could not be supplied.
    Rejected(OrderRejected),

    /// Nothing leaves until the hold is released.
    Held(OrderHeld),
    /// A hold is gone.
    HoldReleased(OrderHoldReleased),

    /// Goods were set aside for it, or are awaited.
    Allocated(OrderAllocated),
    /// Goods that were awaited have come.
    BackorderFilled(OrderBackorderFilled),
    /// Some units are not wanted any more.
    LinesCancelled(OrderLinesCancelled),

    /// A gateway is to be asked to hold money for it, besides the payment that it was placed with.
    PaymentRequested(OrderPaymentRequested),
    /// A gateway holds money for it.
    PaymentAuthorised(OrderPaymentAuthorised),
    /// A gateway refused.
    PaymentDeclined(OrderPaymentDeclined),
    /// A gateway does not hold the money any longer; too much time went by.
    AuthorisationExpired(OrderAuthorisationExpired),
    /// It was paid in another way, or in another system.
    PaymentReceived(OrderPaymentReceived),
    /// Money is to be moved to us.
    CaptureRequested(OrderCaptureRequested),
    /// Money came to us.
    PaymentCaptured(OrderPaymentCaptured),
    /// Money could not be moved to us.
    CaptureFailed(OrderCaptureFailed),
    /// What is held is to be let go.
    VoidRequested(OrderVoidRequested),
    /// What was held was let go.
    PaymentVoided(OrderPaymentVoided),
    /// Money is to go back: the decision.
    RefundRequested(OrderRefundRequested),
    /// Money went back: its execution.
    RefundCompleted(OrderRefundCompleted),
    /// Money could not be moved back.
    RefundFailed(OrderRefundFailed),
    /// The customer's bank took money back.
    ChargedBack(OrderChargedBack),

    /// Some goods are to leave a location.
    ShipmentRequested(OrderShipmentRequested),
    /// The warehouse has a shipment ready to leave.
    ShipmentCleared(OrderShipmentCleared),
    /// Its goods leave; they can no longer be cancelled.
    ShipmentDispatched(OrderShipmentDispatched),
    /// It does not leave after all; its goods are still set aside.
    ShipmentCancelled(OrderShipmentCancelled),
    /// News of a parcel.
    ShipmentTracked(OrderShipmentTracked),
    /// The customer has it.
    ShipmentDelivered(OrderShipmentDelivered),

    /// The customer wants to send goods back.
    ReturnRequested(OrderReturnRequested),
    /// They may.
    ReturnApproved(OrderReturnApproved),
    /// They may not.
    ReturnDeclined(OrderReturnDeclined),
    /// Goods came back, or are known to be lost.
    ReturnReceived(OrderReturnReceived),
    /// Nothing more is expected of it.
    ReturnClosed(OrderReturnClosed),

    /// It belongs to a customer now.
    CustomerAttached(OrderCustomerAttached),
    /// Who ordered is reached in another way.
    ContactChanged(OrderContactChanged),
    /// The goods go somewhere else.
    ShippingAddressChanged(OrderShippingAddressChanged),
    /// The invoice goes somewhere else.
    BillingAddressChanged(OrderBillingAddressChanged),
    /// Its note says something else.
    NoteChanged(OrderNoteChanged),
    /// It is sorted by other words.
    TagsChanged(OrderTagsChanged),
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
    /// An order was accepted.
    OrderPlaced {
        /// What people call it; orders of the first days have no number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<OrderNumber>,
        /// What was bought. Shared, because states and read models keep it.
        details: Arc<OrderDetails>,
        /// What each line and each unit costs after everything; never computed again.
        prices: Arc<Prices>,
        /// When the customer placed it; long before it was recorded if it was imported.
        placed_at: DateTime<Utc>,
    }

    /// Goods are reserved and payment is authorised: we will deliver.
    OrderConfirmed {}

    /// All goods left for the customer at once.
    OrderShipped {}

    /// Everything was delivered and paid.
    OrderCompleted {}

    /// The order was given up.
    OrderCancelled {
        /// Why.
        reason: CancelReason,
    }

    /// The order was refused.
    OrderRejected {
        /// Why.
        reason: RejectReason,
    }

    /// Nothing leaves and nothing is charged until the hold is released.
    OrderHeld {
        /// Which hold.
        hold: HoldName,
        /// Why.
        reason: HoldReason,
        /// Whether a rule did it, not a person.
        automatic: bool,
        /// Under which request a person did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        movement: Option<MovementId>,
        /// In words: sealed text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Sealed>,
    }

    /// A hold is gone.
    OrderHoldReleased {
        /// Which hold.
        hold: HoldName,
        /// Under which request.
        movement: MovementId,
    }

    /// Goods were set aside, or are awaited.
    OrderAllocated {
        /// What was found for which line; lines that nothing was found for are left out.
        lines: Vec<LineAllocation>,
        /// How far the stock of each SKU was when it was asked: what it did before is in `lines`.
        as_of: Vec<StockRevision>,
    }

    /// Goods that were awaited have come.
    OrderBackorderFilled {
        /// For which line.
        line: u32,
        /// Where they are.
        location: LocationCode,
        /// How many.
        quantity: Quantity,
        /// Revision of the event of the SKU's stock that says so.
        stock_revision: u64,
    }

    /// Some units are not wanted any more.
    OrderLinesCancelled {
        /// Which ones.
        lines: Vec<LineUnits>,
        /// Why.
        reason: CancelReason,
        /// Which cancellation; also under which their goods are given back.
        movement: MovementId,
        /// What was set aside or awaited for them and is given back, per line.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        released: Vec<LineAllocation>,
    }

    /// A gateway is to be asked to hold money.
    OrderPaymentRequested {
        /// Under which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// What the gateway charges.
        payment_token: PaymentToken,
    }

    /// A gateway holds money.
    OrderPaymentAuthorised {
        /// Under which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// Until when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
    }

    /// A gateway refused.
    OrderPaymentDeclined {
        /// Which payment.
        payment: PaymentId,
        /// The gateway's code.
        code: String,
    }

    /// The gateway does not hold the money any longer.
    OrderAuthorisationExpired {
        /// Of which payment.
        payment: PaymentId,
    }

    /// It was paid in another way, or in another system.
    OrderPaymentReceived {
        /// Under which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// How others know it: a bank statement, a till receipt, an import.
        reference: PartnerReference,
    }

    /// Money is to be moved to us.
    OrderCaptureRequested {
        /// Which capture.
        capture: CaptureId,
        /// From which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// Whether the gateway may let go of the rest.
        is_final: bool,
    }

    /// Money came to us.
    OrderPaymentCaptured {
        /// Which capture.
        capture: CaptureId,
    }

    /// Money could not be moved to us.
    OrderCaptureFailed {
        /// Which capture.
        capture: CaptureId,
        /// The gateway's code.
        code: String,
    }

    /// What is held is to be let go.
    OrderVoidRequested {
        /// Of which payment.
        payment: PaymentId,
    }

    /// What was held was let go.
    OrderPaymentVoided {
        /// Of which payment.
        payment: PaymentId,
    }

    /// Money is to go back.
    OrderRefundRequested {
        /// Which refund.
        refund: RefundId,
        /// From which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// For which units, if for some.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lines: Vec<LineUnits>,
        /// What led to it.
        cause: RefundCause,
        /// Why.
        reason: RefundReason,
        /// In words: sealed text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Sealed>,
    }

    /// Money went back.
    OrderRefundCompleted {
        /// Which refund.
        refund: RefundId,
    }

    /// Money could not be moved back.
    OrderRefundFailed {
        /// Which refund.
        refund: RefundId,
        /// The gateway's code.
        code: String,
    }

    /// The customer's bank took money back.
    OrderChargedBack {
        /// From which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// How the gateway knows it; known by it, so that it counts once.
        reference: PartnerReference,
        /// The bank's words or code.
        reason: String,
    }

    /// Some goods are to leave a location.
    OrderShipmentRequested {
        /// Which shipment.
        shipment: ShipmentId,
        /// From where.
        location: LocationCode,
        /// What is in it.
        lines: Vec<LineUnits>,
        /// Who brings it.
        by: ShippedBy,
        /// Whether it may leave at once, or waits for the warehouse to say so.
        cleared: bool,
    }

    /// A shipment is ready to leave.
    OrderShipmentCleared {
        /// Which shipment.
        shipment: ShipmentId,
    }

    /// The goods of a shipment leave: the point of no return.
    OrderShipmentDispatched {
        /// Which shipment.
        shipment: ShipmentId,
        /// What it travels as; nothing for an order that was handled elsewhere.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        parcels: Vec<BookedParcel>,
    }

    /// A shipment does not leave after all.
    OrderShipmentCancelled {
        /// Which shipment.
        shipment: ShipmentId,
    }

    /// News of a parcel.
    OrderShipmentTracked {
        /// Of which shipment.
        shipment: ShipmentId,
        /// Which of its parcels, from 0.
        parcel: u32,
        /// What.
        status: TrackingStatus,
        /// When, by the carrier's clock.
        at: DateTime<Utc>,
    }

    /// The customer has a shipment.
    OrderShipmentDelivered {
        /// Which shipment.
        shipment: ShipmentId,
        /// When, by the carrier's clock.
        delivered_at: DateTime<Utc>,
    }

    /// The customer wants to send goods back.
    OrderReturnRequested {
        /// Which return.
        return_id: ReturnId,
        /// What.
        lines: Vec<LineUnits>,
        /// Why.
        reason: ReturnReason,
        /// In words: sealed text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Sealed>,
    }

    /// A return may come.
    OrderReturnApproved {
        /// Which return.
        return_id: ReturnId,
    }

    /// A return may not come.
    OrderReturnDeclined {
        /// Which return.
        return_id: ReturnId,
        /// Why, in words: sealed text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Sealed>,
    }

    /// Goods came back, or are known to be lost.
    OrderReturnReceived {
        /// Of which return.
        return_id: ReturnId,
        /// Which goods, and what became of them.
        goods: Vec<ReceivedUnits>,
        /// Which receipt; also under which what is restocked comes back onto the shelf.
        movement: MovementId,
    }

    /// Nothing more is expected of a return.
    OrderReturnClosed {
        /// Which return.
        return_id: ReturnId,
    }

    /// The order belongs to a customer now.
    OrderCustomerAttached {
        /// To whom.
        customer: CustomerRef,
    }

    /// Who ordered is reached in another way.
    OrderContactChanged {
        /// A sealed [`Contact`](crate::personal::Contact).
        contact: Sealed,
    }

    /// The goods go somewhere else.
    OrderShippingAddressChanged {
        /// A sealed [`PostalAddress`](crate::personal::PostalAddress).
        address: Sealed,
        /// Its country.
        country: CountryCode,
    }

    /// The invoice goes somewhere else.
    OrderBillingAddressChanged {
        /// A sealed [`PostalAddress`](crate::personal::PostalAddress).
        address: Sealed,
    }

    /// The note says something else, or nothing any more.
    OrderNoteChanged {
        /// Sealed text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Sealed>,
    }

    /// The order is sorted by other words.
    OrderTagsChanged {
        /// Came.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        added: BTreeSet<Tag>,
        /// Went.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        removed: BTreeSet<Tag>,
    }
}
