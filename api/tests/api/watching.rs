//! Orders as they change.

use domain::fulfilment::{
    AcceptanceWork, Fulfilment, FulfilmentCommand, FulfilmentStarted, Step, Work,
};
use domain::ids::{OrderId, PaymentToken};
use domain::money::{Currency, Money};
use domain::order::Handling;
use domain::stock::Acceptance;
use journal::Repository;
use projector::{Options, Projector};
use serde_json::{Value, json};

use crate::sockets::Socket;
use crate::support::{Api, Whole, must, two_mugs};

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
    let work = AcceptanceWork {
        reservations: vec![],
        total: Money::new(1_290, Currency::GBP),
        handling: Handling::Partners { payment_token: PaymentToken::new("tok").ok() },
        acceptance: Acceptance::AllOrNothing,
        prefer_location: None,
        payment_deadline: None,
    };
    let started = FulfilmentStarted { order: None, work: Work::Acceptance(work) };
    let error = "the gateway is away".to_owned();
    let park = FulfilmentCommand::Park { step: Step::AuthorisePayment, error };
    for command in [FulfilmentCommand::Start(started), park] {
        processes.execute(&id.into(), command, context(id)).await.unwrap();
    }
}

/// What is told about the order until it is as it `should` be. A change may be told more than once,
/// but nothing else is.
async fn told(socket: &mut Socket, should: impl Fn(&Value) -> bool) -> Value {
    loop {
        let order = socket.data("orderChanged").await;
        if should(&order) {
            return order;
        }
    }
}

async fn cancel(api: &Api, id: &Value) {
    let cancel = "mutation($input: OrderCancelInput!) { orderCancel(input: $input) { replayed } }";
    let input = json!({ "id": id, "reason": "STAFF", "idempotencyKey": "c" });
    api.data(cancel, json!({ "input": input })).await;
}

#[tokio::test]
async fn a_watched_order_is_told_again_whenever_it_has_changed() {
    let whole = Whole::start().await;
    let api = &whole.api;
    api.receive(&["MUG"], 10).await;
    let id = api.place(two_mugs("k")).await["order"]["id"].clone();
    let mut socket = Socket::of(api).await;
    socket.subscribe("1", CHANGES, json!({ "id": id })).await;
    let first = socket.data("orderChanged").await;
    assert_eq!((&first["id"], &first["status"]), (&id, &json!("PENDING")));

    park(api, id.as_str().unwrap().parse().unwrap()).await;
    let parked = told(&mut socket, |order| order["process"]["status"] == "PARKED").await;
    let actions = parked["availableActions"].as_array().unwrap();
    assert!(actions.contains(&json!("CANCEL")) && actions.contains(&json!("RESUME")), "{parked:#}");

    let resume = "mutation($input: FulfilmentResumeInput!) { fulfilmentResume(input: $input) {
        process { status step } replayed userErrors { message }
    } }";
    let input = json!({ "orderId": id, "idempotencyKey": "again" });
    let resumed = api.data(resume, json!({ "input": input })).await["fulfilmentResume"].clone();
    assert_eq!(resumed["replayed"], json!(false));
    assert_eq!(resumed["process"], json!({ "status": "RUNNING", "step": "authorise-payment" }));
    told(&mut socket, |order| order["process"]["status"] == "RUNNING").await;

    cancel(api, &id).await;
    told(&mut socket, |order| order["status"] == "CANCELLED").await;
}

#[tokio::test]
async fn what_happens_to_other_orders_is_not_told() {
    let whole = Whole::start().await;
    let api = &whole.api;
    api.receive(&["MUG"], 10).await;
    let mine = api.place(two_mugs("mine")).await["order"]["id"].clone();
    let mut socket = Socket::of(api).await;
    socket.subscribe("1", CHANGES, json!({ "id": mine })).await;
    assert_eq!(socket.data("orderChanged").await["id"], mine);

    for n in 0..20 {
        api.place(two_mugs(&format!("other-{n}"))).await;
    }
    cancel(api, &mine).await;
    let next = socket.data("orderChanged").await;
    assert_eq!((&next["id"], &next["status"]), (&mine, &json!("CANCELLED")));
}

#[tokio::test]
async fn a_change_is_told_in_the_end_even_if_nobody_projected_it_for_a_while() {
    let Whole { api, projector, postgres } = Whole::start().await;
    api.receive(&["MUG"], 10).await;
    let id = api.place(two_mugs("k")).await["order"]["id"].clone();
    let mut socket = Socket::of(&api).await;
    socket.subscribe("1", CHANGES, json!({ "id": id })).await;
    socket.data("orderChanged").await;

    must(projector.stop()).await;
    cancel(&api, &id).await;
    let projector = Projector::start(&postgres.url(), api.journal.clone(), Options::default());
    let projector = projector.unwrap();
    told(&mut socket, |order| order["status"] == "CANCELLED").await;
    must(projector.stop()).await;
}
