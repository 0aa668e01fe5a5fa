//! Orders as they were known at some time: by the events that had been recorded by then.
//!
//! What never changes of an order is in its row, the rest in the row of its timeline that was the last
//! one then. So the same question gets the same answer however often it is asked, and pages stay
//! where they are, once everything recorded by then has been folded. Whoever asks for a time that the
//! read model may not have come to waits for a position first.

use chrono::{DateTime, Utc};
use const_format::concatcp;
use sqlx::error::DatabaseError;
use sqlx::{FromRow, Postgres, QueryBuilder, Transaction};
use uuid::Uuid;

use super::filter::{OrderFilter, Tense};
use super::{OrderCount, OrderQuery, OrderSort, behind_cursor};
use crate::projections::orders::TimelineRow;
use crate::read_model::{Error, Reader};

/// An order as it was known at some time.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct OrderThen {
    /// The order's id.
    pub id: Uuid,
    /// What people call it; orders of the first days have no number.
    pub number: Option<String>,
    /// Where it comes from.
    pub channel: String,
    /// How the shop, the marketplace or the till knows it.
    pub external_reference: Option<String>,
    /// ISO 4217 code of all its amounts.
    pub currency: String,
    /// What the customer agreed to pay when placing it, in minor units.
    pub total_minor: i64,
    /// When the customer placed it, to the microsecond.
    pub placed_at: DateTime<Utc>,
    /// Its last event by then, and where it stood after it.
    #[sqlx(flatten)]
    pub then: TimelineRow,
    /// Whether there may be later events by then, which could not be understood.
    pub quarantined: bool,
}

/// The row of an order may be at an event that is in no timeline: one that was passed over.
const COLUMNS: &str = "select o.id, o.number, o.channel, o.external_reference, o.currency, \
     o.total_minor, o.placed_at, t.*, \
     o.quarantined and not exists (select from read_model.order_timeline l \
     where l.order_id = o.id and l.revision > t.revision) as quarantined ";

/// Every order with its last event by a time, which is the next argument.
const LAST_OF_EACH: &str = concatcp!(
    "from read_model.orders o cross join lateral (select ",
    TimelineRow::NAMES,
    " from read_model.order_timeline e where e.order_id = o.id and e.recorded_at <= "
);

/// Every event by a time, which is the next argument, with its order.
const EVENTS: &str = "from read_model.order_timeline t join read_model.orders o \
     on o.id = t.order_id where t.recorded_at <= ";

/// The past has few indexes: what passes over too many orders would keep a session busy for long.
const LESS_TIME: &str = "set local statement_timeout = '5s'";

fn too_broad(error: sqlx::Error) -> Error {
    // query_canceled
    let took_too_long = error.as_database_error().and_then(DatabaseError::code);
    if took_too_long.is_some_and(|code| code == "57014") {
        return Error::TooBroad;
    }
    error.into()
}

/// Adds the orders that were known at `as_of`, with a `where`.
fn known(sql: &mut QueryBuilder<Postgres>, as_of: DateTime<Utc>) {
    sql.push(LAST_OF_EACH).push_bind(as_of);
    sql.push(" order by e.revision desc limit 1) t where o.recorded_at <= ").push_bind(as_of);
}

/// One page of the orders that were known at `as_of`.
pub(in crate::read_model) fn page(
    query: &OrderQuery,
    as_of: DateTime<Utc>,
) -> Result<QueryBuilder<Postgres>, Error> {
    check(&query.filter)?;
    match query.sort {
        OrderSort::PlacedAt => by_row(query, as_of, "placed_at"),
        OrderSort::Total => by_row(query, as_of, "total_minor"),
        OrderSort::UpdatedAt => by_event(query, as_of),
    }
}

/// Where goods are is nowhere in the timeline.
fn check(filter: &OrderFilter) -> Result<(), Error> {
    match filter.location {
        None => Ok(()),
        Some(_) => Err(Error::NotInThePast("location")),
    }
}

/// Sorted by something that never changes. Hardly any order is recorded before it is placed, so one
/// that was placed later need not be looked at; those that were are few, and have their own index.
///
/// That index has them by the time at which they were placed. Sorted by anything else, all of them are
/// taken before the first ones of them: if the planner were told that so few are wanted, it would look
/// for them among all orders, in the order that they are sorted by.
fn by_row(
    query: &OrderQuery,
    as_of: DateTime<Utc>,
    key: &'static str,
) -> Result<QueryBuilder<Postgres>, Error> {
    let mut sql = QueryBuilder::new("(");
    for (number, placed) in
        [" and o.placed_at <= ", " and o.placed_at > o.recorded_at and o.placed_at > "]
            .into_iter()
            .enumerate()
    {
        sql.push(if number == 0 { "" } else { " union all (" });
        sql.push(COLUMNS);
        known(&mut sql, as_of);
        sql.push(placed).push_bind(as_of);
        query.filter.narrow(&mut sql, Tense::Then);
        let row_key = if key == "placed_at" { "o.placed_at" } else { "o.total_minor" };
        if let Some(after) = query.after {
            behind_cursor(&mut sql, after, query, row_key)?;
        }
        if number == 0 || key == "placed_at" {
            end(&mut sql, query, row_key, "o.id");
        }
        sql.push(")");
    }
    end(&mut sql, query, key, "id");
    Ok(sql)
}

