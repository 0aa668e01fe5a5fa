//! An order as it was: folded from the beginning of its own stream.

use async_graphql::{Context, Error};
use chrono::{DateTime, Utc};
use domain::Decider as _;
use domain::ids::OrderId;
use domain::order::{self as domain_order, OrderState};
use futures::TryStreamExt;
use journal::Recorded;
use schemas::stream_of;

use super::order::AsOfInput;
use crate::graphql::error::{Code, error, internal, store_error};
use crate::graphql::model::Order;
use crate::graphql::request::Services;

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
    while let Some(step) = walk.next().await? {
        if !until.includes(&step.event) {
            break;
        }
        last = Some((step.after, step.event));
    }
    Ok(last.and_then(|(state, event)| {
        let placed = state.placed()?.clone();
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

/// One event of an order, with what it led to.
pub(super) struct Step {
    pub(super) event: Recorded,
    pub(super) before: OrderState,
    pub(super) after: OrderState,
}

/// Goes through the stream of an order, event by event.
pub(super) struct Walk<'a> {
    ctx: &'a Context<'a>,
    events: journal::EventStream,
    state: OrderState,
}

impl<'a> Walk<'a> {
    pub(super) fn new(ctx: &'a Context<'a>, id: OrderId) -> Self {
        let stream = stream_of::<domain_order::Order>(&id);
        let events = Services::of(ctx).journal.read(&stream, 0);
        Self { ctx, events, state: domain_order::Order::initial() }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Step>, Error> {
        let event = self.events.try_next().await;
        let Some(event) = event.map_err(|cause| store_error(self.ctx, &cause))? else {
            return Ok(None);
        };
        let said: domain_order::OrderEvent =
            event.decode().map_err(|cause| internal(self.ctx, &cause))?;
        let before = self.state.clone();
        self.state = domain_order::Order::evolve(before.clone(), &said);
        Ok(Some(Step { event, before, after: self.state.clone() }))
    }
}
