//! What somebody can want of an order.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::details::OrderDetails;
use super::terms::{
    CancelReason, HoldReason, LineUnits, ReceivedUnits, RefundReason, RejectReason, ReturnReason,
    ShippedBy,
};
use crate::ids::{
    CaptureId, CountryCode, CustomerRef, HoldName, LocationCode, MovementId, OrderId, OrderNumber,
    PartnerReference, PaymentId, PaymentToken, RefundId, ReturnId, ShipmentId, Sku, Tag,
};
use crate::money::Money;
use crate::personal::Sealed;
use crate::quantity::Quantity;
use crate::shipment::{BookedParcel, TrackingStatus};
use crate::stock::LocatedUnits;

/// Everything that somebody can want of an order.
///
/// Every command names what it creates (a shipment, a refund, a movement), so repeating it changes
/// nothing. Those that say *record* report what a process or a partner has done.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a command is made once and moved a few times")]
pub enum OrderCommand {
    /// Accept the order. No-op when the very same order was placed before; number, holds and time
    /// of placing do not count, since a retry comes later.
    Place {
        /// What is bought.
        details: Arc<OrderDetails>,
        /// What people are going to call it.
        number: Option<OrderNumber>,
        /// Holds that the shop's rules put on it.
        holds: Vec<(HoldName, HoldReason)>,
        /// When the customer placed it.
        placed_at: DateTime<Utc>,
    },
    /// Record what stock was set aside, per SKU. Decides which lines get it, cancels what an order
    /// that accepts partial delivery does not get.
    RecordAllocation {
        /// Every SKU of the order.
        goods: Vec<SkuAllocation>,
    },
    /// Record that awaited goods came.
    RecordBackorderFilled {
        /// The order itself: shipments that follow are named after it.
        order: OrderId,
        /// Which goods.
        sku: Sku,
        /// Where they are.
        location: LocationCode,
        /// How many.
        quantity: Quantity,
        /// Revision of the event of the SKU's stock that says so: it counts once.
        stock_revision: u64,
    },
    /// Promise delivery. Refused while the order is held, and before its goods are allocated and its
    /// payment is held or made.
    Confirm {
        /// The order itself: shipments that follow are named after it.
        order: OrderId,
    },
    /// Refuse the order, because it cannot be supplied. No-op when it is rejected or cancelled.
    Reject {
        /// Why.
        reason: RejectReason,
    },
    /// Give up everything that has not left. No-op when nothing is left to give up.
    Cancel {
        /// Why.
        reason: CancelReason,
        /// Under which its goods are given back.
        movement: MovementId,
    },
    /// Give up some units that have not left. No-op when this very cancellation is known.
    CancelLines {
        /// Which units.
        lines: Vec<LineUnits>,
        /// Why.
        reason: CancelReason,
        /// Which cancellation.
        movement: MovementId,
        /// The order itself: shipments that follow are named after it.
        order: OrderId,
    },
    /// Let nothing leave until the hold is released. No-op when the order is held under that name, and
    /// when this very request is known: it does not hold again what was released since.
    Hold {
        /// Under which name.
        hold: HoldName,
        /// Why.
        reason: HoldReason,
        /// In words.
        note: Option<Sealed>,
        /// Which request.
        movement: MovementId,
    },
    /// End a hold. No-op when it is not in place, and when this very request is known: it does not
    /// release what was held again since.
    ReleaseHold {
        /// Which one.
        hold: HoldName,
        /// Which request.
        movement: MovementId,
        /// The order itself: shipments that follow are named after it.
        order: OrderId,
    },

