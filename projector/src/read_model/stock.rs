//! Queries over stock.

use super::{Error, Reader, StockRow};
use crate::projections::stock_levels::stock_columns;

/// One page of the list of SKUs, in the order of their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockQuery {
    /// SKUs that begin like this; all, if not set.
    pub prefix: Option<String>,
    /// Right behind this SKU; from the beginning, if not set.
    pub after: Option<String>,
    /// So many at most.
    pub limit: u32,
}

impl Default for StockQuery {
    fn default() -> Self {
        Self { prefix: None, after: None, limit: 50 }
    }
}

const BY_SKUS: &str =
    concat!("select ", stock_columns!(), " from read_model.stock_levels where sku = any($1)");

const PAGE: &str = concat!(
    "select ",
    stock_columns!(),
    " from read_model.stock_levels \
     where ($1::text is null or starts_with(sku, $1)) \
     and ($2::text is null or sku > $2) \
     order by sku limit $3"
);

impl Reader {
    /// The stock of these SKUs, in no particular order; SKUs that never came in are left out.
    pub async fn stock_by_skus(&self, skus: &[String]) -> Result<Vec<StockRow>, Error> {
        Ok(sqlx::query_as(BY_SKUS).bind(skus).fetch_all(&self.pool).await?)
    }

    /// One page of SKUs.
    pub async fn stock(&self, query: &StockQuery) -> Result<Vec<StockRow>, Error> {
        let statement = sqlx::query_as(PAGE)
            .bind(&query.prefix)
            .bind(&query.after)
            .bind(i64::from(query.limit));
        Ok(statement.fetch_all(&self.pool).await?)
    }
}
