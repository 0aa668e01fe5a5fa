use super::shop::*;
use crate::order::*;

#[test]
fn an_order_nobody_has_confirmed_is_simply_given_up() {
    let mut shop = Shop::with(two_mugs_and_postage());
    assert_eq!(names(&shop.does(cancel())), ["LinesCancelled", "Cancelled"]);
    assert_eq!(shop.order().total(), 0);
}

#[test]
fn cancelling_lets_held_money_go_and_gives_goods_back() {
    let mut shop = Shop::confirmed(two_mugs_and_postage());
    let events = shop.does(cancel());
    assert_eq!(
        names(&events),
        ["ShipmentCancelled", "LinesCancelled", "Cancelled", "VoidRequested"]
    );
    let OrderEvent::LinesCancelled(cancelled) = &events[1] else { panic!() };
    assert_eq!(cancelled.released[0].units[0].quantity.get(), 2);
    shop.does(OrderCommand::RecordVoid { payment: payment() });
    assert_eq!(shop.order().payment_status(), PaymentStatus::Voided);
}

#[test]
fn cancelling_gives_captured_money_back_to_the_penny() {
    let mut shop = Shop::confirmed(charged_at_once(two_mugs_and_postage()));
    shop.all_captures_succeed();
    let events = shop.does(cancel());
    let Some(OrderEvent::RefundRequested(back)) = events.last() else { panic!("{events:?}") };
    assert_eq!((back.amount, back.cause), (gbp(1300), RefundCause::Cancellation));
    shop.all_refunds_succeed();
    assert_eq!(shop.order().payment_status(), PaymentStatus::Refunded);
}

#[test]
fn money_that_comes_after_the_cancellation_goes_back_at_once() {
    let mut shop = Shop::confirmed(charged_at_once(two_mugs_and_postage()));
    let capture = *shop.order().captures.keys().next().unwrap();
    shop.does(cancel());
    let events = shop.does(OrderCommand::RecordCapture { capture });
    assert_eq!(names(&events), ["PaymentCaptured", "RefundRequested"]);
}

#[test]
fn an_authorisation_that_comes_after_the_cancellation_is_let_go_at_once() {
    let mut shop = Shop::with(two_mugs_and_postage()).then(cancel());
    assert_eq!(names(&shop.does(authorised(1300))), ["PaymentAuthorised", "VoidRequested"]);
}

#[test]
fn of_a_partly_shipped_order_the_rest_is_cancelled() {
    let mut shop = Shop::confirmed(manually_dispatched(two_mugs_and_postage()));
    shop.does(ship("first", "main", &[units(0, 1)]));
    shop.everything_leaves();
    shop.does(cancel());
    assert_eq!(shop.order().status, OrderStatus::Confirmed);
    assert_eq!((shop.line(0).shipped, shop.line(0).cancelled), (1, 1));
    assert_eq!(shop.order().total(), 500 + 300, "postage was used");
    shop.all_captures_succeed();
    shop.everything_arrives();
    assert_eq!(shop.order().status, OrderStatus::Completed);
}

#[test]
fn a_shipped_order_cannot_be_cancelled() {
    let mut shop = Shop::confirmed(two_mugs_and_postage());
    shop.everything_leaves();
    assert!(matches!(shop.refuses(cancel()), OrderRejection::InvalidTransition { .. }));
    assert!(matches!(
        shop.refuses(cancel_lines(&[units(0, 1)], "late")),
        OrderRejection::NotSoMany { line: 0, requested: 1, available: 0 }
    ));
}

#[test]
fn what_is_awaited_is_given_up_before_what_is_set_aside() {
    let goods = vec![found("MUG", &[("main", 1)], 1)];
    let mut shop =
        Shop::with(two_mugs_and_postage()).then(OrderCommand::RecordAllocation { goods });
    let events = shop.does(cancel_lines(&[units(0, 1)], "one less"));
    let [OrderEvent::LinesCancelled(cancelled)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(cancelled.released[0].backordered, 1);
    assert!(cancelled.released[0].units.is_empty());
}

#[test]
fn a_waiting_shipment_with_cancelled_units_is_planned_again() {
    let mut shop = Shop::confirmed(two_mugs_and_postage());
    let events = shop.does(cancel_lines(&[units(0, 1)], "one less"));
    assert_eq!(names(&events), ["ShipmentCancelled", "LinesCancelled", "ShipmentRequested"]);
    let [shipment] = shop.waiting()[..] else { panic!() };
    assert_eq!(shop.order().shipments[&shipment].lines, [units(0, 1)]);
}

#[test]
fn giving_up_the_last_goods_gives_up_the_order_with_its_charges() {
    let mut shop = Shop::confirmed(charged_at_once(two_mugs_and_postage()));
    shop.all_captures_succeed();
    shop.does(cancel_lines(&[units(0, 2)], "all"));
    assert_eq!(shop.order().status, OrderStatus::Cancelled(CancelReason::Customer));
    let back: i64 = shop.order().refunds.values().map(|refund| refund.amount).sum();
    assert_eq!(back, 1300);
}

#[test]
fn a_line_named_twice_counts_together() {
    let shop = Shop::confirmed(two_mugs_and_postage());
    assert!(matches!(
        shop.refuses(cancel_lines(&[units(0, 2), units(0, 1)], "three")),
        OrderRejection::NotSoMany { requested: 3, available: 2, .. }
    ));
    assert_eq!(shop.refuses(cancel_lines(&[], "none")), OrderRejection::NothingToDo);
}

#[test]
fn what_is_packed_stays_packed_when_something_loose_is_given_up() {
    let goods = vec![found("MUG", &[("main", 1), ("north", 1)], 0)];
    let mut shop = Shop::with(manually_dispatched(two_mugs_and_postage()))
        .then(OrderCommand::RecordAllocation { goods })
        .paid()
        .then(OrderCommand::Confirm { order: id() })
        .then(ship("packed", "north", &[]));
    let events = shop.does(cancel_lines(&[units(0, 1)], "one less"));
    let OrderEvent::LinesCancelled(cancelled) = &events[0] else { panic!("{events:?}") };
    assert_eq!(cancelled.released[0].units[0].location, place("main"));
    shop.everything_leaves();
    assert_eq!((shop.line(0).shipped, shop.line(0).allocated_units()), (1, 0));
}
