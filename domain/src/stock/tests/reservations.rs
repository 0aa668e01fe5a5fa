//! Setting aside, giving back and shipping.

use super::*;

#[test]
fn what_is_available_can_be_reserved_to_the_last_unit() {
    given::<Stock>([received(5), reserved(1, 3)])
        .when(reserve(2, 2))
        .then([reserved(2, 2), ran_out()]);
}

#[test]
fn more_than_is_available_cannot_be_reserved() {
    given::<Stock>([received(5), reserved(1, 3)])
        .when(reserve(2, 3))
        .then_rejected(insufficient(3, 2));
}

#[test]
fn an_order_that_does_with_less_gets_what_there_is() {
    given::<Stock>([received(5), reserved(1, 3)])
        .when(reserve_some(2, 3))
        .then([reserved(2, 2), ran_out()]);
}

#[test]
fn an_order_that_does_with_less_gets_all_it_wants_if_it_is_there() {
    given::<Stock>([received(5)]).when(reserve_some(2, 3)).then([reserved(2, 3)]);
}

#[test]
fn nothing_at_all_is_too_little_for_anybody() {
    given::<Stock>([received(5), reserved(1, 5)])
        .when(reserve_some(2, 3))
        .then_rejected(insufficient(3, 0));
}

#[test]
fn a_reservation_is_made_once() {
    given::<Stock>([received(5), reserved(1, 3)]).when(reserve(1, 3)).then_nothing();
    given::<Stock>([received(5), reserved(1, 3)])
        .when(reserve(1, 4))
        .then_rejected(StockRejection::ReservationConflict { reserved: 3, requested: 4 });
}

#[test]
fn a_reservation_of_less_than_was_wanted_is_made_once() {
    let past = || [received(2), reserved(1, 2)];
    given::<Stock>(past()).when(reserve_some(1, 3)).then_nothing();
    given::<Stock>(past())
        .when(reserve_some(1, 1))
        .then_rejected(StockRejection::ReservationConflict { reserved: 2, requested: 1 });
}

#[test]
fn a_reservation_is_the_same_when_some_of_it_has_left() {
    let past = [received(5), reserved(1, 3), shipped(1, 1, "main", 1)];
    given::<Stock>(past).when(reserve(1, 3)).then_nothing();
}

#[test]
fn a_sku_that_never_came_in_is_unknown() {
    given::<Stock>([]).when(reserve(1, 1)).then_rejected(StockRejection::UnknownSku);
}

#[test]
fn a_sold_out_sku_is_still_known() {
    given::<Stock>([received(1), reserved(1, 1), shipped(1, 1, "main", 1)])
        .when(reserve(2, 1))
        .then_rejected(insufficient(1, 0));
}

#[test]
fn released_units_are_available_again() {
    given::<Stock>([received(1), reserved(1, 1), released(1, 1)])
        .when(reserve(2, 1))
        .then([reserved(2, 1), ran_out()]);
}

#[test]
fn a_released_reservation_is_not_made_again_by_a_late_repeat() {
    given::<Stock>([received(1), reserved(1, 1), released(1, 1)])
        .when(reserve(1, 1))
        .then_rejected(StockRejection::ReservationReleased);
}

#[test]
fn a_reservation_that_comes_after_a_blind_release_is_refused() {
    given::<Stock>([received(1)]).when(release(9)).then([closed(9)]);
    given::<Stock>([received(1), closed(9)]).when(release(9)).then_nothing();
    given::<Stock>([received(1), closed(9)])
        .when(reserve(9, 1))
        .then_rejected(StockRejection::ReservationReleased);
}

#[test]
fn a_closed_order_has_nothing_to_ship_to_commit_or_to_give_back() {
    let past = || [received(1), closed(9)];
    given::<Stock>(past())
        .when(ship(9, 1, "main", 1))
        .then_rejected(StockRejection::NothingReserved);
    given::<Stock>(past()).when(commit(9)).then_rejected(StockRejection::ReservationReleased);
    given::<Stock>(past()).when(release_units(9, 1, 1)).then_nothing();
}

#[test]
fn closing_an_order_leaves_the_units_to_others() {
    given::<Stock>([received(3), reserved(1, 1), closed(9)])
        .when(reserve(2, 1))
        .then([reserved(2, 1)]);
}

#[test]
fn nothing_is_written_about_a_sku_that_never_came_in() {
    given::<Stock>([]).when(release(9)).then_nothing();
    given::<Stock>([]).when(expire(9, 1)).then_nothing();
    given::<Stock>([]).when(StockCommand::FillBackorders).then_nothing();
}

#[test]
fn only_what_was_reserved_ships_is_committed_or_given_back() {
    for command in [ship(9, 1, "main", 1), commit(9), release_units(9, 1, 1)] {
        given::<Stock>([received(1)]).when(command).then_rejected(StockRejection::NothingReserved);
    }
}

#[test]
fn an_order_may_leave_in_several_shipments() {
    let past = [received(5), reserved(1, 3)];
    given::<Stock>(past.clone()).when(ship(1, 1, "main", 2)).then([shipped(1, 1, "main", 2)]);
    let past = [past.to_vec(), vec![shipped(1, 1, "main", 2)]].concat();
    assert_eq!((state(past.clone()).on_hand(), state(past.clone()).reserved()), (3, 1));
    given::<Stock>(past).when(ship(1, 2, "main", 1)).then([shipped(1, 2, "main", 1)]);
}

