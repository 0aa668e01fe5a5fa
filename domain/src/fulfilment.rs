//! Processes: what is still to be done for an order, and what has to be undone.
//!
//! An order's event asks for something, a process does it, and the order records what came of it.
//! A process is a stream of its own, inbox and outbox at once. [`phase`] says what is due; a driver
//! outside this crate does it and records the outcome with one append. A crash at any point is met
//! by folding the stream and doing what is due again: every step is idempotent by a key derived from
//! the process and the step.
//!
//! A process is of one [`Kind`], which is one of the tables below. A step is tried only when all
//! steps above it are done.
//!
//! **acceptance** of an order, asked for by `order-placed`; the process has the order's id:
//!
//! | step                | does                                                | undone by     |
//! |---------------------|-----------------------------------------------------|---------------|
//! | reserve-stock       | sets every SKU aside, tells the order what was found| release-stock |
//! | authorise-payment   | has the gateway hold what is to be paid, or waits until it is paid by hand | void-payment |
//! | commit-stock        | makes what was set aside permanent                  | release-stock |
//! | confirm-order       | promises delivery                                   | irrevocable   |
//! | watch-authorisation | waits until the gateway holds nothing any more, and says so when time ran out | irrevocable |
//!
//! Giving up an order ends with close-order, which tells it. Once delivery is promised the order
//! itself asks for what is to be undone: shipments are cancelled, goods released, money let go or
//! moved back, each by a process of its own.
//!
//! **payment** of an order besides the one that it was placed with, asked for by
//! `order-payment-requested`; it has the payment's id:
//!
//! | step                | does                                                | undone by     |
//! |---------------------|-----------------------------------------------------|---------------|
//! | authorise-payment   | has the gateway hold the amount                     | void-payment  |
//! | watch-authorisation | waits until the gateway holds nothing any more, and says so when time ran out | irrevocable |
//!
//! **delivery** of a shipment, asked for by `order-shipment-requested`; it has the shipment's id:
//!
//! | step            | does                                                        | undone by      |
//! |-----------------|-------------------------------------------------------------|----------------|
//! | book-shipment   | has our carrier come, once the shipment may leave           | cancel-booking |
//! | dispatch-order  | closes the shipment to cancellation                         | irrevocable    |
//! | hand-over       | gives the goods to the carrier, off the shelf               | irrevocable    |
//! | await-delivery  | asks the carrier until it has delivered, tells the order    | irrevocable    |
//!
//! The other kinds have one irrevocable step each. Those that move money tell the order what came of
//! it:
//!
//! | kind      | asked for by              | step             | does                                    |
//! |-----------|---------------------------|------------------|-----------------------------------------|
//! | capture   | `order-capture-requested` | capture-payment  | has the gateway move money to us        |
//! | void      | `order-void-requested`    | void-payment     | has the gateway let go of what it holds |
//! | refund    | `order-refund-requested`  | refund-payment   | has the gateway move money back         |
//! | release   | `order-lines-cancelled`   | give-back-stock  | gives back the stock of those units     |
//! | restock   | `order-return-received`   | restock-goods    | puts what came back onto the shelf      |
//! | backorder | `stock-backorder-filled`  | record-backorder | tells the order that goods have come    |

mod decide;
mod event;
mod goods;
mod plan;
mod state;
#[cfg(test)]
mod tests;
mod work;

use chrono::{DateTime, Utc};
use thiserror::Error;

pub use event::{
    FulfilmentCancellationRequested, FulfilmentEvent, FulfilmentFinished, FulfilmentStarted,
    FulfilmentStepCompleted, FulfilmentStepFailed, FulfilmentStepParked, FulfilmentStepRefused,
    FulfilmentStepResumed, Outcome, Refusal,
};
pub use goods::{LocatedGoods, ReleasedGoods, goods_of, goods_released, goods_restocked};
pub use plan::{Compensation, Step, StepPlan, steps_of};
pub use state::{Ending, FulfilmentState, Phase, Progress, Trouble, phase};
pub use work::{AcceptanceWork, DeliveryWork, Goods, Kind, Work, asked_by_stock, asked_for};

use crate::decider::Decider;
use crate::order::CancelReason;

/// A process; its id is a [`ProcessId`](crate::ids::ProcessId).
#[derive(Debug, Clone, Copy)]
pub struct Fulfilment;

/// What can be recorded about a process.
#[derive(Debug, Clone, PartialEq)]
pub enum FulfilmentCommand {
    /// Begin. No-op when it has begun.
    Start(FulfilmentStarted),
    /// What it works for is given up. No-op when it is being given up, or there is no way back.
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

/// The rule that a record about a process would have broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FulfilmentRejection {
    /// There is no such process.
    #[error("there is no such process")]
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
