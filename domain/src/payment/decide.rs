//! The rule book of payments.

use super::command::PaymentCommand;
use super::error::PaymentRejection;
use super::event::{
    PaymentAuthorisationPending, PaymentAuthorised, PaymentCaptureFailed, PaymentCapturePending,
    PaymentCaptured, PaymentChargedBack, PaymentDeclined, PaymentEvent, PaymentExpired,
    PaymentPaidManually, PaymentRefundFailed, PaymentRefundPending, PaymentRefunded,
    PaymentSettledElsewhere, PaymentVoidPending, PaymentVoided,
};
use super::state::{Ledger, Movement, MovementState, PaymentState};
use crate::ids::{CaptureId, PartnerReference, RefundId};
use crate::money::Money;

type Decision = Result<Vec<PaymentEvent>, PaymentRejection>;

pub(super) fn decide(state: &PaymentState, command: &PaymentCommand) -> Decision {
    match command {
        PaymentCommand::RecordAuthorisationPending { order, amount, reference } => {
            let (order, amount, reference) = (*order, *amount, reference.clone());
            let event = PaymentAuthorisationPending { order, amount, reference };
            await_authorisation(state, amount, event)
        }
        PaymentCommand::RecordAuthorisation { order, amount, reference, expires_at } => {
            let (order, amount, expires_at) = (*order, *amount, *expires_at);
            let event =
                PaymentAuthorised { order, amount, reference: reference.clone(), expires_at };
            authorise(state, amount, reference, PaymentEvent::Authorised(event))
        }
        PaymentCommand::RecordDecline { order, amount, code } => {
            let event = PaymentDeclined { order: *order, amount: *amount, code: code.clone() };
            decline(state, event)
        }
        PaymentCommand::RecordCapturePending { capture, amount, is_final } => {
            await_capture(state, *capture, *amount, *is_final)
        }
        PaymentCommand::RecordCapture { capture, amount, is_final } => {
            record_capture(state, *capture, *amount, *is_final)
        }
        PaymentCommand::RecordCaptureFailure { capture, code } => {
            fail_capture(state, *capture, code)
        }
        PaymentCommand::RecordVoidPending => Ok(await_void(state)),
        PaymentCommand::RecordVoid => Ok(record_void(state)),
        PaymentCommand::RecordRefundPending { refund, amount } => {
            await_refund(state, *refund, *amount)
        }
        PaymentCommand::RecordRefund { refund, amount } => record_refund(state, *refund, *amount),
        PaymentCommand::RecordRefundFailure { refund, code } => fail_refund(state, *refund, code),
        PaymentCommand::RecordExpiry => Ok(record_expiry(state)),
        PaymentCommand::RecordChargeback { reference, amount, reason } => {
            charge_back(state, reference, *amount, reason)
        }
        PaymentCommand::RecordSettlementElsewhere { order, amount, reference } => {
            let (order, amount, reference) = (*order, *amount, reference.clone());
            let event = PaymentSettledElsewhere { order, amount, reference: reference.clone() };
            pay(state, amount, &reference, PaymentEvent::SettledElsewhere(event))
        }
        PaymentCommand::RecordManualPayment { order, amount, reference } => {
            let (order, amount, reference) = (*order, *amount, reference.clone());
            let event = PaymentPaidManually { order, amount, reference: reference.clone() };
            pay(state, amount, &reference, PaymentEvent::PaidManually(event))
        }
    }
}

// Opening: a payment is asked for once, and answered once.

fn await_authorisation(
    state: &PaymentState,
    amount: Money,
    event: PaymentAuthorisationPending,
) -> Decision {
    positive(amount)?;
    match state {
        PaymentState::Unknown => Ok(vec![PaymentEvent::AuthorisationPending(event)]),
        PaymentState::Pending { amount: known } if *known != amount => {
            Err(PaymentRejection::Contradiction)
        }
        PaymentState::Pending { .. }
        | PaymentState::Declined { .. }
        | PaymentState::Abandoned
        | PaymentState::Open(_) => Ok(vec![]),
    }
}

fn authorise(
    state: &PaymentState,
    amount: Money,
    reference: &PartnerReference,
    event: PaymentEvent,
) -> Decision {
    positive(amount)?;
    match state {
        // Even when it was abandoned: what happened has happened, and can now be let go again.
        PaymentState::Unknown | PaymentState::Abandoned => Ok(vec![event]),
        PaymentState::Pending { amount: asked } if *asked == amount => Ok(vec![event]),
        PaymentState::Open(ledger) => same(ledger, amount, reference),
        PaymentState::Pending { .. } | PaymentState::Declined { .. } => {
            Err(PaymentRejection::Contradiction)
        }
    }
}

