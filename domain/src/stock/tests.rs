use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::testing::{given, run_each_twice};

fn order(number: u128) -> OrderId {
    OrderId(Uuid::from_u128(number))
}

fn units(count: i64) -> Quantity {
    Quantity::new(count).unwrap()
}

fn received(count: i64) -> StockEvent {
    let receipt = ReceiptId(Uuid::from_u128(1_000));
    StockEvent::Received(StockReceived { receipt, quantity: units(count) })
}

fn reserved(number: u128, count: i64) -> StockEvent {
    StockEvent::Reserved(StockReserved { order: order(number), quantity: units(count) })
}

fn released(number: u128, count: i64) -> StockEvent {
    StockEvent::Released(StockReleased { order: order(number), quantity: units(count) })
}

fn shipped(number: u128, count: i64) -> StockEvent {
    StockEvent::Shipped(StockShipped { order: order(number), quantity: units(count) })
}

fn reserve(number: u128, count: i64) -> StockCommand {
    StockCommand::Reserve { order: order(number), quantity: units(count) }
}

#[test]
fn what_is_available_can_be_reserved_to_the_last_unit() {
    given::<Stock>([received(5), reserved(1, 3)]).when(reserve(2, 2)).then([reserved(2, 2)]);
}

#[test]
fn more_than_is_available_cannot_be_reserved() {
    given::<Stock>([received(5), reserved(1, 3)])
        .when(reserve(2, 3))
        .then_rejected(StockRejection::InsufficientStock { requested: 3, available: 2 });
}

#[test]
fn a_sku_that_never_came_in_is_unknown() {
    given::<Stock>([]).when(reserve(1, 1)).then_rejected(StockRejection::UnknownSku);
}

#[test]
fn a_sold_out_sku_is_still_known() {
    given::<Stock>([received(1), reserved(1, 1), shipped(1, 1)])
        .when(reserve(2, 1))
        .then_rejected(StockRejection::InsufficientStock { requested: 1, available: 0 });
}

#[test]
fn released_units_are_available_again() {
    given::<Stock>([received(1), reserved(1, 1), released(1, 1)])
        .when(reserve(2, 1))
        .then([reserved(2, 1)]);
}

#[test]
fn a_released_reservation_is_not_made_again_by_a_late_repeat() {
    given::<Stock>([received(1), reserved(1, 1), released(1, 1)])
        .when(reserve(1, 1))
        .then_rejected(StockRejection::ReservationReleased);
}

fn closed(number: u128) -> StockEvent {
    StockEvent::Closed(StockClosed { order: order(number) })
}

fn release(number: u128) -> StockCommand {
    StockCommand::Release { order: order(number) }
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
fn a_closed_order_has_nothing_to_ship() {
    given::<Stock>([received(1), closed(9)])
        .when(StockCommand::Ship { order: order(9) })
        .then_rejected(StockRejection::NothingReserved);
}

#[test]
fn closing_an_order_leaves_the_units_to_others() {
    given::<Stock>([received(2), reserved(1, 1), closed(9)])
        .when(reserve(2, 1))
        .then([reserved(2, 1)]);
}

#[test]
fn nothing_is_written_about_a_sku_that_never_came_in() {
    given::<Stock>([]).when(release(9)).then_nothing();
}

#[test]
fn only_what_was_reserved_ships() {
    given::<Stock>([received(1)])
        .when(StockCommand::Ship { order: order(9) })
        .then_rejected(StockRejection::NothingReserved);
}

#[test]
fn a_receipt_counts_once_and_never_with_another_quantity() {
    let receipt = ReceiptId(Uuid::from_u128(1_000));
    let again = |count| StockCommand::Receive { receipt, quantity: units(count) };
    given::<Stock>([received(5)]).when(again(5)).then_nothing();
    given::<Stock>([received(5)])
        .when(again(6))
        .then_rejected(StockRejection::ReceiptConflict { recorded: units(5), given: units(6) });
}

#[test]
fn what_has_shipped_is_known_however_much_has_happened_since() {
    let log = followed_by_ten_thousand_others([reserved(0, 1), shipped(0, 1)]);
    given::<Stock>(log.clone()).when(StockCommand::Ship { order: order(0) }).then_nothing();
    given::<Stock>(log).when(reserve(0, 1)).then_nothing();
}

#[test]
fn what_is_closed_stays_closed_however_much_has_happened_since() {
    let log = followed_by_ten_thousand_others([closed(0)]);
    given::<Stock>(log.clone()).when(release(0)).then_nothing();
    given::<Stock>(log).when(reserve(0, 1)).then_rejected(StockRejection::ReservationReleased);
}

fn followed_by_ten_thousand_others(first: impl IntoIterator<Item = StockEvent>) -> Vec<StockEvent> {
    let others = (1..=10_000).flat_map(|number| [reserved(number, 1), shipped(number, 1)]);
    [received(1_000_000)].into_iter().chain(first).chain(others).collect()
}

fn any_command() -> impl Strategy<Value = StockCommand> {
    prop_oneof![
        (0..6_u128, 1..20_i64).prop_map(|(receipt, count)| StockCommand::Receive {
            receipt: ReceiptId(Uuid::from_u128(receipt)),
            quantity: units(count),
        }),
        (0..8_u128, 1..15_i64).prop_map(|(number, count)| reserve(number, count)),
        (0..8_u128).prop_map(release),
        (0..8_u128).prop_map(|number| StockCommand::Ship { order: order(number) }),
    ]
}

proptest! {
    #[test]
    fn a_command_twice_changes_nothing_the_second_time(
        commands in prop::collection::vec(any_command(), 0..60),
    ) {
        run_each_twice::<Stock>(commands);
    }

    #[test]
    fn stock_is_conserved_and_never_negative(
        commands in prop::collection::vec(any_command(), 0..60),
    ) {
        let (log, state) = run_each_twice::<Stock>(commands);
        let (mut on_hand, mut held) = (0_i64, 0_i64);
        for event in &log {
            match event {
                StockEvent::Received(e) => on_hand += i64::from(e.quantity),
                StockEvent::Reserved(e) => held += i64::from(e.quantity),
                StockEvent::Released(e) => held -= i64::from(e.quantity),
                StockEvent::Closed(_) => {}
                StockEvent::Shipped(e) => {
                    on_hand -= i64::from(e.quantity);
                    held -= i64::from(e.quantity);
                }
            }
            prop_assert!(0 <= held && held <= on_hand, "held {held} of {on_hand}");
        }
        prop_assert_eq!(i64::try_from(state.on_hand()), Ok(on_hand));
        prop_assert_eq!(i64::try_from(state.reserved()), Ok(held));
    }
}
