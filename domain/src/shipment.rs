//! A shipment: parcels of one order that leave one location together. Booked with a carrier, handed
//! over, followed on their way, delivered.
//!
//! Commands record what the carrier answered; calling it is a process manager's business.

mod command;
mod decide;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;

pub use command::ShipmentCommand;
pub use error::ShipmentRejection;
pub use event::{
    BookedParcel, ShipmentBooked, ShipmentCancelled, ShipmentDelivered, ShipmentEvent,
    ShipmentHandedOver, ShipmentTracked, TrackingStatus,
};
pub use state::{Parcel, ShipmentStage, ShipmentState};

use crate::decider::Decider;

/// The shipment aggregate; its id is a [`ShipmentId`](crate::ids::ShipmentId).
#[derive(Debug, Clone, Copy)]
pub struct Shipment;

impl Decider for Shipment {
    type State = ShipmentState;
    type Command = ShipmentCommand;
    type Event = ShipmentEvent;
    type Rejection = ShipmentRejection;

    fn initial() -> ShipmentState {
        ShipmentState::default()
    }

    fn evolve(state: ShipmentState, event: &ShipmentEvent) -> ShipmentState {
        state::evolve(state, event)
    }

    fn decide(
        state: &ShipmentState,
        command: &ShipmentCommand,
    ) -> Result<Vec<ShipmentEvent>, ShipmentRejection> {
        decide::decide(state, command)
    }
}
