//! `stockPolicySet`.

use async_graphql::{Context, Error, InputObject, Object};
use domain::stock::StockCommand;

use super::stock_change::{Change, stock_payload};
use crate::graphql::model::StockPolicy;

#[derive(Default)]
pub(crate) struct StockPolicySet;

/// What happens when there is not enough of a SKU, and when to warn.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct StockPolicySetInput {
    /// Chosen by the caller, one per intention, repeated on a retry. The HTTP header
    /// Idempotency-Key when left out.
    idempotency_key: Option<String>,
    /// Stock keeping unit: letters, digits and . _ - /
    sku: String,
    /// What happens when more is wanted than there is.
    policy: StockPolicy,
    /// Warn when so many units, or fewer, are available; never, when left out.
    low_stock_at: Option<i64>,
}

stock_payload! {
    /// What became of `stockPolicySet`.
    StockPolicySetPayload
}

#[Object]
impl StockPolicySet {
    /// Says what happens when more of a SKU is wanted than there is, and when to warn. Makes a new
    /// SKU known: one that may be backordered, or that nobody counts, can be sold before any of it
    /// has come. Needs the scope `stock:write`.
    async fn stock_policy_set(
        &self,
        ctx: &Context<'_>,
        input: StockPolicySetInput,
    ) -> Result<StockPolicySetPayload, Error> {
        let key = input.idempotency_key.as_deref();
        let mut change = Change::new(ctx, "stockPolicySet", &input.sku, key);
        let low_stock_at = input.low_stock_at.map(|count| change.units(count, "lowStockAt"));
        let policy = input.policy.into();
        let set_policy = |movement| {
            let low_stock_at = match low_stock_at {
                Some(given) => Some(given?),
                None => None,
            };
            Some(StockCommand::SetPolicy { movement, policy, low_stock_at })
        };
        Ok(change.carry_out("policy", set_policy).await?.into())
    }
}
