//! The names of the projections: what bookkeeping, notifications and command lines call them.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// One of the projections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProjectionName {
    /// Orders, their lines, the work of locations and customers, from `order-…` streams.
    Orders,
    /// What is on hand and reserved per SKU, from `stock-…` streams.
    StockLevels,
    /// What the gateway did with the customers' money, from `payment-…` streams.
    Payments,
    /// Where the parcels are, from `shipment-…` streams.
    Shipments,
    /// How far each order's process is, from `fulfilment-…` streams.
    Fulfilments,
    /// Credit notes and their lines, from `credit_note-…` streams.
    CreditNotes,
    /// What customers' banks took back, from `payment-…` streams.
    #[cfg(test)]
    Disputes,
}

impl ProjectionName {
    /// All projections.
    pub const ALL: [Self; 6] = [
        Self::Orders,
        Self::StockLevels,
        Self::Payments,
        Self::Shipments,
        Self::Fulfilments,
        Self::CreditNotes,
    ];

    /// What the names of the streams begin with that it is folded from.
    pub fn category(self) -> &'static str {
        crate::lag::category_of(self)
    }

    /// The name as text: lower case, letters and `_`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::StockLevels => "stock_levels",
            Self::Payments => "payments",
            Self::Shipments => "shipments",
            Self::Fulfilments => "fulfilments",
            Self::CreditNotes => "credit_notes",
            #[cfg(test)]
            Self::Disputes => "disputes",
        }
    }
}

/// A text that names no projection.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "there is no projection `{0}`; there are orders, stock_levels, payments, shipments, fulfilments \
     and credit_notes"
)]
pub struct UnknownProjection(pub String);

impl FromStr for ProjectionName {
    type Err = UnknownProjection;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|name| name.as_str() == text)
            .ok_or_else(|| UnknownProjection(text.to_owned()))
    }
}

impl fmt::Display for ProjectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_and_no_other_is() {
        for name in ProjectionName::ALL {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        assert!("order".parse::<ProjectionName>().is_err());
    }
}
