//! What the gateway did with the customers' money.

use chrono::{DateTime, Utc};
use domain::ids::{OrderId, PartnerReference, PaymentId};
use domain::money::Money;
use domain::payment::{Payment, PaymentEvent};
use futures::future::BoxFuture;
use journal::Recorded;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::ProjectionName;
use crate::code::PaymentStatus;
use crate::projection::{Projection, Unfoldable, column, plus, row};

/// The payment of an order.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct PaymentRow {
    /// The payment's id.
    pub id: Uuid,
    /// The order it pays for.
    pub order_id: Uuid,
    /// How far it has come.
    pub status: PaymentStatus,
    /// ISO 4217 code of the amounts.
    pub currency: String,
    /// Held at first, in minor units; 0 when declined.
    pub authorised_minor: i64,
    /// Moved to us.
    pub captured_minor: i64,
    /// Let go without being moved.
    pub voided_minor: i64,
    /// Moved back to the customer.
    pub refunded_minor: i64,
    /// How the gateway, or the system it was settled in, knows it.
    pub reference: Option<String>,
    /// The gateway's code when it declined.
    pub decline_code: Option<String>,
    /// Whether another system moved the money.
    pub settled_elsewhere: bool,
    /// When its last event was recorded.
    pub updated_at: DateTime<Utc>,
    /// Revision of the last event of its stream in this row.
    pub revision: i64,
    /// Whether a later event could not be understood: the row is right, but may be out of date.
    pub quarantined: bool,
}

/// The columns of [`PaymentRow`].
macro_rules! payment_columns {
    () => {
        "id, order_id, status, currency, authorised_minor, captured_minor, voided_minor, \
         refunded_minor, reference, decline_code, settled_elsewhere, updated_at, revision, quarantined"
    };
}
pub(crate) use payment_columns;

/// The projection.
pub(crate) struct Payments;

row!(PaymentRow, id: Uuid);

impl Projection for Payments {
    const NAME: ProjectionName = ProjectionName::Payments;
    const VERSION: i32 = 1;
    const TABLES: &'static str = "
        create table payments (
            id uuid primary key,
            order_id uuid not null,
            status text not null check (status in
                ('declined', 'authorised', 'captured', 'voided', 'refunded')),
            currency char(3) not null,
            authorised_minor bigint not null,
            captured_minor bigint not null,
            voided_minor bigint not null,
            refunded_minor bigint not null,
            reference text,
            decline_code text,
            settled_elsewhere boolean not null,
            updated_at timestamptz not null,
            revision bigint not null,
            quarantined boolean not null
        );
        create index payments_order on payments (order_id);
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
        Ok(match event {
            PaymentEvent::Authorised(event) => {
                opened(*id, event.order, event.amount, &event.reference, recorded)
            }
            PaymentEvent::SettledElsewhere(event) => PaymentRow {
                status: PaymentStatus::Captured,
                captured_minor: event.amount.minor,
                settled_elsewhere: true,
                ..opened(*id, event.order, event.amount, &event.reference, recorded)
            },
            PaymentEvent::Declined(event) => PaymentRow {
                status: PaymentStatus::Declined,
                decline_code: Some(event.code.clone()),
                ..empty(*id, event.order, event.amount, recorded)
            },
            PaymentEvent::Captured(_) | PaymentEvent::Voided(_) | PaymentEvent::Refunded(_) => {
                return Err(Unfoldable::not_first(recorded));
            }
        })
    }

    fn evolve(
        row: &mut PaymentRow,
        event: &PaymentEvent,
        recorded: &Recorded,
    ) -> Result<(), Unfoldable> {
        match event {
            PaymentEvent::Authorised(_)
            | PaymentEvent::SettledElsewhere(_)
            | PaymentEvent::Declined(_) => return Err(Unfoldable::repeated(recorded)),
            PaymentEvent::Captured(event) => {
                row.captured_minor = plus(row.captured_minor, event.amount.minor)?;
            }
            PaymentEvent::Voided(event) => {
                row.voided_minor = plus(row.voided_minor, event.amount.minor)?;
            }
            PaymentEvent::Refunded(event) => {
                row.refunded_minor = plus(row.refunded_minor, event.amount.minor)?;
            }
        }
        row.status = status_of(row);
        Ok(())
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
                ") select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], \
             $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::boolean[], \
             $12::timestamptz[], $13::bigint[], $14::boolean[]) \
             on conflict (id) do update set status = excluded.status, \
             captured_minor = excluded.captured_minor, voided_minor = excluded.voided_minor, \
             refunded_minor = excluded.refunded_minor, updated_at = excluded.updated_at, \
             revision = excluded.revision, quarantined = excluded.quarantined"
            );
            sqlx::query(SAVE)
                .bind(column(rows, |row| row.id))
                .bind(column(rows, |row| row.order_id))
                .bind(column(rows, |row| row.status))
                .bind(column(rows, |row| row.currency.as_str()))
                .bind(column(rows, |row| row.authorised_minor))
                .bind(column(rows, |row| row.captured_minor))
                .bind(column(rows, |row| row.voided_minor))
                .bind(column(rows, |row| row.refunded_minor))
                .bind(column(rows, |row| row.reference.as_deref()))
                .bind(column(rows, |row| row.decline_code.as_deref()))
                .bind(column(rows, |row| row.settled_elsewhere))
                .bind(column(rows, |row| row.updated_at))
                .bind(column(rows, |row| row.revision))
                .bind(column(rows, |row| row.quarantined))
                .execute(connection)
                .await
                .map(drop)
        })
    }
}

fn opened(
    id: PaymentId,
    order: OrderId,
    amount: Money,
    reference: &PartnerReference,
    recorded: &Recorded,
) -> PaymentRow {
    PaymentRow {
        authorised_minor: amount.minor,
        reference: Some(reference.to_string()),
        ..empty(id, order, amount, recorded)
    }
}

fn empty(id: PaymentId, order: OrderId, amount: Money, recorded: &Recorded) -> PaymentRow {
    PaymentRow {
        id: id.0,
        order_id: order.0,
        status: PaymentStatus::Authorised,
        currency: amount.currency.code().to_owned(),
        authorised_minor: 0,
        captured_minor: 0,
        voided_minor: 0,
        refunded_minor: 0,
        reference: None,
        decline_code: None,
        settled_elsewhere: false,
        updated_at: recorded.metadata.recorded_at,
        revision: 0,
        quarantined: false,
    }
}

/// What the amounts say.
fn status_of(row: &PaymentRow) -> PaymentStatus {
    if row.status == PaymentStatus::Declined {
        PaymentStatus::Declined
    } else if row.captured_minor > 0 && row.refunded_minor >= row.captured_minor {
        PaymentStatus::Refunded
    } else if row.captured_minor > 0 {
        PaymentStatus::Captured
    } else if row.voided_minor > 0 {
        PaymentStatus::Voided
    } else {
        PaymentStatus::Authorised
    }
}
