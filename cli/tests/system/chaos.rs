//! Everything is killed at once, again and again, under load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{OrderId, Sku};
use domain::order::{Order, OrderStatus};
use domain::stock::Stock;
use journal::{Journal, Repository, SystemClock};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::running::{Api, Folder, Store, await_value};

const ROUNDS: u32 = 6;
const BUYERS: u32 = 8;
const UNITS: i64 = 100_000;

/// Orders that were acknowledged, and by which key.
type Acknowledged = Arc<Mutex<BTreeMap<String, String>>>;

/// Places orders until the store is gone.
async fn buy(api: Api, buyer: u32, round: u32, acknowledged: Acknowledged) {
    for number in 0.. {
        let key = format!("{round}-{buyer}-{number}");
        let token = if number % 7 == 3 { "tok_declined" } else { "tok_ok" };
        match api.try_place("MUG", &key, token).await {
            Ok(order) => {
                acknowledged.lock().await.insert(order.clone(), key);
                if number % 5 == 4 {
                    cancel(&api, &order).await;
                }
            }
            Err(_) => return,
        }
    }
}

async fn cancel(api: &Api, order: &str) {
    let query = "mutation($input: OrderCancelInput!) { it: orderCancel(input: $input) { \
        userErrors { message } } }";
    let input =
        json!({ "idempotencyKey": format!("cancel-{order}"), "id": order, "reason": "CUSTOMER" });
    // Too late, or the store is gone: both are fine.
    let _ = api.try_run(query, &json!({ "input": input })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_every_acknowledged_order_ends_and_nothing_is_lost() {
    let folder = Folder::new();
    let acknowledged = Acknowledged::default();
    for round in 0..ROUNDS {
        let mut store = Store::up(&folder).await;
        store.api.receive("MUG", UNITS).await;
        let buyers: Vec<_> = (0..BUYERS)
            .map(|buyer| tokio::spawn(buy(store.api.clone(), buyer, round, acknowledged.clone())))
            .collect();
        let before = acknowledged.lock().await.len();
        // At another depth of the work in hand each time.
        let depth = before + 10 + 17 * round as usize;
        await_value(async || (acknowledged.lock().await.len() >= depth).then_some(())).await;
        store.process.kill();
        for buyer in buyers {
            buyer.await.unwrap();
        }
    }
    let store = Store::up(&folder).await;
    let acknowledged = acknowledged.lock().await.clone();
    check_all(&store, &acknowledged).await;
}

async fn check_all(store: &Store, acknowledged: &BTreeMap<String, String>) {
    let address = store.journal.parse().unwrap();
    let options = journal::Options::new(address).with_deadline(Duration::from_secs(30));
    let journal = Journal::connect(options, Arc::new(SystemClock)).unwrap();
    let orders = Repository::<Order>::new(journal.clone(), 10_000);
    let mut sold = 0;
    for (order, key) in acknowledged {
        let shown = store.api.settled(order).await;
        let id: OrderId = order.parse().unwrap();
        let folded = orders.load(&id).await.unwrap().unwrap();
        let status = folded.state.status().unwrap();
        assert_eq!(shown, status.to_string().to_uppercase(), "{order} ({key})");
        sold += i64::from(*status == OrderStatus::Completed);
    }
    // Orders that were placed but whose answer nobody heard are no fewer orders: let them end too.
    let all = all_orders(store).await;
    for order in all.iter().filter(|it| !acknowledged.contains_key(*it)) {
        sold += i64::from(store.api.settled(order).await == "COMPLETED");
    }
    let stock = Repository::<Stock>::new(journal, 10);
    let stock = stock.load(&Sku::new("MUG").unwrap()).await.unwrap().unwrap().state;
    let left = i64::try_from(stock.on_hand()).unwrap();
    assert_eq!((left, stock.reserved()), (UNITS - sold, 0), "stock is conserved");
    let row = store.api.run("{ stock(sku: \"MUG\") { onHand reserved } }", json!({})).await;
    assert_eq!(row["stock"], json!({ "onHand": left.to_string(), "reserved": "0" }));
    check_money(store, sold).await;
}

async fn all_orders(store: &Store) -> Vec<String> {
    let query = "query($after: String) { orders(first: 100, after: $after) { \
        nodes { id } pageInfo { hasNextPage endCursor } } }";
    let (mut found, mut after) = (vec![], Value::Null);
    loop {
        let page = store.api.run(query, json!({ "after": after })).await;
        let nodes = page["orders"]["nodes"].as_array().unwrap();
        found.extend(nodes.iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        if page["orders"]["pageInfo"]["hasNextPage"] != true {
            return found;
        }
        after = page["orders"]["pageInfo"]["endCursor"].clone();
    }
}

/// Each order was charged at most once, and no money is held for one that is not delivered.
async fn check_money(store: &Store, sold: i64) {
    let number = |payment: &Value, key: &str| payment[key].as_i64().unwrap_or_default();
    let mut captured = 0;
    for payment in store.payments().await {
        assert!(number(&payment, "authorisations") <= 1, "{payment}");
        assert!(number(&payment, "captures") <= 1, "{payment}");
        let held = number(&payment, "authorised")
            - number(&payment, "captured")
            - number(&payment, "voided");
        assert_eq!(held, 0, "{payment}");
        captured += number(&payment, "captured");
    }
    assert_eq!(captured, sold * 100, "what was sold was paid, once");
}
