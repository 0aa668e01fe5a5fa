//! The types of the schema, each made from a row of a read model, or from an aggregate when a
//! mutation answers.

mod credit_note;
mod customer;
mod event;
mod fulfilment_order;
mod money;
mod order;
mod order_action;
mod order_change;
mod order_codes;
mod order_goods;
mod order_leaves;
mod order_line;
mod order_money;
mod order_terms;
mod payment;
mod personal;
mod process;
mod projection;
mod returns;
mod sales;
mod shipment;
mod stock;
mod timeline;

pub(crate) use credit_note::CreditNote;
pub(crate) use customer::{Customer, CustomerTotals};
pub(crate) use event::OrderEvent;
pub(crate) use fulfilment_order::FulfilmentTask;
pub(crate) use money::{LineKind, Money};
pub(crate) use order::Order;
pub(crate) use order_action::OrderAction;
pub(crate) use order_change::OrderChange;
pub(crate) use order_codes::{
    Acceptance, CancelReason, CapturePolicy, DispatchPolicy, Disposition, HoldReason,
    MovementStatus, OrderFulfilmentStatus, OrderHandling, OrderPaymentStatus, OrderReason,
    OrderReturnStatus, OrderStatus, RefundCause, RefundReason, ReturnReason, ReturnStatus,
    ShipmentProgress,
};
pub(crate) use order_goods::{FulfilmentOrderStatus, TrackingStatus};
pub(crate) use order_leaves::Comparison;
pub(crate) use payment::Payment;
pub(crate) use personal::{Revealed, reveal};
pub(crate) use process::{Process, ProcessKind, ProcessStatus};
pub(crate) use projection::Projection;
pub(crate) use returns::Return;
pub(crate) use sales::{SalesByDay, SalesTotals};
pub(crate) use shipment::Shipment;
pub(crate) use stock::{Stock, StockAdjustReason, StockLevel, StockMovement, StockPolicy};
pub(crate) use timeline::OrderMoment;

/// Revisions and counts are far below 2³¹ in any stream that can be read; a GraphQL Int holds them.
pub(crate) fn small(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}
