//! Placing orders: once, whatever is repeated, with or without Postgres.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Api, ORDER_PLACE, sent, two_mugs, with, without};

#[tokio::test]
async fn an_order_is_answered_from_the_log_while_postgres_is_down() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let placed = api.place(two_mugs("k-1")).await;

    assert_eq!(placed["userErrors"], json!([]));
    assert_eq!(placed["replayed"], json!(false));
    assert!(placed["position"].as_str().unwrap().contains('/'));
    let order = &placed["order"];
    assert_eq!((&order["status"], &order["channel"]), (&json!("PENDING"), &json!("web")));
    assert_eq!(order["total"], json!({ "amount": "12.90", "currencyCode": "GBP" }));
    assert_eq!(order["revision"], json!(0));
    assert_eq!(order["lines"][0]["total"], json!({ "amount": "9.90", "currencyCode": "GBP" }));
    assert_eq!(order["lines"][1]["kind"], json!("CHARGE"));
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let first = api.place(two_mugs("k-1")).await;
    let again = api.place(two_mugs("k-1")).await;
    assert_eq!(again["replayed"], json!(true));
    assert_eq!(with(again, "/replayed", json!(false)), first);

    let other = api.place(two_mugs("k-2")).await;
    assert_ne!(other["order"]["id"], first["order"]["id"]);
}

#[tokio::test]
async fn another_order_under_the_same_key_is_a_conflict() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    api.place(two_mugs("k-1")).await;
    let refused = api.place(with(two_mugs("k-1"), "/country", json!("DE"))).await;
    assert_eq!(refused["order"], Value::Null);
    let error = &refused["userErrors"][0];
    assert_eq!(error["__typename"], "IdempotencyConflict");
    assert_eq!(error["code"], "IDEMPOTENCY_CONFLICT");
    assert_eq!(error["field"], json!(["input", "idempotencyKey"]));
}

#[tokio::test]
async fn a_hundred_at_once_under_one_key_are_one_order() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let all = join_all((0..100).map(|_| api.place(two_mugs("k-1")))).await;
    let fresh = all.iter().filter(|placed| placed["replayed"] == json!(false)).count();
    assert_eq!(fresh, 1);
    for placed in &all {
        assert_eq!(placed["order"]["id"], all[0]["order"]["id"], "{placed:#}");
    }
}

#[tokio::test]
async fn the_key_may_come_as_a_header() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let first = api.place(two_mugs("k-1")).await;
    let input = without(two_mugs("k-1"), "/idempotencyKey");
    let body = json!({ "query": ORDER_PLACE, "variables": { "input": input } });
    let (_, again) = sent(api.post().header("Idempotency-Key", "k-1").json(&body)).await;
    let again = &again["data"]["orderPlace"];
    assert_eq!((&again["replayed"], &again["order"]["id"]), (&json!(true), &first["order"]["id"]));
}

#[tokio::test]
async fn keys_of_two_clients_have_nothing_to_do_with_each_other() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let mine = api.place(two_mugs("k-1")).await;
    let token = api.token_with(&json!({ "sub": "client:other" }));
    let body = json!({ "query": ORDER_PLACE, "variables": { "input": two_mugs("k-1") } });
    let (_, theirs) = sent(api.post_anonymously().bearer_auth(token).json(&body)).await;
    let theirs = &theirs["data"]["orderPlace"];
    assert_eq!(theirs["replayed"], json!(false), "{theirs:#}");
    assert_ne!(theirs["order"]["id"], mine["order"]["id"]);
}

#[tokio::test]
async fn events_say_who_wanted_them_and_why() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let body = json!({ "query": ORDER_PLACE, "variables": { "input": two_mugs("k-1") } });
    let (_, placed) = sent(api.post().header("traceparent", traceparent).json(&body)).await;
    let id = placed["data"]["orderPlace"]["order"]["id"].as_str().unwrap();

    let stream = format!("order-{id}").parse().unwrap();
    let events = api.journal.read_last(&stream, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    let metadata = &events[0].metadata;
    assert_eq!(metadata.actor, "client:development");
    assert_eq!(metadata.correlation_id.to_string(), id);
    assert_eq!(metadata.causation_id, metadata.command_id);
    assert_eq!(metadata.traceparent.as_deref(), Some(traceparent));
}

#[tokio::test]
async fn every_order_has_a_number_of_its_own() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let first = api.place(two_mugs("k-1")).await["order"]["number"].clone();
    let second = api.place(two_mugs("k-2")).await["order"]["number"].clone();
    assert!(first.is_string() && second.is_string() && first != second, "{first} {second}");
    assert_eq!(api.place(two_mugs("k-1")).await["order"]["number"], first);
}

