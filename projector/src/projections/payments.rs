//! What gateways did with the customers' money: one row per payment, several per order.
//!
//! In reading order: the [`row`] with the single [`movements`] in it, and the [`fold`].

mod fold;
mod movements;
mod row;
#[cfg(test)]
mod tests;

use const_format::concatcp;
use domain::ids::PaymentId;
use domain::payment::{Payment, PaymentEvent};
use futures::future::BoxFuture;
use journal::Recorded;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

pub use movements::{PaymentMovement, PaymentMovementKind, PaymentMovementState};
pub use row::PaymentRow;

use crate::ProjectionName;
use crate::projection::{Projection, Unfoldable, state};
use crate::table::{Rows, Table, TableRow};

/// The projection.
pub(crate) struct Payments;

state!(PaymentRow, id: Uuid);

impl Projection for Payments {
    const NAME: ProjectionName = ProjectionName::Payments;
    const VERSION: i32 = 2;
    const TABLES: &'static str = "
        create table payments (
            id uuid not null,
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
        -- Nobody looks for them.
        alter table payments alter movements set statistics 0;
    ";
    const KEYS: &'static str = "
        alter table payments add primary key (id);
    ";
    const INDEXES: &'static str = "
        create index payments_order on payments (order_id, status);
        create index payments_expiry on payments (expires_at) where status = 'authorised';
    ";
    const ROWS: &'static [Table] = &[PaymentRow::TABLE];
    const VIEWS: &'static str = "
        drop view if exists read_model.payments;
        create view read_model.payments as select * from payments;
    ";
    type Source = Payment;
    type State = PaymentRow;

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
                concatcp!("select ", PaymentRow::NAMES, " from payments where id = any($1)");
            sqlx::query_as(LOAD).bind(keys).fetch_all(connection).await
        })
    }

    fn rows(row: &PaymentRow, rows: &mut Rows) {
        rows.put(row);
    }
}
