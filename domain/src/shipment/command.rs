//! What can be recorded about a shipment.

use chrono::{DateTime, Utc};

use super::event::{BookedParcel, TrackingStatus};
use crate::ids::{LocationCode, OrderId};

/// Everything that can be recorded about a shipment. Each is a no-op when it is known already.
#[derive(Debug, Clone, PartialEq)]
pub enum ShipmentCommand {
    /// A carrier will come for it. The same booking is one with the same tracking numbers.
    RecordBooking {
        /// Of which order.
        order: OrderId,
        /// Where the carrier comes to.
        location: LocationCode,
        /// What it will take.
        parcels: Vec<BookedParcel>,
    },
    /// The carrier has it.
    RecordHandOver {
        /// Since when.
        at: DateTime<Utc>,
    },
    /// News of a parcel. Known by its parcel, status and time.
    RecordTracking {
        /// Which parcel, from 0 in the order of the booking.
        parcel: u32,
        /// What.
        status: TrackingStatus,
        /// When, by the carrier's clock.
        at: DateTime<Utc>,
        /// The carrier's code or standard phrase. Never about a person: it is stored in clear.
        note: Option<String>,
    },
    /// The customer has all of it.
    RecordDelivery {
        /// When, by the carrier's clock.
        delivered_at: DateTime<Utc>,
    },
    /// The carrier will not come. No-op also when nothing is booked.
    RecordCancellation,
}
