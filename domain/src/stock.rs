//! The stock of one SKU at all its locations: received, set aside for orders, shipped, counted.
//!
//! Never more is set aside at a location than is on hand there, so nothing is sold twice. A
//! reservation belongs to an order and is known by the order's id; the same SKU on two lines is one
//! reservation. One stream holds all locations: which of them supplies an order is one decision.
//!
//! In reading order: the [`terms`], what can be [wanted](StockCommand), what can have
//! [happened](StockEvent), the [state](StockState) that this leads to, how units are found
//! (`allocation`), the rules (`decide`), what follows from every decision (`consequences`), and the
//! [rules that can be broken](StockRejection).

mod terms;

mod command;
mod event;

mod state;

mod allocation;
mod decide;

mod consequences;

mod error;

#[cfg(test)]
mod tests;

pub use command::StockCommand;
pub use error::StockRejection;
pub use event::{
    StockAdjusted, StockBackorderFilled, StockClosed, StockCommitted, StockCounted, StockEvent,
    StockPolicyChanged, StockRanLow, StockRanOut, StockReceived, StockReleased,
    StockReservationExpired, StockReserved, StockRestocked, StockShipped, StockUnitsReleased,
};
pub use state::{Reservation, Shelf, StockState};
pub use terms::{Acceptance, AdjustReason, LocatedUnits, StockPolicy};

use crate::decider::Decider;

/// The stock aggregate; its id is a [`Sku`](crate::ids::Sku).
#[derive(Debug, Clone, Copy)]
pub struct Stock;

impl Decider for Stock {
    type State = StockState;
    type Command = StockCommand;
    type Event = StockEvent;
    type Rejection = StockRejection;

    fn initial() -> StockState {
        StockState::default()
    }

    fn evolve(mut state: StockState, event: &StockEvent) -> StockState {
        state.apply(event);
        state
    }

    fn decide(
        state: &StockState,
        command: &StockCommand,
    ) -> Result<Vec<StockEvent>, StockRejection> {
        let events = decide::decide(state, command)?;
        Ok(consequences::with_consequences(state, events))
    }
}
