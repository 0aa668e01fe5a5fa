//! Queries over customers: their orders and what they spent.

use const_format::concatcp;
use sqlx::{Postgres, QueryBuilder};

use super::cursor::List;
use super::{Cursor, CustomerRow, Error, Reader};

/// What a list of customers is sorted by; those that are equal in it, by their id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum CustomerSort {
    /// When they placed their latest order.
    #[default]
    LastOrderAt,
    /// What they spent in minor units, whatever the currency.
    Spent,
}

impl CustomerSort {
    pub(super) const fn list(self) -> List {
        match self {
            Self::LastOrderAt => List::CustomersByLastOrder,
            Self::Spent => List::CustomersBySpent,
        }
    }
}

/// One page of a list of customers, one row per customer and currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerQuery {
    /// Orders in this currency; in any, if not set.
    pub currency: Option<String>,
    /// Sorted by what.
    pub sort: CustomerSort,
    /// Largest first.
    pub descending: bool,
    /// Right behind this place; from the beginning, if not set.
    pub after: Option<Cursor>,
    /// So many at most.
    pub limit: u32,
}

impl Default for CustomerQuery {
    /// The fifty customers who ordered last.
    fn default() -> Self {
        Self {
            currency: None,
            sort: CustomerSort::LastOrderAt,
            descending: true,
            after: None,
            limit: 50,
        }
    }
}

const OF: &str = concatcp!(
    "select ",
    CustomerRow::NAMES,
    " from read_model.customers where customer = $1 order by currency"
);

const PAGE: &str =
    concatcp!("select ", CustomerRow::NAMES, " from read_model.customers where true");

/// The page that `query` asks for.
pub(super) fn page(query: &CustomerQuery) -> Result<QueryBuilder<Postgres>, Error> {
    let mut sql = QueryBuilder::new(PAGE);
    if let Some(currency) = &query.currency {
        sql.push(" and currency = ").push_bind(currency);
    }
    let (key, behind, direction) = match (query.sort, query.descending) {
        (CustomerSort::LastOrderAt, false) => ("last_order_at", " > ", ""),
        (CustomerSort::LastOrderAt, true) => ("last_order_at", " < ", " desc"),
        (CustomerSort::Spent, false) => ("spent_minor", " > ", ""),
        (CustomerSort::Spent, true) => ("spent_minor", " < ", " desc"),
    };
    if let Some(after) = query.after {
        sql.push(" and (").push(key).push(", id)").push(behind).push("(");
        let id = match query.sort {
            CustomerSort::LastOrderAt => {
                let (time, id) = after.time_within(query.sort.list())?;
                sql.push_bind(time);
                id
            }
            CustomerSort::Spent => {
                let (spent, id) = after.within(query.sort.list())?;
                sql.push_bind(spent);
                id
            }
        };
        sql.push(", ").push_bind(id).push(")");
    }
    sql.push(" order by ").push(key).push(direction).push(", id").push(direction);
    sql.push(" limit ").push_bind(i64::from(query.limit));
    Ok(sql)
}

impl Reader {
    /// What `customer` ordered, one row per currency; nothing for somebody who never did.
    pub async fn customer(&self, customer: &str) -> Result<Vec<CustomerRow>, Error> {
        Ok(sqlx::query_as(OF).bind(customer).fetch_all(&self.pool).await?)
    }

    /// One page of customers.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] when the cursor was made for another sorting.
    pub async fn customers(&self, query: &CustomerQuery) -> Result<Vec<CustomerRow>, Error> {
        Ok(page(query)?.build_query_as().fetch_all(&self.pool).await?)
    }
}
