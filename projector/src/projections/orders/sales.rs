//! What was sold per day, SKU, channel and currency.
//!
//! Kept by difference, like the sums per customer: what an order contributed before is taken away,
//! what it contributes now is added. Keys are in order, so that several who write at once take their
//! locks in the same order.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use domain::money::Currency;
use domain::order::{LineLedger, PlacedOrder};
use sqlx::postgres::PgConnection;

use super::Draft;
use super::lines::{kind_of, worth};
use crate::code::LineKind;
use crate::projection;

/// What lines are summed up by: in the order of the table's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    /// Of placing, in UTC.
    day: NaiveDate,
    sku: &'a str,
    channel: &'a str,
    currency: Currency,
    kind: LineKind,
}

/// How many sums there are.
const SUMS: usize = 7;

/// Orders, units, gross amount, cancelled units, cancelled amount, returned units, refunded units: in
/// the order of the table's columns.
type Sums = [i128; SUMS];

type Contributions<'a> = BTreeMap<Key<'a>, Sums>;

/// Takes what `order` means to the sums `sign` times.
fn contribute<'a>(sums: &mut Contributions<'a>, order: &'a PlacedOrder, sign: i128) {
    let mut own = Contributions::new();
    for (index, (line, ledger)) in order.details.lines.iter().zip(&order.lines).enumerate() {
        let key = Key {
            day: order.placed_at.date_naive(),
            sku: line.sku.as_str(),
            channel: order.details.channel.as_str(),
            currency: order.details.currency,
            kind: kind_of(line.kind),
        };
        let total = order.prices.lines.get(index).map_or(0, |prices| prices.total);
        let of_line: Sums = [
            0,
            i64::from(line.quantity).into(),
            total.into(),
            ledger.cancelled.into(),
            i128::from(total) - i128::from(worth(order, index)),
            ledger.returned.into(),
            ledger.refunded.into(),
        ];
        // An order counts once, however many lines of it are of the same SKU.
        add(own.entry(key).or_insert([1, 0, 0, 0, 0, 0, 0]), &of_line, 1);
    }
    for (key, of_order) in own {
        add(sums.entry(key).or_default(), &of_order, sign);
    }
}

fn add(sums: &mut Sums, more: &Sums, sign: i128) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += sign * more;
    }
}

/// Whether nothing has happened to `order` that the sums know of.
fn is_same(before: &PlacedOrder, order: &PlacedOrder) -> bool {
    let counted = |ledger: &LineLedger| (ledger.cancelled, ledger.returned, ledger.refunded);
    Arc::ptr_eq(&before.details, &order.details)
        && Arc::ptr_eq(&before.prices, &order.prices)
        && before.placed_at == order.placed_at
        && before.lines.iter().map(counted).eq(order.lines.iter().map(counted))
}

/// Brings the sums up to `orders`.
pub(super) async fn settle(
    connection: &mut PgConnection,
    orders: &[projection::Change<'_, Draft>],
) -> sqlx::Result<()> {
    let mut sums = Contributions::new();
    for change in orders {
        let Some(order) = change.now.order() else { continue };
        let before = change.before.and_then(Draft::order);
        if before.is_some_and(|before| is_same(before, order)) {
            continue;
        }
        if let Some(before) = before {
            contribute(&mut sums, before, -1);
        }
        contribute(&mut sums, order, 1);
    }
    sums.retain(|_, sums| sums.iter().any(|sum| *sum != 0));
    if sums.is_empty() {
        return Ok(());
    }
    write(connection, &sums).await?;
    let lost: Vec<Key<'_>> =
        sums.iter().filter(|(_, sums)| sums[0] < 0).map(|(key, _)| *key).collect();
    clear(connection, &lost).await
}

/// The sums, from the rows of orders and lines.
pub(super) const DERIVED: &str = "insert into sales_by_day (day, sku, channel, currency, kind, \
     orders, units, gross_minor, cancelled_units, cancelled_minor, returned_units, refunded_units) \
     select (o.placed_at at time zone 'UTC')::date, l.sku, o.channel, o.currency, l.kind, \
     count(distinct l.order_id), sum(l.quantity)::bigint, sum(l.total_minor)::bigint, \
     sum(l.cancelled)::bigint, sum(l.total_minor - l.current_total_minor)::bigint, \
     sum(l.returned)::bigint, sum(l.refunded)::bigint \
     from order_lines l join orders o on o.id = l.order_id group by 1, 2, 3, 4, 5;";

async fn write(connection: &mut PgConnection, sums: &Contributions<'_>) -> sqlx::Result<()> {
    const ADD: &str = "insert into sales_by_day as s (day, sku, channel, currency, kind, \
         orders, units, gross_minor, cancelled_units, cancelled_minor, returned_units, \
         refunded_units) select * from unnest($1::date[], $2::text[], $3::text[], $4::text[], \
         $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], \
         $11::bigint[], $12::bigint[]) \
         on conflict (day, sku, channel, currency, kind) do update set \
         orders = s.orders + excluded.orders, units = s.units + excluded.units, \
         gross_minor = s.gross_minor + excluded.gross_minor, \
         cancelled_units = s.cancelled_units + excluded.cancelled_units, \
         cancelled_minor = s.cancelled_minor + excluded.cancelled_minor, \
         returned_units = s.returned_units + excluded.returned_units, \
         refunded_units = s.refunded_units + excluded.refunded_units";
    let keys: Vec<Key<'_>> = sums.keys().copied().collect();
    let mut statement = by_key(ADD, &keys);
    for column in 0..SUMS {
        let values = sums.values().map(|sums| i64::try_from(sums[column]));
        let values: Vec<i64> =
            values.collect::<Result<_, _>>().map_err(|error| sqlx::Error::Encode(error.into()))?;
        statement = statement.bind(values);
    }
    statement.execute(connection).await.map(drop)
}

/// Takes away the rows of `lost` that no order is left in.
async fn clear(connection: &mut PgConnection, lost: &[Key<'_>]) -> sqlx::Result<()> {
    const CLEAR: &str = "delete from sales_by_day s using unnest($1::date[], $2::text[], \
         $3::text[], $4::text[], $5::text[]) as n (day, sku, channel, currency, kind) \
         where (s.day, s.sku, s.channel, s.currency, s.kind) \
         = (n.day, n.sku, n.channel, n.currency, n.kind) and s.orders = 0";
    if lost.is_empty() {
        return Ok(());
    }
    by_key(CLEAR, lost).execute(connection).await.map(drop)
}

type Statement<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// The statement with the columns of `keys` as its first arguments.
fn by_key<'q>(statement: &'static str, keys: &[Key<'_>]) -> Statement<'q> {
    let texts = |of: fn(&Key<'_>) -> String| keys.iter().map(of).collect::<Vec<_>>();
    sqlx::query(statement)
        .bind(keys.iter().map(|key| key.day).collect::<Vec<_>>())
        .bind(texts(|key| key.sku.to_owned()))
        .bind(texts(|key| key.channel.to_owned()))
        .bind(texts(|key| key.currency.code().to_owned()))
        .bind(texts(|key| key.kind.as_str().to_owned()))
}
