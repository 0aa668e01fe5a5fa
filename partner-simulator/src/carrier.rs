//! The carrier's HTTP side. Rules are in [`crate::shipment`].

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, body::Bytes};
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::answer::{Problem, check_key, created_or_ok, parse};
use crate::clock::{later, now};
use crate::refusal::Refusal;
use crate::service::Partners;
use crate::shipment::{News, Shipment, ShipmentRequest};

/// What the simulated carrier is called.
const NAME: &str = "simulator";

/// Names the tracking numbers, so that a key always has the same one.
const TRACKING_NUMBERS: Uuid = Uuid::from_u128(0x2f6d_91b3_08c7_4e0f_b5a2_71e4_c93d_0a58);

/// Everything under one shipment's key.
pub(crate) fn shipment_routes() -> Router<Arc<Partners>> {
    Router::new()
        .route("/shipments/{key}", get(show).put(book))
        .route("/shipments/{key}/hand-over", post(hand_over))
        .route("/shipments/{key}/cancel", post(cancel))
}

/// All shipments, for reconciliation.
pub(crate) async fn list(State(partners): State<Arc<Partners>>) -> Json<ShipmentList> {
    let (books, now) = (partners.books(), now());
    let shipments =
        books.shipments().map(|(key, shipment)| ShipmentBody::of(key, shipment, now)).collect();
    Json(ShipmentList { shipments })
}

#[derive(Serialize)]
pub(crate) struct ShipmentList {
    shipments: Vec<ShipmentBody>,
}

/// A shipment as callers see it.
#[derive(Serialize)]
struct ShipmentBody {
    key: String,
    status: &'static str,
    carrier: &'static str,
    /// Of the first parcel.
    #[serde(skip_serializing_if = "Option::is_none")]
    tracking_number: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parcels: Vec<ParcelBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_country: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handed_over_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct ParcelBody {
    tracking_number: String,
    tracking_url: String,
    events: Vec<News>,
}

impl ParcelBody {
    fn of(tracking_number: &str, events: Vec<News>) -> Self {
        Self {
            tracking_number: tracking_number.to_owned(),
            // Nobody is there: the name is one that never leads anywhere (RFC 6761 §6.4).
            tracking_url: format!("https://tracking.invalid/{tracking_number}"),
            events,
        }
    }
}

impl ShipmentBody {
    fn of(key: &str, shipment: &Shipment, now: DateTime<Utc>) -> Self {
        let booking = shipment.booking();
        let numbers = booking.map_or(&[][..], |booking| &booking.tracking_numbers);
        let (handed_over_at, delivered_at) = match shipment {
            Shipment::HandedOver { handed_over_at, delivered_at, .. } => {
                (Some(*handed_over_at), Some(*delivered_at).filter(|at| *at <= now))
            }
            Shipment::Unknown | Shipment::Booked(_) | Shipment::Cancelled(_) | Shipment::Closed => {
                (None, None)
            }
        };
        Self {
            key: key.to_owned(),
            status: shipment.status(now),
            carrier: NAME,
            tracking_number: numbers.first().cloned(),
            parcels: numbers
                .iter()
                .zip(shipment.news(now))
                .map(|(number, events)| ParcelBody::of(number, events))
                .collect(),
            order: booking.map(|booking| booking.request.order.clone()),
            destination_country: booking.map(|b| b.request.destination_country.clone()),
            handed_over_at,
            delivered_at,
        }
    }
}

async fn show(
    State(partners): State<Arc<Partners>>,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let shipment = partners.books().shipment(&key);
    if !shipment.is_known() {
        return Err(Refusal::UnknownShipment.into());
    }
    Ok(Json(ShipmentBody::of(&key, &shipment, now())).into_response())
}

async fn book(
    State(partners): State<Arc<Partners>>,
    Path(key): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    check_key(&key)?;
    let request: ShipmentRequest = parse(&body)?;
    request.check()?;
    let (now, request) = (now(), request.without_people());
    let first = tracking_number_for(&key);
    let more = (1..request.parcels()).map(|parcel| tracking_number_for(&format!("{key}#{parcel}")));
    let more = more.collect();
    let after = partners
        .books()
        .change_shipment(&key, now, |shipment| shipment.book(&request, first, more))?;
    let body = ShipmentBody::of(&key, &after.now, now);
    Ok((created_or_ok(after.changed), Json(body)).into_response())
}

async fn hand_over(
    State(partners): State<Arc<Partners>>,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let now = now();
    let delivered_at = later(now, partners.options.carrier_transit);
    let after = partners
        .books()
        .change_shipment(&key, now, |shipment| shipment.hand_over(now, delivered_at))?;
    Ok(Json(ShipmentBody::of(&key, &after.now, now)).into_response())
}

async fn cancel(
    State(partners): State<Arc<Partners>>,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    check_key(&key)?;
    let now = now();
    let after = partners.books().change_shipment(&key, now, Shipment::cancel)?;
    Ok(Json(ShipmentBody::of(&key, &after.now, now)).into_response())
}

fn tracking_number_for(key: &str) -> String {
    let name = Uuid::new_v5(&TRACKING_NUMBERS, key.as_bytes());
    format!("SIM{:016}", name.as_u64_pair().0 % 10_u64.pow(16))
}
