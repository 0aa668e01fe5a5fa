//! What can have happened to a SKU's stock.
//!
//! These types are stored. A change of shape is a new version with an upcaster in `schemas`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::terms::{AdjustReason, LocatedUnits, StockPolicy};
use crate::ids::{LocationCode, MovementId, OrderId, ReceiptId, ShipmentId};
use crate::quantity::Quantity;

/// What can have happened to a SKU's stock. Stored: see `schemas`.
#[derive(Debug, Clone, PartialEq)]
pub enum StockEvent {
    /// Goods came in.
    Received(StockReceived),
    /// What is on hand was corrected by a difference.
    Adjusted(StockAdjusted),
    /// What is on hand was counted.
    Counted(StockCounted),
    /// What happens when there is not enough was changed.
    PolicyChanged(StockPolicyChanged),
    /// Units were set aside for an order, or promised to it.
    Reserved(StockReserved),
    /// A reservation no longer expires.
    Committed(StockCommitted),
    /// An order's units were given back.
    Released(StockReleased),
    /// Some of an order's units were given back.
    UnitsReleased(StockUnitsReleased),
    /// An order's units left.
    Shipped(StockShipped),
    /// No units are set aside for an order any more; there were none.
    Closed(StockClosed),
    /// The time of a reservation was over; its units were given back.
    ReservationExpired(StockReservationExpired),
    /// Units that were awaited have been set aside.
    BackorderFilled(StockBackorderFilled),
    /// Units came back onto the shelf.
    Restocked(StockRestocked),
    /// Fewer are available than somebody wants to be warned of.
    RanLow(StockRanLow),
    /// None are available any more.
    RanOut(StockRanOut),
}

macro_rules! stored {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_attribute:meta])* $field:ident: $type:ty,)* })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($(#[$field_attribute])* pub $field: $type,)*
        }
    )+};
}

stored! {
    /// Goods came in.
    StockReceived {
        /// Which receipt.
        receipt: ReceiptId,
        /// Where the goods are.
        location: LocationCode,
        /// Units that came.
        quantity: Quantity,
    }

    /// What is on hand was corrected by a difference.
    StockAdjusted {
        /// Which correction.
        movement: MovementId,
        /// Where.
        location: LocationCode,
        /// Units more, or fewer when negative.
        delta: i64,
        /// Why.
        reason: AdjustReason,
    }

    /// What is on hand was counted.
    StockCounted {
        /// Which count.
        movement: MovementId,
        /// Where.
        location: LocationCode,
        /// Units that were counted.
        on_hand: u64,
        /// Units that were in the books.
        before: u64,
    }

    /// What happens when there is not enough was changed.
    StockPolicyChanged {
        /// Which change.
        movement: MovementId,
        /// What happens when more is wanted than there is.
        policy: StockPolicy,
        /// Warn when so many units, or fewer, are available.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        low_stock_at: Option<u64>,
    }

    /// Units were set aside for an order, or promised to it.
    StockReserved {
        /// For which order.
        order: OrderId,
        /// Units set aside, each location once.
        allocations: Vec<LocatedUnits>,
        /// Units promised that are still awaited.
        backordered: u32,
        /// Until when; for as long as it takes, if not set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
    }

    /// A reservation no longer expires.
    StockCommitted {
        /// Of which order.
        order: OrderId,
    }

    /// An order's units were given back.
    StockReleased {
        /// Of which order.
        order: OrderId,
        /// Units that had been set aside.
        allocations: Vec<LocatedUnits>,
        /// Units that are not awaited any longer.
        backordered: u32,
    }

    /// Some of an order's units were given back.
    StockUnitsReleased {
        /// Of which order.
        order: OrderId,
        /// Which giving back.
        movement: MovementId,
        /// Units that had been set aside.
        allocations: Vec<LocatedUnits>,
        /// Units that are not awaited any longer.
        backordered: u32,
    }

    /// An order's units left the shelf.
    StockShipped {
        /// Of which order.
        order: OrderId,
        /// With which shipment; the one of an order of the days when an order had one, if not set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shipment: Option<ShipmentId>,
        /// From where.
        location: LocationCode,
        /// Units that left.
        quantity: Quantity,
    }

    /// No units are set aside for an order any more; there were none.
    StockClosed {
        /// For which order.
        order: OrderId,
    }

    /// The time of a reservation was over; its units were given back.
    StockReservationExpired {
        /// Of which order.
        order: OrderId,
        /// Units that had been set aside.
        allocations: Vec<LocatedUnits>,
        /// Units that are not awaited any longer.
        backordered: u32,
    }

    /// Units that were awaited have been set aside.
    StockBackorderFilled {
        /// For which order.
        order: OrderId,
        /// Where.
        location: LocationCode,
        /// How many of those that were awaited.
        quantity: Quantity,
    }

    /// Units came back onto the shelf.
    StockRestocked {
        /// Which return.
        movement: MovementId,
        /// Of which order.
        order: OrderId,
        /// Where they are now.
        location: LocationCode,
        /// Units that came back.
        quantity: Quantity,
    }

    /// Fewer are available than somebody wants to be warned of.
    StockRanLow {
        /// Units available.
        available: u64,
        /// The warning was wanted at so many.
        threshold: u64,
    }

    /// None are available any more.
    StockRanOut {}
}
