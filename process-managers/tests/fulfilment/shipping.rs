//! What keeps a shipment from leaving, who brings it, and what is heard of it.

use domain::fulfilment::{Outcome, Phase, Step};
use domain::ids::{CountryCode, LocationCode, MovementId, OrderId, PartnerReference, ShipmentId};
use domain::order::{
    DispatchPolicy, LineUnits, OrderCommand, OrderStatus, Policies, ShipmentStatus, ShippedBy,
};
use domain::personal::PostalAddress;
use domain::quantity::Quantity;
use domain::shipment::{BookedParcel, ShipmentStage, TrackingStatus};
use futures::TryStreamExt as _;
use journal::Position;
use process_managers::Options;
use serde_json::json;

use crate::shop::{Shop, Wanted, start};

/// A confirmed order whose goods the warehouse sends.
async fn confirmed(shop: &Shop, units: i64) -> OrderId {
    let policies = Policies { dispatch: DispatchPolicy::Manual, ..Policies::default() };
    let wanted = Wanted { policies, ..Wanted::paid_with("tok_ok", &[("MUG", units)]) };
    let order = shop.place_wanted(wanted).await;
    shop.becomes(order, |order| order.status == OrderStatus::Confirmed).await;
    order
}

async fn request(shop: &Shop, order: OrderId, units: i64, by: ShippedBy) -> ShipmentId {
    let shipment = ShipmentId(journal::ids::new_id());
    let lines = vec![LineUnits { line: 0, quantity: Quantity::new(units).unwrap() }];
    let location = LocationCode::default();
    shop.tell(order, OrderCommand::RequestShipment { shipment, location, lines, by }).await;
    shipment
}

#[tokio::test]
async fn nothing_leaves_while_the_order_is_held_and_everything_when_it_is_not_any_more() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 1).await;
    let held =
        Wanted { holds: vec!["fraud", "value"], ..Wanted::paid_with("tok_ok", &[("MUG", 1)]) };
    let order = shop.place_wanted(held).await;
    shop.reaches(order, |phase| *phase == Phase::Due(Step::ConfirmOrder)).await;
    shop.release_hold(order, "fraud").await;
    assert_eq!(shop.status(order).await, OrderStatus::Pending);
    shop.release_hold(order, "value").await;
    shop.completes(order).await;
    manager.stop().await;
}

#[tokio::test]
async fn a_hold_stops_also_a_shipment_that_was_about_to_leave() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 1).await;
    let order = confirmed(&shop, 1).await;
    let shipment = request(&shop, order, 1, ShippedBy::Partner { parcels: 1 }).await;
    shop.reaches(shipment, |phase| *phase == Phase::Due(Step::BookShipment)).await;
    let (hold, reason) = (crate::shop::hold_named("check"), domain::order::HoldReason::Address);
    let movement = MovementId(journal::ids::new_id());
    shop.tell(order, OrderCommand::Hold { hold, reason, note: None, movement }).await;
    shop.tell(order, OrderCommand::ClearShipment { shipment }).await;
    shop.becomes(order, |order| order.shipments[&shipment].status == ShipmentStatus::Cleared).await;
    assert!(shop.carried(order).await.is_empty());
    shop.release_hold(order, "check").await;
    shop.completes(order).await;
    manager.stop().await;
}

#[tokio::test]
async fn the_warehouse_says_when_each_part_leaves_and_in_how_many_parcels() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 3).await;
    let order = confirmed(&shop, 3).await;
    let first = request(&shop, order, 2, ShippedBy::Partner { parcels: 2 }).await;
    let second = request(&shop, order, 1, ShippedBy::Partner { parcels: 1 }).await;
    shop.tell(order, OrderCommand::ClearShipment { shipment: first }).await;
    let state = shop.becomes(order, |order| order.lines[0].delivered == 2).await;
    assert_eq!(state.shipments[&first].parcels.len(), 2);
    assert_eq!(state.shipments[&second].status, ShipmentStatus::Requested);
    assert_eq!(shop.shelves("MUG").await, (1, 1));

    shop.tell(order, OrderCommand::ClearShipment { shipment: second }).await;
    shop.completes(order).await;
    assert_eq!(shop.charged(order).await.captured, 300);
    shop.comes_to_rest().await;
    manager.stop().await;
}

#[tokio::test]
async fn news_of_parcels_reaches_the_order_and_the_shipment() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 1).await;
    let order = shop.place(&[("MUG", 1)], "tok_ok").await;
    let state = shop.completes(order).await;
    let (shipment, book) = state.shipments.first_key_value().unwrap();
    let told: Vec<_> = book.parcels[0].news.iter().map(|news| news.0).collect();
    assert_eq!(told.last(), Some(&TrackingStatus::Delivered));
    assert!(told.len() > 1, "{told:?}");
    shop.comes_to_rest().await;
    let known = shop.shipment(*shipment).await;
    assert_eq!(known.stage, ShipmentStage::Delivered);
    assert_eq!(known.parcels[0].news, book.parcels[0].news);
    manager.stop().await;
}

