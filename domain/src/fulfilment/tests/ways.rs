//! The ways forward, and what stands in them.

use super::*;

#[test]
fn an_order_goes_through_all_steps_of_its_acceptance() {
    let (steps, outcome) = drive(after([start(accept(499, partners()))]));
    assert_eq!(steps, steps_of(Kind::Acceptance).iter().map(|it| it.step).collect::<Vec<_>>());
    assert_eq!(outcome, Outcome::Fulfilled);
}

#[test]
fn nothing_is_watched_at_a_gateway_that_holds_nothing() {
    let paid = [Step::ReserveStock, Step::AuthorisePayment, Step::CommitStock, Step::ConfirmOrder];
    for handling in [paid_by_hand(), elsewhere()] {
        assert_eq!(drive(after([start(accept(499, handling))])).0, paid);
    }
    let free = [Step::ReserveStock, Step::CommitStock, Step::ConfirmOrder];
    assert_eq!(drive(after([start(accept(0, partners()))])).0, free);
}

#[test]
fn a_shipment_goes_through_all_steps_of_its_delivery_and_ours_alone_is_booked() {
    let all: Vec<_> = steps_of(Kind::Delivery).iter().map(|it| it.step).collect();
    let (steps, outcome) = drive(after([start(deliver(by_partner()))]));
    assert_eq!((steps.as_slice(), outcome), (all.as_slice(), Outcome::Fulfilled));
    for by in [ShippedBy::Manual { parcels: vec![] }, ShippedBy::Elsewhere] {
        assert_eq!(drive(after([start(deliver(by))])).0, all[1..]);
    }
}

#[test]
fn a_further_payment_is_authorised_and_watched() {
    let (steps, outcome) = drive(after([start(pay_again())]));
    assert_eq!(steps, [Step::AuthorisePayment, Step::WatchAuthorisation]);
    assert_eq!(outcome, Outcome::Fulfilled);
}

#[test]
fn the_other_kinds_have_one_step_each() {
    for (work, step) in one_way() {
        let kind = work.kind();
        assert_eq!(drive(after([start(work)])), (vec![step], Outcome::Fulfilled), "{kind}");
    }
}

#[test]
fn a_process_works_for_the_order_it_names_or_for_the_one_with_its_own_id() {
    let process = ShipmentId::of(ORDER).into();
    let mut started = FulfilmentStarted { order: Some(ORDER), work: deliver(by_partner()) };
    assert_eq!(started.order_of(process), ORDER);
    started.order = None;
    assert_eq!(started.order_of(ORDER.into()), ORDER);
}

#[test]
fn steps_of_earlier_builds_are_nobodys_business() {
    let old = [Step::ReserveStock, Step::AuthorisePayment, Step::ConfirmOrder, Step::BookShipment];
    let state = after_steps(accept(499, partners()), &old[..3]);
    assert_eq!(phase(&state), Phase::Due(Step::CommitStock));
    let state = then(state, &done(Step::BookShipment));
    assert_eq!(phase(&state), Phase::Due(Step::CommitStock));
}

#[test]
fn a_failed_try_waits_and_a_parked_step_waits_for_an_operator() {
    let retry_at = DateTime::UNIX_EPOCH + TimeDelta::seconds(5);
    let step = Step::ReserveStock;
    let fail = |error: &str| FulfilmentCommand::Fail { step, error: error.into(), retry_at };
    let begin = || start(accept(499, partners()));
    let state = after([begin(), fail("down")]);
    assert_eq!(phase(&state), Phase::Waiting { step, until: retry_at });

    let park = FulfilmentCommand::Park { step, error: "still down".into() };
    let state = after([begin(), fail("down"), fail("down again"), park.clone()]);
    assert_eq!(phase(&state), Phase::Parked(step));
    let FulfilmentState::Running(progress) = &state else { panic!("{state:?}") };
    assert_eq!(progress.trouble.as_ref().map(|trouble| trouble.attempts), Some(2));

    let state = after([begin(), park, FulfilmentCommand::Resume]);
    assert_eq!(phase(&state), Phase::Due(step));
}

#[test]
fn the_payment_deadline_counts_only_while_the_payment_is_awaited() {
    let deadline_after = |steps: &[Step]| {
        let state = after_steps(accept(499, partners()), steps);
        let FulfilmentState::Running(progress) = state else { panic!("{state:?}") };
        progress.payment_deadline()
    };
    assert_eq!(deadline_after(&[]), None);
    assert_eq!(deadline_after(&[Step::ReserveStock]), Some(deadline()));
    assert_eq!(deadline_after(&[Step::ReserveStock, Step::AuthorisePayment]), None);
}

#[test]
fn late_news_of_a_finished_process_changes_nothing() {
    let finished = FulfilmentState::Finished(Outcome::Fulfilled);
    for command in [CANCEL, done(Step::AuthorisePayment), FulfilmentCommand::Resume] {
        assert_eq!(Fulfilment::decide(&finished, &command), Ok(vec![]));
    }
}
