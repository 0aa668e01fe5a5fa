//! The stock of one SKU, as later decisions need to know it. What each event does to it is in
//! `evolve`, how it is written down in `kept`.

mod evolve;
mod kept;
mod reservation;

use chrono::{DateTime, Utc};
use rpds::{HashTrieMapSync as Map, RedBlackTreeMapSync as SortedMap};
use serde::{Deserialize, Serialize};

pub use self::reservation::Reservation;
use super::terms::{AdjustReason, LocatedUnits, StockPolicy};
use crate::ids::{LocationCode, MovementId, OrderId, ReceiptId, ShipmentId};
use crate::quantity::Quantity;

/// The stock of one SKU, as later decisions need to know it.
///
/// Every receipt, movement, shipment and order is remembered for ever: a command may be repeated
/// after any time. A receipt takes about 165 bytes, a movement 180, an order that has shipped 310
/// (with what the allocator adds, measured on 64-bit Linux), so a million orders of one SKU take
/// 310 MB. The maps share their parts between versions: a copy takes microseconds and no memory
/// whatever their size, and a change to the copy a few kB even then. What is asked for by age (the
/// oldest promise, the reservation that is over first) has a sorted map of its own, so that nothing
/// ever looks through all orders.
///
/// It is kept outside memory too (`schemas` has the version of what is kept): whoever changes what an
/// event does to it, or its fields, raises that version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "kept::Kept", into = "kept::Kept")]
pub struct StockState {
    known: bool,
    policy: StockPolicy,
    low_stock_at: Option<u64>,
    on_hand: u64,
    reserved: u64,
    backordered: u64,
    shelves: SortedMap<LocationCode, Shelf>,
    reservations: Map<OrderId, Reservation>,
    /// Orders that await goods, by their turn.
    waiting: SortedMap<u64, OrderId>,
    next_turn: u64,
    /// Reservations that are not permanent, by their end.
    expiring: SortedMap<(DateTime<Utc>, OrderId), ()>,
    receipts: Map<ReceiptId, LocatedUnits>,
    movements: Map<MovementId, Movement>,
    shipments: Map<ShipmentId, LocatedUnits>,
    settled: Map<OrderId, Settlement>,
}

/// What one location has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shelf {
    /// Units there, set aside or not.
    pub on_hand: u64,
    /// Units set aside for orders.
    pub reserved: u64,
}

impl Shelf {
    /// Units that nobody has set aside.
    pub const fn free(&self) -> u64 {
        self.on_hand.saturating_sub(self.reserved)
    }
}

/// What became of the units of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Settlement {
    Shipped,
    /// Given back, or never to be set aside.
    Released,
    /// Given back because its time was over.
    Expired,
}

/// A correction, a count and so on, to tell a repetition from another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Movement {
    Adjusted { location: LocationCode, delta: i64, reason: AdjustReason },
    Counted { location: LocationCode, on_hand: u64, before: u64 },
    PolicySet { policy: StockPolicy, low_stock_at: Option<u64> },
    UnitsReleased { order: OrderId, quantity: u64 },
    Restocked { order: OrderId, units: LocatedUnits },
}

impl StockState {
    /// Units on the shelves, set aside or not.
    pub const fn on_hand(&self) -> u64 {
        self.on_hand
    }

    /// Units set aside for orders.
    pub const fn reserved(&self) -> u64 {
        self.reserved
    }

    /// Units that can still be set aside. None while orders await goods: whoever comes later does
    /// not overtake them.
    pub fn available(&self) -> u64 {
        if self.backordered > 0 {
            return 0;
        }
        self.shelves.values().map(Shelf::free).sum()
    }

    /// Units promised to orders that are still awaited.
    pub const fn backordered(&self) -> u64 {
        self.backordered
    }

    /// Whether anybody ever told us of this SKU: goods came in, or its policy was set.
    pub const fn is_known(&self) -> bool {
        self.known
    }

    /// What happens when more is wanted than there is.
    pub const fn policy(&self) -> StockPolicy {
        self.policy
    }

    /// A warning is wanted when so many units, or fewer, are available.
    pub const fn low_stock_at(&self) -> Option<u64> {
        self.low_stock_at
    }

    /// Whether so few units are available that a warning is wanted.
    pub fn is_low(&self) -> bool {
        let is_below = |threshold| self.available() <= threshold;
        self.is_tracked() && self.low_stock_at.is_some_and(is_below)
    }

    /// Whether no units are available. Never when nobody counts.
    pub fn is_out(&self) -> bool {
        self.is_tracked() && self.available() == 0
    }

    /// What is set aside for `order`, promised to it, and not shipped.
    pub fn allocation_of(&self, order: OrderId) -> Option<&Reservation> {
        self.reservations.get(&order)
    }

    /// What each location has, by its code.
    pub fn locations(&self) -> impl Iterator<Item = (&LocationCode, &Shelf)> {
        self.shelves.iter()
    }

    /// What `location` has.
    pub fn at(&self, location: &LocationCode) -> Shelf {
        self.shelves.get(location).copied().unwrap_or_default()
    }

    /// Whether there are goods for orders that await some: more than one decision could supply. A
    /// [`FillBackorders`](super::StockCommand::FillBackorders) goes on.
    pub fn can_fill(&self) -> bool {
        let is_free = || self.shelves.values().any(|shelf| shelf.free() > 0);
        self.backordered > 0 && (!self.is_tracked() || is_free())
    }

    /// Whether units are counted.
    pub(super) fn is_tracked(&self) -> bool {
        self.policy != StockPolicy::Untracked
    }

    /// The order that has been awaiting goods for the longest time, and how many units.
    pub(super) fn oldest_backorder(&self) -> Option<(OrderId, Quantity)> {
        let (_, &order) = self.waiting.first()?;
        let units = self.reservations.get(&order)?.backordered;
        Some((order, Quantity::nearest(units.into())))
    }

    /// The reservation whose time was over first, if any is over at `now`.
    pub(super) fn first_over(&self, now: DateTime<Utc>) -> Option<(OrderId, &Reservation)> {
        let (&(end, order), ()) = self.expiring.first()?;
        if end > now {
            return None;
        }
        self.reservations.get(&order).map(|reservation| (order, reservation))
    }

    pub(super) fn receipt(&self, receipt: ReceiptId) -> Option<&LocatedUnits> {
        self.receipts.get(&receipt)
    }

    pub(super) fn movement(&self, movement: MovementId) -> Option<&Movement> {
        self.movements.get(&movement)
    }

    pub(super) fn shipment(&self, shipment: ShipmentId) -> Option<&LocatedUnits> {
        self.shipments.get(&shipment)
    }

    pub(super) fn settlement(&self, order: OrderId) -> Option<Settlement> {
        self.settled.get(&order).copied()
    }
}
