//! From events to rows. Which units move is in the events; nothing is decided here.

use domain::ids::{LocationCode, OrderId};
use domain::quantity::Quantity;
use domain::stock::{self, AdjustReason, LocatedUnits, StockEvent, StockPolicyChanged};
use journal::Recorded;
use uuid::Uuid;

use super::{Draft, StockLocationRow, StockMovementRow};
use crate::code::{MovementKind, StockLevel, StockPolicy};
use crate::projection::{Unfoldable, plus};

/// Units that an event moves.
struct Movement {
    kind: MovementKind,
    order: Option<OrderId>,
    reference: Option<Uuid>,
    reason: Option<AdjustReason>,
    parts: Vec<Part>,
}

/// Those of one location, or those that are only promised.
struct Part {
    location: Option<String>,
    on_hand: i64,
    reserved: i64,
    backordered: i64,
}

/// Moves the draft on. After an error it is as it was.
pub(super) fn evolve(
    draft: &mut Draft,
    event: &StockEvent,
    recorded: &Recorded,
) -> Result<(), Unfoldable> {
    if let StockEvent::PolicyChanged(changed) = event {
        set_policy(draft, changed)?;
    }
    if let Some(movement) = movement(draft, event)? {
        check(draft, &movement.parts)?;
        for part in &movement.parts {
            draft.apply(part);
        }
        draft.remember(movement, recorded);
    }
    draft.stock.level = level(draft);
    Ok(())
}

fn set_policy(draft: &mut Draft, changed: &StockPolicyChanged) -> Result<(), Unfoldable> {
    let low_stock_at = changed.low_stock_at.map(signed).transpose()?;
    draft.stock.low_stock_at = low_stock_at;
    draft.stock.policy = match changed.policy {
        stock::StockPolicy::Untracked => StockPolicy::Untracked,
        stock::StockPolicy::Deny => StockPolicy::Deny,
        stock::StockPolicy::Backorder => StockPolicy::Backorder,
    };
    Ok(())
}

fn level(draft: &Draft) -> StockLevel {
    let stock = &draft.stock;
    match stock.policy {
        StockPolicy::Untracked => StockLevel::Enough,
        StockPolicy::Deny | StockPolicy::Backorder if stock.available == 0 => StockLevel::Out,
        StockPolicy::Deny | StockPolicy::Backorder => {
            let is_low = stock.low_stock_at.is_some_and(|threshold| stock.available <= threshold);
            if is_low { StockLevel::Low } else { StockLevel::Enough }
        }
    }
}

fn movement(draft: &Draft, event: &StockEvent) -> Result<Option<Movement>, Unfoldable> {
    let movement = match event {
        StockEvent::Received(e) => {
            let parts = vec![onto_shelf(&e.location, e.quantity.into())];
            Movement::new(MovementKind::Received, parts).under(e.receipt.0)
        }
        StockEvent::Adjusted(e) => {
            let adjusted = MovementKind::Adjusted;
            let movement = Movement::new(adjusted, vec![onto_shelf(&e.location, e.delta)]);
            Movement { reason: Some(e.reason), ..movement.under(e.movement.0) }
        }
        StockEvent::Counted(e) => {
            let delta = plus(signed(e.on_hand)?, -draft.on_hand_at(&e.location))?;
            let parts = vec![onto_shelf(&e.location, delta)];
            Movement::new(MovementKind::Counted, parts).under(e.movement.0)
        }
        StockEvent::Reserved(e) => Movement::of(
            MovementKind::Reserved,
            e.order,
            set_aside(1, &e.allocations, e.backordered),
        ),
        StockEvent::Released(e) => {
            let parts = set_aside(-1, &e.allocations, e.backordered);
            Movement::of(MovementKind::Released, e.order, parts)
        }
        StockEvent::UnitsReleased(e) => {
            let parts = set_aside(-1, &e.allocations, e.backordered);
            Movement::of(MovementKind::Released, e.order, parts).under(e.movement.0)
        }
        StockEvent::ReservationExpired(e) => {
            let parts = set_aside(-1, &e.allocations, e.backordered);
            Movement::of(MovementKind::Expired, e.order, parts)
        }
        StockEvent::BackorderFilled(e) => {
            let units = i64::from(e.quantity);
            let part = Part { reserved: units, backordered: -units, ..onto_shelf(&e.location, 0) };
            Movement::of(MovementKind::BackorderFilled, e.order, vec![part])
        }
        StockEvent::Shipped(e) => {
            let part = off_shelf(draft, &e.location, e.quantity);
            let movement = Movement::of(MovementKind::Shipped, e.order, vec![part]);
            Movement { reference: e.shipment.map(|shipment| shipment.0), ..movement }
        }
        StockEvent::Restocked(e) => {
            let parts = vec![onto_shelf(&e.location, e.quantity.into())];
            Movement::of(MovementKind::Restocked, e.order, parts).under(e.movement.0)
        }
        StockEvent::PolicyChanged(_)
        | StockEvent::Committed(_)
        | StockEvent::Closed(_)
        | StockEvent::RanLow(_)
        | StockEvent::RanOut(_) => return Ok(None),
    };
    Ok(Some(movement))
}

