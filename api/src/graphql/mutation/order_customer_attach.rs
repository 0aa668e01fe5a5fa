//! `orderCustomerAttach`.

use async_graphql::{Context, Error, Object};
use domain::ids::CustomerRef;
use domain::order::OrderCommand;

use super::change::{Change, order_input, order_payload};
use crate::graphql::user_error::at;

#[derive(Default)]
pub(crate) struct OrderCustomerAttach;

order_input! {
    /// A guest's order that turns out to be somebody's.
    OrderCustomerAttachInput for "orderCustomerAttach", id as "id" {
        /// The customer's id in the system that knows the person; never a name or an e-mail address.
        customer: String,
    }
}

order_payload! {
    /// What became of `orderCustomerAttach`.
    OrderCustomerAttachPayload
}

#[Object]
impl OrderCustomerAttach {
    /// Says whose order a guest's order is. What was sealed for the guest stays sealed for the guest.
    /// Needs the scope `orders:write`.
    async fn order_customer_attach(
        &self,
        ctx: &Context<'_>,
        input: OrderCustomerAttachInput,
    ) -> Result<OrderCustomerAttachPayload, Error> {
        let mut change = Change::new(ctx, &input);
        let customer = change.check(CustomerRef::new(&input.customer), at!["customer"]);
        let command = customer.map(|customer| OrderCommand::AttachCustomer { customer });
        change.execute(command).await.map(Into::into)
    }
}
