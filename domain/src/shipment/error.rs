//! The rules that a record about a shipment can break.

use thiserror::Error;

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
    /// A shipment has at least one parcel and at most [`MAX_PARCELS`](super::decide::MAX_PARCELS).
    #[error("a shipment has 1 to {max} parcels, not {parcels}")]
    ParcelCount {
        /// Parcels given.
        parcels: usize,
        /// Parcels allowed.
        max: usize,
    },
    /// A carrier has a short name.
    #[error("the carrier's name has {length} characters, 1 to {max} are allowed")]
    CarrierName {
        /// Characters given.
        length: usize,
        /// Characters allowed.
        max: usize,
    },
    /// People follow the address.
    #[error("the tracking address of parcel {parcel} is no http or https address, or too long")]
    TrackingUrl {
        /// Of which parcel, from 0.
        parcel: usize,
    },
    /// There is news only of parcels that are there.
    #[error("there is no parcel {parcel}, the shipment has {parcels}, counted from 0")]
    NoSuchParcel {
        /// Which one.
        parcel: u32,
        /// Parcels there are.
        parcels: usize,
    },
    /// A note is a phrase, not a text.
    #[error("the note has {length} characters, at most {max} are allowed")]
    NoteTooLong {
        /// Characters given.
        length: usize,
        /// Characters allowed.
        max: usize,
    },
}
