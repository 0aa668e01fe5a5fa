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
/// `set_aside` from there, then those that are awaited, then those that were set aside last. The
/// last are needed where goods came in that the order has not heard of yet.
pub(super) fn least_certain(
    reservation: &Reservation,
    unwanted: Quantity,
    set_aside: &[LocatedUnits],
) -> (Vec<LocatedUnits>, u32) {
    let mut left = unwanted.get();
    let mut taken = vec![0; reservation.allocations.len()];
    let mut take = |at: usize, most: u32, left: &mut u32| {
        let units = most.min(*left).min(reservation.allocations[at].quantity.get() - taken[at]);
        taken[at] += units;
        *left -= units;
    };
    for believed in set_aside {
        let held = reservation.allocations.iter().position(|it| it.location == believed.location);
        if let Some(at) = held {
            take(at, believed.quantity.get(), &mut left);
        }
    }
    let backordered = min(left, reservation.backordered);
    left -= backordered;
    for at in (0..reservation.allocations.len()).rev() {
        let most = left;
        take(at, most, &mut left);
    }
    let given = reservation.allocations.iter().zip(taken).filter_map(|(held, count)| {
        let quantity = units(count.into())?;
        Some(LocatedUnits { location: held.location.clone(), quantity })
    });
    (given.collect(), backordered)
}

/// How many units `units` are together.
pub(super) fn sum(units: &[LocatedUnits]) -> u64 {
    units.iter().map(|units| u64::from(units.quantity)).sum()
}

fn units(count: u64) -> Option<Quantity> {
    (count > 0).then(|| Quantity::nearest(count))
}
