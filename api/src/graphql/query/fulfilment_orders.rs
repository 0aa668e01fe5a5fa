//! `fulfilmentOrders`.

use async_graphql::connection::Connection;
use async_graphql::{Context, Error, Object};
use projector::read_model::{Cursor, FulfilmentOrderQuery};

use super::searchable;
use crate::graphql::error::read_error;
use crate::graphql::freshness;
use crate::graphql::model::{FulfilmentOrderStatus, FulfilmentTask};
use crate::graphql::page::Page;
use crate::graphql::request::Services;

#[derive(Default)]
pub(crate) struct FulfilmentOrders;

#[Object]
impl FulfilmentOrders {
    /// What locations have to do, the order that was placed first coming first. Needs the scope
    /// `orders:read`.
    #[graphql(complexity = "1 + usize::try_from(first).unwrap_or(0).min(100) * child_complexity")]
    async fn fulfilment_orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from 1 to 100.")] first: i32,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(desc = "At this location; at all when left out.")] location: Option<String>,
        #[graphql(desc = "In one of these; in any when left out.")] status: Option<
            Vec<FulfilmentOrderStatus>,
        >,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Connection<String, FulfilmentTask>, Error> {
        let ahead = ctx.look_ahead();
        let nodes = [ahead.field("nodes"), ahead.field("edges").field("node")];
        let orders = nodes.map(|node| node.field("order"));
        freshness::wait(ctx, at_least.as_deref(), &freshness::of_orders(&orders)).await?;
        let page = Page::new(first, after.as_deref(), |text| text.parse::<Cursor>().ok())?;
        let status = status.unwrap_or_default();
        let query = FulfilmentOrderQuery {
            location: searchable("location", location)?,
            status: status.into_iter().map(Into::into).collect(),
            after: page.after,
            limit: page.limit(),
        };
        let rows = Services::of(ctx).reader.fulfilment_orders(&query).await;
        let rows = rows.map_err(|cause| read_error(ctx, &cause))?;
        Ok(page.answer(rows, |it| Cursor::of_fulfilment_order(&it.row).to_string(), Into::into))
    }
}
