//! Money that takes its time, runs out, or goes back.

use std::time::Duration;

use domain::fulfilment::{Outcome, Phase, Step};
use domain::ids::{CaptureId, LocationCode, PaymentId, RefundId, ShipmentId};
use domain::order::{
    CapturePolicy, LineUnits, MovementStatus, OrderCommand, OrderStatus, PaymentStatus, Policies,
    RefundOf, RefundReason, ShippedBy,
};
use domain::payment::PaymentState;
use domain::quantity::Quantity;

use crate::shop::{Shop, Wanted, pence};

fn charged_at_once() -> Policies {
    Policies { capture: CapturePolicy::AtOnce, ..Policies::default() }
}

fn refund_of(order: domain::ids::OrderId, what: RefundOf, key: &str) -> (RefundId, OrderCommand) {
    let refund = RefundId::derive(order, key);
    let reason = RefundReason::Damaged;
    let command = OrderCommand::RequestRefund {
        refund,
        payment: None,
        what,
        return_id: None,
        reason,
        note: None,
    };
    (refund, command)
}

#[tokio::test]
async fn a_payment_that_is_pending_is_asked_about_until_it_is_there() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 1).await;
    let order = shop.place(&[("MUG", 1)], "tok_pending").await;
    let pending = PaymentState::Pending { amount: pence(100) };
    loop {
        let now = shop.payment(PaymentId::of(order)).await;
        if now == pending {
            break;
        }
        assert_eq!(now, PaymentState::Unknown);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shop.completes(order).await;
    let charged = shop.charged(order).await;
    assert_eq!((charged.authorisations, charged.captured), (1, 100));
    manager.stop().await;
}

#[tokio::test]
async fn a_payment_that_stays_pending_is_given_up_at_the_deadline() {
    let shop = Shop::open_with(|it| it.pending = Duration::from_hours(2)).await;
    let mut options = shop.options();
    options.payment_deadline = Duration::from_millis(400);
    let manager = shop.process_manager_with(&options);
    shop.receive("MUG", 1).await;
    let order = shop.place(&[("MUG", 1)], "tok_pending").await;
    assert_eq!(shop.finished(order).await, Outcome::Cancelled);
    assert_eq!(shop.payment(PaymentId::of(order)).await, PaymentState::Abandoned);
    assert_eq!(shop.charged(order).await.held(), 0);
    assert_eq!(shop.shelves("MUG").await, (1, 0));
    manager.stop().await;
}

#[tokio::test]
async fn captures_and_refunds_may_be_pending_as_well() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 4).await;
    for token in ["tok_capture_pending", "tok_refund_pending"] {
        let order = shop.place(&[("MUG", 2)], token).await;
        shop.completes(order).await;
        let (refund, command) = refund_of(order, RefundOf::Amount(pence(50)), "1");
        shop.tell(order, command).await;
        shop.becomes(order, |order| order.refunds[&refund].status == MovementStatus::Done).await;
        let charged = shop.charged(order).await;
        assert_eq!((charged.captures, charged.refunds, charged.kept()), (1, 1, 150), "{token}");
    }
    shop.comes_to_rest().await;
    manager.stop().await;
}

#[tokio::test]
async fn an_authorisation_that_runs_out_is_noticed_without_anybody_asking() {
    let shop = Shop::open_with(|it| it.expiry = Duration::from_millis(600)).await;
    let manager = shop.process_manager();
    shop.receive("MUG", 1).await;
    let policies =
        Policies { dispatch: domain::order::DispatchPolicy::Manual, ..Policies::default() };
    let wanted = Wanted { policies, ..Wanted::paid_with("tok_expiring", &[("MUG", 1)]) };
    let order = shop.place_wanted(wanted).await;
    let state = shop.becomes(order, |order| order.payment_status() == PaymentStatus::Expired).await;
    assert_eq!(state.status, OrderStatus::Confirmed);
    assert_eq!(shop.finished(order).await, Outcome::Fulfilled);
    let PaymentState::Open(ledger) = shop.payment(PaymentId::of(order)).await else { panic!() };
    assert!(ledger.expired);

    let (shipment, location) = (ShipmentId::derive(order, "1"), LocationCode::default());
    let (lines, by) = (vec![], ShippedBy::Partner { parcels: 1 });
    shop.tell(order, OrderCommand::RequestShipment { shipment, location, lines, by }).await;
    shop.tell(order, OrderCommand::ClearShipment { shipment }).await;
    shop.reaches(shipment, |phase| *phase == Phase::Due(Step::DispatchOrder)).await;
    assert_eq!(shop.order(order).await.shipped(), 0, "goods do not leave unpaid");
    shop.pay_by_hand(order, 100, "bank").await;
    shop.completes(order).await;
    shop.comes_to_rest().await;
    manager.stop().await;
}

