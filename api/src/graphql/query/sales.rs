//! `salesTotals`.

use async_graphql::{Context, Error, Object};
use projector::read_model::{CreditTotalsFilter, ProjectionName, SalesFilter};

use super::order_where::DateTimeRange;
use super::searchable;
use crate::graphql::error::read_error;
use crate::graphql::freshness;
use crate::graphql::model::SalesTotals;
use crate::graphql::request::Services;

#[derive(Default)]
pub(crate) struct Sales;

#[Object]
impl Sales {
    /// Sums over orders and credit notes. Reads every one of them: for reports, not for every page.
    /// Needs the scope `orders:read`.
    #[graphql(complexity = "100 + child_complexity")]
    async fn sales_totals(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "From this channel; from all when left out.")] channel: Option<String>,
        #[graphql(desc = "Orders placed and credit notes issued in this range.")] range: Option<
            DateTimeRange,
        >,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<SalesTotals, Error> {
        let projections = [ProjectionName::Orders, ProjectionName::CreditNotes];
        freshness::wait(ctx, at_least.as_deref(), &projections).await?;
        let channel = searchable("channel", channel)?;
        let (from, to) = range.map_or((None, None), DateTimeRange::half_open);
        let sales = SalesFilter { channel: channel.clone(), placed_from: from, placed_to: to };
        let credits = CreditTotalsFilter { channel, issued_from: from, issued_to: to };
        let reader = &Services::of(ctx).reader;
        let (sales, credits) =
            futures::future::try_join(reader.sales_totals(&sales), reader.credit_totals(&credits))
                .await
                .map_err(|cause| read_error(ctx, &cause))?;
        Ok(SalesTotals::new(sales, credits))
    }
}
