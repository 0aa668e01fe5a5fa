//! Orders as they were: folded from the beginning of their own streams.

use std::collections::HashMap;
use std::mem;

use async_graphql::{Context, Error};
use chrono::{DateTime, Utc};
use domain::Decider as _;
use domain::ids::OrderId;
use domain::order::{self as domain_order, OrderState, PlacedOrder};
use futures::{StreamExt, TryStreamExt, stream};
use journal::Recorded;
use projector::read_model::OrderThen;
use schemas::stream_of;
use uuid::Uuid;

use super::order::AsOfInput;
use crate::graphql::error::{Code, error, internal, read_error, store_error};
use crate::graphql::model::Order;
use crate::graphql::request::Services;

/// Events after which others get a turn: what has arrived is gone through without waiting.
const IN_ONE_GO: usize = 8;

/// Streams that are read at the same time for one page.
const AT_ONCE: usize = 16;

/// The order as it was then; `None` when it had not been placed. A revision that it has not reached
/// yet is the order as it is.
pub(super) async fn order(
    ctx: &Context<'_>,
    id: OrderId,
    as_of: AsOfInput,
) -> Result<Option<Order>, Error> {
    fold(ctx, id, &Until::read(as_of)?, &[]).await
}

/// The same, without the events that are passed over.
async fn fold(
    ctx: &Context<'_>,
    id: OrderId,
    until: &Until,
    passed_over: &[u64],
) -> Result<Option<Order>, Error> {
    let mut walk = Walk::new(ctx, id);
    let mut last = None;
    // Recorded later than one behind them: clocks differ a little.
    let mut ahead = vec![];
    while let Some(event) = walk.next().await? {
        if passed_over.contains(&event.revision) {
            continue;
        }
        if until.includes(&event) {
            for earlier in ahead.drain(..) {
                walk.apply(&earlier)?;
            }
            walk.apply(&event)?;
            last = Some(event);
        } else if until.is_final(last.as_ref()) {
            break;
        } else {
            ahead.push(event);
        }
    }
    Ok(last.and_then(|event| {
        let placed = walk.order()?.clone();
        Some(Order::at(id, placed, event.revision, Some(event.metadata.recorded_at)))
    }))
}

/// The orders of a page as they were then. Those that nothing has happened to since are in the read
/// model; the others are folded from their streams, some at a time.
pub(super) async fn orders(
    ctx: &Context<'_>,
    rows: Vec<OrderThen>,
) -> Result<Vec<(OrderThen, Order)>, Error> {
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let documents = Services::of(ctx).reader.order_documents_by_ids(&ids).await;
    let documents = documents.map_err(|cause| read_error(ctx, &cause))?;
    let mut unchanged: HashMap<_, _> = documents
        .into_iter()
        .map(|document| ((document.row.id, document.row.revision), document.order))
        .collect();
    let known: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let placed = unchanged.remove(&(row.id, row.then.revision));
            (row, placed)
        })
        .collect();
    let passed_over = passed_over(ctx, &known).await?;
    let orders = known.into_iter().map(|(row, placed)| {
        let passed_over = passed_over.get(&row.id).map_or(&[][..], Vec::as_slice);
        async move {
            let id = OrderId(row.id);
            let (revision, recorded_at) = (row.then.revision.unsigned_abs(), row.then.recorded_at);
            let order = match placed {
                Some(placed) => Order::at(id, placed, revision, Some(recorded_at)),
                None => {
                    let folded = fold(ctx, id, &Until::Revision(revision), passed_over).await?;
                    folded.ok_or_else(|| internal(ctx, &Missing { id }))?
                }
            };
            let order = order.with_quarantine(row.quarantined);
            Ok::<_, Error>((row, order))
        }
    });
    stream::iter(orders).buffered(AT_ONCE).try_collect().await
}

/// The events that are passed over in the streams of those that have to be folded.
async fn passed_over(
    ctx: &Context<'_>,
    orders: &[(OrderThen, Option<PlacedOrder>)],
) -> Result<HashMap<Uuid, Vec<u64>>, Error> {
    let ids = orders.iter().filter(|(_, placed)| placed.is_none()).map(|(row, _)| row.id);
    let ids: Vec<Uuid> = ids.collect();
    let mut passed_over: HashMap<Uuid, Vec<u64>> = HashMap::new();
    if ids.is_empty() {
        return Ok(passed_over);
    }
    let skipped = Services::of(ctx).reader.skipped_events_of(&ids).await;
    for (id, revision) in skipped.map_err(|cause| read_error(ctx, &cause))? {
        passed_over.entry(id).or_default().push(revision.unsigned_abs());
    }
    Ok(passed_over)
}

#[derive(Debug, thiserror::Error)]
#[error("order {id} is in the read model, but its stream is empty")]
struct Missing {
    id: OrderId,
}

/// How far the past goes, both ends included.
enum Until {
    Revision(u64),
    Time(DateTime<Utc>),
}

impl Until {
    fn read(as_of: AsOfInput) -> Result<Self, Error> {
        match as_of {
            AsOfInput::Revision(revision) => u64::try_from(revision)
                .map(Self::Revision)
                .map_err(|_| error(Code::BadRequest, "a revision is counted from 0")),
            AsOfInput::Time(time) => Ok(Self::Time(time)),
        }
    }

    fn includes(&self, event: &Recorded) -> bool {
        match self {
            Self::Revision(revision) => event.revision <= *revision,
            Self::Time(time) => event.metadata.recorded_at <= *time,
        }
    }

    /// Whether nothing behind an event that is not included can be. `last` is the last one that was.
    fn is_final(&self, last: Option<&Recorded>) -> bool {
        match self {
            Self::Revision(_) => true,
            // Nothing is known of an order before it is known that it was placed.
            Self::Time(_) => last.is_none(),
        }
    }
}

/// Goes through the stream of an order, event by event. The order is folded only where it is asked
/// for, and in place.
pub(super) struct Walk<'a> {
    ctx: &'a Context<'a>,
    events: journal::EventStream,
    state: OrderState,
    seen: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(ctx: &'a Context<'a>, id: OrderId) -> Self {
        let stream = stream_of::<domain_order::Order>(&id);
        let events = Services::of(ctx).journal.read(&stream, 0);
        Self { ctx, events, state: domain_order::Order::initial(), seen: 0 }
    }

    /// The next event, which the order does not know of yet.
    pub(super) async fn next(&mut self) -> Result<Option<Recorded>, Error> {
        self.seen += 1;
        if self.seen.is_multiple_of(IN_ONE_GO) {
            tokio::task::yield_now().await;
        }
        self.events.try_next().await.map_err(|cause| store_error(self.ctx, &cause))
    }

    /// Moves the order on.
    pub(super) fn apply(&mut self, event: &Recorded) -> Result<(), Error> {
        let said: domain_order::OrderEvent =
            event.decode().map_err(|cause| internal(self.ctx, &cause))?;
        let before = mem::replace(&mut self.state, domain_order::Order::initial());
        self.state = domain_order::Order::evolve(before, &said);
        Ok(())
    }

    /// The order after what was applied so far.
    pub(super) fn order(&self) -> Option<&PlacedOrder> {
        self.state.placed()
    }
}
