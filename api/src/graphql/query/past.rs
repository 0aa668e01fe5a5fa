//! An order as it was: folded from the beginning of its own stream.

use std::mem;

use async_graphql::{Context, Error};
use chrono::{DateTime, Utc};
use domain::Decider as _;
use domain::ids::OrderId;
use domain::order::{self as domain_order, OrderState, PlacedOrder};
use futures::TryStreamExt;
use journal::Recorded;
use schemas::stream_of;

use super::order::AsOfInput;
use crate::graphql::error::{Code, error, internal, store_error};
use crate::graphql::model::Order;
use crate::graphql::request::Services;

/// Events after which others get a turn: what has arrived is gone through without waiting.
const IN_ONE_GO: usize = 8;

/// The order as it was then; `None` when it had not been placed. A revision that it has not reached
/// yet is the order as it is.
pub(super) async fn order(
    ctx: &Context<'_>,
    id: OrderId,
    as_of: AsOfInput,
) -> Result<Option<Order>, Error> {
    let until = Until::read(as_of)?;
    let mut walk = Walk::new(ctx, id);
    let mut last = None;
    while let Some(event) = walk.next().await? {
        if !until.includes(&event) {
            break;
        }
        walk.apply(&event)?;
        last = Some(event);
    }
    Ok(last.and_then(|event| {
        let placed = walk.order()?.clone();
        Some(Order::at(id, placed, event.revision, Some(event.metadata.recorded_at)))
    }))
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