#[tokio::test]
async fn a_shipment_of_another_carrier_is_delivered_when_somebody_says_so() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 1).await;
    let order = confirmed(&shop, 1).await;
    let parcel = BookedParcel {
        carrier: "bicycle".to_owned(),
        tracking_number: PartnerReference::new("B-1").unwrap(),
        tracking_url: None,
    };
    let by = ShippedBy::Manual { parcels: vec![parcel] };
    let shipment = request(&shop, order, 1, by).await;
    shop.tell(order, OrderCommand::ClearShipment { shipment }).await;
    shop.reaches(shipment, |phase| *phase == Phase::Due(Step::AwaitDelivery)).await;
    assert_eq!(shop.shelves("MUG").await, (0, 0));
    let (parcel, at) = (0, shop.journal.clock().now());
    for status in [TrackingStatus::OutForDelivery, TrackingStatus::Delivered] {
        shop.tell(order, OrderCommand::RecordTracking { shipment, parcel, status, at }).await;
    }
    assert_eq!(shop.finished(shipment).await, Outcome::Fulfilled);
    shop.completes(order).await;
    let known = shop.shipment(shipment).await;
    assert_eq!((known.stage, known.parcels[0].news.len()), (ShipmentStage::Delivered, 2));
    assert!(shop.carried(order).await.is_empty());
    shop.comes_to_rest().await;
    manager.stop().await;
}

#[tokio::test]
async fn the_carrier_is_told_where_the_goods_go() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 1).await;
    let address = PostalAddress {
        name: "Ada Lovelace".to_owned(),
        company: None,
        lines: vec!["12 St James's Square".to_owned()],
        city: "London".to_owned(),
        postal_code: None,
        region: None,
        country: CountryCode::new("GB").unwrap(),
    };
    let mut wanted = Wanted::paid_with("tok_ok", &[("MUG", 1)]);
    wanted.shipping_address = Some(shop.seal_for(wanted.id, &address).await);
    let order = shop.place_wanted(wanted).await;
    shop.completes(order).await;

    // The carrier shows addresses to nobody, but knows a booking that is repeated.
    let carried = shop.carried(order).await;
    let key = carried[0]["key"].as_str().unwrap();
    let url = format!("{}/shipments/{key}", shop.partners.base_url());
    let booking = |address: serde_json::Value| json!({ "order": order, "destination_country": "GB", "address": address });
    let repeat = |body| reqwest::Client::new().put(&url).json(&body).send();
    let same = json!({
        "name": "Ada Lovelace", "company": null, "lines": ["12 St James's Square"],
        "city": "London", "postal_code": null, "region": null, "country": "GB",
    });
    assert_eq!(repeat(booking(same.clone())).await.unwrap().status(), 200);
    let mut other = same;
    other["name"] = json!("Charles Babbage");
    assert_eq!(repeat(booking(other)).await.unwrap().status(), 409);
    manager.stop().await;
}

#[tokio::test]
async fn a_shipment_to_somebody_who_was_erased_is_parked() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 1).await;
    let address = PostalAddress {
        name: "Ada Lovelace".to_owned(),
        company: None,
        lines: vec![],
        city: "London".to_owned(),
        postal_code: None,
        region: None,
        country: CountryCode::new("GB").unwrap(),
    };
    let mut held = Wanted::paid_with("tok_ok", &[("MUG", 1)]);
    held.holds = vec!["fraud"];
    held.shipping_address = Some(shop.seal_for(held.id, &address).await);
    let order = shop.place_wanted(held).await;
    shop.erase(order).await;
    shop.release_hold(order, "fraud").await;
    let state = shop.becomes(order, |order| !order.shipments.is_empty()).await;
    let shipment = *state.shipments.keys().next().unwrap();
    shop.reaches(shipment, |phase| *phase == Phase::Parked(Step::BookShipment)).await;
    assert!(shop.cancel(order).await);
    assert_eq!(shop.finished(shipment).await, Outcome::Cancelled);
    shop.comes_to_rest().await;
    assert_eq!(shop.charged(order).await.held(), 0);
    manager.stop().await;
}

/// A carrier that refuses every booking with these words.
async fn a_carrier_that_says(answer: &'static str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                assert_ne!(socket.read_buf(&mut request).await.unwrap(), 0);
            }
            let head = "HTTP/1.1 422 Unprocessable\r\nconnection: close\r\ncontent-length:";
            let answer = format!("{head} {}\r\n\r\n{answer}", answer.len());
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

#[tokio::test]
async fn what_a_carrier_says_about_an_address_is_not_recorded() {
    let said = r#"{ "code": "address_unknown", "message": "no Larkspur Crescent in York" }"#;
    let shop = Shop::open().await;
    let options = Options { carrier: Some(a_carrier_that_says(said).await), ..shop.options() };
    let manager = start(&shop.journal, &options);
    shop.receive("MUG", 1).await;
    let order = shop.place(&[("MUG", 1)], "tok_ok").await;
    let state = shop.becomes(order, |order| !order.shipments.is_empty()).await;
    let shipment = *state.shipments.keys().next().unwrap();
    shop.reaches(shipment, |phase| *phase == Phase::Parked(Step::BookShipment)).await;

    let events: Vec<_> = shop.journal.read_all(Position::START).try_collect().await.unwrap();
    let recorded: String =
        events.iter().map(|event| String::from_utf8_lossy(&event.data).into_owned()).collect();
    assert!(recorded.contains("address_unknown") && !recorded.contains("Larkspur"));
    manager.stop().await;
}
