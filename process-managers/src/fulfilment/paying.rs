//! Paying: having money held, watching that it stays held, moving it here and back, letting it go.
//!
//! What the gateway did is recorded in the payment's own stream first, then told to the order.

use chrono::{DateTime, Utc};
use domain::fulfilment::{AcceptanceWork, Refusal, Work};
use domain::ids::{CaptureId, OrderId, PartnerReference, PaymentId, PaymentToken, RefundId};
use domain::money::Money;
use domain::order::{Handling, OrderCommand, PlacedOrder};
use domain::payment::{PaymentCommand, PaymentRejection, PaymentState};

use super::failure::partner;
use super::{
    Failure, Performance, Performed, Place, Steps, over, refused, unavailable, unexpected,
};
use crate::outbound::{Authorisation, Movement};

/// Code of a capture that came when the gateway did not hold the money any longer.
const EXPIRED: &str = "authorisation_expired";

/// What is to be done about an authorisation that may run out.
pub(super) enum Watched {
    /// Nothing is held any more, or for as long as it takes.
    Over,
    /// Look again at this time, if not before.
    Until(DateTime<Utc>),
}

// ── Having money held ────────────────────────────────────────────────────────────────────────────

impl Steps {
    /// Sees to it that what an order costs is held or paid. What that is may have changed since it
    /// was placed.
    pub(super) async fn be_paid(&self, at: Place<'_>, work: &AcceptanceWork) -> Performance {
        let order = self.order_at(at).await?;
        if let Some(refusal) = over(&order.status) {
            return Ok(Performed::Refused(refusal));
        }
        let payment = PaymentId::of(at.order);
        let missing = order.money(order.outstanding() - order.held());
        match &work.handling {
            Handling::Elsewhere { reference } => {
                self.settle_elsewhere(at, &order, missing, reference).await
            }
            Handling::Partners { payment_token: None } if missing.is_positive() => {
                Ok(Performed::Awaits(None))
            }
            Handling::Partners { payment_token: Some(token) } if missing.is_positive() => {
                self.authorise(at, payment, missing, token).await
            }
            Handling::Partners { payment_token: None } => Ok(Performed::Done),
            Handling::Partners { payment_token: Some(_) } => {
                self.let_go_of_what_is_pending(at, payment).await
            }
        }
    }

    /// Whether all that an order costs is held or paid.
    pub(crate) async fn is_paid(&self, order: OrderId) -> Result<bool, Failure> {
        let order = self.placed_order(order).await?;
        Ok(order.outstanding() <= order.held())
    }

    /// Has another payment held for an order that is still open.
    pub(super) async fn be_paid_again(
        &self,
        at: Place<'_>,
        payment: PaymentId,
        amount: Money,
        token: &PaymentToken,
    ) -> Performance {
        let order = self.order_at(at).await?;
        match over(&order.status) {
            Some(refusal) => Ok(Performed::Refused(refusal)),
            None => self.authorise(at, payment, amount, token).await,
        }
    }

    async fn authorise(
        &self,
        at: Place<'_>,
        payment: PaymentId,
        amount: Money,
        token: &PaymentToken,
    ) -> Performance {
        let order = at.order;
        let amount = self.amount_asked_for(payment).await?.unwrap_or(amount);
        let answer = self.gateway.authorise(payment, order, amount, token).await;
        let answer = match answer.map_err(partner) {
            Ok(answer) => answer,
            Err(failure) => {
                // It may hold this very amount by now: it is to be asked for no other.
                let _ = self.note_pending(at, payment, amount).await;
                return Err(failure);
            }
        };
        match answer {
            Authorisation::Authorised { reference, expires_at } => {
                let held =
                    PaymentCommand::RecordAuthorisation { order, amount, reference, expires_at };
                self.note_payment(at, payment, held).await?;
                let held = OrderCommand::RecordAuthorisation { payment, amount, expires_at };
                self.tell_order(at, held).await?;
                Ok(Performed::Done)
            }
            Authorisation::Pending => {
                self.note_pending(at, payment, amount).await?;
                Ok(Performed::NotYet)
            }
            Authorisation::Declined { code } => {
                let declined = PaymentCommand::RecordDecline { order, amount, code: code.clone() };
                self.note_payment(at, payment, declined).await?;
                self.tell_order(at, OrderCommand::RecordDecline { payment, code }).await?;
                Ok(Performed::Refused(Refusal::PaymentDeclined))
            }
        }
    }

    /// What the gateway was asked to hold before, if that is known and not settled.
    async fn amount_asked_for(&self, payment: PaymentId) -> Result<Option<Money>, Failure> {
        match self.payment_at(payment).await? {
            PaymentState::Pending { amount } => Ok(Some(amount)),
            PaymentState::Open(ledger) => Ok(Some(ledger.authorised)),
            PaymentState::Unknown | PaymentState::Declined { .. } | PaymentState::Abandoned => {
                Ok(None)
            }
        }
    }

