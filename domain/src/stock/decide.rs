//! The rule book of stock. What follows from every decision alike is in `consequences`.

use chrono::{DateTime, Utc};

use super::allocation::{allocate, sum, unwanted_units};
use super::command::StockCommand;
use super::consequences::{Course, expired};
use super::error::StockRejection;
use super::event::{
    StockAdjusted, StockClosed, StockCommitted, StockCounted, StockEvent, StockPolicyChanged,
    StockReceived, StockReleased, StockReserved, StockRestocked, StockShipped, StockUnitsReleased,
};
use super::state::{Movement, Settlement, StockState};
use super::terms::{Acceptance, LocatedUnits, StockPolicy};
use crate::ids::{LocationCode, MovementId, OrderId, ReceiptId};
use crate::quantity::Quantity;

/// Units on hand at one location that a count or a correction may lead to.
pub(super) const MAX_ON_HAND: u64 = 1_000_000_000_000;

type Decision = Result<Vec<StockEvent>, StockRejection>;

pub(super) fn decide(state: &StockState, command: &StockCommand) -> Decision {
    match command.clone() {
        StockCommand::Receive { receipt, location, quantity } => {
            receive(state, receipt, LocatedUnits { location, quantity })
        }
        StockCommand::Adjust { movement, location, delta, reason } => {
            adjust(state, StockAdjusted { movement, location, delta, reason })
        }
        StockCommand::Count { movement, location, on_hand, expected } => {
            count(state, StockCounted { movement, location, on_hand, before: expected })
        }
        StockCommand::SetPolicy { movement, policy, low_stock_at } => {
            set_policy(state, StockPolicyChanged { movement, policy, low_stock_at })
        }
        StockCommand::Reserve { order, quantity, acceptance, prefer, now, expires_at } => {
            let wish = Wish { order, quantity, acceptance, prefer, expires_at };
            reserve(state, &wish, now)
        }
        StockCommand::Commit { order } => commit(state, order),
        StockCommand::Release { order } => Ok(release(state, order)),
        StockCommand::ReleaseUnits { order, movement, quantity, set_aside } => {
            release_units(state, order, movement, quantity, &set_aside)
        }
        StockCommand::Ship { order, shipment, location, quantity } => {
            ship(state, StockShipped { order, shipment: Some(shipment), location, quantity })
        }
        StockCommand::Restock { movement, order, location, quantity } => {
            restock(state, StockRestocked { movement, order, location, quantity })
        }
        StockCommand::Expire { order, now } => Ok(expire(state, order, now)),
        StockCommand::FillBackorders => Ok(fill_backorders(state)),
    }
}

// ── What is on hand ──────────────────────────────────────────────────────────────────────────────

/// A receipt counts once, and never with other goods.
fn receive(state: &StockState, receipt: ReceiptId, given: LocatedUnits) -> Decision {
    match state.receipt(receipt) {
        Some(recorded) if *recorded == given => Ok(vec![]),
        Some(recorded) => {
            Err(StockRejection::ReceiptConflict { recorded: recorded.clone(), given })
        }
        None => {
            let LocatedUnits { location, quantity } = given;
            Ok(vec![StockEvent::Received(StockReceived { receipt, location, quantity })])
        }
    }
}

/// A correction leaves at least what is set aside, and never less than nothing.
fn adjust(state: &StockState, wanted: StockAdjusted) -> Decision {
    let StockAdjusted { movement, ref location, delta, reason } = wanted;
    let this = Movement::Adjusted { location: location.clone(), delta, reason };
    if was_done(state, movement, &this)? {
        return Ok(vec![]);
    }
    if delta == 0 {
        return Err(StockRejection::NoDifference);
    }
    let on_hand = state.at(location).on_hand;
    let Some(left) = on_hand.checked_add_signed(delta) else {
        let (location, taken) = (location.clone(), delta.unsigned_abs());
        return Err(StockRejection::BelowZero { location, on_hand, taken });
    };
    check_on_hand(state, location, left)?;
    Ok(vec![StockEvent::Adjusted(wanted)])
}

/// A count is taken only from somebody who knew the number in the books, and leaves at least what
/// is set aside. Counting what was expected is worth recording, too.
fn count(state: &StockState, wanted: StockCounted) -> Decision {
    let StockCounted { movement, ref location, on_hand, before } = wanted;
    let this = Movement::Counted { location: location.clone(), on_hand, before };
    if was_done(state, movement, &this)? {
        return Ok(vec![]);
    }
    let actual = state.at(location).on_hand;
    if before != actual {
        let (location, expected) = (location.clone(), before);
        return Err(StockRejection::StaleQuantity { location, expected, actual });
    }
    check_on_hand(state, location, on_hand)?;
    Ok(vec![StockEvent::Counted(wanted)])
}

