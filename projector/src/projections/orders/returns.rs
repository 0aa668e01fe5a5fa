//! The returns of orders: what is asked to be sent back, and what came of it.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use domain::ids::ReturnId;
use domain::order::{
    Disposition, OrderEvent, PlacedOrder, ReturnBook, ReturnProgress, ReturnReason,
};
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::code::Coded;
use crate::table::table;

table! {
/// One return of an order.
pub struct ReturnRow {
    /// The order.
    pub order_id: Uuid,
    /// The return's id.
    pub id: Uuid,
    /// How far it is.
    #[sqlx(try_from = "Coded<ReturnProgress>")]
    pub status: ReturnProgress,
    /// Why goods come back.
    #[sqlx(try_from = "Coded<ReturnReason>")]
    pub reason: ReturnReason,
    /// Units that were asked to be sent back.
    pub units_requested: i64,
    /// Units that came.
    pub units_received: i64,
    /// Of those, units that are on a shelf again.
    pub units_restocked: i64,
    /// Of those, units that cannot be sold again.
    pub units_written_off: i64,
    /// Units that are known not to have come.
    pub units_missing: i64,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it was approved or declined.
    pub decided_at: Option<DateTime<Utc>>,
    /// When goods last came.
    pub received_at: Option<DateTime<Utc>>,
    /// When nothing more was expected.
    pub closed_at: Option<DateTime<Utc>>,
}
in returns, key 2, of order_id, once []
}

/// When what became of a return, which the order itself does not remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
#[expect(clippy::struct_field_names, reason = "they are the columns' names")]
pub(crate) struct Times {
    requested_at: DateTime<Utc>,
    decided_at: Option<DateTime<Utc>>,
    received_at: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
}

/// The times of the returns of one order.
pub(super) type AllTimes = BTreeMap<Uuid, Times>;

/// Takes down when `event` happened, if it is about a return.
pub(super) fn note(all: &mut AllTimes, event: &OrderEvent, at: DateTime<Utc>) {
    if let OrderEvent::ReturnRequested(requested) = event {
        let times =
            Times { requested_at: at, decided_at: None, received_at: None, closed_at: None };
        all.insert(requested.return_id.0, times);
    }
    let mut on = |id: ReturnId, change: fn(&mut Times) -> &mut Option<DateTime<Utc>>| {
        if let Some(times) = all.get_mut(&id.0) {
            *change(times) = Some(at);
        }
    };
    if let OrderEvent::ReturnApproved(approved) = event {
        on(approved.return_id, |times| &mut times.decided_at);
    } else if let OrderEvent::ReturnDeclined(declined) = event {
        on(declined.return_id, |times| &mut times.decided_at);
    } else if let OrderEvent::ReturnReceived(received) = event {
        on(received.return_id, |times| &mut times.received_at);
    } else if let OrderEvent::ReturnClosed(closed) = event {
        on(closed.return_id, |times| &mut times.closed_at);
    }
}

/// The returns of `order`, by their ids.
pub(super) fn all_of<'a>(
    order_id: Uuid,
    order: &'a PlacedOrder,
    all: &'a AllTimes,
) -> impl Iterator<Item = ReturnRow> {
    let timed = order.returns.iter().filter_map(|(id, book)| Some((id.0, book, all.get(&id.0)?)));
    timed.map(move |(id, book, times)| ReturnRow::of(order_id, id, book, times))
}

impl ReturnRow {
    fn of(order_id: Uuid, id: Uuid, book: &ReturnBook, times: &Times) -> Self {
        let units = |wanted: Disposition| -> i64 {
            let of_it = book.received.iter().filter(|(_, _, became)| *became == wanted);
            of_it.map(|&(_, units, _)| i64::from(units)).sum()
        };
        let (restocked, written_off) =
            (units(Disposition::Restocked), units(Disposition::WrittenOff));
        Self {
            order_id,
            id,
            status: book.status,
            reason: book.reason,
            units_requested: book.lines.iter().map(|units| i64::from(units.quantity)).sum(),
            units_received: restocked + written_off,
            units_restocked: restocked,
            units_written_off: written_off,
            units_missing: units(Disposition::Missing),
            requested_at: times.requested_at,
            decided_at: times.decided_at,
            received_at: times.received_at,
            closed_at: times.closed_at,
        }
    }
}

/// The times of the returns of `orders`, by order.
pub(super) async fn load(
    connection: &mut PgConnection,
    orders: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, AllTimes>> {
    const LOAD: &str = "select order_id, id, requested_at, decided_at, received_at, closed_at \
         from returns where order_id = any($1)";
    #[derive(FromRow)]
    struct Stored {
        order_id: Uuid,
        id: Uuid,
        #[sqlx(flatten)]
        times: Times,
    }
    let mut by_order: HashMap<Uuid, AllTimes> = HashMap::new();
    if orders.is_empty() {
        return Ok(by_order);
    }
    let stored: Vec<Stored> = sqlx::query_as(LOAD).bind(orders).fetch_all(connection).await?;
    for Stored { order_id, id, times } in stored {
        by_order.entry(order_id).or_default().insert(id, times);
    }
    Ok(by_order)
}
