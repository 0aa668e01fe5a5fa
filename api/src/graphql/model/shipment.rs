//! The shipment of an order, as the schema shows it.

use async_graphql::{Enum, SimpleObject};
use chrono::{DateTime, Utc};
use projector::read_model::ShipmentRow;
use uuid::Uuid;

/// How far a shipment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::ShipmentStatus")]
pub(crate) enum ShipmentStatus {
    /// A carrier will come.
    Booked,
    /// The carrier has it.
    HandedOver,
    /// The customer has it.
    Delivered,
    /// The carrier will not come.
    Cancelled,
}

/// The shipment of an order.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Shipment {
    /// Its id.
    id: Uuid,
    /// How far it has come.
    status: ShipmentStatus,
    /// Under which the carrier can be asked.
    tracking_number: String,
    /// When the booking was recorded.
    booked_at: DateTime<Utc>,
    /// When the hand-over to the carrier was recorded.
    handed_over_at: Option<DateTime<Utc>>,
    /// When it was delivered, by the carrier's clock.
    delivered_at: Option<DateTime<Utc>>,
    /// When its last event was recorded.
    updated_at: DateTime<Utc>,
    /// Whether a later event could not be understood: what is here is right, but may be out of date.
    quarantined: bool,
}

impl From<ShipmentRow> for Shipment {
    fn from(row: ShipmentRow) -> Self {
        Self {
            id: row.id,
            status: row.status.into(),
            tracking_number: row.tracking_number,
            booked_at: row.booked_at,
            handed_over_at: row.handed_over_at,
            delivered_at: row.delivered_at,
            updated_at: row.updated_at,
            quarantined: row.quarantined,
        }
    }
}
