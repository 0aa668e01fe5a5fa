//! `stock` and `stocks`.

use async_graphql::connection::Connection;
use async_graphql::{Context, Error, Object};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::ids::Sku;
use projector::read_model::{ProjectionName, StockQuery};

use super::searchable;
use crate::graphql::error::read_error;
use crate::graphql::freshness;
use crate::graphql::model::Stock;
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
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Connection<String, Stock>, Error> {
        freshness::wait(ctx, at_least.as_deref(), &[ProjectionName::StockLevels]).await?;
        let page = Page::new(first, after.as_deref(), read_cursor)?;
        let prefix = searchable("prefix", prefix)?;
        let query = StockQuery { prefix, after: page.after.clone(), limit: page.limit() };
        let rows = Services::of(ctx).reader.stock(&query).await;
        let rows = rows.map_err(|cause| read_error(ctx, &cause))?;
        Ok(page.answer(rows, |row| URL_SAFE_NO_PAD.encode(&row.sku), Into::into))
    }
}

fn read_cursor(text: &str) -> Option<String> {
    let sku = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    Sku::new(&sku).is_ok().then_some(sku)
}
