//! Queries over fulfilment processes.

use uuid::Uuid;

use super::cursor::List;
use super::{Cursor, Error, ProcessRow, ProcessStatus, Reader};
use crate::projections::fulfilments::process_columns;

/// One page of the list of processes, the latest started first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessQuery {
    /// In one of these states; in any, if empty.
    pub status: Vec<ProcessStatus>,
    /// Right behind this place; from the beginning, if not set.
    pub after: Option<Cursor>,
    /// So many at most.
    pub limit: u32,
}

impl Default for ProcessQuery {
    fn default() -> Self {
        Self { status: vec![], after: None, limit: 50 }
    }
}

const OF: &str =
    concat!("select ", process_columns!(), " from read_model.fulfilments where order_id = any($1)");

const PAGE: &str = concat!(
    "select ",
    process_columns!(),
    " from read_model.fulfilments \
     where ($1::text[] is null or status = any($1)) \
     and ($2::timestamptz is null or (started_at, order_id) < ($2, $3::uuid)) \
     order by started_at desc, order_id desc limit $4"
);

impl Reader {
    /// The processes of these orders, in no particular order.
    pub async fn processes_of(&self, orders: &[Uuid]) -> Result<Vec<ProcessRow>, Error> {
        Ok(sqlx::query_as(OF).bind(orders).fetch_all(&self.pool).await?)
    }

    /// One page of processes.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] when the cursor was made for another list.
    pub async fn processes(&self, query: &ProcessQuery) -> Result<Vec<ProcessRow>, Error> {
        let status = (!query.status.is_empty()).then_some(&query.status);
        let after = query.after.map(|cursor| cursor.time_within(List::Processes)).transpose()?;
        let statement = sqlx::query_as(PAGE)
            .bind(status)
            .bind(after.map(|(time, _)| time))
            .bind(after.map(|(_, id)| id))
            .bind(i64::from(query.limit));
        Ok(statement.fetch_all(&self.pool).await?)
    }
}
