//! Money: held, moved, let go, moved back. Never more is moved than is owed, never more moved back
//! than came, counting what is on its way.

use chrono::{DateTime, Utc};

use super::{Decision, Story};
use crate::ids::{
    CaptureId, HoldName, PartnerReference, PaymentId, PaymentToken, RefundId, ReturnId, derive_uuid,
};
use crate::money::Money;
use crate::order::command::{Action, RefundOf};
use crate::order::error::OrderRejection;
use crate::order::event::{
    OrderAuthorisationExpired, OrderCaptureFailed, OrderCaptureRequested, OrderChargedBack,
    OrderEvent, OrderHeld, OrderPaymentAuthorised, OrderPaymentCaptured, OrderPaymentDeclined,
    OrderPaymentReceived, OrderPaymentRequested, OrderPaymentVoided, OrderRefundCompleted,
    OrderRefundFailed, OrderRefundRequested, OrderVoidRequested,
};
use crate::order::state::{MovementStatus, OrderStatus, PaymentBook, PlacedOrder, ReturnProgress};
use crate::order::terms::{CancelReason, HoldReason, LineUnits, RefundCause, RefundReason};
use crate::personal::Sealed;

/// Another payment is asked for when the order is open and something is neither held nor paid.
pub(super) fn request_payment(
    order: &PlacedOrder,
    payment: PaymentId,
    token: &PaymentToken,
    amount: Option<Money>,
) -> Decision {
    if let Some(known) = order.payments.get(&payment) {
        let same = amount.is_none_or(|amount| amount.minor == known.requested);
        return if same { Ok(vec![]) } else { Err(OrderRejection::KeyReused) };
    }
    order.must_be_open(Action::RequestPayment)?;
    let missing = (order.outstanding() - order.held() - order.asked_for()).max(0);
    let amount = amount.unwrap_or_else(|| order.money(missing));
    order.must_be_an_amount(amount)?;
    if amount.minor > missing {
        let (requested, available) = (amount, order.money(missing));
        return Err(OrderRejection::OverPayment { requested, available });
    }
    let payment_token = token.clone();
    let requested = OrderPaymentRequested { payment, amount, payment_token };
    Ok(vec![OrderEvent::PaymentRequested(requested)])
}

/// What a gateway did is recorded whenever the news comes. If the order is over by then, the money is
/// let go again.
pub(super) fn record_authorisation(
    order: &PlacedOrder,
    payment: PaymentId,
    amount: Money,
    expires_at: Option<DateTime<Utc>>,
) -> Decision {
    order.must_be_an_amount(amount)?;
    match order.payments.get(&payment).map(|book| book.authorised) {
        Some(known) if known == amount.minor => return Ok(vec![]),
        Some(1..) => return Err(OrderRejection::KeyReused),
        Some(_) | None => {}
    }
    let mut story = Story::of(order);
    let authorised = OrderPaymentAuthorised { payment, amount, expires_at };
    story.tell(OrderEvent::PaymentAuthorised(authorised));
    story.settle(why_it_is_over(order));
    Ok(story.events)
}

pub(super) fn record_decline(
    order: &PlacedOrder,
    payment: PaymentId,
    code: &str,
) -> Vec<OrderEvent> {
    let known = order.payments.get(&payment);
    if known.is_some_and(|book| book.declined.is_some() || book.authorised > 0) {
        return vec![];
    }
    let declined = OrderPaymentDeclined { payment, code: code.to_owned() };
    vec![OrderEvent::PaymentDeclined(declined)]
}

pub(super) fn record_expiry(order: &PlacedOrder, payment: PaymentId) -> Decision {
    let book = order.payment(payment)?;
    if book.expired || (book.held() == 0 && book.capturing == 0) {
        return Ok(vec![]);
    }
    Ok(vec![OrderEvent::AuthorisationExpired(OrderAuthorisationExpired { payment })])
}

/// Money that came in another way is recorded as long as it is owed.
pub(super) fn record_payment(
    order: &PlacedOrder,
    payment: PaymentId,
    amount: Money,
    reference: &PartnerReference,
) -> Decision {
    order.must_be_an_amount(amount)?;
    if let Some(book) = order.payments.get(&payment).filter(|book| book.authorised > 0) {
        let same = book.received_as.as_ref() == Some(reference) && book.captured == amount.minor;
        return if same { Ok(vec![]) } else { Err(OrderRejection::KeyReused) };
    }
    order.must_be_open(Action::MarkPaid)?;
    let owed = order.money(order.outstanding());
    if amount.minor > owed.minor {
        return Err(OrderRejection::OverPayment { requested: amount, available: owed });
    }
    let mut story = Story::of(order);
    let reference = reference.clone();
    let received = OrderPaymentReceived { payment, amount, reference };
    story.tell(OrderEvent::PaymentReceived(received));
    story.settle(CancelReason::Other);
    story.close_if_done();
    Ok(story.events)
}

