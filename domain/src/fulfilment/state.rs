//! How far a process has come, and what is due next.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::event::{FulfilmentEvent, FulfilmentStarted, Outcome, Refusal};
use super::plan::{Compensation, STEPS, Step};
use crate::order::{CancelReason, RejectReason};

/// A fulfilment process, folded from its events.
#[derive(Debug, Clone, PartialEq)]
pub enum FulfilmentState {
    /// Nobody has begun it.
    NotStarted,
    /// It has begun.
    Running(Progress),
    /// Nothing is left to do.
    Finished(Outcome),
}

/// A process under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// What it is to fulfil.
    pub order: Arc<FulfilmentStarted>,
    /// Steps that are done, in the order in which they were.
    pub done: Vec<Step>,
    /// The step that was refused, if one was.
    pub refused: Option<Step>,
    /// Set when the process has turned round: how it is going to end.
    pub ending: Option<Ending>,
    /// What stands in the way of the step that is due.
    pub trouble: Option<Trouble>,
}

/// How a process that has turned round is going to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With a cancelled order.
    Cancelled(CancelReason),
    /// With a rejected order.
    Rejected(RejectReason),
}

/// What stands in the way of the step that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Which step.
    pub step: Step,
    /// Tries so far.
    pub attempts: u32,
    /// What went wrong last.
    pub error: String,
    /// When the next try is due; `None` when it waits for an operator.
    pub retry_at: Option<DateTime<Utc>>,
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Nothing: nobody has begun.
    NotStarted,
    /// This step.
    Due(Step),
    /// This step, but not before a time.
    Waiting {
        /// Which one.
        step: Step,
        /// When.
        until: DateTime<Utc>,
    },
    /// This step, once an operator says so.
    Parked(Step),
    /// Nothing any more.
    Finished(Outcome),
}

/// What is due in `state`: the one function that a driver has to ask.
pub fn phase(state: &FulfilmentState) -> Phase {
    let progress = match state {
        FulfilmentState::NotStarted => return Phase::NotStarted,
        FulfilmentState::Finished(outcome) => return Phase::Finished(*outcome),
        FulfilmentState::Running(progress) => progress,
    };
    let Some(step) = progress.due() else { return Phase::Finished(progress.outcome()) };
    match progress.trouble.as_ref().filter(|trouble| trouble.step == step) {
        None => Phase::Due(step),
        Some(Trouble { retry_at: Some(until), .. }) => Phase::Waiting { step, until: *until },
        Some(Trouble { retry_at: None, .. }) => Phase::Parked(step),
    }
}

impl Progress {
    /// The step that is due, forward or back; `None` when nothing is left.
    pub fn due(&self) -> Option<Step> {
        if self.ending.is_some() { self.due_back() } else { self.due_forward() }
    }

    /// When an order that is still not paid has to be given up.
    pub fn payment_deadline(&self) -> Option<DateTime<Utc>> {
        let awaits_payment = self.due() == Some(Step::AuthorisePayment);
        self.order.payment_deadline.filter(|_| awaits_payment)
    }

    /// Whether the goods may have left, so that there is no way back.
    pub fn is_irrevocable(&self) -> bool {
        self.done.contains(&Step::ShipOrder)
    }

    fn due_forward(&self) -> Option<Step> {
        STEPS
            .iter()
            .filter(|plan| (plan.applies)(&self.order))
            .map(|plan| plan.step)
            .find(|step| !self.done.contains(step))
    }

    /// Undoes from the last step back to the first. The step that was due when the process turned
    /// round may have been under way, so it is undone as well: undoing what never happened is
    /// harmless, leaving it is not. Only a refusal is known to have left nothing behind, except
    /// that of a reservation, where other SKUs may have been set aside before.
    fn due_back(&self) -> Option<Step> {
        let under_way = self.due_forward();
        let clean = self.refused.filter(|&step| step != Step::ReserveStock);
        STEPS
            .iter()
            .rev()
            .filter(|plan| self.done.contains(&plan.step) || Some(plan.step) == under_way)
            .filter(|plan| Some(plan.step) != clean)
            .find_map(|plan| match plan.undone_by {
                Compensation::By(undo) if !self.is_undone(plan.step, undo) => Some(undo),
                Compensation::By(_) | Compensation::ByClosing | Compensation::Irrevocable => None,
            })
            .or_else(|| (!self.done.contains(&Step::CloseOrder)).then_some(Step::CloseOrder))
    }

    /// Whether `undo` was done, and `step` not once more after it: a success that comes late has
    /// to be undone as well.
    fn is_undone(&self, step: Step, undo: Step) -> bool {
        let last = |wanted| self.done.iter().rposition(|&done| done == wanted);
        last(undo).is_some_and(|undone| last(step).is_none_or(|done| done < undone))
    }

    fn outcome(&self) -> Outcome {
        match self.ending {
            None => Outcome::Fulfilled,
            Some(Ending::Cancelled(_)) => Outcome::Cancelled,
            Some(Ending::Rejected(_)) => Outcome::Rejected,
        }
    }
}

pub(super) fn evolve(state: FulfilmentState, event: &FulfilmentEvent) -> FulfilmentState {
    let mut progress = match (state, event) {
        (_, FulfilmentEvent::Started(started)) => {
            return FulfilmentState::Running(Progress {
                order: Arc::new(started.clone()),
                done: vec![],
                refused: None,
                ending: None,
                trouble: None,
            });
        }
        (_, FulfilmentEvent::Finished(finished)) => {
            return FulfilmentState::Finished(finished.outcome);
        }
        (FulfilmentState::Running(progress), _) => progress,
        (other, _) => return other,
    };
    match event {
        FulfilmentEvent::Started(_) | FulfilmentEvent::Finished(_) => {}
        FulfilmentEvent::CancellationRequested(requested) => {
            progress.ending = Some(Ending::Cancelled(requested.reason));
            progress.trouble = None;
        }
        FulfilmentEvent::StepCompleted(completed) => {
            progress.done.push(completed.step);
            progress.trouble = None;
        }
        FulfilmentEvent::StepRefused(refused) => {
            progress.refused = Some(refused.step);
            progress.ending = Some(ending_of(&refused.refusal));
            progress.trouble = None;
        }
        FulfilmentEvent::StepFailed(failed) => {
            progress.trouble = Some(Trouble {
                step: failed.step,
                attempts: failed.attempt,
                error: failed.error.clone(),
                retry_at: Some(failed.retry_at),
            });
        }
        FulfilmentEvent::StepParked(parked) => {
            let attempts = progress.trouble.as_ref().map_or(0, |trouble| trouble.attempts);
            let (step, error) = (parked.step, parked.error.clone());
            progress.trouble = Some(Trouble { step, attempts, error, retry_at: None });
        }
        FulfilmentEvent::StepResumed(_) => progress.trouble = None,
    }
    FulfilmentState::Running(progress)
}

fn ending_of(refusal: &Refusal) -> Ending {
    match refusal.clone() {
        Refusal::InsufficientStock { sku, requested, available } => {
            Ending::Rejected(RejectReason::InsufficientStock { sku, requested, available })
        }
        Refusal::UnknownSku { sku } => Ending::Rejected(RejectReason::UnknownSku { sku }),
        Refusal::PaymentDeclined => Ending::Cancelled(CancelReason::PaymentDeclined),
        Refusal::OrderCancelled { reason } => Ending::Cancelled(reason),
    }
}
