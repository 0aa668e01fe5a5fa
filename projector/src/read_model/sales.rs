//! Sums over orders.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::{Error, OrderStatus, Reader};

/// Which orders are summed up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SalesFilter {
    /// From this channel; from all, if not set.
    pub channel: Option<String>,
    /// Placed at this time or later.
    pub placed_from: Option<DateTime<Utc>>,
    /// Placed before this time.
    pub placed_to: Option<DateTime<Utc>>,
}

/// Sums over the orders of one currency in one state.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct SalesTotal {
    /// The state. What counts as a sale is for the caller to say.
    pub status: OrderStatus,
    /// ISO 4217 code.
    pub currency: String,
    /// Number of orders.
    pub orders: i64,
    /// Number of their lines.
    pub lines: i64,
    /// Sum of the quantities that were ordered.
    pub units: i64,
    /// Sum of what customers agreed to pay when they placed them, in minor units.
    pub gross_minor: i64,
    /// What of that is not wanted any more, in minor units.
    pub cancelled_minor: i64,
    /// What went back to customers, for whatever reason, in minor units.
    pub refunded_minor: i64,
}

const TOTALS: &str = "select status, currency, count(*) as orders, \
     sum(line_count)::bigint as lines, sum(unit_count)::bigint as units, \
     sum(total_minor)::bigint as gross_minor, \
     sum(total_minor - current_total_minor)::bigint as cancelled_minor, \
     sum(refunded_minor)::bigint as refunded_minor \
     from read_model.orders \
     where ($1::text is null or channel = $1) \
     and ($2::timestamptz is null or placed_at >= $2) \
     and ($3::timestamptz is null or placed_at < $3) \
     group by status, currency order by currency, status";

impl Reader {
    /// Sums by currency and state. Reads every order that passes the filter.
    pub async fn sales_totals(&self, filter: &SalesFilter) -> Result<Vec<SalesTotal>, Error> {
        let statement = sqlx::query_as(TOTALS)
            .bind(&filter.channel)
            .bind(filter.placed_from)
            .bind(filter.placed_to);
        Ok(statement.fetch_all(&self.pool).await?)
    }
}
