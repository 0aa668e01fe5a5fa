//! What each location has to do for an order, so that a warehouse finds its work.

use chrono::{DateTime, Utc};
use domain::ids::derive_uuid;
use domain::order::{FulfilmentOrder, FulfilmentOrderStatus, PlacedOrder};
use uuid::Uuid;

use super::OrderRow;
use crate::code::Coded;
use crate::table::table;

table! {
/// What one location has to do for one order.
pub struct FulfilmentOrderRow {
    /// Derived from order and location: there is one of them.
    pub id: Uuid,
    /// The order.
    pub order_id: Uuid,
    /// Where the goods are.
    pub location: String,
    /// How far it is.
    #[sqlx(try_from = "Coded<FulfilmentOrderStatus>")]
    pub status: FulfilmentOrderStatus,
    /// Units that are still here.
    pub units_open: i64,
    /// Units that left from here.
    pub units_shipped: i64,
    /// When the customer placed the order.
    pub placed_at: DateTime<Utc>,
}
in fulfilment_orders, key 1, of order_id, once [location, placed_at]
}

impl FulfilmentOrderRow {
    fn of(order: &OrderRow, work: &FulfilmentOrder) -> Self {
        let units = |of: fn(&domain::order::FulfilmentLine) -> u32| {
            work.lines.iter().map(|line| i64::from(of(line))).sum()
        };
        let location = work.location.to_string();
        Self {
            id: derive_uuid(&["fulfilment-order", &order.id.to_string(), &location]),
            order_id: order.id,
            location,
            status: work.status,
            units_open: units(|line| line.remaining),
            units_shipped: units(|line| line.shipped),
            placed_at: order.placed_at,
        }
    }
}

/// The work for `order`, by location.
pub(super) fn all_of(row: &OrderRow, order: &PlacedOrder) -> Vec<FulfilmentOrderRow> {
    let all = order.fulfilment_orders();
    all.iter().map(|work| FulfilmentOrderRow::of(row, work)).collect()
}
