//! The words that orders, their money, their goods and what comes back are talked about in.

use async_graphql::{Enum, SimpleObject};
use domain::order::{self as domain_order, RejectReason};

use crate::graphql::scalars::BigInt;

/// How far an order has come as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::OrderStatus")]
pub(crate) enum OrderStatus {
    /// Accepted, nothing promised yet.
    Pending,
    /// Goods are reserved and payment is authorised: it will be delivered.
    Confirmed,
    /// Everything that was not cancelled has been delivered.
    Completed,
    /// Given up.
    Cancelled,
    /// Refused, because it could not be supplied.
    Rejected,
}

impl From<&domain_order::OrderStatus> for OrderStatus {
    fn from(status: &domain_order::OrderStatus) -> Self {
        match status {
            domain_order::OrderStatus::Pending => Self::Pending,
            domain_order::OrderStatus::Confirmed => Self::Confirmed,
            domain_order::OrderStatus::Completed => Self::Completed,
            domain_order::OrderStatus::Cancelled(_) => Self::Cancelled,
            domain_order::OrderStatus::Rejected(_) => Self::Rejected,
        }
    }
}

/// Where the money of an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::order::PaymentStatus")]
pub(crate) enum OrderPaymentStatus {
    /// There is nothing to pay.
    NotRequired,
    /// Nothing is held or paid yet.
    Pending,
    /// The gateway refused, and nothing else came.
    Declined,
    /// All that is to be paid is held or paid.
    Authorised,
    /// Less than that.
    PartiallyAuthorised,
    /// What was held is not held any longer, because too much time went by.
    Expired,
    /// Some of it has been paid, and some not.
    PartiallyPaid,
    /// All of it has been paid.
    Paid,
    /// Some of what was paid went back.
    PartiallyRefunded,
    /// All of what was paid went back.
    Refunded,
    /// What was held was let go and nothing was paid.
    Voided,
    /// The customer's bank took money back.
    ChargedBack,
}

/// Where the goods of an order are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::order::FulfilmentStatus")]
pub(crate) enum OrderFulfilmentStatus {
    /// There are no goods.
    NotRequired,
    /// Nothing has been done.
    Unfulfilled,
    /// Nothing leaves because of a hold.
    OnHold,
    /// Everything that has not left is awaited.
    Backordered,
    /// A shipment is being prepared, none has left.
    InProgress,
    /// Some goods have left.
    PartiallyShipped,
    /// All goods have left.
    Shipped,
    /// Some goods have arrived, all have left.
    PartiallyDelivered,
    /// All goods have arrived.
    Delivered,
    /// All goods were given up before they left.
    Cancelled,
}

/// What came back of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::order::ReturnStatus")]
pub(crate) enum OrderReturnStatus {
    /// Nothing, and nobody asked.
    None,
    /// Somebody has to decide.
    Requested,
    /// Goods are on their way back.
    InProgress,
    /// Some goods came back.
    PartiallyReturned,
    /// All goods that left came back.
    Returned,
    /// Whoever asked was refused.
    Declined,
}

/// Why somebody cancels an order, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum CancelReason {
    /// The customer wants it.
    Customer,
    /// Somebody of the shop wants it.
    Staff,
    /// It looks like fraud.
    Fraud,
    /// It cannot be supplied.
    Inventory,
    /// None of these.
    Other,
}

impl From<CancelReason> for domain_order::CancelReason {
    fn from(reason: CancelReason) -> Self {
        match reason {
            CancelReason::Customer => Self::Customer,
            CancelReason::Staff => Self::Staff,
            CancelReason::Fraud => Self::Fraud,
            CancelReason::Inventory => Self::Inventory,
            CancelReason::Other => Self::Other,
        }
    }
}

/// Why an order was cancelled or rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum OrderReasonCode {
    /// Cancelled: the customer wanted it.
    Customer,
    /// Cancelled: somebody of the shop wanted it.
    Staff,
    /// Cancelled: it looked like fraud.
    Fraud,
    /// Cancelled: it could not be supplied.
    Inventory,
    /// Cancelled: the gateway declined the payment.
    PaymentDeclined,
    /// Cancelled: no payment was authorised before the deadline.
    PaymentTimedOut,
    /// Cancelled for none of these reasons.
    Other,
    /// Rejected: there was not enough of a SKU.
    InsufficientStock,
    /// Rejected: a SKU had never been received into stock.
    UnknownSku,
}

/// Why an order was cancelled or rejected, with the numbers that led to it.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct OrderReason {
    /// Why.
    pub(super) code: OrderReasonCode,
    /// The SKU that was short or unknown.
    pub(super) sku: Option<String>,
    /// Units wanted, over all lines.
    pub(super) requested: Option<BigInt>,
    /// Units available when it was tried.
    pub(super) available: Option<BigInt>,
}

impl OrderReason {
    /// Why the order is not to be delivered, if that is so.
    pub(super) fn of(status: &domain_order::OrderStatus) -> Option<Self> {
        match status {
            domain_order::OrderStatus::Cancelled(reason) => Some((*reason).into()),
            domain_order::OrderStatus::Rejected(reason) => Some(reason.into()),
            domain_order::OrderStatus::Pending
            | domain_order::OrderStatus::Confirmed
            | domain_order::OrderStatus::Completed => None,
        }
    }
}

