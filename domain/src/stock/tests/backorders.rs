//! Promises of goods that are not here yet, and goods that nobody counts.

use super::*;

fn mugs_to_come() -> Vec<StockEvent> {
    vec![policy(StockPolicy::Backorder)]
}

fn awaited(number: u128, count: u32) -> StockEvent {
    reserved_at(number, &[], count)
}

fn after(more: impl IntoIterator<Item = StockEvent>) -> Vec<StockEvent> {
    mugs_to_come().into_iter().chain(more).collect()
}

#[test]
fn what_is_not_here_is_promised() {
    given::<Stock>(mugs_to_come()).when(reserve(1, 3)).then([awaited(1, 3)]);
    given::<Stock>(after([received(2)]))
        .when(reserve(1, 3))
        .then([reserved_at(1, &[("main", 2)], 1), ran_out()]);
}

#[test]
fn a_sku_with_a_policy_is_known_before_any_goods_came() {
    for chosen in [StockPolicy::Untracked, StockPolicy::Deny, StockPolicy::Backorder] {
        assert!(state([policy(chosen)]).is_known());
    }
    given::<Stock>([policy(StockPolicy::Deny)])
        .when(reserve(1, 1))
        .then_rejected(insufficient(1, 0));
}

#[test]
fn goods_that_come_in_go_to_the_order_that_has_waited_longest() {
    given::<Stock>(after([awaited(2, 3), awaited(1, 3)])).when(receive(4)).then([
        received(4),
        filled(2, "main", 3),
        filled(1, "main", 1),
    ]);
}

#[test]
fn what_is_left_is_available() {
    given::<Stock>(after([awaited(2, 3)]))
        .when(receive(4))
        .then([received(4), filled(2, "main", 3)]);
    assert_eq!(state(after([awaited(2, 3), received(4), filled(2, "main", 3)])).available(), 1);
}

#[test]
fn an_order_that_was_partly_supplied_keeps_its_turn() {
    given::<Stock>(after([awaited(1, 3), awaited(2, 3), received(1), filled(1, "main", 1)]))
        .when(receive_at("east", 4))
        .then([received_at("east", 4), filled(1, "east", 2), filled(2, "east", 2)]);
}

#[test]
fn whoever_comes_later_does_not_overtake() {
    let past = after([received(1), reserved_at(1, &[("main", 1)], 2)]);
    assert_eq!(state(past.clone()).available(), 0);
    given::<Stock>(past).when(reserve(2, 1)).then([awaited(2, 1)]);
}

#[test]
fn everything_that_makes_units_free_supplies_who_awaits_them() {
    let past = || after([received(2), reserved(1, 2), awaited(2, 1)]);
    let filled = || filled(2, "main", 1);
    given::<Stock>(past()).when(release(1)).then([released(1, 2), filled()]);
    given::<Stock>(past()).when(adjust(7, 1)).then([adjusted(7, 1), filled()]);
    given::<Stock>(past()).when(count(7, 3, 2)).then([counted(7, 3, 2), filled()]);
    given::<Stock>(past()).when(restock(7, 9, 1)).then([restocked(7, 9, 1), filled()]);
    let given_back = StockEvent::UnitsReleased(StockUnitsReleased {
        order: order(1),
        movement: movement(7),
        allocations: vec![located("main", 1)],
        backordered: 0,
    });
    given::<Stock>(past()).when(release_units(1, 7, 1)).then([given_back, filled()]);
    let past = after([received(2), reserved_until(1, 2, 10), awaited(2, 1)]);
    given::<Stock>(past).when(expire(1, 10)).then([expired(1, 2), filled()]);
}

#[test]
fn what_is_over_goes_to_those_who_wait_before_it_goes_to_a_new_order() {
    given::<Stock>(after([received(2), reserved_until(1, 2, 10), awaited(2, 1)]))
        .when(reserve_when(3, 1, 10))
        .then([expired(1, 2), filled(2, "main", 1), reserved(3, 1)]);
}

#[test]
fn units_that_are_still_awaited_are_given_back_as_such() {
    let unwanted = StockCommand::ReleaseUnits {
        order: order(1),
        movement: movement(7),
        quantity: units(4),
        set_aside: vec![located("main", 1)],
    };
    given::<Stock>(after([received(2), reserved_at(1, &[("main", 2)], 3)])).when(unwanted).then([
        StockEvent::UnitsReleased(StockUnitsReleased {
            order: order(1),
            movement: movement(7),
            allocations: vec![located("main", 1)],
            backordered: 3,
        }),
    ]);
}

