//! Processes, as the schema shows them.

use async_graphql::{ComplexObject, Context, Enum, Error, SimpleObject};
use chrono::{DateTime, Utc};
use domain::fulfilment::{FulfilmentState, Outcome, Phase, phase};
use domain::ids::{OrderId, PaymentId, ProcessId};
use journal::Executed;
use projector::read_model::{PaymentRow, ProcessRow};
use uuid::Uuid;

use super::small;
use crate::graphql::loaders::Loaders;
use crate::graphql::request::Services;

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::ProcessStatus")]
pub(crate) enum ProcessStatus {
    /// Its step is due now.
    Running,
    /// Its step failed and is due again at a later time.
    Waiting,
    /// Its step failed too often and waits for an operator: see `fulfilmentResume`.
    Parked,
    /// Nothing is left to do.
    Finished,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::ProcessKind")]
pub(crate) enum ProcessKind {
    /// Sets goods aside, has money held and promises delivery; then watches the money that is held.
    Acceptance,
    /// Has money held by another payment.
    Payment,
    /// Brings a shipment to the customer.
    Delivery,
    /// Moves money to us.
    Capture,
    /// Lets go of held money.
    Void,
    /// Moves money back to the customer.
    Refund,
    /// Gives back the stock of cancelled units.
    Release,
    /// Puts goods that came back onto the shelf.
    Restock,
    /// Tells an order that goods have come that it awaited.
    Backorder,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::ProcessOutcome")]
pub(crate) enum ProcessOutcome {
    /// What it was to do is done, or a partner refused it for good and the order says so.
    Fulfilled,
    /// Given up; everything is undone.
    Cancelled,
    /// The order could not be supplied; everything is undone.
    Rejected,
}

/// Something that is done for an order: its acceptance (stock, payment, confirmation), a delivery, a
/// capture, a refund. It is tried again when it fails, and undone where it can be.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Process {
    /// Its id; the order's own for an acceptance.
    id: Uuid,
    /// The order it works for.
    order_id: Uuid,
    /// What it does.
    kind: ProcessKind,
    /// What it is doing.
    status: ProcessStatus,
    /// The step that is due, such as `reserve-stock`; none when it has finished.
    step: Option<String>,
    /// Whether it has turned round and is undoing what it did.
    unwinding: bool,
    /// Tries of the step that have failed so far.
    attempts: i32,
    /// What went wrong last with the step.
    error: Option<String>,
    /// When the step is tried again, if it is waiting.
    next_attempt_at: Option<DateTime<Utc>>,
    /// How it ended, if it has finished.
    outcome: Option<ProcessOutcome>,
    /// When the order is given up if it is not paid by then; none once it is paid.
    payment_deadline: Option<DateTime<Utc>>,
    /// When something happens next by itself: the earlier of `nextAttemptAt` and `paymentDeadline`.
    /// The end of an authorisation that is being watched is not in it, nor in filters and orders by
    /// it: see `authorisationEndsAt`.
    next_deadline_at: Option<DateTime<Utc>>,
    /// When its first event was recorded; not known to a mutation.
    started_at: Option<DateTime<Utc>>,
    /// When its last event was recorded; not known to a mutation.
    updated_at: Option<DateTime<Utc>>,
    /// Number of its last event, from 0.
    revision: i32,
    /// Whether a later event could not be understood: what is here is right, but may be out of date.
    quarantined: bool,
}

impl From<ProcessRow> for Process {
    fn from(row: ProcessRow) -> Self {
        Self {
            id: row.id,
            order_id: row.order_id,
            kind: row.kind.into(),
            status: row.status.into(),
            step: row.step,
            unwinding: row.unwinding,
            attempts: small(row.attempts),
            error: row.error,
            next_attempt_at: row.next_attempt_at,
            outcome: row.outcome.map(Into::into),
            payment_deadline: row.payment_deadline,
            next_deadline_at: row.next_deadline_at,
            started_at: Some(row.started_at),
            updated_at: Some(row.updated_at),
            revision: small(row.revision),
            quarantined: row.quarantined,
        }
    }
}

impl Process {
    /// The process as a command left it; `None` when there is none, or nothing is left to do.
    pub(crate) fn executed(
        id: ProcessId,
        executed: &Executed<domain::fulfilment::Fulfilment>,
    ) -> Option<Self> {
        let (status, step) = match phase(&executed.state) {
            Phase::NotStarted | Phase::Finished(_) => return None,
            Phase::Due(step) => (ProcessStatus::Running, step),
            Phase::Waiting { step, .. } => (ProcessStatus::Waiting, step),
            Phase::Parked(step) => (ProcessStatus::Parked, step),
        };
        let progress = match &*executed.state {
            FulfilmentState::Running(progress) => progress,
            FulfilmentState::NotStarted | FulfilmentState::Finished(_) => return None,
        };
        let trouble = progress.trouble.as_ref();
        let next_attempt_at = trouble.and_then(|trouble| trouble.retry_at);
        let payment_deadline = progress.payment_deadline();
        Some(Self {
            id: id.0,
            order_id: progress.started.order.map_or(id.0, |order| order.0),
            kind: projector::read_model::ProcessKind::from(progress.started.work.kind()).into(),
            status,
            step: Some(step.name().to_owned()),
            unwinding: progress.ending.is_some(),
            attempts: trouble.map_or(0, |trouble| small(trouble.attempts)),
            error: trouble.map(|trouble| trouble.error.clone()),
            next_attempt_at,
            outcome: None,
            payment_deadline,
            next_deadline_at: [next_attempt_at, payment_deadline].into_iter().flatten().min(),
            started_at: None,
            updated_at: None,
            revision: small(executed.revision),
            quarantined: false,
        })
    }
}

#[ComplexObject]
impl Process {
    /// Whether its `nextDeadlineAt` is over. For a moment that is nothing special; for longer it means
    /// that nobody drives it.
    async fn overdue(&self, ctx: &Context<'_>) -> bool {
        self.next_deadline_at.is_some_and(|deadline| deadline < Services::of(ctx).now())
    }

    /// Until when the gateway holds the money that this process watches, if it said so. When that is
    /// over, the process says so to the payment and the order. None where nothing is held (any more),
    /// and for processes that watch none.
    async fn authorisation_ends_at(
        &self,
        ctx: &Context<'_>,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        let order = OrderId(self.order_id);
        if self.status == ProcessStatus::Finished {
            return Ok(None);
        }
        let payment = match self.kind {
            ProcessKind::Acceptance => PaymentId::of(order),
            ProcessKind::Payment => PaymentId(self.id),
            ProcessKind::Delivery
            | ProcessKind::Capture
            | ProcessKind::Void
            | ProcessKind::Refund
            | ProcessKind::Release
            | ProcessKind::Restock
            | ProcessKind::Backorder => return Ok(None),
        };
        let payments = Loaders::of(ctx).payments(ctx, order.0).await?;
        let watched = payments.into_iter().find(|row| row.id == payment.0);
        let is_held = |row: &PaymentRow| {
            !row.expired && row.authorised_minor > row.captured_minor + row.voided_minor
        };
        Ok(watched.filter(is_held).and_then(|row| row.expires_at))
    }
}

impl From<Outcome> for ProcessOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Fulfilled => Self::Fulfilled,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Rejected => Self::Rejected,
        }
    }
}
