use chrono::TimeDelta;
use domain::ids::{LocationCode, OrderId, PartnerReference};
use domain::shipment::{ShipmentBooked, ShipmentCancelled, ShipmentDelivered, ShipmentHandedOver};

use super::*;
use crate::projections::tests::{folded, recorded};

const ID: ShipmentId = ShipmentId(Uuid::nil());

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
}

fn booked() -> ShipmentEvent {
    let parcel = |number: &str| BookedParcel {
        carrier: "carrier".to_owned(),
        tracking_number: PartnerReference::new(number).unwrap(),
        tracking_url: None,
    };
    ShipmentEvent::Booked(ShipmentBooked {
        order: OrderId(Uuid::nil()),
        location: LocationCode::new("north").unwrap(),
        parcels: vec![parcel("T1"), parcel("T2")],
    })
}

fn handed_over(at: Option<DateTime<Utc>>) -> ShipmentEvent {
    ShipmentEvent::HandedOver(ShipmentHandedOver { at })
}

fn tracked(parcel: u32, status: TrackingStatus, minute: i64) -> ShipmentEvent {
    let note = Some("on the van".to_owned());
    ShipmentEvent::Tracked(ShipmentTracked { parcel, status, at: at(minute), note })
}

fn row_after(events: &[ShipmentEvent]) -> ShipmentRow {
    let all: Vec<_> = [booked()].into_iter().chain(events.iter().cloned()).collect();
    folded::<Shipments>(&ID, &all).unwrap()
}

#[test]
fn a_shipment_begins_with_its_booking_and_is_booked_once() {
    let row = row_after(&[]);
    assert_eq!((row.status, row.location.as_str()), (ShipmentStatus::Booked, "north"));
    assert_eq!(row.parcels[1].booked.tracking_number.as_str(), "T2");
    let stream = schemas::stream_of::<Shipment>(&ID);
    let early = handed_over(None);
    let refused = Shipments::begin(&ID, &early, &recorded(&stream, 0, &early));
    assert!(matches!(refused, Err(Unfoldable::NotFirst { .. })));
    let mut row = row;
    let refused = Shipments::evolve(&mut row, &booked(), &recorded(&stream, 1, &booked()));
    assert!(matches!(refused, Err(Unfoldable::Repeated { .. })));
}

#[test]
fn news_stands_with_its_parcel_in_the_order_in_which_it_came() {
    use TrackingStatus::{Delayed, Delivered, InTransit};
    let row = row_after(&[
        handed_over(Some(at(1))),
        tracked(1, InTransit, 2),
        tracked(0, Delayed, 9),
        tracked(1, Delivered, 5),
        tracked(2, Delivered, 5),
    ]);
    let news = |parcel: usize| -> Vec<_> {
        row.parcels[parcel].events.iter().map(|news| (news.status, news.at)).collect()
    };
    assert_eq!(news(0), [(Delayed, at(9))]);
    assert_eq!(news(1), [(InTransit, at(2)), (Delivered, at(5))]);
    assert_eq!(row.parcels[0].events[0].note.as_deref(), Some("on the van"));
    assert_eq!((row.status, row.delivered_at), (ShipmentStatus::HandedOver, None));
}

#[test]
fn a_shipment_says_when_it_left_and_arrived() {
    let delivered = ShipmentEvent::Delivered(ShipmentDelivered { delivered_at: at(7) });
    let row = row_after(&[handed_over(Some(at(3))), delivered]);
    assert_eq!((row.handed_over_at, row.delivered_at), (Some(at(3)), Some(at(7))));
    assert_eq!(row.status, ShipmentStatus::Delivered);
    let cancelled = row_after(&[ShipmentEvent::Cancelled(ShipmentCancelled {})]);
    assert_eq!(cancelled.status, ShipmentStatus::Cancelled);
}

#[test]
fn a_hand_over_of_the_first_days_was_when_it_was_recorded() {
    let row = row_after(&[handed_over(None)]);
    // The helper records each event at the second of its revision.
    assert_eq!(row.handed_over_at, Some(DateTime::UNIX_EPOCH + TimeDelta::seconds(1)));
}

#[test]
fn a_parcel_in_a_row_reads_back_as_it_was_written() {
    let row = row_after(&[tracked(0, TrackingStatus::LabelPrinted, 1)]);
    let json = serde_json::to_value(&row.parcels.0).unwrap();
    assert_eq!(json[0]["trackingNumber"], "T1");
    assert_eq!(json[0]["events"][0]["status"], "label-printed");
    assert_eq!(serde_json::from_value::<Vec<ParcelRow>>(json).unwrap(), row.parcels.0);
}
