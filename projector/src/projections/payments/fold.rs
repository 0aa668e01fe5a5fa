//! From events to the row.

use domain::ids::{OrderId, PartnerReference, PaymentId};
use domain::money::Money;
use domain::payment::PaymentEvent;
use journal::Recorded;
use sqlx::types::Json;

use super::movements::{PaymentMovement, PaymentMovementKind, PaymentMovementState};
use super::row::PaymentRow;
use crate::code::{PaymentSource, PaymentStatus};
use crate::projection::{Unfoldable, plus};

/// The row after the first event.
pub(super) fn begin(
    id: PaymentId,
    event: &PaymentEvent,
    recorded: &Recorded,
) -> Result<PaymentRow, Unfoldable> {
    let mut row = match event {
        PaymentEvent::AuthorisationPending(event) => PaymentRow {
            authorising_minor: event.amount.minor,
            reference: event.reference.as_ref().map(ToString::to_string),
            ..empty(id, event.order, event.amount, recorded)
        },
        PaymentEvent::Authorised(event) => PaymentRow {
            authorised_minor: event.amount.minor,
            reference: Some(event.reference.to_string()),
            expires_at: event.expires_at,
            ..empty(id, event.order, event.amount, recorded)
        },
        PaymentEvent::Declined(event) => PaymentRow {
            decline_code: Some(event.code.clone()),
            ..empty(id, event.order, event.amount, recorded)
        },
        PaymentEvent::SettledElsewhere(event) => PaymentRow {
            source: PaymentSource::Elsewhere,
            ..paid(id, event.order, event.amount, &event.reference, recorded)
        },
        PaymentEvent::PaidManually(event) => PaymentRow {
            source: PaymentSource::Manual,
            ..paid(id, event.order, event.amount, &event.reference, recorded)
        },
        PaymentEvent::CapturePending(_)
        | PaymentEvent::Captured(_)
        | PaymentEvent::CaptureFailed(_)
        | PaymentEvent::VoidPending(_)
        | PaymentEvent::Voided(_)
        | PaymentEvent::RefundPending(_)
        | PaymentEvent::Refunded(_)
        | PaymentEvent::RefundFailed(_)
        | PaymentEvent::Expired(_)
        | PaymentEvent::ChargedBack(_) => return Err(Unfoldable::not_first(recorded)),
    };
    row.status = row.told_status();
    Ok(row)
}

/// Moves the row on.
pub(super) fn evolve(
    row: &mut PaymentRow,
    event: &PaymentEvent,
    recorded: &Recorded,
) -> Result<(), Unfoldable> {
    match event {
        PaymentEvent::AuthorisationPending(_)
        | PaymentEvent::SettledElsewhere(_)
        | PaymentEvent::PaidManually(_) => return Err(Unfoldable::repeated(recorded)),
        // Also late, after what was pending had been given up.
        PaymentEvent::Authorised(event) if row.authorised_minor == 0 => {
            row.authorising_minor = 0;
            row.authorised_minor = event.amount.minor;
            row.reference = Some(event.reference.to_string());
            row.expires_at = event.expires_at;
            row.expired = false;
        }
        PaymentEvent::Declined(event) if row.authorising_minor > 0 => {
            row.authorising_minor = 0;
            row.decline_code = Some(event.code.clone());
        }
        PaymentEvent::Authorised(_) | PaymentEvent::Declined(_) => {
            return Err(Unfoldable::repeated(recorded));
        }
        PaymentEvent::Voided(event) => {
            row.voided_minor = plus(row.voided_minor, event.amount.minor)?;
            (row.authorising_minor, row.voiding) = (0, false);
        }
        PaymentEvent::Expired(_) => {
            (row.authorising_minor, row.voiding, row.expired) = (0, false, true);
        }
        PaymentEvent::VoidPending(_) => row.voiding = true,
        PaymentEvent::CapturePending(_)
        | PaymentEvent::Captured(_)
        | PaymentEvent::CaptureFailed(_)
        | PaymentEvent::RefundPending(_)
        | PaymentEvent::Refunded(_)
        | PaymentEvent::RefundFailed(_)
        | PaymentEvent::ChargedBack(_) => move_money(row, event, recorded)?,
    }
    row.status = row.told_status();
    Ok(())
}

