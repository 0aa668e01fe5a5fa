use domain::Decider;
use domain::ids::{CaptureId, OrderId, PartnerReference, PaymentId, RefundId};
use domain::money::{Currency, Money};
use domain::payment::{
    Ledger, Payment, PaymentAuthorised, PaymentCaptured, PaymentCommand, PaymentDeclined,
    PaymentEvent, PaymentExpired, PaymentState,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::code::{PaymentSource, PaymentStatus};
use crate::projections::tests::{folded, recorded};

const ID: PaymentId = PaymentId(Uuid::nil());
const ORDER: OrderId = OrderId(Uuid::nil());

fn gbp(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

fn reference(text: &str) -> PartnerReference {
    PartnerReference::new(text).unwrap()
}

fn capture(id: u128, minor: i64, is_final: bool) -> PaymentCommand {
    let capture = CaptureId(Uuid::from_u128(id));
    PaymentCommand::RecordCapture { capture, amount: gbp(minor), is_final }
}

fn refund(id: u128, minor: i64) -> PaymentCommand {
    PaymentCommand::RecordRefund { refund: RefundId(Uuid::from_u128(id)), amount: gbp(minor) }
}

fn authorise() -> PaymentCommand {
    let reference = reference("pay-1");
    let expires_at = None;
    PaymentCommand::RecordAuthorisation { order: ORDER, amount: gbp(100), reference, expires_at }
}

fn await_authorisation() -> PaymentCommand {
    let reference = None;
    PaymentCommand::RecordAuthorisationPending { order: ORDER, amount: gbp(100), reference }
}

fn decline() -> PaymentCommand {
    PaymentCommand::RecordDecline { order: ORDER, amount: gbp(100), code: "card-expired".into() }
}

fn charge_back(minor: i64) -> PaymentCommand {
    let (reference, reason) = (reference("cb-1"), "fraudulent".to_owned());
    PaymentCommand::RecordChargeback { reference, amount: gbp(minor), reason }
}

/// What the domain makes of these commands, leaving out those that it refuses.
fn decided(
    commands: impl IntoIterator<Item = PaymentCommand>,
) -> (Vec<PaymentEvent>, PaymentState) {
    let mut log = vec![];
    let mut state = Payment::initial();
    for command in commands {
        let events = Payment::decide(&state, &command).unwrap_or_default();
        state = domain::fold::<Payment>(state, &events);
        log.extend(events);
    }
    (log, state)
}

fn row_after(commands: impl IntoIterator<Item = PaymentCommand>) -> PaymentRow {
    folded::<Payments>(&ID, &decided(commands).0).unwrap()
}

#[test]
fn the_status_of_a_payment_follows_its_amounts() {
    use PaymentCommand::{RecordExpiry, RecordVoid};
    let part = || capture(1, 60, false);
    let cases = [
        (vec![await_authorisation()], PaymentStatus::Pending),
        (vec![await_authorisation(), authorise()], PaymentStatus::Authorised),
        (vec![await_authorisation(), decline()], PaymentStatus::Declined),
        (vec![await_authorisation(), RecordVoid], PaymentStatus::Voided),
        (vec![await_authorisation(), RecordVoid, authorise()], PaymentStatus::Authorised),
        (vec![await_authorisation(), RecordExpiry], PaymentStatus::Expired),
        (vec![decline()], PaymentStatus::Declined),
        (vec![authorise()], PaymentStatus::Authorised),
        (vec![authorise(), RecordVoid], PaymentStatus::Voided),
        (vec![authorise(), RecordExpiry], PaymentStatus::Expired),
        (vec![authorise(), part()], PaymentStatus::Captured),
        (vec![authorise(), part(), RecordExpiry], PaymentStatus::Captured),
        (vec![authorise(), capture(1, 60, true)], PaymentStatus::Captured),
        (vec![authorise(), part(), refund(9, 59)], PaymentStatus::Captured),
        (vec![authorise(), part(), refund(9, 60)], PaymentStatus::Refunded),
        (vec![authorise(), part(), refund(9, 20), charge_back(40)], PaymentStatus::ChargedBack),
    ];
    for (commands, wanted) in cases {
        assert_eq!(row_after(commands.clone()).status, wanted, "{commands:?}");
    }
}

#[test]
fn a_payment_says_who_took_the_money() {
    let (order, amount) = (ORDER, gbp(100));
    let manual = PaymentCommand::RecordManualPayment { order, amount, reference: reference("r") };
    let elsewhere =
        PaymentCommand::RecordSettlementElsewhere { order, amount, reference: reference("r") };
    assert_eq!(row_after([authorise()]).source, PaymentSource::Gateway);
    for (command, source) in
        [(manual, PaymentSource::Manual), (elsewhere, PaymentSource::Elsewhere)]
    {
        let row = row_after([command]);
        assert_eq!((row.source, row.status), (source, PaymentStatus::Captured));
        assert_eq!((row.captured_minor, row.held_minor()), (100, 0));
    }
}

#[test]
fn every_movement_is_kept_with_its_amount_and_how_it_ended() {
    use PaymentMovementKind::{Capture, Chargeback};
    use PaymentMovementState::{Done, Failed};
    let id = CaptureId(Uuid::from_u128(1));
    let row = row_after([
        authorise(),
        PaymentCommand::RecordCapturePending { capture: id, amount: gbp(60), is_final: true },
        PaymentCommand::RecordCaptureFailure { capture: id, code: "capture_declined".into() },
        capture(2, 40, false),
        charge_back(10),
    ]);
    let told: Vec<_> = row
        .movements
        .iter()
        .map(|it| (it.kind, it.state, it.amount_minor, it.reason.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (Capture, Failed, Some(60), Some("capture_declined")),
            (Capture, Done, Some(40), None),
            (Chargeback, Done, Some(10), Some("fraudulent")),
        ]
    );
    assert_eq!(row.movements[2].id, "cb-1");
}

#[test]
fn a_stream_does_not_begin_with_money_that_moves_and_does_not_open_twice() {
    let stream = schemas::stream_of::<Payment>(&ID);
    let expired = PaymentEvent::Expired(PaymentExpired { amount: gbp(1) });
    let refused = Payments::begin(&ID, &expired, &recorded(&stream, 0, &expired));
    assert!(matches!(refused, Err(Unfoldable::NotFirst { .. })));
    let again = PaymentEvent::Authorised(PaymentAuthorised {
        order: ORDER,
        amount: gbp(100),
        reference: reference("pay-1"),
        expires_at: None,
    });
    let declined = PaymentEvent::Declined(PaymentDeclined {
        order: ORDER,
        amount: gbp(100),
        code: "card-expired".to_owned(),
    });
    for event in [again, declined] {
        let mut row = row_after([authorise()]);
        let refused = Payments::evolve(&mut row, &event, &recorded(&stream, 1, &event));
        assert!(matches!(refused, Err(Unfoldable::Repeated { .. })));
    }
}

#[test]
fn a_sum_that_does_not_fit_is_refused_and_leaves_the_row_as_it_was() {
    let mut row = row_after([authorise(), capture(1, 60, false)]);
    let before = row.clone();
    let stream = schemas::stream_of::<Payment>(&ID);
    let huge = PaymentEvent::Captured(PaymentCaptured {
        capture: CaptureId(Uuid::from_u128(2)),
        amount: gbp(i64::MAX),
        is_final: false,
    });
    let refused = Payments::evolve(&mut row, &huge, &recorded(&stream, 2, &huge));
    assert_eq!(refused, Err(Unfoldable::TooLarge));
    assert_eq!(row, before);
}

fn any_command() -> impl Strategy<Value = PaymentCommand> {
    let captures = || (0..4_u128, 1..60_i64);
    let refunds = || (5..8_u128, 1..40_i64);
    prop_oneof![
        1 => Just(await_authorisation()),
        3 => Just(authorise()),
        2 => captures().prop_map(|(id, minor)| PaymentCommand::RecordCapturePending {
            capture: CaptureId(Uuid::from_u128(id)),
            amount: gbp(minor),
            is_final: false,
        }),
        3 => (captures(), prop::bool::weighted(0.2))
            .prop_map(|((id, minor), is_final)| capture(id, minor, is_final)),
        2 => (0..4_u128).prop_map(|id| PaymentCommand::RecordCaptureFailure {
            capture: CaptureId(Uuid::from_u128(id)),
            code: "capture_declined".into(),
        }),
        1 => Just(PaymentCommand::RecordVoidPending),
        1 => Just(PaymentCommand::RecordVoid),
        1 => Just(PaymentCommand::RecordExpiry),
        2 => refunds().prop_map(|(id, minor)| PaymentCommand::RecordRefundPending {
            refund: RefundId(Uuid::from_u128(id)),
            amount: gbp(minor),
        }),
        2 => refunds().prop_map(|(id, minor)| refund(id, minor)),
        2 => (5..8_u128).prop_map(|id| PaymentCommand::RecordRefundFailure {
            refund: RefundId(Uuid::from_u128(id)),
            code: "refund_refused".into(),
        }),
        1 => (1..40_i64).prop_map(charge_back),
    ]
}

fn told_by(ledger: &Ledger) -> [i64; 9] {
    [
        ledger.authorised,
        ledger.capture_pending(),
        ledger.captured,
        ledger.voided,
        ledger.refund_pending(),
        ledger.refunded,
        ledger.charged_back,
        ledger.capturable(),
        ledger.refundable(),
    ]
    .map(|amount| amount.minor)
}

proptest! {
    #[test]
    fn a_payment_row_says_what_the_domain_says(
        commands in prop::collection::vec(any_command(), 1..30),
    ) {
        let (log, state) = decided(commands);
        let Some(row) = folded::<Payments>(&ID, &log) else { return Ok(()) };
        if let PaymentState::Open(ledger) = &state {
            let told = [
                row.authorised_minor,
                row.capturing_minor,
                row.captured_minor,
                row.voided_minor,
                row.refunding_minor,
                row.refunded_minor,
                row.charged_back_minor,
                row.held_minor(),
                row.refundable_minor(),
            ];
            prop_assert_eq!(told, told_by(ledger), "{:?}", log);
            prop_assert_eq!(row.expired, ledger.expired);
            prop_assert_eq!(row.voiding && row.held_minor() > 0, ledger.void_pending().minor > 0);
        }
        prop_assert_eq!(
            row.status == PaymentStatus::Pending,
            matches!(state, PaymentState::Pending { .. })
        );
    }
}
