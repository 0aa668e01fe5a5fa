use super::shop::*;
use crate::order::*;
use crate::quantity::Quantity;

const CONFIRM: fn() -> OrderCommand = || OrderCommand::Confirm { order: id() };

fn three_lines_of_mugs() -> OrderDetails {
    order_of(vec![goods("MUG", 2, 500), goods("CUP", 1, 100), goods("MUG", 3, 450)])
}

#[test]
fn what_was_found_of_a_sku_goes_to_its_lines_in_their_order() {
    let goods =
        vec![found("MUG", &[("main", 1), ("north", 4)], 0), found("CUP", &[("main", 1)], 0)];
    let shop = Shop::with(three_lines_of_mugs()).then(OrderCommand::RecordAllocation { goods });
    assert_eq!(shop.line(0).allocated, [(place("main"), 1), (place("north"), 1)].into());
    assert_eq!(shop.line(2).allocated, [(place("north"), 3)].into());
}

#[test]
fn what_an_order_that_accepts_less_does_not_get_is_cancelled() {
    let goods = vec![found("MUG", &[("main", 3)], 0)];
    let shop = Shop::with(accepting_less(three_lines_of_mugs()))
        .then(OrderCommand::RecordAllocation { goods });
    let cancelled: Vec<_> = shop.order().lines.iter().map(|line| line.cancelled).collect();
    assert_eq!(cancelled, [0, 1, 2]);
    assert_eq!(shop.order().total(), 2 * 500 + 450);
}

#[test]
fn an_order_that_gets_nothing_is_cancelled() {
    let shop = Shop::with(accepting_less(two_mugs_and_postage()))
        .then(OrderCommand::RecordAllocation { goods: vec![] });
    assert_eq!(shop.order().status, OrderStatus::Cancelled(CancelReason::Inventory));
    assert_eq!(shop.order().total(), 0);
}

#[test]
fn what_was_cancelled_while_stock_was_asked_is_given_back() {
    let mut shop = Shop::with(two_mugs_and_postage());
    shop.does(cancel_lines(&[units(0, 1)], "one less"));
    let goods = vec![found("MUG", &[("main", 2)], 0)];
    let events = shop.does(OrderCommand::RecordAllocation { goods });
    let [OrderEvent::Allocated(_), OrderEvent::LinesCancelled(released)] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(released.lines.is_empty());
    assert_eq!(released.released[0].units[0].quantity, Quantity::ONE);
    assert_eq!(shop.line(0).allocated, [(place("main"), 1)].into());
}

#[test]
fn delivery_is_promised_only_for_goods_that_are_set_aside_and_money_that_is_held() {
    let shop = Shop::with(two_mugs_and_postage());
    let too_early = |rejection| matches!(rejection, OrderRejection::InvalidTransition { .. });
    assert!(too_early(shop.refuses(CONFIRM())));
    let shop = shop.supplied();
    assert!(matches!(
        shop.refuses(CONFIRM()),
        OrderRejection::Unfunded { outstanding, held } if outstanding == gbp(1300) && held == gbp(0)
    ));
    let shop = shop.then(authorised(1300)).then(CONFIRM());
    assert_eq!(shop.order().status, OrderStatus::Confirmed);
    assert_eq!(shop.order().payment_status(), PaymentStatus::Authorised);
}

#[test]
fn a_confirmed_order_sends_one_shipment_per_location() {
    let goods = vec![found("MUG", &[("main", 1), ("north", 1)], 0)];
    let shop = Shop::with(two_mugs_and_postage())
        .then(OrderCommand::RecordAllocation { goods })
        .paid()
        .then(CONFIRM());
    let locations: Vec<_> =
        shop.order().shipments.values().map(|book| book.location.to_string()).collect();
    assert_eq!(locations.len(), 2, "{locations:?}");
    assert_eq!(shop.order().fulfilment_status(), FulfilmentStatus::InProgress);
}

#[test]
fn where_the_warehouse_decides_nothing_is_sent_by_itself() {
    let shop = Shop::confirmed(manually_dispatched(two_mugs_and_postage()));
    assert!(shop.order().shipments.is_empty());
    let [waiting] = &shop.order().fulfilment_orders()[..] else { panic!() };
    assert_eq!(waiting.status, FulfilmentOrderStatus::Open);
    assert_eq!(waiting.lines, [FulfilmentLine { line: 0, remaining: 2, shipped: 0 }]);
}

