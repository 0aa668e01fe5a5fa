//! The rules of one shipment: what may follow what, and when its parcels arrive. Pure.

mod request;
mod route;
#[cfg(test)]
mod tests;

pub(crate) use request::ShipmentRequest;
pub(crate) use route::News;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// What happened to a shipment, as stored. Old lines of the ledger still read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ShipmentEntry {
    Booked {
        request: ShipmentRequest,
        /// Of the first parcel.
        tracking_number: String,
        /// Of the others.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        more_tracking_numbers: Vec<String>,
    },
    /// The delivery is fixed here, so that a later change of the options cannot undo it.
    HandedOver {
        handed_over_at: DateTime<Utc>,
        delivered_at: DateTime<Utc>,
    },
    Cancelled,
    Closed,
}

/// One shipment, folded from its entries. The default is a key nobody has used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Shipment {
    #[default]
    Unknown,
    Booked(Booking),
    HandedOver {
        booking: Booking,
        handed_over_at: DateTime<Utc>,
        delivered_at: DateTime<Utc>,
    },
    Cancelled(Booking),
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Booking {
    pub(crate) request: ShipmentRequest,
    /// One per parcel.
    pub(crate) tracking_numbers: Vec<String>,
    pub(crate) booked_at: DateTime<Utc>,
}

/// An entry to store, or nothing because it is in effect already.
pub(crate) type Decision = Result<Option<ShipmentEntry>, Refusal>;

impl Shipment {
    pub(crate) fn is_known(&self) -> bool {
        *self != Self::Unknown
    }

    pub(crate) fn booking(&self) -> Option<&Booking> {
        match self {
            Self::Booked(booking) | Self::HandedOver { booking, .. } | Self::Cancelled(booking) => {
                Some(booking)
            }
            Self::Unknown | Self::Closed => None,
        }
    }

    /// Books under these tracking numbers: one for the first parcel, and those of the others.
    pub(crate) fn book(
        &self,
        request: &ShipmentRequest,
        tracking_number: String,
        more_tracking_numbers: Vec<String>,
    ) -> Decision {
        if *self == Self::Closed {
            return Err(Refusal::KeyClosed);
        }
        match self.booking() {
            None => {
                let request = request.clone();
                Ok(Some(ShipmentEntry::Booked { request, tracking_number, more_tracking_numbers }))
            }
            Some(booking) if booking.request == *request => Ok(None),
            Some(_) => Err(Refusal::IdempotencyConflict),
        }
    }

    pub(crate) fn hand_over(&self, now: DateTime<Utc>, delivered_at: DateTime<Utc>) -> Decision {
        match self {
            Self::Unknown | Self::Closed => Err(Refusal::UnknownShipment),
            Self::Booked(_) => {
                Ok(Some(ShipmentEntry::HandedOver { handed_over_at: now, delivered_at }))
            }
            Self::HandedOver { .. } => Ok(None),
            Self::Cancelled(_) => Err(Refusal::ShipmentCancelled),
        }
    }

    /// On an unused key a booking may be on its way: the key is closed so that it comes too late.
    pub(crate) fn cancel(&self) -> Decision {
        match self {
            Self::Unknown => Ok(Some(ShipmentEntry::Closed)),
            Self::Booked(_) => Ok(Some(ShipmentEntry::Cancelled)),
            Self::HandedOver { .. } => Err(Refusal::AlreadyHandedOver),
            Self::Cancelled(_) | Self::Closed => Ok(None),
        }
    }

    /// The state after one more entry, which was stored `at` that time.
    pub(crate) fn apply(&mut self, entry: ShipmentEntry, at: DateTime<Utc>) {
        match entry {
            ShipmentEntry::Booked { request, tracking_number, more_tracking_numbers } => {
                let tracking_numbers =
                    [tracking_number].into_iter().chain(more_tracking_numbers).collect();
                *self = Self::Booked(Booking { request, tracking_numbers, booked_at: at });
            }
            ShipmentEntry::HandedOver { handed_over_at, delivered_at } => {
                if let Some(booking) = self.booking().cloned() {
                    *self = Self::HandedOver { booking, handed_over_at, delivered_at };
                }
            }
            ShipmentEntry::Cancelled => {
                if let Some(booking) = self.booking().cloned() {
                    *self = Self::Cancelled(booking);
                }
            }
            ShipmentEntry::Closed => *self = Self::Closed,
        }
    }

    pub(crate) fn status(&self, now: DateTime<Utc>) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Booked(_) => "booked",
            Self::HandedOver { delivered_at, .. } if *delivered_at <= now => "delivered",
            Self::HandedOver { .. } => "in_transit",
            Self::Cancelled(_) => "cancelled",
            Self::Closed => "closed",
        }
    }
}