#[tokio::test]
async fn an_external_reference_is_taken_once_per_channel() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let order = |key: &str| with(two_mugs(key), "/externalReference", json!("A-1"));
    let first = api.place(order("k-1")).await;
    assert_eq!(first["userErrors"], json!([]), "{first:#}");
    assert_eq!(api.place(order("k-1")).await["replayed"], json!(true));

    let query = ORDER_PLACE
        .replace("... on UnknownSku", "... on ReferenceTaken { orderId } ... on UnknownSku");
    let taken = api.data(&query, json!({ "input": order("k-2") })).await["orderPlace"].clone();
    let error = &taken["userErrors"][0];
    assert_eq!(error["__typename"], "ReferenceTaken", "{taken:#}");
    assert_eq!(error["orderId"], first["order"]["id"]);
    assert_eq!(error["field"], json!(["input", "externalReference"]));
    let elsewhere = api.place(with(order("k-2"), "/channel", json!("market"))).await;
    assert_eq!(elsewhere["userErrors"], json!([]), "{elsewhere:#}");
}

#[tokio::test]
async fn what_cannot_be_placed_takes_no_reference() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let order = |key: &str| with(two_mugs(key), "/externalReference", json!("A-1"));
    let wrong = api.place(with(order("k-1"), "/total/amount", json!("1.00"))).await;
    assert_eq!(wrong["userErrors"][0]["__typename"], "TotalMismatch");
    assert_eq!(api.place(order("k-2")).await["userErrors"], json!([]));
}

#[tokio::test]
async fn an_order_keeps_its_prices_and_terms() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let tax = |amount: &str| json!([{ "title": "VAT GB", "rate": "0.2", "amount": { "amount": amount } }]);
    let mut input = two_mugs("k");
    input["lines"][0]["discounts"] = json!([{ "title": "SUMMER", "amount": { "amount": "0.90" } }]);
    input["discounts"] = json!([{ "title": "WELCOME", "amount": { "amount": "2.00" } }]);
    // 9.90 − 0.90 = 9.00 and 3.00: of the 2.00 on all of it, 1.50 and 0.50.
    input["lines"][0]["taxes"] = tax("1.50");
    input["lines"][1]["taxes"] = tax("0.50");
    input["total"]["amount"] = json!("12.00");
    input["policies"] =
        json!({ "acceptance": "PARTIAL", "capture": "AT_ONCE", "dispatch": "MANUAL" });
    input["tags"] = json!(["vip", "gift"]);
    input["metadata"] = json!([{ "key": "till", "value": "7" }]);
    input["riskScore"] = json!(12);
    input["preferLocation"] = json!("north");
    let query =
        "mutation($input: OrderPlaceInput!) { orderPlace(input: $input) { userErrors { message }
        order {
            subtotal { amount } discountTotal { amount } taxTotal { amount } total { amount }
            originalTotal { amount } pricesIncludeTax discounts { title amount { amount } }
            lines { subtotal { amount } discount { amount } orderDiscount { amount } tax { amount }
                    total { amount } unitTotal { amount } discounts { title }
                    taxes { title rate amount { amount } } refundable }
            policies { acceptance capture dispatch } tags metadata { key value } riskScore
            preferLocation paymentStatus fulfilmentStatus returnStatus onHold
        } } }";
    let placed = api.data(query, json!({ "input": input })).await["orderPlace"].clone();
    assert_eq!(placed["userErrors"], json!([]), "{placed:#}");
    let order = &placed["order"];
    let money = |path: &str| order.pointer(path).unwrap()["amount"].as_str().unwrap().to_owned();
    for (path, amount) in [
        ("/subtotal", "12.90"),
        ("/discountTotal", "2.90"),
        ("/taxTotal", "2.00"),
        ("/total", "12.00"),
        ("/originalTotal", "12.00"),
        ("/discounts/0/amount", "2.00"),
        ("/lines/0/subtotal", "9.90"),
        ("/lines/0/discount", "0.90"),
        ("/lines/0/orderDiscount", "1.50"),
        ("/lines/0/tax", "1.50"),
        ("/lines/0/total", "9.00"),
        ("/lines/0/unitTotal", "4.50"),
        ("/lines/1/orderDiscount", "0.50"),
    ] {
        assert_eq!(money(path), amount, "{path}");
    }
    assert_eq!(order["lines"][0]["taxes"][0]["rate"], "0.200000");
    assert_eq!(order["policies"], input["policies"]);
    assert_eq!(order["tags"], json!(["gift", "vip"]));
    assert_eq!((&order["metadata"], &order["riskScore"]), (&input["metadata"], &json!(12)));
    assert_eq!(order["preferLocation"], "north");
    let axes = ["paymentStatus", "fulfilmentStatus", "returnStatus"].map(|axis| &order[axis]);
    assert_eq!(axes, [&json!("PENDING"), &json!("UNFULFILLED"), &json!("NONE")]);
}

#[tokio::test]
async fn who_has_nothing_to_pay_needs_no_payment() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let mut input = without(two_mugs("k"), "/paymentToken");
    input["discounts"] = json!([{ "title": "GIFT", "amount": { "amount": "12.90" } }]);
    let refused = api.place(input.clone()).await;
    assert_eq!(refused["userErrors"][0]["field"], json!(["input", "paymentToken"]));
    let free = api.place(with(input, "/total/amount", json!("0.00"))).await;
    assert_eq!(free["userErrors"], json!([]), "{free:#}");
}
