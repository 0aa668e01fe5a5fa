//! What one order has of a SKU.

use std::cmp::min;

use chrono::{DateTime, Utc};

use crate::ids::LocationCode;
use crate::quantity::Quantity;
use crate::stock::terms::LocatedUnits;

/// What is set aside for an order or promised to it, and has not shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Units set aside, each location once, in the order in which they were.
    pub allocations: Vec<LocatedUnits>,
    /// Units promised that are still awaited.
    pub backordered: u32,
    /// Until when, if it is not permanent.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether it stays until it has shipped or is given back.
    pub committed: bool,
    /// Units that were set aside or promised at first.
    pub(super) granted: u64,
    /// Its place among those that await goods.
    pub(super) turn: Option<u64>,
}

impl Reservation {
    /// Units set aside or awaited.
    pub fn units(&self) -> u64 {
        let allocated: u64 = self.allocations.iter().map(|units| u64::from(units.quantity)).sum();
        allocated + u64::from(self.backordered)
    }

    /// Units set aside at `location`.
    pub fn allocated_at(&self, location: &LocationCode) -> u64 {
        let here = self.allocations.iter().filter(|units| units.location == *location);
        here.map(|units| u64::from(units.quantity)).sum()
    }

    /// Whether its time is over at `now`.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        !self.committed && self.expires_at.is_some_and(|end| end <= now)
    }

    /// Units that were set aside or promised at first.
    pub(in crate::stock) const fn granted(&self) -> u64 {
        self.granted
    }

    pub(super) fn is_empty(&self) -> bool {
        self.allocations.is_empty() && self.backordered == 0
    }

    pub(super) fn add(&mut self, location: LocationCode, quantity: Quantity) {
        match self.allocations.iter_mut().find(|units| units.location == location) {
            Some(units) => {
                let sum = u64::from(units.quantity) + u64::from(quantity);
                units.quantity = Quantity::nearest(sum);
            }
            None => self.allocations.push(LocatedUnits { location, quantity }),
        }
    }

    /// Takes units away; how many there were.
    pub(super) fn take(&mut self, location: &LocationCode, quantity: Quantity) -> u64 {
        let Some(at) = self.allocations.iter().position(|units| units.location == *location) else {
            return 0;
        };
        let here = self.allocations[at].quantity;
        match Quantity::new(i64::from(here) - i64::from(quantity)) {
            Ok(left) => self.allocations[at].quantity = left,
            Err(_) => drop(self.allocations.remove(at)),
        }
        min(u64::from(here), u64::from(quantity))
    }
}
