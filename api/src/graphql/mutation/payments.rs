//! `paymentAuthorise`, `paymentCapture` and `paymentVoid`.

use async_graphql::{Context, Error, Object};
use domain::ids::{CaptureId, PaymentId, PaymentToken};
use domain::order::OrderCommand;
use uuid::Uuid;

use super::change::{Change, order_input, order_payload};
use crate::graphql::input::MoneyInput;
use crate::graphql::user_error::at;

#[derive(Default)]
pub(crate) struct Payments;

order_input! {
    /// Another payment for an order.
    PaymentAuthoriseInput for "paymentAuthorise", order_id as "orderId" {
        /// What the payment gateway knows the means of payment by.
        payment_token: String,
        /// How much, above zero; all that is neither held nor paid, when left out.
        amount: Option<MoneyInput>,
    }
}

order_payload! {
    /// What became of `paymentAuthorise`.
    PaymentAuthorisePayload {
        /// The payment; none when there are user errors.
        payment_id: Option<Uuid>,
    }
}

order_input! {
    /// Money to be moved to us.
    PaymentCaptureInput for "paymentCapture", order_id as "orderId" {
        /// From which payment; the first that holds enough, when left out.
        payment_id: Option<Uuid>,
        /// How much, above zero; all that is to be paid and held, when left out.
        amount: Option<MoneyInput>,
        /// Whether the gateway may let go of the rest.
        #[graphql(name = "final", default)]
        is_final: bool,
    }
}

order_payload! {
    /// What became of `paymentCapture`.
    PaymentCapturePayload {
        /// The capture; none when there are user errors.
        capture_id: Option<Uuid>,
    }
}

order_input! {
    /// Held money to be let go.
    PaymentVoidInput for "paymentVoid", order_id as "orderId" {
        /// Of which payment.
        payment_id: Uuid,
    }
}

order_payload! {
    /// What became of `paymentVoid`.
    PaymentVoidPayload
}

#[Object]
impl Payments {
    /// Has the payment gateway hold money for an order, besides the payment that it was placed with.
    /// What came of it is in the order's `payments` later. Needs the scope `payments:write`.
    async fn payment_authorise(
        &self,
        ctx: &Context<'_>,
        input: PaymentAuthoriseInput,
    ) -> Result<PaymentAuthorisePayload, Error> {
        let mut change = Change::new(ctx, &input);
        let token = change.check(PaymentToken::new(&input.payment_token), at!["paymentToken"]);
        let amount = change.amount_if_any(input.amount.as_ref()).await?;
        let payment = change.name().map(|name| PaymentId::derive(change.id, &name));
        let command = || {
            let (payment, payment_token) = (payment?, token?);
            Some(OrderCommand::RequestPayment { payment, payment_token, amount })
        };
        let payload: PaymentAuthorisePayload = change.execute(command()).await?.into();
        let payment_id = payment.filter(|_| payload.order.is_some()).map(|payment| payment.0);
        Ok(PaymentAuthorisePayload { payment_id, ..payload })
    }

    /// Has held money moved to us, as a whole or in part. It may take the gateway a while: the
    /// order's `captures` say how far it is. Needs the scope `payments:write`.
    async fn payment_capture(
        &self,
        ctx: &Context<'_>,
        input: PaymentCaptureInput,
    ) -> Result<PaymentCapturePayload, Error> {
        let mut change = Change::new(ctx, &input);
        let amount = change.amount_if_any(input.amount.as_ref()).await?;
        let (payment, is_final) = (input.payment_id.map(PaymentId), input.is_final);
        let capture = change.name().map(|name| CaptureId::derive(change.id, &name));
        let command = capture.map(|capture| OrderCommand::RequestCapture {
            capture,
            payment,
            amount,
            is_final,
        });
        let payload: PaymentCapturePayload = change.execute(command).await?.into();
        let capture_id = capture.filter(|_| payload.order.is_some()).map(|capture| capture.0);
        Ok(PaymentCapturePayload { capture_id, ..payload })
    }

    /// Has held money let go that the order does not need any more. Needs the scope
    /// `payments:write`.
    async fn payment_void(
        &self,
        ctx: &Context<'_>,
        input: PaymentVoidInput,
    ) -> Result<PaymentVoidPayload, Error> {
        let change = Change::new(ctx, &input);
        let payment = PaymentId(input.payment_id);
        change.execute(Some(OrderCommand::RequestVoid { payment })).await.map(Into::into)
    }
}