    /// Have a gateway asked to hold money, besides the payment that the order was placed with.
    RequestPayment {
        /// Under which payment.
        payment: PaymentId,
        /// What the gateway charges.
        payment_token: PaymentToken,
        /// How much; all that is neither held nor paid, if not said.
        amount: Option<Money>,
    },
    /// Record that a gateway holds money.
    RecordAuthorisation {
        /// Under which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// Until when.
        expires_at: Option<DateTime<Utc>>,
    },
    /// Record that a gateway refused.
    RecordDecline {
        /// Which payment.
        payment: PaymentId,
        /// Its code.
        code: String,
    },
    /// Record that a gateway no longer holds the money.
    RecordExpiry {
        /// Of which payment.
        payment: PaymentId,
    },
    /// Record that the order was paid in another way (marked as paid by hand) or in another system.
    RecordPayment {
        /// Under which payment.
        payment: PaymentId,
        /// How much; not more than is still to be paid.
        amount: Money,
        /// How others know it.
        reference: PartnerReference,
    },
    /// Have money moved to us.
    RequestCapture {
        /// Which capture.
        capture: CaptureId,
        /// From which payment; the first that holds enough, if not said.
        payment: Option<PaymentId>,
        /// How much; all that is to be paid and held, if not said.
        amount: Option<Money>,
        /// Whether the gateway may let go of the rest.
        is_final: bool,
    },
    /// Record that money came.
    RecordCapture {
        /// Which capture.
        capture: CaptureId,
    },
    /// Record that money could not be moved.
    RecordCaptureFailure {
        /// Which capture.
        capture: CaptureId,
        /// The gateway's code.
        code: String,
    },
    /// Have what is held let go. Refused while goods of the order are still to be paid from it,
    /// unless it is the whole order that is over.
    RequestVoid {
        /// Of which payment.
        payment: PaymentId,
    },
    /// Record that it was let go.
    RecordVoid {
        /// Of which payment.
        payment: PaymentId,
    },
    /// Have money moved back: the decision. Never more than came and has not gone back.
    RequestRefund {
        /// Which refund.
        refund: RefundId,
        /// From which payment; from the latest that has enough, if not said.
        payment: Option<PaymentId>,
        /// How much.
        what: RefundOf,
        /// For which return, if it is for one.
        return_id: Option<ReturnId>,
        /// Why.
        reason: RefundReason,
        /// In words.
        note: Option<Sealed>,
    },
    /// Record that money went back.
    RecordRefund {
        /// Which refund.
        refund: RefundId,
    },
    /// Record that money could not be moved back.
    RecordRefundFailure {
        /// Which refund.
        refund: RefundId,
        /// The gateway's code.
        code: String,
    },
    /// Record that the customer's bank took money back.
    RecordChargeback {
        /// From which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// How the gateway knows it.
        reference: PartnerReference,
        /// The bank's words or code.
        reason: String,
    },

    /// Have allocated goods leave. Refused while the order is held or not confirmed.
    RequestShipment {
        /// Which shipment.
        shipment: ShipmentId,
        /// From where.
        location: LocationCode,
        /// What; everything allocated there that is in no other shipment, if empty.
        lines: Vec<LineUnits>,
        /// Who brings it.
        by: ShippedBy,
    },
    /// Say that a shipment is ready to leave. No-op when that was said.
    ClearShipment {
        /// Which shipment.
        shipment: ShipmentId,
    },
    /// Keep a shipment from leaving; its goods stay set aside. Refused once it has left.
    CancelShipment {
        /// Which shipment.
        shipment: ShipmentId,
    },
    /// Record that the goods of a shipment leave: the point of no return. Refused while the order
    /// is held, and when the shipment was cancelled. Asks for what is to be captured.
    RecordDispatch {
        /// Which shipment.
        shipment: ShipmentId,
        /// What it travels as.
        parcels: Vec<BookedParcel>,
    },
    /// Record news of a parcel.
    RecordTracking {
        /// Of which shipment.
        shipment: ShipmentId,
        /// Which of its parcels, from 0.
        parcel: u32,
        /// What.
        status: TrackingStatus,
        /// When, by the carrier's clock.
        at: DateTime<Utc>,
    },
    /// Record that the customer has a shipment. Closes the order when it was the last thing to be done.
    RecordDelivery {
        /// Which shipment.
        shipment: ShipmentId,
        /// When, by the carrier's clock.
        delivered_at: DateTime<Utc>,
    },

    /// Ask to send goods back. Only goods that have left and have not been asked back before.
    RequestReturn {
        /// Which return.
        return_id: ReturnId,
        /// What.
        lines: Vec<LineUnits>,
        /// Why.
        reason: ReturnReason,
        /// In words.
        note: Option<Sealed>,
    },
    /// Let a return come.
    ApproveReturn {
        /// Which return.
        return_id: ReturnId,
    },
    /// Do not let a return come.
    DeclineReturn {
        /// Which return.
        return_id: ReturnId,
        /// Why.
        note: Option<Sealed>,
    },
    /// Record what came back, in one or more goes. Never more than was asked for.
    ReceiveReturn {
        /// Of which return.
        return_id: ReturnId,
        /// What, and what became of it.
        goods: Vec<ReceivedUnits>,
        /// Which receipt.
        movement: MovementId,
    },
    /// Expect nothing more of a return.
    CloseReturn {
        /// Which return.
        return_id: ReturnId,
    },

    /// Change what can be changed before the goods leave. All of it or nothing.
    Edit(OrderEdit),
    /// Say whose order a guest's order is. Refused when it belongs to somebody else.
    AttachCustomer {
        /// Whose.
        customer: CustomerRef,
    },
}

/// What was set aside for an order of one SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkuAllocation {
    /// Which goods.
    pub sku: Sku,
    /// Set aside, and where.
    pub units: Vec<LocatedUnits>,
    /// Not there yet.
    pub backordered: u32,
    /// How far the SKU's stock was when this was true.
    pub as_of: u64,
}

/// How much is to go back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundOf {
    /// So much.
    Amount(Money),
    /// What was paid for these units, to the minor unit.
    Lines(Vec<LineUnits>),
}

