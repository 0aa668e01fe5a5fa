//! `orderCancel`.

use async_graphql::{Context, Error, InputObject, Object, SimpleObject};
use domain::ids::OrderId;
use domain::order::{OrderCommand, OrderRejection};
use uuid::Uuid;

use crate::graphql::error::{internal, rejection};
use crate::graphql::input::read_key;
use crate::graphql::model::{CancelReason, Order};
use crate::graphql::request::{Caller, Services};
use crate::graphql::user_error::{Problems, UserError, at};

#[derive(Default)]
pub(crate) struct OrderCancel;

/// An order to be cancelled.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct OrderCancelInput {
    /// Which one.
    id: Uuid,
    /// Why.
    reason: CancelReason,
    /// Chosen by the caller, one per intention, repeated on a retry. The HTTP header
    /// Idempotency-Key when left out.
    idempotency_key: Option<String>,
}

/// What became of `orderCancel`.
#[derive(Default, SimpleObject)]
pub(crate) struct OrderCancelPayload {
    /// The order as it is now; none when there are user errors.
    order: Option<Order>,
    /// Queries that take this as `atLeast` see the order cancelled.
    position: Option<String>,
    /// Whether there was nothing left to cancel: this very command came before, or the order was
    /// cancelled or rejected already.
    replayed: bool,
    /// What is wrong with the input; nothing was done.
    user_errors: Vec<UserError>,
}

#[Object]
impl OrderCancel {
    /// Cancels an order, as long as its goods are here. Goods, money and carrier are released by
    /// its process afterwards. Needs the scope `orders:write`.
    async fn order_cancel(
        &self,
        ctx: &Context<'_>,
        input: OrderCancelInput,
    ) -> Result<OrderCancelPayload, Error> {
        let (caller, services) = (Caller::of(ctx), Services::of(ctx));
        let mut problems = Problems::default();
        let Some(key) = read_key(input.idempotency_key.as_deref(), caller, &mut problems) else {
            return Ok(refused(problems.into_errors()));
        };
        let id = OrderId(input.id);
        let command_id = caller.command_id(&["orderCancel", &id.to_string(), key.as_str()]);
        let command = OrderCommand::Cancel { reason: input.reason.into() };
        let context = caller.context(command_id, id.0);
        match services.orders.execute(&id, command, context).await {
            Ok(executed) => Ok(OrderCancelPayload {
                order: Order::executed(id, &executed),
                position: Some(executed.position.to_string()),
                replayed: executed.replayed,
                user_errors: vec![],
            }),
            Err(cause) => {
                let broken = rejection(ctx, cause)?;
                user_error(&broken)
                    .map(|error| refused(vec![error]))
                    .ok_or_else(|| internal(ctx, &broken))
            }
        }
    }
}

fn refused(user_errors: Vec<UserError>) -> OrderCancelPayload {
    OrderCancelPayload { user_errors, ..OrderCancelPayload::default() }
}

/// The rule that was broken, in the words of the input; `None` for one that cancelling cannot break.
fn user_error(broken: &OrderRejection) -> Option<UserError> {
    match broken {
        OrderRejection::NotFound => Some(UserError::not_found(at!["id"], broken)),
        OrderRejection::InvalidTransition { status, .. } => {
            Some(UserError::transition(at!["id"], broken, status.into(), "cancel"))
        }
        OrderRejection::IdempotencyConflict
        | OrderRejection::NoLines
        | OrderRejection::TooManyLines { .. }
        | OrderRejection::TitleTooLong { .. }
        | OrderRejection::NegativePrice { .. }
        | OrderRejection::Arithmetic { .. }
        | OrderRejection::TooManyUnits { .. }
        | OrderRejection::TotalCurrency
        | OrderRejection::TotalMismatch { .. } => None,
    }
}
