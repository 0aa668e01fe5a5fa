//! `returnRequest`, `returnApprove`, `returnDecline`, `returnReceive` and `returnClose`.

use async_graphql::{Context, Error, InputObject, Object};
use domain::ids::{LocationCode, MovementId, ReturnId};
use domain::order::{OrderCommand, ReceivedUnits};
use domain::quantity::Quantity;
use uuid::Uuid;

use super::change::{Change, order_input, order_payload};
use crate::graphql::input::{LineUnitsInput, read_line};
use crate::graphql::model::{Disposition, ReturnReason};
use crate::graphql::user_error::at;

#[derive(Default)]
pub(crate) struct Returns;

order_input! {
    /// Goods that a customer wants to send back.
    ReturnRequestInput for "returnRequest", order_id as "orderId" {
        /// What: units that have left.
        lines: Vec<LineUnitsInput>,
        /// Why.
        reason: ReturnReason,
        /// In words, at most 2000 characters. Kept sealed.
        note: Option<String>,
    }
}

order_payload! {
    /// What became of `returnRequest`.
    ReturnRequestPayload {
        /// The return; none when there are user errors.
        return_id: Option<Uuid>,
    }
}

order_input! {
    /// A return that may come.
    ReturnApproveInput for "returnApprove", order_id as "orderId" {
        /// Which return.
        return_id: Uuid,
    }
}

order_payload! {
    /// What became of `returnApprove`.
    ReturnApprovePayload
}

order_input! {
    /// A return that may not come.
    ReturnDeclineInput for "returnDecline", order_id as "orderId" {
        /// Which return.
        return_id: Uuid,
        /// Why, in words, at most 2000 characters. Kept sealed.
        note: Option<String>,
    }
}

order_payload! {
    /// What became of `returnDecline`.
    ReturnDeclinePayload
}

order_input! {
    /// Goods of a return that came, or are known to be lost.
    ReturnReceiveInput for "returnReceive", order_id as "orderId" {
        /// Of which return.
        return_id: Uuid,
        /// What, and what became of it.
        goods: Vec<ReceivedUnitsInput>,
    }
}

/// Units that came back, or are known to be lost.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct ReceivedUnitsInput {
    /// Of which line of the order, from 0.
    line: i32,
    /// How many, from 1.
    quantity: i64,
    /// What became of them.
    disposition: Disposition,
    /// Where; `main` when left out.
    location: Option<String>,
}

order_payload! {
    /// What became of `returnReceive`.
    ReturnReceivePayload
}

order_input! {
    /// A return of which nothing more is expected.
    ReturnCloseInput for "returnClose", order_id as "orderId" {
        /// Which return.
        return_id: Uuid,
    }
}

order_payload! {
    /// What became of `returnClose`.
    ReturnClosePayload
}

#[Object]
impl Returns {
    /// Asks to send goods back. Needs the scope `orders:write`.
    async fn return_request(
        &self,
        ctx: &Context<'_>,
        input: ReturnRequestInput,
    ) -> Result<ReturnRequestPayload, Error> {
        let mut change = Change::new(ctx, &input);
        let lines = change.units("lines", &input.lines);
        let note = change.note("order-return-requested", input.note.as_deref()).await?;
        let reason = input.reason.into();
        let return_id = change.name().map(|name| ReturnId::derive(change.id, &name));
        let command = return_id.map(|return_id| OrderCommand::RequestReturn {
            return_id,
            lines,
            reason,
            note,
        });
        let payload: ReturnRequestPayload = change.execute(command).await?.into();
        let return_id = return_id.filter(|_| payload.order.is_some()).map(|id| id.0);
        Ok(ReturnRequestPayload { return_id, ..payload })
    }

    /// Lets a return come. Needs the scope `orders:write`.
    async fn return_approve(
        &self,
        ctx: &Context<'_>,
        input: ReturnApproveInput,
    ) -> Result<ReturnApprovePayload, Error> {
        let return_id = ReturnId(input.return_id);
        let command = Some(OrderCommand::ApproveReturn { return_id });
        Change::new(ctx, &input).execute(command).await.map(Into::into)
    }

    /// Does not let a return come. Needs the scope `orders:write`.
    async fn return_decline(
        &self,
        ctx: &Context<'_>,
        input: ReturnDeclineInput,
    ) -> Result<ReturnDeclinePayload, Error> {
        let mut change = Change::new(ctx, &input);
        let note = change.note("order-return-declined", input.note.as_deref()).await?;
        let return_id = ReturnId(input.return_id);
        let command = Some(OrderCommand::DeclineReturn { return_id, note });
        change.execute(command).await.map(Into::into)
    }

    /// Records what came back of a return, in one or more goes. What is restocked comes back onto the
    /// shelf by a process afterwards; money goes back with `refundCreate`. Needs the scope
    /// `fulfilment:write`.
    async fn return_receive(
        &self,
        ctx: &Context<'_>,
        input: ReturnReceiveInput,
    ) -> Result<ReturnReceivePayload, Error> {
        let mut change = Change::new(ctx, &input);
        let return_id = ReturnId(input.return_id);
        change.lines_at("goods", input.goods.iter().map(|units| units.line));
        let goods = read_goods(&mut change, &input.goods);
        let movement = change.name().map(|name| MovementId::derive(change.id, &name));
        let command =
            movement.map(|movement| OrderCommand::ReceiveReturn { return_id, goods, movement });
        change.execute(command).await.map(Into::into)
    }

    /// Closes a return: nothing more is expected of it. Needs the scope `orders:write`.
    async fn return_close(
        &self,
        ctx: &Context<'_>,
        input: ReturnCloseInput,
    ) -> Result<ReturnClosePayload, Error> {
        let return_id = ReturnId(input.return_id);
        let command = Some(OrderCommand::CloseReturn { return_id });
        Change::new(ctx, &input).execute(command).await.map(Into::into)
    }
}

fn read_goods(change: &mut Change<'_>, goods: &[ReceivedUnitsInput]) -> Vec<ReceivedUnits> {
    let mut read = |(n, units): (usize, &ReceivedUnitsInput)| {
        let line = change.check(read_line(units.line), at!["goods", n, "line"]);
        let quantity = change.check(Quantity::new(units.quantity), at!["goods", n, "quantity"]);
        let location = match &units.location {
            None => Some(LocationCode::default()),
            Some(location) => {
                change.check(LocationCode::new(location), at!["goods", n, "location"])
            }
        };
        let disposition = units.disposition.into();
        Some(ReceivedUnits { line: line?, quantity: quantity?, disposition, location: location? })
    };
    goods.iter().enumerate().filter_map(&mut read).collect()
}
