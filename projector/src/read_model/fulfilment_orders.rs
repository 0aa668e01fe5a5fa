//! Queries over what locations have to do.

use const_format::concatcp;
use sqlx::{FromRow, Postgres, QueryBuilder};

use super::cursor::List;
use super::{Cursor, Error, FulfilmentOrderRow, FulfilmentOrderStatus, Reader};

/// One page of what locations have to do, the order that was placed first coming first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FulfilmentOrderQuery {
    /// At this location; at any, if not set.
    pub location: Option<String>,
    /// In one of these states; in any, if empty.
    pub status: Vec<FulfilmentOrderStatus>,
    /// Right behind this place; from the beginning, if not set.
    pub after: Option<Cursor>,
    /// So many at most.
    pub limit: u32,
}

impl Default for FulfilmentOrderQuery {
    fn default() -> Self {
        Self { location: None, status: vec![], after: None, limit: 50 }
    }
}

/// What a location has to do, in a list, with what is said of its order.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ListedFulfilmentOrder {
    /// What there is to do.
    #[sqlx(flatten)]
    pub row: FulfilmentOrderRow,
    /// Whether a later event of its order could not be understood: the row is right, but may be out
    /// of date.
    pub quarantined: bool,
}

const PAGE: &str = concatcp!(
    "select f.*, coalesce((select o.quarantined from read_model.orders o where o.id = f.order_id), \
     false) as quarantined from (select ",
    FulfilmentOrderRow::NAMES,
    " from read_model.fulfilment_orders) f where true"
);

/// The page that `query` asks for.
pub(super) fn page(query: &FulfilmentOrderQuery) -> Result<QueryBuilder<Postgres>, Error> {
    let mut sql = QueryBuilder::new(PAGE);
    if let Some(location) = &query.location {
        sql.push(" and location = ").push_bind(location);
    }
    match query.status[..] {
        [] => {}
        // With one state only the index gives them in order.
        [one] => {
            sql.push(" and status = ").push_bind(one.code());
        }
        [..] => {
            let codes: Vec<_> = query.status.iter().map(|status| status.code()).collect();
            sql.push(" and status = any(").push_bind(codes).push(")");
        }
    }
    if let Some(after) = query.after {
        let (time, id) = after.time_within(List::FulfilmentOrders)?;
        sql.push(" and (placed_at, id) > (").push_bind(time).push(", ").push_bind(id).push(")");
    }
    sql.push(" order by placed_at, id limit ").push_bind(i64::from(query.limit));
    Ok(sql)
}

impl Reader {
    /// One page of what locations have to do.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] when the cursor was made for another list.
    pub async fn fulfilment_orders(
        &self,
        query: &FulfilmentOrderQuery,
    ) -> Result<Vec<ListedFulfilmentOrder>, Error> {
        Ok(page(query)?.build_query_as().fetch_all(&self.pool).await?)
    }
}
