//! A shipment as its own stream has it: what the carrier said, parcel by parcel.

use async_graphql::{Enum, SimpleObject};
use chrono::{DateTime, Utc};
use projector::read_model::{ParcelRow, ShipmentRow, TrackingRow};
use uuid::Uuid;

use super::TrackingStatus;

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

/// A shipment of an order: what the carrier did with its parcels.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Shipment {
    /// Its id.
    id: Uuid,
    /// From where.
    location: String,
    /// How far it has come.
    status: ShipmentStatus,
    /// Its parcels, in the order of the booking.
    parcels: Vec<Parcel>,
    /// When the booking was recorded.
    booked_at: DateTime<Utc>,
    /// When it was handed over to the carrier.
    handed_over_at: Option<DateTime<Utc>>,
    /// When it was delivered, by the carrier's clock.
    delivered_at: Option<DateTime<Utc>>,
    /// When its last event was recorded.
    updated_at: DateTime<Utc>,
    /// Whether a later event could not be understood: what is here is right, but may be out of date.
    quarantined: bool,
}

/// A parcel, as the carrier knows it.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Parcel {
    /// Name or code of the carrier.
    carrier: String,
    /// Under which the carrier can be asked.
    tracking_number: String,
    /// Where people can look.
    tracking_url: Option<String>,
    /// News of it, in the order in which it was recorded.
    events: Vec<ParcelEvent>,
}

/// News of a parcel, as the carrier put it.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ParcelEvent {
    /// What.
    status: TrackingStatus,
    /// When, by the carrier's clock.
    at: DateTime<Utc>,
    /// The carrier's code or standard phrase.
    note: Option<String>,
}

impl From<ShipmentRow> for Shipment {
    fn from(row: ShipmentRow) -> Self {
        Self {
            id: row.id,
            location: row.location,
            status: row.status.into(),
            parcels: row.parcels.0.into_iter().map(Into::into).collect(),
            booked_at: row.booked_at,
            handed_over_at: row.handed_over_at,
            delivered_at: row.delivered_at,
            updated_at: row.updated_at,
            quarantined: row.quarantined,
        }
    }
}

impl From<ParcelRow> for Parcel {
    fn from(ParcelRow { booked, events }: ParcelRow) -> Self {
        Self {
            carrier: booked.carrier,
            tracking_number: booked.tracking_number.to_string(),
            tracking_url: booked.tracking_url,
            events: events.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<TrackingRow> for ParcelEvent {
    fn from(TrackingRow { status, at, note }: TrackingRow) -> Self {
        Self { status: status.into(), at, note }
    }
}
