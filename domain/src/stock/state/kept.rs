//! The state as it is kept outside memory: each location's code once, and nothing that follows from
//! the rest.
//!
//! It may be written without names, so the order of fields and variants belongs to its version (see
//! `schemas`), also that of [`StockPolicy`], [`AdjustReason`] and [`Settlement`].

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Movement, Reservation, Settlement, Shelf, StockState};
use crate::ids::{LocationCode, MovementId, OrderId, ReceiptId, ShipmentId};
use crate::quantity::Quantity;
use crate::stock::terms::{AdjustReason, LocatedUnits, StockPolicy};

/// A [`StockState`] in as few words as say it all.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    known: bool,
    policy: StockPolicy,
    low_stock_at: Option<u64>,
    next_turn: u64,
    codes: Vec<LocationCode>,
    shelves: Vec<KeptShelf>,
    reservations: Vec<(OrderId, KeptReservation)>,
    receipts: Vec<(ReceiptId, Units)>,
    movements: Vec<(MovementId, KeptMovement)>,
    shipments: Vec<(ShipmentId, Units)>,
    settled: Vec<(OrderId, Settlement)>,
}

/// A place in `codes`.
type Code = u32;
type Units = (Code, Quantity);

#[derive(Serialize, Deserialize)]
struct KeptShelf {
    location: Code,
    on_hand: u64,
    reserved: u64,
}

#[derive(Serialize, Deserialize)]
struct KeptReservation {
    allocations: Vec<Units>,
    backordered: u32,
    expires_at: Option<DateTime<Utc>>,
    committed: bool,
    granted: u64,
    turn: Option<u64>,
}

#[derive(Serialize, Deserialize)]
enum KeptMovement {
    Adjusted { location: Code, delta: i64, reason: AdjustReason },
    Counted { location: Code, on_hand: u64, before: u64 },
    PolicySet { policy: StockPolicy, low_stock_at: Option<u64> },
    UnitsReleased { order: OrderId, quantity: u64 },
    Restocked { order: OrderId, units: Units },
}

/// What was kept speaks of a location that it does not name.
#[derive(Debug, Error)]
#[error("there is no location number {0}")]
pub(super) struct NoSuchLocation(Code);

impl From<StockState> for Kept {
    fn from(state: StockState) -> Self {
        let mut codes = Numbered::default();
        let shelves = state.shelves.iter();
        let shelves = shelves.map(|(code, &Shelf { on_hand, reserved })| KeptShelf {
            location: codes.of(code),
            on_hand,
            reserved,
        });
        let shelves = shelves.collect();
        let reservations = state.reservations.iter();
        let reservations =
            reservations.map(|(order, it)| (*order, KeptReservation::of(it, &mut codes))).collect();
        let receipts = state.receipts.iter();
        let receipts = receipts.map(|(receipt, units)| (*receipt, codes.units(units))).collect();
        let movements = state.movements.iter();
        let movements = movements.map(|(id, it)| (*id, KeptMovement::of(it, &mut codes))).collect();
        let shipments = state.shipments.iter();
        let shipments = shipments.map(|(id, units)| (*id, codes.units(units))).collect();
        Self {
            known: state.known,
            policy: state.policy,
            low_stock_at: state.low_stock_at,
            next_turn: state.next_turn,
            shelves,
            reservations,
            receipts,
            movements,
            shipments,
            settled: state.settled.iter().map(|(order, it)| (*order, *it)).collect(),
            codes: codes.codes,
        }
    }
}

impl TryFrom<Kept> for StockState {
    type Error = NoSuchLocation;

    fn try_from(kept: Kept) -> Result<Self, NoSuchLocation> {
        let codes = Codes(kept.codes);
        let mut state = Self {
            known: kept.known,
            policy: kept.policy,
            low_stock_at: kept.low_stock_at,
            next_turn: kept.next_turn,
            ..Self::default()
        };
        for KeptShelf { location, on_hand, reserved } in kept.shelves {
            state.on_hand = state.on_hand.saturating_add(on_hand);
            state.reserved = state.reserved.saturating_add(reserved);
            state.shelves.insert_mut(codes.get(location)?, Shelf { on_hand, reserved });
        }
        for (order, reservation) in kept.reservations {
            state.keep(order, reservation.restored(&codes)?);
        }
        for (receipt, units) in kept.receipts {
            state.receipts.insert_mut(receipt, codes.units(units)?);
        }
        for (id, movement) in kept.movements {
            state.movements.insert_mut(id, movement.restored(&codes)?);
        }
        for (shipment, units) in kept.shipments {
            state.shipments.insert_mut(shipment, codes.units(units)?);
        }
        for (order, settlement) in kept.settled {
            state.settled.insert_mut(order, settlement);
        }
        Ok(state)
    }
}

