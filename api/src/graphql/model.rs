//! The types of the schema, each made from a row of a read model, or from an aggregate when a
//! mutation answers.

mod credit_note;
mod event;
mod money;
mod order;
mod payment;
mod process;
mod projection;
mod sales;
mod shipment;
mod stock;

pub(crate) use credit_note::CreditNote;
pub(crate) use event::OrderEvent;
pub(crate) use money::{Line, LineKind, Money};
pub(crate) use order::{CancelReason, Order, OrderStatus};
pub(crate) use payment::Payment;
pub(crate) use process::{Process, ProcessStatus};
pub(crate) use projection::Projection;
pub(crate) use sales::SalesTotals;
pub(crate) use shipment::Shipment;
pub(crate) use stock::Stock;

/// Revisions and counts are far below 2³¹ in any stream that can be read; a GraphQL Int holds them.
pub(crate) fn small(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}