/// No gateway is asked: nothing can be on its way.
fn pay(
    state: &PaymentState,
    amount: Money,
    reference: &PartnerReference,
    event: PaymentEvent,
) -> Decision {
    positive(amount)?;
    match state {
        PaymentState::Unknown => Ok(vec![event]),
        PaymentState::Open(ledger) => same(ledger, amount, reference),
        PaymentState::Pending { .. } | PaymentState::Declined { .. } | PaymentState::Abandoned => {
            Err(PaymentRejection::Contradiction)
        }
    }
}

fn same(ledger: &Ledger, amount: Money, reference: &PartnerReference) -> Decision {
    if ledger.authorised == amount && ledger.reference == *reference {
        return Ok(vec![]);
    }
    Err(PaymentRejection::Contradiction)
}

fn decline(state: &PaymentState, event: PaymentDeclined) -> Decision {
    match state {
        PaymentState::Unknown | PaymentState::Pending { .. } => {
            Ok(vec![PaymentEvent::Declined(event)])
        }
        PaymentState::Declined { .. } | PaymentState::Abandoned => Ok(vec![]),
        PaymentState::Open(_) => Err(PaymentRejection::Contradiction),
    }
}

// Captures: together with what is on its way and what was let go, never more than was authorised.

fn await_capture(
    state: &PaymentState,
    capture: CaptureId,
    amount: Money,
    is_final: bool,
) -> Decision {
    let ledger = ledger_for(state, amount)?;
    if let Some(known) = ledger.known_capture(capture) {
        return known.is_of(amount).map(|()| vec![]);
    }
    can_capture(amount, ledger.unmoved())?;
    let event = PaymentCapturePending { capture, amount, is_final };
    Ok(vec![PaymentEvent::CapturePending(event)])
}

fn record_capture(
    state: &PaymentState,
    capture: CaptureId,
    amount: Money,
    is_final: bool,
) -> Decision {
    let ledger = ledger_for(state, amount)?;
    let known = ledger.known_capture(capture);
    known.map_or(Ok(()), |known| known.is_of(amount))?;
    let before = known.map(|known| known.state);
    let room = match before {
        Some(MovementState::Done) => return Ok(vec![]),
        Some(MovementState::Pending) => sum(ledger.unmoved(), amount),
        Some(MovementState::Failed) | None => ledger.unmoved(),
    };
    can_capture(amount, room)?;
    let mut events = vec![PaymentEvent::Captured(PaymentCaptured { capture, amount, is_final })];
    let rest = Money::new(room.minor - amount.minor, room.currency);
    if is_final && rest.is_positive() && !ledger.expired {
        events.push(PaymentEvent::Voided(PaymentVoided { amount: rest }));
    }
    Ok(events)
}

fn fail_capture(state: &PaymentState, capture: CaptureId, code: &str) -> Decision {
    let ledger = state.ledger().ok_or(PaymentRejection::NotAuthorised)?;
    let known = ledger.known_capture(capture);
    match known.map(|known| known.state) {
        Some(MovementState::Failed) => return Ok(vec![]),
        Some(MovementState::Done) => return Err(PaymentRejection::Contradiction),
        Some(MovementState::Pending) | None => {}
    }
    let failed = PaymentCaptureFailed { capture, code: code.to_owned() };
    let mut events = vec![PaymentEvent::CaptureFailed(failed)];
    let let_go = ledger.is_let_go() && !ledger.expired;
    if let Some(amount) = known.and_then(|known| known.amount).filter(|_| let_go) {
        events.push(PaymentEvent::Voided(PaymentVoided { amount }));
    }
    Ok(events)
}

fn can_capture(amount: Money, held: Money) -> Result<(), PaymentRejection> {
    if amount.minor <= held.minor {
        return Ok(());
    }
    Err(PaymentRejection::OverCapture { amount, held })
}

// Letting go: of everything that is held and not on its way to us.

fn await_void(state: &PaymentState) -> Vec<PaymentEvent> {
    let pending = state.ledger().is_some_and(Ledger::is_void_pending);
    match hold(state).filter(|amount| amount.is_positive() && !pending) {
        Some(amount) => vec![PaymentEvent::VoidPending(PaymentVoidPending { amount })],
        None => vec![],
    }
}

fn record_void(state: &PaymentState) -> Vec<PaymentEvent> {
    let voided = |amount| PaymentEvent::Voided(PaymentVoided { amount });
    hold(state).map(voided).into_iter().collect()
}