impl KeptReservation {
    fn of(reservation: &Reservation, codes: &mut Numbered) -> Self {
        let Reservation { allocations, backordered, expires_at, committed, granted, turn } =
            reservation;
        Self {
            allocations: allocations.iter().map(|units| codes.units(units)).collect(),
            backordered: *backordered,
            expires_at: *expires_at,
            committed: *committed,
            granted: *granted,
            turn: *turn,
        }
    }

    fn restored(self, codes: &Codes) -> Result<Reservation, NoSuchLocation> {
        let Self { allocations, backordered, expires_at, committed, granted, turn } = self;
        let allocations = allocations.into_iter().map(|units| codes.units(units));
        let allocations = allocations.collect::<Result<_, _>>()?;
        Ok(Reservation { allocations, backordered, expires_at, committed, granted, turn })
    }
}

impl KeptMovement {
    fn of(movement: &Movement, codes: &mut Numbered) -> Self {
        match movement {
            Movement::Adjusted { location, delta, reason } => {
                Self::Adjusted { location: codes.of(location), delta: *delta, reason: *reason }
            }
            Movement::Counted { location, on_hand, before } => {
                Self::Counted { location: codes.of(location), on_hand: *on_hand, before: *before }
            }
            Movement::PolicySet { policy, low_stock_at } => {
                Self::PolicySet { policy: *policy, low_stock_at: *low_stock_at }
            }
            Movement::UnitsReleased { order, quantity } => {
                Self::UnitsReleased { order: *order, quantity: *quantity }
            }
            Movement::Restocked { order, units } => {
                Self::Restocked { order: *order, units: codes.units(units) }
            }
        }
    }

    fn restored(self, codes: &Codes) -> Result<Movement, NoSuchLocation> {
        Ok(match self {
            Self::Adjusted { location, delta, reason } => {
                Movement::Adjusted { location: codes.get(location)?, delta, reason }
            }
            Self::Counted { location, on_hand, before } => {
                Movement::Counted { location: codes.get(location)?, on_hand, before }
            }
            Self::PolicySet { policy, low_stock_at } => {
                Movement::PolicySet { policy, low_stock_at }
            }
            Self::UnitsReleased { order, quantity } => Movement::UnitsReleased { order, quantity },
            Self::Restocked { order, units } => {
                Movement::Restocked { order, units: codes.units(units)? }
            }
        })
    }
}

/// Codes on their way out, each with its number.
#[derive(Default)]
struct Numbered {
    codes: Vec<LocationCode>,
    numbers: HashMap<LocationCode, Code>,
}

impl Numbered {
    fn of(&mut self, code: &LocationCode) -> Code {
        if let Some(number) = self.numbers.get(code) {
            return *number;
        }
        let number = Code::try_from(self.codes.len()).unwrap_or(Code::MAX);
        self.codes.push(code.clone());
        self.numbers.insert(code.clone(), number);
        number
    }

    fn units(&mut self, units: &LocatedUnits) -> Units {
        (self.of(&units.location), units.quantity)
    }
}

/// Codes on their way in: a million receipts share one text.
struct Codes(Vec<LocationCode>);

impl Codes {
    fn get(&self, number: Code) -> Result<LocationCode, NoSuchLocation> {
        let code = usize::try_from(number).ok().and_then(|number| self.0.get(number));
        code.cloned().ok_or(NoSuchLocation(number))
    }

    fn units(&self, (code, quantity): Units) -> Result<LocatedUnits, NoSuchLocation> {
        Ok(LocatedUnits { location: self.get(code)?, quantity })
    }
}
