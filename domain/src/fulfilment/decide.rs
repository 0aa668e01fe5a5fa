//! What may be recorded, and when it changes nothing.

use super::event::{
    FulfilmentCancellationRequested, FulfilmentEvent, FulfilmentFinished, FulfilmentStepCompleted,
    FulfilmentStepFailed, FulfilmentStepParked, FulfilmentStepRefused, FulfilmentStepResumed,
};
use super::plan::Step;
use super::state::{FulfilmentState, Phase, Progress, evolve, phase};
use super::{FulfilmentCommand, FulfilmentRejection};
use crate::order::CancelReason;

type Decision = Result<Vec<FulfilmentEvent>, FulfilmentRejection>;

pub(super) fn decide(state: &FulfilmentState, command: &FulfilmentCommand) -> Decision {
    let progress = match (state, command) {
        (FulfilmentState::NotStarted, FulfilmentCommand::Start(started)) => {
            return Ok(vec![FulfilmentEvent::Started(started.clone())]);
        }
        (FulfilmentState::NotStarted, _) => return Err(FulfilmentRejection::NotStarted),
        // Late news of a process that is over changes nothing.
        (FulfilmentState::Finished(_), _) => return Ok(vec![]),
        (FulfilmentState::Running(progress), _) => progress,
    };
    let events = match command {
        FulfilmentCommand::Start(_) => vec![],
        FulfilmentCommand::RequestCancellation { reason } => {
            // Whoever gives up waiting for a payment may not have heard that it has come.
            let too_late = *reason == CancelReason::PaymentTimedOut
                && progress.due() != Some(Step::AuthorisePayment);
            if progress.ending.is_some() || progress.is_irrevocable() || too_late {
                return Ok(vec![]);
            }
            let requested = FulfilmentCancellationRequested { reason: *reason };
            vec![FulfilmentEvent::CancellationRequested(requested)]
        }
        FulfilmentCommand::Complete { step } => complete(progress, *step),
        FulfilmentCommand::Refuse { step, refusal } => {
            if progress.ending.is_some() || progress.done.contains(step) {
                return Ok(vec![]);
            }
            let refused = FulfilmentStepRefused { step: *step, refusal: refusal.clone() };
            vec![FulfilmentEvent::StepRefused(refused)]
        }
        FulfilmentCommand::Fail { step, error, retry_at } => {
            if is_told(progress, *step, error, Some(*retry_at)) {
                return Ok(vec![]);
            }
            let attempt = attempts(progress, *step) + 1;
            let (step, error, retry_at) = (*step, error.clone(), *retry_at);
            let failed = FulfilmentStepFailed { step, attempt, error, retry_at };
            vec![FulfilmentEvent::StepFailed(failed)]
        }
        FulfilmentCommand::Park { step, error } => {
            if is_told(progress, *step, error, None) {
                return Ok(vec![]);
            }
            let parked = FulfilmentStepParked { step: *step, error: error.clone() };
            vec![FulfilmentEvent::StepParked(parked)]
        }
        FulfilmentCommand::Resume => match phase(state) {
            Phase::Parked(step) => {
                vec![FulfilmentEvent::StepResumed(FulfilmentStepResumed { step })]
            }
            Phase::NotStarted | Phase::Due(_) | Phase::Waiting { .. } | Phase::Finished(_) => {
                vec![]
            }
        },
    };
    Ok(with_finish(state, events))
}

/// A success is recorded whenever it comes: what has happened has happened, and a step that
/// succeeded late, after the process turned round, has to be undone.
fn complete(progress: &Progress, step: Step) -> Vec<FulfilmentEvent> {
    if progress.done.contains(&step) && progress.due() != Some(step) {
        return vec![];
    }
    vec![FulfilmentEvent::StepCompleted(FulfilmentStepCompleted { step })]
}

/// Whether the step is not due any more, or its trouble is known in these very words.
fn is_told(
    progress: &Progress,
    step: Step,
    error: &str,
    retry_at: Option<chrono::DateTime<chrono::Utc>>,
) -> bool {
    let known = progress.trouble.as_ref().is_some_and(|trouble| {
        trouble.step == step && trouble.error == error && trouble.retry_at == retry_at
    });
    known || progress.due() != Some(step)
}

fn attempts(progress: &Progress, step: Step) -> u32 {
    progress.trouble.as_ref().filter(|trouble| trouble.step == step).map_or(0, |t| t.attempts)
}

/// Adds the end when nothing is left to do, so that the last step and the end are one append.
fn with_finish(state: &FulfilmentState, mut events: Vec<FulfilmentEvent>) -> Vec<FulfilmentEvent> {
    if events.is_empty() {
        return events;
    }
    let after = events.iter().fold(state.clone(), evolve);
    if let Phase::Finished(outcome) = phase(&after) {
        events.push(FulfilmentEvent::Finished(FulfilmentFinished { outcome }));
    }
    events
}