/// Money is moved as long as it is owed and held. Nothing is moved before delivery is promised, nor
/// while the order is held.
pub(super) fn request_capture(
    order: &PlacedOrder,
    capture: CaptureId,
    payment: Option<PaymentId>,
    amount: Option<Money>,
    is_final: bool,
) -> Decision {
    if let Some(known) = order.captures.get(&capture) {
        let same = amount.is_none_or(|amount| amount.minor == known.amount)
            && payment.is_none_or(|payment| payment == known.payment);
        return if same { Ok(vec![]) } else { Err(OrderRejection::KeyReused) };
    }
    if !matches!(order.status, OrderStatus::Confirmed | OrderStatus::Completed) {
        return Err(order.not_now(Action::Capture));
    }
    order.must_not_be_held()?;
    let payment = order.payment_that(payment, PaymentBook::held, amount)?;
    let available = order.outstanding().min(order.payment(payment)?.held());
    let available = order.money(available.max(0));
    let requested = amount.unwrap_or(available);
    if available.minor == 0 {
        return Err(OrderRejection::OverCapture { requested, available });
    }
    order.must_be_an_amount(requested)?;
    if requested.minor > available.minor {
        return Err(OrderRejection::OverCapture { requested, available });
    }
    let amount = requested;
    // A final capture lets go of the rest, which another one on its way may need.
    let is_final = is_final && order.payment(payment)?.capturing == 0;
    let requested = OrderCaptureRequested { capture, payment, amount, is_final };
    Ok(vec![OrderEvent::CaptureRequested(requested)])
}

pub(super) fn record_capture(order: &PlacedOrder, capture: CaptureId) -> Decision {
    let known = order.captures.get(&capture).ok_or(OrderRejection::NoSuchMovement)?;
    if known.status == MovementStatus::Done {
        return Ok(vec![]);
    }
    let mut story = Story::of(order);
    story.tell(OrderEvent::PaymentCaptured(OrderPaymentCaptured { capture }));
    story.settle(why_it_is_over(order));
    story.close_if_done();
    Ok(story.events)
}

pub(super) fn record_capture_failure(
    order: &PlacedOrder,
    capture: CaptureId,
    code: &str,
) -> Decision {
    let known = order.captures.get(&capture).ok_or(OrderRejection::NoSuchMovement)?;
    if known.status != MovementStatus::Pending {
        return Ok(vec![]);
    }
    let code = code.to_owned();
    let mut story = Story::of(order);
    story.tell(OrderEvent::CaptureFailed(OrderCaptureFailed { capture, code }));
    story.settle(why_it_is_over(order));
    Ok(story.events)
}

/// What is held for goods that are still to leave is not let go.
pub(super) fn request_void(order: &PlacedOrder, payment: PaymentId) -> Decision {
    let book = order.payment(payment)?;
    if book.held() == 0 || book.voiding {
        return Ok(vec![]);
    }
    let others = order.held() - book.held();
    if order.outstanding() > others || book.capturing > 0 {
        return Err(OrderRejection::StillNeeded);
    }
    Ok(vec![OrderEvent::VoidRequested(OrderVoidRequested { payment })])
}

pub(super) fn record_void(order: &PlacedOrder, payment: PaymentId) -> Vec<OrderEvent> {
    // A payment that the order never heard of holds nothing.
    match order.payments.get(&payment) {
        Some(book) if book.held() > 0 || book.voiding => {
            vec![OrderEvent::PaymentVoided(OrderPaymentVoided { payment })]
        }
        Some(_) | None => vec![],
    }
}

/// A refund that is wanted.
pub(super) struct WantedRefund<'a> {
    pub(super) refund: RefundId,
    pub(super) payment: Option<PaymentId>,
    pub(super) what: &'a RefundOf,
    pub(super) return_id: Option<ReturnId>,
    pub(super) reason: RefundReason,
    pub(super) note: Option<&'a Sealed>,
}

