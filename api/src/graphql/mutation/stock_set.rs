//! `stockSet`.

use async_graphql::{Context, Error, InputObject, Object};
use domain::stock::StockCommand;

use super::stock_change::{Change, main_location, stock_payload};

#[derive(Default)]
pub(crate) struct StockSet;

/// What was counted.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct StockSetInput {
    /// Chosen by the caller, one per count, repeated on a retry. The HTTP header Idempotency-Key
    /// when left out.
    idempotency_key: Option<String>,
    /// Stock keeping unit: letters, digits and . _ - /
    sku: String,
    /// Where: letters, digits and . _ -
    #[graphql(default_with = "main_location()")]
    location: String,
    /// Units that are on hand there, set aside for orders or not.
    quantity: i64,
    /// Units that the caller believes to be on hand there according to the books. If it is another
    /// number, somebody was faster: nothing is changed.
    change_from_quantity: i64,
}

stock_payload! {
    /// What became of `stockSet`.
    StockSetPayload
}

#[Object]
impl StockSet {
    /// Sets what is on hand at a location to what was counted, if it was what the caller believes
    /// it to be. Orders that await goods are supplied at once. Needs the scope `stock:write`.
    async fn stock_set(
        &self,
        ctx: &Context<'_>,
        input: StockSetInput,
    ) -> Result<StockSetPayload, Error> {
        let key = input.idempotency_key.as_deref();
        let mut change = Change::new(ctx, "stockSet", &input.sku, key);
        let location = change.location(&input.location);
        let on_hand = change.units(input.quantity, "quantity");
        let expected = change.units(input.change_from_quantity, "changeFromQuantity");
        let count = |movement| {
            let (location, on_hand, expected) = (location?, on_hand?, expected?);
            Some(StockCommand::Count { movement, location, on_hand, expected })
        };
        Ok(change.carry_out("quantity", count).await?.into())
    }
}
