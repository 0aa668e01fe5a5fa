//! Disputes: what customers' banks took back, per payment.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use const_format::concatcp;
use domain::ids::PaymentId;
use domain::payment::{Payment, PaymentEvent};
use futures::future::BoxFuture;
use journal::Recorded;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::ProjectionName;
use crate::projection::{Projection, Unfoldable, plus, state};
use crate::table::{Rows, Table, TableRow, table};

table! {
    /// What the customer's bank took back of a payment.
    pub(crate) struct DisputeRow {
        /// The payment's id.
        pub id: Uuid,
        /// The order it pays for.
        pub order_id: Uuid,
        /// How often money was taken back.
        pub chargebacks: i64,
        /// How much in all, in minor units.
        pub taken_back_minor: i64,
        /// The bank's words, the last time.
        pub reason: Option<String>,
        /// When its last event was recorded.
        pub updated_at: DateTime<Utc>,
        /// Revision of the last event of its stream in this row.
        pub revision: i64,
        /// Whether a later event could not be understood.
        pub quarantined: bool,
    }
    in disputes, key 1, of id, once [order_id]
}
state!(DisputeRow, id: Uuid);

/// The projection.
pub(crate) struct Disputes;

impl Projection for Disputes {
    const NAME: ProjectionName = ProjectionName::Disputes;
    const VERSION: i32 = 1;
    const TABLES: &'static str = "
        create table disputes (
            id uuid not null,
            order_id uuid not null,
            chargebacks bigint not null,
            taken_back_minor bigint not null,
            reason text,
            updated_at timestamptz not null,
            revision bigint not null,
            quarantined boolean not null
        );
    ";
    const KEYS: &'static str = "
        alter table disputes add primary key (id);
    ";
    const INDEXES: &'static str = "
        create index disputes_order on disputes (order_id) where chargebacks > 0;
    ";
    // Every payment has a row, because a row is also how far its stream has been folded. Readers
    // see those that there is something to say about.
    const VIEWS: &'static str = "
        drop view if exists read_model.disputes;
        create view read_model.disputes as select * from disputes where chargebacks > 0;
    ";
    const ROWS: &'static [Table] = &[DisputeRow::TABLE];
    type Source = Payment;
    type State = DisputeRow;

    fn key(id: &PaymentId) -> Uuid {
        id.0
    }

    fn begin(
        id: &PaymentId,
        event: &PaymentEvent,
        recorded: &Recorded,
    ) -> Result<DisputeRow, Unfoldable> {
        let order = match event {
            PaymentEvent::AuthorisationPending(event) => event.order,
            PaymentEvent::Authorised(event) => event.order,
            PaymentEvent::Declined(event) => event.order,
            PaymentEvent::SettledElsewhere(event) => event.order,
            PaymentEvent::PaidManually(event) => event.order,
            PaymentEvent::CapturePending(_)
            | PaymentEvent::Captured(_)
            | PaymentEvent::CaptureFailed(_)
            | PaymentEvent::VoidPending(_)
            | PaymentEvent::Voided(_)
            | PaymentEvent::RefundPending(_)
            | PaymentEvent::Refunded(_)
            | PaymentEvent::RefundFailed(_)
            | PaymentEvent::Expired(_)
            | PaymentEvent::ChargedBack(_) => return Err(Unfoldable::not_first(recorded)),
        };
        Ok(DisputeRow {
            id: id.0,
            order_id: order.0,
            chargebacks: 0,
            taken_back_minor: 0,
            reason: None,
            updated_at: recorded.metadata.recorded_at,
            revision: 0,
            quarantined: false,
        })
    }

    fn evolve(
        row: &mut DisputeRow,
        event: &PaymentEvent,
        _recorded: &Recorded,
    ) -> Result<(), Unfoldable> {
        match event {
            PaymentEvent::ChargedBack(event) => {
                row.taken_back_minor = plus(row.taken_back_minor, event.amount.minor)?;
                row.chargebacks += 1;
                row.reason = Some(event.reason.clone());
            }
            PaymentEvent::AuthorisationPending(_)
            | PaymentEvent::Authorised(_)
            | PaymentEvent::Declined(_)
            | PaymentEvent::CapturePending(_)
            | PaymentEvent::Captured(_)
            | PaymentEvent::CaptureFailed(_)
            | PaymentEvent::VoidPending(_)
            | PaymentEvent::Voided(_)
            | PaymentEvent::RefundPending(_)
            | PaymentEvent::Refunded(_)
            | PaymentEvent::RefundFailed(_)
            | PaymentEvent::Expired(_)
            | PaymentEvent::SettledElsewhere(_)
            | PaymentEvent::PaidManually(_) => {}
        }
        Ok(())
    }

    fn load<'a>(
        connection: &'a mut PgConnection,
        keys: &'a [Uuid],
    ) -> BoxFuture<'a, sqlx::Result<Vec<DisputeRow>>> {
        Box::pin(async move {
            const LOAD: &str =
                concatcp!("select ", DisputeRow::NAMES, " from disputes where id = any($1)");
            sqlx::query_as(LOAD).bind(keys).fetch_all(connection).await
        })
    }

    fn rows(row: &DisputeRow, rows: &mut Rows) {
        rows.put(row);
    }
}
