//! Stock: receiving, correcting, counting, policies, and how it all came about.

use domain::ids::{OrderId, Sku};
use domain::quantity::Quantity;
use domain::stock::{Acceptance, Stock, StockCommand};
use journal::{Clock, Repository, SystemClock};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Api, STOCK_RECEIVE, Whole, code, two_mugs, with};

const FIELDS: &str = "stock {
        sku onHand reserved available backordered policy lowStockAt level revision
        locations { location onHand reserved free }
    } position replayed
    userErrors {
        __typename code field message
        ... on InsufficientStock { sku location requested available }
        ... on UnitsSetAside { location onHand reserved }
        ... on StaleQuantity { location expected actual }
    }";

/// The payload of `mutation`, such as `stockAdjust`.
async fn change(api: &Api, mutation: &str, input: Value) -> Value {
    let kind = format!("{}{}Input", mutation[..1].to_uppercase(), &mutation[1..]);
    let query =
        format!("mutation($input: {kind}!) {{ it: {mutation}(input: $input) {{ {FIELDS} }} }}");
    api.data(&query, json!({ "input": input })).await["it"].clone()
}

fn adjust(key: &str, delta: i64) -> Value {
    json!({ "idempotencyKey": key, "sku": "MUG", "delta": delta, "reason": "DAMAGED" })
}

fn set(key: &str, quantity: i64, from: i64) -> Value {
    json!({ "idempotencyKey": key, "sku": "MUG", "quantity": quantity, "changeFromQuantity": from })
}

fn policy(key: &str, policy: &str) -> Value {
    json!({ "idempotencyKey": key, "sku": "MUG", "policy": policy })
}

/// Sets one mug aside for each order, as their processes do.
async fn reserve(api: &Api, orders: std::ops::Range<u128>) {
    let stocks = Repository::<Stock>::new(api.journal.clone(), 1);
    let mugs = Sku::new("MUG").unwrap();
    for number in orders {
        let order = OrderId(Uuid::from_u128(number));
        let command = StockCommand::Reserve {
            order,
            quantity: Quantity::ONE,
            acceptance: Acceptance::AllOrNothing,
            prefer: None,
            now: SystemClock.now(),
            expires_at: None,
        };
        let context = journal::Context {
            command_id: journal::ids::new_id(),
            correlation_id: order.0,
            causation_id: order.0,
            actor: "process:test".to_owned(),
            traceparent: None,
        };
        stocks.execute(&mugs, command, context).await.unwrap();
    }
}

async fn receive_at(api: &Api, location: &str, quantity: i64) -> Value {
    let items = json!([{ "sku": "MUG", "quantity": quantity }]);
    let input = json!({ "idempotencyKey": location, "location": location, "items": items });
    let received = api.data(STOCK_RECEIVE, json!({ "input": input })).await;
    assert_eq!(received["stockReceive"]["userErrors"], json!([]), "{received:#}");
    received["stockReceive"].clone()
}

#[tokio::test]
async fn goods_are_received_where_the_receipt_says() {
    let api = Api::start().await;
    receive_at(&api, "leeds", 5).await;
    api.receive(&["MUG"], 3).await;
    let unchanged = change(&api, "stockSet", set("s", 3, 3)).await;
    let here = |location, units| json!({ "location": location, "onHand": units, "reserved": "0", "free": units });
    assert_eq!(unchanged["stock"]["locations"], json!([here("leeds", "5"), here("main", "3")]));
    assert_eq!(unchanged["stock"]["available"], "8");

    let items = json!([{ "sku": "MUG", "quantity": 5 }]);
    let input = json!({ "idempotencyKey": "leeds", "location": "york", "items": items });
    let refused = api.data(STOCK_RECEIVE, json!({ "input": input })).await;
    let error = &refused["stockReceive"]["userErrors"][0];
    assert_eq!(error["code"], "IDEMPOTENCY_CONFLICT", "{error:#}");
}

#[tokio::test]
async fn a_correction_counts_once() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let first = change(&api, "stockAdjust", adjust("a-1", -3)).await;
    assert_eq!((&first["stock"]["onHand"], &first["replayed"]), (&json!("7"), &json!(false)));
    let again = change(&api, "stockAdjust", adjust("a-1", -3)).await;
    assert_eq!((&again["stock"], &again["replayed"]), (&first["stock"], &json!(true)));
    let other = change(&api, "stockAdjust", adjust("a-1", -4)).await;
    assert_eq!(other["userErrors"][0]["__typename"], "IdempotencyConflict");
}

