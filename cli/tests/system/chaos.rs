//! Everything is killed at once, again and again, under load.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{OrderId, Sku};
use domain::order::{DispatchPolicy, Order, OrderStatus, PlacedOrder};
use domain::stock::Stock;
use journal::{Journal, Repository, SystemClock};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::running::{Api, Folder, Store, await_value, held};

const ROUNDS: u32 = 6;
const BUYERS: u32 = 8;
const UNITS: i64 = 100_000;

/// Orders that were acknowledged, and by which key.
type Acknowledged = Arc<Mutex<BTreeMap<String, String>>>;

/// Places orders until the store is gone; cancels some, holds some for a while, and sends some of the
/// orders back that were acknowledged before.
async fn buy(api: Api, buyer: u32, round: u32, acknowledged: Acknowledged) {
    for number in 0.. {
        let key = format!("{round}-{buyer}-{number}");
        let token = if number % 7 == 3 { "tok_declined" } else { "tok_ok" };
        let capture = if number % 3 == 1 { "AT_ONCE" } else { "ON_SHIP" };
        let dispatch = if waits(number) { "MANUAL" } else { "AUTOMATIC" };
        let policies = json!({ "capture": capture, "dispatch": dispatch });
        let more = json!({ "policies": policies, "externalReference": key });
        match api.try_place_with("MUG", &key, token, more).await {
            Ok(order) => {
                acknowledged.lock().await.insert(order.clone(), key);
                match number % 5 {
                    2 => hold_and_release(&api, &order).await,
                    3 => {
                        let all = acknowledged.lock().await.len();
                        let some = (number + 3 * buyer) as usize % all;
                        let earlier = acknowledged.lock().await.keys().nth(some).cloned();
                        send_back(&api, &earlier.unwrap()).await;
                    }
                    4 => cancel(&api, &order).await,
                    _ => {}
                }
            }
            Err(_) => return,
        }
    }
}

/// Whether the order waits for a warehouse that never sends it: it is cancelled when its money is held
/// or paid already.
const fn waits(number: u32) -> bool {
    number % 4 == 1
}

/// Too late, too early, or the store is gone: all are fine.
async fn attempt(api: &Api, field: &str, wanted: &str, input: Value) -> Option<Value> {
    let input_type = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
    let query = format!(
        "mutation($input: {input_type}!) {{ it: {field}(input: $input) {{ \
         {wanted} userErrors {{ message }} }} }}"
    );
    let answer = api.try_run(&query, &json!({ "input": input })).await.ok()?;
    Some(answer["it"].clone())
}

async fn cancel(api: &Api, order: &str) {
    let input = json!({ "idempotencyKey": "cancel", "id": order, "reason": "CUSTOMER" });
    attempt(api, "orderCancel", "", input).await;
}

/// The kill may come between the two: then the hold is released in the end.
async fn hold_and_release(api: &Api, order: &str) {
    let input = json!({ "idempotencyKey": "hold", "id": order, "name": "look", "reason": "FRAUD" });
    attempt(api, "orderHold", "", input).await;
    release(api, order).await;
}

async fn release(api: &Api, order: &str) {
    let input = json!({ "idempotencyKey": "release", "id": order, "name": "look" });
    attempt(api, "orderHoldRelease", "", input).await;
}