impl Movement {
    fn new(kind: MovementKind, parts: Vec<Part>) -> Self {
        Self { kind, order: None, reference: None, reason: None, parts }
    }

    fn of(kind: MovementKind, order: OrderId, parts: Vec<Part>) -> Self {
        Self { order: Some(order), ..Self::new(kind, parts) }
    }

    fn under(self, reference: Uuid) -> Self {
        Self { reference: Some(reference), ..self }
    }
}

fn onto_shelf(location: &LocationCode, on_hand: i64) -> Part {
    Part { location: Some(location.to_string()), on_hand, reserved: 0, backordered: 0 }
}

/// What leaves had been set aside. Where nobody counts, more may leave than is in the books.
fn off_shelf(draft: &Draft, location: &LocationCode, quantity: Quantity) -> Part {
    let units = i64::from(quantity);
    let on_hand = -units.min(draft.on_hand_at(location));
    Part { reserved: -units, ..onto_shelf(location, on_hand) }
}

fn set_aside(sign: i64, allocations: &[LocatedUnits], backordered: u32) -> Vec<Part> {
    let allocated = allocations.iter().map(|units| Part {
        reserved: sign * i64::from(units.quantity),
        ..onto_shelf(&units.location, 0)
    });
    let backordered = sign * i64::from(backordered);
    let awaited = Part { location: None, on_hand: 0, reserved: 0, backordered };
    allocated.chain((backordered != 0).then_some(awaited)).collect()
}

/// Whether all sums will fit. The parts of an event are about different locations.
fn check(draft: &Draft, parts: &[Part]) -> Result<(), Unfoldable> {
    let stock = &draft.stock;
    let (mut on_hand, mut reserved) = (stock.on_hand, stock.reserved);
    let mut backordered = stock.backordered;
    for part in parts {
        on_hand = plus(on_hand, part.on_hand)?;
        reserved = plus(reserved, part.reserved)?;
        backordered = plus(backordered, part.backordered)?;
    }
    Ok(())
}

fn signed(units: u64) -> Result<i64, Unfoldable> {
    i64::try_from(units).map_err(|_| Unfoldable::TooLarge)
}

impl Draft {
    fn on_hand_at(&self, location: &LocationCode) -> i64 {
        let here = self.locations.iter().find(|here| here.location == location.as_str());
        here.map_or(0, |here| here.on_hand)
    }

    /// Changes the sums, and the row of the location, which may be new.
    fn apply(&mut self, part: &Part) {
        let stock = &mut self.stock;
        stock.on_hand += part.on_hand;
        stock.reserved += part.reserved;
        stock.backordered += part.backordered;
        if let Some(code) = &part.location {
            let found = self.locations.binary_search_by(|here| here.location.cmp(code));
            let at = found.unwrap_or_else(|at| {
                let (sku, location) = (stock.sku.clone(), code.clone());
                let row = StockLocationRow { sku, location, on_hand: 0, reserved: 0 };
                self.locations.insert(at, row);
                at
            });
            let here = &mut self.locations[at];
            here.on_hand += part.on_hand;
            here.reserved += part.reserved;
        }
        // Whoever comes later does not overtake those who wait.
        let is_awaited = stock.backordered > 0;
        let free = self.locations.iter().map(StockLocationRow::free).sum();
        stock.available = if is_awaited { 0 } else { free };
    }

    fn remember(&mut self, movement: Movement, recorded: &Recorded) {
        let Movement { kind, order, reference, reason, parts } = movement;
        let revision = recorded.revision.cast_signed();
        let rows = (0..).zip(parts).map(|(part, moved)| StockMovementRow {
            sku: self.stock.sku.clone(),
            revision,
            part,
            location: moved.location,
            kind,
            on_hand: moved.on_hand,
            reserved: moved.reserved,
            backordered: moved.backordered,
            order_id: order.map(|order| order.0),
            reference,
            reason: reason.map(|reason| reason_name(reason).to_owned()),
            recorded_at: recorded.metadata.recorded_at,
            actor: recorded.metadata.actor.clone(),
        });
        self.movements.extend(rows);
    }
}

const fn reason_name(reason: AdjustReason) -> &'static str {
    match reason {
        AdjustReason::Found => "found",
        AdjustReason::Lost => "lost",
        AdjustReason::Damaged => "damaged",
        AdjustReason::Stolen => "stolen",
        AdjustReason::Correction => "correction",
        AdjustReason::Other => "other",
    }
}
