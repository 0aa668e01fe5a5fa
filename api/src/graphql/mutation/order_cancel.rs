//! `orderCancel`.

use async_graphql::{Context, Error, Object};
use domain::ids::MovementId;
use domain::order::OrderCommand;

use super::change::{Change, order_input, order_payload};
use crate::graphql::input::LineUnitsInput;
use crate::graphql::model::CancelReason;

#[derive(Default)]
pub(crate) struct OrderCancel;

order_input! {
    /// An order to be cancelled, or a part of it.
    OrderCancelInput for "orderCancel", id as "id" {
        /// Why.
        reason: CancelReason,
        /// Which units; everything that has not left, when left out.
        lines: Option<Vec<LineUnitsInput>>,
    }
}

order_payload! {
    /// What became of `orderCancel`.
    OrderCancelPayload
}

#[Object]
impl OrderCancel {
    /// Cancels everything of an order that has not left, or some units of it. What they were to be
    /// paid with is let go or goes back, and their goods are released, by processes afterwards. Needs
    /// the scope `orders:write`.
    async fn order_cancel(
        &self,
        ctx: &Context<'_>,
        input: OrderCancelInput,
    ) -> Result<OrderCancelPayload, Error> {
        let mut change = Change::new(ctx, &input);
        let (order, reason) = (change.id, input.reason.into());
        let lines = input.lines.as_ref().map(|lines| change.units("lines", lines));
        let command = change.name().map(|name| {
            let movement = MovementId::derive(order, &name);
            match lines {
                None => OrderCommand::Cancel { reason, movement },
                Some(lines) => OrderCommand::CancelLines { lines, reason, movement, order },
            }
        });
        change.execute(command).await.map(Into::into)
    }
}
