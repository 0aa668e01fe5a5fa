//! Queries over processes.

use chrono::{DateTime, Utc};
use const_format::concatcp;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::cursor::List;
use super::{Cursor, Error, ProcessKind, ProcessRow, ProcessStatus, Reader};

/// What a list of processes is sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ProcessSort {
    /// When they were started, the latest first.
    #[default]
    StartedAt,
    /// When something is to happen next, the earliest first. Those that wait for nothing are left
    /// out.
    NextDeadlineAt,
}

/// One page of the list of processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessQuery {
    /// In one of these states; in any, if empty.
    pub status: Vec<ProcessStatus>,
    /// Of one of these kinds; of any, if empty.
    pub kind: Vec<ProcessKind>,
    /// For this order; for any, if not set.
    pub order: Option<Uuid>,
    /// With something to happen before this time.
    pub due_before: Option<DateTime<Utc>>,
    /// Sorted by what.
    pub sort: ProcessSort,
    /// Right behind this place; from the beginning, if not set.
    pub after: Option<Cursor>,
    /// So many at most.
    pub limit: u32,
}

impl Default for ProcessQuery {
    fn default() -> Self {
        Self {
            status: vec![],
            kind: vec![],
            order: None,
            due_before: None,
            sort: ProcessSort::StartedAt,
            after: None,
            limit: 50,
        }
    }
}

const OF: &str = concatcp!(
    "select ",
    ProcessRow::NAMES,
    " from read_model.fulfilments where order_id = any($1) \
     order by order_id, started_at, id"
);

pub(super) fn page(query: &ProcessQuery) -> Result<QueryBuilder<Postgres>, Error> {
    const ROWS: &str =
        concatcp!("select ", ProcessRow::NAMES, " from read_model.fulfilments where true");
    let mut sql = QueryBuilder::new(ROWS);
    // For one value the index also gives the order.
    match &query.status[..] {
        [] => {}
        [one] => {
            sql.push(" and status = ").push_bind(*one);
        }
        several => {
            sql.push(" and status = any(").push_bind(several.to_vec()).push(")");
        }
    }
    if !query.kind.is_empty() {
        sql.push(" and kind = any(").push_bind(query.kind.clone()).push(")");
    }
    if let Some(order) = query.order {
        sql.push(" and order_id = ").push_bind(order);
    }
    if let Some(time) = query.due_before {
        sql.push(" and next_deadline_at < ").push_bind(time);
    }
    let (key, behind, direction) = match query.sort {
        ProcessSort::StartedAt => ("started_at", " < ", " desc"),
        ProcessSort::NextDeadlineAt => ("next_deadline_at", " > ", ""),
    };
    if query.sort == ProcessSort::NextDeadlineAt {
        sql.push(" and next_deadline_at is not null");
    }
    if let Some(after) = query.after {
        let (time, id) = after.time_within(query.sort.list())?;
        sql.push(" and (").push(key).push(", id)").push(behind).push("(");
        sql.push_bind(time).push(", ").push_bind(id).push(")");
    }
    sql.push(" order by ").push(key).push(direction).push(", id").push(direction);
    sql.push(" limit ").push_bind(i64::from(query.limit));
    Ok(sql)
}

impl ProcessSort {
    const fn list(self) -> List {
        match self {
            Self::StartedAt => List::Processes,
            Self::NextDeadlineAt => List::ProcessesByDeadline,
        }
    }
}

impl Reader {
    /// The processes of these orders, by order, the earliest first.
    pub async fn processes_of(&self, orders: &[Uuid]) -> Result<Vec<ProcessRow>, Error> {
        Ok(sqlx::query_as(OF).bind(orders).fetch_all(&self.pool).await?)
    }

    /// One page of processes.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] when the cursor was made for another list.
    pub async fn processes(&self, query: &ProcessQuery) -> Result<Vec<ProcessRow>, Error> {
        Ok(page(query)?.build_query_as().fetch_all(&self.pool).await?)
    }
}
