//! Queries over what partners did for orders: payments and shipments.

use uuid::Uuid;

use super::{Error, PaymentRow, Reader, ShipmentRow};
use crate::projections::payments::payment_columns;
use crate::projections::shipments::shipment_columns;

const PAYMENTS_OF: &str = concat!(
    "select ",
    payment_columns!(),
    " from read_model.payments where order_id = any($1) order by order_id, opened_at, id"
);

const SHIPMENTS_OF: &str = concat!(
    "select ",
    shipment_columns!(),
    " from read_model.shipments where order_id = any($1) order by order_id, booked_at, id"
);

impl Reader {
    /// All payments of these orders, those of one order together, earliest first.
    pub async fn payments_of(&self, orders: &[Uuid]) -> Result<Vec<PaymentRow>, Error> {
        Ok(sqlx::query_as(PAYMENTS_OF).bind(orders).fetch_all(&self.pool).await?)
    }

    /// All shipments of these orders, those of one order together, earliest first.
    pub async fn shipments_of(&self, orders: &[Uuid]) -> Result<Vec<ShipmentRow>, Error> {
        Ok(sqlx::query_as(SHIPMENTS_OF).bind(orders).fetch_all(&self.pool).await?)
    }
}
