use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use super::*;

const NOON: DateTime<Utc> = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
const TRANSIT: TimeDelta = TimeDelta::seconds(60);

fn request(country: &str) -> ShipmentRequest {
    let other = Map::from_iter([("parcels".to_owned(), json!([{}, {}]))]);
    ShipmentRequest { order: "order-1".into(), destination_country: country.into(), other }
}

fn after<const N: usize>(steps: [fn(&Shipment) -> Decision; N]) -> Shipment {
    let mut shipment = Shipment::default();
    for step in steps {
        if let Some(entry) = step(&shipment).unwrap() {
            shipment.apply(entry, NOON - TRANSIT);
        }
    }
    shipment
}

fn book(shipment: &Shipment) -> Decision {
    shipment.book(&request("DE"), "SIM1".into(), vec!["SIM2".into()])
}

fn hand_over(shipment: &Shipment) -> Decision {
    shipment.hand_over(NOON, NOON + TRANSIT)
}

fn words(news: &[News]) -> Vec<&'static str> {
    news.iter().map(|news| news.status).collect()
}

#[test]
fn the_same_request_is_booked_once_and_another_is_a_conflict() {
    let booked = after([book]);
    assert_eq!(book(&booked), Ok(None));
    let conflict = Err(Refusal::IdempotencyConflict);
    assert_eq!(booked.book(&request("FR"), "SIM2".into(), vec![]), conflict);
    let mut more = request("DE");
    more.other.insert("parcels".into(), json!([{}, {}, {}]));
    assert_eq!(booked.book(&more, "SIM2".into(), vec![]), conflict);
}

#[test]
fn a_shipment_arrives_when_the_transit_is_over_and_not_before() {
    let shipment = after([book, hand_over]);
    assert_eq!(shipment.status(NOON), "in_transit");
    assert_eq!(shipment.status(NOON + TRANSIT - TimeDelta::milliseconds(1)), "in_transit");
    assert_eq!(shipment.status(NOON + TRANSIT), "delivered");
}

#[test]
fn a_parcel_has_its_label_before_it_travels() {
    let news = after([book]).news(NOON);
    assert_eq!(news.len(), 2);
    assert_eq!(news[0], [News { status: "label_printed", at: NOON - TRANSIT }]);
}

#[test]
fn the_parcels_arrive_one_after_the_other_and_the_last_one_with_the_shipment() {
    let shipment = after([book, hand_over]);
    let half = shipment.news(NOON + TRANSIT / 2);
    let all = ["label_printed", "picked_up", "in_transit", "out_for_delivery", "delivered"];
    assert_eq!(words(&half[0]), all);
    assert_eq!(words(&half[1]), all[..3]);
    let end = shipment.news(NOON + TRANSIT);
    assert_eq!(end[1].last().unwrap().at, NOON + TRANSIT);
    assert_eq!(words(&end[1]), all);
}

#[test]
fn news_never_changes_once_it_was_told() {
    let shipment = after([book, hand_over]);
    let end = shipment.news(NOON + TRANSIT);
    for second in 0..60 {
        let earlier = shipment.news(NOON + TimeDelta::seconds(second));
        for (earlier, end) in earlier.iter().zip(&end) {
            assert!(end.starts_with(earlier));
        }
    }
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
fn a_request_names_an_order_a_country_that_is_served_and_parcels_that_can_be_counted() {
    assert_eq!(request("DE").check(), Ok(()));
    assert_eq!(request("AQ").check(), Err(Refusal::DestinationNotServed));
    assert!(matches!(request("de").check(), Err(Refusal::InvalidRequest(_))));
    let nameless = ShipmentRequest { order: String::new(), ..request("DE") };
    assert!(matches!(nameless.check(), Err(Refusal::InvalidRequest(_))));
    for (parcels, count) in [(json!([{}]), Some(1)), (json!([]), None), (json!(2), None)] {
        let mut request = request("DE");
        request.other.insert("parcels".into(), parcels);
        assert_eq!(request.check().is_ok().then(|| request.parcels()), count);
    }
}

#[test]
fn an_address_is_compared_but_not_kept() {
    let to = |name: &str| {
        let mut request = request("DE");
        request.other.insert("address".into(), json!({ "name": name }));
        request.without_people()
    };
    assert_eq!(to("Ada"), to("Ada"));
    assert_ne!(to("Ada"), to("Bob"));
    assert_ne!(to("Ada"), request("DE").without_people());
    assert!(!serde_json::to_string(&to("Ada")).unwrap().contains("Ada"));
}

#[test]
fn entries_of_the_first_days_still_read() {
    let old = r#"{"booked":{"request":{"order":"order-1","destination_country":"DE"},
        "tracking_number":"SIM1"}}"#;
    let mut shipment = Shipment::default();
    shipment.apply(serde_json::from_str(old).unwrap(), NOON);
    let booking = shipment.booking().unwrap();
    assert_eq!(
        (booking.tracking_numbers.as_slice(), booking.booked_at),
        (&["SIM1".into()][..], NOON)
    );
    let other = Map::<String, Value>::new();
    let request =
        ShipmentRequest { order: "order-1".into(), destination_country: "DE".into(), other };
    assert_eq!(shipment.book(&request, "SIM1".into(), vec![]), Ok(None));
}
