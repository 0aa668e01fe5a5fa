//! Orders and their lines.

use chrono::{DateTime, Utc};
use domain::ids::OrderId;
use domain::order::{self, Order, OrderEvent, OrderPlaced};
use futures::future::BoxFuture;
use journal::Recorded;
use serde::Serialize;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::ProjectionName;
use crate::code::{Handling, LineKind, OrderStatus};
use crate::projection::{Projection, Unfoldable, column, row};

/// An order as it can be found and listed.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct OrderRow {
    /// The order's id.
    pub id: Uuid,
    /// Where it comes from.
    pub channel: String,
    /// Who ordered, if that is known.
    pub customer: Option<String>,
    /// Where it goes: ISO 3166-1 alpha-2.
    pub country: String,
    /// ISO 4217 code of `total_minor` and of its lines' prices.
    pub currency: String,
    /// What the customer agreed to pay, in minor units.
    pub total_minor: i64,
    /// Who moves money and goods.
    pub handling: Handling,
    /// How the other system knows an order that is handled elsewhere.
    pub reference: Option<String>,
    /// How far it has come.
    pub status: OrderStatus,
    /// Why it was cancelled or rejected: JSON of `domain::order::CancelReason` (such as
    /// `"customer"`) or `domain::order::RejectReason` (such as `{"code":"unknown-sku","sku":"A"}`).
    pub reason: Option<String>,
    /// Number of its lines.
    pub line_count: i64,
    /// Sum of the quantities of its lines, goods and charges.
    pub unit_count: i64,
    /// When the customer placed it.
    pub placed_at: DateTime<Utc>,
    /// When it was recorded; long after `placed_at` for an imported order.
    pub recorded_at: DateTime<Utc>,
    /// When its last event was recorded.
    pub updated_at: DateTime<Utc>,
    /// Revision of the last event of its stream in this row.
    pub revision: i64,
    /// Whether a later event could not be understood: the row is right, but may be out of date.
    pub quarantined: bool,
}

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
    /// How many.
    pub quantity: i64,
    /// Price of one unit in minor units of the order's currency.
    pub unit_price_minor: i64,
}

/// The columns of [`OrderRow`].
macro_rules! order_columns {
    () => {
        "id, channel, customer, country, currency, total_minor, handling, reference, status, reason, \
         line_count, unit_count, placed_at, recorded_at, updated_at, revision, quarantined"
    };
}
pub(crate) use order_columns;

/// The columns of [`LineRow`].
macro_rules! line_columns {
    () => {
        "order_id, line, sku, title, kind, quantity, unit_price_minor"
    };
}
pub(crate) use line_columns;

/// The projection.
pub(crate) struct Orders;

/// An order, and its lines if they are not in the table yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    pub(crate) order: OrderRow,
    pub(crate) lines: Vec<LineRow>,
}
row!(Draft, id: Uuid, in order);

impl Projection for Orders {
    const NAME: ProjectionName = ProjectionName::Orders;
    const VERSION: i32 = 1;
    // Only what changes when an order is placed, and `status` and `updated_at`, is in an index.
    const TABLES: &'static str = r#"
        create table orders (
            id uuid primary key,
            channel text not null,
            customer text,
            country char(2) not null,
            currency char(3) not null,
            total_minor bigint not null,
            handling text not null check (handling in ('partners', 'elsewhere')),
            reference text,
            status text not null check (status in
                ('pending', 'confirmed', 'shipped', 'completed', 'cancelled', 'rejected')),
            reason text,
            line_count bigint not null,
            unit_count bigint not null,
            placed_at timestamptz not null,
            recorded_at timestamptz not null,
            updated_at timestamptz not null,
            revision bigint not null,
            quarantined boolean not null
        );
        create index orders_placed_at on orders (placed_at, id);
        create index orders_updated_at on orders (updated_at, id);
        create index orders_total on orders (total_minor, id);
        create index orders_status on orders (status, placed_at, id);
        create index orders_customer on orders (customer, placed_at, id);

        create table order_lines (
            order_id uuid not null,
            line integer not null,
            sku text collate "C" not null,
            title text not null,
            kind text not null check (kind in ('goods', 'charge')),
            quantity bigint not null,
            unit_price_minor bigint not null,
            primary key (order_id, line)
        );
    "#;
    const VIEWS: &'static str = "
        drop view if exists read_model.orders, read_model.order_lines;
        create view read_model.orders as select * from orders;
        create view read_model.order_lines as select * from order_lines;
    ";
    type Source = Order;
    type Row = Draft;

    fn key(id: &OrderId) -> Uuid {
        id.0
    }

    fn begin(id: &OrderId, event: &OrderEvent, recorded: &Recorded) -> Result<Draft, Unfoldable> {
        match event {
            OrderEvent::Placed(placed) => place(id.0, placed, recorded),
            OrderEvent::Confirmed(_)
            | OrderEvent::Shipped(_)
            | OrderEvent::Completed(_)
            | OrderEvent::Cancelled(_)
            | OrderEvent::Rejected(_) => Err(Unfoldable::not_first(recorded)),
        }
    }

    fn evolve(
        draft: &mut Draft,
        event: &OrderEvent,
        recorded: &Recorded,
    ) -> Result<(), Unfoldable> {
        let (status, reason) = match event {
            OrderEvent::Placed(_) => return Err(Unfoldable::repeated(recorded)),
            OrderEvent::Confirmed(_) => (OrderStatus::Confirmed, None),
            OrderEvent::Shipped(_) => (OrderStatus::Shipped, None),
            OrderEvent::Completed(_) => (OrderStatus::Completed, None),
            OrderEvent::Cancelled(event) => (OrderStatus::Cancelled, Some(json(&event.reason))),
            OrderEvent::Rejected(event) => (OrderStatus::Rejected, Some(json(&event.reason))),
        };
        draft.order.status = status;
        draft.order.reason = reason;
        Ok(())
    }

