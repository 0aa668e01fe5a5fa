//! Whatever happens, in whatever order: what must always hold.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::testing::run_each_twice;

const CODES: [&str; 3] = ["east", "main", "west"];

fn any_location() -> impl Strategy<Value = LocationCode> {
    prop::sample::select(&CODES[..]).prop_map(location)
}

fn any_units() -> impl Strategy<Value = Quantity> {
    (1..15_u32).prop_map(units)
}

fn any_order() -> impl Strategy<Value = OrderId> {
    (0..8_u128).prop_map(order)
}

fn any_reservation() -> impl Strategy<Value = StockCommand> {
    let acceptance = prop::sample::select(vec![Acceptance::AllOrNothing, Acceptance::Partial]);
    let prefer = prop::option::of(any_location());
    let end = prop::option::of(0..60_i64);
    (any_order(), any_units(), acceptance, prefer, 0..60_i64, end).prop_map(
        |(order, quantity, acceptance, prefer, now, end)| StockCommand::Reserve {
            order,
            quantity,
            acceptance,
            prefer,
            now: at(now),
            expires_at: end.map(at),
        },
    )
}

fn any_movement() -> impl Strategy<Value = StockCommand> {
    let by = || (0..12_u128).prop_map(movement);
    prop_oneof![
        (0..8_u128, any_location(), any_units()).prop_map(|(receipt, location, quantity)| {
            let receipt = ReceiptId(Uuid::from_u128(receipt));
            StockCommand::Receive { receipt, location, quantity }
        }),
        (by(), any_location(), -8..8_i64).prop_map(|(movement, location, delta)| {
            StockCommand::Adjust { movement, location, delta, reason: AdjustReason::Other }
        }),
        (by(), any_location(), 0..9_u64, 0..9_u64).prop_map(
            |(movement, location, on_hand, expected)| StockCommand::Count {
                movement,
                location,
                on_hand,
                expected,
            }
        ),
        (by(), any_order(), any_location(), any_units()).prop_map(
            |(movement, order, location, quantity)| StockCommand::Restock {
                movement,
                order,
                location,
                quantity,
            }
        ),
        (by(), any_order(), any_units()).prop_map(|(movement, order, quantity)| {
            StockCommand::ReleaseUnits { order, movement, quantity, set_aside: vec![] }
        }),
        ((0..12_u128).prop_map(shipment), any_order(), any_location(), (1..5_u32).prop_map(units))
            .prop_map(|(shipment, order, location, quantity)| StockCommand::Ship {
                order,
                shipment,
                location,
                quantity,
            }),
    ]
}

fn any_end() -> impl Strategy<Value = StockCommand> {
    prop_oneof![
        any_order().prop_map(|order| StockCommand::Commit { order }),
        any_order().prop_map(|order| StockCommand::Release { order }),
        (any_order(), 0..60_i64)
            .prop_map(|(order, now)| StockCommand::Expire { order, now: at(now) }),
        Just(StockCommand::FillBackorders),
    ]
}

fn any_policy(of: &'static [StockPolicy]) -> impl Strategy<Value = StockCommand> {
    let threshold = prop::option::of(0..6_u64);
    let by = (0..12_u128).prop_map(movement);
    (by, prop::sample::select(of), threshold).prop_map(|(movement, policy, low_stock_at)| {
        StockCommand::SetPolicy { movement, policy, low_stock_at }
    })
}

fn any_commands(policies: &'static [StockPolicy]) -> impl Strategy<Value = Vec<StockCommand>> {
    let any = prop_oneof![
        6 => any_reservation(),
        10 => any_movement(),
        4 => any_end(),
        1 => any_policy(policies),
    ];
    prop::collection::vec(any, 0..80)
}

const COUNTED: &[StockPolicy] = &[StockPolicy::Deny, StockPolicy::Backorder];
const ANY: &[StockPolicy] = &[StockPolicy::Deny, StockPolicy::Backorder, StockPolicy::Untracked];

/// What the books say when each event is simply added up.
#[derive(Default)]
struct Books {
    on_hand: BTreeMap<LocationCode, i64>,
    held: HashMap<OrderId, BTreeMap<LocationCode, i64>>,
    awaited: Vec<(OrderId, u32)>,
    shipments: HashSet<ShipmentId>,
}

impl Books {
    fn hold(&mut self, order: OrderId, units: &[LocatedUnits], sign: i64) {
        for units in units {
            let held = self.held.entry(order).or_default();
            *held.entry(units.location.clone()).or_default() += sign * i64::from(units.quantity);
        }
    }

    fn stop_waiting(&mut self, order: OrderId, count: u32) {
        if count == 0 {
            return;
        }
        let at = self.awaited.iter().position(|(waiting, _)| *waiting == order).unwrap();
        self.awaited[at].1 -= count;
        self.awaited.retain(|(_, count)| *count > 0);
    }

    fn shelf(&mut self, location: &LocationCode) -> &mut i64 {
        self.on_hand.entry(location.clone()).or_default()
    }