/// Goods that came back are put onto the shelf once.
fn restock(state: &StockState, wanted: StockRestocked) -> Decision {
    let StockRestocked { movement, order, ref location, quantity } = wanted;
    let units = LocatedUnits { location: location.clone(), quantity };
    if was_done(state, movement, &Movement::Restocked { order, units })? {
        return Ok(vec![]);
    }
    Ok(vec![StockEvent::Restocked(wanted)])
}

/// Counting begins only where no more was promised than is there.
fn set_policy(state: &StockState, wanted: StockPolicyChanged) -> Decision {
    let StockPolicyChanged { movement, policy, low_stock_at } = wanted;
    if was_done(state, movement, &Movement::PolicySet { policy, low_stock_at })? {
        return Ok(vec![]);
    }
    check_size(low_stock_at.unwrap_or(0))?;
    if policy != StockPolicy::Untracked
        && let Some((location, shelf)) =
            state.locations().find(|(_, shelf)| shelf.reserved > shelf.on_hand)
    {
        return Err(StockRejection::MorePromisedThanOnHand {
            location: location.clone(),
            on_hand: shelf.on_hand,
            reserved: shelf.reserved,
        });
    }
    Ok(vec![StockEvent::PolicyChanged(wanted)])
}

fn check_on_hand(
    state: &StockState,
    location: &LocationCode,
    on_hand: u64,
) -> Result<(), StockRejection> {
    check_size(on_hand)?;
    let reserved = state.at(location).reserved;
    if state.is_tracked() && on_hand < reserved {
        let location = location.clone();
        return Err(StockRejection::BelowReserved { location, on_hand, reserved });
    }
    Ok(())
}

fn check_size(units: u64) -> Result<(), StockRejection> {
    if units > MAX_ON_HAND {
        return Err(StockRejection::TooManyUnits { units, max: MAX_ON_HAND });
    }
    Ok(())
}

/// Whether this very movement was recorded before.
fn was_done(
    state: &StockState,
    movement: MovementId,
    this: &Movement,
) -> Result<bool, StockRejection> {
    match state.movement(movement) {
        None => Ok(false),
        Some(recorded) if recorded == this => Ok(true),
        Some(_) => Err(StockRejection::MovementConflict),
    }
}

// ── What is set aside ────────────────────────────────────────────────────────────────────────────

/// What an order wants.
struct Wish {
    order: OrderId,
    quantity: Quantity,
    acceptance: Acceptance,
    prefer: Option<LocationCode>,
    expires_at: Option<DateTime<Utc>>,
}

/// Units are set aside once per order. When there are too few, reservations that are over make
/// room first; then the policy says whether the rest is refused or promised.
fn reserve(state: &StockState, wish: &Wish, now: DateTime<Utc>) -> Decision {
    if was_reserved(state, wish)? {
        return Ok(vec![]);
    }
    if !state.is_known() {
        return Err(StockRejection::UnknownSku);
    }
    let mut course = Course::of(state);
    if state.is_tracked() {
        course.make_room(wish.quantity, now);
    }
    let state = &course.state;
    let (requested, available) = (u64::from(wish.quantity), state.available());
    let is_enough =
        requested <= available || wish.acceptance == Acceptance::Partial && available > 0;
    let allocations = match state.policy() {
        StockPolicy::Deny if !is_enough => {
            return Err(StockRejection::InsufficientStock { requested, available });
        }
        StockPolicy::Backorder if available == 0 => vec![],
        StockPolicy::Untracked | StockPolicy::Deny | StockPolicy::Backorder => {
            allocate(state, wish.quantity, wish.prefer.as_ref())
        }
    };
    let backordered = match state.policy() {
        StockPolicy::Backorder => wish.quantity.get() - units_in(&allocations),
        StockPolicy::Untracked | StockPolicy::Deny => 0,
    };
    let (order, expires_at) = (wish.order, wish.expires_at);
    let reserved = StockReserved { order, allocations, backordered, expires_at };
    course.events.push(StockEvent::Reserved(reserved));
    Ok(course.events)
}

/// Whether the order has, or had, what it wants. What was given back is not set aside again.
fn was_reserved(state: &StockState, wish: &Wish) -> Result<bool, StockRejection> {
    let requested = u64::from(wish.quantity);
    if let Some(reservation) = state.allocation_of(wish.order) {
        let reserved = reservation.granted();
        let is_partial = wish.acceptance == Acceptance::Partial && reserved < requested;
        if reserved == requested || is_partial {
            return Ok(true);
        }
        return Err(StockRejection::ReservationConflict { reserved, requested });
    }
    match state.settlement(wish.order) {
        None => Ok(false),
        Some(Settlement::Shipped) => Ok(true),
        Some(Settlement::Released) => Err(StockRejection::ReservationReleased),
        Some(Settlement::Expired) => Err(StockRejection::ReservationExpired),
    }
}