    async fn note_pending(
        &self,
        at: Place<'_>,
        payment: PaymentId,
        amount: Money,
    ) -> Result<(), Failure> {
        let (order, reference) = (at.order, None);
        let pending = PaymentCommand::RecordAuthorisationPending { order, amount, reference };
        self.note_payment(at, payment, pending).await
    }

    /// Records what was paid in another system; nobody is asked. Told to the order first, which says
    /// how much it takes to be paid.
    async fn settle_elsewhere(
        &self,
        at: Place<'_>,
        order: &PlacedOrder,
        missing: Money,
        reference: &PartnerReference,
    ) -> Performance {
        let payment = PaymentId::of(at.order);
        let known = order.payments.get(&payment).map_or(0, |book| book.authorised);
        let amount = if known > 0 { order.money(known) } else { missing };
        if !amount.is_positive() {
            return Ok(Performed::Done);
        }
        let reference = reference.clone();
        let paid = OrderCommand::RecordPayment { payment, amount, reference: reference.clone() };
        if let Err(error) = self.orders.execute(&at.order, paid, at.context()).await {
            return refused(error);
        }
        let order = at.order;
        let settled = PaymentCommand::RecordSettlementElsewhere { order, amount, reference };
        self.note_payment(at, payment, settled).await?;
        Ok(Performed::Done)
    }

    /// The order was paid in another way while the gateway was still thinking.
    async fn let_go_of_what_is_pending(&self, at: Place<'_>, payment: PaymentId) -> Performance {
        match self.payment_at(payment).await? {
            PaymentState::Pending { .. } => self.let_go(at, payment).await,
            PaymentState::Unknown
            | PaymentState::Declined { .. }
            | PaymentState::Abandoned
            | PaymentState::Open(_) => Ok(Performed::Done),
        }
    }
}

// ── Watching that it stays held ──────────────────────────────────────────────────────────────────

impl Steps {
    pub(super) async fn watch_authorisation(&self, at: Place<'_>) -> Performance {
        match self.watch(at, payment_of(at)).await? {
            Watched::Over => Ok(Performed::Done),
            Watched::Until(time) => Ok(Performed::Awaits(Some(time))),
        }
    }

    /// Says that time ran out when it has. What is on its way to us when it does still comes, or
    /// fails.
    pub(super) async fn watch(
        &self,
        at: Place<'_>,
        payment: PaymentId,
    ) -> Result<Watched, Failure> {
        let order = self.order_at(at).await?;
        let Some(book) = order.payments.get(&payment) else { return Ok(Watched::Over) };
        let left = book.authorised - book.captured - book.voided;
        let Some(end) = book.expires_at.filter(|_| left > 0) else { return Ok(Watched::Over) };
        if end > self.clock.now() {
            return Ok(Watched::Until(end));
        }
        self.note_expiry(at, payment).await?;
        Ok(Watched::Over)
    }

    async fn note_expiry(&self, at: Place<'_>, payment: PaymentId) -> Result<(), Failure> {
        let context = at.context_of("expiry");
        let expired = PaymentCommand::RecordExpiry;
        self.payments.execute(&payment, expired, context).await.map_err(unexpected)?;
        self.tell_order_also(at, OrderCommand::RecordExpiry { payment }, "expiry").await
    }
}

// ── Moving it ────────────────────────────────────────────────────────────────────────────────────

impl Steps {
    pub(super) async fn capture(
        &self,
        at: Place<'_>,
        capture: CaptureId,
        payment: PaymentId,
        amount: Money,
        is_final: bool,
    ) -> Performance {
        let moved = self.gateway.capture(payment, at.order, capture, amount, is_final).await;
        match moved.map_err(partner)? {
            Movement::Done => {
                let came = PaymentCommand::RecordCapture { capture, amount, is_final };
                self.note_payment(at, payment, came).await?;
                self.tell_order(at, OrderCommand::RecordCapture { capture }).await?;
                Ok(Performed::Done)
            }
            Movement::Pending => {
                let pending = PaymentCommand::RecordCapturePending { capture, amount, is_final };
                self.note_payment(at, payment, pending).await?;
                Ok(Performed::NotYet)
            }
            Movement::Refused { code } => {
                let expired = code == EXPIRED;
                let failed = PaymentCommand::RecordCaptureFailure { capture, code: code.clone() };
                self.note_payment(at, payment, failed).await?;
                self.tell_order(at, OrderCommand::RecordCaptureFailure { capture, code }).await?;
                if expired {
                    self.note_expiry(at, payment).await?;
                }
                Ok(Performed::Done)
            }
        }
    }

