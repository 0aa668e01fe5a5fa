//! Queries over returns.

use chrono::{DateTime, Utc};
use const_format::concatcp;
use domain::order::{ReturnProgress, ReturnReason};
use sqlx::{FromRow, Postgres, QueryBuilder};
use uuid::Uuid;

use super::cursor::List;
use super::{Cursor, Error, Reader, ReturnRow};
use crate::code::Code;

/// One page of the list of returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnQuery {
    /// In one of these states; in any, if empty.
    pub status: Vec<ReturnProgress>,
    /// For one of these reasons; for any, if empty.
    pub reason: Vec<ReturnReason>,
    /// Of this order; of any, if not set.
    pub order: Option<Uuid>,
    /// Of orders of this customer; of anybody's, if not set.
    pub customer: Option<String>,
    /// Of orders from this channel; from any, if not set.
    pub channel: Option<String>,
    /// Asked for at this time or later.
    pub requested_from: Option<DateTime<Utc>>,
    /// Asked for before this time.
    pub requested_to: Option<DateTime<Utc>>,
    /// The latest first.
    pub descending: bool,
    /// Right behind this place; from the beginning, if not set.
    pub after: Option<Cursor>,
    /// So many at most.
    pub limit: u32,
}

impl Default for ReturnQuery {
    /// The fifty that were asked for last.
    fn default() -> Self {
        Self {
            status: vec![],
            reason: vec![],
            order: None,
            customer: None,
            channel: None,
            requested_from: None,
            requested_to: None,
            descending: true,
            after: None,
            limit: 50,
        }
    }
}

/// A return in a list, with what is said of its order.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ListedReturn {
    /// The return.
    #[sqlx(flatten)]
    pub row: ReturnRow,
    /// Whether a later event of its order could not be understood: the row is right, but may be out
    /// of date.
    pub quarantined: bool,
}

pub(super) fn page(query: &ReturnQuery) -> Result<QueryBuilder<Postgres>, Error> {
    const ROWS: &str = concatcp!(
        "select r.*, o.quarantined from (select ",
        ReturnRow::NAMES,
        " from read_model.returns) r join read_model.orders o on o.id = r.order_id where true"
    );
    let mut sql = QueryBuilder::new(ROWS);
    one_of(&mut sql, " and r.status = ", &query.status);
    one_of(&mut sql, " and r.reason = ", &query.reason);
    if let Some(order) = query.order {
        sql.push(" and r.order_id = ").push_bind(order);
    }
    let names = [(" and o.customer = ", &query.customer), (" and o.channel = ", &query.channel)];
    for (condition, name) in names {
        if let Some(name) = name {
            sql.push(condition).push_bind(name.clone());
        }
    }
    if let Some(from) = query.requested_from {
        sql.push(" and r.requested_at >= ").push_bind(from);
    }
    if let Some(to) = query.requested_to {
        sql.push(" and r.requested_at < ").push_bind(to);
    }
    let (behind, direction) = if query.descending { (" < ", " desc") } else { (" > ", "") };
    if let Some(after) = query.after {
        let (time, id) = after.time_within(List::Returns)?;
        sql.push(" and (r.requested_at, r.id)").push(behind).push("(").push_bind(time);
        sql.push(", ").push_bind(id).push(")");
    }
    sql.push(" order by r.requested_at").push(direction).push(", r.id").push(direction);
    sql.push(" limit ").push_bind(i64::from(query.limit));
    Ok(sql)
}

fn one_of<T: Code>(sql: &mut QueryBuilder<Postgres>, condition: &'static str, wanted: &[T]) {
    match wanted {
        [] => {}
        // For one value the index also gives the order.
        [one] => {
            sql.push(condition).push_bind(one.text());
        }
        several => {
            let codes: Vec<_> = several.iter().map(|one| one.text()).collect();
            sql.push(condition).push("any(").push_bind(codes).push(")");
        }
    }
}

impl Reader {
    /// One page of returns.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] when the cursor was made for another list.
    pub async fn returns(&self, query: &ReturnQuery) -> Result<Vec<ListedReturn>, Error> {
        Ok(page(query)?.build_query_as().fetch_all(&self.pool).await?)
    }
}
