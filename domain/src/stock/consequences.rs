//! What follows from every decision, whatever it was about: units that have become free go to the
//! orders that await them, and somebody is warned when few are left.

use chrono::{DateTime, Utc};

use super::allocation::allocate;
use super::event::{
    StockBackorderFilled, StockEvent, StockRanLow, StockRanOut, StockReservationExpired,
};
use super::state::{Reservation, StockState};
use super::terms::LocatedUnits;
use crate::ids::OrderId;
use crate::quantity::Quantity;

/// When a decision has led to so many events, it begins nothing else: they are appended together,
/// and an append has a limit (1 MiB in EventStoreDB).
pub(super) const EVENTS_AT_ONCE: usize = 500;

/// `decided`, and what follows from it.
pub(super) fn with_consequences(before: &StockState, decided: Vec<StockEvent>) -> Vec<StockEvent> {
    if decided.is_empty() {
        return decided;
    }
    let mut course = Course::of(before);
    for event in decided {
        course.record(event);
    }
    course.fill_backorders();
    course.warn(before);
    course.events
}

/// A course of events, and the state that they lead to.
pub(super) struct Course {
    pub(super) events: Vec<StockEvent>,
    pub(super) state: StockState,
}

impl Course {
    /// Nothing has happened yet.
    pub(super) fn of(state: &StockState) -> Self {
        Self { events: vec![], state: state.clone() }
    }

    fn record(&mut self, event: StockEvent) {
        self.state.apply(&event);
        self.events.push(event);
    }

    fn is_long(&self) -> bool {
        self.events.len() >= EVENTS_AT_ONCE
    }

    /// What is free goes to the orders that await it, the oldest first.
    pub(super) fn fill_backorders(&mut self) {
        while self.state.can_fill() && !self.is_long() {
            let Some((order, awaited)) = self.state.oldest_backorder() else { return };
            for LocatedUnits { location, quantity } in allocate(&self.state, awaited, None) {
                let filled = StockBackorderFilled { order, location, quantity };
                self.record(StockEvent::BackorderFilled(filled));
            }
        }
    }

    /// Gives back reservations whose time is over, the first to be over first, until `wanted` units
    /// are available or no such reservation is left.
    pub(super) fn make_room(&mut self, wanted: Quantity, now: DateTime<Utc>) {
        while self.state.available() < wanted.into() && !self.is_long() {
            let Some(expired) = self.state.first_over(now).map(expired) else { return };
            self.record(expired);
            self.fill_backorders();
        }
    }

    fn warn(&mut self, before: &StockState) {
        let (is_low, is_out) = (self.state.is_low(), self.state.is_out());
        if let Some(threshold) = self.state.low_stock_at()
            && is_low
            && !before.is_low()
        {
            let available = self.state.available();
            self.record(StockEvent::RanLow(StockRanLow { available, threshold }));
        }
        if is_out && !before.is_out() {
            self.record(StockEvent::RanOut(StockRanOut {}));
        }
    }
}

/// The end of a reservation whose time is over.
pub(super) fn expired((order, reservation): (OrderId, &Reservation)) -> StockEvent {
    StockEvent::ReservationExpired(StockReservationExpired {
        order,
        allocations: reservation.allocations.clone(),
        backordered: reservation.backordered,
    })
}
