//! The frozen prices of an order: what the caller has worked out is checked, split over lines and
//! units, and never worked out again.
//!
//! No price list, no tax table and no promotion belongs here: the caller prices. Everything is in
//! whole minor units of the order's one currency; nothing is ever rounded away.

mod check;
mod error;
mod split;
mod tax;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use error::{Amount, PriceError};
pub use split::split;

use crate::order::OrderDetails;

/// What an order costs, frozen when it is placed. Minor units of the order's currency, none of them
/// below zero. Stored: see `schemas`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Prices {
    /// One per line, in the order of the lines.
    pub lines: Vec<LinePrices>,
    /// All lines before discounts.
    pub subtotal: i64,
    /// All that was taken off, lines and order together.
    pub discount: i64,
    /// All taxes, whether they came on top or are included.
    pub tax: i64,
    /// What the customer pays: the sum of the lines' totals.
    pub total: i64,
}

/// What one line costs. Minor units of the order's currency, none of them below zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LinePrices {
    /// Unit price × quantity.
    pub subtotal: i64,
    /// Taken off the line itself.
    pub discount: i64,
    /// The line's share of what was taken off the order as a whole.
    pub order_discount: i64,
    /// All taxes of the line.
    pub tax: i64,
    /// What the customer pays for the line: the subtotal without both discounts, and with the taxes
    /// unless the prices include them.
    pub total: i64,
    /// What the customer pays for one unit, rounded down.
    pub unit: i64,
    /// So many of the first units cost one minor unit more, so that all units add up to the total.
    pub dearer_units: u32,
}

impl LinePrices {
    /// What `count` units of the line cost, after its first `first`. However a line is cut into
    /// pieces, the values of the pieces add up to its total.
    ///
    /// Units are counted within the line; beyond its quantity the answer means nothing.
    pub fn value_of(&self, first: u32, count: u32) -> i64 {
        let first = u64::from(first);
        let value = self.value_of_first(first + u64::from(count)) - self.value_of_first(first);
        i64::try_from(value).unwrap_or(i64::MAX)
    }

    fn value_of_first(&self, count: u64) -> i128 {
        let dearer = count.min(u64::from(self.dearer_units));
        i128::from(self.unit) * i128::from(count) + i128::from(dearer)
    }
}

/// Checks the prices that the caller gave for an order, and freezes them.
///
/// - A line costs its unit price × quantity, less its own discounts, less its share of the order's
///   discounts. That share is in proportion to what the lines cost after their own discounts, goods
///   and charges alike; see [`split`]. Who wants an order's discount on some lines only, gives it
///   as discounts of those lines.
/// - Every tax of a line is levied on that amount; if prices include taxes, on what is left of it
///   without all of the line's taxes: `amount × rate / (1 + all rates of the line)`. A tax on a tax
///   is given with the rate that it comes to. No rate is above 1000 %.
/// - A declared tax may differ from that by the caller's own rounding: up to one minor unit for
///   each unit of the line that costs something. A tax that comes to exactly nothing is nothing.
///
/// # Errors
/// When a number is out of its range, an amount is in another currency, more is taken off than
/// there is, a tax does not fit its rate, or the declared total is not the sum of the lines.
pub fn price(details: &OrderDetails) -> Result<Prices, PriceError> {
    check::price(details)
}
