//! `orderHistory`: every change of an order, with who, when, why, and what was before and after.

use async_graphql::connection::Connection;
use async_graphql::{Context, Error, Object};
use domain::ids::OrderId;
use uuid::Uuid;

use super::past::Walk;
use crate::graphql::error::internal;
use crate::graphql::model::{Comparison, OrderChange};
use crate::graphql::page::Page;

#[derive(Default)]
pub(crate) struct History;

#[Object]
impl History {
    /// Every event of the order's own stream, the first one first; nothing when there is no such
    /// order. Read from the log, so always complete. Needs the scope `orders:read`.
    // The log is read from the order's beginning, whatever is selected.
    #[graphql(
        complexity = "2_000 + usize::try_from(first).unwrap_or(0).min(100) * child_complexity"
    )]
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
        let mut comparison = asks_for_changes(ctx).then(Comparison::default);
        let mut changes = vec![];
        while changes.len() < page.limit() as usize
            && let Some(event) = walk.next().await?
        {
            let skipped = page.after.is_some_and(|after| event.revision <= after);
            let differences = match &mut comparison {
                Some(_) if skipped => {
                    walk.apply(&event)?;
                    None
                }
                Some(comparison) => {
                    if changes.is_empty() {
                        let begun = comparison.begin(walk.order());
                        begun.map_err(|cause| internal(ctx, &cause))?;
                    }
                    walk.apply(&event)?;
                    let differences = comparison.go_on(walk.order());
                    Some(differences.map_err(|cause| internal(ctx, &cause))?)
                }
                None => None,
            };
            if !skipped {
                let change = OrderChange::new(id, &event, differences);
                changes.push(change.map_err(|cause| internal(ctx, &cause))?);
            }
        }
        Ok(page.answer(changes, OrderChange::cursor, |change| change))
    }
}

/// Whether somebody wants to know what was before and after: comparing is what costs most.
fn asks_for_changes(ctx: &Context<'_>) -> bool {
    let nodes = ctx.look_ahead().field("nodes").field("changes").exists();
    nodes || ctx.look_ahead().field("edges").field("node").field("changes").exists()
}
