//! Many want what only few can have.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::running::{Folder, Store};

fn short_of_a_mug() -> Value {
    json!({ "code": "INSUFFICIENT_STOCK", "sku": "MUG", "requested": "1", "available": "0" })
}

async fn reason(store: &Store, order: &str) -> Value {
    let query = "query($id: UUID!) { order(id: $id) { reason { code sku requested available } } }";
    store.api.run(query, json!({ "id": order })).await["order"]["reason"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_buyers_of_one_unit_one_gets_it_and_only_that_one_pays() {
    let folder = Folder::new();
    let store = Store::up(&folder).await;
    store.api.receive("MUG", 1).await;
    let buying = (0..200).map(|buyer| {
        let api = store.api.clone();
        async move { api.try_place("MUG", &format!("buyer-{buyer}"), "tok_ok").await.unwrap() }
    });
    let orders = join_all(buying).await;
    let mut outcomes = BTreeMap::<String, usize>::new();
    for order in &orders {
        let status = store.api.settled(order).await;
        if status == "REJECTED" {
            assert_eq!(reason(&store, order).await, short_of_a_mug());
        }
        *outcomes.entry(status).or_default() += 1;
    }
    let expected = [("COMPLETED".to_owned(), 1), ("REJECTED".to_owned(), 199)];
    assert_eq!(outcomes, BTreeMap::from(expected));
    let payments = store.payments().await;
    assert_eq!(payments.len(), 1, "no money is touched for the others");
    assert_eq!(payments[0]["authorisations"], 1);
    let stock = store.api.run("{ stock(sku: \"MUG\") { onHand reserved } }", json!({})).await;
    assert_eq!(stock["stock"], json!({ "onHand": "0", "reserved": "0" }));
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
    let payments = store.payments().await;
    assert_eq!(payments.len(), 1);
    assert_eq!((&payments[0]["authorisations"], &payments[0]["captures"]), (&json!(1), &json!(1)));
}
