use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::ids::{CaptureId, OrderId, PartnerReference, RefundId};
use crate::money::{Currency, Money};
use crate::testing::{given, run_each_twice};

const ORDER: OrderId = OrderId(Uuid::from_u128(1));

fn gbp(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

fn reference() -> PartnerReference {
    PartnerReference::new("pay_1").unwrap()
}

fn tomorrow() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(1)
}

fn await_authorisation(minor: i64) -> PaymentCommand {
    let reference = None;
    PaymentCommand::RecordAuthorisationPending { order: ORDER, amount: gbp(minor), reference }
}

fn authorise(minor: i64) -> PaymentCommand {
    PaymentCommand::RecordAuthorisation {
        order: ORDER,
        amount: gbp(minor),
        reference: reference(),
        expires_at: Some(tomorrow()),
    }
}

fn decline() -> PaymentCommand {
    PaymentCommand::RecordDecline { order: ORDER, amount: gbp(1000), code: "card_declined".into() }
}

fn await_capture(id: u128, minor: i64) -> PaymentCommand {
    let capture = CaptureId(Uuid::from_u128(id));
    PaymentCommand::RecordCapturePending { capture, amount: gbp(minor), is_final: false }
}

fn capture(id: u128, minor: i64) -> PaymentCommand {
    let capture = CaptureId(Uuid::from_u128(id));
    PaymentCommand::RecordCapture { capture, amount: gbp(minor), is_final: false }
}

fn capture_finally(id: u128, minor: i64) -> PaymentCommand {
    let capture = CaptureId(Uuid::from_u128(id));
    PaymentCommand::RecordCapture { capture, amount: gbp(minor), is_final: true }
}

fn fail_capture(id: u128) -> PaymentCommand {
    let capture = CaptureId(Uuid::from_u128(id));
    PaymentCommand::RecordCaptureFailure { capture, code: "capture_declined".into() }
}

fn await_refund(id: u128, minor: i64) -> PaymentCommand {
    let refund = RefundId(Uuid::from_u128(id));
    PaymentCommand::RecordRefundPending { refund, amount: gbp(minor) }
}

fn refund(id: u128, minor: i64) -> PaymentCommand {
    PaymentCommand::RecordRefund { refund: RefundId(Uuid::from_u128(id)), amount: gbp(minor) }
}

fn fail_refund(id: u128) -> PaymentCommand {
    let refund = RefundId(Uuid::from_u128(id));
    PaymentCommand::RecordRefundFailure { refund, code: "refund_refused".into() }
}

fn charge_back(id: u128, minor: i64) -> PaymentCommand {
    PaymentCommand::RecordChargeback {
        reference: PartnerReference::new(format!("cb_{id}")).unwrap(),
        amount: gbp(minor),
        reason: "fraudulent".into(),
    }
}

fn pay_manually(minor: i64) -> PaymentCommand {
    let amount = gbp(minor);
    PaymentCommand::RecordManualPayment { order: ORDER, amount, reference: reference() }
}

fn awaited(minor: i64) -> PaymentEvent {
    PaymentEvent::AuthorisationPending(PaymentAuthorisationPending {
        order: ORDER,
        amount: gbp(minor),
        reference: None,
    })
}

fn authorised(minor: i64) -> PaymentEvent {
    PaymentEvent::Authorised(PaymentAuthorised {
        order: ORDER,
        amount: gbp(minor),
        reference: reference(),
        expires_at: Some(tomorrow()),
    })
}

fn declined() -> PaymentEvent {
    let (order, amount, code) = (ORDER, gbp(1000), "card_declined".into());
    PaymentEvent::Declined(PaymentDeclined { order, amount, code })
}

fn capture_pending(id: u128, minor: i64) -> PaymentEvent {
    let capture = CaptureId(Uuid::from_u128(id));
    let event = PaymentCapturePending { capture, amount: gbp(minor), is_final: false };
    PaymentEvent::CapturePending(event)
}

fn captured(id: u128, minor: i64) -> PaymentEvent {
    let capture = CaptureId(Uuid::from_u128(id));
    PaymentEvent::Captured(PaymentCaptured { capture, amount: gbp(minor), is_final: false })
}

fn captured_finally(id: u128, minor: i64) -> PaymentEvent {
    let capture = CaptureId(Uuid::from_u128(id));
    PaymentEvent::Captured(PaymentCaptured { capture, amount: gbp(minor), is_final: true })
}

