//! `stock`, `stocks` and `stockMovements`.

use async_graphql::connection::Connection;
use async_graphql::{Context, Error, Object};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::ids::{LocationCode, Sku};
use projector::read_model::{
    ProjectionName, StockMovementPlace, StockMovementQuery, StockMovementRow, StockQuery,
};

use super::searchable;
use crate::graphql::error::read_error;
use crate::graphql::freshness;
use crate::graphql::model::{Stock, StockLevel, StockMovement};
use crate::graphql::page::Page;
use crate::graphql::request::Services;

#[derive(Default)]
pub(crate) struct Stocks;

#[Object]
impl Stocks {
    /// The stock of one SKU; none when it was never received, or not that the read model knows of
    /// yet. Needs the scope `stock:read`.
    async fn stock(
        &self,
        ctx: &Context<'_>,
        sku: String,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Option<Stock>, Error> {
        freshness::wait(ctx, at_least.as_deref(), &[ProjectionName::StockLevels]).await?;
        // What is no SKU was never received.
        let Ok(sku) = Sku::new(sku) else { return Ok(None) };
        let rows = Services::of(ctx).reader.stock_by_skus(&[sku.into()]).await;
        Ok(rows.map_err(|cause| read_error(ctx, &cause))?.pop().map(Into::into))
    }

    /// The stock of all SKUs, in the order of their bytes. Needs the scope `stock:read`.
    #[graphql(complexity = "1 + usize::try_from(first).unwrap_or(0).min(100) * child_complexity")]
    async fn stocks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from 1 to 100.")] first: i32,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(desc = "SKUs that begin like this.")] prefix: Option<String>,
        #[graphql(desc = "SKUs of which so much is available: LOW and OUT is what runs short.")]
        level: Option<Vec<StockLevel>>,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Connection<String, Stock>, Error> {
        freshness::wait(ctx, at_least.as_deref(), &[ProjectionName::StockLevels]).await?;
        let page = Page::new(first, after.as_deref(), read_cursor)?;
        let query = StockQuery {
            prefix: searchable("prefix", prefix)?,
            levels: level.unwrap_or_default().into_iter().map(Into::into).collect(),
            after: page.after.clone(),
            limit: page.limit(),
        };
        let rows = Services::of(ctx).reader.stock(&query).await;
        let rows = rows.map_err(|cause| read_error(ctx, &cause))?;
        Ok(page.answer(rows, |row| URL_SAFE_NO_PAD.encode(&row.sku), Into::into))
    }

    /// How the stock of a SKU came about, the latest first: every receipt, correction, count,
    /// reservation, shipment and return. Needs the scope `stock:read`.
    #[graphql(complexity = "1 + usize::try_from(first).unwrap_or(0).min(100) * child_complexity")]
    async fn stock_movements(
        &self,
        ctx: &Context<'_>,
        sku: String,
        #[graphql(desc = "Only at this location; everywhere, when left out.")] location: Option<
            String,
        >,
        #[graphql(desc = "How many, from 1 to 100.")] first: i32,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Connection<String, StockMovement>, Error> {
        freshness::wait(ctx, at_least.as_deref(), &[ProjectionName::StockLevels]).await?;
        let page = Page::new(first, after.as_deref(), read_place)?;
        let location = location.map(LocationCode::new).transpose();
        // At what is no location, and of what is no SKU, nothing ever moved.
        let (Ok(sku), Ok(location)) = (Sku::new(sku), location) else {
            return Ok(page.answer(vec![], cursor_of, Into::into));
        };
        let query = StockMovementQuery {
            sku: sku.into(),
            location: location.map(Into::into),
            after: page.after,
            limit: page.limit(),
        };
        let rows = Services::of(ctx).reader.stock_movements(&query).await;
        let rows = rows.map_err(|cause| read_error(ctx, &cause))?;
        Ok(page.answer(rows, cursor_of, Into::into))
    }
}

fn read_cursor(text: &str) -> Option<String> {
    let sku = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    Sku::new(&sku).is_ok().then_some(sku)
}

fn cursor_of(row: &StockMovementRow) -> String {
    let StockMovementPlace { revision, part } = row.place();
    URL_SAFE_NO_PAD.encode([&revision.to_be_bytes()[..], &part.to_be_bytes()].concat())
}

fn read_place(text: &str) -> Option<StockMovementPlace> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (revision, part) = bytes.split_at_checked(size_of::<i64>())?;
    let revision = i64::from_be_bytes(revision.try_into().ok()?);
    Some(StockMovementPlace { revision, part: i32::from_be_bytes(part.try_into().ok()?) })
}
