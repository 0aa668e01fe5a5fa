//! The stock of one SKU: received, reserved for orders, shipped.
//!
//! Never more is reserved than is on hand, so nothing is sold twice. A reservation belongs to an
//! order and is known by the order's id; the same SKU on two lines is one reservation.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::decider::Decider;
use crate::ids::{OrderId, ReceiptId};
use crate::quantity::Quantity;

/// The stock aggregate; its id is a [`Sku`](crate::ids::Sku).
#[derive(Debug, Clone, Copy)]
pub struct Stock;

/// What somebody can want of a SKU's stock.
#[derive(Debug, Clone, PartialEq)]
pub enum StockCommand {
    /// Take goods in. No-op when this receipt was taken in before.
    Receive {
        /// Which receipt.
        receipt: ReceiptId,
        /// Units that came.
        quantity: Quantity,
    },
    /// Set units aside for an order. No-op when they are set aside, or were and have shipped.
    Reserve {
        /// For which order.
        order: OrderId,
        /// Units wanted, over all lines of the order.
        quantity: Quantity,
    },
    /// Give an order's units back. No-op when none are set aside, so that an order of which nobody
    /// knows how far its reservations came can be released blindly.
    Release {
        /// Of which order.
        order: OrderId,
    },
    /// Hand an order's units out. No-op when they are gone.
    Ship {
        /// Of which order.
        order: OrderId,
    },
}

/// What can have happened to a SKU's stock. Stored: see `schemas`.
#[derive(Debug, Clone, PartialEq)]
pub enum StockEvent {
    /// Goods came in.
    Received(StockReceived),
    /// Units were set aside for an order.
    Reserved(StockReserved),
    /// An order's units were given back.
    Released(StockReleased),
    /// An order's units left.
    Shipped(StockShipped),
}

/// Goods came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockReceived {
    /// Which receipt.
    pub receipt: ReceiptId,
    /// Units that came.
    pub quantity: Quantity,
}

/// Units were set aside for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockReserved {
    /// For which order.
    pub order: OrderId,
    /// Units set aside.
    pub quantity: Quantity,
}

/// An order's units were given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockReleased {
    /// Of which order.
    pub order: OrderId,
    /// Units given back.
    pub quantity: Quantity,
}

/// An order's units left the shelf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockShipped {
    /// Of which order.
    pub order: OrderId,
    /// Units that left.
    pub quantity: Quantity,
}

/// The stock of one SKU, as later decisions need to know it.
///
/// Receipts are remembered for ever (about 40 bytes each), settled reservations only the last
/// [`REMEMBERED`]: a repeated command follows its original closely, not thousands of orders later.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StockState {
    on_hand: u64,
    reserved: u64,
    reservations: HashMap<OrderId, Quantity>,
    receipts: HashMap<ReceiptId, Quantity>,
    settled: Settled,
}

/// Settled reservations that are remembered.
pub const REMEMBERED: usize = 4_096;

/// The reservations that were settled last, and how.
#[derive(Debug, Clone, Default, PartialEq)]
struct Settled {
    order: VecDeque<OrderId>,
    shipped: HashSet<OrderId>,
    released: HashSet<OrderId>,
}

impl Settled {
    fn remember(&mut self, order: OrderId, shipped: bool) {
        if self.order.len() == REMEMBERED
            && let Some(forgotten) = self.order.pop_front()
        {
            self.shipped.remove(&forgotten);
            self.released.remove(&forgotten);
        }
        self.order.push_back(order);
        if shipped {
            self.shipped.insert(order)
        } else {
            self.released.insert(order)
        };
    }
}

impl StockState {
    /// Units on the shelf, reserved or not.
    pub const fn on_hand(&self) -> u64 {
        self.on_hand
    }

    /// Units set aside for orders.
    pub const fn reserved(&self) -> u64 {
        self.reserved
    }

    /// Units that can still be reserved.
    pub const fn available(&self) -> u64 {
        self.on_hand.saturating_sub(self.reserved)
    }

    /// Whether any goods of this SKU have ever come in.
    pub fn is_known(&self) -> bool {
        !self.receipts.is_empty()
    }

    /// Units set aside for `order`.
    pub fn reserved_for(&self, order: OrderId) -> Option<Quantity> {
        self.reservations.get(&order).copied()
    }
}