/// A reservation that is still there can be made permanent, even when its time is over.
fn commit(state: &StockState, order: OrderId) -> Decision {
    if let Some(reservation) = state.allocation_of(order) {
        if reservation.committed {
            return Ok(vec![]);
        }
        return Ok(vec![StockEvent::Committed(StockCommitted { order })]);
    }
    match state.settlement(order) {
        None => Err(StockRejection::NothingReserved),
        Some(Settlement::Shipped) => Ok(vec![]),
        Some(Settlement::Released) => Err(StockRejection::ReservationReleased),
        Some(Settlement::Expired) => Err(StockRejection::ReservationExpired),
    }
}

/// Everything that has not shipped goes back, and a reservation that comes too late is refused.
fn release(state: &StockState, order: OrderId) -> Vec<StockEvent> {
    if let Some(reservation) = state.allocation_of(order) {
        return vec![StockEvent::Released(StockReleased {
            order,
            allocations: reservation.allocations.clone(),
            backordered: reservation.backordered,
        })];
    }
    if state.settlement(order).is_some() || !state.is_known() {
        return vec![];
    }
    vec![StockEvent::Closed(StockClosed { order })]
}

/// An order can give back what has not shipped.
fn release_units(
    state: &StockState,
    order: OrderId,
    movement: MovementId,
    quantity: Quantity,
    set_aside: &[LocatedUnits],
) -> Decision {
    let requested = u64::from(quantity);
    match state.movement(movement) {
        None => {}
        // Less was given back than was asked for where goods had come in meanwhile.
        Some(&Movement::UnitsReleased { order: known, quantity })
            if known == order && quantity <= requested =>
        {
            return Ok(vec![]);
        }
        Some(_) => return Err(StockRejection::MovementConflict),
    }
    let Some(reservation) = state.allocation_of(order) else {
        return match state.settlement(order) {
            Some(Settlement::Released | Settlement::Expired) => Ok(vec![]),
            // What was awaited came, and was given back by name.
            Some(Settlement::Shipped) if set_aside.is_empty() => Ok(vec![]),
            Some(Settlement::Shipped) | None => Err(StockRejection::NothingReserved),
        };
    };
    for believed in set_aside {
        let (location, requested) = (believed.location.clone(), believed.quantity);
        let allocated = reservation.allocated_at(&location);
        if u64::from(requested) > allocated {
            return Err(StockRejection::NotAllocatedHere { location, allocated, requested });
        }
    }
    let (allocations, backordered) = unwanted_units(reservation, quantity, set_aside);
    if allocations.is_empty() && backordered == 0 {
        return Ok(vec![]);
    }
    let released = StockUnitsReleased { order, movement, allocations, backordered };
    Ok(vec![StockEvent::UnitsReleased(released)])
}

/// Only what is set aside for the order at the location leaves it, once per shipment.
fn ship(state: &StockState, wanted: StockShipped) -> Decision {
    let StockShipped { order, shipment, ref location, quantity } = wanted;
    if let Some(recorded) = shipment.and_then(|shipment| state.shipment(shipment)) {
        let (recorded, location) = (recorded.clone(), location.clone());
        let given = LocatedUnits { location, quantity };
        if recorded == given {
            return Ok(vec![]);
        }
        return Err(StockRejection::ShipmentConflict { recorded, given });
    }
    let Some(reservation) = state.allocation_of(order) else {
        return Err(StockRejection::NothingReserved);
    };
    let allocated = reservation.allocated_at(location);
    if u64::from(quantity) > allocated {
        let (location, requested) = (location.clone(), quantity);
        return Err(StockRejection::NotAllocatedHere { location, allocated, requested });
    }
    Ok(vec![StockEvent::Shipped(wanted)])
}

/// Nothing is given back before its time, nor when it is permanent.
fn expire(state: &StockState, order: OrderId, now: DateTime<Utc>) -> Vec<StockEvent> {
    match state.allocation_of(order) {
        Some(reservation) if reservation.is_over(now) => vec![expired((order, reservation))],
        Some(_) | None => vec![],
    }
}

/// What one decision could not supply, the next one does.
fn fill_backorders(state: &StockState) -> Vec<StockEvent> {
    if !state.can_fill() {
        return vec![];
    }
    let mut course = Course::of(state);
    course.fill_backorders();
    course.events
}

fn units_in(allocations: &[LocatedUnits]) -> u32 {
    u32::try_from(sum(allocations)).unwrap_or(u32::MAX)
}
