//! Sums over orders and credit notes, as the schema shows them.

use async_graphql::SimpleObject;
use chrono::NaiveDate;
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

/// What was sold, by what it was asked to be summed up by, and always by currency.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct SalesByDay {
    /// The day on which customers placed their orders, in UTC; none when not summed up by days.
    day: Option<NaiveDate>,
    /// What was sold; none when not summed up by SKUs.
    sku: Option<String>,
    /// Where it was sold; none when not summed up by channels.
    channel: Option<String>,
    /// The currency.
    currency_code: CurrencyCode,
    /// Number of orders. Where several SKUs are summed up, an order counts once for each of them.
    orders: BigInt,
    /// Units that were ordered.
    units: BigInt,
    /// What customers agreed to pay for them when they placed their orders.
    gross: Money,
    /// Units that were given up before they left.
    cancelled_units: BigInt,
    /// What customers need not pay for them.
    cancelled: Money,
    /// Units that came back.
    returned_units: BigInt,
    /// Units that were paid back. What was paid back by amount is of no SKU; see `salesTotals`.
    refunded_units: BigInt,
}

impl From<read_model::SalesByDay> for SalesByDay {
    fn from(row: read_model::SalesByDay) -> Self {
        let place = row.place;
        Self {
            day: place.day,
            sku: place.sku,
            channel: place.channel,
            orders: row.orders.into(),
            units: row.units.into(),
            gross: Money::from_minor(row.gross_minor, &place.currency),
            cancelled_units: row.cancelled_units.into(),
            cancelled: Money::from_minor(row.cancelled_minor, &place.currency),
            returned_units: row.returned_units.into(),
            refunded_units: row.refunded_units.into(),
            currency_code: CurrencyCode(place.currency),
        }
    }
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
