//! `orderTimeline`.

use async_graphql::connection::Connection;
use async_graphql::{Context, Error, Object};
use uuid::Uuid;

use crate::graphql::error::read_error;
use crate::graphql::freshness;
use crate::graphql::model::OrderMoment;
use crate::graphql::page::Page;
use crate::graphql::request::Services;

#[derive(Default)]
pub(crate) struct TimelineOfOrder;

#[Object]
impl TimelineOfOrder {
    /// Where an order stood after each of its events, the first first, from the read model. What
    /// exactly each event changed is in `orderHistory`. Needs the scope `orders:read`.
    #[graphql(complexity = "1 + usize::try_from(first).unwrap_or(0).min(100) * child_complexity")]
    async fn order_timeline(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which order.")] id: Uuid,
        #[graphql(desc = "How many, from 1 to 100.")] first: i32,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Connection<String, OrderMoment>, Error> {
        freshness::wait(ctx, at_least.as_deref(), &freshness::of_orders(&[])).await?;
        let page = Page::new(first, after.as_deref(), |text| text.parse::<u32>().ok())?;
        let after = page.after.map(i64::from);
        let rows = Services::of(ctx).reader.timeline(id, after, page.limit()).await;
        let rows = rows.map_err(|cause| read_error(ctx, &cause))?;
        Ok(page.answer(rows, |row| row.then.revision.to_string(), Into::into))
    }
}
