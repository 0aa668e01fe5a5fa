use proptest::prelude::*;

use super::*;
use crate::money::Currency;
use crate::testing::{given, run_each_twice};

const ORDER: OrderId = OrderId(Uuid::from_u128(1));

fn gbp(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

fn reference() -> PartnerReference {
    PartnerReference::new("pay_1").unwrap()
}

fn authorise(minor: i64) -> PaymentCommand {
    PaymentCommand::RecordAuthorisation { order: ORDER, amount: gbp(minor), reference: reference() }
}

fn capture(id: u128, minor: i64) -> PaymentCommand {
    PaymentCommand::RecordCapture { capture: Uuid::from_u128(id), amount: gbp(minor) }
}

fn refund(id: u128, minor: i64) -> PaymentCommand {
    PaymentCommand::RecordRefund { refund: Uuid::from_u128(id), amount: gbp(minor) }
}

fn decline() -> PaymentCommand {
    PaymentCommand::RecordDecline { order: ORDER, amount: gbp(100), code: "card_declined".into() }
}

fn authorised(minor: i64) -> PaymentEvent {
    let (order, amount, reference) = (ORDER, gbp(minor), reference());
    PaymentEvent::Authorised(PaymentAuthorised { order, amount, reference })
}

fn captured(id: u128, minor: i64) -> PaymentEvent {
    let capture = Uuid::from_u128(id);
    PaymentEvent::Captured(PaymentCaptured { capture, amount: gbp(minor) })
}

fn voided(minor: i64) -> PaymentEvent {
    PaymentEvent::Voided(PaymentVoided { amount: gbp(minor) })
}

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
fn not_more_is_refunded_than_was_captured() {
    given::<Payment>([authorised(1000), captured(1, 600)])
        .when(refund(9, 601))
        .then_rejected(PaymentRejection::OverRefund { amount: gbp(601), refundable: gbp(600) });
}

#[test]
fn a_void_lets_go_of_what_was_not_captured() {
    given::<Payment>([authorised(1000), captured(1, 600)])
        .when(PaymentCommand::RecordVoid)
        .then([voided(400)]);
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
}

#[test]
fn the_same_capture_counts_once_and_never_with_another_amount() {
    given::<Payment>([authorised(1000), captured(1, 600)]).when(capture(1, 600)).then_nothing();
    given::<Payment>([authorised(1000), captured(1, 600)])
        .when(capture(1, 100))
        .then_rejected(PaymentRejection::Contradiction);
}

#[test]
fn a_declined_payment_is_not_authorised_afterwards() {
    let declined = PaymentEvent::Declined(PaymentDeclined {
        order: ORDER,
        amount: gbp(100),
        code: "card_declined".into(),
    });
    given::<Payment>([declined])
        .when(authorise(100))
        .then_rejected(PaymentRejection::Contradiction);
}

#[test]
fn a_capture_is_in_the_currency_of_the_payment() {
    let amount = Money::new(1, Currency::EUR);
    let command = PaymentCommand::RecordCapture { capture: Uuid::from_u128(1), amount };
    given::<Payment>([authorised(1000)]).when(command).then_rejected(
        PaymentRejection::OtherCurrency { expected: Currency::GBP, given: Currency::EUR },
    );
}

#[test]
fn what_was_paid_elsewhere_counts_as_captured_and_can_be_refunded() {
    let command = PaymentCommand::RecordSettlementElsewhere {
        order: ORDER,
        amount: gbp(500),
        reference: reference(),
    };
    let (log, _) = run_each_twice::<Payment>([command, refund(1, 500)]);
    assert_eq!(log.len(), 2);
}

fn any_command() -> impl Strategy<Value = PaymentCommand> {
    prop_oneof![
        (1..500_i64).prop_map(authorise),
        (0..5_u128, -1..300_i64).prop_map(|(id, minor)| capture(id, minor)),
        (5..10_u128, -1..300_i64).prop_map(|(id, minor)| refund(id, minor)),
        Just(PaymentCommand::RecordVoid),
        Just(decline()),
    ]
}

proptest! {
    #[test]
    fn a_command_twice_changes_nothing_the_second_time(
        commands in prop::collection::vec(any_command(), 0..30),
    ) {
        run_each_twice::<Payment>(commands);
    }

    #[test]
    fn captured_never_exceeds_authorised_nor_refunded_captured(
        commands in prop::collection::vec(any_command(), 0..30),
    ) {
        let (_, state) = run_each_twice::<Payment>(commands);
        if let PaymentState::Open(ledger) = state {
            prop_assert!(ledger.held().minor >= 0);
            prop_assert!(ledger.captured.minor + ledger.voided.minor <= ledger.authorised.minor);
            prop_assert!(ledger.refundable().minor >= 0);
        }
    }
}