fn capture_failed(id: u128) -> PaymentEvent {
    let (capture, code) = (CaptureId(Uuid::from_u128(id)), "capture_declined".into());
    PaymentEvent::CaptureFailed(PaymentCaptureFailed { capture, code })
}

fn voided(minor: i64) -> PaymentEvent {
    PaymentEvent::Voided(PaymentVoided { amount: gbp(minor) })
}

fn refund_pending(id: u128, minor: i64) -> PaymentEvent {
    let refund = RefundId(Uuid::from_u128(id));
    PaymentEvent::RefundPending(PaymentRefundPending { refund, amount: gbp(minor) })
}

fn refunded(id: u128, minor: i64) -> PaymentEvent {
    let refund = RefundId(Uuid::from_u128(id));
    PaymentEvent::Refunded(PaymentRefunded { refund, amount: gbp(minor) })
}

fn refund_failed(id: u128) -> PaymentEvent {
    let (refund, code) = (RefundId(Uuid::from_u128(id)), "refund_refused".into());
    PaymentEvent::RefundFailed(PaymentRefundFailed { refund, code })
}

fn expired(minor: i64) -> PaymentEvent {
    PaymentEvent::Expired(PaymentExpired { amount: gbp(minor) })
}

fn charged_back(id: u128, minor: i64) -> PaymentEvent {
    PaymentEvent::ChargedBack(PaymentChargedBack {
        reference: PartnerReference::new(format!("cb_{id}")).unwrap(),
        amount: gbp(minor),
        reason: "fraudulent".into(),
    })
}

// Opening.

#[test]
fn an_authorisation_may_be_pending_before_it_is_given_or_declined() {
    given::<Payment>([]).when(await_authorisation(1000)).then([awaited(1000)]);
    given::<Payment>([awaited(1000)]).when(await_authorisation(1000)).then_nothing();
    given::<Payment>([awaited(1000)]).when(authorise(1000)).then([authorised(1000)]);
    given::<Payment>([awaited(1000)]).when(decline()).then([declined()]);
}

#[test]
fn pending_is_no_news_once_the_gateway_has_moved_on() {
    given::<Payment>([awaited(1000), authorised(1000)])
        .when(await_authorisation(1000))
        .then_nothing();
    given::<Payment>([declined()]).when(await_authorisation(1000)).then_nothing();
}

#[test]
fn not_another_amount_is_authorised_than_was_asked_for() {
    given::<Payment>([awaited(1000)])
        .when(authorise(999))
        .then_rejected(PaymentRejection::Contradiction);
}

#[test]
fn a_declined_payment_is_not_authorised_afterwards() {
    given::<Payment>([declined()])
        .when(authorise(1000))
        .then_rejected(PaymentRejection::Contradiction);
}

#[test]
fn a_payment_that_was_let_go_while_pending_holds_nothing() {
    given::<Payment>([awaited(1000)]).when(PaymentCommand::RecordVoid).then([voided(0)]);
    given::<Payment>([awaited(1000)]).when(PaymentCommand::RecordExpiry).then([expired(0)]);
    given::<Payment>([awaited(1000), voided(0)]).when(PaymentCommand::RecordVoid).then_nothing();
}

#[test]
fn what_is_authorised_late_is_recorded_so_that_it_can_be_let_go_again() {
    let (log, state) = run_each_twice::<Payment>([
        await_authorisation(1000),
        PaymentCommand::RecordVoid,
        authorise(1000),
        PaymentCommand::RecordVoid,
    ]);
    assert_eq!(log, [awaited(1000), voided(0), authorised(1000), voided(1000)]);
    assert_eq!(state.ledger().unwrap().held(), gbp(0));
}

// Captures.

#[test]
fn not_more_is_captured_than_is_held() {
    given::<Payment>([authorised(1000), captured(1, 600)])
        .when(capture(2, 401))
        .then_rejected(PaymentRejection::OverCapture { amount: gbp(401), held: gbp(400) });
    given::<Payment>([authorised(1000), captured(1, 600)])
        .when(capture(2, 400))
        .then([captured(2, 400)]);
}

#[test]
fn what_is_on_its_way_counts_as_captured() {
    let past = [authorised(1000), capture_pending(1, 600)];
    let too_much = PaymentRejection::OverCapture { amount: gbp(401), held: gbp(400) };
    given::<Payment>(past.clone()).when(capture(2, 401)).then_rejected(too_much.clone());
    given::<Payment>(past.clone()).when(await_capture(2, 401)).then_rejected(too_much);
    given::<Payment>(past).when(capture(1, 600)).then([captured(1, 600)]);
}

