//! Stock that comes back: of units that were cancelled, of returns, of orders that awaited it.

use domain::fulfilment::{LocatedGoods, ReleasedGoods, goods_released, goods_restocked};
use domain::ids::{LocationCode, MovementId, Sku, derive_uuid};
use domain::order::{LineAllocation, OrderCommand, OrderRejection, OrderStatus, ReceivedUnits};
use domain::quantity::Quantity;
use domain::stock::{StockCommand, StockRejection};
use journal::ExecuteError;

use super::failure::unavailable;
use super::{Performance, Performed, Place, Steps, refused, unexpected};

impl Steps {
    pub(super) async fn give_back_stock(
        &self,
        at: Place<'_>,
        movement: MovementId,
        released: &[LineAllocation],
    ) -> Performance {
        let order = self.order_at(at).await?;
        let give_back = |goods: ReleasedGoods| {
            let ReleasedGoods { sku, quantity, set_aside } = goods;
            let order = at.order;
            (sku, StockCommand::ReleaseUnits { order, movement, quantity, set_aside })
        };
        let goods = goods_released(&order.details, released);
        self.for_each_sku(at, goods.into_iter().map(give_back)).await?;
        Ok(Performed::Done)
    }

    pub(super) async fn restock_goods(
        &self,
        at: Place<'_>,
        movement: MovementId,
        received: &[ReceivedUnits],
    ) -> Performance {
        let order = self.order_at(at).await?;
        for LocatedGoods { sku, units } in goods_restocked(&order.details, received) {
            let command = StockCommand::Restock {
                movement: restocking(movement, &sku, &units.location),
                order: at.order,
                location: units.location.clone(),
                quantity: units.quantity,
            };
            let context = at.context_of(&format!("{sku} {}", units.location));
            self.stock.execute(&sku, command, context).await.map_err(unexpected)?;
        }
        Ok(Performed::Done)
    }

    /// Tells an order that goods have come that it awaited. One decision of the stock supplies so many
    /// orders and no more: then it goes on.
    pub(super) async fn record_backorder(
        &self,
        at: Place<'_>,
        sku: &Sku,
        location: &LocationCode,
        quantity: Quantity,
        stock_revision: u64,
    ) -> Performance {
        let (order, sku, location) = (at.order, sku.clone(), location.clone());
        let told = OrderCommand::RecordBackorderFilled {
            order,
            sku: sku.clone(),
            location,
            quantity,
            stock_revision,
        };
        match self.orders.execute(&order, told, at.context()).await {
            Ok(_) => self.go_on_supplying(at, &sku).await,
            // The order has not been told yet what was found at first: this may be part of it.
            Err(ExecuteError::Rejected(OrderRejection::InvalidTransition {
                status: OrderStatus::Pending,
                ..
            })) => Ok(Performed::Awaits(None)),
            Err(error) => refused(error),
        }
    }

    async fn go_on_supplying(&self, at: Place<'_>, sku: &Sku) -> Performance {
        let stock = self.stock.load(sku).await;
        let stock = stock.map_err(|error| unavailable::<StockRejection>(error.into()))?;
        if stock.is_some_and(|loaded| loaded.state.can_fill()) {
            let context = at.context_of("supply");
            let go_on = StockCommand::FillBackorders;
            self.stock.execute(sku, go_on, context).await.map_err(unexpected)?;
        }
        Ok(Performed::Done)
    }
}

/// One receipt of a return may put goods of a SKU onto several shelves.
fn restocking(movement: MovementId, sku: &Sku, location: &LocationCode) -> MovementId {
    let parts = ["restocking", &movement.to_string(), sku.as_str(), location.as_str()];
    MovementId(derive_uuid(&parts))
}
