//! `processes`.

use async_graphql::connection::Connection;
use async_graphql::{Context, Error, InputObject, Object};
use projector::read_model::{Cursor, ProcessQuery, ProjectionName};
use uuid::Uuid;

use crate::graphql::error::read_error;
use crate::graphql::freshness;
use crate::graphql::model::{Process, ProcessKind, ProcessStatus};
use crate::graphql::page::Page;
use crate::graphql::request::Services;

#[derive(Default)]
pub(crate) struct Processes;

/// Which processes.
#[derive(Debug, Clone, Default, InputObject)]
pub(crate) struct ProcessWhere {
    /// Doing one of these.
    status: Option<Vec<ProcessStatus>>,
    /// Of one of these kinds.
    kind: Option<Vec<ProcessKind>>,
    /// For this order.
    order_id: Option<Uuid>,
}

#[Object]
impl Processes {
    /// Processes, the latest started first. Needs the scope `orders:read`.
    #[graphql(complexity = "1 + usize::try_from(first).unwrap_or(0).min(100) * child_complexity")]
    async fn processes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from 1 to 100.")] first: i32,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(name = "where", desc = "Which processes.")] filter: Option<ProcessWhere>,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Connection<String, Process>, Error> {
        freshness::wait(ctx, at_least.as_deref(), &[ProjectionName::Fulfilments]).await?;
        let page = Page::new(first, after.as_deref(), |text| text.parse::<Cursor>().ok())?;
        let ProcessWhere { status, kind, order_id } = filter.unwrap_or_default();
        let query = ProcessQuery {
            status: status.into_iter().flatten().map(Into::into).collect(),
            kind: kind.into_iter().flatten().map(Into::into).collect(),
            order: order_id,
            after: page.after,
            limit: page.limit(),
        };
        let rows = Services::of(ctx).reader.processes(&query).await;
        let rows = rows.map_err(|cause| read_error(ctx, &cause))?;
        Ok(page.answer(rows, |row| Cursor::of_process(row).to_string(), Into::into))
    }
}
