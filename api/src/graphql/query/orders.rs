//! `orders` and `ordersCount`.

use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, Error, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use projector::read_model::{Cursor, OrderQuery, OrderSort, OrderThen};

use super::order_where::OrderWhere;
use super::past;
use crate::graphql::error::{Code, error, read_error};
use crate::graphql::freshness;
use crate::graphql::model::{Order, small};
use crate::graphql::page::Page;
use crate::graphql::request::Services;

/// Orders that are counted at most.
const COUNTED: u32 = 100_000;

#[derive(Default)]
pub(crate) struct Orders;

/// What orders are sorted by; orders that are equal in it, by their id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum OrderOrderField {
    /// When they were placed.
    PlacedAt,
    /// When something last happened to them.
    UpdatedAt,
    /// What the customer agreed to pay, as a number, whatever the currency.
    Total,
}

/// Which way a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum OrderDirection {
    /// Smallest or earliest first.
    Asc,
    /// Largest or latest first.
    Desc,
}

/// How orders are sorted.
#[derive(Debug, Clone, Copy, InputObject)]
pub(crate) struct OrderOrder {
    /// By what.
    field: OrderOrderField,
    /// Which way.
    #[graphql(default_with = "OrderDirection::Desc")]
    direction: OrderDirection,
}

/// A number of orders.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct OrdersCount {
    /// So many.
    count: i32,
    /// Whether there are more.
    precision: CountPrecision,
}

/// What a count says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum CountPrecision {
    /// There are exactly so many.
    Exact,
    /// There are so many or more: counting ended at the limit.
    AtLeast,
}

#[Object]
impl Orders {
    /// Orders, the latest placed first unless asked for otherwise. With `asOf` they are found and
    /// shown as they were then; orders that have moved on since are folded from their own events, and
    /// payments' records and processes are those of now. Needs the scope `orders:read`.
    #[graphql(complexity = "1 + usize::try_from(first).unwrap_or(0).min(100) * (child_complexity \
                            + if as_of.is_some() { 5 } else { 0 }) \
                            + if as_of.is_some() { 500 } else { 0 }")]
    #[expect(clippy::too_many_arguments, reason = "they are arguments of the query")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from 1 to 100.")] first: i32,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(name = "where", desc = "Which orders.")] filter: Option<OrderWhere>,
        #[graphql(desc = "How to sort them.")] order_by: Option<OrderOrder>,
        #[graphql(
            desc = "As they were known then, by the events recorded by that time; as they are, when \
                    left out. Give the same time for every page. Events that the read model has not \
                    come to yet are missing: for a time that is not long ago give `atLeast`, too. \
                    QUERY_TOO_EXPENSIVE when too many orders have to be looked at: narrow `where`."
        )]
        as_of: Option<DateTime<Utc>>,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Connection<String, Order>, Error> {
        let ahead = ctx.look_ahead();
        let projections =
            freshness::of_orders(&[ahead.field("nodes"), ahead.field("edges").field("node")]);
        freshness::wait(ctx, at_least.as_deref(), &projections).await?;
        let filter = filter.unwrap_or_default();
        match as_of {
            None => page_of_orders(ctx, first, after.as_deref(), filter, order_by).await,
            Some(time) => {
                page_of_the_past(ctx, first, after.as_deref(), filter, order_by, time).await
            }
        }
    }

    /// How many orders there are, or were, counted up to a limit. Needs the scope `orders:read`.
    #[graphql(complexity = "20 + child_complexity + if as_of.is_some() { 1_000 } else { 0 }")]
    async fn orders_count(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which orders.")] filter: Option<OrderWhere>,
        #[graphql(desc = "How far to count, from 1 to 100000.", default = 10_000)] limit: i32,
        #[graphql(
            desc = "As they were known then, by the events recorded by that time; as they are, when \
                    left out. Events that the read model has not come to yet are missing: for a time \
                    that is not long ago give `atLeast`, too. QUERY_TOO_EXPENSIVE when too many \
                    orders have to be looked at: narrow `where`."
        )]
        as_of: Option<DateTime<Utc>>,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<OrdersCount, Error> {
        let within = u32::try_from(limit).ok().filter(|limit| (1..=COUNTED).contains(limit));
        let Some(limit) = within else {
            let message = format!("`limit` must be from 1 to {COUNTED}, not {limit}");
            return Err(error(Code::BadRequest, message));
        };
        freshness::wait(ctx, at_least.as_deref(), &freshness::of_orders(&[])).await?;
        let filter = filter.unwrap_or_default().read()?;
        let reader = &Services::of(ctx).reader;
        let counted = match as_of {
            None => reader.orders_count(&filter, limit).await,
            Some(time) => reader.orders_count_then(&filter, time, limit).await,
        };
        let counted = counted.map_err(|cause| read_error(ctx, &cause))?;
        let precision = if counted.exact { CountPrecision::Exact } else { CountPrecision::AtLeast };
        Ok(OrdersCount { count: small(counted.count), precision })
    }
}

/// One page of the orders that `filter` lets pass.
pub(crate) async fn page_of_orders(
    ctx: &Context<'_>,
    first: i32,
    after: Option<&str>,
    filter: OrderWhere,
    order_by: Option<OrderOrder>,
) -> Result<Connection<String, Order>, Error> {
    let page = Page::new(first, after, |text| text.parse::<Cursor>().ok())?;
    let (sort, descending) = sorting(order_by);
    let filter = filter.read()?;
    let query = OrderQuery { filter, sort, descending, after: page.after, limit: page.limit() };
    let found = Services::of(ctx).reader.order_documents(&query).await;
    let found = found.map_err(|cause| read_error(ctx, &cause))?;
    Ok(page.answer(found, |it| Cursor::of_order(&it.row, sort).to_string(), Into::into))
}

/// The same of the orders as they were known at `as_of`.
async fn page_of_the_past(
    ctx: &Context<'_>,
    first: i32,
    after: Option<&str>,
    filter: OrderWhere,
    order_by: Option<OrderOrder>,
    as_of: DateTime<Utc>,
) -> Result<Connection<String, Order>, Error> {
    let page = Page::new(first, after, |text| text.parse::<Cursor>().ok())?;
    let (sort, descending) = sorting(order_by);
    let filter = filter.read()?;
    let query = OrderQuery { filter, sort, descending, after: page.after, limit: page.limit() };
    let found = Services::of(ctx).reader.orders_then(&query, as_of).await;
    let found = found.map_err(|cause| read_error(ctx, &cause))?;
    let orders = past::orders(ctx, found).await?;
    let cursor = |(row, _): &(OrderThen, Order)| Cursor::of_order_then(row, sort).to_string();
    Ok(page.answer(orders, cursor, |(_, order)| order))
}

fn sorting(order_by: Option<OrderOrder>) -> (OrderSort, bool) {
    let Some(order_by) = order_by else { return (OrderSort::PlacedAt, true) };
    let sort = match order_by.field {
        OrderOrderField::PlacedAt => OrderSort::PlacedAt,
        OrderOrderField::UpdatedAt => OrderSort::UpdatedAt,
        OrderOrderField::Total => OrderSort::Total,
    };
    (sort, order_by.direction == OrderDirection::Desc)
}
