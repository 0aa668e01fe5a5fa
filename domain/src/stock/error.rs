//! The rules that a command to a SKU's stock can break.

use thiserror::Error;

use super::terms::LocatedUnits;
use crate::ids::LocationCode;
use crate::quantity::Quantity;

/// The rule that a command to a SKU's stock would have broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StockRejection {
    /// Nobody ever told us of this SKU.
    #[error("this SKU has never been received into stock")]
    UnknownSku,
    /// Less is available than wanted.
    #[error("{requested} units were wanted, {available} are available")]
    InsufficientStock {
        /// Units wanted.
        requested: u64,
        /// Units available over all locations.
        available: u64,
    },
    /// The receipt was taken in before, with other goods.
    #[error(
        "this receipt was taken in before with {recorded}, not {given}; use a new key for a new receipt"
    )]
    ReceiptConflict {
        /// Units taken in then.
        recorded: LocatedUnits,
        /// Units given now.
        given: LocatedUnits,
    },
    /// The same movement was recorded before, and was another one.
    #[error("something else was recorded under this key before; use a new key for a new movement")]
    MovementConflict,
    /// The shipment took something else before.
    #[error("this shipment took {recorded} before, not {given}")]
    ShipmentConflict {
        /// Units that it took then.
        recorded: LocatedUnits,
        /// Units that it is to take now.
        given: LocatedUnits,
    },
    /// The order has units set aside, but another number.
    #[error("{reserved} units are reserved for this order, not {requested}")]
    ReservationConflict {
        /// Units set aside or promised then.
        reserved: u64,
        /// Units wanted now.
        requested: u64,
    },
    /// The order's reservation was given back; it is not made again by a late repeat.
    #[error("the reservation of this order has been released")]
    ReservationReleased,
    /// The time of the order's reservation was over, and its units were given back.
    #[error("the reservation of this order has expired; place a new order")]
    ReservationExpired,
    /// Nothing is set aside for the order.
    #[error("nothing is reserved for this order")]
    NothingReserved,
    /// Fewer units of the order are set aside at the location than are to leave it.
    #[error(
        "{allocated} units are set aside for this order at {location}, {requested} cannot leave or be given back"
    )]
    NotAllocatedHere {
        /// Where.
        location: LocationCode,
        /// Units set aside for the order there.
        allocated: u64,
        /// Units that are to leave.
        requested: Quantity,
    },
    /// A correction changes something.
    #[error("a correction by zero units changes nothing")]
    NoDifference,
    /// Less is on hand than is to be taken off.
    #[error("{on_hand} units are on hand at {location}, {taken} cannot be taken off")]
    BelowZero {
        /// Where.
        location: LocationCode,
        /// Units on hand there.
        on_hand: u64,
        /// Units to be taken off.
        taken: u64,
    },
    /// Fewer units would be on hand than are set aside for orders.
    #[error(
        "{reserved} units are set aside for orders at {location}, so {on_hand} on hand are too few; cancel or ship orders first"
    )]
    BelowReserved {
        /// Where.
        location: LocationCode,
        /// Units that would be on hand there.
        on_hand: u64,
        /// Units set aside there.
        reserved: u64,
    },
    /// The number in the books is not the one that whoever counted believed it to be.
    #[error("{actual} units are on hand at {location}, not {expected}; look again and count again")]
    StaleQuantity {
        /// Where.
        location: LocationCode,
        /// Units believed to be there.
        expected: u64,
        /// Units in the books.
        actual: u64,
    },
    /// While nobody counted, more was promised at a location than is on hand there.
    #[error(
        "{reserved} units are set aside at {location} and {on_hand} are on hand; count what is there before counting on it"
    )]
    MorePromisedThanOnHand {
        /// Where.
        location: LocationCode,
        /// Units on hand there.
        on_hand: u64,
        /// Units set aside there.
        reserved: u64,
    },
    /// A number that no warehouse has.
    #[error("{units} units are too many, at most {max} are allowed")]
    TooManyUnits {
        /// Units given.
        units: u64,
        /// Units allowed.
        max: u64,
    },
}
