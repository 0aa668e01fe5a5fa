//! The lines of orders: what was bought, and what became of its units.

use domain::order::{self, LineLedger, PlacedOrder};
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::write::Changed;
use crate::code::LineKind;
use crate::projection::column;

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct LineRow {
    /// The order.
    pub order_id: Uuid,
    /// Number of the line, from 0, in the customer's order.
    pub line: i32,
    /// What.
    pub sku: String,
    /// Its name as the customer saw it; may be empty.
    pub title: String,
    /// Whether it takes something from a shelf.
    pub kind: LineKind,
    /// Units bought.
    pub quantity: i64,
    /// Price of one unit before discounts, in minor units of the order's currency.
    pub unit_price_minor: i64,
    /// What the customer agreed to pay for the line after everything, in minor units.
    pub total_minor: i64,
    /// Units given up before they left.
    pub cancelled: i64,
    /// Units set aside and still here.
    pub allocated: i64,
    /// Units awaited.
    pub backordered: i64,
    /// Units that left.
    pub shipped: i64,
    /// Units that arrived.
    pub delivered: i64,
    /// Units that were sent back and received.
    pub returned: i64,
    /// Units that were paid back.
    pub refunded: i64,
}

/// The columns of [`LineRow`].
macro_rules! line_columns {
    () => {
        "order_id, line, sku, title, kind, quantity, unit_price_minor, total_minor, cancelled, \
         allocated, backordered, shipped, delivered, returned, refunded"
    };
}
pub(crate) use line_columns;

/// What kind of line it is in the tables.
pub(crate) const fn kind_of(kind: order::LineKind) -> LineKind {
    match kind {
        order::LineKind::Goods => LineKind::Goods,
        order::LineKind::Charge => LineKind::Charge,
    }
}

/// A line and what became of it.
struct Line<'a> {
    order_id: Uuid,
    number: i32,
    bought: &'a order::Line,
    total_minor: i64,
    ledger: &'a LineLedger,
}

/// Inserts the lines of new orders, and of others updates those that something became of.
pub(super) async fn save(
    connection: &mut PgConnection,
    orders: &[Changed<'_>],
) -> sqlx::Result<()> {
    let (mut new, mut moved) = (vec![], vec![]);
    for order in orders {
        match order.before {
            None => new.extend(lines_of(order.row.id, order.now)),
            Some(before) => moved.extend(
                lines_of(order.row.id, order.now)
                    .zip(&before.lines)
                    .filter(|(line, before)| line.ledger != *before)
                    .map(|(line, _)| line),
            ),
        }
    }
    insert(connection, &new.iter().collect::<Vec<_>>()).await?;
    update(connection, &moved.iter().collect::<Vec<_>>()).await
}

fn lines_of(order_id: Uuid, order: &PlacedOrder) -> impl Iterator<Item = Line<'_>> {
    let lines = (0..).zip(&order.details.lines).zip(&order.lines);
    lines.enumerate().map(move |(index, ((number, bought), ledger))| Line {
        order_id,
        number,
        bought,
        total_minor: order.prices.lines.get(index).map_or(0, |prices| prices.total),
        ledger,
    })
}

async fn insert(connection: &mut PgConnection, lines: &[&Line<'_>]) -> sqlx::Result<()> {
    const INSERT: &str = concat!(
        "insert into order_lines (",
        line_columns!(),
        ") select * from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[], \
         $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], \
         $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[])"
    );
    if lines.is_empty() {
        return Ok(());
    }
    sqlx::query(INSERT)
        .bind(column(lines, |line| line.order_id))
        .bind(column(lines, |line| line.number))
        .bind(column(lines, |line| line.bought.sku.as_str()))
        .bind(column(lines, |line| line.bought.title.as_str()))
        .bind(column(lines, |line| kind_of(line.bought.kind)))
        .bind(column(lines, |line| i64::from(line.bought.quantity)))
        .bind(column(lines, |line| line.bought.unit_price.minor))
        .bind(column(lines, |line| line.total_minor))
        .bind(column(lines, |line| i64::from(line.ledger.cancelled)))
        .bind(column(lines, |line| i64::from(line.ledger.allocated_units())))
        .bind(column(lines, |line| i64::from(line.ledger.backordered)))
        .bind(column(lines, |line| i64::from(line.ledger.shipped)))
        .bind(column(lines, |line| i64::from(line.ledger.delivered)))
        .bind(column(lines, |line| i64::from(line.ledger.returned)))
        .bind(column(lines, |line| i64::from(line.ledger.refunded)))
        .execute(connection)
        .await
        .map(drop)
}

async fn update(connection: &mut PgConnection, lines: &[&Line<'_>]) -> sqlx::Result<()> {
    const UPDATE: &str = "update order_lines l set cancelled = n.cancelled, \
         allocated = n.allocated, backordered = n.backordered, shipped = n.shipped, \
         delivered = n.delivered, returned = n.returned, refunded = n.refunded \
         from unnest($1::uuid[], $2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], \
         $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]) as n (order_id, line, \
         cancelled, allocated, backordered, shipped, delivered, returned, refunded) \
         where l.order_id = n.order_id and l.line = n.line";
    if lines.is_empty() {
        return Ok(());
    }
    sqlx::query(UPDATE)
        .bind(column(lines, |line| line.order_id))
        .bind(column(lines, |line| line.number))
        .bind(column(lines, |line| i64::from(line.ledger.cancelled)))
        .bind(column(lines, |line| i64::from(line.ledger.allocated_units())))
        .bind(column(lines, |line| i64::from(line.ledger.backordered)))
        .bind(column(lines, |line| i64::from(line.ledger.shipped)))
        .bind(column(lines, |line| i64::from(line.ledger.delivered)))
        .bind(column(lines, |line| i64::from(line.ledger.returned)))
        .bind(column(lines, |line| i64::from(line.ledger.refunded)))
        .execute(connection)
        .await
        .map(drop)
}
