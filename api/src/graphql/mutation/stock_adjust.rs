//! `stockAdjust`.

use async_graphql::{Context, Error, InputObject, Object};
use domain::stock::StockCommand;

use super::stock_change::{Change, main_location, stock_payload};
use crate::graphql::model::StockAdjustReason;

#[derive(Default)]
pub(crate) struct StockAdjust;

/// What is on hand, corrected by a difference.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct StockAdjustInput {
    /// Chosen by the caller, one per correction, repeated on a retry. The HTTP header
    /// Idempotency-Key when left out.
    idempotency_key: Option<String>,
    /// Stock keeping unit: letters, digits and . _ - /
    sku: String,
    /// Where: letters, digits and . _ -
    #[graphql(default_with = "main_location()")]
    location: String,
    /// Units more, or fewer when negative; not 0.
    delta: i64,
    /// Why.
    reason: StockAdjustReason,
}

stock_payload! {
    /// What became of `stockAdjust`.
    StockAdjustPayload
}

#[Object]
impl StockAdjust {
    /// Corrects what is on hand at a location by a difference: found, lost, damaged and so on. What
    /// is set aside for orders stays. Orders that await goods are supplied at once. Needs the scope
    /// `stock:write`.
    async fn stock_adjust(
        &self,
        ctx: &Context<'_>,
        input: StockAdjustInput,
    ) -> Result<StockAdjustPayload, Error> {
        let key = input.idempotency_key.as_deref();
        let mut change = Change::new(ctx, "stockAdjust", &input.sku, key);
        let location = change.location(&input.location);
        let (delta, reason) = (input.delta, input.reason.into());
        let adjust = |movement| {
            location.map(|location| StockCommand::Adjust { movement, location, delta, reason })
        };
        Ok(change.carry_out("delta", adjust).await?.into())
    }
}
