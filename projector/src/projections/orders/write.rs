//! Writes the rows of orders: all of a new one, and of others what can change.

use domain::order::{OrderState, PlacedOrder};
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use sqlx::types::Json;

use super::document::split;
use super::{Draft, OrderRow};
use crate::projection::column;

/// An order that is to be written.
pub(super) struct Changed<'a> {
    pub(super) row: OrderRow,
    /// As it is now.
    pub(super) now: &'a PlacedOrder,
    /// As it is in the tables, if it is.
    pub(super) before: Option<&'a PlacedOrder>,
}

impl<'a> Changed<'a> {
    /// What there is to write of `draft`: nothing, if nobody placed the order.
    pub(super) fn of(draft: &'a Draft) -> Option<Self> {
        let OrderState::Placed(now) = &draft.state else { return None };
        let row = OrderRow::of(&draft.head, now);
        Some(Self { row, now, before: draft.stored.as_deref() })
    }
}

/// What can change. Its placeholders come first; those of lists are words with spaces between them,
/// since arrays of arrays cannot be taken apart into rows.
macro_rules! moving_columns {
    () => {
        "id, customer, subject, country, current_total_minor, captured_minor, refunded_minor, \
         outstanding_minor, status, payment_status, fulfilment_status, return_status, reason, \
         updated_at, revision, quarantined, holds, tags, progress"
    };
}
macro_rules! moving_arrays {
    () => {
        "$1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[], \
         $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[], \
         $13::text[], $14::timestamptz[], $15::bigint[], $16::boolean[], $17::text[], \
         $18::text[], $19::jsonb[]"
    };
}

/// What is written once.
macro_rules! fixed_columns {
    () => {
        "number, channel, external_reference, currency, total_minor, handling, risk_score, \
         line_count, unit_count, placed_at, recorded_at, details"
    };
}
macro_rules! fixed_arrays {
    () => {
        "$20::text[], $21::text[], $22::text[], $23::text[], $24::bigint[], $25::text[], \
         $26::smallint[], $27::bigint[], $28::bigint[], $29::timestamptz[], $30::timestamptz[], \
         $31::jsonb[]"
    };
}

const INSERT: &str = concat!(
    "insert into orders (",
    moving_columns!(),
    ", ",
    fixed_columns!(),
    ") select id, customer, subject, country, current_total_minor, captured_minor, refunded_minor, \
     outstanding_minor, status, payment_status, fulfilment_status, return_status, reason, \
     updated_at, revision, quarantined, string_to_array(holds, ' '), string_to_array(tags, ' '), \
     progress, ",
    fixed_columns!(),
    " from unnest(",
    moving_arrays!(),
    ", ",
    fixed_arrays!(),
    ") as n (",
    moving_columns!(),
    ", ",
    fixed_columns!(),
    ")"
);

const UPDATE: &str = concat!(
    "update orders o set customer = n.customer, subject = n.subject, country = n.country, \
     current_total_minor = n.current_total_minor, captured_minor = n.captured_minor, \
     refunded_minor = n.refunded_minor, outstanding_minor = n.outstanding_minor, \
     status = n.status, payment_status = n.payment_status, \
     fulfilment_status = n.fulfilment_status, return_status = n.return_status, \
     reason = n.reason, updated_at = n.updated_at, revision = n.revision, \
     quarantined = n.quarantined, holds = string_to_array(n.holds, ' '), \
     tags = string_to_array(n.tags, ' '), progress = n.progress from unnest(",
    moving_arrays!(),
    ") as n (",
    moving_columns!(),
    ") where o.id = n.id"
);

/// Writes the rows of `orders`, which are different ones.
pub(super) async fn save(
    connection: &mut PgConnection,
    orders: &[Changed<'_>],
) -> sqlx::Result<()> {
    let (new, old): (Vec<&Changed<'_>>, Vec<_>) =
        orders.iter().partition(|order| order.before.is_none());
    if !new.is_empty() {
        bind_fixed(bind_moving(sqlx::query(INSERT), &new), &new).execute(&mut *connection).await?;
    }
    if !old.is_empty() {
        bind_moving(sqlx::query(UPDATE), &old).execute(connection).await?;
    }
    Ok(())
}

type Statement<'q> = Query<'q, Postgres, PgArguments>;

fn bind_moving<'q>(statement: Statement<'q>, orders: &[&Changed<'_>]) -> Statement<'q> {
    statement
        .bind(column(orders, |order| order.row.id))
        .bind(column(orders, |order| order.row.customer.clone()))
        .bind(column(orders, |order| order.row.subject))
        .bind(column(orders, |order| order.row.country.clone()))
        .bind(column(orders, |order| order.row.current_total_minor))
        .bind(column(orders, |order| order.row.captured_minor))
        .bind(column(orders, |order| order.row.refunded_minor))
        .bind(column(orders, |order| order.row.outstanding_minor))
        .bind(column(orders, |order| order.row.status))
        .bind(column(orders, |order| order.row.payment_status.code()))
        .bind(column(orders, |order| order.row.fulfilment_status.code()))
        .bind(column(orders, |order| order.row.return_status.code()))
        .bind(column(orders, |order| order.row.reason.clone()))
        .bind(column(orders, |order| order.row.updated_at))
        .bind(column(orders, |order| order.row.revision))
        .bind(column(orders, |order| order.row.quarantined))
        .bind(column(orders, |order| order.row.holds.join(" ")))
        .bind(column(orders, |order| order.row.tags.join(" ")))
        .bind(column(orders, |order| Json(split(order.now).1)))
}

fn bind_fixed<'q>(statement: Statement<'q>, orders: &[&Changed<'_>]) -> Statement<'q> {
    statement
        .bind(column(orders, |order| order.row.number.clone()))
        .bind(column(orders, |order| order.row.channel.clone()))
        .bind(column(orders, |order| order.row.external_reference.clone()))
        .bind(column(orders, |order| order.row.currency.clone()))
        .bind(column(orders, |order| order.row.total_minor))
        .bind(column(orders, |order| order.row.handling))
        .bind(column(orders, |order| order.row.risk_score))
        .bind(column(orders, |order| order.row.line_count))
        .bind(column(orders, |order| order.row.unit_count))
        .bind(column(orders, |order| order.row.placed_at))
        .bind(column(orders, |order| order.row.recorded_at))
        .bind(column(orders, |order| Json(split(order.now).0)))
}