fn move_money(
    row: &mut PaymentRow,
    event: &PaymentEvent,
    recorded: &Recorded,
) -> Result<(), Unfoldable> {
    use PaymentMovementKind::{Capture, Chargeback, Refund};
    let Some(now) = movement_of(event, recorded) else { return Ok(()) };
    let before = row.movements.iter().position(|it| it.kind == now.kind && it.id == now.id);
    let was_pending = before.map_or(0, |at| row.movements[at].pending_minor());
    let pending = now.pending_minor() - was_pending;
    let done = match now.state {
        PaymentMovementState::Done => now.amount_minor.unwrap_or_default(),
        PaymentMovementState::Pending | PaymentMovementState::Failed => 0,
    };
    let (moving, moved) = match now.kind {
        Capture => (Some(&mut row.capturing_minor), &mut row.captured_minor),
        Refund => (Some(&mut row.refunding_minor), &mut row.refunded_minor),
        Chargeback => (None, &mut row.charged_back_minor),
    };
    let sum = plus(*moved, done)?;
    if let Some(moving) = moving {
        *moving = plus(*moving, pending)?;
    }
    *moved = sum;
    note(&mut row.movements, before, now);
    Ok(())
}

/// Keeps the news of a movement. One that fails says nothing of its amount, so that stays as it was.
fn note(movements: &mut Vec<PaymentMovement>, before: Option<usize>, now: PaymentMovement) {
    let Some(known) = before.and_then(|at| movements.get_mut(at)) else {
        movements.push(now);
        return;
    };
    *known = PaymentMovement {
        amount_minor: now.amount_minor.or(known.amount_minor),
        is_final: now.is_final || known.is_final,
        ..now
    };
}

fn movement_of(event: &PaymentEvent, recorded: &Recorded) -> Option<PaymentMovement> {
    use PaymentMovementKind::{Capture, Chargeback, Refund};
    use PaymentMovementState::{Done, Failed, Pending};
    let of = |kind, id: String, amount: Option<Money>, state| PaymentMovement {
        kind,
        id,
        amount_minor: amount.map(|amount| amount.minor),
        is_final: false,
        state,
        reason: None,
        at: recorded.metadata.recorded_at,
    };
    let movement = match event {
        PaymentEvent::CapturePending(event) => PaymentMovement {
            is_final: event.is_final,
            ..of(Capture, event.capture.to_string(), Some(event.amount), Pending)
        },
        PaymentEvent::Captured(event) => PaymentMovement {
            is_final: event.is_final,
            ..of(Capture, event.capture.to_string(), Some(event.amount), Done)
        },
        PaymentEvent::CaptureFailed(event) => PaymentMovement {
            reason: Some(event.code.clone()),
            ..of(Capture, event.capture.to_string(), None, Failed)
        },
        PaymentEvent::RefundPending(event) => {
            of(Refund, event.refund.to_string(), Some(event.amount), Pending)
        }
        PaymentEvent::Refunded(event) => {
            of(Refund, event.refund.to_string(), Some(event.amount), Done)
        }
        PaymentEvent::RefundFailed(event) => PaymentMovement {
            reason: Some(event.code.clone()),
            ..of(Refund, event.refund.to_string(), None, Failed)
        },
        PaymentEvent::ChargedBack(event) => PaymentMovement {
            reason: Some(event.reason.clone()),
            ..of(Chargeback, event.reference.to_string(), Some(event.amount), Done)
        },
        PaymentEvent::AuthorisationPending(_)
        | PaymentEvent::Authorised(_)
        | PaymentEvent::Declined(_)
        | PaymentEvent::VoidPending(_)
        | PaymentEvent::Voided(_)
        | PaymentEvent::Expired(_)
        | PaymentEvent::SettledElsewhere(_)
        | PaymentEvent::PaidManually(_) => return None,
    };
    Some(movement)
}

fn paid(
    id: PaymentId,
    order: OrderId,
    amount: Money,
    reference: &PartnerReference,
    recorded: &Recorded,
) -> PaymentRow {
    PaymentRow {
        authorised_minor: amount.minor,
        captured_minor: amount.minor,
        reference: Some(reference.to_string()),
        ..empty(id, order, amount, recorded)
    }
}

fn empty(id: PaymentId, order: OrderId, amount: Money, recorded: &Recorded) -> PaymentRow {
    PaymentRow {
        id: id.0,
        order_id: order.0,
        source: PaymentSource::Gateway,
        status: PaymentStatus::Pending,
        currency: amount.currency.code().to_owned(),
        authorising_minor: 0,
        authorised_minor: 0,
        capturing_minor: 0,
        captured_minor: 0,
        voided_minor: 0,
        refunding_minor: 0,
        refunded_minor: 0,
        charged_back_minor: 0,
        voiding: false,
        expired: false,
        expires_at: None,
        reference: None,
        decline_code: None,
        movements: Json(vec![]),
        opened_at: recorded.metadata.recorded_at,
        updated_at: recorded.metadata.recorded_at,
        revision: 0,
        quarantined: false,
    }
}