#[test]
fn a_failed_capture_gives_its_amount_free_again() {
    given::<Payment>([authorised(1000), capture_pending(1, 600), capture_failed(1)])
        .when(capture(2, 1000))
        .then([captured(2, 1000)]);
}

#[test]
fn a_success_after_a_failure_is_recorded_as_long_as_the_money_is_there() {
    let failed = [authorised(1000), capture_pending(1, 600), capture_failed(1)];
    given::<Payment>(failed.clone()).when(capture(1, 600)).then([captured(1, 600)]);
    given::<Payment>(failed.into_iter().chain([captured(2, 600)]))
        .when(capture(1, 600))
        .then_rejected(PaymentRejection::OverCapture { amount: gbp(600), held: gbp(400) });
}

#[test]
fn a_final_capture_lets_go_of_the_rest() {
    given::<Payment>([authorised(1000)])
        .when(capture_finally(1, 600))
        .then([captured_finally(1, 600), voided(400)]);
    given::<Payment>([authorised(1000)])
        .when(capture_finally(1, 1000))
        .then([captured_finally(1, 1000)]);
}

#[test]
fn after_a_final_capture_what_fails_to_be_captured_is_let_go_too() {
    given::<Payment>([
        authorised(1000),
        capture_pending(1, 300),
        captured_finally(2, 600),
        voided(100),
    ])
    .when(fail_capture(1))
    .then([capture_failed(1), voided(300)]);
}

#[test]
fn a_capture_that_was_refused_outright_is_known() {
    given::<Payment>([authorised(1000)]).when(fail_capture(1)).then([capture_failed(1)]);
    given::<Payment>([authorised(1000), capture_failed(1)]).when(fail_capture(1)).then_nothing();
}

#[test]
fn what_was_captured_did_not_fail() {
    given::<Payment>([authorised(1000), captured(1, 600)])
        .when(fail_capture(1))
        .then_rejected(PaymentRejection::Contradiction);
}

#[test]
fn the_same_capture_counts_once_and_never_with_another_amount() {
    given::<Payment>([authorised(1000), captured(1, 600)]).when(capture(1, 600)).then_nothing();
    for past in [captured(1, 600), capture_pending(1, 600)] {
        given::<Payment>([authorised(1000), past])
            .when(capture(1, 100))
            .then_rejected(PaymentRejection::Contradiction);
    }
}

#[test]
fn a_capture_is_in_the_currency_of_the_payment_and_above_zero() {
    let euro = PaymentCommand::RecordCapture {
        capture: CaptureId(Uuid::from_u128(1)),
        amount: Money::new(1, Currency::EUR),
        is_final: false,
    };
    given::<Payment>([authorised(1000)]).when(euro).then_rejected(
        PaymentRejection::OtherCurrency { expected: Currency::GBP, given: Currency::EUR },
    );
    given::<Payment>([authorised(1000)])
        .when(capture(1, 0))
        .then_rejected(PaymentRejection::NotPositive { amount: gbp(0) });
}

// Letting go.

#[test]
fn a_void_lets_go_of_what_was_not_captured() {
    given::<Payment>([authorised(1000), captured(1, 600)])
        .when(PaymentCommand::RecordVoid)
        .then([voided(400)]);
}

#[test]
fn a_void_leaves_what_is_on_its_way_and_takes_it_when_it_fails() {
    given::<Payment>([authorised(1000), capture_pending(1, 1000)])
        .when(PaymentCommand::RecordVoid)
        .then([voided(0)]);
    given::<Payment>([authorised(1000), capture_pending(1, 600), voided(400)])
        .when(fail_capture(1))
        .then([capture_failed(1), voided(600)]);
    given::<Payment>([authorised(1000), capture_pending(1, 600), voided(400)])
        .when(capture(1, 600))
        .then([captured(1, 600)]);
}

#[test]
fn nothing_is_captured_after_a_void() {
    given::<Payment>([authorised(1000), voided(1000)])
        .when(capture(1, 1))
        .then_rejected(PaymentRejection::OverCapture { amount: gbp(1), held: gbp(0) });
}

