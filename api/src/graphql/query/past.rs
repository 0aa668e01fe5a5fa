//! Orders as they were: folded from the beginning of their own streams.

use std::collections::HashMap;
use std::mem;
use std::time::Duration;

use async_graphql::{Context, Error};
use chrono::{DateTime, Utc};
use domain::Decider as _;
use domain::ids::OrderId;
use domain::order::{self as domain_order, OrderEvent, OrderState, PlacedOrder};
use futures::{StreamExt, TryStreamExt, stream};
use journal::Recorded;
use projector::read_model::{self, OrderThen};
use schemas::{StreamName, Undecodable, stream_of};
use tokio::time::timeout;
use uuid::Uuid;

use super::order::AsOfInput;
use crate::graphql::error::{Code, error, internal, read_error, store_error};
use crate::graphql::model::Order;
use crate::graphql::request::Services;

/// Events after which others get a turn: what has arrived is gone through without waiting.
const IN_ONE_GO: usize = 8;

/// Streams that are read at the same time for one page.
const AT_ONCE: usize = 16;

/// So long an order waits to hear which of its events are skipped: it is shown without Postgres, too.
const PATIENCE: Duration = Duration::from_millis(500);

/// The order as it was then; `None` when it had not been placed. A revision that it has not reached
/// yet is the order as it is. What is skipped is left out, if Postgres is there to say what that is.
pub(super) async fn order(
    ctx: &Context<'_>,
    id: OrderId,
    as_of: AsOfInput,
) -> Result<Option<Order>, Error> {
    let until = Until::read(as_of)?;
    let skipped = skipped_if_known(ctx, id).await?;
    fold(ctx, id, &until, &skipped).await
}

/// The events of the order that are skipped; none if Postgres is not there to say so.
pub(super) async fn skipped_if_known(ctx: &Context<'_>, id: OrderId) -> Result<Vec<u64>, Error> {
    match timeout(PATIENCE, skipped(ctx, &[id.0])).await {
        Ok(Ok(mut skipped)) => Ok(skipped.remove(&id.0).unwrap_or_default()),
        Ok(Err(read_model::Error::Unavailable(_) | read_model::Error::NotReady(_))) | Err(_) => {
            tracing::warn!(%id, "its past is shown without knowing what is skipped of it");
            Ok(vec![])
        }
        Ok(Err(cause)) => Err(read_error(ctx, &cause)),
    }
}

