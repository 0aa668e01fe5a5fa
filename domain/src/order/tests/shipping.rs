use super::shop::*;
use crate::order::*;
use crate::shipment::TrackingStatus;

fn at_two_places() -> Shop {
    let goods = vec![found("MUG", &[("main", 2), ("north", 1)], 0)];
    Shop::with(manually_dispatched(order_of(vec![goods_of_three()])))
        .then(OrderCommand::RecordAllocation { goods })
        .paid()
        .then(OrderCommand::Confirm { order: id() })
}

fn goods_of_three() -> Line {
    goods("MUG", 3, 500)
}

fn dispatch(name: &str) -> OrderCommand {
    let parcels = vec![parcel("SIM1"), parcel("SIM2")];
    OrderCommand::RecordDispatch { shipment: shipment(name), parcels }
}

fn clear(name: &str) -> OrderCommand {
    OrderCommand::ClearShipment { shipment: shipment(name) }
}

#[test]
fn only_what_is_set_aside_at_a_location_can_leave_from_there() {
    let mut shop = at_two_places();
    assert!(matches!(
        shop.refuses(ship("one", "north", &[units(0, 2)])),
        OrderRejection::NotAllocated { requested: 2, available: 1, .. }
    ));
    shop.does(ship("one", "main", &[units(0, 1)]));
    assert!(matches!(
        shop.refuses(ship("two", "main", &[units(0, 2)])),
        OrderRejection::NotAllocated { available: 1, .. }
    ));
    shop.does(ship("two", "main", &[]));
    assert_eq!(shop.order().shipments[&shipment("two")].lines, [units(0, 1)]);
    assert_eq!(shop.refuses(ship("three", "main", &[])), OrderRejection::NothingToDo);
    assert_eq!(shop.refuses(ship("one", "north", &[])), OrderRejection::KeyReused);
}

#[test]
fn a_shipment_leaves_when_the_warehouse_says_so() {
    let mut shop = at_two_places();
    shop.does(ship("one", "main", &[]));
    let status = ShipmentStatus::Requested;
    assert_eq!(shop.refuses(dispatch("one")), OrderRejection::ShipmentStatus { status });
    shop.does(clear("one"));
    shop.does(dispatch("one"));
    assert_eq!(shop.order().fulfilment_status(), FulfilmentStatus::PartiallyShipped);
    assert_eq!((shop.line(0).shipped, shop.line(0).allocated_units()), (2, 1));
}

#[test]
fn a_shipment_can_be_taken_back_until_it_leaves() {
    let mut shop = at_two_places();
    shop.does(ship("one", "main", &[]));
    shop.does(OrderCommand::CancelShipment { shipment: shipment("one") });
    assert_eq!(shop.line(0).allocated_units(), 3, "its goods are still set aside");
    let status = ShipmentStatus::Cancelled;
    assert_eq!(shop.refuses(clear("one")), OrderRejection::ShipmentStatus { status });
    shop.does(ship("two", "main", &[]));
    shop.does(clear("two"));
    shop.does(dispatch("two"));
    let status = ShipmentStatus::Dispatched;
    let too_late = OrderCommand::CancelShipment { shipment: shipment("two") };
    assert_eq!(shop.refuses(too_late), OrderRejection::ShipmentStatus { status });
}

#[test]
fn a_shipment_has_arrived_when_its_last_parcel_has() {
    let mut shop = at_two_places();
    shop.does(ship("one", "main", &[]));
    assert!(matches!(
        shop.refuses(tracked("one", 0, TrackingStatus::InTransit)),
        OrderRejection::ShipmentStatus { .. }
    ));
    shop.does(clear("one"));
    shop.does(dispatch("one"));
    shop.does(tracked("one", 0, TrackingStatus::InTransit));
    shop.does(tracked("one", 0, TrackingStatus::Delivered));
    assert_eq!(shop.line(0).delivered, 0);
    let events = shop.does(tracked("one", 1, TrackingStatus::Delivered));
    assert_eq!(names(&events), ["ShipmentTracked", "ShipmentDelivered"]);
    assert_eq!(shop.line(0).delivered, 2);
    assert_eq!(
        shop.refuses(tracked("one", 2, TrackingStatus::Delivered)),
        OrderRejection::NoSuchParcel { parcels: 2 }
    );
}

#[test]
fn an_order_is_complete_when_everything_has_arrived_and_is_paid() {
    let mut shop = Shop::confirmed(two_mugs_and_postage());
    shop.everything_leaves();
    shop.everything_arrives();
    assert_eq!(shop.order().status, OrderStatus::Confirmed, "it is not paid");
    assert_eq!(shop.order().fulfilment_status(), FulfilmentStatus::Delivered);
    shop.all_captures_succeed();
    assert_eq!(shop.order().status, OrderStatus::Completed);
}

#[test]
fn nothing_leaves_before_delivery_is_promised() {
    let shop = Shop::with(two_mugs_and_postage()).supplied();
    assert!(matches!(
        shop.refuses(ship("one", "main", &[])),
        OrderRejection::InvalidTransition { .. }
    ));
}

#[test]
fn an_order_of_the_first_days_left_as_a_whole() {
    let placed = Shop::with(two_mugs_and_postage());
    let story = [
        OrderEvent::Confirmed(OrderConfirmed {}),
        OrderEvent::Shipped(OrderShipped {}),
        OrderEvent::Completed(OrderCompleted {}),
    ];
    let mut order = placed.order().clone();
    for event in &story {
        order.apply(event);
    }
    assert_eq!(order.status, OrderStatus::Completed);
    assert_eq!(order.fulfilment_status(), FulfilmentStatus::Delivered);
    assert_eq!((order.lines[0].shipped, order.lines[1].shipped), (2, 0));
    assert_eq!(order.payment_status(), PaymentStatus::Paid, "completing was the word for that too");
    assert_eq!(order.refundable(), 1300);
}
