//! `processes`.

use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, Error, InputObject, Object};
use chrono::{DateTime, Utc};
use projector::read_model::{Cursor, ProcessQuery, ProcessRow, ProcessSort, ProjectionName};
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
    /// With something to happen by itself before this time.
    due_before: Option<DateTime<Utc>>,
    /// Only those whose next deadline is over. `false` is the same as leaving it out.
    overdue: Option<bool>,
}

/// What processes are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ProcessOrder {
    /// When they were started, the latest first.
    StartedAt,
    /// When something happens next by itself, the earliest first. Those that wait for nothing are left
    /// out.
    NextDeadlineAt,
}

#[Object]
impl Processes {
    /// Processes, the latest started first unless asked for otherwise. Needs the scope `orders:read`.
    #[graphql(complexity = "1 + usize::try_from(first).unwrap_or(0).min(100) * child_complexity")]
    async fn processes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from 1 to 100.")] first: i32,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(name = "where", desc = "Which processes.")] filter: Option<ProcessWhere>,
        #[graphql(desc = "How to sort them.", default_with = "ProcessOrder::StartedAt")]
        order_by: ProcessOrder,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Connection<String, Process>, Error> {
        let asked = ctx.look_ahead();
        let processes = [asked.field("nodes"), asked.field("edges").field("node")];
        let mut read = vec![ProjectionName::Fulfilments];
        if processes.iter().any(|process| process.field("authorisationEndsAt").exists()) {
            read.push(ProjectionName::Payments);
        }
        freshness::wait(ctx, at_least.as_deref(), &read).await?;
        let page = Page::new(first, after.as_deref(), |text| text.parse::<Cursor>().ok())?;
        let filter = filter.unwrap_or_default();
        let ProcessWhere { status, kind, order_id, due_before, overdue } = filter;
        let over = overdue.unwrap_or(false).then(|| Services::of(ctx).now());
        let query = ProcessQuery {
            status: status.into_iter().flatten().map(Into::into).collect(),
            kind: kind.into_iter().flatten().map(Into::into).collect(),
            order: order_id,
            due_before: [due_before, over].into_iter().flatten().min(),
            sort: match order_by {
                ProcessOrder::StartedAt => ProcessSort::StartedAt,
                ProcessOrder::NextDeadlineAt => ProcessSort::NextDeadlineAt,
            },
            after: page.after,
            limit: page.limit(),
        };
        let rows = Services::of(ctx).reader.processes(&query).await;
        let rows = rows.map_err(|cause| read_error(ctx, &cause))?;
        let cursor = |row: &ProcessRow| match order_by {
            ProcessOrder::StartedAt => Cursor::of_process(row),
            // The list has only those that have a place in it.
            ProcessOrder::NextDeadlineAt => {
                Cursor::of_process_by_deadline(row).unwrap_or_else(|| Cursor::of_process(row))
            }
        };
        Ok(page.answer(rows, |row| cursor(row).to_string(), Into::into))
    }
}
