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
