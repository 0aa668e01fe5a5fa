//! The carrier.

use std::collections::BTreeSet;
use std::time::Duration;

use partner_simulator::Options;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{Partner, answer, assert_refused, options, shipment};

const OK: StatusCode = StatusCode::OK;
const CREATED: StatusCode = StatusCode::CREATED;

fn never_arriving() -> Options {
    Options { carrier_transit: Duration::from_hours(1), ..options() }
}

#[tokio::test]
async fn the_same_key_and_body_book_once_and_get_the_same_tracking_number() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    let (status, first) = caller.put("/shipments/k", &shipment()).await;
    assert_eq!(status, CREATED);
    let tracking_number = first["tracking_number"].clone();
    assert!(tracking_number.as_str().is_some_and(|number| number.starts_with("SIM")), "{first}");
    let expected = json!({
        "key": "k", "status": "booked", "carrier": "simulator", "tracking_number": tracking_number,
        "order": "order-1", "destination_country": "DE", "parcels": first["parcels"],
    });
    assert_eq!(first, expected);

    assert_eq!(caller.put("/shipments/k", &shipment()).await, (OK, first.clone()));
    assert_eq!(caller.get("/shipments/k").await, (OK, first));
    let mut other = shipment();
    other["parcels"] = json!([{}, {}]);
    assert_refused(&caller.put("/shipments/k", &other).await, 409, "idempotency_conflict");
}

#[tokio::test]
async fn every_parcel_has_a_tracking_number_and_an_address_to_follow_it() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    let mut body = shipment();
    body["parcels"] = json!([{}, {}, {}]);
    let (_, booked) = caller.put("/shipments/k", &body).await;
    let parcels = booked["parcels"].as_array().unwrap();
    let numbers: BTreeSet<_> =
        parcels.iter().map(|parcel| parcel["tracking_number"].as_str().unwrap()).collect();
    assert_eq!((parcels.len(), numbers.len()), (3, 3), "{booked}");
    assert_eq!(parcels[0]["tracking_number"], booked["tracking_number"]);
    for parcel in parcels {
        let url = parcel["tracking_url"].as_str().unwrap();
        assert!(url.ends_with(parcel["tracking_number"].as_str().unwrap()), "{url}");
        assert_eq!(parcel["events"][0]["status"], "label_printed");
    }
    assert_eq!(caller.put("/shipments/k", &body).await, (OK, booked));
}

#[tokio::test]
async fn every_parcel_is_followed_until_it_is_delivered() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    let mut body = shipment();
    body["parcels"] = json!([{}, {}]);
    caller.put("/shipments/k", &body).await;
    caller.post_nothing("/shipments/k/hand-over").await;
    let delivered = caller.until("/shipments/k", "delivered").await;
    let all = ["label_printed", "picked_up", "in_transit", "out_for_delivery", "delivered"];
    for parcel in delivered["parcels"].as_array().unwrap() {
        let events = parcel["events"].as_array().unwrap();
        assert!(events.iter().map(|event| &event["status"]).eq(all), "{parcel}");
        assert!(events.is_sorted_by_key(|event| event["at"].as_str().unwrap()), "{parcel}");
    }
    let last = &delivered["parcels"][1]["events"][4]["at"];
    assert_eq!(*last, delivered["delivered_at"]);
}

#[tokio::test]
async fn the_ledger_does_not_keep_where_people_live() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = Some(folder.path().to_owned());
    let Partner { caller, simulator: _running } =
        Partner::start(Options { data_dir, ..options() }).await;
    let mut body = shipment();
    body["address"] = json!({ "name": "Ada Lovelace", "lines": ["12 St James's Square"] });
    assert_eq!(caller.put("/shipments/k", &body).await.0, CREATED);
    assert_eq!(caller.put("/shipments/k", &body).await.0, OK);
    let ledger = std::fs::read_to_string(folder.path().join("partners.jsonl")).unwrap();
    assert!(ledger.contains("order-1") && !ledger.contains("Ada") && !ledger.contains("Square"));

    body["address"]["name"] = json!("Annabella Byron");
    assert_refused(&caller.put("/shipments/k", &body).await, 409, "idempotency_conflict");
}

