//! The rules of stock, each as a sentence.

mod backorders;
mod corrections;
mod expiry;
mod locations;
mod random;
mod reservations;
mod warnings;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::*;
use crate::ids::{LocationCode, MovementId, OrderId, ReceiptId, ShipmentId};
use crate::quantity::Quantity;
use crate::testing::given;

fn order(number: u128) -> OrderId {
    OrderId(Uuid::from_u128(number))
}

fn movement(number: u128) -> MovementId {
    MovementId(Uuid::from_u128(number))
}

fn shipment(number: u128) -> ShipmentId {
    ShipmentId(Uuid::from_u128(number))
}

fn units(count: u32) -> Quantity {
    Quantity::new(count.into()).unwrap()
}

fn location(code: &str) -> LocationCode {
    LocationCode::new(code).unwrap()
}

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
}

/// `5 at main`, and so on.
fn located(code: &str, count: u32) -> LocatedUnits {
    LocatedUnits { location: location(code), quantity: units(count) }
}

fn several(parts: &[(&str, u32)]) -> Vec<LocatedUnits> {
    parts.iter().map(|&(code, count)| located(code, count)).collect()
}

// ── Events ───────────────────────────────────────────────────────────────────────────────────────

fn received_at(code: &str, count: u32) -> StockEvent {
    let receipt = ReceiptId(Uuid::from_u128(1_000 + u128::from(count)));
    StockEvent::Received(StockReceived {
        receipt,
        location: location(code),
        quantity: units(count),
    })
}

fn received(count: u32) -> StockEvent {
    received_at("main", count)
}

fn reserved_at(number: u128, parts: &[(&str, u32)], backordered: u32) -> StockEvent {
    let (order, allocations) = (order(number), several(parts));
    StockEvent::Reserved(StockReserved { order, allocations, backordered, expires_at: None })
}

fn reserved(number: u128, count: u32) -> StockEvent {
    reserved_at(number, &[("main", count)], 0)
}

fn reserved_until(number: u128, count: u32, minute: i64) -> StockEvent {
    StockEvent::Reserved(StockReserved {
        order: order(number),
        allocations: vec![located("main", count)],
        backordered: 0,
        expires_at: Some(at(minute)),
    })
}

fn expired(number: u128, count: u32) -> StockEvent {
    let (order, allocations) = (order(number), vec![located("main", count)]);
    let expired = StockReservationExpired { order, allocations, backordered: 0 };
    StockEvent::ReservationExpired(expired)
}

fn committed(number: u128) -> StockEvent {
    StockEvent::Committed(StockCommitted { order: order(number) })
}

fn released(number: u128, count: u32) -> StockEvent {
    let (order, allocations) = (order(number), vec![located("main", count)]);
    StockEvent::Released(StockReleased { order, allocations, backordered: 0 })
}

fn closed(number: u128) -> StockEvent {
    StockEvent::Closed(StockClosed { order: order(number) })
}

fn shipped(number: u128, with: u128, code: &str, count: u32) -> StockEvent {
    StockEvent::Shipped(StockShipped {
        order: order(number),
        shipment: Some(shipment(with)),
        location: location(code),
        quantity: units(count),
    })
}

fn filled(number: u128, code: &str, count: u32) -> StockEvent {
    let (order, location) = (order(number), location(code));
    let filled = StockBackorderFilled { order, location, quantity: units(count) };
    StockEvent::BackorderFilled(filled)
}

fn policy_set(by: u128, policy: StockPolicy, low_stock_at: Option<u64>) -> StockEvent {
    let movement = movement(by);
    StockEvent::PolicyChanged(StockPolicyChanged { movement, policy, low_stock_at })
}

fn policy(policy: StockPolicy) -> StockEvent {
    policy_set(99, policy, None)
}

fn warned_at(threshold: u64) -> StockEvent {
    policy_set(98, StockPolicy::Deny, Some(threshold))
}

fn ran_low(available: u64, threshold: u64) -> StockEvent {
    StockEvent::RanLow(StockRanLow { available, threshold })
}

fn ran_out() -> StockEvent {
    StockEvent::RanOut(StockRanOut {})
}

// ── Commands ─────────────────────────────────────────────────────────────────────────────────────