#[tokio::test]
async fn a_correction_leaves_at_least_what_is_set_aside_and_says_the_numbers() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    reserve(&api, 0..4).await;
    let refused = change(&api, "stockAdjust", adjust("a-1", -11)).await;
    let error = &refused["userErrors"][0];
    assert_eq!(error["__typename"], "InsufficientStock", "{error:#}");
    assert_eq!((&error["sku"], &error["location"]), (&json!("MUG"), &json!("main")));
    assert_eq!((&error["requested"], &error["available"]), (&json!("11"), &json!("10")));

    let refused = change(&api, "stockAdjust", adjust("a-1", -7)).await;
    let error = &refused["userErrors"][0];
    assert_eq!(error["__typename"], "UnitsSetAside", "{error:#}");
    assert_eq!((&error["onHand"], &error["reserved"]), (&json!("3"), &json!("4")));
    assert_eq!(error["field"], json!(["input", "delta"]));

    let refused = change(&api, "stockAdjust", adjust("a-1", 0)).await;
    assert_eq!(refused["userErrors"][0]["__typename"], "InvalidInput");

    let accepted = change(&api, "stockAdjust", adjust("a-1", -6)).await;
    assert_eq!(
        (&accepted["stock"]["onHand"], &accepted["stock"]["level"]),
        (&json!("4"), &json!("OUT"))
    );
}

#[tokio::test]
async fn a_count_replaces_only_the_number_that_was_expected() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let refused = change(&api, "stockSet", set("s-1", 12, 9)).await;
    let error = &refused["userErrors"][0];
    assert_eq!(error["__typename"], "StaleQuantity", "{error:#}");
    assert_eq!((&error["expected"], &error["actual"]), (&json!("9"), &json!("10")));
    assert_eq!(error["field"], json!(["input", "changeFromQuantity"]));

    let counted = change(&api, "stockSet", set("s-1", 12, 10)).await;
    assert_eq!(counted["stock"]["onHand"], "12");
    let again = change(&api, "stockSet", set("s-1", 12, 10)).await;
    assert_eq!((&again["stock"]["onHand"], &again["replayed"]), (&json!("12"), &json!(true)));

    reserve(&api, 0..2).await;
    let refused = change(&api, "stockSet", set("s-2", 1, 12)).await;
    assert_eq!(refused["userErrors"][0]["__typename"], "UnitsSetAside");
    let refused = change(&api, "stockSet", set("s-2", -1, 12)).await;
    assert_eq!(refused["userErrors"][0]["field"], json!(["input", "quantity"]));
}

#[tokio::test]
async fn a_new_sku_that_may_be_backordered_can_be_sold() {
    let api = Api::start().await;
    let unknown = api.place(two_mugs("k-1")).await;
    assert_eq!(unknown["userErrors"][0]["__typename"], "UnknownSku", "{unknown:#}");
    let backorder = with(policy("p-1", "BACKORDER"), "/lowStockAt", json!(5));
    let set = change(&api, "stockPolicySet", backorder.clone()).await;
    let stock = &set["stock"];
    assert_eq!((&stock["policy"], &stock["lowStockAt"]), (&json!("BACKORDER"), &json!("5")));
    let placed = api.place(two_mugs("k-1")).await;
    assert_eq!(placed["userErrors"], json!([]));
    reserve(&api, 0..2).await;

    let deny = change(&api, "stockPolicySet", policy("p-2", "DENY")).await;
    assert_eq!(
        (&deny["stock"]["backordered"], &deny["stock"]["policy"]),
        (&json!("2"), &json!("DENY"))
    );
    // What somebody said before is not said again by a retry that is late.
    let late = change(&api, "stockPolicySet", backorder).await;
    assert_eq!((&late["stock"]["policy"], &late["replayed"]), (&json!("DENY"), &json!(true)));
    let other = change(&api, "stockPolicySet", policy("p-1", "UNTRACKED")).await;
    assert_eq!(other["userErrors"][0]["__typename"], "IdempotencyConflict");
}

#[tokio::test]
async fn counting_begins_where_no_more_was_promised_than_is_there() {
    let api = Api::start().await;
    change(&api, "stockPolicySet", policy("p-1", "UNTRACKED")).await;
    reserve(&api, 0..3).await;
    let refused = change(&api, "stockPolicySet", policy("p-2", "DENY")).await;
    let error = &refused["userErrors"][0];
    assert_eq!(error["__typename"], "UnitsSetAside", "{error:#}");
    assert_eq!((&error["onHand"], &error["reserved"]), (&json!("0"), &json!("3")));
    change(&api, "stockSet", set("s-1", 9, 0)).await;
    let accepted = change(&api, "stockPolicySet", policy("p-2", "DENY")).await;
    assert_eq!(
        (&accepted["stock"]["available"], &accepted["stock"]["level"]),
        (&json!("6"), &json!("ENOUGH"))
    );
}

#[tokio::test]
async fn goods_go_to_all_orders_that_await_them_however_many_they_are() {
    let api = Api::start().await;
    change(&api, "stockPolicySet", policy("p-1", "BACKORDER")).await;
    reserve(&api, 0..1_100).await;
    let received = receive_at(&api, "leeds", 1_101).await;
    let stock = &received["stocks"][0];
    assert_eq!((&stock["reserved"], &stock["available"]), (&json!("1100"), &json!("1")));
    assert_eq!(received["replayed"], json!(false));
}

