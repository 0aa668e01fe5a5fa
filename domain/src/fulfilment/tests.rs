use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::decider::fold;
use crate::ids::{CountryCode, PartnerReference, PaymentToken, Sku};
use crate::money::{Currency, Money};
use crate::order::Handling;
use crate::quantity::Quantity;
use crate::testing::run_each_twice;

fn partners() -> Handling {
    Handling::Partners { payment_token: PaymentToken::new("tok_ok").unwrap() }
}

fn start(handling: Handling) -> FulfilmentCommand {
    FulfilmentCommand::Start(FulfilmentStarted {
        reservations: vec![Reservation { sku: Sku::new("MUG").unwrap(), quantity: Quantity::ONE }],
        total: Money::new(499, Currency::GBP),
        country: CountryCode::new("GB").unwrap(),
        handling,
        payment_deadline: Some(DateTime::UNIX_EPOCH + TimeDelta::minutes(30)),
    })
}

fn done(step: Step) -> FulfilmentCommand {
    FulfilmentCommand::Complete { step }
}

fn refuse_payment() -> FulfilmentCommand {
    let refusal = Refusal::PaymentDeclined;
    FulfilmentCommand::Refuse { step: Step::AuthorisePayment, refusal }
}

const CANCEL: FulfilmentCommand =
    FulfilmentCommand::RequestCancellation { reason: CancelReason::Customer };

fn after(commands: impl IntoIterator<Item = FulfilmentCommand>) -> FulfilmentState {
    run_each_twice::<Fulfilment>(commands).1
}

/// Does whatever is due until nothing is, as a driver without bad luck would.
fn drive(mut state: FulfilmentState) -> (Vec<Step>, Outcome) {
    let mut steps = vec![];
    loop {
        match phase(&state) {
            Phase::Due(step) => {
                steps.push(step);
                let events = Fulfilment::decide(&state, &done(step)).unwrap();
                state = fold::<Fulfilment>(state, &events);
            }
            Phase::Finished(outcome) => return (steps, outcome),
            stuck @ (Phase::NotStarted | Phase::Waiting { .. } | Phase::Parked(_)) => {
                panic!("stuck in {stuck:?}")
            }
        }
    }
}

#[test]
fn an_order_goes_through_all_steps_in_the_order_of_the_table() {
    let (steps, outcome) = drive(after([start(partners())]));
    assert_eq!(steps, STEPS.map(|plan| plan.step));
    assert_eq!(outcome, Outcome::Fulfilled);
}

#[test]
fn an_order_handled_elsewhere_needs_no_carrier_and_no_capture() {
    let reference = PartnerReference::new("536365").unwrap();
    let (steps, outcome) = drive(after([start(Handling::Elsewhere { reference })]));
    assert_eq!(
        steps,
        [
            Step::ReserveStock,
            Step::AuthorisePayment,
            Step::ConfirmOrder,
            Step::ShipOrder,
            Step::HandOver,
            Step::CompleteOrder,
        ]
    );
    assert_eq!(outcome, Outcome::Fulfilled);
}

#[test]
fn a_declined_payment_releases_the_stock_and_voids_nothing() {
    let (steps, outcome) =
        drive(after([start(partners()), done(Step::ReserveStock), refuse_payment()]));
    assert_eq!(steps, [Step::ReleaseStock, Step::CloseOrder]);
    assert_eq!(outcome, Outcome::Cancelled);
}

#[test]
fn a_refused_reservation_releases_what_was_reserved_before_it() {
    let sku = Sku::new("MUG").unwrap();
    let refusal = Refusal::InsufficientStock { sku, requested: 1, available: 0 };
    let refuse = FulfilmentCommand::Refuse { step: Step::ReserveStock, refusal };
    let (steps, outcome) = drive(after([start(partners()), refuse]));
    assert_eq!(steps, [Step::ReleaseStock, Step::CloseOrder]);
    assert_eq!(outcome, Outcome::Rejected);
}

#[test]
fn a_cancellation_undoes_also_the_step_that_was_under_way() {
    let (steps, _) = drive(after([start(partners()), done(Step::ReserveStock), CANCEL]));
    assert_eq!(steps, [Step::VoidPayment, Step::ReleaseStock, Step::CloseOrder]);
}

#[test]
fn a_payment_that_succeeds_after_the_cancellation_is_voided() {
    let (steps, outcome) = drive(after([
        start(partners()),
        done(Step::ReserveStock),
        CANCEL,
        done(Step::AuthorisePayment),
    ]));
    assert!(steps.contains(&Step::VoidPayment));
    assert_eq!(outcome, Outcome::Cancelled);
}

