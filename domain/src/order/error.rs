//! The rules that a command to an order can break.

use thiserror::Error;

use super::state::OrderStatus;
use crate::ids::Sku;
use crate::money::{Money, MoneyError};

/// The rule that a command to an order would have broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OrderRejection {
    /// There is no such order.
    #[error("there is no such order")]
    NotFound,
    /// Another order was placed under this id before.
    #[error("another order was placed under this key before; use a new key for a new order")]
    IdempotencyConflict,
    /// An order has at least one line.
    #[error("an order needs at least one line")]
    NoLines,
    /// An order has at most [`MAX_LINES`](super::decide::MAX_LINES) lines.
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
    /// A price is not below zero.
    #[error("the unit price of line {line} is negative")]
    NegativePrice {
        /// Which line, from 0.
        line: usize,
    },
    /// All prices are in the order's currency, and fit.
    #[error("line {line} cannot be added up")]
    Arithmetic {
        /// Which line, from 0.
        line: usize,
        /// What is wrong.
        #[source]
        source: MoneyError,
    },
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
    /// The total is in the order's currency.
    #[error("the total is not in the order's currency")]
    TotalCurrency,
    /// The total is the sum over the lines.
    #[error("the total is {declared}, but the lines add up to {computed}")]
    TotalMismatch {
        /// As given.
        declared: Money,
        /// As computed.
        computed: Money,
    },
    /// What the order has been through does not allow this any more, or not yet.
    #[error("an order that is {status} cannot be {wanted}")]
    InvalidTransition {
        /// Where the order is.
        status: OrderStatus,
        /// What was wanted: `cancelled`, `shipped` and so on.
        wanted: &'static str,
    },
}
