//! The ways through acceptance and delivery, with nobody falling over.

use domain::fulfilment::{Outcome, Phase, Step};
use domain::ids::{PartnerReference, PaymentId, PaymentToken, Sku};
use domain::order::{
    CancelReason, FulfilmentStatus, Handling, OrderStatus, PaymentStatus, RejectReason,
};
use domain::payment::PaymentState;

use crate::shop::{Charged, Shop, Wanted};

#[tokio::test]
async fn an_order_is_reserved_paid_shipped_captured_and_delivered() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 10).await;
    let order = shop.place(&[("MUG", 2), ("MUG", 1)], "tok_ok").await;

    let state = shop.completes(order).await;
    assert_eq!(state.payment_status(), PaymentStatus::Paid);
    assert_eq!(state.fulfilment_status(), FulfilmentStatus::Delivered);
    assert_eq!(shop.shelves("MUG").await, (7, 0));
    let charged = shop.charged(order).await;
    assert_eq!((charged.authorisations, charged.captures, charged.captured), (1, 1, 300));
    shop.comes_to_rest().await;
    assert_eq!(shop.finished(order).await, Outcome::Fulfilled);
    manager.stop().await;
}

#[tokio::test]
async fn a_declined_payment_releases_the_stock_and_cancels_the_order() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 10).await;
    let order = shop.place(&[("MUG", 2)], "tok_declined").await;

    assert_eq!(shop.finished(order).await, Outcome::Cancelled);
    let state = shop.order(order).await;
    assert_eq!(state.status, OrderStatus::Cancelled(CancelReason::PaymentDeclined));
    assert_eq!(state.payments[&PaymentId::of(order)].declined.as_deref(), Some("card_declined"));
    shop.comes_to_rest().await;
    assert_eq!(shop.shelves("MUG").await, (10, 0));
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
    assert_eq!(shop.charged(order).await, Charged::default());
    assert_eq!(shop.shelves("CUP").await, (10, 0), "what was reserved beside it is released");
    manager.stop().await;
}

#[tokio::test]
async fn a_gateway_that_times_out_is_asked_and_not_charged_twice() {
    let shop = Shop::open().await;
    let mut options = shop.options();
    options.partner_timeout = std::time::Duration::from_millis(500);
    let manager = shop.process_manager_with(&options);
    shop.receive("MUG", 10).await;
    let order = shop.place(&[("MUG", 2)], "tok_timeout").await;

    shop.completes(order).await;
    let charged = shop.charged(order).await;
    assert_eq!((charged.authorisations, charged.captures, charged.captured), (1, 1, 200));
    manager.stop().await;
}

#[tokio::test]
async fn an_order_handled_elsewhere_takes_stock_and_calls_nobody() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 10).await;
    let reference = PartnerReference::new("536365").unwrap();
    let handling = Handling::Elsewhere { reference };
    let order = shop.place_wanted(Wanted::handled(handling, &[("MUG", 4)])).await;

    let state = shop.completes(order).await;
    assert_eq!(state.payment_status(), PaymentStatus::Paid);
    assert_eq!(shop.shelves("MUG").await, (6, 0));
    assert_eq!(shop.charged(order).await, Charged::default());
    assert!(shop.carried(order).await.is_empty());
    let PaymentState::Open(ledger) = shop.payment(PaymentId::of(order)).await else {
        panic!("not settled")
    };
    assert_eq!(ledger.captured.minor, 400);
    shop.comes_to_rest().await;
    manager.stop().await;
}

#[tokio::test]
async fn a_free_order_needs_no_payment() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("SAMPLE", 1).await;
    let free = Wanted { price: 0, ..Wanted::paid_with("tok_declined", &[("SAMPLE", 1)]) };
    let order = shop.place_wanted(free).await;
    shop.completes(order).await;
    assert_eq!(shop.charged(order).await, Charged::default());
    manager.stop().await;
}

#[tokio::test]
async fn an_order_that_is_paid_by_hand_waits_until_all_of_it_is_paid() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 10).await;
    let order = shop.place_wanted(Wanted::paid_by_hand(&[("MUG", 3)])).await;
    shop.reaches(order, |phase| *phase == Phase::Due(Step::AuthorisePayment)).await;
    assert_eq!(shop.shelves("MUG").await, (10, 3), "its goods are set aside meanwhile");

    shop.pay_by_hand(order, 100, "bank 1").await;
    shop.pay_by_hand(order, 200, "bank 2").await;
    let state = shop.completes(order).await;
    assert_eq!(state.payment_status(), PaymentStatus::Paid);
    assert_eq!(shop.charged(order).await, Charged::default());
    assert_eq!(shop.carried(order).await.len(), 1, "our carrier brings it all the same");
    manager.stop().await;
}

#[tokio::test]
async fn a_second_card_pays_what_the_first_one_does_not_hold_any_more() {
    let shop = Shop::open_with(|it| it.expiry = std::time::Duration::from_millis(300)).await;
    let manager = shop.process_manager();
    shop.receive("MUG", 2).await;
    let held = Wanted { holds: vec!["fraud"], ..Wanted::paid_with("tok_expiring", &[("MUG", 2)]) };
    let order = shop.place_wanted(held).await;
    shop.becomes(order, |order| order.payment_status() == PaymentStatus::Expired).await;
    shop.release_hold(order, "fraud").await;

    let payment = PaymentId::derive(order, "second");
    let payment_token = PaymentToken::new("tok_ok").unwrap();
    shop.tell(
        order,
        domain::order::OrderCommand::RequestPayment { payment, payment_token, amount: None },
    )
    .await;
    let state = shop.completes(order).await;
    assert_eq!(state.payments[&payment].captured, 200);
    let charged = shop.charged(order).await;
    assert_eq!((charged.payments, charged.captured, charged.held()), (2, 200, 0));
    shop.comes_to_rest().await;
    manager.stop().await;
}
