//! The payment of one order: a ledger of what the gateway did with the customer's money.
//!
//! Commands *record* what the gateway answered; calling it is a process manager's business. The
//! ledger never captures more than was authorised and never refunds more than was captured.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::decider::Decider;
use crate::ids::{OrderId, PartnerReference};
use crate::money::Money;

/// The payment aggregate; its id is a [`PaymentId`](crate::ids::PaymentId).
#[derive(Debug, Clone, Copy)]
pub struct Payment;

/// What can be recorded about a payment.
#[derive(Debug, Clone, PartialEq)]
pub enum PaymentCommand {
    /// The gateway holds the money for us. No-op when that is known.
    RecordAuthorisation {
        /// For which order.
        order: OrderId,
        /// How much is held.
        amount: Money,
        /// How the gateway knows it.
        reference: PartnerReference,
    },
    /// The gateway refused. No-op when that is known.
    RecordDecline {
        /// For which order.
        order: OrderId,
        /// How much was asked for.
        amount: Money,
        /// The gateway's code.
        code: String,
    },
    /// The gateway moved money to us. No-op when this capture is known.
    RecordCapture {
        /// Which capture: the idempotency key it was made under.
        capture: Uuid,
        /// How much.
        amount: Money,
    },
    /// The gateway let go of what it held and had not moved. No-op when nothing is held.
    RecordVoid,
    /// The gateway moved money back. No-op when this refund is known.
    RecordRefund {
        /// Which refund: the idempotency key it was made under.
        refund: Uuid,
        /// How much.
        amount: Money,
    },
    /// The order was paid in another system. No-op when that is known.
    RecordSettlementElsewhere {
        /// Which order.
        order: OrderId,
        /// How much was paid there.
        amount: Money,
        /// How the other system knows it.
        reference: PartnerReference,
    },
}

/// What can have happened to a payment. Stored: see `schemas`.
#[derive(Debug, Clone, PartialEq)]
pub enum PaymentEvent {
    /// The gateway holds the money.
    Authorised(PaymentAuthorised),
    /// The gateway refused.
    Declined(PaymentDeclined),
    /// Money came to us.
    Captured(PaymentCaptured),
    /// What was held and not captured was let go.
    Voided(PaymentVoided),
    /// Money went back.
    Refunded(PaymentRefunded),
    /// It was paid in another system.
    SettledElsewhere(PaymentSettledElsewhere),
}

/// The gateway holds money for us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentAuthorised {
    /// For which order.
    pub order: OrderId,
    /// How much.
    pub amount: Money,
    /// How the gateway knows it.
    pub reference: PartnerReference,
}

/// The gateway refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentDeclined {
    /// For which order.
    pub order: OrderId,
    /// How much was asked for.
    pub amount: Money,
    /// The gateway's code.
    pub code: String,
}

/// Money came to us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentCaptured {
    /// Which capture.
    pub capture: Uuid,
    /// How much.
    pub amount: Money,
}

/// What was held and not captured was let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentVoided {
    /// How much.
    pub amount: Money,
}

/// Money went back to the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentRefunded {
    /// Which refund.
    pub refund: Uuid,
    /// How much.
    pub amount: Money,
}

/// The order was paid in another system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentSettledElsewhere {
    /// Which order.
    pub order: OrderId,
    /// How much was paid there.
    pub amount: Money,
    /// How the other system knows it.
    pub reference: PartnerReference,
}

/// A payment, as later decisions need to know it.
#[derive(Debug, Clone, PartialEq)]
pub enum PaymentState {
    /// Nobody has asked for money.
    Unknown,
    /// The gateway refused.
    Declined {
        /// The gateway's code.
        code: String,
    },
    /// Money is or was held.
    Open(Ledger),
}

/// What was held, moved, let go and moved back. `captured + voided ≤ authorised`,
/// `refunded ≤ captured`.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    /// How the gateway, or the other system, knows the payment.
    pub reference: PartnerReference,
    /// Held at first.
    pub authorised: Money,
    /// Moved to us.
    pub captured: Money,
    /// Let go.
    pub voided: Money,
    /// Moved back.
    pub refunded: Money,
    movements: HashMap<Uuid, Money>,
}

