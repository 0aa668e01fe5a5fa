//! What a location has to do, as a list of work shows it.

use async_graphql::{ComplexObject, Context, Error, SimpleObject};
use chrono::{DateTime, Utc};
use projector::read_model::ListedFulfilmentOrder;
use uuid::Uuid;

use super::{FulfilmentOrderStatus, Order, small};
use crate::graphql::loaders::Loaders;

/// What one location has to do for one order: an entry in its list of work. The lines are in the
/// order's `fulfilmentOrders`.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct FulfilmentTask {
    /// Its id: there is one of each order and location.
    id: Uuid,
    /// Where.
    location: String,
    /// How far it is.
    status: FulfilmentOrderStatus,
    /// Units that are still here.
    units_open: i32,
    /// Units that left from here.
    units_shipped: i32,
    /// When the customer placed the order.
    placed_at: DateTime<Utc>,
    /// The order.
    order_id: Uuid,
    /// Whether a later event of the order could not be understood: what is shown is right, but may be
    /// out of date.
    quarantined: bool,
}

impl From<ListedFulfilmentOrder> for FulfilmentTask {
    fn from(ListedFulfilmentOrder { row, quarantined }: ListedFulfilmentOrder) -> Self {
        Self {
            id: row.id,
            location: row.location,
            status: row.status.into(),
            units_open: small(row.units_open),
            units_shipped: small(row.units_shipped),
            placed_at: row.placed_at,
            order_id: row.order_id,
            quarantined,
        }
    }
}

#[ComplexObject]
impl FulfilmentTask {
    /// The order.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>, Error> {
        Loaders::of(ctx).order(ctx, self.order_id).await
    }
}
