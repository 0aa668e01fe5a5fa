//! How far a process has come, and what is due next.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::event::{FulfilmentEvent, FulfilmentStarted, Outcome, Refusal};
use super::plan::{Compensation, Step, StepPlan, steps_of};
use super::work::{Kind, Work};
use crate::order::{CancelReason, RejectReason};

/// A process, folded from its events.
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
    /// What it is to do, and for which order.
    pub started: Arc<FulfilmentStarted>,
    /// Steps that are done, in the order in which they were.
    pub done: Vec<Step>,
    /// The step that a partner declined, if one did: it is known to have left nothing behind.
    pub declined: Option<Step>,
    /// Set when the process has turned round: how it is going to end.
    pub ending: Option<Ending>,
    /// What stands in the way of the step that is due.
    pub trouble: Option<Trouble>,
}

/// How a process that has turned round is going to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With what it worked for cancelled.
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
    /// What it is to do.
    pub fn work(&self) -> &Work {
        &self.started.work
    }

    /// The step that is due, forward or back; `None` when nothing is left.
    pub fn due(&self) -> Option<Step> {
        if self.ending.is_some() { self.due_back() } else { self.due_forward() }
    }

    /// When an order that is still not paid has to be given up.
    pub fn payment_deadline(&self) -> Option<DateTime<Utc>> {
        let awaits_payment = self.due() == Some(Step::AuthorisePayment);
        self.work().acceptance()?.payment_deadline.filter(|_| awaits_payment)
    }

    /// Whether there is no way back (any more): what was done, or may have been, cannot be undone.
    pub fn is_irrevocable(&self) -> bool {
        // Delivery is promised, and goods leave, in the order: a step that is merely due will be
        // refused there if it came too late. What has one step may have done it.
        let can_turn_round = match self.work().kind() {
            Kind::Acceptance | Kind::Payment | Kind::Delivery => true,
            Kind::Capture
            | Kind::Void
            | Kind::Refund
            | Kind::Release
            | Kind::Restock
            | Kind::Backorder => false,
        };
        let irrevocable = |plan: &StepPlan| plan.undone_by == Compensation::Irrevocable;
        let is_done = |plan: &StepPlan| self.done.contains(&plan.step);
        let passed = || self.plan().any(|plan| irrevocable(plan) && is_done(plan));
        !can_turn_round || passed() || self.done.contains(&Step::ShipOrder)
    }

    fn plan(&self) -> impl DoubleEndedIterator<Item = &'static StepPlan> {
        let work = self.work();
        steps_of(work.kind()).iter().filter(|plan| (plan.applies)(work))
    }

    fn due_forward(&self) -> Option<Step> {
        self.plan().map(|plan| plan.step).find(|step| !self.done.contains(step))
    }

    /// Undoes from the last step back to the first. The step that was due when the process turned
    /// round may have been under way, so it is undone as well: undoing what never happened is
    /// harmless, leaving it is not. Only what a partner declined is known to have left nothing.
    fn due_back(&self) -> Option<Step> {
        let under_way = self.due_forward();
        self.plan()
            .rev()
            .filter(|plan| self.done.contains(&plan.step) || Some(plan.step) == under_way)
            .filter(|plan| Some(plan.step) != self.declined)
            .find_map(|plan| match plan.undone_by {
                Compensation::By(undo) if !self.is_undone(plan.step, undo) => Some(undo),
                Compensation::By(_) | Compensation::Implied | Compensation::Irrevocable => None,
            })
            .or_else(|| self.due_at_last())
    }

    /// Giving up an order ends with telling it. For the other kinds the order was told first.
    fn due_at_last(&self) -> Option<Step> {
        let is_told = self.done.contains(&Step::CloseOrder);
        (self.work().kind() == Kind::Acceptance && !is_told).then_some(Step::CloseOrder)
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
                started: Arc::new(started.clone()),
                done: vec![],
                declined: None,
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
            let declined = refused.refusal == Refusal::PaymentDeclined;
            progress.declined = declined.then_some(refused.step);
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
        Refusal::ReservationExpired { .. } => Ending::Cancelled(CancelReason::PaymentTimedOut),
        Refusal::OrderCancelled { reason } => Ending::Cancelled(reason),
        Refusal::ShipmentCancelled => Ending::Cancelled(CancelReason::Other),
    }
}
