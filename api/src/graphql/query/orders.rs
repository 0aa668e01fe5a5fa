//! `order` and `orders`.

use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, Error, InputObject, Object};
use chrono::{DateTime, TimeDelta, Utc};
use projector::read_model::{Cursor, OrderFilter, OrderQuery, OrderSort};
use uuid::Uuid;

use super::searchable;
use crate::graphql::error::read_error;
use crate::graphql::freshness;
use crate::graphql::model::{Order, OrderStatus};
use crate::graphql::page::Page;
use crate::graphql::request::Services;

#[derive(Default)]
pub(crate) struct Orders;

/// Which orders. Conditions that are left out let everything pass; all others must hold.
#[derive(Debug, Clone, Default, InputObject)]
pub(crate) struct OrderWhere {
    /// In one of these.
    status: Option<Vec<OrderStatus>>,
    /// From this channel.
    channel: Option<String>,
    /// Of this customer.
    customer: Option<String>,
    /// Placed in this range.
    placed_at: Option<DateTimeRange>,
}

/// A range of time, both ends included.
#[derive(Debug, Clone, Copy, InputObject)]
pub(crate) struct DateTimeRange {
    /// At this time or later.
    gte: Option<DateTime<Utc>>,
    /// At this time or earlier.
    lte: Option<DateTime<Utc>>,
}

impl DateTimeRange {
    /// First time in the range, and first time behind it: times are kept to the microsecond.
    pub(crate) fn half_open(self) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let behind = |time: DateTime<Utc>| time.checked_add_signed(TimeDelta::microseconds(1));
        (self.gte, self.lte.and_then(behind))
    }
}

/// What orders are sorted by; orders that are equal in it, by their id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum OrderOrderField {
    /// When they were placed.
    PlacedAt,
    /// When something last happened to them.
    UpdatedAt,
    /// Their total as a number, whatever the currency.
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

#[Object]
impl Orders {
    /// One order; none when there is none of this id, or none that the read model knows of yet.
    /// Needs the scope `orders:read`.
    async fn order(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Option<Order>, Error> {
        let projections = freshness::of_orders(&[ctx.look_ahead()]);
        freshness::wait(ctx, at_least.as_deref(), &projections).await?;
        let row = Services::of(ctx).reader.order(id).await;
        Ok(row.map_err(|cause| read_error(ctx, &cause))?.map(Into::into))
    }

    /// Orders, the latest placed first unless asked for otherwise. Needs the scope `orders:read`.
    #[graphql(complexity = "1 + usize::try_from(first).unwrap_or(0).min(100) * child_complexity")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from 1 to 100.")] first: i32,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(name = "where", desc = "Which orders.")] filter: Option<OrderWhere>,
        #[graphql(desc = "How to sort them.")] order_by: Option<OrderOrder>,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Connection<String, Order>, Error> {
        let ahead = ctx.look_ahead();
        let projections =
            freshness::of_orders(&[ahead.field("nodes"), ahead.field("edges").field("node")]);
        freshness::wait(ctx, at_least.as_deref(), &projections).await?;
        let page = Page::new(first, after.as_deref(), |text| text.parse::<Cursor>().ok())?;
        let (sort, descending) = sorting(order_by);
        let query = OrderQuery {
            filter: filter.unwrap_or_default().read()?,
            sort,
            descending,
            after: page.after,
            limit: page.limit(),
        };
        let rows = Services::of(ctx).reader.orders(&query).await;
        let rows = rows.map_err(|cause| read_error(ctx, &cause))?;
        Ok(page.answer(rows, |row| Cursor::of_order(row, sort).to_string(), Into::into))
    }
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

impl OrderWhere {
    fn read(self) -> Result<OrderFilter, Error> {
        let (placed_from, placed_to) =
            self.placed_at.map_or((None, None), DateTimeRange::half_open);
        Ok(OrderFilter {
            status: self.status.unwrap_or_default().into_iter().map(Into::into).collect(),
            channel: searchable("where.channel", self.channel)?,
            customer: searchable("where.customer", self.customer)?,
            placed_from,
            placed_to,
        })
    }
}
