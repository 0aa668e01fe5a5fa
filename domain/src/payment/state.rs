//! A payment as later decisions need to know it, folded from its events.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::event::{PaymentEvent, PaymentPaidManually, PaymentSettledElsewhere};
use crate::ids::{CaptureId, PartnerReference, RefundId};
use crate::money::Money;

/// A payment, as later decisions need to know it.
#[derive(Debug, Clone, PartialEq)]
pub enum PaymentState {
    /// Nobody has asked for money.
    Unknown,
    /// The gateway thinks about holding it.
    Pending {
        /// How much.
        amount: Money,
    },
    /// The gateway refused.
    Declined {
        /// The gateway's code.
        code: String,
    },
    /// Let go, or run out, before any money was held.
    Abandoned,
    /// Money is or was held, or was paid.
    Open(Ledger),
}

impl PaymentState {
    /// What was held, moved, let go and moved back, if money was ever held.
    pub const fn ledger(&self) -> Option<&Ledger> {
        match self {
            Self::Open(ledger) => Some(ledger),
            Self::Unknown | Self::Pending { .. } | Self::Declined { .. } | Self::Abandoned => None,
        }
    }
}

/// What was held, moved, let go and moved back, and what of that is still on its way.
///
/// `captured + pending captures + voided ≤ authorised`, `refunded + pending refunds ≤ captured`,
/// `charged back ≤ captured`.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    /// How the gateway, or whoever took the money, knows the payment.
    pub reference: PartnerReference,
    /// Until when money is held, if the gateway said so.
    pub expires_at: Option<DateTime<Utc>>,
    /// Held at first.
    pub authorised: Money,
    /// Moved to us.
    pub captured: Money,
    /// Let go.
    pub voided: Money,
    /// Moved back.
    pub refunded: Money,
    /// Taken back by the customer's bank.
    pub charged_back: Money,
    /// Whether the authorisation ran out.
    pub expired: bool,
    let_go: bool,
    void_pending: bool,
    captures: BTreeMap<CaptureId, Movement>,
    refunds: BTreeMap<RefundId, Movement>,
    chargebacks: BTreeMap<PartnerReference, Money>,
}

/// A capture or a refund. One that was refused outright is known without its amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Movement {
    pub(super) amount: Option<Money>,
    pub(super) state: MovementState,
}

/// How far a capture or a refund has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovementState {
    /// The gateway thinks about it.
    Pending,
    /// The money has moved.
    Done,
    /// The money has not moved.
    Failed,
}

impl Ledger {
    fn new(
        authorised: Money,
        reference: PartnerReference,
        expires_at: Option<DateTime<Utc>>,
    ) -> Self {
        let zero = Money::zero(authorised.currency);
        Self {
            reference,
            expires_at,
            authorised,
            captured: zero,
            voided: zero,
            refunded: zero,
            charged_back: zero,
            expired: false,
            let_go: false,
            void_pending: false,
            captures: BTreeMap::new(),
            refunds: BTreeMap::new(),
            chargebacks: BTreeMap::new(),
        }
    }

    fn paid(amount: Money, reference: PartnerReference) -> Self {
        Self { captured: amount, ..Self::new(amount, reference, None) }
    }

    /// On its way to us.
    pub fn capture_pending(&self) -> Money {
        self.money(pending(&self.captures))
    }

    /// On its way back.
    pub fn refund_pending(&self) -> Money {
        self.money(pending(&self.refunds))
    }

    /// About to be let go.
    pub fn void_pending(&self) -> Money {
        if self.void_pending { self.capturable() } else { self.money(0) }
    }

    /// Still held: neither captured nor let go nor run out. What is on its way to us is.
    pub fn held(&self) -> Money {
        self.money(self.capturable().minor + self.capture_pending().minor)
    }

    /// May be captured: held, and not on its way to us yet.
    pub fn capturable(&self) -> Money {
        if self.expired { self.money(0) } else { self.unmoved() }
    }

    /// May be refunded: captured, and neither moved back, nor on its way back, nor taken back.
    pub fn refundable(&self) -> Money {
        self.money((self.unreturned().minor - self.charged_back.minor).max(0))
    }

    /// How far `capture` has come, if it is known.
    pub fn capture(&self, capture: CaptureId) -> Option<MovementState> {
        self.captures.get(&capture).map(|movement| movement.state)
    }

    /// How far `refund` has come, if it is known.
    pub fn refund(&self, refund: RefundId) -> Option<MovementState> {
        self.refunds.get(&refund).map(|movement| movement.state)
    }

    /// Authorised, and neither captured, nor on its way to us, nor let go. The gateway may still
    /// have moved it when the authorisation ran out.
    pub(super) fn unmoved(&self) -> Money {
        let gone = self.captured.minor + self.voided.minor + self.capture_pending().minor;
        self.money(self.authorised.minor - gone)
    }

    /// Captured, and neither moved back nor on its way back. The gateway may still have moved it
    /// back when the customer's bank took it.
    pub(super) fn unreturned(&self) -> Money {
        self.money(self.captured.minor - self.refunded.minor - self.refund_pending().minor)
    }

