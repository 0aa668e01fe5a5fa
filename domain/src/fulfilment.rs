//! Fulfilment: what is still to be done for an order, and what has to be undone.
//!
//! The process is a stream of its own, inbox and outbox at once. [`phase`] says what is due; a
//! driver outside this crate does it and records the outcome with one append. A crash at any point
//! is met by folding the stream and doing what is due again: every step is idempotent by a key
//! derived from the process and the step.
//!
//! The whole process is this table. A step is tried only when all steps above it are done:
//!
//! | step             | does                                          | undone by     |
//! |------------------|-----------------------------------------------|---------------|
//! | reserve-stock    | sets every SKU of the order aside             | release-stock |
//! | authorise-payment| has the gateway hold the total                | void-payment  |
//! | confirm-order    | promises delivery                             | close-order   |
//! | book-shipment    | has the carrier come                          | cancel-booking|
//! | ship-order       | closes the order to cancellation              | irrevocable   |
//! | hand-over        | gives the goods to the carrier, off the shelf | irrevocable   |
//! | capture-payment  | has the gateway move the money                | irrevocable   |
//! | await-delivery   | asks the carrier until it has delivered       | irrevocable   |
//! | complete-order   | closes the order                              | irrevocable   |

mod decide;
mod event;
mod plan;
mod state;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use thiserror::Error;

pub use event::{
    FulfilmentCancellationRequested, FulfilmentEvent, FulfilmentFinished, FulfilmentStarted,
    FulfilmentStepCompleted, FulfilmentStepFailed, FulfilmentStepParked, FulfilmentStepRefused,
    FulfilmentStepResumed, Outcome, Refusal, Reservation,
};
pub use plan::{Compensation, STEPS, Step, StepPlan};
pub use state::{Ending, FulfilmentState, Phase, Progress, Trouble, phase};

use crate::decider::Decider;
use crate::order::CancelReason;

/// The fulfilment process; its id is the [`OrderId`](crate::ids::OrderId).
#[derive(Debug, Clone, Copy)]
pub struct Fulfilment;

/// What can be recorded about a fulfilment process.
#[derive(Debug, Clone, PartialEq)]
pub enum FulfilmentCommand {
    /// Begin. No-op when it has begun.
    Start(FulfilmentStarted),
    /// The order is to be given up. No-op when it is being given up, or its goods have left.
    RequestCancellation {
        /// Why.
        reason: CancelReason,
    },
    /// A step is done. No-op when that is known.
    Complete {
        /// Which one.
        step: Step,
    },
    /// A step was refused for good: the process turns round. No-op when it has turned round.
    Refuse {
        /// Which one.
        step: Step,
        /// Why.
        refusal: Refusal,
    },
    /// A try of a step failed, and will be repeated. No-op when the step is not due any more.
    Fail {
        /// Which one.
        step: Step,
        /// What went wrong, for an operator.
        error: String,
        /// When the next try is due.
        retry_at: DateTime<Utc>,
    },
    /// A step failed too often and waits for an operator. No-op when it waits or is not due.
    Park {
        /// Which one.
        step: Step,
        /// What went wrong last.
        error: String,
    },
    /// An operator wants a parked step tried again. No-op when nothing is parked.
    Resume,
}

/// The rule that a record about a fulfilment process would have broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FulfilmentRejection {
    /// There is no such process.
    #[error("there is no fulfilment process for this order")]
    NotStarted,
}

impl Decider for Fulfilment {
    type State = FulfilmentState;
    type Command = FulfilmentCommand;
    type Event = FulfilmentEvent;
    type Rejection = FulfilmentRejection;

    fn initial() -> FulfilmentState {
        FulfilmentState::NotStarted
    }

    fn evolve(state: FulfilmentState, event: &FulfilmentEvent) -> FulfilmentState {
        state::evolve(state, event)
    }

    fn decide(
        state: &FulfilmentState,
        command: &FulfilmentCommand,
    ) -> Result<Vec<FulfilmentEvent>, FulfilmentRejection> {
        decide::decide(state, command)
    }

    fn opens_stream(command: &FulfilmentCommand) -> bool {
        matches!(command, FulfilmentCommand::Start(_))
    }
}
