//! Somebody is told, once, when few units are left or none.

use super::*;

#[test]
fn a_warning_comes_when_the_threshold_is_reached() {
    given::<Stock>([warned_at(3), received(5)]).when(reserve(1, 1)).then([reserved(1, 1)]);
    given::<Stock>([warned_at(3), received(5)])
        .when(reserve(1, 2))
        .then([reserved(1, 2), ran_low(3, 3)]);
}

#[test]
fn it_comes_once_per_crossing() {
    let low = || vec![warned_at(3), received(5), reserved(1, 2), ran_low(3, 3)];
    given::<Stock>(low()).when(reserve(2, 1)).then([reserved(2, 1)]);
    given::<Stock>(low()).when(receive(9)).then([received(9)]);
    let up_again = low().into_iter().chain([received(9)]);
    given::<Stock>(up_again).when(reserve(2, 10)).then([reserved(2, 10), ran_low(2, 3)]);
}

#[test]
fn the_last_unit_is_worth_a_word_of_its_own() {
    given::<Stock>([warned_at(3), received(5), reserved(1, 3), ran_low(2, 3)])
        .when(reserve(2, 2))
        .then([reserved(2, 2), ran_out()]);
    given::<Stock>([warned_at(3), received(5)]).when(reserve(2, 5)).then([
        reserved(2, 5),
        ran_low(0, 3),
        ran_out(),
    ]);
}

#[test]
fn what_leaves_the_shelf_for_an_order_had_been_taken_off_before() {
    given::<Stock>([warned_at(3), received(5), reserved(1, 2), ran_low(3, 3)])
        .when(ship(1, 1, "main", 2))
        .then([shipped(1, 1, "main", 2)]);
}

#[test]
fn corrections_and_new_thresholds_warn_as_well() {
    given::<Stock>([warned_at(3), received(5)])
        .when(adjust(7, -3))
        .then([adjusted(7, -3), ran_low(2, 3)]);
    given::<Stock>([received(5)])
        .when(set_policy(8, StockPolicy::Deny, Some(8)))
        .then([policy_set(8, StockPolicy::Deny, Some(8)), ran_low(5, 8)]);
}

#[test]
fn nobody_is_warned_of_what_nobody_counts() {
    let untracked = policy_set(8, StockPolicy::Untracked, Some(3));
    given::<Stock>([untracked, received(5)]).when(reserve(1, 5)).then([reserved(1, 5)]);
}
