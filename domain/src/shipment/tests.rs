use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::testing::{given, run_each_twice};

const ORDER: OrderId = OrderId(Uuid::from_u128(1));

fn tracking(number: &str) -> PartnerReference {
    PartnerReference::new(number).unwrap()
}

fn book(number: &str) -> ShipmentCommand {
    ShipmentCommand::RecordBooking { order: ORDER, tracking_number: tracking(number) }
}

fn booked(number: &str) -> ShipmentEvent {
    ShipmentEvent::Booked(ShipmentBooked { order: ORDER, tracking_number: tracking(number) })
}

fn handed_over() -> ShipmentEvent {
    ShipmentEvent::HandedOver(ShipmentHandedOver {})
}

#[test]
fn a_booked_shipment_can_be_cancelled_and_a_handed_over_one_cannot() {
    given::<Shipment>([booked("T1")])
        .when(ShipmentCommand::RecordCancellation)
        .then([ShipmentEvent::Cancelled(ShipmentCancelled {})]);
    given::<Shipment>([booked("T1"), handed_over()])
        .when(ShipmentCommand::RecordCancellation)
        .then_rejected(ShipmentRejection::AlreadyHandedOver);
}

#[test]
fn a_shipment_has_one_booking() {
    given::<Shipment>([booked("T1")])
        .when(book("T2"))
        .then_rejected(ShipmentRejection::OtherBooking);
}

#[test]
fn nothing_is_delivered_before_it_is_handed_over() {
    let delivered_at = DateTime::UNIX_EPOCH;
    given::<Shipment>([booked("T1")])
        .when(ShipmentCommand::RecordDelivery { delivered_at })
        .then_rejected(ShipmentRejection::NotWithCarrier);
}

proptest! {
    #[test]
    fn a_command_twice_changes_nothing_the_second_time(
        commands in prop::collection::vec(prop_oneof![
            Just(book("T1")),
            Just(book("T2")),
            Just(ShipmentCommand::RecordHandOver),
            Just(ShipmentCommand::RecordDelivery { delivered_at: DateTime::UNIX_EPOCH }),
            Just(ShipmentCommand::RecordCancellation),
        ], 0..12),
    ) {
        run_each_twice::<Shipment>(commands);
    }
}
