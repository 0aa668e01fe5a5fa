//! Partners fail, managers die and come twice: every order reaches its end all the same.

use std::time::Duration;

use domain::fulfilment::{FulfilmentState, Outcome, Phase, Step};
use domain::ids::OrderId;
use domain::order::{CancelReason, OrderStatus};
use process_managers::{Options, ProcessManager};

use crate::shop::{Shop, connect};

/// A process manager that can die as a process does: at once, wherever it is.
struct Mortal(tokio::runtime::Runtime);

impl Mortal {
    fn start(shop: &Shop) -> Self {
        Self::start_with(shop, shop.options())
    }

    fn start_with(shop: &Shop, options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let address = shop.address();
        runtime.spawn(async move {
            let manager = ProcessManager::start(connect(&address), &options).unwrap();
            std::future::pending::<()>().await;
            drop(manager);
        });
        Self(runtime)
    }

    fn die(self) {
        self.0.shutdown_background();
    }
}

async fn all_is_well(shop: &Shop, orders: &[OrderId], received: u64) {
    let mut sold = 0;
    for &order in orders {
        let outcome = shop.finished(order).await;
        let charged = shop.charged(order).await;
        match outcome {
            Outcome::Fulfilled => {
                let charged = charged.unwrap();
                assert_eq!((charged.authorisations, charged.captures), (1, 1), "{order}");
                sold += 1;
            }
            Outcome::Cancelled | Outcome::Rejected => {
                let held = charged.map_or(0, |it| {
                    assert_eq!(it.captures, 0, "{order}");
                    it.authorisations * 100 - it.voided
                });
                assert_eq!(held, 0, "money is held for {order}, which is not delivered");
            }
        }
    }
    let stock = shop.stock("MUG").await;
    assert_eq!((stock.on_hand(), stock.reserved()), (received - sold, 0));
}

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

#[tokio::test]
async fn a_partner_in_trouble_is_tried_again_until_it_works() {
    let shop = Shop::open().await;
    let manager = shop.process_manager();
    shop.receive("MUG", 1).await;
    let order = shop.place(&[("MUG", 1)], "tok_flaky").await;
    assert_eq!(shop.finished(order).await, Outcome::Fulfilled);
    manager.stop().await;
}

#[tokio::test]
async fn a_step_that_keeps_failing_is_parked_and_resumed_by_an_operator() {
    let shop = Shop::open().await;
    let options = Options { step_attempts: 1, ..shop.options() };
    let manager = ProcessManager::start(shop.journal.clone(), &options).unwrap();
    shop.receive("MUG", 1).await;
    let order = shop.place(&[("MUG", 1)], "tok_flaky").await;
    let parked = Phase::Parked(Step::AuthorisePayment);
    shop.reaches(order, |phase| *phase == parked).await;
    let FulfilmentState::Running(process) = shop.process(order).await else { panic!() };
    assert!(process.trouble.unwrap().error.contains("503"));

    shop.resume(order).await;
    shop.reaches(order, |phase| *phase == parked).await;
    shop.resume(order).await;
    assert_eq!(shop.finished(order).await, Outcome::Fulfilled);
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
    assert_eq!(shop.stock("MUG").await.available(), 1);
    manager.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let shop = Shop::open_with(|it| it.carrier_transit = Duration::from_millis(500)).await;
    shop.receive("MUG", 1).await;
    let manager = shop.process_manager();
    let order = shop.place(&[("MUG", 1)], "tok_ok").await;
    shop.reaches(order, |phase| *phase == Phase::Due(Step::AwaitDelivery)).await;
    manager.stop().await;

    let manager = shop.process_manager();
    assert_eq!(shop.finished(order).await, Outcome::Fulfilled);
    manager.stop().await;
}

#[tokio::test]
async fn a_restart_that_meets_a_finished_order_again_leaves_it_alone() {
    let shop = Shop::open().await;
    shop.receive("MUG", 2).await;
    let options = Options { step_attempts: 1, ..shop.options() };
    let manager = ProcessManager::start(shop.journal.clone(), &options).unwrap();
    // Young and open, so a restart routes again everything since.
    let open = shop.place(&[("MUG", 1)], "tok_flaky").await;
    let parked = Phase::Parked(Step::AuthorisePayment);
    shop.reaches(open, |phase| *phase == parked).await;
    let finished = shop.place(&[("MUG", 1)], "tok_ok").await;
    assert_eq!(shop.finished(finished).await, Outcome::Fulfilled);
    manager.stop().await;
    let before = shop.events_of(finished).await;

    // A gateway that would notice being called.
    let gateway = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    gateway.set_nonblocking(true).unwrap();
    let url = format!("http://{}", gateway.local_addr().unwrap());
    let options = Options { payment_gateway: Some(url), ..options };
    let manager = ProcessManager::start(shop.journal.clone(), &options).unwrap();
    manager.status().wait_for(|status| status.caught_up && status.open == 1).await.unwrap();
    assert!(gateway.accept().is_err(), "the gateway was called for a finished order");
    assert_eq!(shop.events_of(finished).await, before);
    assert_eq!(shop.stock("MUG").await.on_hand(), 1);
    manager.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_that_cannot_reach_the_gateway_does_not_give_up_what_another_has_paid() {
    let shop = Shop::open_with(|it| it.carrier_transit = Duration::from_millis(1_500)).await;
    shop.receive("MUG", 10).await;
    let cut_off = Options {
        payment_gateway: Some("http://127.0.0.1:9".to_owned()),
        payment_deadline: Duration::from_millis(700),
        ..shop.options()
    };
    let managers = [Mortal::start_with(&shop, cut_off), Mortal::start(&shop)];
    let mut orders = vec![];
    for _ in 0..10 {
        orders.push(shop.place(&[("MUG", 1)], "tok_ok").await);
    }
    for &order in &orders {
        let authorised = |phase: &Phase| match phase {
            Phase::Due(step) | Phase::Waiting { step, .. } => *step > Step::AuthorisePayment,
            Phase::Finished(_) => true,
            Phase::NotStarted | Phase::Parked(_) => false,
        };
        shop.reaches(order, authorised).await;
    }
    all_is_well(&shop, &orders, 10).await;
    assert_eq!(shop.stock("MUG").await.on_hand(), 0, "all of them were delivered");
    for manager in managers {
        manager.die();
    }
}