/// A change of an order; what is not set stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderEdit {
    /// How to reach who ordered.
    pub contact: Option<Sealed>,
    /// Where the goods go, and its country.
    pub shipping_address: Option<(Sealed, CountryCode)>,
    /// Where the invoice goes.
    pub billing_address: Option<Sealed>,
    /// The note; `Some(None)` takes it away.
    pub note: Option<Option<Sealed>>,
    /// Words to add.
    pub add_tags: BTreeSet<Tag>,
    /// Words to take away.
    pub remove_tags: BTreeSet<Tag>,
    /// Units to give up.
    pub cancel: Vec<LineUnits>,
    /// Which edit; also under which the goods of cancelled units are given back.
    pub movement: MovementId,
    /// The order itself: shipments that follow are named after it.
    pub order: OrderId,
}

impl OrderCommand {
    /// What it is called where people and programs read about it.
    pub const fn action(&self) -> Action {
        match self {
            Self::Place { .. } => Action::Place,
            Self::RecordAllocation { .. } | Self::RecordBackorderFilled { .. } => Action::Allocate,
            Self::Confirm { .. } => Action::Confirm,
            Self::Reject { .. } => Action::Reject,
            Self::Cancel { .. } => Action::Cancel,
            Self::CancelLines { .. } => Action::CancelLines,
            Self::Hold { .. } => Action::Hold,
            Self::ReleaseHold { .. } => Action::ReleaseHold,
            Self::RequestPayment { .. } => Action::RequestPayment,
            Self::RecordAuthorisation { .. }
            | Self::RecordDecline { .. }
            | Self::RecordExpiry { .. } => Action::Authorise,
            Self::RecordPayment { .. } => Action::MarkPaid,
            Self::RequestCapture { .. }
            | Self::RecordCapture { .. }
            | Self::RecordCaptureFailure { .. } => Action::Capture,
            Self::RequestVoid { .. } | Self::RecordVoid { .. } => Action::Void,
            Self::RequestRefund { .. }
            | Self::RecordRefund { .. }
            | Self::RecordRefundFailure { .. } => Action::Refund,
            Self::RecordChargeback { .. } => Action::RecordChargeback,
            Self::RequestShipment { .. } => Action::Ship,
            Self::ClearShipment { .. } => Action::ClearShipment,
            Self::CancelShipment { .. } => Action::CancelShipment,
            Self::RecordDispatch { .. } => Action::Dispatch,
            Self::RecordTracking { .. } | Self::RecordDelivery { .. } => Action::Track,
            Self::RequestReturn { .. } => Action::RequestReturn,
            Self::ApproveReturn { .. } => Action::ApproveReturn,
            Self::DeclineReturn { .. } => Action::DeclineReturn,
            Self::ReceiveReturn { .. } => Action::ReceiveReturn,
            Self::CloseReturn { .. } => Action::CloseReturn,
            Self::Edit(_) => Action::Edit,
            Self::AttachCustomer { .. } => Action::AttachCustomer,
        }
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// Something that can be done with an order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action {
            $($(#[$doc])* $variant,)+
        }

        impl Action {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// What it is called.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

actions! {
    /// Placing it.
    Place = "place",
    /// Setting goods aside.
    Allocate = "allocate",
    /// Promising delivery.
    Confirm = "confirm",
    /// Refusing it.
    Reject = "reject",
    /// Cancelling everything that has not left.
    Cancel = "cancel",
    /// Cancelling some units.
    CancelLines = "cancel-lines",
    /// Holding it.
    Hold = "hold",
    /// Releasing a hold.
    ReleaseHold = "release-hold",
    /// Paying in another way, or the rest.
    RequestPayment = "request-payment",
    /// Having money held.
    Authorise = "authorise",
    /// Marking it as paid.
    MarkPaid = "mark-paid",
    /// Moving money to us.
    Capture = "capture",
    /// Letting go of held money.
    Void = "void",
    /// Moving money back.
    Refund = "refund",
    /// Recording that a bank took money back.
    RecordChargeback = "record-chargeback",
    /// Having goods leave.
    Ship = "ship",
    /// Saying that a shipment is ready.
    ClearShipment = "clear-shipment",
    /// Keeping a shipment from leaving.
    CancelShipment = "cancel-shipment",
    /// Goods leaving.
    Dispatch = "dispatch",
    /// Recording news of a shipment.
    Track = "track",
    /// Asking to send goods back.
    RequestReturn = "request-return",
    /// Letting a return come.
    ApproveReturn = "approve-return",
    /// Not letting a return come.
    DeclineReturn = "decline-return",
    /// Recording what came back.
    ReceiveReturn = "receive-return",
    /// Closing a return.
    CloseReturn = "close-return",
    /// Changing it.
    Edit = "edit",
    /// Saying whose order it is.
    AttachCustomer = "attach-customer",
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