#[tokio::test]
async fn a_timer_outlives_those_who_set_it() {
    let shop = Shop::open_with(|it| it.expiry = Duration::from_millis(700)).await;
    let manager = shop.process_manager();
    shop.receive("MUG", 1).await;
    let policies = Policies { capture: CapturePolicy::Manual, ..Policies::default() };
    let held = Wanted {
        policies,
        holds: vec!["fraud"],
        ..Wanted::paid_with("tok_expiring", &[("MUG", 1)])
    };
    let order = shop.place_wanted(held).await;
    shop.reaches(order, |phase| *phase == Phase::Due(Step::ConfirmOrder)).await;
    manager.stop().await;
    // Its time runs out while nobody is there to see anything happen.
    tokio::time::sleep(Duration::from_millis(800)).await;
    let manager = shop.process_manager();
    shop.becomes(order, |order| order.payment_status() == PaymentStatus::Expired).await;
    manager.stop().await;
}

#[tokio::test]
async fn a_capture_that_fails_stands_in_the_order_and_can_be_asked_for_again() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 1).await;
    let order = shop.place(&[("MUG", 1)], "tok_capture_fails").await;
    let failed = |order: &domain::order::PlacedOrder| {
        order.captures.values().any(|it| matches!(it.status, MovementStatus::Failed(_)))
    };
    let state = shop.becomes(order, failed).await;
    assert_eq!((state.held(), state.captured()), (100, 0));
    let capture = CaptureId::derive(order, "again");
    let again =
        OrderCommand::RequestCapture { capture, payment: None, amount: None, is_final: true };
    shop.tell(order, again).await;
    shop.becomes(order, |order| {
        matches!(order.captures[&capture].status, MovementStatus::Failed(_))
    })
    .await;
    assert_eq!(shop.charged(order).await.captured, 0);
    manager.stop().await;
}

#[tokio::test]
async fn money_goes_back_by_amount_and_by_units_and_never_more_than_came() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 3).await;
    let order = shop.place(&[("MUG", 3)], "tok_ok").await;
    shop.completes(order).await;

    let units = vec![LineUnits { line: 0, quantity: Quantity::new(2).unwrap() }];
    let (by_units, command) = refund_of(order, RefundOf::Lines(units), "units");
    shop.tell(order, command).await;
    let (by_amount, command) = refund_of(order, RefundOf::Amount(pence(70)), "amount");
    shop.tell(order, command.clone()).await;
    shop.tell(order, command).await;
    let (_, too_much) = refund_of(order, RefundOf::Amount(pence(31)), "too much");
    assert!(shop.try_to(order, too_much).await.is_err());
    shop.comes_to_rest().await;
    let state = shop.order(order).await;
    for refund in [by_units, by_amount] {
        assert_eq!(state.refunds[&refund].status, MovementStatus::Done);
    }
    let charged = shop.charged(order).await;
    assert_eq!((charged.refunds, charged.refunded, charged.kept()), (2, 270, 30));
    manager.stop().await;
}

#[tokio::test]
async fn a_refund_that_the_bank_does_not_take_stands_in_the_order() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 1).await;
    let order = shop.place(&[("MUG", 1)], "tok_refund_fails").await;
    shop.completes(order).await;
    let (refund, command) = refund_of(order, RefundOf::Amount(pence(100)), "1");
    shop.tell(order, command).await;
    let refused = MovementStatus::Failed("refund_refused".to_owned());
    shop.becomes(order, |order| order.refunds[&refund].status == refused).await;
    assert_eq!(shop.charged(order).await.refunded, 0);
    shop.comes_to_rest().await;
    manager.stop().await;
}

#[tokio::test]
async fn what_was_charged_at_once_goes_back_when_the_order_is_cancelled() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.promise_before_it_comes("MUG").await;
    let wanted =
        Wanted { policies: charged_at_once(), ..Wanted::paid_with("tok_ok", &[("MUG", 2)]) };
    let order = shop.place_wanted(wanted).await;
    shop.becomes(order, |order| order.captured() == 200).await;

    assert!(shop.cancel(order).await);
    let state =
        shop.becomes(order, |order| order.payment_status() == PaymentStatus::Refunded).await;
    assert!(matches!(state.status, OrderStatus::Cancelled(_)));
    shop.comes_to_rest().await;
    let charged = shop.charged(order).await;
    assert_eq!((charged.captured, charged.refunded, charged.held()), (200, 200, 0));
    shop.receive("MUG", 2).await;
    assert_eq!(shop.shelves("MUG").await, (2, 0), "nothing is awaited for it any more");
    manager.stop().await;
}

#[tokio::test]
async fn money_that_was_paid_by_hand_goes_back_without_a_gateway() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 1).await;
    let order = shop.place_wanted(Wanted::paid_by_hand(&[("MUG", 1)])).await;
    shop.pay_by_hand(order, 100, "bank 1").await;
    shop.completes(order).await;
    let (refund, command) = refund_of(order, RefundOf::Amount(pence(40)), "1");
    shop.tell(order, command).await;
    shop.becomes(order, |order| order.refunds[&refund].status == MovementStatus::Done).await;
    let payment = PaymentId::derive(order, "bank 1");
    let PaymentState::Open(ledger) = shop.payment(payment).await else { panic!() };
    assert_eq!((ledger.captured, ledger.refunded), (pence(100), pence(40)));
    manager.stop().await;
}
