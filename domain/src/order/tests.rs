use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::ids::{Channel, CountryCode, PaymentToken, Sku};
use crate::money::{Currency, Money, MoneyError};
use crate::quantity::Quantity;
use crate::testing::{given, run_each_twice};

fn gbp(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

fn line(sku: &str, quantity: i64, minor: i64) -> Line {
    Line {
        sku: Sku::new(sku).unwrap(),
        title: String::new(),
        kind: LineKind::Goods,
        quantity: Quantity::new(quantity).unwrap(),
        unit_price: gbp(minor),
    }
}

fn details(lines: Vec<Line>, total: i64) -> OrderDetails {
    OrderDetails {
        channel: Channel::new("web").unwrap(),
        customer: None,
        country: CountryCode::new("GB").unwrap(),
        lines,
        currency: Currency::GBP,
        total: gbp(total),
        handling: Handling::Partners { payment_token: PaymentToken::new("tok_ok").unwrap() },
    }
}

fn place(details: OrderDetails) -> OrderCommand {
    OrderCommand::Place { details: Arc::new(details), placed_at: chrono::DateTime::UNIX_EPOCH }
}

fn two_mugs() -> OrderDetails {
    details(vec![line("MUG", 2, 499)], 998)
}

fn placed() -> OrderEvent {
    let placed_at = chrono::DateTime::UNIX_EPOCH;
    OrderEvent::Placed(OrderPlaced { details: Arc::new(two_mugs()), placed_at })
}

fn confirmed() -> OrderEvent {
    OrderEvent::Confirmed(OrderConfirmed {})
}

fn shipped() -> OrderEvent {
    OrderEvent::Shipped(OrderShipped {})
}

fn cancelled(reason: CancelReason) -> OrderEvent {
    OrderEvent::Cancelled(OrderCancelled { reason })
}

const BY_CUSTOMER: OrderCommand = OrderCommand::Cancel { reason: CancelReason::Customer };

#[test]
fn an_order_that_adds_up_is_placed() {
    given::<Order>([]).when(place(two_mugs())).then([placed()]);
}

#[test]
fn placing_again_changes_nothing_even_at_another_time() {
    let later = chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(1);
    let again = OrderCommand::Place { details: Arc::new(two_mugs()), placed_at: later };
    given::<Order>([placed(), confirmed()]).when(again).then_nothing();
}

#[test]
fn another_order_under_the_same_id_is_a_conflict() {
    let other = place(details(vec![line("MUG", 3, 499)], 1497));
    given::<Order>([placed()]).when(other).then_rejected(OrderRejection::IdempotencyConflict);
}

#[test]
fn an_order_needs_lines() {
    given::<Order>([]).when(place(details(vec![], 0))).then_rejected(OrderRejection::NoLines);
}

#[test]
fn an_order_has_at_most_two_thousand_lines() {
    let lines = vec![line("MUG", 1, 1); 2_001];
    given::<Order>([])
        .when(place(details(lines, 2_001)))
        .then_rejected(OrderRejection::TooManyLines { lines: 2_001, max: 2_000 });
}

#[test]
fn the_total_must_add_up() {
    given::<Order>([])
        .when(place(details(vec![line("MUG", 2, 499)], 999)))
        .then_rejected(OrderRejection::TotalMismatch { declared: gbp(999), computed: gbp(998) });
}

#[test]
fn an_order_has_one_currency() {
    let mut mixed = details(vec![line("MUG", 1, 100), line("CUP", 1, 100)], 200);
    mixed.lines[1].unit_price.currency = Currency::EUR;
    let source = MoneyError::MixedCurrencies { left: Currency::GBP, right: Currency::EUR };
    given::<Order>([])
        .when(place(mixed))
        .then_rejected(OrderRejection::Arithmetic { line: 1, source });
}

#[test]
fn lines_of_the_same_sku_are_counted_together() {
    let twice = details(vec![line("MUG", 10_000_000, 0), line("CUP", 1, 0), line("MUG", 1, 0)], 0);
    given::<Order>([]).when(place(twice)).then_rejected(OrderRejection::TooManyUnits {
        sku: Sku::new("MUG").unwrap(),
        units: 10_000_001,
        max: 10_000_000,
    });
}

#[test]
fn a_price_is_not_negative() {
    given::<Order>([])
        .when(place(details(vec![line("MUG", 1, -1)], -1)))
        .then_rejected(OrderRejection::NegativePrice { line: 0 });
}

#[test]
fn a_total_that_does_not_fit_is_refused() {
    let huge = details(vec![line("MUG", 2, i64::MAX)], 0);
    given::<Order>([])
        .when(place(huge))
        .then_rejected(OrderRejection::Arithmetic { line: 0, source: MoneyError::Overflow });
}

#[test]
fn nothing_happens_to_an_order_that_was_never_placed() {
    for command in [OrderCommand::Confirm, OrderCommand::Ship, OrderCommand::Complete, BY_CUSTOMER]
    {
        given::<Order>([]).when(command).then_rejected(OrderRejection::NotFound);
    }
}

#[test]
fn a_confirmed_order_can_be_cancelled() {
    given::<Order>([placed(), confirmed()])
        .when(BY_CUSTOMER)
        .then([cancelled(CancelReason::Customer)]);
}

#[test]
fn a_shipped_order_cannot_be_cancelled() {
    given::<Order>([placed(), confirmed(), shipped()]).when(BY_CUSTOMER).then_rejected(
        OrderRejection::InvalidTransition { status: OrderStatus::Shipped, wanted: "cancelled" },
    );
}

#[test]
fn a_cancelled_order_is_not_shipped() {
    let status = OrderStatus::Cancelled(CancelReason::Customer);
    given::<Order>([placed(), confirmed(), cancelled(CancelReason::Customer)])
        .when(OrderCommand::Ship)
        .then_rejected(OrderRejection::InvalidTransition { status, wanted: "shipped" });
}

#[test]
fn the_first_reason_to_cancel_stands() {
    given::<Order>([placed(), cancelled(CancelReason::PaymentDeclined)])
        .when(BY_CUSTOMER)
        .then_nothing();
}

#[test]
fn an_order_is_not_shipped_before_it_is_confirmed() {
    given::<Order>([placed()]).when(OrderCommand::Ship).then_rejected(
        OrderRejection::InvalidTransition { status: OrderStatus::Pending, wanted: "shipped" },
    );
}

#[test]
fn a_confirmed_order_is_not_rejected_for_lack_of_stock() {
    let reason = RejectReason::UnknownSku { sku: Sku::new("MUG").unwrap() };
    given::<Order>([placed(), confirmed()]).when(OrderCommand::Reject { reason }).then_rejected(
        OrderRejection::InvalidTransition { status: OrderStatus::Confirmed, wanted: "rejected" },
    );
}

fn any_command() -> impl Strategy<Value = OrderCommand> {
    prop_oneof![
        Just(place(two_mugs())),
        Just(place(details(vec![line("CUP", 1, 100)], 100))),
        Just(OrderCommand::Confirm),
        Just(OrderCommand::Ship),
        Just(OrderCommand::Complete),
        Just(BY_CUSTOMER),
        Just(OrderCommand::Reject {
            reason: RejectReason::UnknownSku { sku: Sku::new("MUG").unwrap() }
        }),
    ]
}

proptest! {
    #[test]
    fn a_command_twice_changes_nothing_the_second_time(
        commands in prop::collection::vec(any_command(), 0..12),
    ) {
        run_each_twice::<Order>(commands);
    }

    #[test]
    fn what_was_shipped_was_confirmed_and_is_never_cancelled(
        commands in prop::collection::vec(any_command(), 0..12),
    ) {
        let (log, _) = run_each_twice::<Order>(commands);
        let at = |wanted: &OrderEvent| log.iter().position(|event| event == wanted);
        if let Some(shipped) = at(&shipped()) {
            prop_assert!(at(&confirmed()).is_some_and(|confirmed| confirmed < shipped));
            prop_assert!(!log.iter().any(|event| matches!(event, OrderEvent::Cancelled(_))));
        }
    }

    #[test]
    fn nothing_follows_a_terminal_event(commands in prop::collection::vec(any_command(), 0..12)) {
        let (log, _) = run_each_twice::<Order>(commands);
        let terminal = log.iter().position(|event| matches!(
            event,
            OrderEvent::Completed(_) | OrderEvent::Cancelled(_) | OrderEvent::Rejected(_)
        ));
        if let Some(terminal) = terminal {
            prop_assert_eq!(terminal, log.len() - 1);
        }
    }
}