/// Money goes back for units that left (what has not left is cancelled instead), or by amount. A
/// refund that no single payment can carry is spread over several, the latest first.
pub(super) fn request_refund(order: &PlacedOrder, wanted: &WantedRefund<'_>) -> Decision {
    if let Some(known) = order.refunds.get(&wanted.refund) {
        let same = match wanted.what {
            RefundOf::Amount(amount) => {
                known.lines.is_empty() && whole(order, wanted.refund) == amount.minor
            }
            RefundOf::Lines(lines) => known.lines == *lines,
        } && known.reason == wanted.reason
            && wanted.payment.is_none_or(|payment| payment == known.payment);
        return if same { Ok(vec![]) } else { Err(OrderRejection::KeyReused) };
    }
    let (amount, lines) = match wanted.what {
        RefundOf::Amount(amount) => (*amount, vec![]),
        RefundOf::Lines(lines) => (order.money(price_of(order, lines)?), lines.clone()),
    };
    order.must_be_an_amount(amount)?;
    let cause = match wanted.return_id {
        // What is too much goes back first: staff do by hand what failed by itself.
        None if amount.minor <= order.overpaid() => RefundCause::Cancellation,
        None => RefundCause::Goodwill,
        Some(return_id) => {
            let book =
                order.returns.get(&return_id).ok_or(OrderRejection::NoSuchReturn { return_id })?;
            match book.status {
                ReturnProgress::Approved | ReturnProgress::Received | ReturnProgress::Closed => {}
                status @ (ReturnProgress::Requested | ReturnProgress::Declined) => {
                    return Err(OrderRejection::ReturnStatus { status });
                }
            }
            RefundCause::Return
        }
    };
    let parts = spread(order, wanted.payment, amount)?;
    let mut story = Story::of(order);
    for (n, (payment, part)) in parts.into_iter().enumerate() {
        let event = OrderRefundRequested {
            refund: if n == 0 { wanted.refund } else { further(wanted.refund, n) },
            payment,
            amount: order.money(part),
            lines: if n == 0 { lines.clone() } else { vec![] },
            cause,
            reason: wanted.reason,
            note: wanted.note.cloned(),
        };
        story.tell(OrderEvent::RefundRequested(event));
    }
    Ok(story.events)
}

pub(super) fn record_refund(order: &PlacedOrder, refund: RefundId) -> Decision {
    let known = order.refunds.get(&refund).ok_or(OrderRejection::NoSuchRefund { refund })?;
    if known.status == MovementStatus::Done {
        return Ok(vec![]);
    }
    Ok(vec![OrderEvent::RefundCompleted(OrderRefundCompleted { refund })])
}

pub(super) fn record_refund_failure(order: &PlacedOrder, refund: RefundId, code: &str) -> Decision {
    let known = order.refunds.get(&refund).ok_or(OrderRejection::NoSuchRefund { refund })?;
    if known.status != MovementStatus::Pending {
        return Ok(vec![]);
    }
    let code = code.to_owned();
    Ok(vec![OrderEvent::RefundFailed(OrderRefundFailed { refund, code })])
}

/// A bank does not ask: what it took is recorded, each of its references once. What has not left stays
/// until somebody has looked at it.
pub(super) fn record_chargeback(
    order: &PlacedOrder,
    payment: PaymentId,
    amount: Money,
    reference: &PartnerReference,
    reason: &str,
) -> Decision {
    order.must_be_an_amount(amount)?;
    match order.chargebacks.get(reference.as_str()) {
        Some(known) if *known == amount => return Ok(vec![]),
        Some(_) => return Err(OrderRejection::KeyReused),
        None => {}
    }
    let captured = order.payment(payment)?.captured - order.payment(payment)?.charged_back;
    if amount.minor > captured {
        let (requested, available) = (amount, order.money(captured.max(0)));
        return Err(OrderRejection::OverRefund { requested, available });
    }
    let (reference, reason) = (reference.clone(), reason.to_owned());
    let mut story = Story::of(order);
    let event = OrderChargedBack { payment, amount, reference, reason };
    story.tell(OrderEvent::ChargedBack(event));
    story.hold_what_has_not_left();
    Ok(story.events)
}

/// What was paid for `lines`, to the minor unit: goods that left, and charges, each unit once.
fn price_of(order: &PlacedOrder, lines: &[LineUnits]) -> Result<i64, OrderRejection> {
    if lines.is_empty() {
        return Err(OrderRejection::NothingToDo);
    }
    let mut sum = 0;
    let mut seen = std::collections::BTreeMap::<u32, u32>::new();
    for units in lines {
        let (line, requested) = (units.line, units.quantity.get());
        let before = seen.entry(line).or_default();
        let available = refundable_units(order, line).saturating_sub(*before);
        if requested > available {
            return Err(OrderRejection::NotSoMany { line, requested, available });
        }
        let (prices, ledger) = (&order.prices.lines[line as usize], &order.lines[line as usize]);
        sum += prices.value_of(ledger.refunded + *before, requested);
        *before += requested;
    }
    Ok(sum)
}

