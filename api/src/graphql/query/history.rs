//! `orderHistory`: every change of an order, with who, when, why, and what was before and after.

use async_graphql::connection::Connection;
use async_graphql::{Context, Error, Object};
use domain::ids::OrderId;
use uuid::Uuid;

use super::past::{Step, Walk};
use crate::graphql::error::internal;
use crate::graphql::model::OrderChange;
use crate::graphql::page::Page;

#[derive(Default)]
pub(crate) struct History;

#[Object]
impl History {
    /// Every event of the order's own stream, the first one first; nothing when there is no such
    /// order. Read from the log, so always complete. Needs the scope `orders:read`.
    #[graphql(complexity = "1 + usize::try_from(first).unwrap_or(0).min(100) * child_complexity")]
    async fn order_history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which order.")] id: Uuid,
        #[graphql(desc = "How many, from 1 to 100.")] first: i32,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<String, OrderChange>, Error> {
        let page = Page::new(first, after.as_deref(), |text| text.parse::<u64>().ok())?;
        let id = OrderId(id);
        let mut walk = Walk::new(ctx, id);
        let mut changes = vec![];
        while changes.len() < page.limit() as usize
            && let Some(Step { event, before, after }) = walk.next().await?
        {
            if page.after.is_none_or(|after| event.revision > after) {
                let change = OrderChange::new(id, &event, before.placed(), after.placed());
                changes.push(change.map_err(|cause| internal(ctx, &cause))?);
            }
        }
        Ok(page.answer(changes, OrderChange::cursor, |change| change))
    }
}