#[test]
fn a_shipment_takes_its_units_once_and_never_others() {
    let past = || [received(5), reserved(1, 3), shipped(1, 1, "main", 2)];
    given::<Stock>(past()).when(ship(1, 1, "main", 2)).then_nothing();
    given::<Stock>(past()).when(ship(1, 1, "main", 1)).then_rejected(
        StockRejection::ShipmentConflict {
            recorded: located("main", 2),
            given: located("main", 1),
        },
    );
}

#[test]
fn no_more_than_what_is_set_aside_leaves_a_location() {
    let refused = |code, allocated, requested| StockRejection::NotAllocatedHere {
        location: location(code),
        allocated,
        requested: units(requested),
    };
    let past = || [received(9), reserved(1, 3), shipped(1, 1, "main", 2)];
    given::<Stock>(past()).when(ship(1, 2, "main", 2)).then_rejected(refused("main", 1, 2));
    given::<Stock>(past()).when(ship(1, 2, "east", 1)).then_rejected(refused("east", 0, 1));
}

#[test]
fn what_has_shipped_cannot_ship_again_nor_be_given_back() {
    let past = || [received(9), reserved(1, 3), shipped(1, 1, "main", 3)];
    given::<Stock>(past())
        .when(ship(1, 2, "main", 1))
        .then_rejected(StockRejection::NothingReserved);
    given::<Stock>(past())
        .when(release_units(1, 1, 1))
        .then_rejected(StockRejection::NothingReserved);
    given::<Stock>(past()).when(release(1)).then_nothing();
    given::<Stock>(past()).when(reserve(1, 3)).then_nothing();
}

#[test]
fn a_release_gives_back_only_what_has_not_shipped() {
    given::<Stock>([received(5), reserved(1, 3), shipped(1, 1, "main", 2)])
        .when(release(1))
        .then([released(1, 1)]);
}

#[test]
fn an_order_can_give_some_units_back_once() {
    let given_back = || {
        StockEvent::UnitsReleased(StockUnitsReleased {
            order: order(1),
            movement: movement(7),
            allocations: vec![located("main", 2)],
            backordered: 0,
        })
    };
    let past = || [received(5), reserved(1, 3)];
    given::<Stock>(past()).when(release_units(1, 7, 2)).then([given_back()]);
    let after = || past().into_iter().chain([given_back()]);
    assert_eq!(state(after()).available(), 4);
    given::<Stock>(after()).when(release_units(1, 7, 2)).then_nothing();
    given::<Stock>(after())
        .when(release_units(1, 7, 1))
        .then_rejected(StockRejection::MovementConflict);
    given::<Stock>(after()).when(release_units(1, 8, 2)).then_rejected(
        StockRejection::NotAllocatedHere {
            location: location("main"),
            allocated: 1,
            requested: units(2),
        },
    );
}

#[test]
fn an_order_that_gave_back_its_last_unit_gets_none_any_more() {
    let given_back = StockEvent::UnitsReleased(StockUnitsReleased {
        order: order(1),
        movement: movement(7),
        allocations: vec![located("main", 3)],
        backordered: 0,
    });
    let past = [received(5), reserved(1, 3), given_back];
    given::<Stock>(past.clone())
        .when(reserve(1, 3))
        .then_rejected(StockRejection::ReservationReleased);
    given::<Stock>(past).when(release_units(1, 8, 1)).then_nothing();
}

#[test]
fn a_shipment_of_the_days_when_an_order_had_one_is_not_repeated() {
    let old = StockEvent::Shipped(StockShipped {
        order: order(1),
        shipment: None,
        location: LocationCode::default(),
        quantity: units(3),
    });
    let again = StockCommand::Ship {
        order: order(1),
        shipment: ShipmentId::of(order(1)),
        location: LocationCode::default(),
        quantity: units(3),
    };
    given::<Stock>([received(5), reserved(1, 3), old]).when(again).then_nothing();
}

#[test]
fn what_has_shipped_is_known_however_much_has_happened_since() {
    let log = followed_by_ten_thousand_others([reserved(0, 1), shipped(0, 0, "main", 1)]);
    given::<Stock>(log.clone()).when(ship(0, 0, "main", 1)).then_nothing();
    given::<Stock>(log).when(reserve(0, 1)).then_nothing();
}

#[test]
fn what_is_closed_stays_closed_however_much_has_happened_since() {
    let log = followed_by_ten_thousand_others([closed(0)]);
    given::<Stock>(log.clone()).when(release(0)).then_nothing();
    given::<Stock>(log).when(reserve(0, 1)).then_rejected(StockRejection::ReservationReleased);
}

fn followed_by_ten_thousand_others(first: impl IntoIterator<Item = StockEvent>) -> Vec<StockEvent> {
    let others =
        (1..=10_000).flat_map(|number| [reserved(number, 1), shipped(number, number, "main", 1)]);
    [received(1_000_000)].into_iter().chain(first).chain(others).collect()
}
