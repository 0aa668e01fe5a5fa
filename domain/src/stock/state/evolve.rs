//! What each event does to the state. Total: what is in the log has happened.

use chrono::{DateTime, Utc};

use super::{Movement, Reservation, Settlement, Shelf, StockState};
use crate::ids::{LocationCode, OrderId, ShipmentId};
use crate::quantity::Quantity;
use crate::stock::event::StockEvent;
use crate::stock::terms::LocatedUnits;

impl StockState {
    /// The state after one more event.
    pub(in crate::stock) fn apply(&mut self, event: &StockEvent) {
        match event {
            StockEvent::Received(received) => {
                let units = self.located(&received.location, received.quantity);
                self.put(&units.location, received.quantity);
                self.receipts.insert_mut(received.receipt, units);
            }
            StockEvent::Adjusted(adjusted) => {
                let (location, delta) = (self.intern(&adjusted.location), adjusted.delta);
                self.change(&location, |shelf| {
                    shelf.on_hand = shelf.on_hand.saturating_add_signed(delta);
                });
                let movement = Movement::Adjusted { location, delta, reason: adjusted.reason };
                self.movements.insert_mut(adjusted.movement, movement);
            }
            StockEvent::Counted(counted) => {
                let (on_hand, before) = (counted.on_hand, counted.before);
                let location = self.intern(&counted.location);
                self.change(&location, |shelf| shelf.on_hand = on_hand);
                let movement = Movement::Counted { location, on_hand, before };
                self.movements.insert_mut(counted.movement, movement);
            }
            StockEvent::PolicyChanged(changed) => {
                self.known = true;
                let (policy, low_stock_at) = (changed.policy, changed.low_stock_at);
                (self.policy, self.low_stock_at) = (policy, low_stock_at);
                let movement = Movement::PolicySet { policy, low_stock_at };
                self.movements.insert_mut(changed.movement, movement);
            }
            StockEvent::Reserved(reserved) => self.reserve(
                reserved.order,
                &reserved.allocations,
                reserved.backordered,
                reserved.expires_at,
            ),
            StockEvent::Committed(committed) => {
                self.with_reservation(committed.order, |_, reservation| {
                    reservation.committed = true;
                });
            }
            StockEvent::Released(released) => self.settle(released.order, Settlement::Released),
            StockEvent::ReservationExpired(expired) => {
                self.settle(expired.order, Settlement::Expired);
            }
            StockEvent::Closed(closed) => {
                self.settled.insert_mut(closed.order, Settlement::Released);
            }
            StockEvent::UnitsReleased(released) => {
                let quantity =
                    self.give_back(released.order, &released.allocations, released.backordered);
                let movement = Movement::UnitsReleased { order: released.order, quantity };
                self.movements.insert_mut(released.movement, movement);
            }
            StockEvent::Shipped(shipped) => {
                self.ship(shipped.order, &shipped.location, shipped.quantity);
                let shipment = shipped.shipment.unwrap_or_else(|| ShipmentId::of(shipped.order));
                let units = self.located(&shipped.location, shipped.quantity);
                self.shipments.insert_mut(shipment, units);
            }
            StockEvent::BackorderFilled(filled) => {
                self.fill(filled.order, &filled.location, filled.quantity);
            }
            StockEvent::Restocked(restocked) => {
                let units = self.located(&restocked.location, restocked.quantity);
                self.put(&units.location, restocked.quantity);
                let movement = Movement::Restocked { order: restocked.order, units };
                self.movements.insert_mut(restocked.movement, movement);
            }
            StockEvent::RanLow(_) | StockEvent::RanOut(_) => {}
        }
    }

    fn reserve(
        &mut self,
        order: OrderId,
        allocations: &[LocatedUnits],
        backordered: u32,
        expires_at: Option<DateTime<Utc>>,
    ) {
        let mut reservation = Reservation {
            allocations: Vec::with_capacity(allocations.len()),
            backordered,
            expires_at,
            committed: expires_at.is_none(),
            granted: 0,
            turn: None,
        };
        for units in allocations {
            let location = self.intern(&units.location);
            self.change(&location, |shelf| shelf.reserved += u64::from(units.quantity));
            reservation.add(location, units.quantity);
        }
        reservation.granted = reservation.units();
        if backordered > 0 {
            reservation.turn = Some(self.next_turn);
            self.next_turn += 1;
        }
        self.keep(order, reservation);
    }