    fn load<'a>(
        connection: &'a mut PgConnection,
        keys: &'a [Uuid],
    ) -> BoxFuture<'a, sqlx::Result<Vec<Draft>>> {
        Box::pin(async move {
            const LOAD: &str =
                concat!("select ", order_columns!(), " from orders where id = any($1)");
            let orders: Vec<OrderRow> =
                sqlx::query_as(LOAD).bind(keys).fetch_all(connection).await?;
            Ok(orders.into_iter().map(|order| Draft { order, lines: vec![] }).collect())
        })
    }

    fn save<'a>(
        connection: &'a mut PgConnection,
        rows: &'a [&'a Draft],
    ) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            save_orders(connection, rows).await?;
            let lines: Vec<_> = rows.iter().flat_map(|draft| &draft.lines).collect();
            save_lines(connection, &lines).await
        })
    }
}

fn place(id: Uuid, placed: &OrderPlaced, recorded: &Recorded) -> Result<Draft, Unfoldable> {
    let details = &placed.details;
    let (handling, reference) = match &details.handling {
        order::Handling::Partners { .. } => (Handling::Partners, None),
        order::Handling::Elsewhere { reference } => {
            (Handling::Elsewhere, Some(reference.to_string()))
        }
    };
    let lines = lines_of(id, &details.lines)?;
    let order = OrderRow {
        id,
        channel: details.channel.to_string(),
        customer: details.customer.as_ref().map(ToString::to_string),
        country: details.country.to_string(),
        currency: details.currency.code().to_owned(),
        total_minor: details.total.minor,
        handling,
        reference,
        status: OrderStatus::Pending,
        reason: None,
        line_count: i64::try_from(lines.len()).map_err(|_| Unfoldable::TooLarge)?,
        unit_count: lines.iter().map(|line| line.quantity).sum(),
        placed_at: placed.placed_at,
        recorded_at: recorded.metadata.recorded_at,
        updated_at: recorded.metadata.recorded_at,
        revision: 0,
        quarantined: false,
    };
    Ok(Draft { order, lines })
}

fn lines_of(order_id: Uuid, lines: &[order::Line]) -> Result<Vec<LineRow>, Unfoldable> {
    let row = |(number, line): (usize, &order::Line)| {
        Ok(LineRow {
            order_id,
            line: i32::try_from(number).map_err(|_| Unfoldable::TooLarge)?,
            sku: line.sku.to_string(),
            title: line.title.clone(),
            kind: kind_of(line.kind),
            quantity: i64::from(line.quantity),
            unit_price_minor: line.unit_price.minor,
        })
    };
    lines.iter().enumerate().map(row).collect()
}

pub(super) const fn kind_of(kind: order::LineKind) -> LineKind {
    match kind {
        order::LineKind::Goods => LineKind::Goods,
        order::LineKind::Charge => LineKind::Charge,
    }
}

#[expect(clippy::expect_used, reason = "reasons are plain data with string keys: they serialise")]
fn json(reason: &impl Serialize) -> String {
    serde_json::to_string(reason).expect("reasons serialise")
}

async fn save_orders(connection: &mut PgConnection, rows: &[&Draft]) -> sqlx::Result<()> {
    const SAVE: &str = concat!(
        "insert into orders (",
        order_columns!(),
        ") select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], \
         $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[], \
         $12::bigint[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], \
         $16::bigint[], $17::boolean[]) \
         on conflict (id) do update set status = excluded.status, reason = excluded.reason, \
         updated_at = excluded.updated_at, revision = excluded.revision, \
         quarantined = excluded.quarantined"
    );
    let orders: Vec<&OrderRow> = rows.iter().map(|draft| &draft.order).collect();
    sqlx::query(SAVE)
        .bind(column(&orders, |order| order.id))
        .bind(column(&orders, |order| order.channel.as_str()))
        .bind(column(&orders, |order| order.customer.as_deref()))
        .bind(column(&orders, |order| order.country.as_str()))
        .bind(column(&orders, |order| order.currency.as_str()))
        .bind(column(&orders, |order| order.total_minor))
        .bind(column(&orders, |order| order.handling))
        .bind(column(&orders, |order| order.reference.as_deref()))
        .bind(column(&orders, |order| order.status))
        .bind(column(&orders, |order| order.reason.as_deref()))
        .bind(column(&orders, |order| order.line_count))
        .bind(column(&orders, |order| order.unit_count))
        .bind(column(&orders, |order| order.placed_at))
        .bind(column(&orders, |order| order.recorded_at))
        .bind(column(&orders, |order| order.updated_at))
        .bind(column(&orders, |order| order.revision))
        .bind(column(&orders, |order| order.quarantined))
        .execute(connection)
        .await
        .map(drop)
}

async fn save_lines(connection: &mut PgConnection, lines: &[&LineRow]) -> sqlx::Result<()> {
    // Lines never change, so they are only ever written together with a new order.
    const SAVE: &str = concat!(
        "insert into order_lines (",
        line_columns!(),
        ") select * from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[], \
         $6::bigint[], $7::bigint[])"
    );
    if lines.is_empty() {
        return Ok(());
    }
    sqlx::query(SAVE)
        .bind(column(lines, |line| line.order_id))
        .bind(column(lines, |line| line.line))
        .bind(column(lines, |line| line.sku.as_str()))
        .bind(column(lines, |line| line.title.as_str()))
        .bind(column(lines, |line| line.kind))
        .bind(column(lines, |line| line.quantity))
        .bind(column(lines, |line| line.unit_price_minor))
        .execute(connection)
        .await
        .map(drop)
}