impl From<domain_order::CancelReason> for OrderReason {
    fn from(reason: domain_order::CancelReason) -> Self {
        let code = match reason {
            domain_order::CancelReason::Customer => OrderReasonCode::Customer,
            domain_order::CancelReason::Staff => OrderReasonCode::Staff,
            domain_order::CancelReason::Fraud => OrderReasonCode::Fraud,
            domain_order::CancelReason::Inventory => OrderReasonCode::Inventory,
            domain_order::CancelReason::PaymentDeclined => OrderReasonCode::PaymentDeclined,
            domain_order::CancelReason::PaymentTimedOut => OrderReasonCode::PaymentTimedOut,
            domain_order::CancelReason::Other => OrderReasonCode::Other,
        };
        Self { code, sku: None, requested: None, available: None }
    }
}

impl From<&RejectReason> for OrderReason {
    fn from(reason: &RejectReason) -> Self {
        match reason {
            RejectReason::InsufficientStock { sku, requested, available } => Self {
                code: OrderReasonCode::InsufficientStock,
                sku: Some(sku.to_string()),
                requested: Some((*requested).into()),
                available: Some((*available).into()),
            },
            RejectReason::UnknownSku { sku } => Self {
                code: OrderReasonCode::UnknownSku,
                sku: Some(sku.to_string()),
                requested: None,
                available: None,
            },
        }
    }
}

/// Who moves the money and the goods of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum OrderHandling {
    /// Orderstore does, through payment gateway and carrier.
    Partners,
    /// Another system did, before the order came here.
    Elsewhere,
}

/// Why an order is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::order::HoldReason")]
pub(crate) enum HoldReason {
    /// It has to be looked at for fraud.
    Fraud,
    /// The address is wrong or incomplete.
    Address,
    /// It is worth so much that somebody has to approve it.
    Value,
    /// Goods are missing.
    Inventory,
    /// Something about the payment.
    Payment,
    /// The customer asked to wait.
    Customer,
    /// None of these.
    Other,
}

/// What led to a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::order::RefundCause")]
pub(crate) enum RefundCause {
    /// Units were cancelled that had been paid.
    Cancellation,
    /// Goods came back.
    Return,
    /// Neither: goodwill, a price correction.
    Goodwill,
}

/// Why money goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::order::RefundReason")]
pub(crate) enum RefundReason {
    /// The customer changed their mind.
    Customer,
    /// The goods were damaged or faulty.
    Damaged,
    /// The wrong goods came.
    WrongItem,
    /// The goods never came.
    NotReceived,
    /// The goods came too late.
    Late,
    /// The price was wrong.
    Price,
    /// It was fraud.
    Fraud,
    /// The goods cannot be supplied.
    Inventory,
    /// None of these.
    Other,
}

/// Why goods come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::order::ReturnReason")]
pub(crate) enum ReturnReason {
    /// Not wanted any more.
    Unwanted,
    /// It does not fit.
    Size,
    /// It is not as described.
    NotAsDescribed,
    /// It is damaged or faulty.
    Damaged,
    /// It is not what was ordered.
    WrongItem,
    /// It came too late.
    Late,
    /// None of these.
    Other,
}

/// How far a return is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::order::ReturnProgress")]
pub(crate) enum ReturnStatus {
    /// Somebody has to decide.
    Requested,
    /// It may come.
    Approved,
    /// It may not come.
    Declined,
    /// Some of it came.
    Received,
    /// Nothing more is expected.
    Closed,
}

/// What became of goods that a customer sent back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::order::Disposition")]
pub(crate) enum Disposition {
    /// On the shelf again.
    Restocked,
    /// They came, but cannot be sold again.
    WrittenOff,
    /// They did not come.
    Missing,
}

/// How far a shipment is, as its order knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::order::ShipmentStatus")]
pub(crate) enum ShipmentProgress {
    /// It waits for the warehouse.
    Requested,
    /// It may leave.
    Cleared,
    /// It is on its way.
    Dispatched,
    /// It arrived.
    Delivered,
    /// It never left.
    Cancelled,
}

/// How far a movement of money is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum MovementStatus {
    /// Asked for; perhaps for hours.
    Pending,
    /// Done.
    Done,
    /// Refused.
    Failed,
}

impl From<&domain_order::MovementStatus> for MovementStatus {
    fn from(status: &domain_order::MovementStatus) -> Self {
        match status {
            domain_order::MovementStatus::Pending => Self::Pending,
            domain_order::MovementStatus::Done => Self::Done,
            domain_order::MovementStatus::Failed(_) => Self::Failed,
        }
    }
}

/// What happens when not everything is in stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::stock::Acceptance")]
pub(crate) enum Acceptance {
    /// All units, or none: the order is rejected.
    AllOrNothing,
    /// As many units as there are; the others are cancelled.
    Partial,
}

/// When the money of an order is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::order::CapturePolicy")]
pub(crate) enum CapturePolicy {
    /// For each shipment when it leaves.
    OnShip,
    /// All of it when the order is confirmed.
    AtOnce,
    /// When somebody says so: `paymentCapture`.
    Manual,
}

/// Who says when the goods of an order leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::order::DispatchPolicy")]
pub(crate) enum DispatchPolicy {
    /// One shipment per location as soon as goods are allocated there.
    Automatic,
    /// The warehouse, shipment by shipment: `shipmentCreate`.
    Manual,
}