    fn ship(&mut self, order: OrderId, location: &LocationCode, quantity: Quantity) {
        let mut set_aside = 0;
        let left = self.with_reservation(order, |_, reservation| {
            set_aside = reservation.take(location, quantity);
            reservation.committed = true;
        });
        if left == Some(0) {
            self.settled.insert_mut(order, Settlement::Shipped);
        }
        self.change(location, |shelf| {
            shelf.on_hand = shelf.on_hand.saturating_sub(quantity.into());
            shelf.reserved = shelf.reserved.saturating_sub(set_aside);
        });
    }

    fn fill(&mut self, order: OrderId, location: &LocationCode, quantity: Quantity) {
        let location = self.intern(location);
        self.with_reservation(order, |_, reservation| {
            reservation.backordered = reservation.backordered.saturating_sub(quantity.get());
            reservation.add(location.clone(), quantity);
        });
        self.change(&location, |shelf| shelf.reserved += u64::from(quantity));
    }

    /// Takes units out of a reservation and puts them back; how many they are.
    fn give_back(&mut self, order: OrderId, allocations: &[LocatedUnits], backordered: u32) -> u64 {
        let mut quantity = u64::from(backordered);
        let left = self.with_reservation(order, |state, reservation| {
            reservation.backordered = reservation.backordered.saturating_sub(backordered);
            for units in allocations {
                let taken = reservation.take(&units.location, units.quantity);
                state.put_aside_no_more(&units.location, taken);
                quantity += taken;
            }
        });
        if left == Some(0) {
            self.settled.insert_mut(order, Settlement::Released);
        }
        quantity
    }

    /// Gives back everything of `order` that has not shipped.
    fn settle(&mut self, order: OrderId, settlement: Settlement) {
        if let Some(reservation) = self.forget(order) {
            for units in &reservation.allocations {
                self.put_aside_no_more(&units.location, units.quantity.into());
            }
        }
        self.settled.insert_mut(order, settlement);
    }

    /// Changes the reservation of `order`; units that are left in it, if there was one.
    fn with_reservation(
        &mut self,
        order: OrderId,
        change: impl FnOnce(&mut Self, &mut Reservation),
    ) -> Option<u64> {
        let mut reservation = self.forget(order)?;
        change(self, &mut reservation);
        let left = reservation.units();
        self.keep(order, reservation);
        Some(left)
    }

    /// Keeps a reservation, unless nothing is left of it.
    pub(super) fn keep(&mut self, order: OrderId, reservation: Reservation) {
        self.backordered += u64::from(reservation.backordered);
        if let Some(turn) = reservation.turn
            && reservation.backordered > 0
        {
            self.waiting.insert_mut(turn, order);
        }
        if let Some(end) = reservation.expires_at
            && !reservation.committed
            && !reservation.is_empty()
        {
            self.expiring.insert_mut((end, order), ());
        }
        if !reservation.is_empty() {
            self.reservations.insert_mut(order, reservation);
        }
    }

    /// The opposite of [`keep`](Self::keep).
    fn forget(&mut self, order: OrderId) -> Option<Reservation> {
        let reservation = self.reservations.get(&order)?.clone();
        self.reservations.remove_mut(&order);
        self.backordered = self.backordered.saturating_sub(u64::from(reservation.backordered));
        if let Some(turn) = reservation.turn {
            self.waiting.remove_mut(&turn);
        }
        if let Some(end) = reservation.expires_at {
            self.expiring.remove_mut(&(end, order));
        }
        Some(reservation)
    }

    fn put(&mut self, location: &LocationCode, quantity: Quantity) {
        self.change(location, |shelf| {
            shelf.on_hand = shelf.on_hand.saturating_add(quantity.into());
        });
    }

    fn put_aside_no_more(&mut self, location: &LocationCode, units: u64) {
        self.change(location, |shelf| shelf.reserved = shelf.reserved.saturating_sub(units));
    }

    /// Changes what `location` has, and the sums with it.
    fn change(&mut self, location: &LocationCode, change: impl FnOnce(&mut Shelf)) {
        self.known = true;
        let location = self.intern(location);
        let before = self.at(&location);
        let mut after = before;
        change(&mut after);
        self.on_hand = (self.on_hand - before.on_hand).saturating_add(after.on_hand);
        self.reserved = (self.reserved - before.reserved).saturating_add(after.reserved);
        self.shelves.insert_mut(location, after);
    }

    fn located(&self, location: &LocationCode, quantity: Quantity) -> LocatedUnits {
        LocatedUnits { location: self.intern(location), quantity }
    }

    /// The code as the shelves have it: a million receipts share one text.
    fn intern(&self, location: &LocationCode) -> LocationCode {
        self.shelves.get_key_value(location).map_or(location, |(known, _)| known).clone()
    }
}
