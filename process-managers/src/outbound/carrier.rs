//! The carrier: fetches parcels and brings them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::ids::{CountryCode, OrderId, PartnerReference, ShipmentId, derive_uuid};
use domain::personal::PostalAddress;
use domain::shipment::{BookedParcel, TrackingStatus};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::http::{Partner, PartnerError};

/// What a carrier is called that does not say its name.
const NAMELESS: &str = "carrier";
/// Characters of a carrier's name.
const LONGEST_NAME: usize = 64;

/// The carrier, called as docs/partners.md says.
#[derive(Debug)]
pub(crate) struct Carrier(Partner);

/// Where a shipment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tracking {
    /// What happened to each of its parcels, in the order of the booking.
    pub(crate) parcels: Vec<Vec<TrackingEvent>>,
    /// Since when the customer has all of it, by the carrier's clock.
    pub(crate) delivered_at: Option<DateTime<Utc>>,
}

/// News of a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrackingEvent {
    /// What.
    pub(crate) status: TrackingStatus,
    /// When, by the carrier's clock.
    pub(crate) at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    status: String,
    carrier: Option<String>,
    tracking_number: Option<PartnerReference>,
    #[serde(default)]
    parcels: Vec<Parcel>,
    delivered_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
struct Parcel {
    tracking_number: PartnerReference,
    tracking_url: Option<String>,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
struct Event {
    status: String,
    at: DateTime<Utc>,
}

impl Carrier {
    /// The carrier at `base_url`, which may take `timeout` for an answer.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub(crate) fn new(base_url: &str, timeout: Duration) -> reqwest::Result<Self> {
        Ok(Self(Partner::new("the carrier", base_url, timeout)?.who_knows_people()))
    }

    /// Path of `shipment` of `order`. The shipment of the days when an order had one has the key that
    /// it was booked under: another would book twice across an upgrade.
    fn path(shipment: ShipmentId, order: OrderId) -> String {
        let key: Uuid = if shipment == ShipmentId::of(order) {
            derive_uuid(&["carrier-shipment", &order.to_string()])
        } else {
            derive_uuid(&["carrier-shipment", "by-id", &shipment.to_string()])
        };
        format!("/shipments/{key}")
    }

    /// Has the carrier come for `parcels` parcels. Safe to repeat.
    pub(crate) async fn book(
        &self,
        shipment: ShipmentId,
        order: OrderId,
        address: Option<&PostalAddress>,
        country: &CountryCode,
        parcels: u32,
    ) -> Result<Vec<BookedParcel>, PartnerError> {
        let body = booking(order, address, country, parcels);
        let path = Self::path(shipment, order);
        let answer: Answer = self.0.call(Method::PUT, &path, Some(body)).await?;
        let booked = answer.booked();
        if u32::try_from(booked.len()) == Ok(parcels.max(1)) {
            return Ok(booked);
        }
        Err(self.0.unconvincing("other parcels were booked than were asked for"))
    }

    /// Gives the carrier the goods. Safe to repeat.
    pub(crate) async fn hand_over(
        &self,
        shipment: ShipmentId,
        order: OrderId,
    ) -> Result<(), PartnerError> {
        let path = format!("{}/hand-over", Self::path(shipment, order));
        self.expect(&path, &["in_transit", "delivered"], "the parcels have not been taken").await
    }

    /// Tells the carrier not to come. Safe to repeat, and safe when nothing was booked: the carrier
    /// then refuses a booking that comes late.
    pub(crate) async fn cancel(
        &self,
        shipment: ShipmentId,
        order: OrderId,
    ) -> Result<(), PartnerError> {
        let path = format!("{}/cancel", Self::path(shipment, order));
        self.expect(&path, &["cancelled", "closed"], "the booking has not been cancelled").await
    }

    async fn expect(
        &self,
        path: &str,
        wanted: &[&str],
        otherwise: &str,
    ) -> Result<(), PartnerError> {
        let answer: Answer = self.0.call(Method::POST, path, None).await?;
        if wanted.contains(&answer.status.as_str()) {
            return Ok(());
        }
        Err(self.0.unconvincing(otherwise))
    }

    /// Where the shipment is.
    pub(crate) async fn track(
        &self,
        shipment: ShipmentId,
        order: OrderId,
    ) -> Result<Tracking, PartnerError> {
        let path = Self::path(shipment, order);
        let answer: Answer = self.0.call(Method::GET, &path, None).await?;
        let parcels = answer.parcels.iter().map(Parcel::news).collect();
        Ok(Tracking { parcels, delivered_at: answer.delivered_at })
    }
}

/// What is asked of the carrier. One parcel without an address reads as it always has, so that a
/// booking can be repeated across an upgrade.
fn booking(
    order: OrderId,
    address: Option<&PostalAddress>,
    country: &CountryCode,
    parcels: u32,
) -> Value {
    let mut body = json!({ "order": order, "destination_country": country.as_str() });
    if let Some(address) = address {
        body["address"] = json!({
            "name": address.name,
            "company": address.company,
            "lines": address.lines,
            "city": address.city,
            "postal_code": address.postal_code,
            "region": address.region,
            "country": address.country.as_str(),
        });
    }
    if parcels > 1 {
        body["parcels"] = (0..parcels).map(|_| json!({})).collect();
    }
    body
}

impl Answer {
    /// The parcels that were booked: one per tracking number.
    fn booked(self) -> Vec<BookedParcel> {
        let named = |name: &String| (1..=LONGEST_NAME).contains(&name.trim().chars().count());
        let carrier = self.carrier.filter(named).unwrap_or_else(|| NAMELESS.to_owned());
        let of = |tracking_number, tracking_url: Option<String>| BookedParcel {
            carrier: carrier.clone(),
            tracking_number,
            tracking_url: tracking_url.filter(|url| BookedParcel::can_follow(url)),
        };
        if self.parcels.is_empty() {
            return self.tracking_number.map(|number| of(number, None)).into_iter().collect();
        }
        let parcels = self.parcels.into_iter();
        parcels.map(|parcel| of(parcel.tracking_number, parcel.tracking_url)).collect()
    }
}

impl Parcel {
    /// What a carrier says beyond the words of the contract is left out.
    fn news(&self) -> Vec<TrackingEvent> {
        let understood = |event: &Event| {
            let status = status_of(&event.status);
            if status.is_none() {
                tracing::debug!(status = event.status, "The carrier says something unknown");
            }
            status.map(|status| TrackingEvent { status, at: event.at })
        };
        self.events.iter().filter_map(understood).collect()
    }
}

fn status_of(word: &str) -> Option<TrackingStatus> {
    let kebab = word.replace('_', "-");
    TrackingStatus::ALL.into_iter().find(|status| status.as_str() == kebab)
}
