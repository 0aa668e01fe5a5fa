//! Queries over orders, their lines and their sums.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::cursor::List;
use super::{Cursor, Error, LineRow, OrderRow, OrderStatus, Reader};
use crate::projections::orders::{line_columns, order_columns};

/// Which orders. Conditions that are not set let everything pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// In one of these states; in any, if empty.
    pub status: Vec<OrderStatus>,
    /// From this channel.
    pub channel: Option<String>,
    /// Of this customer.
    pub customer: Option<String>,
    /// Placed at this time or later.
    pub placed_from: Option<DateTime<Utc>>,
    /// Placed before this time.
    pub placed_to: Option<DateTime<Utc>>,
}

/// What a list of orders is sorted by; orders that are equal in it, by their id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum OrderSort {
    /// When they were placed.
    #[default]
    PlacedAt,
    /// When something last happened to them.
    UpdatedAt,
    /// Their total in minor units, whatever the currency.
    Total,
}

impl OrderSort {
    pub(super) const fn list(self) -> List {
        match self {
            Self::PlacedAt => List::OrdersByPlacedAt,
            Self::UpdatedAt => List::OrdersByUpdatedAt,
            Self::Total => List::OrdersByTotal,
        }
    }
}

/// One page of a list of orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderQuery {
    /// Which orders.
    pub filter: OrderFilter,
    /// Sorted by what.
    pub sort: OrderSort,
    /// Largest first.
    pub descending: bool,
    /// Right behind this place; from the beginning, if not set.
    pub after: Option<Cursor>,
    /// So many at most. Ask for one more than is wanted to know whether there are more.
    pub limit: u32,
}

impl Default for OrderQuery {
    /// The first fifty orders, the latest first.
    fn default() -> Self {
        Self {
            filter: OrderFilter::default(),
            sort: OrderSort::PlacedAt,
            descending: true,
            after: None,
            limit: 50,
        }
    }
}

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
    /// Sum of the quantities of their lines.
    pub units: i64,
    /// Sum of their totals, in minor units.
    pub gross_minor: i64,
}

macro_rules! page {
    ($key:literal, $key_type:literal, $behind:literal, $direction:literal) => {
        concat!(
            "select ",
            order_columns!(),
            " from read_model.orders \
             where ($1::text[] is null or status = any($1)) \
             and ($2::text is null or channel = $2) \
             and ($3::text is null or customer = $3) \
             and ($4::timestamptz is null or placed_at >= $4) \
             and ($5::timestamptz is null or placed_at < $5) \
             and ($6::",
            $key_type,
            " is null or (",
            $key,
            ", id) ",
            $behind,
            " ($6, $7::uuid)) order by ",
            $key,
            " ",
            $direction,
            ", id ",
            $direction,
            " limit $8"
        )
    };
}

const fn page(sort: OrderSort, descending: bool) -> &'static str {
    match (sort, descending) {
        (OrderSort::PlacedAt, false) => page!("placed_at", "timestamptz", ">", "asc"),
        (OrderSort::PlacedAt, true) => page!("placed_at", "timestamptz", "<", "desc"),
        (OrderSort::UpdatedAt, false) => page!("updated_at", "timestamptz", ">", "asc"),
        (OrderSort::UpdatedAt, true) => page!("updated_at", "timestamptz", "<", "desc"),
        (OrderSort::Total, false) => page!("total_minor", "bigint", ">", "asc"),
        (OrderSort::Total, true) => page!("total_minor", "bigint", "<", "desc"),
    }
}

const BY_IDS: &str =
    concat!("select ", order_columns!(), " from read_model.orders where id = any($1)");

const LINES_OF: &str = concat!(
    "select ",
    line_columns!(),
    " from read_model.order_lines where order_id = any($1) order by order_id, line"
);

const TOTALS: &str = "select status, currency, count(*) as orders, \
     sum(line_count)::bigint as lines, sum(unit_count)::bigint as units, \
     sum(total_minor)::bigint as gross_minor \
     from read_model.orders \
     where ($1::text is null or channel = $1) \
     and ($2::timestamptz is null or placed_at >= $2) \
     and ($3::timestamptz is null or placed_at < $3) \
     group by status, currency order by currency, status";

impl Reader {
    /// The order with this id.
    pub async fn order(&self, id: Uuid) -> Result<Option<OrderRow>, Error> {
        Ok(self.orders_by_ids(&[id]).await?.pop())
    }

    /// The orders with these ids, in no particular order; unknown ids are left out.
    pub async fn orders_by_ids(&self, ids: &[Uuid]) -> Result<Vec<OrderRow>, Error> {
        Ok(sqlx::query_as(BY_IDS).bind(ids).fetch_all(&self.pool).await?)
    }

    /// One page of orders.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] when the cursor was made for another sorting.
    pub async fn orders(&self, query: &OrderQuery) -> Result<Vec<OrderRow>, Error> {
        let OrderQuery { filter, sort, descending, after, limit } = query;
        let status = (!filter.status.is_empty()).then_some(&filter.status);
        let statement = sqlx::query_as(page(*sort, *descending))
            .bind(status)
            .bind(&filter.channel)
            .bind(&filter.customer)
            .bind(filter.placed_from)
            .bind(filter.placed_to);
        let statement = match sort {
            OrderSort::PlacedAt | OrderSort::UpdatedAt => {
                let after = after.map(|cursor| cursor.time_within(sort.list())).transpose()?;
                statement.bind(after.map(|(time, _)| time)).bind(after.map(|(_, id)| id))
            }
            OrderSort::Total => {
                let after = after.map(|cursor| cursor.within(sort.list())).transpose()?;
                statement.bind(after.map(|(total, _)| total)).bind(after.map(|(_, id)| id))
            }
        };
        Ok(statement.bind(i64::from(*limit)).fetch_all(&self.pool).await?)
    }

    /// The lines of these orders, by order and line.
    pub async fn lines_of(&self, orders: &[Uuid]) -> Result<Vec<LineRow>, Error> {
        Ok(sqlx::query_as(LINES_OF).bind(orders).fetch_all(&self.pool).await?)
    }

    /// Sums by currency and state. Reads every order that passes the filter.
    pub async fn sales_totals(&self, filter: &SalesFilter) -> Result<Vec<SalesTotal>, Error> {
        let statement = sqlx::query_as(TOTALS)
            .bind(&filter.channel)
            .bind(filter.placed_from)
            .bind(filter.placed_to);
        Ok(statement.fetch_all(&self.pool).await?)
    }
}
