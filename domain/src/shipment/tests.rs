use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::ids::{LocationCode, OrderId, PartnerReference};
use crate::testing::{given, run_each_twice};

const ORDER: OrderId = OrderId(Uuid::from_u128(1));

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
}

fn parcel(number: &str) -> BookedParcel {
    BookedParcel {
        carrier: "carrier".into(),
        tracking_number: PartnerReference::new(number).unwrap(),
        tracking_url: Some(format!("https://carrier.example/{number}")),
    }
}

fn book(numbers: &[&str]) -> ShipmentCommand {
    let parcels = numbers.iter().map(|number| parcel(number)).collect();
    ShipmentCommand::RecordBooking { order: ORDER, location: LocationCode::default(), parcels }
}

fn booked(numbers: &[&str]) -> ShipmentEvent {
    let parcels = numbers.iter().map(|number| parcel(number)).collect();
    let location = LocationCode::default();
    ShipmentEvent::Booked(ShipmentBooked { order: ORDER, location, parcels })
}

fn hand_over() -> ShipmentCommand {
    ShipmentCommand::RecordHandOver { at: at(1) }
}

fn handed_over() -> ShipmentEvent {
    ShipmentEvent::HandedOver(ShipmentHandedOver { at: Some(at(1)) })
}

fn track(parcel: u32, status: TrackingStatus, minute: i64) -> ShipmentCommand {
    ShipmentCommand::RecordTracking { parcel, status, at: at(minute), note: None }
}

fn tracked(parcel: u32, status: TrackingStatus, minute: i64) -> ShipmentEvent {
    ShipmentEvent::Tracked(ShipmentTracked { parcel, status, at: at(minute), note: None })
}

fn delivered(minute: i64) -> ShipmentEvent {
    ShipmentEvent::Delivered(ShipmentDelivered { delivered_at: at(minute) })
}

fn cancelled() -> ShipmentEvent {
    ShipmentEvent::Cancelled(ShipmentCancelled {})
}

#[test]
fn a_booked_shipment_can_be_cancelled_and_a_handed_over_one_cannot() {
    given::<Shipment>([booked(&["T1"])])
        .when(ShipmentCommand::RecordCancellation)
        .then([cancelled()]);
    given::<Shipment>([booked(&["T1"]), handed_over()])
        .when(ShipmentCommand::RecordCancellation)
        .then_rejected(ShipmentRejection::AlreadyHandedOver);
}

#[test]
fn a_shipment_has_one_booking_with_all_its_parcels() {
    given::<Shipment>([]).when(book(&["T1", "T2"])).then([booked(&["T1", "T2"])]);
    for other in [&["T1"][..], &["T2", "T1"], &["T1", "T2", "T3"]] {
        given::<Shipment>([booked(&["T1", "T2"])])
            .when(book(other))
            .then_rejected(ShipmentRejection::OtherBooking);
    }
}

#[test]
fn a_booking_is_known_by_its_tracking_numbers_however_far_it_has_come() {
    let mut renamed = parcel("T1");
    renamed.carrier = "carrier of the first days".into();
    renamed.tracking_url = None;
    let location = LocationCode::new("elsewhere").unwrap();
    let again = ShipmentCommand::RecordBooking { order: ORDER, location, parcels: vec![renamed] };
    for past in [vec![], vec![handed_over()], vec![handed_over(), delivered(2)]] {
        let past = [booked(&["T1"])].into_iter().chain(past);
        given::<Shipment>(past).when(again.clone()).then_nothing();
    }
}

#[test]
fn a_cancelled_shipment_is_not_booked_again() {
    given::<Shipment>([booked(&["T1"]), cancelled()])
        .when(book(&["T1"]))
        .then_rejected(ShipmentRejection::OtherBooking);
}

#[test]
fn a_shipment_has_parcels_and_not_too_many() {
    given::<Shipment>([])
        .when(book(&[]))
        .then_rejected(ShipmentRejection::ParcelCount { parcels: 0, max: 500 });
    given::<Shipment>([])
        .when(book(&["T"; 501]))
        .then_rejected(ShipmentRejection::ParcelCount { parcels: 501, max: 500 });
}

#[test]
fn a_parcel_has_a_carrier_and_an_address_that_only_opens_a_page() {
    let with = |change: fn(&mut BookedParcel)| {
        let mut parcels = vec![parcel("T1"), parcel("T2")];
        change(&mut parcels[1]);
        ShipmentCommand::RecordBooking { order: ORDER, location: LocationCode::default(), parcels }
    };
    given::<Shipment>([])
        .when(with(|parcel| parcel.carrier = " ".into()))
        .then_rejected(ShipmentRejection::CarrierName { length: 0, max: 64 });
    given::<Shipment>([])
        .when(with(|parcel| parcel.carrier = "c".repeat(65)))
        .then_rejected(ShipmentRejection::CarrierName { length: 65, max: 64 });
    for command in [
        with(|parcel| parcel.tracking_url = Some("javascript:alert(1)".into())),
        with(|parcel| parcel.tracking_url = Some("https://carrier.example/T 1".into())),
        with(|parcel| parcel.tracking_url = Some(format!("https://{}", "c".repeat(493)))),
    ] {
        given::<Shipment>([])
            .when(command)
            .then_rejected(ShipmentRejection::TrackingUrl { parcel: 1 });
    }
}