    pub(super) async fn refund(
        &self,
        at: Place<'_>,
        refund: RefundId,
        payment: PaymentId,
        amount: Money,
    ) -> Performance {
        let order = self.order_at(at).await?;
        // An order of the first days knows its one payment by no id of its own.
        let first_days = || order.payments.get(&PaymentId::OF_THE_FIRST_DAYS);
        let book = order.payments.get(&payment).or_else(first_days);
        let moved = match book.and_then(|book| book.received_as.as_ref()) {
            // No gateway of ours took it: whoever did gives it back.
            Some(reference) => {
                let paid = book.map_or(0, |book| book.authorised);
                self.note_payment_by_hand(at, payment, order.money(paid), reference).await?;
                Movement::Done
            }
            None => {
                self.gateway.refund(payment, at.order, refund, amount).await.map_err(partner)?
            }
        };
        match moved {
            Movement::Done => {
                let went = PaymentCommand::RecordRefund { refund, amount };
                self.note_payment(at, payment, went).await?;
                self.tell_order(at, OrderCommand::RecordRefund { refund }).await?;
                Ok(Performed::Done)
            }
            Movement::Pending => {
                let pending = PaymentCommand::RecordRefundPending { refund, amount };
                self.note_payment(at, payment, pending).await?;
                Ok(Performed::NotYet)
            }
            Movement::Refused { code } => {
                let failed = PaymentCommand::RecordRefundFailure { refund, code: code.clone() };
                self.note_payment(at, payment, failed).await?;
                self.tell_order(at, OrderCommand::RecordRefundFailure { refund, code }).await?;
                Ok(Performed::Done)
            }
        }
    }

    /// A payment that the order was told of may have no stream of its own yet.
    async fn note_payment_by_hand(
        &self,
        at: Place<'_>,
        payment: PaymentId,
        amount: Money,
        reference: &PartnerReference,
    ) -> Result<(), Failure> {
        let (order, reference) = (at.order, reference.clone());
        let paid = PaymentCommand::RecordManualPayment { order, amount, reference };
        let context = at.context_of("paid");
        self.payments.execute(&payment, paid, context).await.map(drop).map_err(unexpected)
    }
}

// ── Letting it go ────────────────────────────────────────────────────────────────────────────────

impl Steps {
    pub(super) async fn void_payment(&self, at: Place<'_>) -> Performance {
        if at.progress.work().acceptance().is_some_and(|work| !work.is_charged()) {
            // No gateway of ours holds anything.
            return Ok(Performed::Done);
        }
        self.let_go(at, payment_of(at)).await
    }

    /// Also finds the payment that was authorised while nobody was left to record it.
    async fn let_go(&self, at: Place<'_>, payment: PaymentId) -> Performance {
        let release = self.gateway.void(payment, at.order).await.map_err(partner)?;
        if let Some(reference) = release.reference {
            self.note_found(at, payment, reference).await?;
        }
        if release.pending {
            self.note_payment(at, payment, PaymentCommand::RecordVoidPending).await?;
            return Ok(Performed::NotYet);
        }
        self.note_payment(at, payment, PaymentCommand::RecordVoid).await?;
        self.tell_order(at, OrderCommand::RecordVoid { payment }).await?;
        Ok(Performed::Done)
    }

    async fn note_found(
        &self,
        at: Place<'_>,
        payment: PaymentId,
        reference: PartnerReference,
    ) -> Result<(), Failure> {
        let amount = match self.payment_at(payment).await? {
            PaymentState::Open(_) | PaymentState::Declined { .. } => return Ok(()),
            PaymentState::Pending { amount } => Some(amount),
            PaymentState::Unknown | PaymentState::Abandoned => amount_wanted(at.progress.work()),
        };
        let Some(amount) = amount else { return Ok(()) };
        let (order, expires_at) = (at.order, None);
        let found = PaymentCommand::RecordAuthorisation { order, amount, reference, expires_at };
        let context = at.context_of("found");
        self.payments.execute(&payment, found, context).await.map(drop).map_err(unexpected)
    }
}

// ── What all have in common ──────────────────────────────────────────────────────────────────────

impl Steps {
    async fn note_payment(
        &self,
        at: Place<'_>,
        payment: PaymentId,
        command: PaymentCommand,
    ) -> Result<(), Failure> {
        self.payments.execute(&payment, command, at.context()).await.map(drop).map_err(unexpected)
    }

    async fn payment_at(&self, payment: PaymentId) -> Result<PaymentState, Failure> {
        match self.payments.load(&payment).await {
            Ok(Some(loaded)) => Ok(loaded.state.as_ref().clone()),
            Ok(None) => Ok(PaymentState::Unknown),
            Err(error) => Err(unavailable::<PaymentRejection>(error.into())),
        }
    }
}

/// The payment that a process is about.
fn payment_of(at: Place<'_>) -> PaymentId {
    match at.progress.work() {
        Work::Payment { payment, .. }
        | Work::Void { payment }
        | Work::Capture { payment, .. }
        | Work::Refund { payment, .. } => *payment,
        Work::Acceptance(_)
        | Work::Delivery(_)
        | Work::Release { .. }
        | Work::Restock { .. }
        | Work::Backorder { .. } => PaymentId::of(at.order),
    }
}

/// What the gateway was asked to hold when nothing else is known.
const fn amount_wanted(work: &Work) -> Option<Money> {
    match work {
        Work::Acceptance(work) => Some(work.total),
        Work::Payment { amount, .. } => Some(*amount),
        Work::Delivery(_)
        | Work::Capture { .. }
        | Work::Void { .. }
        | Work::Refund { .. }
        | Work::Release { .. }
        | Work::Restock { .. }
        | Work::Backorder { .. } => None,
    }
}
