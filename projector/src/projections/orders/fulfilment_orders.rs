//! What each location has to do for an order, so that a warehouse finds its work.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::ids::derive_uuid;
use domain::order::{FulfilmentOrder, FulfilmentOrderStatus, PlacedOrder};
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::OrderRow;
use super::write::Changed;
use crate::code::Coded;
use crate::projection::column;

/// What one location has to do for one order.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
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

/// The columns of [`FulfilmentOrderRow`].
macro_rules! fulfilment_order_columns {
    () => {
        "id, order_id, location, status, units_open, units_shipped, placed_at"
    };
}
pub(crate) use fulfilment_order_columns;

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

fn all_of(row: &OrderRow, order: &PlacedOrder) -> BTreeMap<Uuid, FulfilmentOrderRow> {
    let all = order.fulfilment_orders();
    let all = all.iter().map(|work| FulfilmentOrderRow::of(row, work));
    all.map(|work| (work.id, work)).collect()
}

/// Writes what has changed of the work for `orders`.
pub(super) async fn save(
    connection: &mut PgConnection,
    orders: &[Changed<'_>],
) -> sqlx::Result<()> {
    let (mut changed, mut gone) = (vec![], vec![]);
    for order in orders {
        let mut before =
            order.before.map_or_else(BTreeMap::new, |before| all_of(&order.row, before));
        for (id, work) in all_of(&order.row, order.now) {
            if before.remove(&id).as_ref() != Some(&work) {
                changed.push(work);
            }
        }
        // Nothing is to be done there any more, and nothing left from there.
        gone.extend(before.into_keys());
    }
    upsert(connection, &changed.iter().collect::<Vec<_>>()).await?;
    if !gone.is_empty() {
        const DELETE: &str = "delete from fulfilment_orders where id = any($1)";
        sqlx::query(DELETE).bind(gone).execute(connection).await?;
    }
    Ok(())
}

async fn upsert(connection: &mut PgConnection, rows: &[&FulfilmentOrderRow]) -> sqlx::Result<()> {
    const UPSERT: &str = concat!(
        "insert into fulfilment_orders (",
        fulfilment_order_columns!(),
        ") select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], \
         $6::bigint[], $7::timestamptz[]) \
         on conflict (id) do update set status = excluded.status, \
         units_open = excluded.units_open, units_shipped = excluded.units_shipped"
    );
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(UPSERT)
        .bind(column(rows, |row| row.id))
        .bind(column(rows, |row| row.order_id))
        .bind(column(rows, |row| row.location.as_str()))
        .bind(column(rows, |row| row.status.code()))
        .bind(column(rows, |row| row.units_open))
        .bind(column(rows, |row| row.units_shipped))
        .bind(column(rows, |row| row.placed_at))
        .execute(connection)
        .await
        .map(drop)
}