#[test]
fn awaited_goods_leave_when_they_come() {
    let goods = vec![found("MUG", &[], 2)];
    let mut shop = Shop::with(two_mugs_and_postage())
        .then(OrderCommand::RecordAllocation { goods })
        .paid()
        .then(CONFIRM());
    assert_eq!(shop.order().fulfilment_status(), FulfilmentStatus::Backordered);
    let filled = |stock_revision| OrderCommand::RecordBackorderFilled {
        order: id(),
        sku: sku("MUG"),
        location: place("north"),
        quantity: Quantity::ONE,
        stock_revision,
    };
    assert!(shop.does(filled(10)).is_empty(), "the allocation knew of it");
    assert_eq!(names(&shop.does(filled(11))), ["BackorderFilled", "ShipmentRequested"]);
    // News may come in any order.
    shop.does(filled(14));
    assert_eq!((shop.line(0).backordered, shop.line(0).allocated_units()), (0, 2));
    assert_eq!(shop.order().shipments.len(), 2);
    let events = shop.does(filled(13));
    let [OrderEvent::BackorderFilled(_), OrderEvent::LinesCancelled(unwanted)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(unwanted.released[0].units[0].location, place("north"), "it is given back");
    assert!(unwanted.lines.is_empty());
}

#[test]
fn news_of_a_backorder_that_comes_before_the_allocation_has_to_be_told_again() {
    let shop = Shop::with(two_mugs_and_postage());
    let early = OrderCommand::RecordBackorderFilled {
        order: id(),
        sku: sku("MUG"),
        location: place("north"),
        quantity: Quantity::ONE,
        stock_revision: 11,
    };
    assert!(matches!(shop.refuses(early), OrderRejection::InvalidTransition { .. }));
}

#[test]
fn an_order_is_rejected_only_before_delivery_was_promised() {
    let reason = RejectReason::UnknownSku { sku: sku("MUG") };
    let reject = || OrderCommand::Reject { reason: reason.clone() };
    let shop = Shop::with(two_mugs_and_postage()).then(reject());
    assert_eq!(shop.order().status, OrderStatus::Rejected(reason.clone()));
    assert_eq!(shop.order().payment_status(), PaymentStatus::NotRequired);
    assert_eq!(shop.order().fulfilment_status(), FulfilmentStatus::Cancelled);
    let shop = Shop::confirmed(two_mugs_and_postage());
    assert!(matches!(shop.refuses(reject()), OrderRejection::InvalidTransition { .. }));
}

#[test]
fn a_held_order_is_neither_confirmed_nor_sent_nor_charged() {
    let mut shop = Shop::with(two_mugs_and_postage()).supplied().paid().then(hold("fraud"));
    let on_hold = OrderRejection::OnHold { holds: vec![hold_name("fraud")] };
    assert_eq!(shop.refuses(CONFIRM()), on_hold);
    shop.does(release_hold("fraud"));
    shop.does(CONFIRM());
    let [leaving] = shop.waiting()[..] else { panic!() };
    shop.does(hold("address"));
    assert_eq!(shop.order().fulfilment_status(), FulfilmentStatus::OnHold);
    let dispatch = OrderCommand::RecordDispatch { shipment: leaving, parcels: vec![] };
    assert!(matches!(shop.refuses(dispatch), OrderRejection::OnHold { .. }));
    let charge = OrderCommand::RequestCapture {
        capture: capture("now"),
        payment: None,
        amount: None,
        is_final: false,
    };
    assert!(matches!(shop.refuses(charge), OrderRejection::OnHold { .. }));
}

#[test]
fn several_holds_are_released_one_by_one_and_the_last_lets_goods_leave() {
    let goods = vec![found("MUG", &[], 2)];
    let mut shop = Shop::with(two_mugs_and_postage())
        .then(OrderCommand::RecordAllocation { goods })
        .paid()
        .then(CONFIRM())
        .then(hold("fraud"))
        .then(hold("address"));
    shop.does(OrderCommand::RecordBackorderFilled {
        order: id(),
        sku: sku("MUG"),
        location: place("main"),
        quantity: Quantity::new(2).unwrap(),
        stock_revision: 11,
    });
    assert_eq!(names(&shop.does(release_hold("fraud"))), ["HoldReleased"]);
    assert_eq!(names(&shop.does(release_hold("address"))), ["HoldReleased", "ShipmentRequested"]);
}

#[test]
fn an_order_that_has_left_or_is_over_cannot_be_held() {
    let mut shop = Shop::confirmed(two_mugs_and_postage());
    shop.everything_leaves();
    assert_eq!(shop.refuses(hold("late")), OrderRejection::AlreadyLeft);
    let shop = Shop::with(two_mugs_and_postage()).then(cancel());
    assert!(matches!(shop.refuses(hold("late")), OrderRejection::InvalidTransition { .. }));
}

#[test]
fn a_late_repeat_neither_holds_again_nor_releases_what_was_held_again() {
    let mut shop = Shop::confirmed(manually_dispatched(two_mugs_and_postage()));
    shop.does(hold_under("fraud", "first"));
    shop.does(release_under("fraud", "first"));
    assert!(shop.does(hold_under("fraud", "first")).is_empty());
    shop.does(hold_under("fraud", "second"));
    assert!(shop.does(release_under("fraud", "first")).is_empty());
    assert!(!shop.order().holds.is_empty(), "the second hold is still in place");
    assert_eq!(shop.refuses(hold_under("address", "first")), OrderRejection::KeyReused);
}
