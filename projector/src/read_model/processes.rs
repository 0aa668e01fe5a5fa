//! Queries over processes.

use const_format::concatcp;
use uuid::Uuid;

use super::cursor::List;
use super::{Cursor, Error, ProcessKind, ProcessRow, ProcessStatus, Reader};

/// One page of the list of processes, the latest started first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessQuery {
    /// In one of these states; in any, if empty.
    pub status: Vec<ProcessStatus>,
    /// Of one of these kinds; of any, if empty.
    pub kind: Vec<ProcessKind>,
    /// For this order; for any, if not set.
    pub order: Option<Uuid>,
    /// Right behind this place; from the beginning, if not set.
    pub after: Option<Cursor>,
    /// So many at most.
    pub limit: u32,
}

impl Default for ProcessQuery {
    fn default() -> Self {
        Self { status: vec![], kind: vec![], order: None, after: None, limit: 50 }
    }
}

const OF: &str = concatcp!(
    "select ",
    ProcessRow::NAMES,
    " from read_model.fulfilments where order_id = any($1) \
     order by order_id, started_at, id"
);

const PAGE: &str = concatcp!(
    "select ",
    ProcessRow::NAMES,
    " from read_model.fulfilments \
     where ($1::text[] is null or status = any($1)) \
     and ($5::text[] is null or kind = any($5)) \
     and ($6::uuid is null or order_id = $6) \
     and ($2::timestamptz is null or (started_at, id) < ($2, $3::uuid)) \
     order by started_at desc, id desc limit $4"
);

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
        let status = (!query.status.is_empty()).then_some(&query.status);
        let kind = (!query.kind.is_empty()).then_some(&query.kind);
        let after = query.after.map(|cursor| cursor.time_within(List::Processes)).transpose()?;
        let statement = sqlx::query_as(PAGE)
            .bind(status)
            .bind(after.map(|(time, _)| time))
            .bind(after.map(|(_, id)| id))
            .bind(i64::from(query.limit))
            .bind(kind)
            .bind(query.order);
        Ok(statement.fetch_all(&self.pool).await?)
    }
}
