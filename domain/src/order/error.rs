//! The rules that a command to an order can break.

use thiserror::Error;

use super::command::Action;
use super::state::{OrderStatus, ReturnProgress, ShipmentStatus};
use crate::ids::{HoldName, LocationCode, PaymentId, RefundId, ReturnId, ShipmentId, Sku};
use crate::money::Money;
use crate::pricing::PriceError;

/// The rule that a command to an order would have broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OrderRejection {
    /// There is no such order.
    #[error("there is no such order")]
    NotFound,
    /// Another order was placed under this id before.
    #[error("another order was placed under this key before; use a new key for a new order")]
    IdempotencyConflict,
    /// Something else was done under this id before.
    #[error("something else was done under this key before; use a new key")]
    KeyReused,
    /// An order has at least one line.
    #[error("an order needs at least one line")]
    NoLines,
    /// An order has at most so many lines.
    #[error("{lines} lines are too many, an order has at most {max}; split it")]
    TooManyLines {
        /// Lines given.
        lines: usize,
        /// Lines allowed.
        max: usize,
    },
    /// A title is a name, not a text.
    #[error("the title of line {line} has {length} characters, at most {max} are allowed")]
    TitleTooLong {
        /// Which line, from 0.
        line: usize,
        /// Characters given.
        length: usize,
        /// Characters allowed.
        max: usize,
    },
    /// The prices do not add up.
    #[error("the prices of the order are not right")]
    Prices(#[from] PriceError),
    /// Over all lines, not more of a SKU than one reservation can hold.
    #[error("{units} units of {sku} are too many, one order has at most {max}")]
    TooManyUnits {
        /// Of which SKU.
        sku: Sku,
        /// Units over all lines.
        units: u64,
        /// Units allowed.
        max: u32,
    },
    /// What the order has been through does not allow this any more, or not yet.
    #[error("an order that is {status} does not allow this: {action}")]
    InvalidTransition {
        /// Where the order is.
        status: OrderStatus,
        /// What was wanted.
        action: Action,
    },
    /// The order is held.
    #[error("the order is held: release the holds first")]
    OnHold {
        /// By what.
        holds: Vec<HoldName>,
    },
    /// There is no such line, or not so many units of it for this.
    #[error("line {line} has {available} units that this can be done with, not {requested}")]
    NotSoMany {
        /// Which line, from 0.
        line: u32,
        /// Units wanted.
        requested: u32,
        /// Units for which it would be possible.
        available: u32,
    },
    /// Nothing was named that it could be done with.
    #[error("there is nothing that this could be done with")]
    NothingToDo,
    /// There are not so many units of the line at the location.
    #[error("{available} units of line {line} are allocated at {location}, not {requested}")]
    NotAllocated {
        /// Which line, from 0.
        line: u32,
        /// Where.
        location: LocationCode,
        /// Units wanted.
        requested: u32,
        /// Units there that are in no other shipment.
        available: u32,
    },
    /// There is no such payment.
    #[error("the order has no payment {payment}")]
    NoSuchPayment {
        /// Which one.
        payment: PaymentId,
    },
    /// Amounts are above zero.
    #[error("an amount must be above zero, not {amount}")]
    NotPositive {
        /// As given.
        amount: Money,
    },
    /// Amounts are in the order's currency.
    #[error("{amount} is not in the order's currency")]
    OtherCurrency {
        /// As given.
        amount: Money,
    },
    /// Not more is captured than is held and to be paid.
    #[error("{requested} cannot be captured, {available} can")]
    OverCapture {
        /// As given.
        requested: Money,
        /// What can be captured.
        available: Money,
    },
    /// Not more is paid than is owed.
    #[error("{requested} is more than the {available} still to be paid")]
    OverPayment {
        /// As given.
        requested: Money,
        /// What is still to be paid.
        available: Money,
    },
    /// Not more goes back than came.
    #[error("{requested} cannot be refunded, {available} can")]
    OverRefund {
        /// As given.
        requested: Money,
        /// What can be refunded.
        available: Money,
    },
    /// Goods do not leave unpaid.
    #[error("{outstanding} are still to be paid, only {held} are held")]
    Unfunded {
        /// Still to be paid.
        outstanding: Money,
        /// Held by gateways.
        held: Money,
    },
    /// The money that is held is still needed.
    #[error("the payment is still needed for goods of this order; cancel them first")]
    StillNeeded,
    /// There is no such capture or refund.
    #[error("the order knows no such movement of money")]
    NoSuchMovement,
    /// There is no such refund.
    #[error("the order has no refund {refund}")]
    NoSuchRefund {
        /// Which one.
        refund: RefundId,
    },
    /// There is no such shipment.
    #[error("the order has no shipment {shipment}")]
    NoSuchShipment {
        /// Which one.
        shipment: ShipmentId,
    },
    /// The shipment does not allow this any more, or not yet.
    #[error("a shipment that is {status} does not allow this")]
    ShipmentStatus {
        /// Where it is.
        status: ShipmentStatus,
    },
    /// There is no such parcel.
    #[error("the shipment has {parcels} parcels")]
    NoSuchParcel {
        /// How many it has.
        parcels: usize,
    },
    /// There is no such return.
    #[error("the order has no return {return_id}")]
    NoSuchReturn {
        /// Which one.
        return_id: ReturnId,
    },
    /// The return does not allow this any more, or not yet.
    #[error("a return that is {status} does not allow this")]
    ReturnStatus {
        /// Where it is.
        status: ReturnProgress,
    },
    /// The goods have left.
    #[error("goods of this order have left; its address can no longer be changed")]
    AlreadyLeft,
    /// The order is somebody else's.
    #[error("the order belongs to another customer")]
    OtherCustomer,
}
