//! What gateways did with the customers' money: one row per payment, several per order.
//!
//! In reading order: the [`row`] with the single [`movements`] in it, and the [`fold`]. How rows are
//! written is here.

mod fold;
mod movements;
mod row;
#[cfg(test)]
mod tests;

use domain::ids::PaymentId;
use domain::payment::{Payment, PaymentEvent};
use futures::future::BoxFuture;
use journal::Recorded;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

pub use movements::{PaymentMovement, PaymentMovementKind, PaymentMovementState};
pub use row::PaymentRow;
pub(crate) use row::payment_columns;

use crate::ProjectionName;
use crate::projection::{Projection, Unfoldable, column, row};

/// The projection.
pub(crate) struct Payments;

row!(PaymentRow, id: Uuid);

impl Projection for Payments {
    const NAME: ProjectionName = ProjectionName::Payments;
    const VERSION: i32 = 2;
    const TABLES: &'static str = "
        create table payments (
            id uuid primary key,
            order_id uuid not null,
            source text not null check (source in ('gateway', 'elsewhere', 'manual')),
            status text not null check (status in
                ('pending', 'declined', 'authorised', 'expired', 'captured', 'voided', 'refunded',
                 'charged-back')),
            currency char(3) not null,
            authorising_minor bigint not null,
            authorised_minor bigint not null,
            capturing_minor bigint not null,
            captured_minor bigint not null,
            voided_minor bigint not null,
            refunding_minor bigint not null,
            refunded_minor bigint not null,
            charged_back_minor bigint not null,
            voiding boolean not null,
            expired boolean not null,
            expires_at timestamptz,
            reference text,
            decline_code text,
            movements jsonb not null,
            opened_at timestamptz not null,
            updated_at timestamptz not null,
            revision bigint not null,
            quarantined boolean not null
        );
        create index payments_order on payments (order_id, status);
        create index payments_expiry on payments (expires_at) where status = 'authorised';
    ";
    const VIEWS: &'static str = "
        drop view if exists read_model.payments;
        create view read_model.payments as select * from payments;
    ";
    type Source = Payment;
    type Row = PaymentRow;

    fn key(id: &PaymentId) -> Uuid {
        id.0
    }

    fn begin(
        id: &PaymentId,
        event: &PaymentEvent,
        recorded: &Recorded,
    ) -> Result<PaymentRow, Unfoldable> {
        fold::begin(*id, event, recorded)
    }

    fn evolve(
        row: &mut PaymentRow,
        event: &PaymentEvent,
        recorded: &Recorded,
    ) -> Result<(), Unfoldable> {
        fold::evolve(row, event, recorded)
    }

    fn load<'a>(
        connection: &'a mut PgConnection,
        keys: &'a [Uuid],
    ) -> BoxFuture<'a, sqlx::Result<Vec<PaymentRow>>> {
        Box::pin(async move {
            const LOAD: &str =
                concat!("select ", payment_columns!(), " from payments where id = any($1)");
            sqlx::query_as(LOAD).bind(keys).fetch_all(connection).await
        })
    }

    fn save<'a>(
        connection: &'a mut PgConnection,
        rows: &'a [&'a PaymentRow],
    ) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            const SAVE: &str = concat!(
                "insert into payments (",
                payment_columns!(),
                ") select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], \
                 $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], \
                 $11::bigint[], $12::bigint[], $13::bigint[], $14::boolean[], $15::boolean[], \
                 $16::timestamptz[], $17::text[], $18::text[], $19::jsonb[], $20::timestamptz[], \
                 $21::timestamptz[], $22::bigint[], $23::boolean[]) \
                 on conflict (id) do update set status = excluded.status, \
                 authorising_minor = excluded.authorising_minor, \
                 authorised_minor = excluded.authorised_minor, \
                 capturing_minor = excluded.capturing_minor, \
                 captured_minor = excluded.captured_minor, voided_minor = excluded.voided_minor, \
                 refunding_minor = excluded.refunding_minor, \
                 refunded_minor = excluded.refunded_minor, \
                 charged_back_minor = excluded.charged_back_minor, voiding = excluded.voiding, \
                 expired = excluded.expired, expires_at = excluded.expires_at, \
                 reference = excluded.reference, decline_code = excluded.decline_code, \
                 movements = excluded.movements, updated_at = excluded.updated_at, \
                 revision = excluded.revision, quarantined = excluded.quarantined"
            );
            sqlx::query(SAVE)
                .bind(column(rows, |row| row.id))
                .bind(column(rows, |row| row.order_id))
                .bind(column(rows, |row| row.source))
                .bind(column(rows, |row| row.status))
                .bind(column(rows, |row| row.currency.as_str()))
                .bind(column(rows, |row| row.authorising_minor))
                .bind(column(rows, |row| row.authorised_minor))
                .bind(column(rows, |row| row.capturing_minor))
                .bind(column(rows, |row| row.captured_minor))
                .bind(column(rows, |row| row.voided_minor))
                .bind(column(rows, |row| row.refunding_minor))
                .bind(column(rows, |row| row.refunded_minor))
                .bind(column(rows, |row| row.charged_back_minor))
                .bind(column(rows, |row| row.voiding))
                .bind(column(rows, |row| row.expired))
                .bind(column(rows, |row| row.expires_at))
                .bind(column(rows, |row| row.reference.as_deref()))
                .bind(column(rows, |row| row.decline_code.as_deref()))
                .bind(column(rows, |row| &row.movements))
                .bind(column(rows, |row| row.opened_at))
                .bind(column(rows, |row| row.updated_at))
                .bind(column(rows, |row| row.revision))
                .bind(column(rows, |row| row.quarantined))
                .execute(connection)
                .await
                .map(drop)
        })
    }
}