#[test]
fn a_void_without_a_payment_is_no_error() {
    given::<Payment>([]).when(PaymentCommand::RecordVoid).then_nothing();
    given::<Payment>([declined()]).when(PaymentCommand::RecordVoid).then_nothing();
}

#[test]
fn a_void_may_be_pending() {
    let pending = PaymentEvent::VoidPending(PaymentVoidPending { amount: gbp(400) });
    let past = [authorised(1000), captured(1, 600)];
    given::<Payment>(past.clone()).when(PaymentCommand::RecordVoidPending).then([pending.clone()]);
    let past: Vec<_> = past.into_iter().chain([pending]).collect();
    given::<Payment>(past.clone()).when(PaymentCommand::RecordVoidPending).then_nothing();
    given::<Payment>(past).when(PaymentCommand::RecordVoid).then([voided(400)]);
}

#[test]
fn nothing_is_held_after_the_authorisation_has_run_out() {
    let (log, state) = run_each_twice::<Payment>([
        authorise(1000),
        capture(1, 300),
        PaymentCommand::RecordExpiry,
        PaymentCommand::RecordVoid,
    ]);
    assert_eq!(log, [authorised(1000), captured(1, 300), expired(700)]);
    let ledger = state.ledger().unwrap();
    assert_eq!((ledger.held(), ledger.capturable(), ledger.captured), (gbp(0), gbp(0), gbp(300)));
}

#[test]
fn what_the_gateway_captured_all_the_same_after_expiry_is_recorded() {
    given::<Payment>([authorised(1000), expired(1000)])
        .when(capture_finally(1, 600))
        .then([captured_finally(1, 600)]);
}

// Refunds and charge-backs.

#[test]
fn not_more_is_refunded_than_was_captured() {
    given::<Payment>([authorised(1000), captured(1, 600)])
        .when(refund(9, 601))
        .then_rejected(PaymentRejection::OverRefund { amount: gbp(601), refundable: gbp(600) });
}

#[test]
fn what_is_on_its_way_counts_as_refunded() {
    let past = [authorised(1000), captured(1, 600), refund_pending(8, 500)];
    let too_much = PaymentRejection::OverRefund { amount: gbp(101), refundable: gbp(100) };
    given::<Payment>(past.clone()).when(refund(9, 101)).then_rejected(too_much.clone());
    given::<Payment>(past.clone()).when(await_refund(9, 101)).then_rejected(too_much);
    given::<Payment>(past).when(refund(8, 500)).then([refunded(8, 500)]);
}

#[test]
fn a_failed_refund_can_be_made_again_and_a_late_success_is_recorded() {
    let past = [authorised(1000), captured(1, 600), refund_pending(8, 600), refund_failed(8)];
    given::<Payment>(past.clone()).when(refund(9, 600)).then([refunded(9, 600)]);
    given::<Payment>(past).when(refund(8, 600)).then([refunded(8, 600)]);
}

#[test]
fn what_was_refunded_did_not_fail() {
    given::<Payment>([authorised(1000), captured(1, 600), refunded(8, 100)])
        .when(fail_refund(8))
        .then_rejected(PaymentRejection::Contradiction);
}

#[test]
fn a_charge_back_counts_once_and_leaves_less_to_refund() {
    let past = [authorised(1000), captured(1, 600)];
    given::<Payment>(past.clone()).when(charge_back(1, 400)).then([charged_back(1, 400)]);
    let (_, state) = run_each_twice::<Payment>([
        authorise(1000),
        capture(1, 600),
        charge_back(1, 400),
        charge_back(1, 400),
    ]);
    let ledger = state.ledger().unwrap();
    assert_eq!((ledger.charged_back, ledger.refundable()), (gbp(400), gbp(200)));
    given::<Payment>(past.into_iter().chain([charged_back(1, 400)]))
        .when(charge_back(2, 201))
        .then_rejected(PaymentRejection::OverChargeback { amount: gbp(201), captured: gbp(200) });
}

#[test]
fn nothing_moves_before_money_is_held() {
    for command in [
        await_capture(1, 1),
        capture(1, 1),
        fail_capture(1),
        await_refund(1, 1),
        refund(1, 1),
        fail_refund(1),
        charge_back(1, 1),
    ] {
        for past in [vec![], vec![awaited(1000)], vec![declined()]] {
            given::<Payment>(past)
                .when(command.clone())
                .then_rejected(PaymentRejection::NotAuthorised);
        }
    }
}

