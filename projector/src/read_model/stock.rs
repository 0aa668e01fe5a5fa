//! Queries over stock.

use super::{Error, Reader, StockLevel, StockLocationRow, StockMovementRow, StockRow};
use const_format::concatcp;

/// One page of the list of SKUs, in the order of their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockQuery {
    /// SKUs that begin like this; all, if not set.
    pub prefix: Option<String>,
    /// SKUs of which so much is available; all, if there are none.
    pub levels: Vec<StockLevel>,
    /// Right behind this SKU; from the beginning, if not set.
    pub after: Option<String>,
    /// So many at most.
    pub limit: u32,
}

impl Default for StockQuery {
    fn default() -> Self {
        Self { prefix: None, levels: vec![], after: None, limit: 50 }
    }
}

/// One page of what has moved, the latest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockMovementQuery {
    /// Of which SKU.
    pub sku: String,
    /// At this location; everywhere, if not set.
    pub location: Option<String>,
    /// Right behind this place; from the latest on, if not set.
    pub after: Option<StockMovementPlace>,
    /// So many at most.
    pub limit: u32,
}

/// The place of a movement among those of its SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StockMovementPlace {
    /// Revision of its event.
    pub revision: i64,
    /// Number of its part of the event.
    pub part: i32,
}

impl StockMovementRow {
    /// Its place.
    pub const fn place(&self) -> StockMovementPlace {
        StockMovementPlace { revision: self.revision, part: self.part }
    }
}

const BY_SKUS: &str =
    concatcp!("select ", StockRow::NAMES, " from read_model.stock_levels where sku = any($1)");

const LOCATIONS_OF: &str = concatcp!(
    "select ",
    StockLocationRow::NAMES,
    " from read_model.stock_locations where sku = any($1) order by sku, location"
);

const PAGE: &str = concatcp!(
    "select ",
    StockRow::NAMES,
    " from read_model.stock_levels \
     where ($1::text is null or starts_with(sku, $1)) \
     and ($2::text is null or sku > $2) \
     and ($3::text[] is null or level = any($3)) \
     order by sku limit $4"
);

/// The same for SKUs of which too little is available: few of many, found by their index.
const SHORT_PAGE: &str = concatcp!(
    "select ",
    StockRow::NAMES,
    " from read_model.stock_levels \
     where ($1::text is null or starts_with(sku, $1)) \
     and ($2::text is null or sku > $2) \
     and level <> 'enough' and level = any($3) \
     order by sku limit $4"
);

const MOVEMENTS: &str = concatcp!(
    "select ",
    StockMovementRow::NAMES,
    " from read_model.stock_movements where sku = $1 \
     and ($2::bigint is null or (revision, part) < ($2, $3::integer)) \
     order by revision desc, part desc limit $4"
);

const MOVEMENTS_AT: &str = concatcp!(
    "select ",
    StockMovementRow::NAMES,
    " from read_model.stock_movements where sku = $1 and location = $5 \
     and ($2::bigint is null or (revision, part) < ($2, $3::integer)) \
     order by revision desc, part desc limit $4"
);

impl Reader {
    /// The stock of these SKUs, in no particular order; SKUs that never came in are left out.
    pub async fn stock_by_skus(&self, skus: &[String]) -> Result<Vec<StockRow>, Error> {
        Ok(sqlx::query_as(BY_SKUS).bind(skus).fetch_all(&self.pool).await?)
    }

    /// The locations of these SKUs, by SKU and location.
    pub async fn stock_locations_of(
        &self,
        skus: &[String],
    ) -> Result<Vec<StockLocationRow>, Error> {
        Ok(sqlx::query_as(LOCATIONS_OF).bind(skus).fetch_all(&self.pool).await?)
    }

    /// One page of SKUs.
    pub async fn stock(&self, query: &StockQuery) -> Result<Vec<StockRow>, Error> {
        let StockQuery { prefix, levels, after, limit } = query;
        let is_short = !levels.is_empty() && !levels.contains(&StockLevel::Enough);
        let statement = sqlx::query_as(if is_short { SHORT_PAGE } else { PAGE })
            .bind(prefix)
            .bind(after)
            .bind((!levels.is_empty()).then_some(levels))
            .bind(i64::from(*limit));
        Ok(statement.fetch_all(&self.pool).await?)
    }

    /// One page of movements.
    pub async fn stock_movements(
        &self,
        query: &StockMovementQuery,
    ) -> Result<Vec<StockMovementRow>, Error> {
        let StockMovementQuery { sku, location, after, limit } = query;
        let statement = sqlx::query_as(location.as_ref().map_or(MOVEMENTS, |_| MOVEMENTS_AT))
            .bind(sku)
            .bind(after.map(|after| after.revision))
            .bind(after.map(|after| after.part))
            .bind(i64::from(*limit));
        let statement = match location {
            Some(location) => statement.bind(location),
            None => statement,
        };
        Ok(statement.fetch_all(&self.pool).await?)
    }
}
