//! An order: what was bought, and how far it has come.
//!
//! The order is the one place where "cancelled" and "shipped" race, so it alone decides who wins:
//! whichever is appended first. Stock, money and parcels are other aggregates' business.

mod command;
mod decide;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;

pub use command::OrderCommand;
pub use error::OrderRejection;
pub use event::{
    CancelReason, Handling, Line, LineKind, OrderCancelled, OrderCompleted, OrderConfirmed,
    OrderDetails, OrderEvent, OrderPlaced, OrderRejected, OrderShipped, RejectReason,
};
pub use state::{OrderState, OrderStatus};

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
        state::evolve(state, event)
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
