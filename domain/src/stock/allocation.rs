//! Which locations supply how many units. The same state and the same wish always lead to the same
//! answer.

use std::cmp::min;

use super::state::{Reservation, StockState};
use super::terms::LocatedUnits;
use crate::ids::LocationCode;
use crate::quantity::Quantity;

/// Where `wanted` units come from, or as many as there are: from the preferred location first, then
/// from the others by their codes. The first that has them all supplies them all; if none has, each
/// in turn gives what it has. When nobody counts, everything comes from one location.
pub(super) fn allocate(
    state: &StockState,
    wanted: Quantity,
    prefer: Option<&LocationCode>,
) -> Vec<LocatedUnits> {
    if !state.is_tracked() {
        let location = prefer.cloned().unwrap_or_default();
        return vec![LocatedUnits { location, quantity: wanted }];
    }
    let offers = || in_order(state, prefer).filter(|&(_, free)| free > 0);
    if let Some((location, _)) = offers().find(|&(_, free)| free >= wanted.into()) {
        return vec![LocatedUnits { location: location.clone(), quantity: wanted }];
    }
    let mut missing = u64::from(wanted);
    offers()
        .map_while(|(location, free)| {
            let quantity = units(min(free, missing))?;
            missing -= u64::from(quantity);
            Some(LocatedUnits { location: location.clone(), quantity })
        })
        .collect()
}

/// Each location with what is free there, the preferred one first.
fn in_order<'a>(
    state: &'a StockState,
    prefer: Option<&'a LocationCode>,
) -> impl Iterator<Item = (&'a LocationCode, u64)> {
    let first = prefer.map(|location| (location, state.at(location).free()));
    let others = state.locations().map(|(location, shelf)| (location, shelf.free()));
    first.into_iter().chain(others.filter(move |(location, _)| Some(*location) != prefer))
}

/// Which of an order's units are given back when it wants `unwanted` fewer: those that it takes to be
/// `set_aside` from there, and of the rest as many as are still awaited. What came in meanwhile stays:
/// the order is told of it, and gives it back by name if nobody wants it.
pub(super) fn unwanted_units(
    reservation: &Reservation,
    unwanted: Quantity,
    set_aside: &[LocatedUnits],
) -> (Vec<LocatedUnits>, u32) {
    let mut left: Vec<u32> = reservation.allocations.iter().map(|it| it.quantity.get()).collect();
    let mut given: Vec<LocatedUnits> = vec![];
    for believed in set_aside {
        let held = reservation.allocations.iter().position(|it| it.location == believed.location);
        let Some(at) = held else { continue };
        let count = believed.quantity.get().min(left[at]);
        left[at] -= count;
        let location = believed.location.clone();
        given.extend(units(count.into()).map(|quantity| LocatedUnits { location, quantity }));
    }
    let awaited = u64::from(unwanted.get()).saturating_sub(sum(set_aside));
    let awaited = u32::try_from(awaited).unwrap_or(u32::MAX);
    (given, min(awaited, reservation.backordered))
}

/// How many units `units` are together.
pub(super) fn sum(units: &[LocatedUnits]) -> u64 {
    units.iter().map(|units| u64::from(units.quantity)).sum()
}

fn units(count: u64) -> Option<Quantity> {
    (count > 0).then(|| Quantity::nearest(count))
}