impl Ledger {
    fn new(authorised: Money, reference: PartnerReference) -> Self {
        let zero = Money::zero(authorised.currency);
        let movements = HashMap::new();
        Self { reference, authorised, captured: zero, voided: zero, refunded: zero, movements }
    }

    /// Still held: neither captured nor let go.
    pub const fn held(&self) -> Money {
        let minor = self.authorised.minor - self.captured.minor - self.voided.minor;
        Money::new(minor, self.authorised.currency)
    }

    /// Captured and not moved back.
    pub const fn refundable(&self) -> Money {
        Money::new(self.captured.minor - self.refunded.minor, self.captured.currency)
    }
}

/// The rule that a record about a payment would have broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PaymentRejection {
    /// No money is held.
    #[error("no payment has been authorised")]
    NotAuthorised,
    /// Amounts are above zero.
    #[error("an amount must be above zero, not {amount}")]
    NotPositive {
        /// As given.
        amount: Money,
    },
    /// The payment is in another currency.
    #[error("the payment is in {expected}, not {given}")]
    OtherCurrency {
        /// The payment's.
        expected: crate::money::Currency,
        /// As given.
        given: crate::money::Currency,
    },
    /// Not more is captured than is held.
    #[error("{amount} cannot be captured, {held} are held")]
    OverCapture {
        /// As given.
        amount: Money,
        /// What is held.
        held: Money,
    },
    /// Not more is refunded than was captured.
    #[error("{amount} cannot be refunded, {refundable} can")]
    OverRefund {
        /// As given.
        amount: Money,
        /// Captured and not refunded.
        refundable: Money,
    },
    /// Something else is known about this payment.
    #[error("something else was recorded about this payment before")]
    Contradiction,
}

impl Decider for Payment {
    type State = PaymentState;
    type Command = PaymentCommand;
    type Event = PaymentEvent;
    type Rejection = PaymentRejection;

    fn initial() -> PaymentState {
        PaymentState::Unknown
    }

    fn evolve(mut state: PaymentState, event: &PaymentEvent) -> PaymentState {
        match event {
            PaymentEvent::Authorised(authorised) => {
                let reference = authorised.reference.clone();
                return PaymentState::Open(Ledger::new(authorised.amount, reference));
            }
            PaymentEvent::SettledElsewhere(settled) => {
                let mut ledger = Ledger::new(settled.amount, settled.reference.clone());
                ledger.captured = settled.amount;
                return PaymentState::Open(ledger);
            }
            PaymentEvent::Declined(declined) => {
                return PaymentState::Declined { code: declined.code.clone() };
            }
            PaymentEvent::Captured(captured) => {
                if let PaymentState::Open(ledger) = &mut state {
                    ledger.captured.minor += captured.amount.minor;
                    ledger.movements.insert(captured.capture, captured.amount);
                }
            }
            PaymentEvent::Voided(voided) => {
                if let PaymentState::Open(ledger) = &mut state {
                    ledger.voided.minor += voided.amount.minor;
                }
            }
            PaymentEvent::Refunded(refunded) => {
                if let PaymentState::Open(ledger) = &mut state {
                    ledger.refunded.minor += refunded.amount.minor;
                    ledger.movements.insert(refunded.refund, refunded.amount);
                }
            }
        }
        state
    }