fn record_expiry(state: &PaymentState) -> Vec<PaymentEvent> {
    let expired = |amount| PaymentEvent::Expired(PaymentExpired { amount });
    hold(state).map(expired).into_iter().collect()
}

/// What there is to let go, if there is anything. It may be nothing for now: the gateway has not
/// begun to hold it, or moves all of it and will let go of it should it fail.
fn hold(state: &PaymentState) -> Option<Money> {
    match state {
        PaymentState::Pending { amount } => Some(Money::zero(amount.currency)),
        PaymentState::Open(ledger) if ledger.is_let_go() || ledger.expired => None,
        PaymentState::Open(ledger) if ledger.held().is_positive() => Some(ledger.unmoved()),
        PaymentState::Open(_)
        | PaymentState::Unknown
        | PaymentState::Declined { .. }
        | PaymentState::Abandoned => None,
    }
}

// Refunds: together with what is on its way back, never more than was captured.

fn await_refund(state: &PaymentState, refund: RefundId, amount: Money) -> Decision {
    let ledger = ledger_for(state, amount)?;
    if let Some(known) = ledger.known_refund(refund) {
        return known.is_of(amount).map(|()| vec![]);
    }
    can_refund(amount, ledger.unreturned())?;
    Ok(vec![PaymentEvent::RefundPending(PaymentRefundPending { refund, amount })])
}

fn record_refund(state: &PaymentState, refund: RefundId, amount: Money) -> Decision {
    let ledger = ledger_for(state, amount)?;
    let known = ledger.known_refund(refund);
    known.map_or(Ok(()), |known| known.is_of(amount))?;
    let room = match known.map(|known| known.state) {
        Some(MovementState::Done) => return Ok(vec![]),
        Some(MovementState::Pending) => sum(ledger.unreturned(), amount),
        Some(MovementState::Failed) | None => ledger.unreturned(),
    };
    can_refund(amount, room)?;
    Ok(vec![PaymentEvent::Refunded(PaymentRefunded { refund, amount })])
}

fn fail_refund(state: &PaymentState, refund: RefundId, code: &str) -> Decision {
    let ledger = state.ledger().ok_or(PaymentRejection::NotAuthorised)?;
    match ledger.refund(refund) {
        Some(MovementState::Failed) => Ok(vec![]),
        Some(MovementState::Done) => Err(PaymentRejection::Contradiction),
        Some(MovementState::Pending) | None => {
            let failed = PaymentRefundFailed { refund, code: code.to_owned() };
            Ok(vec![PaymentEvent::RefundFailed(failed)])
        }
    }
}

fn can_refund(amount: Money, refundable: Money) -> Result<(), PaymentRejection> {
    if amount.minor <= refundable.minor {
        return Ok(());
    }
    Err(PaymentRejection::OverRefund { amount, refundable })
}

// Charge-backs: the customer's bank decides, nobody asks us. Not more than was captured.

fn charge_back(
    state: &PaymentState,
    reference: &PartnerReference,
    amount: Money,
    reason: &str,
) -> Decision {
    let ledger = ledger_for(state, amount)?;
    match ledger.known_chargeback(reference) {
        Some(known) if known == amount => return Ok(vec![]),
        Some(_) => return Err(PaymentRejection::Contradiction),
        None => {}
    }
    let left = ledger.captured.minor - ledger.charged_back.minor;
    if amount.minor > left {
        let captured = Money::new(left, amount.currency);
        return Err(PaymentRejection::OverChargeback { amount, captured });
    }
    let (reference, reason) = (reference.clone(), reason.to_owned());
    Ok(vec![PaymentEvent::ChargedBack(PaymentChargedBack { reference, amount, reason })])
}

// What all have in common.

fn ledger_for(state: &PaymentState, amount: Money) -> Result<&Ledger, PaymentRejection> {
    let ledger = state.ledger().ok_or(PaymentRejection::NotAuthorised)?;
    positive(amount)?;
    let (expected, given) = (ledger.authorised.currency, amount.currency);
    if expected != given {
        return Err(PaymentRejection::OtherCurrency { expected, given });
    }
    Ok(ledger)
}

fn positive(amount: Money) -> Result<(), PaymentRejection> {
    if amount.is_positive() { Ok(()) } else { Err(PaymentRejection::NotPositive { amount }) }
}

fn sum(left: Money, right: Money) -> Money {
    Money::new(left.minor + right.minor, left.currency)
}

impl Movement {
    /// The same capture or refund never comes with two amounts.
    fn is_of(self, amount: Money) -> Result<(), PaymentRejection> {
        match self.amount {
            Some(known) if known != amount => Err(PaymentRejection::Contradiction),
            Some(_) | None => Ok(()),
        }
    }
}