/// Units of a line that money can go back for.
pub(super) fn refundable_units(order: &PlacedOrder, line: u32) -> u32 {
    let Some(ledger) = order.lines.get(line as usize) else { return 0 };
    let charged = order.shipped() > 0 || order.unshipped() == 0;
    let sold = match order.is_goods(line) {
        true => ledger.shipped,
        false if charged => ledger.wanted(),
        false => 0,
    };
    sold.saturating_sub(ledger.refunded)
}

fn spread(
    order: &PlacedOrder,
    payment: Option<PaymentId>,
    amount: Money,
) -> Result<Vec<(PaymentId, i64)>, OrderRejection> {
    if let Some(payment) = payment {
        let available = order.payment(payment)?.refundable();
        if amount.minor > available {
            let available = order.money(available);
            return Err(OrderRejection::OverRefund { requested: amount, available });
        }
        return Ok(vec![(payment, amount.minor)]);
    }
    let available = order.refundable();
    if amount.minor > available {
        let available = order.money(available);
        return Err(OrderRejection::OverRefund { requested: amount, available });
    }
    let enough = order.payments.iter().rev().find(|(_, it)| it.refundable() >= amount.minor);
    if let Some((&payment, _)) = enough {
        return Ok(vec![(payment, amount.minor)]);
    }
    let mut left = amount.minor;
    let mut parts = vec![];
    for (&payment, book) in order.payments.iter().rev() {
        let part = left.min(book.refundable());
        if part > 0 {
            left -= part;
            parts.push((payment, part));
        }
    }
    Ok(parts)
}

/// What was asked for in all under `refund`, over the payments that it was spread over.
fn whole(order: &PlacedOrder, refund: RefundId) -> i64 {
    let parts = (0..=order.payments.len())
        .map(|n| if n == 0 { refund } else { further(refund, n) })
        .map_while(|part| order.refunds.get(&part));
    parts.map(|part| part.amount).sum()
}

fn further(refund: RefundId, n: usize) -> RefundId {
    RefundId(derive_uuid(&["further-refund", &refund.to_string(), &n.to_string()]))
}

impl Story {
    fn hold_what_has_not_left(&mut self) {
        let open = matches!(self.order.status, OrderStatus::Pending | OrderStatus::Confirmed);
        let Ok(hold) = HoldName::new("chargeback") else { return };
        if open && self.order.unshipped() > 0 && !self.order.holds.contains_key(&hold) {
            let (reason, automatic, note) = (HoldReason::Payment, true, None);
            self.tell(OrderEvent::Held(OrderHeld {
                hold,
                reason,
                automatic,
                movement: None,
                note,
            }));
        }
    }
}

fn why_it_is_over(order: &PlacedOrder) -> CancelReason {
    match order.status {
        OrderStatus::Cancelled(reason) => reason,
        OrderStatus::Rejected(_) => CancelReason::Inventory,
        OrderStatus::Pending | OrderStatus::Confirmed | OrderStatus::Completed => {
            CancelReason::Other
        }
    }
}

impl PlacedOrder {
    fn must_be_an_amount(&self, amount: Money) -> Result<(), OrderRejection> {
        if amount.currency != self.details.currency {
            return Err(OrderRejection::OtherCurrency { amount });
        }
        if !amount.is_positive() {
            return Err(OrderRejection::NotPositive { amount });
        }
        Ok(())
    }

    fn payment(&self, payment: PaymentId) -> Result<&PaymentBook, OrderRejection> {
        self.payments.get(&payment).ok_or(OrderRejection::NoSuchPayment { payment })
    }

    /// The payment that was named; else the first with enough; else the one with most.
    fn payment_that(
        &self,
        named: Option<PaymentId>,
        has: fn(&PaymentBook) -> i64,
        amount: Option<Money>,
    ) -> Result<PaymentId, OrderRejection> {
        if let Some(payment) = named {
            return Ok(payment);
        }
        let enough = amount.map_or(1, |amount| amount.minor);
        let first = self.payments.iter().find(|(_, book)| has(book) >= enough);
        let most = || self.payments.iter().max_by_key(|(_, book)| has(book));
        let found = first.or_else(most).map(|(&payment, _)| payment);
        let nothing = self.money(0);
        found.ok_or(OrderRejection::OverCapture {
            requested: amount.unwrap_or(nothing),
            available: nothing,
        })
    }
}
