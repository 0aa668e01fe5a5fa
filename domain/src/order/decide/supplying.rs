//! Supplying: setting goods aside, promising delivery, refusing, holding.

use std::collections::BTreeMap;

use super::{Decision, Story};
use crate::ids::{HoldName, LocationCode, MovementId, OrderId, Sku, derive_uuid};
use crate::order::command::{Action, SkuAllocation};
use crate::order::details::LineKind;
use crate::order::error::OrderRejection;
use crate::order::event::{
    OrderAllocated, OrderBackorderFilled, OrderConfirmed, OrderEvent, OrderHeld, OrderHoldReleased,
    OrderLinesCancelled, OrderRejected,
};
use crate::order::state::{OrderStatus, PlacedOrder, Remembered};
use crate::order::terms::{
    CancelReason, HoldReason, LineAllocation, LineUnits, RejectReason, StockRevision,
};
use crate::personal::Sealed;
use crate::quantity::Quantity;
use crate::stock::LocatedUnits;

/// What was found of a SKU goes to its lines in their order. What nobody found is cancelled: the stock
/// only answers with less when the order accepts less. What was cancelled while the stock was
/// asked is given back.
pub(super) fn record_allocation(order: &PlacedOrder, goods: &[SkuAllocation]) -> Decision {
    if order.allocated {
        return Ok(vec![]);
    }
    if order.status != OrderStatus::Pending {
        return Err(order.not_now(Action::Allocate));
    }
    let mut found = Found::new(goods);
    let (mut lines, mut short) = (vec![], vec![]);
    for (line, ledger) in (0_u32..).zip(&order.lines) {
        let Some(sku) = order.sku(line).filter(|_| order.is_goods(line)) else { continue };
        let (allocation, missing) = found.take(line, sku, ledger.wanted());
        lines.extend(allocation);
        short.extend(
            Quantity::new(missing.into()).ok().map(|quantity| LineUnits { line, quantity }),
        );
    }
    let surplus = found.rest(order);
    lines.extend(surplus.iter().cloned());
    let mut story = Story::of(order);
    let as_of = goods.iter().map(|it| StockRevision { sku: it.sku.clone(), revision: it.as_of });
    story.tell(OrderEvent::Allocated(OrderAllocated { lines, as_of: as_of.collect() }));
    if !short.is_empty() {
        let movement = named_after(goods, "short");
        let reason = CancelReason::Inventory;
        let cancelled = OrderLinesCancelled { lines: short, reason, movement, released: vec![] };
        story.tell(OrderEvent::LinesCancelled(cancelled));
        story.close_if_nothing_is_left(reason);
    }
    if !surplus.is_empty() {
        let movement = named_after_cancellation(order);
        let reason = CancelReason::Other;
        let released = OrderLinesCancelled { lines: vec![], reason, movement, released: surplus };
        story.tell(OrderEvent::LinesCancelled(released));
    }
    // It may have been paid before: by hand, or while nobody was there to ask the stock.
    story.settle(CancelReason::Inventory);
    Ok(story.events)
}

/// Goods that were awaited go to the lines that await them, in their order. What nobody awaits any more,
/// because it was cancelled while the goods came, is given back.
pub(super) fn record_backorder_filled(
    order: &PlacedOrder,
    id: OrderId,
    sku: &Sku,
    location: &LocationCode,
    quantity: Quantity,
    stock_revision: u64,
) -> Decision {
    if order.status == OrderStatus::Pending && !order.allocated {
        // It will be known with what was found, or has to be told again.
        return Err(order.not_now(Action::Allocate));
    }
    let known = order.supply.get(sku).is_some_and(|supply| {
        stock_revision <= supply.as_of || supply.fills.contains(&stock_revision)
    });
    if known {
        return Ok(vec![]);
    }
    let mut story = Story::of(order);
    let mut left = quantity.get();
    let tell = |story: &mut Story, line, quantity| {
        let location = location.clone();
        let filled = OrderBackorderFilled { line, location, quantity, stock_revision };
        story.tell(OrderEvent::BackorderFilled(filled));
    };
    for line in order.lines_of(sku) {
        let awaited = order.lines.get(line as usize).map_or(0, |ledger| ledger.backordered);
        if let Ok(quantity) = Quantity::new(awaited.min(left).into()) {
            left -= quantity.get();
            tell(&mut story, line, quantity);
        }
    }
    if let (Ok(quantity), Some(line)) = (Quantity::new(left.into()), order.lines_of(sku).next()) {
        tell(&mut story, line, quantity);
        let units = vec![LocatedUnits { location: location.clone(), quantity }];
        let released = vec![LineAllocation { line, units, backordered: 0 }];
        let fill = [id.to_string(), sku.to_string(), stock_revision.to_string()];
        let movement = MovementId(derive_uuid(&["unwanted", &fill[0], &fill[1], &fill[2]]));
        let (lines, reason) = (vec![], CancelReason::Other);
        let given_back = OrderLinesCancelled { lines, reason, movement, released };
        story.tell(OrderEvent::LinesCancelled(given_back));
    }
    story.send_what_may_leave(id);
    Ok(story.events)
}

