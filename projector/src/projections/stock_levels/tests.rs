//! Rows of stock agree with the domain, and movements add up to them.

use chrono::{DateTime, TimeDelta, Utc};
use domain::Decider;
use domain::ids::{LocationCode, MovementId, OrderId, ReceiptId, ShipmentId, Sku};
use domain::quantity::Quantity;
use domain::stock::{
    self, Acceptance, AdjustReason, Stock, StockAdjusted, StockCommand, StockEvent, StockState,
};
use schemas::{StreamName, stream_of};
use uuid::Uuid;

use super::{Draft, StockLevels, StockMovementRow};
use crate::code::{MovementKind, StockLevel, StockPolicy};
use crate::projection::{Projection, Unfoldable};
use crate::projections::tests::recorded;

fn mug() -> Sku {
    Sku::new("MUG").unwrap()
}

fn stream() -> StreamName {
    stream_of::<Stock>(&mug())
}

fn units(count: u64) -> Quantity {
    Quantity::nearest(count)
}

fn main() -> LocationCode {
    LocationCode::default()
}

fn order(number: u64) -> OrderId {
    OrderId(Uuid::from_u128(number.into()))
}

fn minute(number: u64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(number.cast_signed())
}

fn receive(receipt: u64, location: LocationCode, count: u64) -> StockCommand {
    let receipt = ReceiptId(Uuid::from_u128(receipt.into()));
    StockCommand::Receive { receipt, location, quantity: units(count) }
}

fn reserve(number: u64, count: u64) -> StockCommand {
    StockCommand::Reserve {
        order: order(number),
        quantity: units(count),
        acceptance: Acceptance::Partial,
        prefer: None,
        now: minute(0),
        expires_at: None,
    }
}

/// Runs `commands` as the write path does, and folds what comes of them. Rejections are no news.
fn folded(commands: impl IntoIterator<Item = StockCommand>) -> (StockState, Draft) {
    let mut state = Stock::initial();
    let mut draft: Option<Draft> = None;
    let mut revision = 0;
    for command in commands {
        let Ok(events) = Stock::decide(&state, &command) else { continue };
        for event in events {
            state = Stock::evolve(state, &event);
            let recorded = recorded(&stream(), revision, &event);
            revision += 1;
            match &mut draft {
                Some(draft) => StockLevels::evolve(draft, &event, &recorded).unwrap(),
                none => *none = Some(StockLevels::begin(&mug(), &event, &recorded).unwrap()),
            }
        }
        if let Some(draft) = &draft {
            assert_agree(&state, draft);
        }
    }
    (state, draft.unwrap())
}

fn assert_agree(state: &StockState, draft: &Draft) {
    let row = &draft.stock;
    let says = [row.on_hand, row.reserved, row.available, row.backordered];
    let wanted = [state.on_hand(), state.reserved(), state.available(), state.backordered()];
    assert_eq!(says, wanted.map(u64::cast_signed));
    let level = match (state.is_out(), state.is_low()) {
        (true, _) => StockLevel::Out,
        (false, true) => StockLevel::Low,
        (false, false) => StockLevel::Enough,
    };
    assert_eq!((row.level, row.low_stock_at), (level, state.low_stock_at().map(u64::cast_signed)));
    let here = state.locations().map(|(code, shelf)| {
        (code.to_string(), shelf.on_hand.cast_signed(), shelf.reserved.cast_signed())
    });
    let rows = draft.locations.iter();
    let rows = rows.map(|row| (row.location.clone(), row.on_hand, row.reserved));
    assert_eq!(rows.collect::<Vec<_>>(), here.collect::<Vec<_>>());
    let sum = |of: fn(&StockMovementRow) -> i64| draft.movements.iter().map(of).sum::<i64>();
    let moved = [sum(|row| row.on_hand), sum(|row| row.reserved), sum(|row| row.backordered)];
    assert_eq!(moved, [row.on_hand, row.reserved, row.backordered], "movements do not add up");
}

