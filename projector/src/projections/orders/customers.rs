//! What orders add up to per customer and currency.
//!
//! Kept by difference: what an order contributed before is taken away, what it contributes now is
//! added. Counts and sums come out the same in whatever order the events of different orders are
//! folded; the earliest and the latest order do, too, because they are looked up again when a
//! customer loses an order.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, Utc};
use const_format::concatcp;
use domain::ids::CustomerRef;
use domain::money::Currency;
use domain::order::{OrderStatus, PlacedOrder};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::Draft;
use super::row::gone_back;
use crate::projection;
use crate::table::table;

table! {
/// The orders of one customer in one currency.
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
}

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
pub(super) async fn settle(
    connection: &mut PgConnection,
    orders: &[projection::Change<'_, Draft>],
) -> sqlx::Result<()> {
    let mut changes = Changes::new();
    for order in orders {
        count(&mut changes, order);
    }
    if changes.is_empty() {
        return Ok(());
    }
    add(connection, &changes).await?;
    let lost: Vec<_> =
        changes.iter().filter(|(_, change)| change.lost).map(|(&key, _)| key).collect();
    look_again(connection, &lost).await
}

fn count<'a>(changes: &mut Changes<'a>, change: &projection::Change<'a, Draft>) {
    let before = change.before.and_then(Draft::order).and_then(Contribution::of);
    let Some(order) = change.now.order() else { return };
    let now = Contribution::of(order);
    if before == now {
        return;
    }
    let moved = before.map(|it| it.key()) != now.map(|it| it.key());
    for (contribution, sign) in [(before, -1), (now, 1)] {
        let Some(contribution) = contribution else { continue };
        let at = order.placed_at.trunc_subsecs(6);
        let last = (at, change.now.head.id);
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

/// The id of the row of `customer` and `currency`. Made by the database, so that it is the same
/// however the row comes about.
macro_rules! id {
    () => {
        "encode(substring(sha256(convert_to(currency || ' ' || customer, 'UTF8')) for 16), \
         'hex')::uuid"
    };
}

/// The sums, from the rows of orders.
pub(super) const DERIVED: &str = concatcp!(
    "insert into customers (",
    CustomerRow::NAMES,
    ") select ",
    id!(),
    ", customer, currency, count(*), \
     count(*) filter (where status in ('cancelled', 'rejected')), \
     sum(captured_minor - refunded_minor)::bigint, min(placed_at), max(placed_at), \
     (array_agg(id order by placed_at desc, id desc))[1] \
     from orders where customer is not null group by customer, currency;"
);

async fn add(connection: &mut PgConnection, changes: &Changes<'_>) -> sqlx::Result<()> {
    const ADD: &str = concatcp!(
        "insert into customers as c (",
        CustomerRow::NAMES,
        ") select ",
        id!(),
        ", n.* from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], \
         $6::timestamptz[], $7::timestamptz[], $8::uuid[]) as n (customer, currency, orders, \
         cancelled_orders, spent_minor, first_order_at, last_order_at, last_order_id) \
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
async fn look_again(
    connection: &mut PgConnection,
    lost: &[(&CustomerRef, Currency)],
) -> sqlx::Result<()> {
    const DELETE: &str = "delete from customers c \
         using unnest($1::text[], $2::text[]) as n (customer, currency) \
         where c.customer = n.customer and c.currency = n.currency and c.orders = 0";
    const UPDATE: &str = "update customers c set \
         first_order_at = (select min(o.placed_at) from orders o \
             where o.customer = c.customer and o.currency = c.currency), \
         (last_order_at, last_order_id) = (select o.placed_at, o.id from orders o \
             where o.customer = c.customer and o.currency = c.currency \
             order by o.placed_at desc, o.id desc limit 1) \
         from unnest($1::text[], $2::text[]) as n (customer, currency) \
         where c.customer = n.customer and c.currency = n.currency";
    if lost.is_empty() {
        return Ok(());
    }
    let customers: Vec<_> = lost.iter().map(|(customer, _)| customer.as_str()).collect();
    let currencies: Vec<_> = lost.iter().map(|(_, currency)| currency.code()).collect();
    sqlx::query(DELETE).bind(&customers).bind(&currencies).execute(&mut *connection).await?;
    sqlx::query(UPDATE).bind(customers).bind(currencies).execute(connection).await.map(drop)
}
