//! Orders as they change.

use domain::fulfilment::{Fulfilment, FulfilmentCommand, FulfilmentStarted, Step};
use domain::ids::OrderId;
use domain::money::{Currency, Money};
use domain::order::Handling;
use journal::Repository;
use serde_json::json;

use crate::sockets::Socket;
use crate::support::{Api, Whole, two_mugs};

const CHANGES: &str = "subscription($id: UUID!) { orderChanged(id: $id) {
    id status revision process { status } availableActions
} }";

fn context(id: OrderId) -> journal::Context {
    journal::Context {
        command_id: journal::ids::new_id(),
        correlation_id: id.0,
        causation_id: id.0,
        actor: "process:test".to_owned(),
        traceparent: None,
    }
}

/// A process of `id` that waits for an operator.
async fn park(api: &Api, id: OrderId) {
    let processes = Repository::<Fulfilment>::new(api.journal.clone(), 1);
    let started = FulfilmentStarted {
        reservations: vec![],
        total: Money::new(1_290, Currency::GBP),
        country: domain::ids::CountryCode::new("GB").unwrap(),
        handling: Handling::Partners {
            payment_token: domain::ids::PaymentToken::new("tok").unwrap(),
        },
        payment_deadline: None,
    };
    let error = "the gateway is away".to_owned();
    let park = FulfilmentCommand::Park { step: Step::AuthorisePayment, error };
    for command in [FulfilmentCommand::Start(started), park] {
        processes.execute(&id, command, context(id)).await.unwrap();
    }
}

#[tokio::test]
async fn a_watched_order_is_told_again_whenever_it_has_changed() {
    let whole = Whole::start().await;
    let api = &whole.api;
    api.receive(&["MUG"], 10).await;
    let placed = api.place(two_mugs("k")).await;
    let id = placed["order"]["id"].clone();
    let settled = "query($id: UUID!, $at: String) { order(id: $id, atLeast: $at) { id } }";
    api.data(settled, json!({ "id": id, "at": placed["position"] })).await;

    let mut socket = Socket::of(api).await;
    socket.subscribe("1", CHANGES, json!({ "id": id })).await;
    let first = socket.data("orderChanged").await;
    assert_eq!((&first["id"], &first["status"]), (&id, &json!("PENDING")));

    park(api, id.as_str().unwrap().parse().unwrap()).await;
    let parked = loop {
        let order = socket.data("orderChanged").await;
        if order["process"]["status"] == "PARKED" {
            break order;
        }
    };
    assert_eq!(parked["availableActions"], json!(["CANCEL", "RESUME"]));

    let resume = "mutation($input: FulfilmentResumeInput!) { fulfilmentResume(input: $input) {
        process { status step } replayed userErrors { message }
    } }";
    let input = json!({ "orderId": id, "idempotencyKey": "again" });
    let resumed = api.data(resume, json!({ "input": input })).await["fulfilmentResume"].clone();
    assert_eq!(resumed["replayed"], json!(false));
    assert_eq!(resumed["process"], json!({ "status": "RUNNING", "step": "authorise-payment" }));
    let order = socket.data("orderChanged").await;
    assert_eq!(order["process"]["status"], "RUNNING");

    let cancel = "mutation($input: OrderCancelInput!) { orderCancel(input: $input) { replayed } }";
    let input = json!({ "id": id, "reason": "STAFF", "idempotencyKey": "c" });
    api.data(cancel, json!({ "input": input })).await;
    assert_eq!(socket.data("orderChanged").await["status"], "CANCELLED");
}

#[tokio::test]
async fn what_happens_to_other_orders_is_not_told() {
    let whole = Whole::start().await;
    let api = &whole.api;
    api.receive(&["MUG"], 10).await;
    let mut socket = Socket::of(api).await;
    let mine = api.place(two_mugs("mine")).await["order"]["id"].clone();
    socket.subscribe("1", CHANGES, json!({ "id": mine })).await;
    // Ids are derived, so an order can be watched before the read model knows of it.
    let seen = socket.data("orderChanged").await;
    assert_eq!(seen["id"], mine);

    for n in 0..20 {
        api.place(two_mugs(&format!("other-{n}"))).await;
    }
    let cancel = "mutation($input: OrderCancelInput!) { orderCancel(input: $input) { replayed } }";
    let input = json!({ "id": mine, "reason": "STAFF", "idempotencyKey": "c" });
    api.data(cancel, json!({ "input": input })).await;
    let mut told = socket.data("orderChanged").await;
    if told["status"] == "PENDING" {
        // The placing itself may have been told twice: as the first look, and as what happened.
        told = socket.data("orderChanged").await;
    }
    assert_eq!(told["status"], "CANCELLED");
}
