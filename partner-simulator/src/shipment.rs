//! The rules of one shipment: what may follow what, and when it arrives. Pure.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// A country no carrier goes to, for trying out what happens then: Antarctica.
const NOT_SERVED: &str = "AQ";

/// What is asked of the carrier under a shipment's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShipmentRequest {
    pub(crate) order: String,
    /// ISO 3166-1 alpha-2.
    pub(crate) destination_country: String,
    /// Parcels and whatever else a caller sends: kept and compared, not interpreted.
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// What happened to a shipment, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ShipmentEntry {
    Booked {
        request: ShipmentRequest,
        tracking_number: String,
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
    pub(crate) tracking_number: String,
}

/// An entry to store, or nothing because it is in effect already.
pub(crate) type Decision = Result<Option<ShipmentEntry>, Refusal>;

impl ShipmentRequest {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.order.is_empty() {
            return Err(Refusal::InvalidRequest("order must not be empty"));
        }
        let country = &self.destination_country;
        if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
            let expected = "destination_country must be a code of two capital letters";
            return Err(Refusal::InvalidRequest(expected));
        }
        if country == NOT_SERVED { Err(Refusal::DestinationNotServed) } else { Ok(()) }
    }
}

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

    pub(crate) fn book(&self, request: &ShipmentRequest, tracking_number: String) -> Decision {
        if *self == Self::Closed {
            return Err(Refusal::KeyClosed);
        }
        match self.booking() {
            None => Ok(Some(ShipmentEntry::Booked { request: request.clone(), tracking_number })),
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

    pub(crate) fn apply(&mut self, entry: ShipmentEntry) {
        match entry {
            ShipmentEntry::Booked { request, tracking_number } => {
                *self = Self::Booked(Booking { request, tracking_number });
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

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    const NOON: DateTime<Utc> = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    const TRANSIT: TimeDelta = TimeDelta::seconds(60);

    fn request(country: &str) -> ShipmentRequest {
        let other = Map::from_iter([("parcels".to_owned(), Value::from(2))]);
        ShipmentRequest { order: "order-1".into(), destination_country: country.into(), other }
    }

    fn after<const N: usize>(steps: [fn(&Shipment) -> Decision; N]) -> Shipment {
        let mut shipment = Shipment::default();
        for step in steps {
            if let Some(entry) = step(&shipment).unwrap() {
                shipment.apply(entry);
            }
        }
        shipment
    }

    fn book(shipment: &Shipment) -> Decision {
        shipment.book(&request("DE"), "SIM1".into())
    }

    fn hand_over(shipment: &Shipment) -> Decision {
        shipment.hand_over(NOON, NOON + TRANSIT)
    }

    #[test]
    fn the_same_request_is_booked_once_and_another_is_a_conflict() {
        let booked = after([book]);
        assert_eq!(book(&booked), Ok(None));
        let conflict = Err(Refusal::IdempotencyConflict);
        assert_eq!(booked.book(&request("FR"), "SIM2".into()), conflict);
        let mut more = request("DE");
        more.other.insert("parcels".into(), Value::from(3));
        assert_eq!(booked.book(&more, "SIM2".into()), conflict);
    }

    #[test]
    fn a_parcel_arrives_when_the_transit_is_over_and_not_before() {
        let shipment = after([book, hand_over]);
        assert_eq!(shipment.status(NOON), "in_transit");
        assert_eq!(shipment.status(NOON + TRANSIT - TimeDelta::milliseconds(1)), "in_transit");
        assert_eq!(shipment.status(NOON + TRANSIT), "delivered");
    }

    #[test]
    fn a_second_hand_over_does_not_restart_the_transit() {
        let shipment = after([book, hand_over]);
        assert_eq!(shipment.hand_over(NOON + TRANSIT, NOON + TRANSIT * 2), Ok(None));
    }

    #[test]
    fn only_a_shipment_that_was_not_handed_over_can_be_cancelled() {
        assert_eq!(after([book]).cancel(), Ok(Some(ShipmentEntry::Cancelled)));
        assert_eq!(after([book, Shipment::cancel]).cancel(), Ok(None));
        assert_eq!(after([book, hand_over]).cancel(), Err(Refusal::AlreadyHandedOver));
    }

    #[test]
    fn a_cancelled_shipment_is_not_handed_over() {
        let cancelled = after([book, Shipment::cancel]);
        assert_eq!(hand_over(&cancelled), Err(Refusal::ShipmentCancelled));
    }

    #[test]
    fn a_cancellation_before_the_booking_closes_the_key() {
        let closed = after([Shipment::cancel]);
        assert_eq!(book(&closed), Err(Refusal::KeyClosed));
        assert_eq!(closed.cancel(), Ok(None));
        assert_eq!(hand_over(&closed), Err(Refusal::UnknownShipment));
    }

    #[test]
    fn a_shipment_that_was_never_booked_cannot_be_handed_over() {
        assert_eq!(hand_over(&Shipment::default()), Err(Refusal::UnknownShipment));
    }

    #[test]
    fn a_request_names_an_order_and_a_country_that_is_served() {
        assert_eq!(request("DE").check(), Ok(()));
        assert_eq!(request("AQ").check(), Err(Refusal::DestinationNotServed));
        assert!(matches!(request("de").check(), Err(Refusal::InvalidRequest(_))));
        let nameless = ShipmentRequest { order: String::new(), ..request("DE") };
        assert!(matches!(nameless.check(), Err(Refusal::InvalidRequest(_))));
    }
}
