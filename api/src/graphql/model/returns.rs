//! A return, as a list of returns shows it.

use async_graphql::{ComplexObject, Context, Error, SimpleObject};
use chrono::{DateTime, Utc};
use projector::read_model::ListedReturn;
use uuid::Uuid;

use super::{Order, ReturnReason, ReturnStatus, small};
use crate::graphql::loaders::Loaders;

/// Goods that a customer sends back: an entry in the list of returns. The lines, and what became of
/// each, are in the order's `returns`; money goes back by refunds, which belong to the order.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Return {
    /// Its id: what mutations call `returnId`.
    id: Uuid,
    /// The order.
    order_id: Uuid,
    /// How far it is.
    status: ReturnStatus,
    /// Why.
    reason: ReturnReason,
    /// Units that were asked to be sent back.
    units_requested: i32,
    /// Units that came.
    units_received: i32,
    /// Of those, units that are on a shelf again.
    units_restocked: i32,
    /// Of those, units that cannot be sold again.
    units_written_off: i32,
    /// Units that are known not to have come.
    units_missing: i32,
    /// When it was asked for.
    requested_at: DateTime<Utc>,
    /// When it was approved or declined.
    decided_at: Option<DateTime<Utc>>,
    /// When goods last came.
    received_at: Option<DateTime<Utc>>,
    /// When nothing more was expected.
    closed_at: Option<DateTime<Utc>>,
    /// Whether a later event of the order could not be understood: what is here is right, but may be
    /// out of date.
    quarantined: bool,
}

impl From<ListedReturn> for Return {
    fn from(ListedReturn { row, quarantined }: ListedReturn) -> Self {
        Self {
            id: row.id,
            order_id: row.order_id,
            status: row.status.into(),
            reason: row.reason.into(),
            units_requested: small(row.units_requested),
            units_received: small(row.units_received),
            units_restocked: small(row.units_restocked),
            units_written_off: small(row.units_written_off),
            units_missing: small(row.units_missing),
            requested_at: row.requested_at,
            decided_at: row.decided_at,
            received_at: row.received_at,
            closed_at: row.closed_at,
            quarantined,
        }
    }
}

#[ComplexObject]
impl Return {
    /// The order.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>, Error> {
        Loaders::of(ctx).order(ctx, self.order_id).await
    }
}