    fn add(&mut self, event: &StockEvent) {
        match event {
            StockEvent::Received(e) => *self.shelf(&e.location) += i64::from(e.quantity),
            StockEvent::Adjusted(e) => *self.shelf(&e.location) += e.delta,
            StockEvent::Counted(e) => {
                *self.shelf(&e.location) = i64::try_from(e.on_hand).unwrap();
            }
            StockEvent::Restocked(e) => *self.shelf(&e.location) += i64::from(e.quantity),
            StockEvent::Reserved(e) => {
                self.hold(e.order, &e.allocations, 1);
                if e.backordered > 0 {
                    self.awaited.push((e.order, e.backordered));
                }
            }
            StockEvent::Released(e) => {
                self.hold(e.order, &e.allocations, -1);
                self.stop_waiting(e.order, e.backordered);
            }
            StockEvent::UnitsReleased(e) => {
                self.hold(e.order, &e.allocations, -1);
                self.stop_waiting(e.order, e.backordered);
            }
            StockEvent::ReservationExpired(e) => {
                self.hold(e.order, &e.allocations, -1);
                self.stop_waiting(e.order, e.backordered);
            }
            StockEvent::Shipped(e) => {
                *self.shelf(&e.location) -= i64::from(e.quantity);
                let units = LocatedUnits { location: e.location.clone(), quantity: e.quantity };
                self.hold(e.order, &[units], -1);
                assert!(self.shipments.insert(e.shipment.unwrap()), "shipped twice");
            }
            StockEvent::BackorderFilled(e) => {
                assert_eq!(self.awaited[0].0, e.order, "somebody was overtaken");
                let units = LocatedUnits { location: e.location.clone(), quantity: e.quantity };
                self.hold(e.order, &[units], 1);
                self.stop_waiting(e.order, e.quantity.get());
            }
            StockEvent::PolicyChanged(_)
            | StockEvent::Committed(_)
            | StockEvent::Closed(_)
            | StockEvent::RanLow(_)
            | StockEvent::RanOut(_) => {}
        }
        let held = self.held.values().flatten();
        for (location, held) in held {
            assert!(*held >= 0, "{held} held at {location}");
        }
    }

    fn held_at(&self, location: &LocationCode) -> i64 {
        self.held.values().filter_map(|held| held.get(location)).sum()
    }

    fn assert_agree(&self, after: &StockState) {
        for code in CODES {
            let (location, signed) = (location(code), |units| i64::try_from(units).unwrap());
            let here = after.at(&location);
            assert_eq!(signed(here.reserved), self.held_at(&location), "held at {code}");
            assert_eq!(signed(here.on_hand), self.on_hand.get(&location).copied().unwrap_or(0));
            assert!(here.reserved <= here.on_hand, "{here:?} at {code}");
        }
        let awaited: u64 = self.awaited.iter().map(|(_, count)| u64::from(*count)).sum();
        assert_eq!(after.backordered(), awaited);
        assert!(!after.can_fill(), "somebody waits for what is there");
        let on_hand: u64 = after.locations().map(|(_, shelf)| shelf.on_hand).sum();
        let reserved: u64 = after.locations().map(|(_, shelf)| shelf.reserved).sum();
        assert_eq!((after.on_hand(), after.reserved()), (on_hand, reserved));
        assert_eq!(after.available(), on_hand - reserved);
        for (&order, held) in &self.held {
            let held: i64 = held.values().sum();
            let allocations = after.allocation_of(order).map_or(&[][..], |r| &r.allocations[..]);
            let allocated: i64 = allocations.iter().map(|units| i64::from(units.quantity)).sum();
            assert_eq!(held, allocated, "of {order}");
        }
    }
}

proptest! {
    #[test]
    fn a_command_twice_changes_nothing_the_second_time(commands in any_commands(ANY)) {
        run_each_twice::<Stock>(commands);
    }

    #[test]
    fn a_state_that_was_written_down_is_the_same_when_it_is_read(commands in any_commands(ANY)) {
        let (_, state) = run_each_twice::<Stock>(commands);
        let written = serde_json::to_vec(&state).unwrap();
        prop_assert_eq!(serde_json::from_slice::<StockState>(&written).unwrap(), state);
    }

    #[test]
    fn nothing_is_sold_twice_lost_or_overtaken(commands in any_commands(COUNTED)) {
        let (mut books, mut state) = (Books::default(), Stock::initial());
        for command in commands {
            let Ok(events) = Stock::decide(&state, &command) else { continue };
            for event in &events {
                books.add(event);
            }
            state = crate::fold::<Stock>(state, &events);
            books.assert_agree(&state);
        }
    }

    #[test]
    fn stock_that_was_not_counted_for_a_while_can_be_counted_again(
        commands in any_commands(ANY),
    ) {
        let (_, state) = run_each_twice::<Stock>(commands);
        if state.policy() != StockPolicy::Untracked {
            for (location, shelf) in state.locations() {
                prop_assert!(shelf.reserved <= shelf.on_hand, "{:?} at {}", shelf, location);
            }
        }
        for number in 0..8 {
            if let Some(reservation) = state.allocation_of(order(number)) {
                prop_assert!(reservation.units() > 0);
            }
        }
    }

    #[test]
    fn warnings_alternate_with_recoveries(commands in any_commands(COUNTED)) {
        let mut state = Stock::initial();
        for command in commands {
            let Ok(events) = Stock::decide(&state, &command) else { continue };
            let after = crate::fold::<Stock>(state.clone(), &events);
            let told = |wanted: fn(&StockEvent) -> bool| events.iter().filter(|e| wanted(e)).count();
            let low = told(|event| matches!(event, StockEvent::RanLow(_)));
            let out = told(|event| matches!(event, StockEvent::RanOut(_)));
            let changed = !events.is_empty();
            prop_assert_eq!(low, usize::from(changed && after.is_low() && !state.is_low()));
            prop_assert_eq!(out, usize::from(changed && after.is_out() && !state.is_out()));
            state = after;
        }
    }
}
