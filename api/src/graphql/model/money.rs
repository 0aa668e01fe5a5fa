//! Money and the lines it is spent on.

use async_graphql::{Enum, SimpleObject};
use projector::read_model::{CreditLineRow, LineRow};

use super::small;
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

/// One line of an order or a credit note.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Line {
    /// What.
    sku: String,
    /// Its name as the customer saw it; may be empty.
    title: String,
    /// Whether it takes something from a shelf.
    kind: LineKind,
    /// How many.
    quantity: i32,
    /// Price of one unit.
    unit_price: Money,
    /// Price of the whole line.
    total: Money,
}

impl Line {
    pub(crate) fn of_order(row: LineRow, currency: &str) -> Self {
        let LineRow { sku, title, kind, quantity, unit_price_minor, .. } = row;
        Self::new((sku, title), kind, quantity, unit_price_minor, currency)
    }

    pub(crate) fn of_credit_note(row: CreditLineRow, currency: &str) -> Self {
        let CreditLineRow { sku, title, kind, quantity, unit_price_minor, .. } = row;
        Self::new((sku, title), kind, quantity, unit_price_minor, currency)
    }

    fn new(
        (sku, title): (String, String),
        kind: projector::read_model::LineKind,
        quantity: i64,
        unit_price_minor: i64,
        currency: &str,
    ) -> Self {
        Self {
            sku,
            title,
            kind: kind.into(),
            quantity: small(quantity),
            unit_price: Money::from_minor(unit_price_minor, currency),
            total: Money::from_minor(unit_price_minor.saturating_mul(quantity), currency),
        }
    }
}

impl From<&domain::order::Line> for Line {
    fn from(line: &domain::order::Line) -> Self {
        let currency = line.unit_price.currency;
        let units = line.quantity.get();
        let total = line.unit_price.minor.saturating_mul(i64::from(units));
        Self {
            sku: line.sku.to_string(),
            title: line.title.clone(),
            kind: line.kind.into(),
            quantity: small(units),
            unit_price: line.unit_price.into(),
            total: domain::money::Money::new(total, currency).into(),
        }
    }
}