fn receive_at(code: &str, count: u32) -> StockCommand {
    let receipt = ReceiptId(Uuid::from_u128(1_000 + u128::from(count)));
    StockCommand::Receive { receipt, location: location(code), quantity: units(count) }
}

fn receive(count: u32) -> StockCommand {
    receive_at("main", count)
}

fn reserve(number: u128, count: u32) -> StockCommand {
    StockCommand::Reserve {
        order: order(number),
        quantity: units(count),
        acceptance: Acceptance::AllOrNothing,
        prefer: None,
        now: at(0),
        expires_at: None,
    }
}

fn reserve_some(number: u128, count: u32) -> StockCommand {
    changed(reserve(number, count), |acceptance, _, _| *acceptance = Acceptance::Partial)
}

fn reserve_from(number: u128, count: u32, code: &str) -> StockCommand {
    changed(reserve(number, count), |_, prefer, _| *prefer = Some(location(code)))
}

fn reserve_when(number: u128, count: u32, minute: i64) -> StockCommand {
    changed(reserve(number, count), |_, _, now| *now = at(minute))
}

fn changed(
    mut command: StockCommand,
    change: impl FnOnce(&mut Acceptance, &mut Option<LocationCode>, &mut DateTime<Utc>),
) -> StockCommand {
    if let StockCommand::Reserve { acceptance, prefer, now, .. } = &mut command {
        change(acceptance, prefer, now);
    }
    command
}

fn release(number: u128) -> StockCommand {
    StockCommand::Release { order: order(number) }
}

fn release_units(number: u128, by: u128, count: u32) -> StockCommand {
    let (order, movement) = (order(number), movement(by));
    let set_aside = vec![located("main", count)];
    StockCommand::ReleaseUnits { order, movement, quantity: units(count), set_aside }
}

fn commit(number: u128) -> StockCommand {
    StockCommand::Commit { order: order(number) }
}

fn expire(number: u128, minute: i64) -> StockCommand {
    StockCommand::Expire { order: order(number), now: at(minute) }
}

fn ship(number: u128, with: u128, code: &str, count: u32) -> StockCommand {
    StockCommand::Ship {
        order: order(number),
        shipment: shipment(with),
        location: location(code),
        quantity: units(count),
    }
}

fn adjust(by: u128, delta: i64) -> StockCommand {
    let (movement, location) = (movement(by), location("main"));
    StockCommand::Adjust { movement, location, delta, reason: AdjustReason::Correction }
}

fn adjusted(by: u128, delta: i64) -> StockEvent {
    let (movement, location) = (movement(by), location("main"));
    let reason = AdjustReason::Correction;
    StockEvent::Adjusted(StockAdjusted { movement, location, delta, reason })
}

fn count(by: u128, on_hand: u64, expected: u64) -> StockCommand {
    let (movement, location) = (movement(by), location("main"));
    StockCommand::Count { movement, location, on_hand, expected }
}

fn counted(by: u128, on_hand: u64, before: u64) -> StockEvent {
    let (movement, location) = (movement(by), location("main"));
    StockEvent::Counted(StockCounted { movement, location, on_hand, before })
}

fn set_policy(by: u128, policy: StockPolicy, low_stock_at: Option<u64>) -> StockCommand {
    StockCommand::SetPolicy { movement: movement(by), policy, low_stock_at }
}

fn restock(by: u128, number: u128, count: u32) -> StockCommand {
    let (movement, order, location) = (movement(by), order(number), location("main"));
    StockCommand::Restock { movement, order, location, quantity: units(count) }
}

fn restocked(by: u128, number: u128, count: u32) -> StockEvent {
    let (movement, order, location) = (movement(by), order(number), location("main"));
    let restocked = StockRestocked { movement, order, location, quantity: units(count) };
    StockEvent::Restocked(restocked)
}

fn insufficient(requested: u64, available: u64) -> StockRejection {
    StockRejection::InsufficientStock { requested, available }
}

fn state(events: impl IntoIterator<Item = StockEvent>) -> StockState {
    let events: Vec<_> = events.into_iter().collect();
    crate::fold::<Stock>(Stock::initial(), &events)
}
