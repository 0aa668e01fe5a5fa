//! Money, and what kinds of lines it is spent on.

use async_graphql::{Enum, SimpleObject};

use crate::graphql::scalars::{CurrencyCode, Decimal};

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject)]
pub(crate) struct Money {
    /// As a decimal, with exactly as many places as the currency has.
    pub(crate) amount: Decimal,
    /// Of which currency.
    pub(crate) currency_code: CurrencyCode,
}

impl Money {
    /// The amount that a table keeps as minor units and code.
    pub(crate) fn from_minor(minor: i64, currency: &str) -> Self {
        let Ok(currency) = currency.parse() else {
            // Only codes that were parsed once get into a table.
            return Self {
                amount: Decimal(minor.to_string()),
                currency_code: CurrencyCode(currency.to_owned()),
            };
        };
        domain::money::Money::new(minor, currency).into()
    }
}

impl From<domain::money::Money> for Money {
    fn from(money: domain::money::Money) -> Self {
        Self {
            amount: Decimal(money.decimal()),
            currency_code: CurrencyCode(money.currency.code().to_owned()),
        }
    }
}

/// Whether a line takes something from a shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum LineKind {
    /// Goods: stock is reserved and shipped.
    Goods,
    /// Postage, a fee, a service: part of the price, but nothing is reserved or shipped.
    Charge,
}

impl From<LineKind> for domain::order::LineKind {
    fn from(kind: LineKind) -> Self {
        match kind {
            LineKind::Goods => Self::Goods,
            LineKind::Charge => Self::Charge,
        }
    }
}

impl From<domain::order::LineKind> for LineKind {
    fn from(kind: domain::order::LineKind) -> Self {
        match kind {
            domain::order::LineKind::Goods => Self::Goods,
            domain::order::LineKind::Charge => Self::Charge,
        }
    }
}

impl From<projector::read_model::LineKind> for LineKind {
    fn from(kind: projector::read_model::LineKind) -> Self {
        match kind {
            projector::read_model::LineKind::Goods => Self::Goods,
            projector::read_model::LineKind::Charge => Self::Charge,
        }
    }
}