/// Delivery is promised when the goods are set aside or awaited, and the money is held or paid. From
/// here on the order is in motion.
pub(super) fn confirm(order: &PlacedOrder, id: OrderId) -> Decision {
    match order.status {
        OrderStatus::Pending => {}
        OrderStatus::Confirmed | OrderStatus::Completed => return Ok(vec![]),
        OrderStatus::Cancelled(_) | OrderStatus::Rejected(_) => {
            return Err(order.not_now(Action::Confirm));
        }
    }
    order.must_not_be_held()?;
    let has_goods = order.details.lines.iter().any(|line| line.kind == LineKind::Goods);
    if has_goods && !order.allocated {
        return Err(order.not_now(Action::Confirm));
    }
    order.must_be_funded()?;
    let mut story = Story::of(order);
    story.tell(OrderEvent::Confirmed(OrderConfirmed {}));
    story.capture_at_once();
    story.settle(CancelReason::Other);
    story.send_what_may_leave(id);
    story.close_if_done();
    Ok(story.events)
}

/// An order is refused only before delivery was promised.
pub(super) fn reject(order: &PlacedOrder, reason: &RejectReason) -> Decision {
    match order.status {
        OrderStatus::Pending => {
            let mut story = Story::of(order);
            story.tell(OrderEvent::Rejected(OrderRejected { reason: reason.clone() }));
            story.settle(CancelReason::Inventory);
            Ok(story.events)
        }
        OrderStatus::Cancelled(_) | OrderStatus::Rejected(_) => Ok(vec![]),
        OrderStatus::Confirmed | OrderStatus::Completed => Err(order.not_now(Action::Reject)),
    }
}

/// A hold makes sense as long as something can still leave.
pub(super) fn hold(
    order: &PlacedOrder,
    hold: &HoldName,
    reason: HoldReason,
    note: Option<&Sealed>,
    movement: MovementId,
) -> Decision {
    match order.movements.get(&movement) {
        None => {}
        Some(Remembered::Held(known)) if known == hold => return Ok(vec![]),
        Some(_) => return Err(OrderRejection::KeyReused),
    }
    if order.holds.contains_key(hold) {
        return Ok(vec![]);
    }
    order.must_be_open(Action::Hold)?;
    if order.status == OrderStatus::Confirmed && order.unshipped() == 0 {
        return Err(OrderRejection::AlreadyLeft);
    }
    let (hold, note, movement) = (hold.clone(), note.cloned(), Some(movement));
    Ok(vec![OrderEvent::Held(OrderHeld { hold, reason, automatic: false, movement, note })])
}

/// When the last hold is gone, what may leave leaves.
pub(super) fn release_hold(
    order: &PlacedOrder,
    hold: &HoldName,
    movement: MovementId,
    id: OrderId,
) -> Decision {
    match order.movements.get(&movement) {
        None => {}
        Some(Remembered::HoldReleased(known)) if known == hold => return Ok(vec![]),
        Some(_) => return Err(OrderRejection::KeyReused),
    }
    if !order.holds.contains_key(hold) {
        return Ok(vec![]);
    }
    let mut story = Story::of(order);
    let hold = hold.clone();
    story.tell(OrderEvent::HoldReleased(OrderHoldReleased { hold, movement }));
    story.send_what_may_leave(id);
    Ok(story.events)
}

/// What the stock found, as it is handed out to lines.
struct Found<'a>(BTreeMap<&'a Sku, Shelves>);

/// Units per location, and units that are awaited.
type Shelves = (Vec<(LocationCode, u32)>, u32);

impl<'a> Found<'a> {
    fn new(goods: &'a [SkuAllocation]) -> Self {
        let of = |it: &'a SkuAllocation| {
            let units = it.units.iter().map(|at| (at.location.clone(), at.quantity.get()));
            (&it.sku, (units.collect(), it.backordered))
        };
        Self(goods.iter().map(of).collect())
    }

    /// What there is for `wanted` units of a line, and how many of them are missing.
    fn take(&mut self, line: u32, sku: &Sku, wanted: u32) -> (Option<LineAllocation>, u32) {
        let Some((places, awaited)) = self.0.get_mut(sku) else { return (None, wanted) };
        let mut missing = wanted;
        let mut units = vec![];
        for (location, here) in places.iter_mut() {
            let taken = missing.min(*here);
            if let Ok(quantity) = Quantity::new(taken.into()) {
                units.push(LocatedUnits { location: location.clone(), quantity });
                *here -= taken;
                missing -= taken;
            }
        }
        let backordered = missing.min(*awaited);
        *awaited -= backordered;
        missing -= backordered;
        let something = !units.is_empty() || backordered > 0;
        (something.then_some(LineAllocation { line, units, backordered }), missing)
    }

    /// What no line wants any more, by the first line of its SKU.
    fn rest(self, order: &PlacedOrder) -> Vec<LineAllocation> {
        let of = |(sku, (places, backordered)): (&Sku, Shelves)| {
            let line = order.lines_of(sku).next()?;
            let units: Vec<_> = places.into_iter().filter_map(located).collect();
            let something = !units.is_empty() || backordered > 0;
            something.then_some(LineAllocation { line, units, backordered })
        };
        self.0.into_iter().filter_map(of).collect()
    }
}

fn located((location, count): (LocationCode, u32)) -> Option<LocatedUnits> {
    Quantity::new(count.into()).ok().map(|quantity| LocatedUnits { location, quantity })
}

/// Ids must be the same when the decision is repeated: the revisions of the stock are.
fn named_after(goods: &[SkuAllocation], what: &str) -> MovementId {
    let asked: Vec<_> = goods.iter().map(|it| format!("{}@{}", it.sku, it.as_of)).collect();
    MovementId(derive_uuid(&["allocation", what, &asked.join(",")]))
}

fn named_after_cancellation(order: &PlacedOrder) -> MovementId {
    let before: Vec<_> = order.movements.keys().map(ToString::to_string).collect();
    MovementId(derive_uuid(&["surplus", &before.join(",")]))
}
