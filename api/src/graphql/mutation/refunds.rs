//! `refundCreate` and `chargebackRecord`.

use async_graphql::{Context, Error, Object};
use domain::ids::{PartnerReference, PaymentId, RefundId, ReturnId};
use domain::order::{OrderCommand, RefundOf};
use uuid::Uuid;

use super::change::{Change, order_input, order_payload};
use crate::graphql::input::{LineUnitsInput, MoneyInput, read_text};
use crate::graphql::model::RefundReason;
use crate::graphql::user_error::{UserError, at};

/// Characters of a bank's words.
const MAX_REASON: usize = 200;

#[derive(Default)]
pub(crate) struct Refunds;

order_input! {
    /// Money to be moved back: so much, or what was paid for some units.
    RefundCreateInput for "refundCreate", order_id as "orderId" {
        /// How much, above zero; or else `lines`.
        amount: Option<MoneyInput>,
        /// For which units, to the minor unit what was paid for them; or else `amount`. Units of goods
        /// that have left, and of charges. What has not left is cancelled instead.
        lines: Option<Vec<LineUnitsInput>>,
        /// From which payment; from the latest that has enough, or from several, when left out.
        payment_id: Option<Uuid>,
        /// For which return, if it is for one.
        return_id: Option<Uuid>,
        /// Why.
        reason: RefundReason,
        /// In words, at most 2000 characters. Kept sealed.
        note: Option<String>,
    }
}

order_payload! {
    /// What became of `refundCreate`.
    RefundCreatePayload {
        /// The refund; none when there are user errors.
        refund_id: Option<Uuid>,
    }
}

order_input! {
    /// Money that the customer's bank took back.
    ChargebackRecordInput for "chargebackRecord", order_id as "orderId" {
        /// From which payment.
        payment_id: Uuid,
        /// How much, above zero.
        amount: MoneyInput,
        /// How the gateway knows it; each counts once. 1 to 128 printable characters.
        reference: String,
        /// The bank's words or code, 1 to 200 characters. Never personal data.
        reason: String,
    }
}

order_payload! {
    /// What became of `chargebackRecord`.
    ChargebackRecordPayload
}

#[Object]
impl Refunds {
    /// Decides that money goes back, with or without a return: never more than came. It may take the
    /// gateway a while: the order's `refunds` say how far it is. Needs the scope `payments:write`.
    async fn refund_create(
        &self,
        ctx: &Context<'_>,
        input: RefundCreateInput,
    ) -> Result<RefundCreatePayload, Error> {
        let mut change = Change::new(ctx, &input);
        let what = what(&mut change, &input).await?;
        let note = change.note("order-refund-requested", input.note.as_deref()).await?;
        let refund = change.name().map(|name| RefundId::derive(change.id, &name));
        let command = || {
            Some(OrderCommand::RequestRefund {
                refund: refund?,
                payment: input.payment_id.map(PaymentId),
                what: what?,
                return_id: input.return_id.map(ReturnId),
                reason: input.reason.into(),
                note,
            })
        };
        let payload: RefundCreatePayload = change.execute(command()).await?.into();
        let refund_id = refund.filter(|_| payload.order.is_some()).map(|refund| refund.0);
        Ok(RefundCreatePayload { refund_id, ..payload })
    }

    /// Records that the customer's bank took money back. Needs the scope `payments:write`.
    async fn chargeback_record(
        &self,
        ctx: &Context<'_>,
        input: ChargebackRecordInput,
    ) -> Result<ChargebackRecordPayload, Error> {
        let mut change = Change::new(ctx, &input);
        let reference = change.check(PartnerReference::new(&input.reference), at!["reference"]);
        let reason = read_text(&input.reason, "a reason", MAX_REASON);
        let reason = change.check(reason, at!["reason"]);
        let amount = change.amount(&input.amount, "amount").await?;
        let payment = PaymentId(input.payment_id);
        let command = || {
            let (amount, reference, reason) = (amount?, reference?, reason?);
            Some(OrderCommand::RecordChargeback { payment, amount, reference, reason })
        };
        change.execute(command()).await.map(Into::into)
    }
}

async fn what(
    change: &mut Change<'_>,
    input: &RefundCreateInput,
) -> Result<Option<RefundOf>, Error> {
    match (&input.amount, &input.lines) {
        (Some(amount), None) => Ok(change.amount(amount, "amount").await?.map(RefundOf::Amount)),
        (None, Some(lines)) => Ok(Some(RefundOf::Lines(change.units("lines", lines)))),
        (None, None) | (Some(_), Some(_)) => {
            let message = "either an amount or lines say how much goes back, not both";
            change.problems.add(UserError::invalid(at!["amount"], message));
            Ok(None)
        }
    }
}
