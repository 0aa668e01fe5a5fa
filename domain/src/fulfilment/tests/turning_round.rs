//! What is undone, in which order, and when there is no way back.

use proptest::prelude::*;

use super::*;

const RESERVED: &[Step] = &[Step::ReserveStock];
const PAID: &[Step] = &[Step::ReserveStock, Step::AuthorisePayment];
const CONFIRMED: &[Step] =
    &[Step::ReserveStock, Step::AuthorisePayment, Step::CommitStock, Step::ConfirmOrder];

fn order_after(steps: &[Step]) -> FulfilmentState {
    after_steps(accept(499, partners()), steps)
}

#[test]
fn a_declined_payment_releases_the_stock_and_voids_nothing() {
    let declined = refuse(Step::AuthorisePayment, Refusal::PaymentDeclined);
    let (steps, outcome) = drive(then(order_after(RESERVED), &declined));
    assert_eq!(steps, [Step::ReleaseStock, Step::CloseOrder]);
    assert_eq!(outcome, Outcome::Cancelled);
}

#[test]
fn a_further_payment_that_is_declined_leaves_the_order_alone() {
    let declined = refuse(Step::AuthorisePayment, Refusal::PaymentDeclined);
    let (steps, outcome) = drive(then(after([start(pay_again())]), &declined));
    assert_eq!((steps, outcome), (vec![], Outcome::Cancelled));
}

#[test]
fn a_refused_reservation_releases_what_was_reserved_before_it() {
    let sku = Sku::new("MUG").unwrap();
    let refusal = Refusal::InsufficientStock { sku, requested: 1, available: 0 };
    let (steps, outcome) = drive(then(order_after(&[]), &refuse(Step::ReserveStock, refusal)));
    assert_eq!(steps, [Step::ReleaseStock, Step::CloseOrder]);
    assert_eq!(outcome, Outcome::Rejected);
}

#[test]
fn stock_that_was_given_back_before_the_payment_came_gives_the_money_back() {
    let refusal = Refusal::ReservationExpired { sku: Sku::new("MUG").unwrap() };
    let state = then(order_after(PAID), &refuse(Step::CommitStock, refusal));
    let FulfilmentState::Running(progress) = &state else { panic!("{state:?}") };
    assert_eq!(progress.ending, Some(Ending::Cancelled(CancelReason::PaymentTimedOut)));
    let (steps, outcome) = drive(state);
    assert_eq!(steps, [Step::VoidPayment, Step::ReleaseStock, Step::CloseOrder]);
    assert_eq!(outcome, Outcome::Cancelled);
}

#[test]
fn a_cancellation_undoes_also_the_step_that_was_under_way() {
    let (steps, _) = drive(then(order_after(RESERVED), &CANCEL));
    assert_eq!(steps, [Step::VoidPayment, Step::ReleaseStock, Step::CloseOrder]);
}

#[test]
fn once_delivery_is_promised_the_order_itself_asks_for_what_is_to_be_undone() {
    let state = then(order_after(CONFIRMED), &CANCEL);
    assert_eq!(phase(&state), Phase::Due(Step::WatchAuthorisation));
}

#[test]
fn a_cancellation_that_comes_before_the_promise_is_recorded_undoes_everything() {
    let (steps, outcome) = drive(then(order_after(&CONFIRMED[..3]), &CANCEL));
    assert_eq!(steps, [Step::VoidPayment, Step::ReleaseStock, Step::CloseOrder]);
    assert_eq!(outcome, Outcome::Cancelled);
}

#[test]
fn a_payment_that_succeeds_after_the_cancellation_is_voided() {
    let state = then(order_after(RESERVED), &CANCEL);
    let (steps, outcome) = drive(then(state, &done(Step::AuthorisePayment)));
    assert!(steps.contains(&Step::VoidPayment));
    assert_eq!(outcome, Outcome::Cancelled);
}