/// The same, without the events that are skipped. Where an event cannot be understood, the order
/// before it, as quarantined.
async fn fold(
    ctx: &Context<'_>,
    id: OrderId,
    until: &Until,
    skipped: &[u64],
) -> Result<Option<Order>, Error> {
    let mut walk = Walk::new(ctx, id);
    let mut last = None;
    // Recorded later than one behind them: clocks differ a little.
    let mut ahead = vec![];
    let (mut unreadable, mut quarantined) = (false, false);
    while !until.is_before(walk.next) && !quarantined {
        let event = match walk.read().await? {
            Met::Event(event) => *event,
            Met::Unreadable(revision) => {
                unreadable |= !skipped.contains(&revision);
                continue;
            }
            Met::End => break,
        };
        if skipped.contains(&event.revision) {
            continue;
        }
        if until.includes(&event) {
            ahead.push(event);
            for event in ahead.drain(..) {
                // What cannot be read is in the way as soon as there is something behind it.
                quarantined = unreadable || walk.apply(&event).is_err();
                if quarantined {
                    break;
                }
                last = Some(event);
            }
        } else if until.is_final(last.as_ref()) {
            break;
        } else {
            ahead.push(event);
        }
    }
    Ok(last.and_then(|event| {
        let placed = walk.order()?.clone();
        let order = Order::at(id, placed, event.revision, Some(event.metadata.recorded_at));
        Some(order.with_quarantine(quarantined))
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
    let changed = known.iter().filter(|(_, placed)| placed.is_none());
    let changed: Vec<Uuid> = changed.map(|(row, _)| row.id).collect();
    let skipped = skipped(ctx, &changed).await.map_err(|cause| read_error(ctx, &cause))?;
    let orders = known.into_iter().map(|(row, placed)| {
        let skipped = skipped.get(&row.id).map_or(&[][..], Vec::as_slice);
        async move {
            let id = OrderId(row.id);
            let (revision, recorded_at) = (row.then.revision.unsigned_abs(), row.then.recorded_at);
            let order = if let Some(placed) = placed {
                Order::at(id, placed, revision, Some(recorded_at))
            } else {
                let folded = fold(ctx, id, &Until::Revision(revision), skipped).await?;
                folded.ok_or_else(|| internal(ctx, &Missing { id }))?
            };
            let quarantined = row.quarantined || order.is_quarantined();
            let order = order.with_quarantine(quarantined);
            Ok::<_, Error>((row, order))
        }
    });
    stream::iter(orders).buffered(AT_ONCE).try_collect().await
}

/// The events of these orders that are skipped.
async fn skipped(
    ctx: &Context<'_>,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<u64>>, read_model::Error> {
    let mut skipped: HashMap<Uuid, Vec<u64>> = HashMap::new();
    if ids.is_empty() {
        return Ok(skipped);
    }
    for (id, revision) in Services::of(ctx).reader.skipped_events_of(ids).await? {
        skipped.entry(id).or_default().push(revision.unsigned_abs());
    }
    Ok(skipped)
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

    /// Whether the event of this revision, and all behind it, come later.
    fn is_before(&self, revision: u64) -> bool {
        matches!(self, Self::Revision(last) if revision > *last)
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

/// What a walk comes to.
pub(super) enum Met {
    Event(Box<Recorded>),
    /// An event, of this revision, that is not ours. The walk goes on behind it.
    Unreadable(u64),
    End,
}

/// Goes through the stream of an order, event by event. The order is folded only where it is asked
/// for, and in place.
pub(super) struct Walk<'a> {
    ctx: &'a Context<'a>,
    stream: StreamName,
    events: journal::EventStream,
    /// The revision of the event that comes next.
    next: u64,
    state: OrderState,
    seen: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(ctx: &'a Context<'a>, id: OrderId) -> Self {
        let stream = stream_of::<domain_order::Order>(&id);
        let events = Services::of(ctx).journal.read(&stream, 0);
        Self { ctx, stream, events, next: 0, state: domain_order::Order::initial(), seen: 0 }
    }

    async fn try_next(&mut self) -> Result<Option<Recorded>, journal::Error> {
        self.seen += 1;
        if self.seen.is_multiple_of(IN_ONE_GO) {
            tokio::task::yield_now().await;
        }
        let event = self.events.try_next().await?;
        if let Some(event) = &event {
            self.next = event.revision + 1;
        }
        Ok(event)
    }

    /// The next event, which the order does not know of yet. Goes on past what is not ours.
    pub(super) async fn read(&mut self) -> Result<Met, Error> {
        match self.try_next().await {
            Ok(Some(event)) => Ok(Met::Event(Box::new(event))),
            Ok(None) => Ok(Met::End),
            Err(journal::Error::Foreign { revision, .. }) => {
                self.next = revision + 1;
                self.events = Services::of(self.ctx).journal.read(&self.stream, self.next);
                Ok(Met::Unreadable(revision))
            }
            Err(cause) => Err(store_error(self.ctx, &cause)),
        }
    }

    /// Moves the order on, if the event can be understood.
    pub(super) fn apply(&mut self, event: &Recorded) -> Result<(), Undecodable> {
        let said: OrderEvent = event.decode()?;
        let before = mem::replace(&mut self.state, domain_order::Order::initial());
        self.state = domain_order::Order::evolve(before, &said);
        Ok(())
    }

    pub(super) fn stream(&self) -> &StreamName {
        &self.stream
    }

    /// The order after what was applied so far.
    pub(super) fn order(&self) -> Option<&PlacedOrder> {
        self.state.placed()
    }
}