#[test]
fn a_step_that_succeeds_after_it_was_undone_is_undone_again() {
    let (steps, outcome) = drive(after([
        start(partners()),
        CANCEL,
        done(Step::ReleaseStock),
        done(Step::ReserveStock),
    ]));
    assert_eq!(steps, [Step::VoidPayment, Step::ReleaseStock, Step::CloseOrder]);
    assert_eq!(outcome, Outcome::Cancelled);
}

#[test]
fn a_payment_that_has_come_has_not_timed_out() {
    let reason = CancelReason::PaymentTimedOut;
    let time_out = FulfilmentCommand::RequestCancellation { reason };
    let paid = [start(partners()), done(Step::ReserveStock), done(Step::AuthorisePayment)];
    let state = after(paid.into_iter().chain([time_out]));
    assert_eq!(phase(&state), Phase::Due(Step::ConfirmOrder));
}

#[test]
fn a_cancellation_after_the_goods_have_left_changes_nothing() {
    let until_shipped = STEPS[..5].iter().map(|plan| done(plan.step));
    let commands = [start(partners())].into_iter().chain(until_shipped).chain([CANCEL]);
    assert_eq!(phase(&after(commands)), Phase::Due(Step::HandOver));
}

#[test]
fn every_step_before_shipping_can_be_undone_and_none_after() {
    let shipping = STEPS.iter().position(|plan| plan.step == Step::ShipOrder).unwrap();
    for (index, plan) in STEPS.iter().enumerate() {
        let irrevocable = plan.undone_by == Compensation::Irrevocable;
        assert_eq!(irrevocable, index >= shipping, "{}", plan.step);
    }
}

#[test]
fn a_failed_try_waits_and_a_parked_step_waits_for_an_operator() {
    let retry_at = DateTime::UNIX_EPOCH + TimeDelta::seconds(5);
    let step = Step::ReserveStock;
    let fail = |error: &str| FulfilmentCommand::Fail { step, error: error.into(), retry_at };
    let state = after([start(partners()), fail("down")]);
    assert_eq!(phase(&state), Phase::Waiting { step, until: retry_at });

    let park = FulfilmentCommand::Park { step, error: "still down".into() };
    let state = after([start(partners()), fail("down"), fail("down again"), park.clone()]);
    assert_eq!(phase(&state), Phase::Parked(step));
    let FulfilmentState::Running(progress) = &state else { panic!("{state:?}") };
    assert_eq!(progress.trouble.as_ref().map(|trouble| trouble.attempts), Some(2));

    let state = after([start(partners()), park, FulfilmentCommand::Resume]);
    assert_eq!(phase(&state), Phase::Due(step));
}

#[test]
fn the_payment_deadline_counts_only_while_the_payment_is_awaited() {
    let deadline = |state| {
        let FulfilmentState::Running(progress) = state else { panic!("{state:?}") };
        progress.payment_deadline()
    };
    assert_eq!(deadline(after([start(partners())])), None);
    assert!(deadline(after([start(partners()), done(Step::ReserveStock)])).is_some());
    let paid = [start(partners()), done(Step::ReserveStock), done(Step::AuthorisePayment)];
    assert_eq!(deadline(after(paid)), None);
}

#[test]
fn late_news_of_a_finished_process_changes_nothing() {
    let finished = FulfilmentState::Finished(Outcome::Fulfilled);
    for command in [CANCEL, done(Step::AuthorisePayment), FulfilmentCommand::Resume] {
        assert_eq!(Fulfilment::decide(&finished, &command), Ok(vec![]));
    }
}

proptest! {
    /// Wherever a process turns round, everything that was done or may have been done is undone,
    /// last first, and the order is closed at the end.
    #[test]
    fn turning_round_anywhere_undoes_everything(completed in 0_usize..5, refused in any::<bool>()) {
        let forward = STEPS[..completed.min(4)].iter().map(|plan| done(plan.step));
        let turn = if refused && completed == 1 { refuse_payment() } else { CANCEL };
        let state = after([start(partners())].into_iter().chain(forward).chain([turn]));
        let (steps, _) = drive(state);
        let undone: Vec<_> = STEPS[..completed.min(4)].iter().rev().filter_map(|plan| {
            match plan.undone_by {
                Compensation::By(step) => Some(step),
                Compensation::ByClosing | Compensation::Irrevocable => None,
            }
        }).collect();
        let position = |step: &Step| steps.iter().position(|taken| taken == step);
        let positions: Vec<_> = undone.iter().map(position).collect();
        prop_assert!(positions.iter().all(Option::is_some), "{steps:?} lacks some of {undone:?}");
        prop_assert!(positions.is_sorted());
        prop_assert_eq!(steps.last(), Some(&Step::CloseOrder));
    }
}
