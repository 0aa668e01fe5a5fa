//! Which location supplies an order.

use super::*;

fn three_shelves() -> Vec<StockEvent> {
    vec![received_at("west", 5), received_at("east", 3), received_at("north", 4)]
}

#[test]
fn the_first_location_by_code_that_has_everything_supplies_everything() {
    let expect = |count, code| {
        given::<Stock>(three_shelves()).when(reserve(1, count)).then([reserved_at(
            1,
            &[(code, count)],
            0,
        )]);
    };
    expect(3, "east");
    expect(4, "north");
    expect(5, "west");
}

#[test]
fn the_preferred_location_comes_first() {
    given::<Stock>(three_shelves()).when(reserve_from(1, 2, "west")).then([reserved_at(
        1,
        &[("west", 2)],
        0,
    )]);
}

#[test]
fn another_location_that_has_everything_spares_a_second_parcel() {
    given::<Stock>(three_shelves()).when(reserve_from(1, 4, "east")).then([reserved_at(
        1,
        &[("north", 4)],
        0,
    )]);
}

#[test]
fn an_order_is_split_when_no_location_has_everything() {
    given::<Stock>(three_shelves()).when(reserve(1, 9)).then([reserved_at(
        1,
        &[("east", 3), ("north", 4), ("west", 2)],
        0,
    )]);
    given::<Stock>(three_shelves()).when(reserve_from(1, 9, "west")).then([reserved_at(
        1,
        &[("west", 5), ("east", 3), ("north", 1)],
        0,
    )]);
}

#[test]
fn a_preference_for_a_place_without_goods_changes_nothing() {
    given::<Stock>(three_shelves()).when(reserve_from(1, 3, "nowhere")).then([reserved_at(
        1,
        &[("east", 3)],
        0,
    )]);
}

#[test]
fn available_is_what_all_locations_have_together() {
    given::<Stock>(three_shelves()).when(reserve(1, 13)).then_rejected(insufficient(13, 12));
    assert_eq!(state(three_shelves()).available(), 12);
}

#[test]
fn units_are_given_back_where_the_order_takes_them_to_be_and_of_the_rest_those_still_awaited() {
    let past = || {
        let backordered = reserved_at(1, &[("east", 3), ("west", 2)], 4);
        [
            policy(StockPolicy::Backorder),
            received_at("east", 3),
            received_at("west", 2),
            backordered,
        ]
    };
    let unwanted = |count, set_aside: &[(&str, u32)]| StockCommand::ReleaseUnits {
        order: order(1),
        movement: movement(7),
        quantity: units(count),
        set_aside: several(set_aside),
    };
    let given_back = |parts: &[(&str, u32)], backordered| {
        let (order, movement, allocations) = (order(1), movement(7), several(parts));
        let released = StockUnitsReleased { order, movement, allocations, backordered };
        StockEvent::UnitsReleased(released)
    };
    // What is free again goes to whoever has waited longest, here to the order itself.
    given::<Stock>(past())
        .when(unwanted(2, &[("east", 2)]))
        .then([given_back(&[("east", 2)], 0), filled(1, "east", 2)]);
    given::<Stock>(past())
        .when(unwanted(3, &[("east", 1)]))
        .then([given_back(&[("east", 1)], 2), filled(1, "east", 1)]);
    // Those that came in meanwhile stay until the order has heard of them.
    given::<Stock>(past()).when(unwanted(9, &[("east", 3)])).then([given_back(&[("east", 3)], 4)]);
}

#[test]
fn each_location_ships_its_own_share() {
    let past = three_shelves()
        .into_iter()
        .chain([reserved_at(1, &[("east", 3), ("west", 2)], 0), shipped(1, 1, "west", 2)]);
    let state = state(past);
    let left = &state.allocation_of(order(1)).unwrap().allocations;
    assert_eq!(*left, several(&[("east", 3)]));
    assert_eq!(state.at(&location("west")), Shelf { on_hand: 3, reserved: 0 });
    assert_eq!(state.at(&location("east")), Shelf { on_hand: 3, reserved: 3 });
}

#[test]
fn a_receipt_counts_once_and_never_with_other_goods() {
    given::<Stock>([received(5)]).when(receive(5)).then_nothing();
    let receipt = ReceiptId(uuid::Uuid::from_u128(1_005));
    for other in [located("main", 6), located("east", 5)] {
        let LocatedUnits { location, quantity } = other.clone();
        given::<Stock>([received(5)])
            .when(StockCommand::Receive { receipt, location, quantity })
            .then_rejected(StockRejection::ReceiptConflict {
                recorded: located("main", 5),
                given: other,
            });
    }
}
