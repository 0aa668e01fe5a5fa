//! The stock of one SKU: received, reserved for orders, shipped.
//!
//! Never more is reserved than is on hand, so nothing is sold twice. A reservation belongs to an
//! order and is known by the order's id; the same SKU on two lines is one reservation.

#[cfg(test)]
mod tests;

use rpds::HashTrieMapSync as Map;
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
    /// Give an order's units back, and set none aside for it any more: where nobody knows how far
    /// its reservations came, one may still be on its way. No-op when that was done before, when the
    /// units have shipped, and for a SKU that never came in.
    ///
    /// What that last case leaves open: if the first goods come in between such a release and a
    /// reservation that is late, the reservation is made. Closing there too would begin the stream
    /// of every SKU that somebody mistyped in an order, and put it among the stock levels.
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
    /// No units are set aside for an order any more; there were none.
    Closed(StockClosed),
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

/// No units are set aside for an order any more; there were none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockClosed {
    /// For which order.
    pub order: OrderId,
}

/// The stock of one SKU, as later decisions need to know it.
///
/// Every receipt and every order is remembered for ever: a command may be repeated after any time.
/// Each takes about 105 bytes, 130 with what the allocator adds (measured on 64-bit Linux), so a
/// million orders of one SKU take 130 MB. The maps share their parts between versions: a copy takes
/// microseconds and no memory whatever their size, and a change to the copy less than 2 kB even then.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StockState {
    on_hand: u64,
    reserved: u64,
    reservations: Map<OrderId, Quantity>,
    receipts: Map<ReceiptId, Quantity>,
    settled: Map<OrderId, Settlement>,
}

/// What became of the units of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settlement {
    Shipped,
    /// Given back, or never to be set aside.
    Released,
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
                state.receipts.insert_mut(received.receipt, received.quantity);
            }
            StockEvent::Reserved(reserved) => {
                state.reserved += u64::from(reserved.quantity.get());
                state.reservations.insert_mut(reserved.order, reserved.quantity);
            }
            StockEvent::Released(released) => {
                state.take_reservation(released.order);
                state.settled.insert_mut(released.order, Settlement::Released);
            }
            StockEvent::Shipped(shipped) => {
                let units = state.take_reservation(shipped.order);
                state.on_hand = state.on_hand.saturating_sub(units);
                state.settled.insert_mut(shipped.order, Settlement::Shipped);
            }
            StockEvent::Closed(closed) => {
                state.settled.insert_mut(closed.order, Settlement::Released);
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
        let units = self.reservations.get(&order).map_or(0, |units| u64::from(units.get()));
        self.reservations.remove_mut(&order);
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
    match state.settled.get(&order) {
        Some(Settlement::Shipped) => return Ok(vec![]),
        Some(Settlement::Released) => return Err(StockRejection::ReservationReleased),
        None => {}
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
    if let Some(&quantity) = state.reservations.get(&order) {
        return vec![StockEvent::Released(StockReleased { order, quantity })];
    }
    if state.settled.contains_key(&order) || !state.is_known() {
        return vec![];
    }
    vec![StockEvent::Closed(StockClosed { order })]
}

fn ship(state: &StockState, order: OrderId) -> Decision {
    match state.reservations.get(&order) {
        Some(&quantity) => Ok(vec![StockEvent::Shipped(StockShipped { order, quantity })]),
        None if state.settled.get(&order) == Some(&Settlement::Shipped) => Ok(vec![]),
        None => Err(StockRejection::NothingReserved),
    }
}
