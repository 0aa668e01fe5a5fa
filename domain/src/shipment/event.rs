//! What can have happened to a shipment.
//!
//! These types are stored. A change of shape is a new version with an upcaster in `schemas`.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{LocationCode, OrderId, PartnerReference};

/// Everything that can have happened to a shipment.
#[derive(Debug, Clone, PartialEq)]
pub enum ShipmentEvent {
    /// A carrier will come for it.
    Booked(ShipmentBooked),
    /// The carrier has it.
    HandedOver(ShipmentHandedOver),
    /// There is news of a parcel.
    Tracked(ShipmentTracked),
    /// The customer has it.
    Delivered(ShipmentDelivered),
    /// The carrier will not come.
    Cancelled(ShipmentCancelled),
}

/// A parcel as a carrier has promised to take it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BookedParcel {
    /// Name or code of the carrier: 1 to 64 characters.
    pub carrier: String,
    /// Under which the carrier can be asked.
    pub tracking_number: PartnerReference,
    /// Where people can look; `http` or `https`, at most 500 characters of ASCII.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking_url: Option<String>,
}

impl BookedParcel {
    /// Whether people can be sent to `url` to follow a parcel: others show it as a link, so it must
    /// not be able to do anything but open a page.
    pub fn can_follow(url: &str) -> bool {
        let web = url.starts_with("https://") || url.starts_with("http://");
        web && url.len() <= 500 && url.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

/// What a carrier says of a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TrackingStatus {
    /// Its label is printed.
    LabelPrinted,
    /// The carrier has it.
    PickedUp,
    /// It travels.
    InTransit,
    /// It comes today.
    OutForDelivery,
    /// Nobody was there to take it.
    AttemptedDelivery,
    /// It comes later than was said.
    Delayed,
    /// The customer has it.
    Delivered,
    /// It will not be delivered.
    Failed,
    /// The customer can fetch it.
    ReadyForPickup,
}

impl TrackingStatus {
    /// Every status.
    pub const ALL: [Self; 9] = [
        Self::LabelPrinted,
        Self::PickedUp,
        Self::InTransit,
        Self::OutForDelivery,
        Self::AttemptedDelivery,
        Self::Delayed,
        Self::Delivered,
        Self::Failed,
        Self::ReadyForPickup,
    ];

    /// The status as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LabelPrinted => "label-printed",
            Self::PickedUp => "picked-up",
            Self::InTransit => "in-transit",
            Self::OutForDelivery => "out-for-delivery",
            Self::AttemptedDelivery => "attempted-delivery",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::ReadyForPickup => "ready-for-pickup",
        }
    }
}

impl fmt::Display for TrackingStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }
    )+};
}

events! {
    /// A carrier will come for it.
    ShipmentBooked {
        /// Of which order.
        order: OrderId,
        /// Where the carrier comes to.
        location: LocationCode,
        /// What it will take.
        parcels: Vec<BookedParcel>,
    }

    /// The carrier has it.
    ShipmentHandedOver {
        /// Since when; not known of the first days, when it was whenever this was recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<DateTime<Utc>>,
    }

    /// There is news of a parcel.
    ShipmentTracked {
        /// Which parcel, from 0 in the order of the booking.
        parcel: u32,
        /// What.
        status: TrackingStatus,
        /// When, by the carrier's clock.
        at: DateTime<Utc>,
        /// The carrier's code or standard phrase.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    }

    /// The customer has all of it.
    ShipmentDelivered {
        /// When, by the carrier's clock.
        delivered_at: DateTime<Utc>,
    }

    /// The carrier will not come.
    ShipmentCancelled {}
}
