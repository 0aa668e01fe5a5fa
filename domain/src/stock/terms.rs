//! The words that stock is talked about in.
//!
//! These types are stored. A change of shape is a new version with an upcaster in `schemas`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::LocationCode;
use crate::quantity::Quantity;

/// What happens when more of a SKU is wanted than there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum StockPolicy {
    /// Nobody counts: there is always enough.
    Untracked,
    /// It is refused.
    #[default]
    Deny,
    /// It is promised, and supplied as soon as goods come in, the oldest promise first.
    Backorder,
}

/// Whether an order can do with less than it wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Acceptance {
    /// All units, or none.
    #[default]
    AllOrNothing,
    /// As many units as there are, but at least one.
    Partial,
}

/// Why the number on hand was corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AdjustReason {
    /// Turned up.
    Found,
    /// Cannot be found.
    Lost,
    /// Cannot be sold any more.
    Damaged,
    /// Was taken.
    Stolen,
    /// The number was wrong.
    Correction,
    /// Anything else.
    Other,
}

/// Some units at one location.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LocatedUnits {
    /// Where.
    pub location: LocationCode,
    /// How many.
    pub quantity: Quantity,
}

impl fmt::Display for LocatedUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.quantity, self.location)
    }
}
