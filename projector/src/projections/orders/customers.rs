//! What orders add up to per customer and currency.
//!
//! Kept by difference: what an order contributed before is taken away, what it contributes now is
//! added. Counts and sums come out the same in whatever order the events of different orders are
//! folded; the earliest and the latest order do, too, because they are looked up again when a
//! customer loses an order.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, Utc};
use domain::ids::{CustomerRef, derive_uuid};
use domain::money::Currency;
use domain::order::{OrderStatus, PlacedOrder};
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::row::gone_back;
use super::write::Changed;

/// The orders of one customer in one currency.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct CustomerRow {
    /// Derived from customer and currency.
    pub id: Uuid,
    /// The customer, as other systems know them.
    pub customer: String,
    /// ISO 4217 code.
    pub currency: String,
    /// Number of orders, whatever became of them; at least one.
    pub orders: i64,
    /// How many of them came to nothing: were cancelled as a whole, or rejected.
    pub cancelled_orders: i64,
    /// What came from the customer and did not go back, in minor units.
    pub spent_minor: i64,
    /// When they placed their first order.
    pub first_order_at: DateTime<Utc>,
    /// When they placed their latest order.
    pub last_order_at: DateTime<Utc>,
    /// That order; of several placed at the same time, the one with the largest id.
    pub last_order_id: Uuid,
}

/// The columns of [`CustomerRow`].
macro_rules! customer_columns {
    () => {
        "id, customer, currency, orders, cancelled_orders, spent_minor, first_order_at, \
         last_order_at, last_order_id"
    };
}
pub(crate) use customer_columns;

/// What one order means to its customer.
#[derive(Clone, Copy, PartialEq)]
struct Contribution<'a> {
    customer: &'a CustomerRef,
    currency: Currency,
    cancelled: i64,
    spent_minor: i64,
}

impl<'a> Contribution<'a> {
    /// Nothing for an order of nobody.
    fn of(order: &'a PlacedOrder) -> Option<Self> {
        let came_to_nothing = match &order.status {
            OrderStatus::Pending | OrderStatus::Confirmed | OrderStatus::Completed => false,
            OrderStatus::Cancelled(_) | OrderStatus::Rejected(_) => true,
        };
        order.customer.as_ref().map(|customer| Self {
            customer,
            currency: order.details.currency,
            cancelled: i64::from(came_to_nothing),
            spent_minor: order.captured() - gone_back(order),
        })
    }

    const fn key(&self) -> (&'a CustomerRef, Currency) {
        (self.customer, self.currency)
    }
}

/// What a batch changes for one customer and currency.
struct Change {
    orders: i64,
    cancelled: i64,
    spent_minor: i128,
    first: DateTime<Utc>,
    last: (DateTime<Utc>, Uuid),
    /// Whether an order is no longer theirs.
    lost: bool,
}

type Changes<'a> = BTreeMap<(&'a CustomerRef, Currency), Change>;

/// Brings the sums up to `orders`, whose rows are written already.
pub(super) async fn save(
    connection: &mut PgConnection,
    orders: &[Changed<'_>],
) -> sqlx::Result<()> {
    let mut changes = Changes::new();
    for order in orders {
        count(&mut changes, order);
    }
    if changes.is_empty() {
        return Ok(());
    }
    add(connection, &changes).await?;
    let lost: Vec<Uuid> =
        changes.iter().filter(|(_, change)| change.lost).map(|(&key, _)| id_of(key)).collect();
    look_again(connection, &lost).await
}

fn count<'a>(changes: &mut Changes<'a>, order: &Changed<'a>) {
    let before = order.before.and_then(Contribution::of);
    let now = Contribution::of(order.now);
    if before == now {
        return;
    }
    let moved = before.map(|it| it.key()) != now.map(|it| it.key());
    for (contribution, sign) in [(before, -1), (now, 1)] {
        let Some(contribution) = contribution else { continue };
        let at = order.now.placed_at.trunc_subsecs(6);
        let last = (at, order.row.id);
        let change = changes.entry(contribution.key()).or_insert(Change {
            orders: 0,
            cancelled: 0,
            spent_minor: 0,
            first: at,
            last,
            lost: false,
        });
        change.orders += sign;
        change.cancelled += sign * contribution.cancelled;
        change.spent_minor += i128::from(sign) * i128::from(contribution.spent_minor);
        change.first = change.first.min(at);
        change.last = change.last.max(last);
        change.lost |= moved && sign < 0;
    }
}

fn id_of((customer, currency): (&CustomerRef, Currency)) -> Uuid {
    derive_uuid(&["customer-orders", customer.as_str(), currency.code()])
}

async fn add(connection: &mut PgConnection, changes: &Changes<'_>) -> sqlx::Result<()> {
    const ADD: &str = concat!(
        "insert into customers as c (",
        customer_columns!(),
        ") select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], \
         $6::bigint[], $7::timestamptz[], $8::timestamptz[], $9::uuid[]) \
         on conflict (id) do update set orders = c.orders + excluded.orders, \
         cancelled_orders = c.cancelled_orders + excluded.cancelled_orders, \
         spent_minor = c.spent_minor + excluded.spent_minor, \
         first_order_at = least(c.first_order_at, excluded.first_order_at), \
         last_order_at = greatest(c.last_order_at, excluded.last_order_at), \
         last_order_id = case when (excluded.last_order_at, excluded.last_order_id) \
         > (c.last_order_at, c.last_order_id) then excluded.last_order_id else c.last_order_id end"
    );
    let spent = changes.values().map(|change| i64::try_from(change.spent_minor));
    let spent: Vec<i64> =
        spent.collect::<Result<_, _>>().map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(ADD)
        .bind(changes.keys().map(|&key| id_of(key)).collect::<Vec<_>>())
        .bind(changes.keys().map(|(customer, _)| customer.as_str()).collect::<Vec<_>>())
        .bind(changes.keys().map(|(_, currency)| currency.code()).collect::<Vec<_>>())
        .bind(changes.values().map(|change| change.orders).collect::<Vec<_>>())
        .bind(changes.values().map(|change| change.cancelled).collect::<Vec<_>>())
        .bind(spent)
        .bind(changes.values().map(|change| change.first).collect::<Vec<_>>())
        .bind(changes.values().map(|change| change.last.0).collect::<Vec<_>>())
        .bind(changes.values().map(|change| change.last.1).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}

/// Finds the first and the last order of customers who have lost one. Who has none left goes.
async fn look_again(connection: &mut PgConnection, lost: &[Uuid]) -> sqlx::Result<()> {
    const DELETE: &str = "delete from customers where id = any($1) and orders = 0";
    const UPDATE: &str = "update customers c set \
         first_order_at = (select min(o.placed_at) from orders o \
             where o.customer = c.customer and o.currency = c.currency), \
         (last_order_at, last_order_id) = (select o.placed_at, o.id from orders o \
             where o.customer = c.customer and o.currency = c.currency \
             order by o.placed_at desc, o.id desc limit 1) \
         where c.id = any($1)";
    if lost.is_empty() {
        return Ok(());
    }
    sqlx::query(DELETE).bind(lost).execute(&mut *connection).await?;
    sqlx::query(UPDATE).bind(lost).execute(connection).await.map(drop)
}