    /// Whether the gateway let go: then it also lets go of what it fails to capture later.
    pub(super) const fn is_let_go(&self) -> bool {
        self.let_go
    }

    pub(super) const fn is_void_pending(&self) -> bool {
        self.void_pending
    }

    pub(super) fn known_capture(&self, capture: CaptureId) -> Option<Movement> {
        self.captures.get(&capture).copied()
    }

    pub(super) fn known_refund(&self, refund: RefundId) -> Option<Movement> {
        self.refunds.get(&refund).copied()
    }

    pub(super) fn known_chargeback(&self, reference: &PartnerReference) -> Option<Money> {
        self.chargebacks.get(reference).copied()
    }

    const fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.authorised.currency)
    }
}

/// Minor units that are under way.
fn pending<Id>(movements: &BTreeMap<Id, Movement>) -> i64 {
    let under_way = movements.values().filter(|it| it.state == MovementState::Pending);
    under_way.filter_map(|it| it.amount).map(|amount| amount.minor).sum()
}

pub(super) fn evolve(state: PaymentState, event: &PaymentEvent) -> PaymentState {
    match event {
        PaymentEvent::AuthorisationPending(event) => PaymentState::Pending { amount: event.amount },
        PaymentEvent::Authorised(event) => {
            let reference = event.reference.clone();
            PaymentState::Open(Ledger::new(event.amount, reference, event.expires_at))
        }
        PaymentEvent::Declined(event) => PaymentState::Declined { code: event.code.clone() },
        PaymentEvent::SettledElsewhere(PaymentSettledElsewhere { amount, reference, .. })
        | PaymentEvent::PaidManually(PaymentPaidManually { amount, reference, .. }) => {
            PaymentState::Open(Ledger::paid(*amount, reference.clone()))
        }
        PaymentEvent::Voided(_) | PaymentEvent::Expired(_)
            if matches!(state, PaymentState::Pending { .. }) =>
        {
            PaymentState::Abandoned
        }
        PaymentEvent::CapturePending(_)
        | PaymentEvent::Captured(_)
        | PaymentEvent::CaptureFailed(_)
        | PaymentEvent::VoidPending(_)
        | PaymentEvent::Voided(_)
        | PaymentEvent::RefundPending(_)
        | PaymentEvent::Refunded(_)
        | PaymentEvent::RefundFailed(_)
        | PaymentEvent::Expired(_)
        | PaymentEvent::ChargedBack(_) => match state {
            PaymentState::Open(ledger) => PaymentState::Open(book(ledger, event)),
            // Cannot be: no money moves before it is held. Total all the same.
            other @ (PaymentState::Unknown
            | PaymentState::Pending { .. }
            | PaymentState::Declined { .. }
            | PaymentState::Abandoned) => other,
        },
    }
}

/// The ledger with one more entry.
fn book(mut ledger: Ledger, event: &PaymentEvent) -> Ledger {
    use MovementState::{Done, Failed, Pending};
    match event {
        PaymentEvent::CapturePending(event) => {
            ledger.captures.insert(event.capture, Movement::new(event.amount, Pending));
        }
        PaymentEvent::Captured(event) => {
            add(&mut ledger.captured, event.amount);
            ledger.let_go |= event.is_final;
            ledger.captures.insert(event.capture, Movement::new(event.amount, Done));
        }
        PaymentEvent::CaptureFailed(event) => {
            let known = ledger.captures.get(&event.capture).and_then(|it| it.amount);
            ledger.captures.insert(event.capture, Movement { amount: known, state: Failed });
        }
        PaymentEvent::VoidPending(_) => ledger.void_pending = true,
        PaymentEvent::Voided(event) => {
            add(&mut ledger.voided, event.amount);
            ledger.let_go = true;
            ledger.void_pending = false;
        }
        PaymentEvent::RefundPending(event) => {
            ledger.refunds.insert(event.refund, Movement::new(event.amount, Pending));
        }
        PaymentEvent::Refunded(event) => {
            add(&mut ledger.refunded, event.amount);
            ledger.refunds.insert(event.refund, Movement::new(event.amount, Done));
        }
        PaymentEvent::RefundFailed(event) => {
            let known = ledger.refunds.get(&event.refund).and_then(|it| it.amount);
            ledger.refunds.insert(event.refund, Movement { amount: known, state: Failed });
        }
        PaymentEvent::Expired(_) => {
            ledger.expired = true;
            ledger.void_pending = false;
        }
        PaymentEvent::ChargedBack(event) => {
            add(&mut ledger.charged_back, event.amount);
            ledger.chargebacks.insert(event.reference.clone(), event.amount);
        }
        // These open a ledger.
        PaymentEvent::AuthorisationPending(_)
        | PaymentEvent::Authorised(_)
        | PaymentEvent::Declined(_)
        | PaymentEvent::SettledElsewhere(_)
        | PaymentEvent::PaidManually(_) => {}
    }
    ledger
}

impl Movement {
    const fn new(amount: Money, state: MovementState) -> Self {
        Self { amount: Some(amount), state }
    }
}

fn add(sum: &mut Money, amount: Money) {
    sum.minor = sum.minor.saturating_add(amount.minor);
}