#[test]
fn an_order_that_does_not_wait_any_more_is_passed_over() {
    let gone = StockEvent::Released(StockReleased {
        order: order(1),
        allocations: vec![],
        backordered: 3,
    });
    given::<Stock>(after([awaited(1, 3), awaited(2, 1)])).when(release(1)).then([gone.clone()]);
    given::<Stock>(after([awaited(1, 3), awaited(2, 1), gone]))
        .when(receive(4))
        .then([received(4), filled(2, "main", 1)]);
}

#[test]
fn what_is_awaited_cannot_ship() {
    given::<Stock>(after([received(2), reserved_at(1, &[("main", 2)], 3)]))
        .when(ship(1, 1, "main", 3))
        .then_rejected(StockRejection::NotAllocatedHere {
            location: location("main"),
            allocated: 2,
            requested: units(3),
        });
}

#[test]
fn an_order_that_has_shipped_what_was_there_goes_on_waiting() {
    let past = after([received(2), reserved_at(1, &[("main", 2)], 3), shipped(1, 1, "main", 2)]);
    assert_eq!(state(past.clone()).backordered(), 3);
    given::<Stock>(past).when(receive(5)).then([received(5), filled(1, "main", 3)]);
}

#[test]
fn promises_are_kept_when_new_ones_are_not_made_any_more() {
    let past = after([awaited(1, 3), policy(StockPolicy::Deny)]);
    given::<Stock>(past.clone()).when(reserve(2, 1)).then_rejected(insufficient(1, 0));
    given::<Stock>(past).when(receive(5)).then([received(5), filled(1, "main", 3)]);
}

#[test]
fn one_decision_supplies_so_many_orders_and_the_next_one_goes_on() {
    let most = consequences::EVENTS_AT_ONCE;
    let orders = u32::try_from(most).unwrap() + 100;
    let waiting = (0..orders).map(|number| awaited(number.into(), 1));
    let mut state = state(mugs_to_come().into_iter().chain(waiting));
    let events = Stock::decide(&state, &receive(orders + 1)).unwrap();
    assert_eq!(events.len(), most);
    state = crate::fold::<Stock>(state, &events);
    assert!(state.can_fill());
    assert_eq!(state.available(), 0, "whoever comes now overtakes those who wait");
    let more = Stock::decide(&state, &StockCommand::FillBackorders).unwrap();
    assert_eq!(more.len(), 101);
    state = crate::fold::<Stock>(state, &more);
    assert!(!state.can_fill());
    assert_eq!((state.backordered(), state.available()), (0, 1));
    assert_eq!(Stock::decide(&state, &StockCommand::FillBackorders), Ok(vec![]));
}

#[test]
fn what_nobody_counts_is_never_short() {
    let past = || vec![policy(StockPolicy::Untracked)];
    given::<Stock>(past()).when(reserve(1, 1_000)).then([reserved(1, 1_000)]);
    given::<Stock>(past()).when(reserve_from(1, 5, "east")).then([reserved_at(
        1,
        &[("east", 5)],
        0,
    )]);
}

#[test]
fn what_nobody_counts_ships_and_is_never_less_than_nothing() {
    let past = [policy(StockPolicy::Untracked), received(2), reserved(1, 5)];
    given::<Stock>(past.clone()).when(ship(1, 1, "main", 5)).then([shipped(1, 1, "main", 5)]);
    let state = state(past.into_iter().chain([shipped(1, 1, "main", 5)]));
    assert_eq!((state.on_hand(), state.reserved()), (0, 0));
}

#[test]
fn who_waited_is_supplied_when_nobody_counts_any_more() {
    given::<Stock>(after([awaited(1, 3), awaited(2, 2)]))
        .when(set_policy(8, StockPolicy::Untracked, None))
        .then([
            policy_set(8, StockPolicy::Untracked, None),
            filled(1, "main", 3),
            filled(2, "main", 2),
        ]);
}

#[test]
fn counting_begins_only_where_no_more_was_promised_than_is_there() {
    let past = vec![policy(StockPolicy::Untracked), received(2), reserved(1, 5)];
    given::<Stock>(past.clone()).when(set_policy(8, StockPolicy::Deny, None)).then_rejected(
        StockRejection::MorePromisedThanOnHand {
            location: location("main"),
            on_hand: 2,
            reserved: 5,
        },
    );
    given::<Stock>(past.clone()).when(count(7, 5, 2)).then([counted(7, 5, 2)]);
    let counted = past.into_iter().chain([counted(7, 5, 2)]);
    given::<Stock>(counted)
        .when(set_policy(8, StockPolicy::Deny, None))
        .then([policy_set(8, StockPolicy::Deny, None), ran_out()]);
}