#[test]
fn a_step_that_succeeds_after_it_was_undone_is_undone_again() {
    let begin = start(accept(499, partners()));
    let late = [begin, CANCEL, done(Step::ReleaseStock), done(Step::ReserveStock)];
    let (steps, outcome) = drive(after(late));
    assert_eq!(steps, [Step::VoidPayment, Step::ReleaseStock, Step::CloseOrder]);
    assert_eq!(outcome, Outcome::Cancelled);
}

#[test]
fn a_payment_that_has_come_has_not_timed_out() {
    let reason = CancelReason::PaymentTimedOut;
    let time_out = FulfilmentCommand::RequestCancellation { reason };
    assert_eq!(phase(&then(order_after(PAID), &time_out)), Phase::Due(Step::CommitStock));
}

#[test]
fn a_shipment_that_is_cancelled_before_it_left_is_not_fetched_and_its_order_goes_on() {
    let ways = [CANCEL, refuse(Step::DispatchOrder, Refusal::ShipmentCancelled)];
    for turn in ways {
        let booked = after_steps(deliver(by_partner()), &[Step::BookShipment]);
        let (steps, outcome) = drive(then(booked, &turn));
        assert_eq!((steps, outcome), (vec![Step::CancelBooking], Outcome::Cancelled));
    }
    let (steps, _) = drive(then(after([start(deliver(by_partner()))]), &CANCEL));
    assert_eq!(steps, [Step::CancelBooking], "the booking may have been under way");
    let (steps, outcome) = drive(then(after([start(deliver(ShippedBy::Elsewhere))]), &CANCEL));
    assert_eq!((steps, outcome), (vec![], Outcome::Cancelled));
}

#[test]
fn a_booking_may_have_been_made_although_the_shipment_turned_out_to_be_cancelled() {
    let refused = refuse(Step::BookShipment, Refusal::ShipmentCancelled);
    let (steps, _) = drive(then(after([start(deliver(by_partner()))]), &refused));
    assert_eq!(steps, [Step::CancelBooking]);
}

#[test]
fn a_cancellation_after_the_goods_have_left_changes_nothing() {
    let left = [Step::BookShipment, Step::DispatchOrder];
    let state = after_steps(deliver(by_partner()), &left);
    assert_eq!(phase(&then(state, &CANCEL)), Phase::Due(Step::HandOver));
}

#[test]
fn work_without_a_way_back_is_done_whatever_becomes_of_the_order() {
    for (work, step) in one_way() {
        let kind = work.kind();
        assert_eq!(phase(&then(after([start(work)]), &CANCEL)), Phase::Due(step), "{kind}");
    }
}

proptest! {
    /// Wherever a process turns round, everything that was done or may have been done is undone,
    /// last first, and an order is told at the end.
    #[test]
    fn turning_round_anywhere_undoes_everything(completed in 0_usize..5, declined in any::<bool>()) {
        let declines = declined && completed == 1;
        let refused = refuse(Step::AuthorisePayment, Refusal::PaymentDeclined);
        for work in [accept(499, partners()), deliver(by_partner()), pay_again()] {
            let kind = work.kind();
            let rows = steps_of(kind);
            let reversible = rows.iter().take_while(|it| it.undone_by != Compensation::Irrevocable);
            let completed = completed.min(reversible.count()).min(rows.len() - 1);
            let forward: Vec<_> = rows[..completed].iter().map(|it| it.step).collect();
            let turn = if declines && kind == Kind::Acceptance { &refused } else { &CANCEL };
            let (steps, _) = drive(then(after_steps(work, &forward), turn));

            let undone: Vec<_> = rows[..completed].iter().rev().filter_map(|it| match it.undone_by {
                Compensation::By(step) => Some(step),
                Compensation::Implied | Compensation::Irrevocable => None,
            }).collect();
            let position = |step: &Step| steps.iter().position(|taken| taken == step);
            let positions: Vec<_> = undone.iter().map(position).collect();
            prop_assert!(positions.iter().all(Option::is_some), "{steps:?} lacks some of {undone:?}");
            prop_assert!(positions.is_sorted());
            prop_assert_eq!(steps.last() == Some(&Step::CloseOrder), kind == Kind::Acceptance);
        }
    }
}
