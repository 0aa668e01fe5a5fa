//! A manager dies after every single thing it does, and another goes on.

use std::time::Duration;

use domain::ids::{LocationCode, MovementId, OrderId, RefundId, ReturnId};
use domain::order::{
    Disposition, LineUnits, MovementStatus, OrderCommand, OrderStatus, ReceivedUnits, RefundOf,
    RefundReason, ReturnReason,
};
use domain::quantity::Quantity;
use journal::{Delivery, Filter, Position};
use process_managers::Options;

use crate::shop::{Shop, Wanted, connect, start};

/// A process manager that can die as a process does: at once, wherever it is.
pub(crate) struct Mortal(Option<tokio::runtime::Runtime>);

impl Mortal {
    pub(crate) fn start(shop: &Shop) -> Self {
        Self::start_with(shop, shop.options())
    }

    pub(crate) fn start_with(shop: &Shop, options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let address = shop.address();
        runtime.spawn(async move {
            let manager = start(&connect(&address), &options);
            std::future::pending::<()>().await;
            drop(manager);
        });
        Self(Some(runtime))
    }

    pub(crate) fn die(self) {
        drop(self);
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.0.take().unwrap().shutdown_background();
    }
}

/// Waits until all orders of one mug each are over, and looks at the books of everybody.
pub(crate) async fn all_is_well(shop: &Shop, orders: &[OrderId], received: u64) {
    let mut sold = 0;
    for &order in orders {
        shop.becomes(order, |order| {
            !matches!(order.status, OrderStatus::Pending | OrderStatus::Confirmed)
        })
        .await;
    }
    shop.comes_to_rest().await;
    for &order in orders {
        let charged = shop.charged(order).await;
        assert!(charged.authorisations <= 1 && charged.captures <= 1, "{order}: {charged:?}");
        assert_eq!(charged.held(), 0, "money is held for {order}, which is over");
        let delivered = shop.status(order).await == OrderStatus::Completed;
        assert_eq!(charged.kept(), if delivered { 100 } else { 0 }, "{order}");
        sold += u64::from(delivered);
    }
    assert_eq!(shop.shelves("MUG").await, (received - sold, 0));
}

/// Runs `journey` while managers die: one after each event that they write.
async fn with_managers_that_die<T>(shop: &Shop, journey: impl Future<Output = T>) -> T {
    let dying = async {
        let categories =
            Filter::categories(&["order", "stock", "payment", "shipment", "fulfilment"]);
        let mut log = shop.journal.subscribe(categories, Position::START);
        let mut manager = Mortal::start(shop);
        loop {
            let Delivery::Event(event) = log.next().await else { continue };
            if event.metadata.actor == "process:fulfilment" {
                manager.die();
                manager = Mortal::start(shop);
            }
        }
    };
    tokio::select! {
        done = journey => done,
        () = dying => unreachable!(),
    }
}

fn units(line: u32, units: i64) -> LineUnits {
    LineUnits { line, quantity: Quantity::new(units).unwrap() }
}

/// Acceptance, two deliveries, captures, a refund, a return.
async fn bought_and_sent_back(shop: &Shop, order: OrderId) {
    shop.completes(order).await;
    let (refund, reason) = (RefundId::derive(order, "1"), RefundReason::Damaged);
    let what = RefundOf::Lines(vec![units(0, 1)]);
    let (payment, return_id, note) = (None, None, None);
    let give_back = OrderCommand::RequestRefund { refund, payment, what, return_id, reason, note };
    shop.tell(order, give_back).await;
    let (return_id, lines) = (ReturnId::derive(order, "1"), vec![units(0, 2)]);
    let reason = ReturnReason::Damaged;
    shop.tell(order, OrderCommand::RequestReturn { return_id, lines, reason, note: None }).await;
    shop.tell(order, OrderCommand::ApproveReturn { return_id }).await;
    let back = ReceivedUnits {
        line: 0,
        quantity: Quantity::new(2).unwrap(),
        disposition: Disposition::Restocked,
        location: LocationCode::new("leeds").unwrap(),
    };
    let movement = MovementId::derive(order, "1");
    let receive = OrderCommand::ReceiveReturn { return_id, goods: vec![back], movement };
    shop.tell(order, receive).await;
    shop.becomes(order, |order| order.refunds[&refund].status == MovementStatus::Done).await;
    shop.comes_to_rest().await;
}

/// Acceptance of what is not all there, a backorder that is filled, units and then the rest cancelled.
async fn awaited_and_given_up(shop: &Shop, order: OrderId) {
    shop.becomes(order, |order| order.lines[0].delivered == 1).await;
    shop.cancel_units(order, 0, 1).await;
    shop.receive("CUP", 1).await;
    shop.becomes(order, |order| order.lines[0].delivered == 2).await;
    assert!(shop.cancel(order).await);
    shop.completes(order).await;
    shop.comes_to_rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_after_any_event_of_a_sale_and_its_return_changes_nothing() {
    let shop = Shop::open_with(|it| {
        it.carrier_transit = Duration::from_millis(20);
        it.payment_delay = Duration::from_millis(3);
    })
    .await;
    for places in [("leeds", 2), ("york", 2)] {
        shop.receive_at(places.0, "MUG", places.1).await;
    }
    let order = shop.place(&[("MUG", 3)], "tok_ok").await;
    with_managers_that_die(&shop, bought_and_sent_back(&shop, order)).await;

    let charged = shop.charged(order).await;
    assert_eq!((charged.authorisations, charged.captures, charged.refunds), (1, 2, 1));
    assert_eq!((charged.captured, charged.refunded, charged.held()), (300, 100, 0));
    assert_eq!(shop.shelves("MUG").await, (3, 0));
    assert_eq!(shop.carried(order).await.len(), 2);
    let state = shop.order(order).await;
    assert_eq!((state.shipments.len(), state.lines[0].returned), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_after_any_event_of_a_backorder_and_its_cancellation_changes_nothing() {
    let shop = Shop::open_with(|it| {
        it.carrier_transit = Duration::from_millis(20);
        it.payment_delay = Duration::from_millis(3);
    })
    .await;
    shop.promise_before_it_comes("CUP").await;
    shop.receive("CUP", 1).await;
    let order = shop.place(&[("CUP", 4)], "tok_ok").await;
    with_managers_that_die(&shop, awaited_and_given_up(&shop, order)).await;

    let charged = shop.charged(order).await;
    assert_eq!((charged.authorisations, charged.kept(), charged.held()), (1, 200, 0));
    let state = shop.order(order).await;
    assert_eq!((state.lines[0].delivered, state.lines[0].cancelled), (2, 2));
    shop.receive("CUP", 5).await;
    assert_eq!(shop.shelves("CUP").await, (5, 0), "nothing is awaited any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_after_any_event_of_an_order_that_is_given_up_changes_nothing() {
    let shop = Shop::open().await;
    shop.receive("MUG", 9).await;
    let held = || Wanted { holds: vec!["fraud"], ..Wanted::paid_with("tok_ok", &[("MUG", 1)]) };
    let mut orders = vec![];
    for token in ["tok_declined", "tok_ok", "tok_pending"] {
        orders.push(shop.place(&[("MUG", 1)], token).await);
    }
    let cancelled = shop.place_wanted(held()).await;
    let journey = async {
        shop.becomes(cancelled, |order| order.held() == 100).await;
        assert!(shop.cancel(cancelled).await);
        orders.push(cancelled);
        all_is_well(&shop, &orders, 9).await;
    };
    with_managers_that_die(&shop, journey).await;
}
