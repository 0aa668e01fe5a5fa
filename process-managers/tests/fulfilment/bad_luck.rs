//! Partners fail, managers come twice, nobody pays: every order reaches its end all the same.

use std::time::Duration;

use domain::fulfilment::{FulfilmentState, Outcome, Phase, Step};
use domain::ids::OrderId;
use domain::order::{CancelReason, DispatchPolicy, OrderStatus, Policies};
use process_managers::Options;

use crate::dying::{Mortal, all_is_well};
use crate::shop::{Shop, Wanted};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_that_dies_again_and_again_loses_nothing_and_charges_nobody_twice() {
    let shop = Shop::open_with(|options| options.payment_delay = Duration::from_millis(5)).await;
    shop.receive("MUG", 40).await;
    let mut orders = vec![];
    for round in 0..12 {
        let manager = Mortal::start(&shop);
        for number in 0..5 {
            let token = if number == 3 { "tok_declined" } else { "tok_ok" };
            orders.push(shop.place(&[("MUG", 1)], token).await);
            if number == 4 {
                shop.cancel(orders[orders.len() - 1]).await;
            }
        }
        // Wherever it is when the next order has come so far: a different place every round.
        let last = orders[orders.len() - 2 - round % 3];
        shop.reaches(last, |phase| *phase != Phase::NotStarted).await;
        manager.die();
    }
    let manager = Mortal::start(&shop);
    all_is_well(&shop, &orders, 40).await;
    manager.die();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_managers_at_once_do_everything_once() {
    let shop = Shop::open().await;
    shop.receive("MUG", 30).await;
    let managers = [Mortal::start(&shop), Mortal::start(&shop)];
    let mut orders = vec![];
    for number in 0..30 {
        let token = if number % 4 == 0 { "tok_slow" } else { "tok_ok" };
        orders.push(shop.place(&[("MUG", 1)], token).await);
        if number % 4 == 0 {
            shop.cancel(orders[number]).await;
        }
    }
    all_is_well(&shop, &orders, 30).await;
    for manager in managers {
        manager.die();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_managers_at_once_hear_of_holds_and_payments_by_hand_alike() {
    let shop = Shop::open().await;
    shop.receive("MUG", 10).await;
    let managers = [Mortal::start(&shop), Mortal::start(&shop)];
    let mut orders = vec![];
    for _ in 0..10 {
        let wanted = Wanted { holds: vec!["fraud"], ..Wanted::paid_by_hand(&[("MUG", 1)]) };
        orders.push(shop.place_wanted(wanted).await);
    }
    for &order in &orders {
        shop.reaches(order, |phase| *phase == Phase::Due(Step::AuthorisePayment)).await;
        shop.pay_by_hand(order, 100, "cash").await;
        shop.release_hold(order, "fraud").await;
    }
    for &order in &orders {
        shop.completes(order).await;
    }
    shop.comes_to_rest().await;
    assert_eq!(shop.shelves("MUG").await, (0, 0));
    for manager in managers {
        manager.die();
    }
}

#[tokio::test]
async fn a_partner_in_trouble_is_tried_again_until_it_works() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 1).await;
    let order = shop.place(&[("MUG", 1)], "tok_flaky").await;
    shop.completes(order).await;
    manager.stop().await;
}

#[tokio::test]
async fn a_step_that_keeps_failing_is_parked_and_resumed_by_an_operator() {
    let shop = Shop::open().await;
    let options = Options { step_attempts: 1, ..shop.options() };
    let manager = shop.process_manager_with(&options);
    shop.receive("MUG", 1).await;
    let order = shop.place(&[("MUG", 1)], "tok_flaky").await;
    let parked = Phase::Parked(Step::AuthorisePayment);
    shop.reaches(order, |phase| *phase == parked).await;
    let FulfilmentState::Running(process) = shop.process(order).await else { panic!() };
    assert!(process.trouble.unwrap().error.contains("503"));

    shop.resume(order.into()).await;
    shop.reaches(order, |phase| *phase == parked).await;
    shop.resume(order.into()).await;
    shop.completes(order).await;
    manager.stop().await;
}

#[tokio::test]
async fn what_is_asked_for_after_a_failure_is_what_was_asked_for_before() {
    let shop = Shop::open().await;
    let options = Options { step_attempts: 1, ..shop.options() };
    let manager = shop.process_manager_with(&options);
    shop.receive("MUG", 3).await;
    let order = shop.place(&[("MUG", 3)], "tok_flaky").await;
    let parked = Phase::Parked(Step::AuthorisePayment);
    shop.reaches(order, |phase| *phase == parked).await;
    shop.cancel_units(order, 0, 1).await;
    shop.resume(order.into()).await;
    shop.reaches(order, |phase| *phase == parked).await;
    shop.resume(order.into()).await;
    shop.completes(order).await;
    shop.comes_to_rest().await;
    let charged = shop.charged(order).await;
    assert_eq!((charged.authorised, charged.captured, charged.held()), (300, 200, 0));
    manager.stop().await;
}

#[tokio::test]
async fn an_order_that_is_not_paid_in_time_is_given_up() {
    let shop = Shop::open().await;
    let options = Options {
        payment_gateway: Some("http://127.0.0.1:9".to_owned()),
        payment_deadline: Duration::from_millis(300),
        ..shop.options()
    };
    let manager = Mortal::start_with(&shop, options);
    shop.receive("MUG", 1).await;
    let order = shop.place(&[("MUG", 1)], "tok_ok").await;
    // The gateway is still away, so letting go of what it may hold has to wait for it.
    shop.reaches(order, |phase| {
        matches!(
            phase,
            Phase::Waiting { step: Step::VoidPayment, .. } | Phase::Due(Step::VoidPayment)
        )
    })
    .await;
    manager.die();

    let manager = shop.process_manager();
    assert_eq!(shop.finished(order).await, Outcome::Cancelled);
    assert_eq!(shop.status(order).await, OrderStatus::Cancelled(CancelReason::PaymentTimedOut));
    assert_eq!(shop.shelves("MUG").await, (1, 0));
    manager.stop().await;
}

#[tokio::test]
async fn nobody_waits_for_money_from_a_bank_longer_than_the_deadline() {
    let shop = Shop::open().await;
    let options = Options { payment_deadline: Duration::from_millis(400), ..shop.options() };
    let manager = shop.process_manager_with(&options);
    shop.receive("MUG", 2).await;
    let [unpaid, paid] = [(); 2].map(|()| Wanted::paid_by_hand(&[("MUG", 1)]));
    let (unpaid, paid) = (shop.place_wanted(unpaid).await, shop.place_wanted(paid).await);
    shop.pay_by_hand(paid, 100, "bank").await;
    assert_eq!(shop.finished(unpaid).await, Outcome::Cancelled);
    assert_eq!(shop.status(unpaid).await, OrderStatus::Cancelled(CancelReason::PaymentTimedOut));
    shop.completes(paid).await;
    assert_eq!(shop.shelves("MUG").await, (1, 0));
    manager.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let shop = Shop::open_with(|it| it.carrier_transit = Duration::from_millis(500)).await;
    shop.receive("MUG", 1).await;
    let manager = shop.process_manager();
    let order = shop.place(&[("MUG", 1)], "tok_ok").await;
    let state = shop.becomes(order, |order| order.shipped() == 1).await;
    let shipment = *state.shipments.keys().next().unwrap();
    shop.reaches(shipment, |phase| *phase == Phase::Due(Step::AwaitDelivery)).await;
    manager.stop().await;

    let manager = shop.process_manager();
    shop.completes(order).await;
    manager.stop().await;
}

#[tokio::test]
async fn a_restart_that_meets_a_finished_order_again_leaves_it_alone() {
    let shop = Shop::open().await;
    shop.receive("MUG", 2).await;
    let options = Options { step_attempts: 1, ..shop.options() };
    let manager = shop.process_manager_with(&options);
    // Young and open, so a restart routes again everything since.
    let open = shop.place(&[("MUG", 1)], "tok_flaky").await;
    let parked = Phase::Parked(Step::AuthorisePayment);
    shop.reaches(open, |phase| *phase == parked).await;
    let finished = shop.place(&[("MUG", 1)], "tok_ok").await;
    shop.completes(finished).await;
    shop.finished(finished).await;
    manager.status().wait_for(|status| status.open == 1).await.unwrap();
    manager.stop().await;
    let before = shop.events_in_all().await;

    // Partners that would notice being called.
    let partner = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    partner.set_nonblocking(true).unwrap();
    let url = Some(format!("http://{}", partner.local_addr().unwrap()));
    let options = Options { payment_gateway: url.clone(), carrier: url, ..options };
    let manager = shop.process_manager_with(&options);
    manager.status().wait_for(|status| status.caught_up && status.open == 1).await.unwrap();
    assert!(partner.accept().is_err(), "a partner was called for a finished order");
    assert_eq!(shop.events_in_all().await, before);
    assert_eq!(shop.stock("MUG").await.on_hand(), 1);
    manager.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_that_cannot_reach_the_gateway_does_not_give_up_what_another_has_paid() {
    let shop = Shop::open().await;
    shop.receive("MUG", 11).await;
    let healthy = Mortal::start(&shop);
    shop.completes(shop.place(&[("MUG", 1)], "tok_ok").await).await;
    let deadline = Duration::from_secs(3);
    let cut_off = Options {
        payment_gateway: Some("http://127.0.0.1:9".to_owned()),
        payment_deadline: deadline,
        ..shop.options()
    };
    let cut_off = Mortal::start_with(&shop, cut_off);
    let mut orders: Vec<OrderId> = vec![];
    for _ in 0..10 {
        let policies = Policies { dispatch: DispatchPolicy::Manual, ..Policies::default() };
        let wanted = Wanted { policies, ..Wanted::paid_with("tok_ok", &[("MUG", 1)]) };
        orders.push(shop.place_wanted(wanted).await);
    }
    for &order in &orders {
        shop.becomes(order, |order| order.status == OrderStatus::Confirmed).await;
    }
    // Nothing can be awaited where nothing is to happen.
    tokio::time::sleep(deadline).await;
    cut_off.die();
    for &order in &orders {
        let state = shop.order(order).await;
        assert_eq!((state.status.clone(), state.held()), (OrderStatus::Confirmed, 100));
        assert!(shop.cancel(order).await);
    }
    all_is_well(&shop, &orders, 10).await;
    healthy.die();
}
