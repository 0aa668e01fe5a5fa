//! `orderHold` and `orderHoldRelease`.

use async_graphql::{Context, Error, Object};
use domain::ids::{HoldName, MovementId};
use domain::order::OrderCommand;

use super::change::{Change, order_input, order_payload};
use crate::graphql::model::HoldReason;
use crate::graphql::user_error::at;

#[derive(Default)]
pub(crate) struct OrderHolds;

order_input! {
    /// An order to be held.
    OrderHoldInput for "orderHold", id as "id" {
        /// Name of the hold, such as "fraud-review": 1 to 32 small letters, digits and -. An order has
        /// each at most once.
        name: String,
        /// Why.
        reason: HoldReason,
        /// In words, at most 2000 characters. Kept sealed.
        note: Option<String>,
    }
}

order_payload! {
    /// What became of `orderHold`.
    OrderHoldPayload
}

order_input! {
    /// A hold to be released.
    OrderHoldReleaseInput for "orderHoldRelease", id as "id" {
        /// Name of the hold.
        name: String,
    }
}

order_payload! {
    /// What became of `orderHoldRelease`.
    OrderHoldReleasePayload
}

#[Object]
impl OrderHolds {
    /// Holds an order: nothing is promised, charged or sent until every hold is released. What has
    /// left has left. Needs the scope `orders:write`.
    async fn order_hold(
        &self,
        ctx: &Context<'_>,
        input: OrderHoldInput,
    ) -> Result<OrderHoldPayload, Error> {
        let mut change = Change::new(ctx, &input);
        let hold = change.check(HoldName::new(&input.name), at!["name"]);
        let note = change.note("order-held", input.note.as_deref()).await?;
        let reason = input.reason.into();
        let movement = change.name().map(|name| MovementId::derive(change.id, &name));
        let command = hold.zip(movement).map(|(hold, movement)| OrderCommand::Hold {
            hold,
            reason,
            note,
            movement,
        });
        change.execute(command).await.map(Into::into)
    }

    /// Releases a hold. An order without any goes on where it was. Needs the scope `orders:write`.
    async fn order_hold_release(
        &self,
        ctx: &Context<'_>,
        input: OrderHoldReleaseInput,
    ) -> Result<OrderHoldReleasePayload, Error> {
        let mut change = Change::new(ctx, &input);
        let order = change.id;
        let hold = change.check(HoldName::new(&input.name), at!["name"]);
        let movement = change.name().map(|name| MovementId::derive(order, &name));
        let command = hold.zip(movement).map(|(hold, movement)| OrderCommand::ReleaseHold {
            hold,
            movement,
            order,
        });
        change.execute(command).await.map(Into::into)
    }
}
