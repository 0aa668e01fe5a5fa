//! `orderMarkPaid`.

use async_graphql::{Context, Error, Object};
use domain::ids::{PartnerReference, PaymentId};
use domain::order::OrderCommand;
use uuid::Uuid;

use super::change::{Change, order_input, order_payload};
use crate::graphql::input::MoneyInput;
use crate::graphql::user_error::at;

#[derive(Default)]
pub(crate) struct OrderMarkPaid;

order_input! {
    /// Money that came in another way than through a payment gateway.
    OrderMarkPaidInput for "orderMarkPaid", id as "id" {
        /// How much, above zero; not more than is still to be paid. In the currency of the order when
        /// it names none.
        amount: MoneyInput,
        /// How others know it: a bank statement, a till receipt. 1 to 128 printable characters.
        reference: String,
    }
}

order_payload! {
    /// What became of `orderMarkPaid`.
    OrderMarkPaidPayload {
        /// The payment under which it is known; none when there are user errors.
        payment_id: Option<Uuid>,
    }
}

#[Object]
impl OrderMarkPaid {
    /// Records that an order was paid in another way, as a whole or in part. Needs the scope
    /// `payments:write`.
    async fn order_mark_paid(
        &self,
        ctx: &Context<'_>,
        input: OrderMarkPaidInput,
    ) -> Result<OrderMarkPaidPayload, Error> {
        let mut change = Change::new(ctx, &input);
        let reference = change.check(PartnerReference::new(&input.reference), at!["reference"]);
        let amount = change.amount(&input.amount, "amount").await?;
        let payment = change.name().map(|name| PaymentId::derive(change.id, &name));
        let command = || {
            let (payment, amount, reference) = (payment?, amount?, reference?);
            Some(OrderCommand::RecordPayment { payment, amount, reference })
        };
        let payload: OrderMarkPaidPayload = change.execute(command()).await?.into();
        let payment_id = payment.filter(|_| payload.order.is_some()).map(|payment| payment.0);
        Ok(OrderMarkPaidPayload { payment_id, ..payload })
    }
}