/// Any command, told by a number that is as good as random.
fn any_command(number: u64) -> StockCommand {
    let part = |of: u64, divisor: u64| (number / divisor) % of;
    let location = || {
        let code = match part(3, 7) {
            0 => "east",
            1 => "main",
            _ => "west",
        };
        LocationCode::new(code).unwrap()
    };
    let (order, count) = (order(part(9, 31)), units(1 + part(9, 311)));
    let movement = MovementId(Uuid::from_u128(part(1_000_000, 13).into()));
    match number % 17 {
        0..=2 => receive(number, location(), 1 + part(20, 311)),
        3 => StockCommand::Adjust {
            movement,
            location: location(),
            delta: part(11, 311).cast_signed() - 5,
            reason: AdjustReason::Damaged,
        },
        4 => {
            let (on_hand, expected) = (part(9, 311), part(9, 3_001));
            StockCommand::Count { movement, location: location(), on_hand, expected }
        }
        5 => {
            let policy = match part(3, 311) {
                0 => stock::StockPolicy::Untracked,
                1 => stock::StockPolicy::Deny,
                _ => stock::StockPolicy::Backorder,
            };
            let low_stock_at = (part(2, 3_001) == 0).then_some(part(9, 30_011));
            StockCommand::SetPolicy { movement, policy, low_stock_at }
        }
        6..=9 => StockCommand::Reserve {
            order: OrderId(Uuid::from_u128(part(1_000, 31).into())),
            quantity: count,
            acceptance: Acceptance::Partial,
            prefer: Some(location()),
            now: minute(part(60, 3_001)),
            expires_at: (part(2, 30_011) == 0).then(|| minute(part(60, 300_007))),
        },
        10 => StockCommand::Release { order },
        11 => {
            let set_aside = vec![];
            StockCommand::ReleaseUnits { order, movement, quantity: count, set_aside }
        }
        12..=14 => StockCommand::Ship {
            order: OrderId(Uuid::from_u128(part(1_000, 31).into())),
            shipment: ShipmentId(Uuid::from_u128(number.into())),
            location: location(),
            quantity: units(1),
        },
        15 => StockCommand::Restock { movement, order, location: location(), quantity: count },
        _ => StockCommand::Expire {
            order: OrderId(Uuid::from_u128(part(1_000, 31).into())),
            now: minute(30),
        },
    }
}

#[test]
fn rows_say_what_the_domain_says_whatever_happens() {
    for seed in 0..50_u64 {
        let mut number = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let commands = (0..200).map(|_| {
            number ^= number << 13;
            number ^= number >> 7;
            number ^= number << 17;
            any_command(number >> 8)
        });
        folded(commands.collect::<Vec<_>>());
    }
}

#[test]
fn every_location_of_an_event_is_a_movement_of_its_own() {
    let east = LocationCode::new("east").unwrap();
    let policy = stock::StockPolicy::Backorder;
    let (_, draft) = folded([
        StockCommand::SetPolicy { movement: MovementId(Uuid::nil()), policy, low_stock_at: None },
        receive(1, main(), 2),
        receive(2, east, 1),
        reserve(7, 5),
    ]);
    let last: Vec<_> = draft.movements.iter().filter(|row| row.revision == 3).collect();
    let says = last.iter().map(|row| {
        (row.part, row.location.as_deref(), row.kind, row.on_hand, row.reserved, row.backordered)
    });
    let reserved = MovementKind::Reserved;
    let wanted = [
        (0, Some("east"), reserved, 0, 1, 0),
        (1, Some("main"), reserved, 0, 2, 0),
        (2, None, reserved, 0, 0, 2),
    ];
    assert_eq!(says.collect::<Vec<_>>(), wanted);
    assert!(last.iter().all(|row| row.order_id == Some(order(7).0) && row.actor == "test"));
    assert_eq!(draft.stock.policy, StockPolicy::Backorder);
}

#[test]
fn a_correction_says_why_and_under_which_reference() {
    let movement = MovementId(Uuid::from_u128(9));
    let adjust = StockCommand::Adjust {
        movement,
        location: main(),
        delta: -2,
        reason: AdjustReason::Damaged,
    };
    let count = StockCommand::Count {
        movement: MovementId(Uuid::from_u128(10)),
        location: main(),
        on_hand: 7,
        expected: 3,
    };
    let (_, draft) = folded([receive(1, main(), 5), adjust, count]);
    let [_, adjusted, counted] = &draft.movements[..] else { panic!("{:?}", draft.movements) };
    assert_eq!((adjusted.kind, adjusted.on_hand), (MovementKind::Adjusted, -2));
    assert_eq!(adjusted.reason.as_deref(), Some("damaged"));
    assert_eq!(adjusted.reference, Some(movement.0));
    assert_eq!((counted.kind, counted.on_hand), (MovementKind::Counted, 4));
}

#[test]
fn a_sum_that_does_not_fit_is_refused_and_leaves_the_row_as_it_was() {
    let (_, mut draft) = folded([receive(1, main(), 5)]);
    let before = draft.clone();
    let event = StockEvent::Adjusted(StockAdjusted {
        movement: MovementId(Uuid::nil()),
        location: main(),
        delta: i64::MAX,
        reason: AdjustReason::Other,
    });
    let refused = StockLevels::evolve(&mut draft, &event, &recorded(&stream(), 1, &event));
    assert_eq!(refused, Err(Unfoldable::TooLarge));
    assert_eq!(draft, before);
}
