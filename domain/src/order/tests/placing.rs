use super::shop::*;
use crate::decider::Decider;
use crate::order::*;
use crate::pricing::PriceError;

fn refused(details: OrderDetails) -> OrderRejection {
    Order::decide(&OrderState::NotPlaced, &place_command(details)).unwrap_err()
}

#[test]
fn an_order_freezes_what_each_unit_costs() {
    let mut details = order_of(vec![goods("MUG", 3, 500)]);
    details.discounts = vec![Discount { title: "TEN".to_owned(), amount: gbp(100) }];
    details.total = gbp(1400);
    let shop = Shop::with(details);
    let prices = &shop.order().prices.lines[0];
    assert_eq!((prices.total, prices.unit, prices.dearer_units), (1400, 466, 2));
    assert_eq!(shop.order().total(), 1400);
}

#[test]
fn prices_that_do_not_add_up_are_refused() {
    let mut details = two_mugs_and_postage();
    details.total = gbp(1299);
    assert!(matches!(
        refused(details),
        OrderRejection::Prices(PriceError::TotalMismatch { declared, computed })
            if declared == gbp(1299) && computed == gbp(1300)
    ));
}

#[test]
fn an_order_needs_a_line_and_takes_no_more_than_a_reservation_can_hold() {
    assert_eq!(refused(order_of(vec![])), OrderRejection::NoLines);
    let many = order_of(vec![goods("MUG", 10_000_000, 0), goods("MUG", 1, 0)]);
    assert!(matches!(refused(many), OrderRejection::TooManyUnits { units: 10_000_001, .. }));
    let lines = vec![goods("MUG", 1, 1); 2_001];
    assert_eq!(refused(order_of(lines)), OrderRejection::TooManyLines { lines: 2_001, max: 2_000 });
}

#[test]
fn placing_the_same_order_again_changes_nothing_and_another_one_is_a_conflict() {
    let mut shop = Shop::with(two_mugs_and_postage());
    assert!(shop.does(place_command(two_mugs_and_postage())).is_empty());
    let other = place_command(order_of(vec![goods("MUG", 1, 500)]));
    assert_eq!(shop.refuses(other), OrderRejection::IdempotencyConflict);
}

#[test]
fn the_shops_rules_may_hold_an_order_from_the_start() {
    let mut shop = Shop::with(two_mugs_and_postage());
    let OrderCommand::Place { details, number, placed_at, .. } =
        place_command(two_mugs_and_postage())
    else {
        unreachable!()
    };
    let holds = vec![(hold_name("value"), HoldReason::Value)];
    let held = OrderCommand::Place { details, number, holds, placed_at };
    assert!(shop.does(held.clone()).is_empty(), "holds do not count in a repetition");
    let events = Order::decide(&OrderState::NotPlaced, &held).unwrap();
    assert_eq!(names(&events), ["Placed", "Held"]);
}

#[test]
fn nothing_can_be_done_with_an_order_that_nobody_placed() {
    let decided = Order::decide(&OrderState::NotPlaced, &cancel());
    assert_eq!(decided, Err(OrderRejection::NotFound));
}