#[test]
fn what_was_paid_otherwise_counts_as_captured_and_can_be_refunded() {
    let elsewhere = PaymentCommand::RecordSettlementElsewhere {
        order: ORDER,
        amount: gbp(500),
        reference: reference(),
    };
    for paid in [elsewhere, pay_manually(500)] {
        let (log, state) = run_each_twice::<Payment>([paid, refund(1, 500)]);
        assert_eq!(log.len(), 2);
        assert_eq!(state.ledger().unwrap().held(), gbp(0));
    }
}

#[test]
fn a_payment_that_the_gateway_thinks_about_is_not_paid_in_another_way() {
    given::<Payment>([awaited(1000)])
        .when(pay_manually(1000))
        .then_rejected(PaymentRejection::Contradiction);
}

fn any_command() -> impl Strategy<Value = PaymentCommand> {
    let captures = || (0..4_u128, -1..300_i64);
    let refunds = || (5..9_u128, -1..200_i64);
    prop_oneof![
        1 => Just(await_authorisation(500)),
        3 => (498..501_i64).prop_map(authorise),
        1 => Just(decline()),
        1 => Just(pay_manually(500)),
        3 => captures().prop_map(|(id, minor)| await_capture(id, minor)),
        3 => captures().prop_map(|(id, minor)| capture(id, minor)),
        1 => captures().prop_map(|(id, minor)| capture_finally(id, minor)),
        3 => (0..4_u128).prop_map(fail_capture),
        1 => Just(PaymentCommand::RecordVoidPending),
        1 => Just(PaymentCommand::RecordVoid),
        1 => Just(PaymentCommand::RecordExpiry),
        3 => refunds().prop_map(|(id, minor)| await_refund(id, minor)),
        3 => refunds().prop_map(|(id, minor)| refund(id, minor)),
        2 => (5..9_u128).prop_map(fail_refund),
        1 => (0..3_u128, -1..200_i64).prop_map(|(id, minor)| charge_back(id, minor)),
    ]
}

/// Money that was ever reported to have moved, per kind, straight from the events.
fn moved(log: &[PaymentEvent]) -> (i64, i64) {
    let mut moved = (0, 0);
    for event in log {
        if let PaymentEvent::Captured(event) = event {
            moved.0 += event.amount.minor;
        }
        if let PaymentEvent::Refunded(event) = event {
            moved.1 += event.amount.minor;
        }
    }
    moved
}

proptest! {
    #[test]
    fn a_command_twice_changes_nothing_the_second_time(
        commands in prop::collection::vec(any_command(), 0..40),
    ) {
        run_each_twice::<Payment>(commands);
    }

    #[test]
    fn the_ledger_always_balances(
        commands in prop::collection::vec(any_command(), 0..40),
    ) {
        for length in 0..=commands.len() {
            let (log, state) = run_each_twice::<Payment>(commands[..length].iter().cloned());
            let Some(ledger) = state.ledger() else { continue };
            let (pending, authorised) = (ledger.capture_pending().minor, ledger.authorised.minor);
            prop_assert!(ledger.captured.minor + pending + ledger.voided.minor <= authorised);
            let returned = ledger.refunded.minor + ledger.refund_pending().minor;
            prop_assert!(returned <= ledger.captured.minor);
            prop_assert!(ledger.charged_back.minor <= ledger.captured.minor);
            for amount in [
                ledger.held(), ledger.capturable(), ledger.refundable(), ledger.void_pending(),
                ledger.capture_pending(), ledger.refund_pending(),
            ] {
                prop_assert!(amount.minor >= 0, "{amount}");
            }
            if !matches!(log[0], PaymentEvent::PaidManually(_)) {
                prop_assert_eq!(moved(&log), (ledger.captured.minor, ledger.refunded.minor));
            }
        }
    }

    #[test]
    fn nothing_is_held_after_a_void_however_captures_end(
        before in prop::collection::vec(any_command(), 0..20),
        ids in prop::collection::vec((0..4_u128, any::<bool>()), 0..8),
    ) {
        let endings = ids.into_iter().map(|(id, succeeds)| {
            if succeeds { capture(id, 100) } else { fail_capture(id) }
        });
        let commands = before.into_iter().chain([PaymentCommand::RecordVoid]).chain(endings);
        let (_, state) = run_each_twice::<Payment>(commands);
        if let Some(ledger) = state.ledger() {
            prop_assert_eq!(ledger.held(), ledger.capture_pending());
        }
    }
}
