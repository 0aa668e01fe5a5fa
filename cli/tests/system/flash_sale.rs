//! Many want what only few can have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::running::{Api, Folder, PATIENCE, Store, held};

const BUYERS: usize = 200;

fn short_of_a_mug() -> Value {
    json!({ "code": "INSUFFICIENT_STOCK", "sku": "MUG", "requested": "1", "available": "0" })
}

async fn reason(store: &Store, order: &str) -> Value {
    let query = "query($id: UUID!) { order(id: $id) { reason { code sku requested available } } }";
    store.api.run(query, json!({ "id": order })).await["order"]["reason"].clone()
}

/// Of all who ordered one, as many have got one as there were, and have paid, once. All others know
/// why they have not, and nothing of their money was touched.
async fn check(store: &Store, orders: &[String], units: usize) {
    let mut outcomes = BTreeMap::<String, usize>::new();
    for order in orders {
        let status = store.api.settled(order).await;
        if status == "REJECTED" {
            assert_eq!(reason(store, order).await, short_of_a_mug());
        }
        *outcomes.entry(status).or_default() += 1;
    }
    let expected = [("COMPLETED".to_owned(), units), ("REJECTED".to_owned(), orders.len() - units)];
    assert_eq!(outcomes, BTreeMap::from(expected));
    let payments = store.payments().await;
    assert_eq!(payments.len(), units, "no money is touched for the others");
    for payment in payments {
        let counted = (&payment["authorisations"], &payment["captures"], &payment["captured"]);
        assert_eq!(counted, (&json!(1), &json!(1), &json!(100)), "{payment}");
        assert_eq!(held(&payment), 0, "{payment}");
    }
    store.api.stock_is("MUG", 0, 0).await;
}

async fn sell(units: usize) {
    let folder = Folder::new();
    let store = Store::up(&folder).await;
    store.api.receive("MUG", i64::try_from(units).unwrap()).await;
    let buying = (0..BUYERS).map(|buyer| {
        let api = store.api.clone();
        async move { api.try_place("MUG", &format!("buyer-{buyer}"), "tok_ok").await.unwrap() }
    });
    let orders = join_all(buying).await;
    check(&store, &orders, units).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_buyers_of_one_unit_one_gets_it_and_only_that_one_pays() {
    sell(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_buyers_of_a_hundred_units_a_hundred_get_one_and_pay() {
    sell(100).await;
}

/// Buys one, and does not give up when the store is gone for a while.
async fn insist(api: watch::Receiver<Api>, buyer: usize, served: Arc<AtomicUsize>) -> String {
    let (key, start) = (format!("buyer-{buyer}"), Instant::now());
    loop {
        let store = api.borrow().clone();
        match store.try_place("MUG", &key, "tok_ok").await {
            Ok(order) => {
                served.fetch_add(1, Ordering::Relaxed);
                return order;
            }
            Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The same, but everything is killed when `depth` buyers have been served.
async fn sell_and_kill(units: usize, depth: usize) {
    let folder = Folder::new();
    let mut store = Store::up(&folder).await;
    store.api.receive("MUG", i64::try_from(units).unwrap()).await;
    let (open, api) = watch::channel(store.api.clone());
    let served = Arc::new(AtomicUsize::new(0));
    let buying: Vec<_> = (0..BUYERS)
        .map(|buyer| tokio::spawn(insist(api.clone(), buyer, Arc::clone(&served))))
        .collect();
    while served.load(Ordering::Relaxed) < depth {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    store.process.kill();
    let store = Store::up(&folder).await;
    open.send(store.api.clone()).unwrap();
    let orders: Vec<_> = join_all(buying).await.into_iter().map(Result::unwrap).collect();
    check(&store, &orders, units).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_everything_amid_a_sale_of_one_unit_changes_nothing() {
    sell_and_kill(1, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_everything_amid_a_sale_of_a_hundred_units_changes_nothing() {
    sell_and_kill(100, 120).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_a_hundred_times_at_once_is_one_order_and_one_charge() {
    let folder = Folder::new();
    let store = Store::up(&folder).await;
    store.api.receive("MUG", 10).await;
    let buying = (0..100).map(|_| {
        let api = store.api.clone();
        async move { api.try_place("MUG", "one intention", "tok_ok").await }
    });
    let refused = join_all(buying).await;
    assert!(refused.iter().all(Result::is_err), "a key has no spaces");
    let buying = (0..100).map(|_| {
        let api = store.api.clone();
        async move { api.try_place("MUG", "one-intention", "tok_ok").await.unwrap() }
    });
    let orders = join_all(buying).await;
    assert!(orders.iter().all(|order| *order == orders[0]));
    assert_eq!(store.api.settled(&orders[0]).await, "COMPLETED");
    let all = store.api.run("{ orders(first: 10) { nodes { id } } }", json!({})).await;
    assert_eq!(all["orders"]["nodes"], json!([{ "id": orders[0] }]));
    let payments = store.payments().await;
    assert_eq!(payments.len(), 1);
    assert_eq!((&payments[0]["authorisations"], &payments[0]["captures"]), (&json!(1), &json!(1)));
    assert_eq!(payments[0]["captured"], 100);
    store.api.stock_is("MUG", 9, 0).await;
}
