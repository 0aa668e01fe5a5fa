//! `salesByDay`.

use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, Error, Object};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::NaiveDate;
use projector::read_model::{self, SalesByDayQuery, SalesPlace};

use super::searchable;
use crate::graphql::error::read_error;
use crate::graphql::freshness;
use crate::graphql::model::{LineKind, SalesByDay};
use crate::graphql::page::Page;
use crate::graphql::request::Services;

#[derive(Default)]
pub(crate) struct SalesByDays;

/// What sales are summed up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::SalesGroup")]
pub(crate) enum SalesGroup {
    /// The day of placing, in UTC.
    Day,
    /// The SKU.
    Sku,
    /// The channel.
    Channel,
}

#[Object]
impl SalesByDays {
    /// What was sold, summed up by day, SKU or channel, and always by currency; in the order of these.
    /// Cancelled, returned and refunded units count on the day on which their order was placed. Needs
    /// the scope `orders:read`.
    #[expect(clippy::too_many_arguments, reason = "they are arguments of the query")]
    #[graphql(complexity = "20 + usize::try_from(first).unwrap_or(0).min(100) * child_complexity")]
    async fn sales_by_day(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Placed on this day or later.")] from: Option<NaiveDate>,
        #[graphql(desc = "Placed on this day or earlier.")] to: Option<NaiveDate>,
        #[graphql(desc = "Only of this SKU.")] sku: Option<String>,
        #[graphql(desc = "Only from this channel.")] channel: Option<String>,
        #[graphql(
            desc = "Only lines of this kind; of both, when it is null.",
            default_with = "Some(LineKind::Goods)"
        )]
        kind: Option<LineKind>,
        #[graphql(
            desc = "Summed up by these.",
            default_with = "vec![SalesGroup::Day, SalesGroup::Sku]"
        )]
        group_by: Vec<SalesGroup>,
        #[graphql(desc = "How many, from 1 to 100.")] first: i32,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Connection<String, SalesByDay>, Error> {
        freshness::wait(ctx, at_least.as_deref(), &freshness::of_orders(&[])).await?;
        let page = Page::new(first, after.as_deref(), read_place)?;
        let query = SalesByDayQuery {
            from,
            to,
            sku: searchable("sku", sku)?,
            channel: searchable("channel", channel)?,
            kind: kind.map(|kind| match kind {
                LineKind::Goods => read_model::LineKind::Goods,
                LineKind::Charge => read_model::LineKind::Charge,
            }),
            group_by: group_by.into_iter().map(Into::into).collect(),
            after: page.after.clone(),
            limit: page.limit(),
        };
        let rows = Services::of(ctx).reader.sales_by_day(&query).await;
        let rows = rows.map_err(|cause| read_error(ctx, &cause))?;
        Ok(page.answer(rows, |row| cursor_of(&row.place), Into::into))
    }
}

fn cursor_of(place: &SalesPlace) -> String {
    // Plain data with string keys always serialises.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

fn read_place(text: &str) -> Option<SalesPlace> {
    let place: SalesPlace = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let texts = [place.sku.as_deref(), place.channel.as_deref(), Some(&place.currency)];
    // What Postgres cannot keep is in no list.
    let kept = !texts.into_iter().flatten().any(|text| text.contains('\0'));
    kept.then_some(place)
}
