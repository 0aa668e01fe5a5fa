//! Corrections, counts, returns and policies.

use super::*;

#[test]
fn what_is_on_hand_is_corrected_by_a_difference() {
    given::<Stock>([received(5)]).when(adjust(7, 2)).then([adjusted(7, 2)]);
    given::<Stock>([received(5)]).when(adjust(7, -2)).then([adjusted(7, -2)]);
    assert_eq!(state([received(5), adjusted(7, -2)]).on_hand(), 3);
}

#[test]
fn a_correction_counts_once_and_never_as_another_one() {
    let past = || [received(5), adjusted(7, -2)];
    given::<Stock>(past()).when(adjust(7, -2)).then_nothing();
    given::<Stock>(past()).when(adjust(7, -1)).then_rejected(StockRejection::MovementConflict);
    given::<Stock>(past()).when(count(7, 4, 3)).then_rejected(StockRejection::MovementConflict);
    given::<Stock>(past()).when(restock(7, 1, 2)).then_rejected(StockRejection::MovementConflict);
    let for_another_reason = StockCommand::Adjust {
        movement: movement(7),
        location: location("main"),
        delta: -2,
        reason: AdjustReason::Stolen,
    };
    given::<Stock>(past()).when(for_another_reason).then_rejected(StockRejection::MovementConflict);
}

#[test]
fn a_correction_changes_something() {
    given::<Stock>([received(5)]).when(adjust(7, 0)).then_rejected(StockRejection::NoDifference);
}

#[test]
fn no_more_is_taken_off_than_is_on_hand() {
    let refused =
        |on_hand, taken| StockRejection::BelowZero { location: location("main"), on_hand, taken };
    given::<Stock>([received(5)]).when(adjust(7, -6)).then_rejected(refused(5, 6));
    given::<Stock>([]).when(adjust(7, -1)).then_rejected(refused(0, 1));
    given::<Stock>([received(5)])
        .when(adjust(7, i64::MIN))
        .then_rejected(refused(5, 9_223_372_036_854_775_808));
}

#[test]
fn what_is_set_aside_is_not_corrected_nor_counted_away() {
    let refused =
        || StockRejection::BelowReserved { location: location("main"), on_hand: 2, reserved: 3 };
    let past = || [received(5), reserved(1, 3)];
    given::<Stock>(past()).when(adjust(7, -3)).then_rejected(refused());
    given::<Stock>(past()).when(count(7, 2, 5)).then_rejected(refused());
    given::<Stock>(past()).when(adjust(7, -2)).then([adjusted(7, -2), ran_out()]);
}

#[test]
fn a_count_replaces_the_number_that_it_expected() {
    given::<Stock>([received(5)]).when(count(7, 3, 5)).then([counted(7, 3, 5)]);
    given::<Stock>([received(5)]).when(count(7, 3, 4)).then_rejected(
        StockRejection::StaleQuantity { location: location("main"), expected: 4, actual: 5 },
    );
}

#[test]
fn a_count_that_finds_what_was_expected_is_recorded() {
    given::<Stock>([received(5)]).when(count(7, 5, 5)).then([counted(7, 5, 5)]);
}

#[test]
fn a_count_counts_once_whatever_has_come_in_since() {
    let past = || [received(5), counted(7, 3, 5), received(9)];
    given::<Stock>(past()).when(count(7, 3, 5)).then_nothing();
    given::<Stock>(past()).when(count(7, 4, 5)).then_rejected(StockRejection::MovementConflict);
}

#[test]
fn a_count_and_a_correction_make_a_sku_known() {
    given::<Stock>([]).when(count(7, 3, 0)).then([counted(7, 3, 0)]);
    assert!(state([counted(7, 3, 0)]).is_known());
    assert!(state([adjusted(7, 3)]).is_known());
}

#[test]
fn numbers_that_no_warehouse_has_are_refused() {
    let max = decide::MAX_ON_HAND;
    let refused = |units| StockRejection::TooManyUnits { units, max };
    given::<Stock>([received(1)]).when(count(7, u64::MAX, 1)).then_rejected(refused(u64::MAX));
    given::<Stock>([received(1)])
        .when(adjust(7, i64::MAX))
        .then_rejected(refused(9_223_372_036_854_775_808));
    given::<Stock>([])
        .when(set_policy(8, StockPolicy::Deny, Some(max + 1)))
        .then_rejected(refused(max + 1));
    given::<Stock>([received(1)]).when(count(7, max, 1)).then([counted(7, max, 1)]);
}

#[test]
fn what_comes_back_is_available_once() {
    given::<Stock>([received(1), reserved(1, 1), shipped(1, 1, "main", 1)])
        .when(restock(7, 1, 1))
        .then([restocked(7, 1, 1)]);
    let past = || [received(1), reserved(1, 1), shipped(1, 1, "main", 1), restocked(7, 1, 1)];
    given::<Stock>(past()).when(restock(7, 1, 1)).then_nothing();
    given::<Stock>(past()).when(restock(7, 2, 1)).then_rejected(StockRejection::MovementConflict);
    assert_eq!(state(past()).available(), 1);
}

#[test]
fn a_policy_is_set_once_and_comes_back_only_when_somebody_says_so_again() {
    let backorder = || policy_set(8, StockPolicy::Backorder, Some(3));
    let set = |by| set_policy(by, StockPolicy::Backorder, Some(3));
    given::<Stock>([received(5)]).when(set(8)).then([backorder()]);
    let past = || [received(5), backorder(), policy(StockPolicy::Deny)];
    given::<Stock>(past()).when(set(8)).then_nothing();
    given::<Stock>(past())
        .when(set_policy(8, StockPolicy::Backorder, None))
        .then_rejected(StockRejection::MovementConflict);
    given::<Stock>(past()).when(set(9)).then([policy_set(9, StockPolicy::Backorder, Some(3))]);
}