#[tokio::test]
async fn a_parcel_is_delivered_once_the_transit_is_over() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    caller.put("/shipments/k", &shipment()).await;
    let (status, body) = caller.post_nothing("/shipments/k/hand-over").await;
    assert_eq!((status, body["handed_over_at"].is_string()), (OK, true), "{body}");

    let delivered = caller.until("/shipments/k", "delivered").await;
    assert!(delivered["delivered_at"].is_string(), "{delivered}");
    assert_eq!(caller.post_nothing("/shipments/k/hand-over").await, (OK, delivered));
}

#[tokio::test]
async fn a_parcel_on_its_way_can_no_longer_be_cancelled() {
    let Partner { caller, simulator: _running } = Partner::start(never_arriving()).await;
    caller.put("/shipments/k", &shipment()).await;
    caller.post_nothing("/shipments/k/hand-over").await;
    let refused = caller.post_nothing("/shipments/k/cancel").await;
    assert_refused(&refused, 409, "already_handed_over");

    let (_, body) = caller.get("/shipments/k").await;
    assert_eq!(body["status"], "in_transit");
    assert_eq!(body.get("delivered_at"), None);
}

#[tokio::test]
async fn a_cancelled_shipment_stays_cancelled() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    caller.put("/shipments/k", &shipment()).await;
    for _ in 0..2 {
        let (status, body) = caller.post_nothing("/shipments/k/cancel").await;
        assert_eq!((status, &body["status"]), (OK, &json!("cancelled")));
    }
    let refused = caller.post_nothing("/shipments/k/hand-over").await;
    assert_refused(&refused, 409, "shipment_cancelled");
}

#[tokio::test]
async fn a_cancellation_before_the_booking_closes_the_key() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    let (status, body) = caller.post_nothing("/shipments/k/cancel").await;
    assert_eq!((status, &body["status"]), (OK, &json!("closed")));
    assert_refused(&caller.put("/shipments/k", &shipment()).await, 409, "key_closed");
}

#[tokio::test]
async fn nothing_is_handed_over_under_a_key_nobody_used() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    assert_refused(&caller.get("/shipments/k").await, 404, "unknown_shipment");
    let refused = caller.post_nothing("/shipments/k/hand-over").await;
    assert_refused(&refused, 404, "unknown_shipment");
}

#[tokio::test]
async fn a_destination_nobody_serves_is_refused() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    let mut body = shipment();
    body["destination_country"] = json!("AQ");
    assert_refused(&caller.put("/shipments/k", &body).await, 422, "destination_not_served");
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_answered_with_code_and_message() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    let request = caller.request(Method::PUT, "/shipments/k").body("{");
    assert_refused(&answer(request).await, 400, "malformed_request");
    let mut body = shipment();
    body["destination_country"] = json!("Germany");
    assert_refused(&caller.put("/shipments/k", &body).await, 400, "invalid_request");
    let mut body = shipment();
    body["parcels"] = json!([]);
    assert_refused(&caller.put("/shipments/k", &body).await, 400, "invalid_request");
}

#[tokio::test]
async fn a_delivery_is_fixed_at_hand_over_and_survives_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = Some(folder.path().to_owned());
    let at_once =
        Options { carrier_transit: Duration::ZERO, data_dir: data_dir.clone(), ..options() };
    let never = Options { data_dir, ..never_arriving() };

    let partner = Partner::start(at_once.clone()).await;
    partner.caller.put("/shipments/arrived", &shipment()).await;
    partner.caller.post_nothing("/shipments/arrived/hand-over").await;
    let partner = partner.restart(never).await;
    partner.caller.put("/shipments/travelling", &shipment()).await;
    partner.caller.post_nothing("/shipments/travelling/hand-over").await;
    let partner = partner.restart(at_once).await;

    let (_, list) = partner.caller.get("/shipments").await;
    let statuses: Vec<_> =
        list["shipments"].as_array().unwrap().iter().map(|shipment| &shipment["status"]).collect();
    assert_eq!(statuses, ["delivered", "in_transit"]);
}