#[tokio::test]
async fn a_wrong_input_is_told_all_at_once() {
    let api = Api::start().await;
    let wrong = json!({
        "sku": "a mug", "location": "", "quantity": -1, "changeFromQuantity": -2,
    });
    let refused = change(&api, "stockSet", wrong).await;
    let fields: Vec<_> = refused["userErrors"].as_array().unwrap().iter().collect();
    let fields: Vec<_> = fields.iter().map(|error| error["field"][1].as_str().unwrap()).collect();
    let wanted = ["idempotencyKey", "sku", "location", "quantity", "changeFromQuantity"];
    assert_eq!(fields, wanted);
    assert_eq!(refused["stock"], Value::Null);
}

#[tokio::test]
async fn stock_is_read_with_its_locations_and_by_what_runs_short() {
    let whole = Whole::start().await;
    let api = &whole.api;
    receive_at(api, "leeds", 5).await;
    api.receive(&["MUG", "CUP", "JUG"], 3).await;
    let low = json!({ "idempotencyKey": "l", "sku": "CUP", "policy": "DENY", "lowStockAt": 3 });
    change(api, "stockPolicySet", low).await;
    let out = json!({ "idempotencyKey": "o", "sku": "JUG", "delta": -3, "reason": "STOLEN" });
    let at = change(api, "stockAdjust", out).await["position"].clone();

    let query = "query($at: String) {
        stock(sku: \"MUG\", atLeast: $at) { level locations { location onHand reserved free } }
        short: stocks(first: 9, level: [LOW, OUT], atLeast: $at) { nodes { sku level policy } }
        low: stocks(first: 9, level: [LOW], atLeast: $at) { nodes { sku lowStockAt } }
        all: stocks(first: 9, level: [ENOUGH, LOW], atLeast: $at) { nodes { sku locations { location } } }
    }";
    let read = api.data(query, json!({ "at": at })).await;
    assert_eq!(read["stock"]["level"], "ENOUGH");
    let leeds = json!({ "location": "leeds", "onHand": "5", "reserved": "0", "free": "5" });
    assert_eq!(read["stock"]["locations"][0], leeds);
    let short = [("CUP", "LOW"), ("JUG", "OUT")]
        .map(|(sku, level)| json!({ "sku": sku, "level": level, "policy": "DENY" }));
    assert_eq!(read["short"]["nodes"], json!(short));
    assert_eq!(read["low"]["nodes"], json!([{ "sku": "CUP", "lowStockAt": "3" }]));
    let skus = read["all"]["nodes"].as_array().unwrap().iter().map(|node| &node["sku"]);
    assert_eq!(skus.collect::<Vec<_>>(), ["CUP", "MUG"]);
    assert_eq!(read["all"]["nodes"][1]["locations"].as_array().unwrap().len(), 2);
}

const MOVEMENTS: &str = "query($location: String, $first: Int!, $after: String, $at: String) {
    stockMovements(sku: \"MUG\", location: $location, first: $first, after: $after, atLeast: $at) {
        nodes {
            kind location onHandDelta reservedDelta backorderedDelta orderId reference reason actor
            revision recordedAt
        }
        pageInfo { hasNextPage endCursor }
    }
}";

#[tokio::test]
async fn how_stock_came_about_is_read_page_by_page() {
    let whole = Whole::start().await;
    let api = &whole.api;
    receive_at(api, "leeds", 5).await;
    reserve(api, 7..8).await;
    let at = change(api, "stockAdjust", adjust("a-1", 4)).await["position"].clone();

    let mut after = Value::Null;
    let mut movements = vec![];
    for _ in 0..3 {
        let page = json!({ "first": 1, "after": after, "at": at });
        let page = api.data(MOVEMENTS, page).await["stockMovements"].clone();
        movements.push(page["nodes"][0].clone());
        after = page["pageInfo"]["endCursor"].clone();
        assert_eq!(page["pageInfo"]["hasNextPage"], json!(movements.len() < 3));
    }
    let kinds: Vec<_> = movements.iter().map(|moved| moved["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ADJUSTED", "RESERVED", "RECEIVED"]);
    let [adjusted, reserved, received] = &movements[..] else { panic!("{movements:?}") };
    assert_eq!((&adjusted["onHandDelta"], &adjusted["reason"]), (&json!("4"), &json!("DAMAGED")));
    assert!(adjusted["reference"].is_string() && adjusted["actor"].is_string(), "{adjusted:#}");
    assert_eq!(reserved["orderId"], json!(Uuid::from_u128(7)));
    assert_eq!(
        (&reserved["actor"], &reserved["reservedDelta"]),
        (&json!("process:test"), &json!("1"))
    );
    assert_eq!((&received["location"], &received["revision"]), (&json!("leeds"), &json!(0)));

    for (location, count) in [("leeds", 2), ("main", 1), ("york", 0), ("no such place", 0)] {
        let page = json!({ "location": location, "first": 9, "at": at });
        let found = api.data(MOVEMENTS, page).await["stockMovements"]["nodes"].clone();
        assert_eq!(found.as_array().unwrap().len(), count, "{location}");
    }
    let (_, body) = api.ask(MOVEMENTS, json!({ "first": 1, "after": "nonsense" })).await;
    assert_eq!(code(&body), "BAD_REQUEST", "{body:#}");
}
