//! Sums over orders and credit notes, as the schema shows them.

use async_graphql::SimpleObject;
use projector::read_model;

use super::{Money, OrderStatus};
use crate::graphql::scalars::{BigInt, CurrencyCode};

/// What was sold and what was credited. What of it counts as a sale is for the caller to say.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct SalesTotals {
    /// Sums over orders, one per currency and status.
    orders: Vec<OrderTotal>,
    /// Sums over credit notes, one per currency.
    credit_notes: Vec<CreditNoteTotal>,
}

/// Sums over the orders of one currency in one status.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct OrderTotal {
    /// The status.
    status: OrderStatus,
    /// The currency.
    currency_code: CurrencyCode,
    /// Number of orders.
    orders: BigInt,
    /// Number of their lines.
    lines: BigInt,
    /// Sum of the quantities of their lines, goods and charges.
    units: BigInt,
    /// Sum of their totals.
    gross: Money,
}

/// Sums over the credit notes of one currency.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct CreditNoteTotal {
    /// The currency.
    currency_code: CurrencyCode,
    /// Number of credit notes.
    credit_notes: BigInt,
    /// Number of their lines.
    lines: BigInt,
    /// Sum of the quantities of their lines, goods and charges.
    units: BigInt,
    /// Sum of their totals.
    total: Money,
}

impl SalesTotals {
    pub(crate) fn new(
        orders: Vec<read_model::SalesTotal>,
        credits: Vec<read_model::CreditTotal>,
    ) -> Self {
        Self {
            orders: orders.into_iter().map(Into::into).collect(),
            credit_notes: credits.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<read_model::SalesTotal> for OrderTotal {
    fn from(row: read_model::SalesTotal) -> Self {
        Self {
            status: row.status.into(),
            orders: row.orders.into(),
            lines: row.lines.into(),
            units: row.units.into(),
            gross: Money::from_minor(row.gross_minor, &row.currency),
            currency_code: CurrencyCode(row.currency),
        }
    }
}

impl From<read_model::CreditTotal> for CreditNoteTotal {
    fn from(row: read_model::CreditTotal) -> Self {
        Self {
            credit_notes: row.notes.into(),
            lines: row.lines.into(),
            units: row.units.into(),
            total: Money::from_minor(row.total_minor, &row.currency),
            currency_code: CurrencyCode(row.currency),
        }
    }
}