/// Sorted by when something had last happened: the latest events, each if none of its order followed.
fn by_event(query: &OrderQuery, as_of: DateTime<Utc>) -> Result<QueryBuilder<Postgres>, Error> {
    let mut sql = QueryBuilder::new(COLUMNS);
    sql.push(EVENTS).push_bind(as_of);
    sql.push(
        " and not exists (select from read_model.order_timeline e \
         where e.order_id = t.order_id and e.revision > t.revision and e.recorded_at <= ",
    );
    sql.push_bind(as_of).push(") and o.recorded_at <= ").push_bind(as_of);
    query.filter.narrow(&mut sql, Tense::Then);
    if let Some(after) = query.after {
        behind_cursor(&mut sql, after, query, "t.recorded_at")?;
    }
    end(&mut sql, query, "t.recorded_at", "t.order_id");
    Ok(sql)
}

fn end(sql: &mut QueryBuilder<Postgres>, query: &OrderQuery, key: &'static str, id: &'static str) {
    let direction = if query.descending { " desc" } else { "" };
    sql.push(" order by ").push(key).push(direction).push(", ").push(id).push(direction);
    sql.push(" limit ").push_bind(i64::from(query.limit));
}

impl Reader {
    /// One page of the orders that were known at `as_of`, as they were known then.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] when the cursor was made for another sorting,
    /// [`Error::NotInThePast`] for a condition that only the present can be asked for,
    /// [`Error::TooBroad`] when too many orders have to be looked at.
    pub async fn orders_then(
        &self,
        query: &OrderQuery,
        as_of: DateTime<Utc>,
    ) -> Result<Vec<OrderThen>, Error> {
        let mut page = page(query, as_of)?;
        let mut session = self.looking_back().await?;
        let found = page.build_query_as().fetch_all(&mut *session).await;
        found.map_err(too_broad)
    }

    /// A session whose next statement has less time than others.
    async fn looking_back(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        let mut session = self.pool.begin().await?;
        sqlx::raw_sql(LESS_TIME).execute(&mut *session).await?;
        Ok(session)
    }

    /// How many orders that were known at `as_of` passed `filter` then, counted up to `limit`.
    ///
    /// # Errors
    /// As [`orders_then`](Self::orders_then).
    pub async fn orders_count_then(
        &self,
        filter: &OrderFilter,
        as_of: DateTime<Utc>,
        limit: u32,
    ) -> Result<OrderCount, Error> {
        check(filter)?;
        let mut sql = QueryBuilder::new("select count(*) from (select 1 ");
        known(&mut sql, as_of);
        sql.push(" and (o.placed_at > o.recorded_at or o.placed_at <= ").push_bind(as_of).push(")");
        filter.narrow(&mut sql, Tense::Then);
        sql.push(" limit ").push_bind(i64::from(limit) + 1).push(") counted");
        let mut session = self.looking_back().await?;
        let counted = sql.build_query_scalar().fetch_one(&mut *session).await;
        Ok(OrderCount::of(counted.map_err(too_broad)?, limit))
    }

    /// The events of these orders that somebody has decided to pass over, as order and revision. They
    /// are in no row, as if they had changed nothing.
    pub async fn skipped_events_of(&self, orders: &[Uuid]) -> Result<Vec<(Uuid, i64)>, Error> {
        const SKIPPED: &str = "select o.id, s.revision from unnest($1::uuid[]) o (id) \
             join orderstore.skipped s on s.projection = 'orders' and s.stream = 'order-' || o.id";
        Ok(sqlx::query_as(SKIPPED).bind(orders).fetch_all(&self.pool).await?)
    }

    /// Where an order stood after each of its events behind number `after`, or all of them; so many at
    /// most.
    pub async fn timeline(
        &self,
        order: Uuid,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<OrderThen>, Error> {
        let mut sql = QueryBuilder::new(COLUMNS);
        sql.push(
            "from read_model.order_timeline t join read_model.orders o on o.id = t.order_id \
             where t.order_id = ",
        );
        sql.push_bind(order).push(" and t.revision > ").push_bind(after.unwrap_or(-1));
        sql.push(" order by t.revision limit ").push_bind(i64::from(limit));
        Ok(sql.build_query_as().fetch_all(&self.pool).await?)
    }
}
