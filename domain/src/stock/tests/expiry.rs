//! Reservations that are over after some time.

use super::*;

#[test]
fn a_reservation_says_until_when() {
    let mut command = reserve(1, 2);
    if let StockCommand::Reserve { expires_at, .. } = &mut command {
        *expires_at = Some(at(10));
    }
    given::<Stock>([received(5)]).when(command).then([reserved_until(1, 2, 10)]);
}

#[test]
fn a_reservation_whose_time_is_over_is_given_back() {
    let past = || [received(5), reserved_until(1, 2, 10)];
    given::<Stock>(past()).when(expire(1, 9)).then_nothing();
    given::<Stock>(past()).when(expire(1, 10)).then([expired(1, 2)]);
    let after = past().into_iter().chain([expired(1, 2)]);
    given::<Stock>(after).when(expire(1, 11)).then_nothing();
}

#[test]
fn a_committed_reservation_is_not_over_any_more() {
    let past = || [received(5), reserved_until(1, 2, 10)];
    given::<Stock>(past()).when(commit(1)).then([committed(1)]);
    let after = || past().into_iter().chain([committed(1)]);
    given::<Stock>(after()).when(commit(1)).then_nothing();
    given::<Stock>(after()).when(expire(1, 11)).then_nothing();
    given::<Stock>(after()).when(reserve_when(2, 5, 11)).then_rejected(insufficient(5, 3));
}

#[test]
fn a_reservation_without_an_end_is_permanent_from_the_beginning() {
    given::<Stock>([received(5), reserved(1, 2)]).when(commit(1)).then_nothing();
    given::<Stock>([received(5), reserved(1, 2)]).when(expire(1, 11)).then_nothing();
}

#[test]
fn a_reservation_that_is_still_there_can_be_committed_after_its_time() {
    // No clock stands in a commit: who is still there in time is up to those who expire.
    given::<Stock>([received(5), reserved_until(1, 2, 10)]).when(commit(1)).then([committed(1)]);
}

#[test]
fn a_reservation_that_was_given_back_cannot_be_committed_nor_made_again() {
    let past = || [received(5), reserved_until(1, 2, 10), expired(1, 2)];
    given::<Stock>(past()).when(commit(1)).then_rejected(StockRejection::ReservationExpired);
    given::<Stock>(past()).when(reserve(1, 2)).then_rejected(StockRejection::ReservationExpired);
    given::<Stock>(past()).when(release(1)).then_nothing();
    given::<Stock>(past()).when(release_units(1, 7, 1)).then_nothing();
}

#[test]
fn what_has_partly_shipped_is_permanent() {
    let past = [received(5), reserved_until(1, 2, 10), shipped(1, 1, "main", 1)];
    given::<Stock>(past).when(expire(1, 11)).then_nothing();
}

#[test]
fn reservations_that_are_over_make_room_for_others() {
    given::<Stock>([received(5), reserved_until(1, 4, 10)])
        .when(reserve_when(2, 3, 10))
        .then([expired(1, 4), reserved(2, 3)]);
}

#[test]
fn only_as_many_are_given_back_as_are_needed_the_first_to_be_over_first() {
    given::<Stock>([
        received(6),
        reserved_until(1, 2, 30),
        reserved_until(2, 2, 10),
        reserved_until(3, 2, 20),
    ])
    .when(reserve_when(9, 4, 60))
    .then([expired(2, 2), expired(3, 2), reserved(9, 4)]);
}

#[test]
fn nothing_is_given_back_while_there_is_enough() {
    given::<Stock>([received(5), reserved_until(1, 2, 10)])
        .when(reserve_when(2, 2, 60))
        .then([reserved(2, 2)]);
}

#[test]
fn nothing_is_given_back_in_vain_and_the_answer_counts_it_as_available() {
    given::<Stock>([received(5), reserved_until(1, 2, 10), reserved(2, 2)])
        .when(reserve_when(3, 4, 60))
        .then_rejected(insufficient(4, 3));
}

#[test]
fn a_repeated_reservation_is_itself_not_given_back_by_the_repetition() {
    given::<Stock>([received(5), reserved_until(1, 5, 10)])
        .when(reserve_when(1, 5, 60))
        .then_nothing();
}
