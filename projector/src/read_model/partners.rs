//! Queries over what partners did for orders: payments and shipments.

use const_format::concatcp;
use uuid::Uuid;

use super::{Error, PaymentRow, Reader, ShipmentRow};

const PAYMENTS_OF: &str = concatcp!(
    "select ",
    PaymentRow::NAMES,
    " from read_model.payments where order_id = any($1) order by order_id, opened_at, id"
);

const SHIPMENTS_OF: &str = concatcp!(
    "select ",
    ShipmentRow::NAMES,
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