#[test]
fn nothing_is_delivered_before_it_is_handed_over() {
    for command in [
        ShipmentCommand::RecordDelivery { delivered_at: at(2) },
        track(0, TrackingStatus::Delivered, 2),
    ] {
        given::<Shipment>([booked(&["T1"])])
            .when(command)
            .then_rejected(ShipmentRejection::NotWithCarrier);
    }
}

#[test]
fn a_parcel_can_be_followed_from_its_label_on() {
    given::<Shipment>([booked(&["T1"])])
        .when(track(0, TrackingStatus::LabelPrinted, 0))
        .then([tracked(0, TrackingStatus::LabelPrinted, 0)]);
    given::<Shipment>([])
        .when(track(0, TrackingStatus::LabelPrinted, 0))
        .then_rejected(ShipmentRejection::NotWithCarrier);
}

#[test]
fn the_same_news_counts_once() {
    let past = [booked(&["T1"]), handed_over(), tracked(0, TrackingStatus::InTransit, 2)];
    given::<Shipment>(past.clone()).when(track(0, TrackingStatus::InTransit, 2)).then_nothing();
    given::<Shipment>(past).when(track(0, TrackingStatus::InTransit, 3)).then([tracked(
        0,
        TrackingStatus::InTransit,
        3,
    )]);
}

#[test]
fn there_is_no_news_of_a_parcel_that_is_not_there() {
    given::<Shipment>([booked(&["T1"])])
        .when(track(1, TrackingStatus::InTransit, 2))
        .then_rejected(ShipmentRejection::NoSuchParcel { parcel: 1, parcels: 1 });
}

#[test]
fn a_note_is_a_phrase() {
    let note = Some("n".repeat(201));
    let status = TrackingStatus::Delayed;
    given::<Shipment>([booked(&["T1"])])
        .when(ShipmentCommand::RecordTracking { parcel: 0, status, at: at(2), note })
        .then_rejected(ShipmentRejection::NoteTooLong { length: 201, max: 200 });
}

#[test]
fn a_shipment_is_delivered_when_its_last_parcel_is_and_not_before() {
    let past = [booked(&["T1", "T2"]), handed_over()];
    given::<Shipment>(past.clone()).when(track(1, TrackingStatus::Delivered, 9)).then([tracked(
        1,
        TrackingStatus::Delivered,
        9,
    )]);
    given::<Shipment>(past.into_iter().chain([tracked(1, TrackingStatus::Delivered, 9)]))
        .when(track(0, TrackingStatus::Delivered, 5))
        .then([tracked(0, TrackingStatus::Delivered, 5), delivered(9)]);
}

#[test]
fn a_shipment_is_delivered_once_whatever_is_heard_later() {
    given::<Shipment>([booked(&["T1"]), handed_over(), delivered(5)])
        .when(track(0, TrackingStatus::Delivered, 5))
        .then([tracked(0, TrackingStatus::Delivered, 5)]);
    given::<Shipment>([booked(&["T1"]), handed_over(), delivered(5)])
        .when(ShipmentCommand::RecordDelivery { delivered_at: at(6) })
        .then_nothing();
}

#[test]
fn every_status_is_stored_as_it_is_called() {
    for status in TrackingStatus::ALL {
        assert_eq!(status.to_string(), status.as_str());
    }
    let mut all = TrackingStatus::ALL.to_vec();
    all.sort();
    all.dedup();
    assert_eq!(all, TrackingStatus::ALL);
}

fn any_command() -> impl Strategy<Value = ShipmentCommand> {
    let statuses = prop::sample::select(TrackingStatus::ALL.to_vec());
    prop_oneof![
        3 => Just(book(&["T1", "T2"])),
        1 => Just(book(&["T3"])),
        3 => Just(hand_over()),
        4 => (0..3_u32, statuses, 0..3_i64).prop_map(|(parcel, status, minute)| {
            track(parcel, status, minute)
        }),
        4 => (0..3_u32, 0..3_i64).prop_map(|(parcel, minute)| {
            track(parcel, TrackingStatus::Delivered, minute)
        }),
        1 => (0..3_i64).prop_map(|minute| {
            ShipmentCommand::RecordDelivery { delivered_at: at(minute) }
        }),
        1 => Just(ShipmentCommand::RecordCancellation),
    ]
}

proptest! {
    #[test]
    fn a_command_twice_changes_nothing_the_second_time(
        commands in prop::collection::vec(any_command(), 0..30),
    ) {
        run_each_twice::<Shipment>(commands);
    }

    #[test]
    fn what_was_delivered_was_handed_over_once_and_never_cancelled(
        commands in prop::collection::vec(any_command(), 0..30),
    ) {
        let (log, state) = run_each_twice::<Shipment>(commands);
        let count = |wanted: fn(&ShipmentEvent) -> bool| log.iter().filter(|it| wanted(it)).count();
        let arrived = count(|event| matches!(event, ShipmentEvent::Delivered(_)));
        let left = count(|event| matches!(event, ShipmentEvent::HandedOver(_)));
        let stopped = count(|event| matches!(event, ShipmentEvent::Cancelled(_)));
        prop_assert!(arrived <= left && left + stopped <= 1);
        prop_assert_eq!(arrived == 1, state.stage == ShipmentStage::Delivered);
        let all = !state.parcels.is_empty()
            && state.parcels.iter().all(|parcel| parcel.delivered_at().is_some());
        prop_assert!(!all || arrived == 1, "all parcels arrived, the shipment did not");
    }
}
