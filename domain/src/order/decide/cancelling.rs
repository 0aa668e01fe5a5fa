//! Cancelling: whole or in part, at any moment before the goods leave.

use std::collections::BTreeMap;

use super::{Decision, Story};
use crate::ids::{MovementId, OrderId};
use crate::order::command::Action;
use crate::order::error::OrderRejection;
use crate::order::event::{
    OrderCancelled, OrderEvent, OrderLinesCancelled, OrderShipmentCancelled,
};
use crate::order::state::{OrderStatus, PlacedOrder, Remembered};
use crate::order::terms::{CancelReason, LineAllocation, LineUnits};
use crate::quantity::Quantity;
use crate::stock::LocatedUnits;

/// Everything that has not left is given up. Where nothing has left the whole order is; else it goes
/// on with what has.
pub(super) fn cancel(order: &PlacedOrder, reason: CancelReason, movement: MovementId) -> Decision {
    if order.movements.contains_key(&movement) {
        return Ok(vec![]);
    }
    match order.status {
        OrderStatus::Pending | OrderStatus::Confirmed => {}
        OrderStatus::Cancelled(_) | OrderStatus::Rejected(_) => return Ok(vec![]),
        OrderStatus::Completed => return Err(order.not_now(Action::Cancel)),
    }
    let rest = everything_that_has_not_left(order);
    if order.shipped() > 0 && rest.is_empty() {
        // Every unit is on its way: there is nothing to give up, and saying so helps more than silence.
        return Err(order.not_now(Action::Cancel));
    }
    let mut story = Story::of(order);
    story.keep_shipments_from_leaving(|_| true);
    story.give_up(&rest, reason, movement);
    if story.order.shipped() == 0 && !matches!(story.order.status, OrderStatus::Cancelled(_)) {
        story.tell(OrderEvent::Cancelled(OrderCancelled { reason }));
    }
    story.settle(reason);
    story.close_if_done();
    Ok(story.events)
}

/// Some units are given up: first those that are awaited, then those that nobody has packed, last those
/// in a shipment that is waiting, which is then planned again.
pub(super) fn cancel_lines(
    order: &PlacedOrder,
    lines: &[LineUnits],
    reason: CancelReason,
    movement: MovementId,
    id: OrderId,
) -> Decision {
    if order.has_cancelled(lines, movement)? {
        return Ok(vec![]);
    }
    order.must_be_open(Action::CancelLines)?;
    let mut story = Story::of(order);
    story.cancel_units(lines, reason, movement)?;
    story.settle(reason);
    story.send_what_may_leave(id);
    story.close_if_done();
    Ok(story.events)
}

impl Story {
    /// Gives up `lines`, as far as they have not left.
    pub(super) fn cancel_units(
        &mut self,
        lines: &[LineUnits],
        reason: CancelReason,
        movement: MovementId,
    ) -> Result<(), OrderRejection> {
        if lines.is_empty() {
            return Err(OrderRejection::NothingToDo);
        }
        let lines = sum_up(lines);
        for units in &lines {
            let (line, requested) = (units.line, units.quantity.get());
            let available = cancellable(&self.order, line);
            if requested > available {
                return Err(OrderRejection::NotSoMany { line, requested, available });
            }
        }
        for units in &lines {
            if units.quantity.get() > loose(&self.order, units.line) {
                let line = units.line;
                self.keep_shipments_from_leaving(|inside| inside.iter().any(|it| it.line == line));
            }
        }
        self.give_up(&lines, reason, movement);
        self.close_if_nothing_is_left(reason);
        Ok(())
    }

    fn give_up(&mut self, lines: &[LineUnits], reason: CancelReason, movement: MovementId) {
        if lines.is_empty() {
            return;
        }
        let released = lines.iter().filter_map(|units| set_aside(&self.order, units)).collect();
        let lines = lines.to_vec();
        let cancelled = OrderLinesCancelled { lines, reason, movement, released };
        self.tell(OrderEvent::LinesCancelled(cancelled));
    }

