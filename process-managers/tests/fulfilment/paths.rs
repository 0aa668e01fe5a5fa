//! The ways through fulfilment, with nobody falling over.

use domain::fulfilment::{Outcome, Phase, Step};
use domain::ids::{PartnerReference, PaymentToken, Sku};
use domain::order::{CancelReason, Handling, OrderStatus, RejectReason};
use domain::payment::PaymentState;

use crate::shop::{Charged, Shop};

#[tokio::test]
async fn an_order_is_reserved_paid_shipped_captured_and_delivered() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 10).await;
    let order = shop.place(&[("MUG", 2), ("MUG", 1)], "tok_ok").await;

    assert_eq!(shop.finished(order).await, Outcome::Fulfilled);
    assert_eq!(shop.status(order).await, OrderStatus::Completed);
    let stock = shop.stock("MUG").await;
    assert_eq!((stock.on_hand(), stock.reserved()), (7, 0));
    let charged = Charged { authorisations: 1, captures: 1, captured: 300, voided: 0 };
    assert_eq!(shop.charged(order).await, Some(charged));
    manager.stop().await;
}

#[tokio::test]
async fn a_declined_payment_releases_the_stock_and_cancels_the_order() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 10).await;
    let order = shop.place(&[("MUG", 2)], "tok_declined").await;

    assert_eq!(shop.finished(order).await, Outcome::Cancelled);
    assert_eq!(shop.status(order).await, OrderStatus::Cancelled(CancelReason::PaymentDeclined));
    let stock = shop.stock("MUG").await;
    assert_eq!((stock.on_hand(), stock.reserved()), (10, 0));
    manager.stop().await;
}

#[tokio::test]
async fn without_enough_stock_the_order_is_rejected_and_no_money_is_touched() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("CUP", 10).await;
    shop.receive("MUG", 1).await;
    let order = shop.place(&[("CUP", 3), ("MUG", 2)], "tok_ok").await;

    assert_eq!(shop.finished(order).await, Outcome::Rejected);
    let sku = Sku::new("MUG").unwrap();
    let reason = RejectReason::InsufficientStock { sku, requested: 2, available: 1 };
    assert_eq!(shop.status(order).await, OrderStatus::Rejected(reason));
    assert_eq!(shop.charged(order).await, None);
    assert_eq!(shop.stock("CUP").await.reserved(), 0, "what was reserved beside it is released");
    manager.stop().await;
}

#[tokio::test]
async fn a_cancellation_wins_over_a_payment_in_flight() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 10).await;
    let order = shop.place(&[("MUG", 2)], "tok_slow").await;
    shop.reaches(order, |phase| *phase == Phase::Due(Step::AuthorisePayment)).await;
    assert!(shop.cancel(order).await);

    assert_eq!(shop.finished(order).await, Outcome::Cancelled);
    assert_eq!(shop.status(order).await, OrderStatus::Cancelled(CancelReason::Customer));
    let charged = shop.charged(order).await.unwrap();
    assert_eq!((charged.captured, charged.voided), (0, 200), "a late success is compensated");
    assert_eq!(shop.stock("MUG").await.available(), 10);
    manager.stop().await;
}

#[tokio::test]
async fn a_gateway_that_times_out_is_asked_and_not_charged_twice() {
    let shop = Shop::open().await;
    let mut options = shop.options();
    options.partner_timeout = std::time::Duration::from_millis(500);
    let manager = process_managers::ProcessManager::start(shop.journal.clone(), &options).unwrap();
    shop.receive("MUG", 10).await;
    let order = shop.place(&[("MUG", 2)], "tok_timeout").await;

    assert_eq!(shop.finished(order).await, Outcome::Fulfilled);
    let charged = Charged { authorisations: 1, captures: 1, captured: 200, voided: 0 };
    assert_eq!(shop.charged(order).await, Some(charged));
    manager.stop().await;
}

#[tokio::test]
async fn an_order_handled_elsewhere_takes_stock_and_calls_nobody() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 10).await;
    let reference = PartnerReference::new("536365").unwrap();
    let order = shop.place_at(100, &[("MUG", 4)], Handling::Elsewhere { reference }).await;

    assert_eq!(shop.finished(order).await, Outcome::Fulfilled);
    assert_eq!(shop.stock("MUG").await.on_hand(), 6);
    assert_eq!(shop.charged(order).await, None);
    let PaymentState::Open(ledger) = shop.payment(order).await else { panic!("not settled") };
    assert_eq!(ledger.captured.minor, 400);
    manager.stop().await;
}

#[tokio::test]
async fn a_free_order_needs_no_payment() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("SAMPLE", 1).await;
    let payment_token = PaymentToken::new("tok_declined").unwrap();
    let order = shop.place_at(0, &[("SAMPLE", 1)], Handling::Partners { payment_token }).await;
    assert_eq!(shop.finished(order).await, Outcome::Fulfilled);
    assert_eq!(shop.charged(order).await, None);
    manager.stop().await;
}
