//! One payment of an order: a ledger of what the gateway did with the customer's money.
//!
//! An order may have several payments, and each is a stream of its own. Commands *record* what the
//! gateway answered; calling it is a process manager's business. A gateway may think about anything
//! for hours, so every movement of money has a pending twin, and the twins count: never more is
//! captured than was authorised, never more is refunded than was captured.

mod command;
mod decide;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;

pub use command::PaymentCommand;
pub use error::PaymentRejection;
pub use event::{
    PaymentAuthorisationPending, PaymentAuthorised, PaymentCaptureFailed, PaymentCapturePending,
    PaymentCaptured, PaymentChargedBack, PaymentDeclined, PaymentEvent, PaymentExpired,
    PaymentPaidManually, PaymentRefundFailed, PaymentRefundPending, PaymentRefunded,
    PaymentSettledElsewhere, PaymentVoidPending, PaymentVoided,
};
pub use state::{Ledger, MovementState, PaymentState};

use crate::decider::Decider;

/// The payment aggregate; its id is a [`PaymentId`](crate::ids::PaymentId).
#[derive(Debug, Clone, Copy)]
pub struct Payment;

impl Decider for Payment {
    type State = PaymentState;
    type Command = PaymentCommand;
    type Event = PaymentEvent;
    type Rejection = PaymentRejection;

    fn initial() -> PaymentState {
        PaymentState::Unknown
    }

    fn evolve(state: PaymentState, event: &PaymentEvent) -> PaymentState {
        state::evolve(state, event)
    }

    fn decide(
        state: &PaymentState,
        command: &PaymentCommand,
    ) -> Result<Vec<PaymentEvent>, PaymentRejection> {
        decide::decide(state, command)
    }
}
