//! How many: a count of units that is never zero and never absurd.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A number of units, from 1 to [`Quantity::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "i64", into = "i64")]
#[cfg_attr(feature = "schema", schemars(with = "i64"))]
pub struct Quantity(u32);

/// A number that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a quantity must be between 1 and {max}, not {0}", max = Quantity::MAX)]
pub struct InvalidQuantity(pub i64);

impl Quantity {
    /// One unit.
    pub const ONE: Self = Self(1);
    /// The largest number of units of one line or receipt.
    pub const MAX: u32 = 10_000_000;

    /// Parses a count.
    ///
    /// # Errors
    /// Below 1 or above [`Quantity::MAX`].
    pub fn new(count: i64) -> Result<Self, InvalidQuantity> {
        match u32::try_from(count) {
            Ok(units @ 1..=Self::MAX) => Ok(Self(units)),
            _ => Err(InvalidQuantity(count)),
        }
    }

    /// The nearest quantity to `count`, for sums that were checked when their parts were accepted.
    pub fn nearest(count: u64) -> Self {
        Self(u32::try_from(count).unwrap_or(Self::MAX).clamp(1, Self::MAX))
    }

    /// The count.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for Quantity {
    type Error = InvalidQuantity;

    fn try_from(count: i64) -> Result<Self, Self::Error> {
        Self::new(count)
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> Self {
        i64::from(quantity.0)
    }
}

impl From<Quantity> for u64 {
    fn from(quantity: Quantity) -> Self {
        Self::from(quantity.0)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_negative_and_absurd_counts_are_no_quantities() {
        for count in [0, -1, 10_000_001, i64::MAX, i64::MIN] {
            assert_eq!(Quantity::new(count), Err(InvalidQuantity(count)));
        }
        assert_eq!(Quantity::new(10_000_000).map(Quantity::get), Ok(10_000_000));
    }
}
