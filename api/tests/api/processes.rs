//! Processes of every kind: found, and resumed by an operator.

use domain::fulfilment::{
    DeliveryWork, Fulfilment, FulfilmentCommand, FulfilmentStarted, Step, Work,
};
use domain::ids::{LocationCode, OrderId, PartnerReference, PaymentId, PaymentToken, ShipmentId};
use domain::order::ShippedBy;
use domain::payment::{Payment, PaymentCommand};
use journal::{Context, Repository};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::acting::pounds;
use crate::support::{Api, Whole, must, two_mugs};

const RESUME: &str = "mutation($input: FulfilmentResumeInput!) { fulfilmentResume(input: $input) {
    process { id orderId kind status step } position replayed
    userErrors { __typename ... on InvalidInput { field } ... on NotFound { field } }
} }";

const PROCESSES: &str = "query($where: ProcessWhere, $at: String) {
    processes(first: 10, where: $where, atLeast: $at) { nodes { id orderId kind status step } }
}";

/// A delivery of `order` that waits for an operator.
async fn parked_delivery(api: &Api, order: OrderId) -> ShipmentId {
    let processes = Repository::<Fulfilment>::new(api.journal.clone(), 1);
    let shipment = ShipmentId::derive(order, "1");
    let work = Work::Delivery(DeliveryWork {
        shipment,
        location: LocationCode::default(),
        lines: vec![],
        by: ShippedBy::Partner { parcels: 1 },
    });
    let started = FulfilmentStarted { order: Some(order), work };
    let error = "the carrier does not go there".to_owned();
    let park = FulfilmentCommand::Park { step: Step::BookShipment, error };
    for command in [FulfilmentCommand::Start(started), park] {
        processes.execute(&shipment.into(), command, context(order)).await.unwrap();
    }
    shipment
}

fn context(order: OrderId) -> Context {
    Context {
        command_id: journal::ids::new_id(),
        correlation_id: order.0,
        causation_id: order.0,
        actor: "process:test".to_owned(),
        traceparent: None,
    }
}

async fn resume(api: &Api, input: Value) -> Value {
    api.data(RESUME, json!({ "input": input })).await["fulfilmentResume"].clone()
}

#[tokio::test]
async fn a_parked_delivery_is_found_by_its_order_and_resumed_by_its_own_id() {
    let whole = Whole::start().await;
    let api = &whole.api;
    api.receive(&["MUG"], 10).await;
    let id = api.place(two_mugs("k")).await["order"]["id"].clone();
    let order: OrderId = id.as_str().unwrap().parse().unwrap();
    let shipment = parked_delivery(api, order).await;

    let input = json!({ "processId": shipment, "idempotencyKey": "again" });
    let resumed = resume(api, input.clone()).await;
    let process = json!({
        "id": shipment, "orderId": id, "kind": "DELIVERY", "status": "RUNNING",
        "step": "book-shipment",
    });
    assert_eq!((&resumed["process"], &resumed["replayed"]), (&process, &json!(false)));
    assert_eq!(resume(api, input).await["replayed"], json!(true));

    let at = &resumed["position"];
    let found = |filter: Value| api.data(PROCESSES, json!({ "where": filter, "at": at }));
    let wanted = json!({ "orderId": id, "kind": ["DELIVERY"], "status": ["RUNNING"] });
    assert_eq!(found(wanted).await["processes"]["nodes"], json!([process]));
    for other in [json!({ "kind": ["REFUND"] }), json!({ "orderId": Uuid::nil() })] {
        assert_eq!(found(other).await["processes"]["nodes"], json!([]));
    }
}

#[tokio::test]
async fn who_resumes_a_process_says_which() {
    let api = Api::start().await;
    let refused = resume(&api, json!({ "idempotencyKey": "x" })).await;
    let error = json!({ "__typename": "InvalidInput", "field": ["input", "processId"] });
    assert_eq!(refused["userErrors"], json!([error]));
    for name in ["processId", "orderId"] {
        let refused = resume(&api, json!({ name: Uuid::nil(), "idempotencyKey": "x" })).await;
        let error = json!({ "__typename": "NotFound", "field": ["input", name] });
        assert_eq!(refused["userErrors"], json!([error]));
    }
}

#[tokio::test]
async fn a_process_that_watches_money_says_until_when_it_is_held_beside_its_next_deadline() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let order = OrderId(Uuid::from_u128(17));
    let payment = PaymentId(journal::ids::new_id());
    let work = Work::Payment {
        payment,
        amount: pounds(500),
        payment_token: PaymentToken::new("tok_visa").unwrap(),
    };
    let started = FulfilmentCommand::Start(FulfilmentStarted { order: Some(order), work });
    let processes = Repository::<Fulfilment>::new(api.journal.clone(), 1);
    processes.execute(&payment.into(), started, context(order)).await.unwrap();
    parked_delivery(api, order).await;
    let end = chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap();
    let payments = Repository::<Payment>::new(api.journal.clone(), 1);
    let held = PaymentCommand::RecordAuthorisation {
        order,
        amount: pounds(500),
        reference: PartnerReference::new("ref").unwrap(),
        expires_at: Some(end),
    };
    payments.execute(&payment, held, context(order)).await.unwrap();

    let query = "query($order: UUID!) { processes(first: 9, where: { orderId: $order }) {
        nodes { kind nextDeadlineAt authorisationEndsAt } } }";
    let shown = async || {
        let found = api.data(query, json!({ "order": order.0 })).await;
        let mut nodes = found["processes"]["nodes"].as_array().unwrap().clone();
        nodes.sort_by_key(|node| node["kind"].to_string());
        json!(nodes)
    };
    let process = |kind: &str, end: Value| json!({ "kind": kind, "nextDeadlineAt": null, "authorisationEndsAt": end });
    let wanted = |end: Value| json!([process("DELIVERY", Value::Null), process("PAYMENT", end)]);
    let until = async |wanted: Value| {
        must(async {
            while shown().await != wanted {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    until(wanted(json!(end.to_rfc3339()))).await;
    payments.execute(&payment, PaymentCommand::RecordExpiry, context(order)).await.unwrap();
    until(wanted(Value::Null)).await;
}