    fn decide(
        state: &PaymentState,
        command: &PaymentCommand,
    ) -> Result<Vec<PaymentEvent>, PaymentRejection> {
        match command {
            PaymentCommand::RecordAuthorisation { order, amount, reference } => {
                positive(*amount)?;
                let (order, amount, reference) = (*order, *amount, reference.clone());
                let event = PaymentAuthorised { order, amount, reference };
                open(state, amount, &event.reference.clone(), PaymentEvent::Authorised(event))
            }
            PaymentCommand::RecordSettlementElsewhere { order, amount, reference } => {
                positive(*amount)?;
                let (order, amount, reference) = (*order, *amount, reference.clone());
                let event = PaymentSettledElsewhere { order, amount, reference };
                open(state, amount, &event.reference.clone(), PaymentEvent::SettledElsewhere(event))
            }
            PaymentCommand::RecordDecline { order, amount, code } => match state {
                PaymentState::Unknown => Ok(vec![PaymentEvent::Declined(PaymentDeclined {
                    order: *order,
                    amount: *amount,
                    code: code.clone(),
                })]),
                PaymentState::Declined { .. } => Ok(vec![]),
                PaymentState::Open(_) => Err(PaymentRejection::Contradiction),
            },
            PaymentCommand::RecordCapture { capture, amount } => {
                record_capture(state, *capture, *amount)
            }
            PaymentCommand::RecordVoid => Ok(record_void(state)),
            PaymentCommand::RecordRefund { refund, amount } => {
                record_refund(state, *refund, *amount)
            }
        }
    }
}

type Decision = Result<Vec<PaymentEvent>, PaymentRejection>;

fn open(
    state: &PaymentState,
    amount: Money,
    reference: &PartnerReference,
    event: PaymentEvent,
) -> Decision {
    match state {
        PaymentState::Unknown => Ok(vec![event]),
        PaymentState::Open(ledger)
            if ledger.authorised == amount && ledger.reference == *reference =>
        {
            Ok(vec![])
        }
        PaymentState::Open(_) | PaymentState::Declined { .. } => {
            Err(PaymentRejection::Contradiction)
        }
    }
}

fn record_capture(state: &PaymentState, capture: Uuid, amount: Money) -> Decision {
    let ledger = ledger_for(state, amount)?;
    if is_known(ledger, capture, amount)? {
        return Ok(vec![]);
    }
    let held = ledger.held();
    if amount.minor > held.minor {
        return Err(PaymentRejection::OverCapture { amount, held });
    }
    Ok(vec![PaymentEvent::Captured(PaymentCaptured { capture, amount })])
}

fn record_void(state: &PaymentState) -> Vec<PaymentEvent> {
    match state {
        PaymentState::Open(ledger) if ledger.held().is_positive() => {
            vec![PaymentEvent::Voided(PaymentVoided { amount: ledger.held() })]
        }
        PaymentState::Open(_) | PaymentState::Unknown | PaymentState::Declined { .. } => vec![],
    }
}

fn record_refund(state: &PaymentState, refund: Uuid, amount: Money) -> Decision {
    let ledger = ledger_for(state, amount)?;
    if is_known(ledger, refund, amount)? {
        return Ok(vec![]);
    }
    let refundable = ledger.refundable();
    if amount.minor > refundable.minor {
        return Err(PaymentRejection::OverRefund { amount, refundable });
    }
    Ok(vec![PaymentEvent::Refunded(PaymentRefunded { refund, amount })])
}

fn ledger_for(state: &PaymentState, amount: Money) -> Result<&Ledger, PaymentRejection> {
    let PaymentState::Open(ledger) = state else {
        return Err(PaymentRejection::NotAuthorised);
    };
    positive(amount)?;
    let (expected, given) = (ledger.authorised.currency, amount.currency);
    if expected != given {
        return Err(PaymentRejection::OtherCurrency { expected, given });
    }
    Ok(ledger)
}

fn is_known(ledger: &Ledger, movement: Uuid, amount: Money) -> Result<bool, PaymentRejection> {
    match ledger.movements.get(&movement) {
        None => Ok(false),
        Some(&recorded) if recorded == amount => Ok(true),
        Some(_) => Err(PaymentRejection::Contradiction),
    }
}

fn positive(amount: Money) -> Result<(), PaymentRejection> {
    if amount.is_positive() { Ok(()) } else { Err(PaymentRejection::NotPositive { amount }) }
}
