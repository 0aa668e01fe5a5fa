//! What somebody can want of a SKU's stock.

use chrono::{DateTime, Utc};

use super::terms::{Acceptance, AdjustReason, LocatedUnits, StockPolicy};
use crate::ids::{LocationCode, MovementId, OrderId, ReceiptId, ShipmentId};
use crate::quantity::Quantity;

/// What somebody can want of a SKU's stock. Each may be repeated after any time: the second time
/// changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum StockCommand {
    /// Take goods in.
    Receive {
        /// Which receipt.
        receipt: ReceiptId,
        /// Where the goods are.
        location: LocationCode,
        /// Units that came.
        quantity: Quantity,
    },
    /// Correct what is on hand by a difference. Never below what is set aside there.
    Adjust {
        /// Which correction.
        movement: MovementId,
        /// Where.
        location: LocationCode,
        /// Units more, or fewer when negative.
        delta: i64,
        /// Why.
        reason: AdjustReason,
    },
    /// Say what was counted, if the number in the books is the `expected` one.
    Count {
        /// Which count.
        movement: MovementId,
        /// Where.
        location: LocationCode,
        /// Units that were counted, set aside or not.
        on_hand: u64,
        /// Units that whoever counted believed to be there.
        expected: u64,
    },
    /// Say what happens when there is not enough, and when to warn. Makes a SKU known.
    SetPolicy {
        /// Which change.
        movement: MovementId,
        /// What happens when more is wanted than there is.
        policy: StockPolicy,
        /// Warn when so many units, or fewer, are available.
        low_stock_at: Option<u64>,
    },
    /// Set units aside for an order.
    Reserve {
        /// For which order.
        order: OrderId,
        /// Units wanted, over all lines of the order.
        quantity: Quantity,
        /// Whether fewer will do.
        acceptance: Acceptance,
        /// From here first.
        prefer: Option<LocationCode>,
        /// The time: reservations that are over by then make room.
        now: DateTime<Utc>,
        /// Until when; for as long as it takes, if not set.
        expires_at: Option<DateTime<Utc>>,
    },
    /// Make a reservation permanent: it no longer expires.
    Commit {
        /// Of which order.
        order: OrderId,
    },
    /// Give back everything of an order that has not shipped, and set none aside for it any more:
    /// where nobody knows how far its reservations came, one may still be on its way. No-op for a
    /// SKU that nobody ever told us of.
    ///
    /// What that last case leaves open: if the first goods come in between such a release and a
    /// reservation that is late, the reservation is made. Closing there too would begin the stream
    /// of every SKU that somebody mistyped in an order, and put it among the stock levels.
    Release {
        /// Of which order.
        order: OrderId,
    },
    /// Give back some units of an order: those that are set aside from where the order takes them to be,
    /// and of the rest as many as are still awaited. No-op when everything was given back before.
    ReleaseUnits {
        /// Of which order.
        order: OrderId,
        /// Which giving back.
        movement: MovementId,
        /// Units not wanted any more.
        quantity: Quantity,
        /// Where the order takes them to be set aside; the rest it takes to be awaited.
        set_aside: Vec<LocatedUnits>,
    },
    /// Hand units out. The reservation they come from no longer expires.
    Ship {
        /// Of which order.
        order: OrderId,
        /// With which shipment: it counts once.
        shipment: ShipmentId,
        /// From where.
        location: LocationCode,
        /// Units that leave.
        quantity: Quantity,
    },
    /// Put units that came back onto the shelf.
    Restock {
        /// Which return.
        movement: MovementId,
        /// Of which order.
        order: OrderId,
        /// Where they are now.
        location: LocationCode,
        /// Units that came back.
        quantity: Quantity,
    },
    /// Give back a reservation whose time is over. No-op when it is not over, permanent, or gone.
    Expire {
        /// Of which order.
        order: OrderId,
        /// The time.
        now: DateTime<Utc>,
    },
    /// Go on supplying what is awaited, where one decision could not supply all of it (see
    /// [`StockState::can_fill`](super::StockState::can_fill)). No-op when nothing can be supplied.
    FillBackorders,
}
