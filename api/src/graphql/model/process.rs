//! The fulfilment process of an order, as the schema shows it.

use async_graphql::{Enum, SimpleObject};
use chrono::{DateTime, Utc};
use domain::fulfilment::{FulfilmentState, Outcome, Phase, phase};
use domain::ids::OrderId;
use journal::Executed;
use projector::read_model::ProcessRow;
use uuid::Uuid;

use super::small;

/// What a fulfilment process is doing.
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

/// How a fulfilment process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::ProcessOutcome")]
pub(crate) enum ProcessOutcome {
    /// The customer has the goods and we have the money.
    Fulfilled,
    /// Given up; everything is undone.
    Cancelled,
    /// Could not be supplied; everything is undone.
    Rejected,
}

/// The process that takes an order through stock, payment and shipment, and undoes what it did
/// when that fails.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Process {
    /// The order it fulfils.
    order_id: Uuid,
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
            order_id: row.order_id,
            status: row.status.into(),
            step: row.step,
            unwinding: row.unwinding,
            attempts: small(row.attempts),
            error: row.error,
            next_attempt_at: row.next_attempt_at,
            outcome: row.outcome.map(Into::into),
            payment_deadline: row.payment_deadline,
            started_at: Some(row.started_at),
            updated_at: Some(row.updated_at),
            revision: small(row.revision),
            quarantined: row.quarantined,
        }
    }
}

impl Process {
    /// The process as a command left it; `None` when there is none.
    pub(crate) fn executed(
        id: OrderId,
        executed: &Executed<domain::fulfilment::Fulfilment>,
    ) -> Option<Self> {
        let (status, step, outcome) = match phase(&executed.state) {
            Phase::NotStarted => return None,
            Phase::Due(step) => (ProcessStatus::Running, Some(step), None),
            Phase::Waiting { step, .. } => (ProcessStatus::Waiting, Some(step), None),
            Phase::Parked(step) => (ProcessStatus::Parked, Some(step), None),
            Phase::Finished(outcome) => (ProcessStatus::Finished, None, Some(outcome.into())),
        };
        let progress = match &*executed.state {
            FulfilmentState::Running(progress) => Some(progress),
            FulfilmentState::NotStarted | FulfilmentState::Finished(_) => None,
        };
        let trouble = progress.and_then(|progress| progress.trouble.as_ref());
        Some(Self {
            order_id: id.0,
            status,
            step: step.map(|step| step.name().to_owned()),
            unwinding: progress.is_some_and(|progress| progress.ending.is_some()),
            attempts: trouble.map_or(0, |trouble| small(trouble.attempts)),
            error: trouble.map(|trouble| trouble.error.clone()),
            next_attempt_at: trouble.and_then(|trouble| trouble.retry_at),
            outcome,
            payment_deadline: progress.and_then(domain::fulfilment::Progress::payment_deadline),
            started_at: None,
            updated_at: None,
            revision: small(executed.revision),
            quarantined: false,
        })
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
