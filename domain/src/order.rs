//! An order: what was bought, and everything that has become of it.
//!
//! The order's stream is its timeline and the one place where its rules are kept: which units are
//! cancelled, set aside, awaited, shipped, delivered and sent back; which money is held, moved and
//! moved back. It is also the one place where "cancelled" and "shipped" race, so it alone decides
//! who wins: whichever is appended first.
//!
//! An order *asks* (`order-shipment-requested`, `order-refund-requested`); processes do what it asks
//! and *record* the outcome. Stock, gateways and carriers have streams of their own.
//!
//! In reading order: what is bought ([`OrderDetails`]), what can be wanted ([`OrderCommand`]), what can
//! have happened ([`OrderEvent`]), the document that events add up to ([`PlacedOrder`]) with what can
//! be read off it, and the rule book (`decide`).

mod command;
mod decide;
mod details;
mod error;
mod event;
mod evolve;
mod ledger;
mod state;
mod status;
mod terms;
#[cfg(test)]
mod tests;

pub use command::{Action, OrderCommand, OrderEdit, RefundOf, SkuAllocation};
pub use details::{
    CapturePolicy, Discount, DispatchPolicy, Handling, Line, LineKind, OrderDetails, Policies,
    TaxLine,
};
pub use error::OrderRejection;
pub use event::*;
pub use ledger::{FulfilmentLine, FulfilmentOrder, FulfilmentOrderStatus};
pub use state::{
    Capture, Hold, LineLedger, MovementStatus, OrderState, OrderStatus, Parcel, PaymentBook,
    PlacedOrder, Refund, Remembered, ReturnBook, ReturnProgress, ShipmentBook, ShipmentStatus,
    Supply,
};
pub use status::{FulfilmentStatus, PaymentStatus, ReturnStatus};
pub use terms::*;

use crate::decider::Decider;

/// The order aggregate; its id is an [`OrderId`](crate::ids::OrderId).
#[derive(Debug, Clone, Copy)]
pub struct Order;

impl Decider for Order {
    type State = OrderState;
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Rejection = OrderRejection;

    fn initial() -> OrderState {
        OrderState::NotPlaced
    }

    fn evolve(state: OrderState, event: &OrderEvent) -> OrderState {
        evolve::evolve(state, event)
    }

    fn decide(
        state: &OrderState,
        command: &OrderCommand,
    ) -> Result<Vec<OrderEvent>, OrderRejection> {
        decide::decide(state, command)
    }

    fn opens_stream(command: &OrderCommand) -> bool {
        matches!(command, OrderCommand::Place { .. })
    }
}
