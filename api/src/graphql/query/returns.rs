//! `returns`.

use async_graphql::connection::Connection;
use async_graphql::{Context, Error, InputObject, Object};
use projector::read_model::{Cursor, ReturnQuery};
use uuid::Uuid;

use super::order_where::DateTimeRange;
use super::orders::OrderDirection;
use super::searchable;
use crate::graphql::error::read_error;
use crate::graphql::freshness;
use crate::graphql::model::{Return, ReturnReason, ReturnStatus};
use crate::graphql::page::Page;
use crate::graphql::request::Services;

#[derive(Default)]
pub(crate) struct ReturnList;

/// Which returns. Conditions that are left out let everything pass; all others must hold.
#[derive(Debug, Clone, Default, InputObject)]
pub(crate) struct ReturnWhere {
    /// So far.
    status: Option<Vec<ReturnStatus>>,
    /// For one of these reasons.
    reason: Option<Vec<ReturnReason>>,
    /// Of this order.
    order_id: Option<Uuid>,
    /// Of orders of this customer.
    customer: Option<String>,
    /// Of orders from this channel.
    channel: Option<String>,
    /// Asked for in this range.
    requested_at: Option<DateTimeRange>,
}

#[Object]
impl ReturnList {
    /// Returns, those that were asked for last coming first unless asked for otherwise. Needs the
    /// scope `orders:read`.
    #[graphql(complexity = "1 + usize::try_from(first).unwrap_or(0).min(100) * child_complexity")]
    async fn returns(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from 1 to 100.")] first: i32,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(name = "where", desc = "Which returns.")] filter: Option<ReturnWhere>,
        #[graphql(
            desc = "Which way they are sorted, by when they were asked for.",
            default_with = "OrderDirection::Desc"
        )]
        direction: OrderDirection,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Connection<String, Return>, Error> {
        let ahead = ctx.look_ahead();
        let nodes = [ahead.field("nodes"), ahead.field("edges").field("node")];
        let orders = nodes.map(|node| node.field("order"));
        freshness::wait(ctx, at_least.as_deref(), &freshness::of_orders(&orders)).await?;
        let page = Page::new(first, after.as_deref(), |text| text.parse::<Cursor>().ok())?;
        let filter = filter.unwrap_or_default();
        let range = filter.requested_at.map_or((None, None), DateTimeRange::half_open);
        let query = ReturnQuery {
            status: filter.status.into_iter().flatten().map(Into::into).collect(),
            reason: filter.reason.into_iter().flatten().map(Into::into).collect(),
            order: filter.order_id,
            customer: searchable("where.customer", filter.customer)?,
            channel: searchable("where.channel", filter.channel)?,
            requested_from: range.0,
            requested_to: range.1,
            descending: direction == OrderDirection::Desc,
            after: page.after,
            limit: page.limit(),
        };
        let rows = Services::of(ctx).reader.returns(&query).await;
        let rows = rows.map_err(|cause| read_error(ctx, &cause))?;
        Ok(page.answer(rows, |listed| Cursor::of_return(&listed.row).to_string(), Into::into))
    }
}
