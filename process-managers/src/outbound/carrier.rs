//! The carrier: fetches a parcel and brings it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::ids::{CountryCode, OrderId, PartnerReference, derive_uuid};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::http::{Partner, PartnerError};

/// The carrier, called as docs/partners.md says.
#[derive(Debug)]
pub(crate) struct Carrier(Partner);

/// Where a parcel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tracking {
    /// Not with the customer yet.
    OnItsWay,
    /// With the customer.
    Delivered {
        /// Since when, by the carrier's clock.
        at: DateTime<Utc>,
    },
}

#[derive(Debug, Deserialize)]
struct Booking {
    tracking_number: PartnerReference,
}

#[derive(Debug, Deserialize)]
struct Parcel {
    status: String,
    delivered_at: Option<DateTime<Utc>>,
}

impl Carrier {
    /// The carrier at `base_url`, which may take `timeout` for an answer.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub(crate) fn new(base_url: &str, timeout: Duration) -> reqwest::Result<Self> {
        Partner::new("the carrier", base_url, timeout).map(Self)
    }

    /// Key of the one shipment of `order`.
    pub(crate) fn key(order: OrderId) -> Uuid {
        derive_uuid(&["carrier-shipment", &order.to_string()])
    }

    /// Has the carrier come. Safe to repeat.
    pub(crate) async fn book(
        &self,
        order: OrderId,
        country: &CountryCode,
    ) -> Result<PartnerReference, PartnerError> {
        let path = format!("/shipments/{}", Self::key(order));
        let body = json!({ "order": order, "destination_country": country.as_str() });
        let booking: Booking = self.0.call(Method::PUT, &path, Some(body)).await?;
        Ok(booking.tracking_number)
    }

    /// Gives the carrier the goods. Safe to repeat.
    pub(crate) async fn hand_over(&self, order: OrderId) -> Result<(), PartnerError> {
        let path = format!("/shipments/{}/hand-over", Self::key(order));
        self.expect(&path, &["in_transit", "delivered"], "the parcel has not been taken").await
    }

    /// Tells the carrier not to come. Safe to repeat, and safe when nothing was booked: the carrier
    /// then refuses a booking that comes late.
    pub(crate) async fn cancel(&self, order: OrderId) -> Result<(), PartnerError> {
        let path = format!("/shipments/{}/cancel", Self::key(order));
        self.expect(&path, &["cancelled", "closed"], "the booking has not been cancelled").await
    }

    async fn expect(
        &self,
        path: &str,
        wanted: &[&str],
        otherwise: &str,
    ) -> Result<(), PartnerError> {
        let parcel: Parcel = self.0.call(Method::POST, path, None).await?;
        if wanted.contains(&parcel.status.as_str()) {
            return Ok(());
        }
        Err(self.0.unconvincing(otherwise))
    }

    /// Where the parcel is.
    pub(crate) async fn track(&self, order: OrderId) -> Result<Tracking, PartnerError> {
        let path = format!("/shipments/{}", Self::key(order));
        let parcel: Parcel = self.0.call(Method::GET, &path, None).await?;
        Ok(parcel.delivered_at.map_or(Tracking::OnItsWay, |at| Tracking::Delivered { at }))
    }
}
