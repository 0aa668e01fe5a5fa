//! Queries over orders and their lines.

mod as_of;
mod filter;

use const_format::concatcp;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

pub use as_of::OrderThen;
#[cfg(test)]
pub(super) use as_of::page as page_then;
pub use filter::OrderFilter;

use self::filter::Tense;
use super::cursor::List;
use super::{Cursor, Error, LineRow, OrderDocument, OrderRow, Reader};

/// What a list of orders is sorted by; orders that are equal in it, by their id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum OrderSort {
    /// When they were placed.
    #[default]
    PlacedAt,
    /// When something last happened to them.
    UpdatedAt,
    /// Their original total in minor units, whatever the currency.
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

    const fn column(self) -> &'static str {
        match self {
            Self::PlacedAt => "o.placed_at",
            Self::UpdatedAt => "o.updated_at",
            Self::Total => "o.total_minor",
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

/// How many orders there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderCount {
    /// So many.
    pub count: u32,
    /// Whether there are no more than that: counting ends at the limit.
    pub exact: bool,
}

impl OrderCount {
    /// So many were found, where counting ended behind `limit`.
    fn of(found: i64, limit: u32) -> Self {
        let count = u32::try_from(found).unwrap_or(limit).min(limit);
        Self { count, exact: found <= i64::from(limit) }
    }
}

pub(super) const ROWS: &str =
    concatcp!("select ", OrderRow::NAMES, " from read_model.orders o where true");

const DOCUMENTS: &str =
    concatcp!("select ", OrderDocument::NAMES, " from read_model.orders o where true");

const LINES_OF: &str = concatcp!(
    "select ",
    LineRow::NAMES,
    " from read_model.order_lines where order_id = any($1) order by order_id, line"
);

/// `begin`, narrowed down to the page that `query` asks for.
pub(super) fn page(
    begin: &'static str,
    query: &OrderQuery,
) -> Result<QueryBuilder<Postgres>, Error> {
    let mut sql = QueryBuilder::new(begin);
    query.filter.narrow(&mut sql, Tense::Now);
    let key = query.sort.column();
    let direction = if query.descending { " desc" } else { "" };
    if let Some(after) = query.after {
        behind_cursor(&mut sql, after, query, key)?;
    }
    sql.push(" order by ").push(key).push(direction).push(", o.id").push(direction);
    sql.push(" limit ").push_bind(i64::from(query.limit));
    Ok(sql)
}

/// Leaves out everything up to `after`, in a list sorted by `key` and the order's id.
fn behind_cursor(
    sql: &mut QueryBuilder<Postgres>,
    after: Cursor,
    query: &OrderQuery,
    key: &'static str,
) -> Result<(), Error> {
    let behind = if query.descending { " < " } else { " > " };
    sql.push(" and (").push(key).push(", o.id)").push(behind).push("(");
    let id = match query.sort {
        OrderSort::PlacedAt | OrderSort::UpdatedAt => {
            let (time, id) = after.time_within(query.sort.list())?;
            sql.push_bind(time);
            id
        }
        OrderSort::Total => {
            let (total, id) = after.within(query.sort.list())?;
            sql.push_bind(total);
            id
        }
    };
    sql.push(", ").push_bind(id).push(")");
    Ok(())
}

fn by_ids(begin: &'static str, ids: &[Uuid]) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(begin);
    sql.push(" and o.id = any(").push_bind(ids).push(")");
    sql
}

fn first(filter: OrderFilter) -> OrderQuery {
    OrderQuery { filter, descending: false, limit: 1, ..OrderQuery::default() }
}

impl Reader {
    /// The order with this id.
    pub async fn order(&self, id: Uuid) -> Result<Option<OrderRow>, Error> {
        Ok(self.orders_by_ids(&[id]).await?.pop())
    }

    /// The orders with these ids, in no particular order; unknown ids are left out.
    pub async fn orders_by_ids(&self, ids: &[Uuid]) -> Result<Vec<OrderRow>, Error> {
        Ok(by_ids(ROWS, ids).build_query_as().fetch_all(&self.pool).await?)
    }

    /// The order that people call `number`.
    pub async fn order_by_number(&self, number: &str) -> Result<Option<OrderRow>, Error> {
        let filter = OrderFilter { number: Some(number.to_owned()), ..OrderFilter::default() };
        Ok(self.orders(&first(filter)).await?.pop())
    }

    /// The order that `channel` knows as `reference`; the first one, should there be several.
    pub async fn order_by_external_reference(
        &self,
        channel: &str,
        reference: &str,
    ) -> Result<Option<OrderRow>, Error> {
        let filter = OrderFilter {
            channel: Some(channel.to_owned()),
            external_reference: Some(reference.to_owned()),
            ..OrderFilter::default()
        };
        Ok(self.orders(&first(filter)).await?.pop())
    }

    /// One page of orders.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] when the cursor was made for another sorting.
    pub async fn orders(&self, query: &OrderQuery) -> Result<Vec<OrderRow>, Error> {
        Ok(page(ROWS, query)?.build_query_as().fetch_all(&self.pool).await?)
    }

    /// How many orders pass `filter`, counted up to `limit`.
    pub async fn orders_count(
        &self,
        filter: &OrderFilter,
        limit: u32,
    ) -> Result<OrderCount, Error> {
        let mut sql =
            QueryBuilder::new("select count(*) from (select 1 from read_model.orders o where true");
        filter.narrow(&mut sql, Tense::Now);
        sql.push(" limit ").push_bind(i64::from(limit) + 1).push(") counted");
        Ok(OrderCount::of(sql.build_query_scalar().fetch_one(&self.pool).await?, limit))
    }

    /// The whole order with this id.
    pub async fn order_document(&self, id: Uuid) -> Result<Option<OrderDocument>, Error> {
        Ok(self.order_documents_by_ids(&[id]).await?.pop())
    }

    /// The whole orders with these ids, in no particular order; unknown ids are left out.
    pub async fn order_documents_by_ids(&self, ids: &[Uuid]) -> Result<Vec<OrderDocument>, Error> {
        Ok(by_ids(DOCUMENTS, ids).build_query_as().fetch_all(&self.pool).await?)
    }

    /// One page of whole orders.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] when the cursor was made for another sorting.
    pub async fn order_documents(&self, query: &OrderQuery) -> Result<Vec<OrderDocument>, Error> {
        Ok(page(DOCUMENTS, query)?.build_query_as().fetch_all(&self.pool).await?)
    }

    /// The lines of these orders, by order and line.
    pub async fn lines_of(&self, orders: &[Uuid]) -> Result<Vec<LineRow>, Error> {
        Ok(sqlx::query_as(LINES_OF).bind(orders).fetch_all(&self.pool).await?)
    }
}