    /// Takes back the shipments that are still to leave and have `wanted` goods in them.
    pub(super) fn keep_shipments_from_leaving(&mut self, wanted: impl Fn(&[LineUnits]) -> bool) {
        let waiting = self.order.shipments.iter().filter(|(_, book)| book.status.is_waiting());
        let wanted: Vec<_> =
            waiting.filter(|(_, book)| wanted(&book.lines)).map(|(id, _)| *id).collect();
        for shipment in wanted {
            self.tell(OrderEvent::ShipmentCancelled(OrderShipmentCancelled { shipment }));
        }
    }
}

impl PlacedOrder {
    /// Whether this very cancellation is known. Another one under its key is refused.
    pub(super) fn has_cancelled(
        &self,
        lines: &[LineUnits],
        movement: MovementId,
    ) -> Result<bool, OrderRejection> {
        match self.movements.get(&movement) {
            None => Ok(false),
            Some(Remembered::Cancelled(known)) if *known == sum_up(lines) => Ok(true),
            Some(_) => Err(OrderRejection::KeyReused),
        }
    }
}

/// Units of a line that can be given up: goods that have not left, charges that did not go back.
pub(super) fn cancellable(order: &PlacedOrder, line: u32) -> u32 {
    let Some(ledger) = order.lines.get(line as usize) else { return 0 };
    if order.is_goods(line) {
        ledger.unshipped()
    } else {
        ledger.wanted().saturating_sub(ledger.refunded)
    }
}

/// Units of a line that are in no shipment.
fn loose(order: &PlacedOrder, line: u32) -> u32 {
    let Some(ledger) = order.lines.get(line as usize) else { return 0 };
    let inside = order.waiting_shipments().flat_map(|shipment| &shipment.lines);
    let inside: u32 = inside.filter(|it| it.line == line).map(|it| it.quantity.get()).sum();
    ledger.unshipped().saturating_sub(inside).max(if order.is_goods(line) { 0 } else { u32::MAX })
}

fn everything_that_has_not_left(order: &PlacedOrder) -> Vec<LineUnits> {
    let nothing_left = order.shipped() == 0;
    let units = |line: u32| {
        let given_up = order.is_goods(line) || nothing_left;
        let units = if given_up { cancellable(order, line) } else { 0 };
        Quantity::new(units.into()).ok().map(|quantity| LineUnits { line, quantity })
    };
    (0_u32..).zip(&order.lines).filter_map(|(line, _)| units(line)).collect()
}

/// What is set aside or awaited for `units` and is given back: what nobody has found first, then what
/// is awaited, then what is in no shipment, from the last location back to the first.
fn set_aside(order: &PlacedOrder, units: &LineUnits) -> Option<LineAllocation> {
    let ledger = order.lines.get(units.line as usize)?;
    let nowhere = ledger.unshipped().saturating_sub(ledger.allocated_units() + ledger.backordered);
    let mut left = units.quantity.get().saturating_sub(nowhere);
    let backordered = left.min(ledger.backordered);
    left -= backordered;
    let mut places = vec![];
    for location in ledger.allocated.keys().rev() {
        let taken = left.min(order.free_at(units.line, location));
        if let Ok(quantity) = Quantity::new(taken.into()) {
            left -= taken;
            places.push(LocatedUnits { location: location.clone(), quantity });
        }
    }
    let something = backordered > 0 || !places.is_empty();
    something.then_some(LineAllocation { line: units.line, units: places, backordered })
}

/// The same line named twice counts together.
fn sum_up(lines: &[LineUnits]) -> Vec<LineUnits> {
    let mut sums: BTreeMap<u32, u64> = BTreeMap::new();
    for units in lines {
        *sums.entry(units.line).or_default() += u64::from(units.quantity.get());
    }
    let units = |(line, count)| LineUnits { line, quantity: Quantity::nearest(count) };
    sums.into_iter().map(units).collect()
}