/// As far as it has left already.
async fn send_back(api: &Api, order: &str) {
    let line = json!([{ "line": 0, "quantity": 1 }]);
    let about = |more: Value| {
        let mut input = json!({ "idempotencyKey": "back", "orderId": order });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let request = about(json!({ "lines": line, "reason": "UNWANTED" }));
    let asked = attempt(api, "returnRequest", "returnId", request).await;
    let this = asked.map(|it| it["returnId"].clone()).filter(Value::is_string);
    let Some(this) = this else { return };
    let came = json!([{ "line": 0, "quantity": 1, "disposition": "RESTOCKED" }]);
    attempt(api, "returnApprove", "", about(json!({ "returnId": this }))).await;
    let receive = about(json!({ "returnId": this, "goods": came }));
    attempt(api, "returnReceive", "", receive).await;
    let refund = about(json!({ "returnId": this, "lines": line, "reason": "CUSTOMER" }));
    attempt(api, "refundCreate", "", refund).await;
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
    // Orders that were placed but whose answer nobody heard are no fewer orders: they end too.
    let all = await_value(async || {
        let all = all_orders(store).await;
        acknowledged.keys().all(|order| all.contains(order)).then_some(all)
    })
    .await;
    for order in &all {
        release(&store.api, order).await;
        let id: OrderId = order.parse().unwrap();
        let placed = orders.load(&id).await.unwrap().unwrap();
        let policies = placed.state.placed().unwrap().details.policies;
        if policies.dispatch == DispatchPolicy::Manual {
            cancel(&store.api, order).await;
        }
    }
    let (mut sold, mut paid) = (0, 0);
    let (mut endings, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for order in &all {
        store.api.settled(order).await;
        let id: OrderId = order.parse().unwrap();
        let folded = orders.load(&id).await.unwrap().unwrap();
        let placed = folded.state.placed().unwrap();
        check_order(placed, order);
        let number = placed.number.clone().unwrap();
        assert!(numbers.insert(number.clone()), "the number {number} was given twice");
        endings.insert((placed.status.code(), placed.payment_status().code()));
        assert_eq!(shown(&store.api, order).await, rendered(placed, folded.revision), "{order}");
        let line = &placed.lines[0];
        sold += i64::from(line.shipped) - i64::from(line.returned);
        paid += placed.captured() - placed.refunded();
    }
    let stock = Repository::<Stock>::new(journal, 10);
    let mug = Sku::new("MUG").unwrap();
    // What came back is put onto the shelf a moment after it was recorded.
    store.api.stock_is("MUG", UNITS - sold, 0).await;
    let stock = stock.load(&mug).await.unwrap().unwrap().state;
    assert_eq!((stock.on_hand(), stock.reserved()), ((UNITS - sold).unsigned_abs(), 0));
    check_money(store, paid).await;
    for ending in [("completed", "paid"), ("cancelled", "voided"), ("cancelled", "refunded")] {
        assert!(endings.contains(&ending), "this would prove little: {endings:?}");
    }
}

/// What must hold of every order that has come to its end.
fn check_order(placed: &PlacedOrder, order: &str) {
    assert!(placed.status.is_terminal(), "{order}: {}", placed.status);
    assert_eq!(placed.held(), 0, "no money is held for {order}");
    let line = &placed.lines[0];
    let (captured, refunded) = (placed.captured(), placed.refunded());
    match placed.status {
        OrderStatus::Completed => {
            assert_eq!((line.shipped, line.delivered), (1, 1), "{order}");
            assert_eq!(captured, placed.total(), "{order} was paid, once");
            assert!(refunded <= 100 * i64::from(line.refunded), "{order}");
        }
        OrderStatus::Pending
        | OrderStatus::Confirmed
        | OrderStatus::Cancelled(_)
        | OrderStatus::Rejected(_) => {
            assert_eq!((line.shipped, captured - refunded), (0, 0), "{order} was given up");
        }
    }
}

const DOCUMENT: &str = "query($id: UUID!) { order(id: $id) { version status paymentStatus \
    fulfilmentStatus returnStatus number externalReference total { amount } authorised { amount } \
    captured { amount } refunded { amount } \
    lines { cancelled backordered shipped delivered returnRequested returned refunded } } }";

/// The order as the read model has it.
async fn shown(api: &Api, order: &str) -> Value {
    api.run(DOCUMENT, json!({ "id": order })).await["order"].take()
}

/// The order as the log has it.
fn rendered(placed: &PlacedOrder, revision: u64) -> Value {
    let code = |code: &str| code.replace('-', "_").to_uppercase();
    let amount = |minor: i64| json!({ "amount": format!("{}.{:02}", minor / 100, minor % 100) });
    let lines = placed.lines.iter().map(|line| {
        json!({
            "cancelled": line.cancelled,
            "backordered": line.backordered,
            "shipped": line.shipped,
            "delivered": line.delivered,
            "returnRequested": line.return_requested,
            "returned": line.returned,
            "refunded": line.refunded,
        })
    });
    json!({
        "version": revision,
        "status": code(placed.status.code()),
        "paymentStatus": code(placed.payment_status().code()),
        "fulfilmentStatus": code(placed.fulfilment_status().code()),
        "returnStatus": code(placed.return_status().code()),
        "number": placed.number.as_ref().map(ToString::to_string),
        "externalReference": placed.details.external_reference.as_ref().map(ToString::to_string),
        "total": amount(placed.total()),
        "authorised": amount(placed.held()),
        "captured": amount(placed.captured()),
        "refunded": amount(placed.refunded()),
        "lines": lines.collect::<Vec<_>>(),
    })
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

/// Each payment was charged at most once, none holds money any more, and what came and did not go
/// back is what the orders say.
async fn check_money(store: &Store, paid: i64) {
    let number = |payment: &Value, key: &str| payment[key].as_i64().unwrap_or_default();
    let mut kept = 0;
    for payment in store.payments().await {
        assert!(number(&payment, "authorisations") <= 1, "{payment}");
        assert!(number(&payment, "captures") <= 1, "{payment}");
        assert!(number(&payment, "refunds") <= 1, "{payment}");
        assert_eq!(held(&payment), 0, "{payment}");
        assert!(number(&payment, "refunded") <= number(&payment, "captured"), "{payment}");
        kept += number(&payment, "captured") - number(&payment, "refunded");
    }
    assert_eq!(kept, paid, "what was sold was paid, once");
}