/// The rule that a command to a SKU's stock would have broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StockRejection {
    /// No goods of this SKU have ever come in.
    #[error("this SKU has never been received into stock")]
    UnknownSku,
    /// Less is available than wanted.
    #[error("{requested} units were wanted, {available} are available")]
    InsufficientStock {
        /// Units wanted.
        requested: u64,
        /// Units available.
        available: u64,
    },
    /// The receipt was taken in before, with another quantity.
    #[error(
        "this receipt was taken in before with {recorded} units, not {given}; use a new key for a new receipt"
    )]
    ReceiptConflict {
        /// Units taken in then.
        recorded: Quantity,
        /// Units given now.
        given: Quantity,
    },
    /// The order has units set aside, but another number.
    #[error("{reserved} units are reserved for this order, not {requested}")]
    ReservationConflict {
        /// Units set aside then.
        reserved: Quantity,
        /// Units wanted now.
        requested: Quantity,
    },
    /// The order's reservation was given back; it is not made again by a late repeat.
    #[error("the reservation of this order has been released")]
    ReservationReleased,
    /// Nothing is set aside for the order.
    #[error("nothing is reserved for this order")]
    NothingReserved,
}

impl Decider for Stock {
    type State = StockState;
    type Command = StockCommand;
    type Event = StockEvent;
    type Rejection = StockRejection;

    fn initial() -> StockState {
        StockState::default()
    }

    fn evolve(mut state: StockState, event: &StockEvent) -> StockState {
        match event {
            StockEvent::Received(received) => {
                state.on_hand += u64::from(received.quantity.get());
                state.receipts.insert(received.receipt, received.quantity);
            }
            StockEvent::Reserved(reserved) => {
                state.reserved += u64::from(reserved.quantity.get());
                state.reservations.insert(reserved.order, reserved.quantity);
            }
            StockEvent::Released(released) => {
                state.take_reservation(released.order);
                state.settled.remember(released.order, false);
            }
            StockEvent::Shipped(shipped) => {
                let units = state.take_reservation(shipped.order);
                state.on_hand = state.on_hand.saturating_sub(units);
                state.settled.remember(shipped.order, true);
            }
        }
        state
    }

    fn decide(
        state: &StockState,
        command: &StockCommand,
    ) -> Result<Vec<StockEvent>, StockRejection> {
        match *command {
            StockCommand::Receive { receipt, quantity } => receive(state, receipt, quantity),
            StockCommand::Reserve { order, quantity } => reserve(state, order, quantity),
            StockCommand::Release { order } => Ok(release(state, order)),
            StockCommand::Ship { order } => ship(state, order),
        }
    }
}

impl StockState {
    fn take_reservation(&mut self, order: OrderId) -> u64 {
        let units = self.reservations.remove(&order).map_or(0, |units| u64::from(units.get()));
        self.reserved = self.reserved.saturating_sub(units);
        units
    }
}

type Decision = Result<Vec<StockEvent>, StockRejection>;

fn receive(state: &StockState, receipt: ReceiptId, quantity: Quantity) -> Decision {
    match state.receipts.get(&receipt) {
        None => Ok(vec![StockEvent::Received(StockReceived { receipt, quantity })]),
        Some(&recorded) if recorded == quantity => Ok(vec![]),
        Some(&recorded) => Err(StockRejection::ReceiptConflict { recorded, given: quantity }),
    }
}

fn reserve(state: &StockState, order: OrderId, quantity: Quantity) -> Decision {
    if let Some(&reserved) = state.reservations.get(&order) {
        if reserved == quantity {
            return Ok(vec![]);
        }
        return Err(StockRejection::ReservationConflict { reserved, requested: quantity });
    }
    if state.settled.shipped.contains(&order) {
        return Ok(vec![]);
    }
    if state.settled.released.contains(&order) {
        return Err(StockRejection::ReservationReleased);
    }
    if !state.is_known() {
        return Err(StockRejection::UnknownSku);
    }
    let (requested, available) = (u64::from(quantity.get()), state.available());
    if requested > available {
        return Err(StockRejection::InsufficientStock { requested, available });
    }
    Ok(vec![StockEvent::Reserved(StockReserved { order, quantity })])
}

fn release(state: &StockState, order: OrderId) -> Vec<StockEvent> {
    match state.reservations.get(&order) {
        Some(&quantity) => vec![StockEvent::Released(StockReleased { order, quantity })],
        None => vec![],
    }
}

fn ship(state: &StockState, order: OrderId) -> Decision {
    match state.reservations.get(&order) {
        Some(&quantity) => Ok(vec![StockEvent::Shipped(StockShipped { order, quantity })]),
        None if state.settled.shipped.contains(&order) => Ok(vec![]),
        None => Err(StockRejection::NothingReserved),
    }
}
