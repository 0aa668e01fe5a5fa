//! The shipment of one order: booked with a carrier, handed over, delivered.
//!
//! Commands record what the carrier answered; calling it is a process manager's business.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::decider::Decider;
use crate::ids::{OrderId, PartnerReference};

/// The shipment aggregate; its id is a [`ShipmentId`](crate::ids::ShipmentId).
#[derive(Debug, Clone, Copy)]
pub struct Shipment;

/// What can be recorded about a shipment.
#[derive(Debug, Clone, PartialEq)]
pub enum ShipmentCommand {
    /// A carrier will come for it. No-op when this booking is known.
    RecordBooking {
        /// Of which order.
        order: OrderId,
        /// Under which the carrier can be asked.
        tracking_number: PartnerReference,
    },
    /// The carrier has it. No-op when that is known.
    RecordHandOver,
    /// The customer has it. No-op when that is known.
    RecordDelivery {
        /// When, by the carrier's clock.
        delivered_at: DateTime<Utc>,
    },
    /// The carrier will not come. No-op when nothing is booked.
    RecordCancellation,
}

/// What can have happened to a shipment. Stored: see `schemas`.
#[derive(Debug, Clone, PartialEq)]
pub enum ShipmentEvent {
    /// A carrier will come for it.
    Booked(ShipmentBooked),
    /// The carrier has it.
    HandedOver(ShipmentHandedOver),
    /// The customer has it.
    Delivered(ShipmentDelivered),
    /// The carrier will not come.
    Cancelled(ShipmentCancelled),
}

/// A carrier will come for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShipmentBooked {
    /// Of which order.
    pub order: OrderId,
    /// Under which the carrier can be asked.
    pub tracking_number: PartnerReference,
}

/// The carrier has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShipmentHandedOver {}

/// The customer has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShipmentDelivered {
    /// When, by the carrier's clock.
    pub delivered_at: DateTime<Utc>,
}

/// The carrier will not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShipmentCancelled {}

/// How far a shipment has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShipmentState {
    /// Nobody has booked it.
    NotBooked,
    /// A carrier will come.
    Booked {
        /// Under which the carrier can be asked.
        tracking_number: PartnerReference,
    },
    /// The carrier has it.
    HandedOver,
    /// The customer has it.
    Delivered,
    /// The carrier will not come.
    Cancelled,
}

/// The rule that a record about a shipment would have broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ShipmentRejection {
    /// Something else was booked, or the booking was cancelled.
    #[error("another booking was recorded for this shipment")]
    OtherBooking,
    /// It is not with the carrier.
    #[error("the shipment has not been booked or handed over")]
    NotWithCarrier,
    /// The goods have left.
    #[error("the shipment has been handed over and can no longer be cancelled")]
    AlreadyHandedOver,
}

impl Decider for Shipment {
    type State = ShipmentState;
    type Command = ShipmentCommand;
    type Event = ShipmentEvent;
    type Rejection = ShipmentRejection;

    fn initial() -> ShipmentState {
        ShipmentState::NotBooked
    }

    fn evolve(_: ShipmentState, event: &ShipmentEvent) -> ShipmentState {
        match event {
            ShipmentEvent::Booked(booked) => {
                ShipmentState::Booked { tracking_number: booked.tracking_number.clone() }
            }
            ShipmentEvent::HandedOver(_) => ShipmentState::HandedOver,
            ShipmentEvent::Delivered(_) => ShipmentState::Delivered,
            ShipmentEvent::Cancelled(_) => ShipmentState::Cancelled,
        }
    }

    fn decide(
        state: &ShipmentState,
        command: &ShipmentCommand,
    ) -> Result<Vec<ShipmentEvent>, ShipmentRejection> {
        match command {
            ShipmentCommand::RecordBooking { order, tracking_number } => {
                book(state, *order, tracking_number)
            }
            ShipmentCommand::RecordHandOver => match state {
                ShipmentState::Booked { .. } => {
                    Ok(vec![ShipmentEvent::HandedOver(ShipmentHandedOver {})])
                }
                ShipmentState::HandedOver | ShipmentState::Delivered => Ok(vec![]),
                ShipmentState::NotBooked | ShipmentState::Cancelled => {
                    Err(ShipmentRejection::NotWithCarrier)
                }
            },
            ShipmentCommand::RecordDelivery { delivered_at } => match state {
                ShipmentState::HandedOver => {
                    let delivered = ShipmentDelivered { delivered_at: *delivered_at };
                    Ok(vec![ShipmentEvent::Delivered(delivered)])
                }
                ShipmentState::Delivered => Ok(vec![]),
                ShipmentState::NotBooked
                | ShipmentState::Booked { .. }
                | ShipmentState::Cancelled => Err(ShipmentRejection::NotWithCarrier),
            },
            ShipmentCommand::RecordCancellation => match state {
                ShipmentState::Booked { .. } => {
                    Ok(vec![ShipmentEvent::Cancelled(ShipmentCancelled {})])
                }
                ShipmentState::NotBooked | ShipmentState::Cancelled => Ok(vec![]),
                ShipmentState::HandedOver | ShipmentState::Delivered => {
                    Err(ShipmentRejection::AlreadyHandedOver)
                }
            },
        }
    }
}

fn book(
    state: &ShipmentState,
    order: OrderId,
    tracking_number: &PartnerReference,
) -> Result<Vec<ShipmentEvent>, ShipmentRejection> {
    match state {
        ShipmentState::NotBooked => {
            let booked = ShipmentBooked { order, tracking_number: tracking_number.clone() };
            Ok(vec![ShipmentEvent::Booked(booked)])
        }
        ShipmentState::Booked { tracking_number: known } if known == tracking_number => Ok(vec![]),
        // Late repeats of the booking that has moved on.
        ShipmentState::HandedOver | ShipmentState::Delivered => Ok(vec![]),
        ShipmentState::Booked { .. } | ShipmentState::Cancelled => {
            Err(ShipmentRejection::OtherBooking)
        }
    }
}
