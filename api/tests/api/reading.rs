//! Queries: what was written can be read, page by page, as fresh as it was asked for.

use domain::ids::{OrderId, PartnerReference, PaymentId};
use domain::payment::{Payment, PaymentCommand};
use journal::Repository;
use serde_json::{Value, json};

use crate::acting::{Acting, pounds};
use crate::support::{Api, Whole, code, must, two_mugs, with, without};

const ORDER: &str = "query($id: UUID!, $at: String) { order(id: $id, atLeast: $at) {
    id status reason { code } channel customer country currencyCode
    total { amount currencyCode } handling reference
    lines { sku title kind quantity unitPrice { amount } total { amount currencyCode } }
    payment { status } shipments { status } process { status step }
    placedAt updatedAt revision quarantined availableActions
} }";

const ORDERS: &str =
    "query($first: Int!, $after: String, $where: OrderWhere, $by: OrderOrder, $at: String) {
    orders(first: $first, after: $after, where: $where, orderBy: $by, atLeast: $at) {
        edges { cursor node { id } }
        nodes { id total { amount } lines { sku } payment { status } process { status } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}";

async fn ids(api: &Api, variables: Value) -> Vec<Value> {
    let page = api.data(ORDERS, variables).await;
    page["orders"]["nodes"].as_array().unwrap().iter().map(|node| node["id"].clone()).collect()
}

/// Places `count` orders of 1, 2, 3 … mugs; answers their ids and the last position.
async fn place(api: &Api, count: usize) -> (Vec<Value>, Value) {
    api.receive(&["MUG"], 1_000).await;
    let (mut placed, mut position) = (Vec::new(), Value::Null);
    for n in 1..=count {
        let input = with(two_mugs(&format!("k-{n}")), "/lines/0/quantity", json!(n));
        let total = format!("{}.{:02}", (495 * n + 300) / 100, (495 * n + 300) % 100);
        let answer = api.place(with(input, "/total/amount", json!(total))).await;
        assert_eq!(answer["userErrors"], json!([]));
        placed.push(answer["order"]["id"].clone());
        position = answer["position"].clone();
    }
    (placed, position)
}

#[tokio::test]
async fn an_order_is_read_as_it_was_placed() {
    let whole = Whole::start().await;
    let api = &whole.api;
    api.receive(&["MUG"], 10).await;
    let placed = api.place(two_mugs("k-1")).await;
    let variables = json!({ "id": placed["order"]["id"], "at": placed["position"] });
    let read = api.data(ORDER, variables).await["order"].clone();
    for field in [
        "id",
        "status",
        "channel",
        "customer",
        "country",
        "currencyCode",
        "total",
        "handling",
        "reference",
        "lines",
        "placedAt",
        "updatedAt",
        "revision",
        "quarantined",
    ] {
        assert_eq!(read[field], placed["order"][field], "{field}");
    }
    assert!(read["availableActions"].as_array().unwrap().contains(&json!("CANCEL")));
    assert_eq!((&read["payment"], &read["process"]), (&Value::Null, &Value::Null));

    let cancel = "mutation($input: OrderCancelInput!) { orderCancel(input: $input) { position } }";
    let input = json!({ "id": read["id"], "reason": "FRAUD", "idempotencyKey": "c" });
    let cancelled = api.data(cancel, json!({ "input": input })).await;
    let at = &cancelled["orderCancel"]["position"];
    let read = api.data(ORDER, json!({ "id": read["id"], "at": at })).await["order"].clone();
    assert_eq!((&read["status"], &read["reason"]["code"]), (&json!("CANCELLED"), &json!("FRAUD")));
    assert!(!read["availableActions"].as_array().unwrap().contains(&json!("CANCEL")));
}

#[tokio::test]
async fn orders_are_listed_page_by_page_without_gap_or_repetition() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let (placed, at) = place(api, 7).await;
    let latest_first: Vec<Value> = placed.iter().rev().cloned().collect();
    assert_eq!(ids(api, json!({ "first": 100, "at": at })).await, latest_first);

    for (by, expected) in [
        (Value::Null, latest_first.clone()),
        (json!({ "field": "PLACED_AT", "direction": "ASC" }), placed.clone()),
        (json!({ "field": "TOTAL", "direction": "ASC" }), placed.clone()),
        (json!({ "field": "UPDATED_AT" }), latest_first.clone()),
    ] {
        let (mut seen, mut after) = (Vec::new(), Value::Null);
        loop {
            let page = json!({ "first": 3, "after": after, "by": by });
            let page = api.data(ORDERS, page).await["orders"].clone();
            let info = &page["pageInfo"];
            assert_eq!(info["hasPreviousPage"], json!(!seen.is_empty()));
            assert_eq!(page["edges"][0]["cursor"], info["startCursor"]);
            seen.extend(page["nodes"].as_array().unwrap().iter().map(|node| node["id"].clone()));
            after = info["endCursor"].clone();
            if info["hasNextPage"] == json!(false) {
                break;
            }
        }
        assert_eq!(seen, expected, "{by}");
    }
}

#[tokio::test]
async fn orders_are_filtered_by_every_condition_at_once() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let (placed, _) = place(api, 2).await;
    let input = with(with(two_mugs("m"), "/channel", json!("market")), "/customer", json!("c-9"));
    let other = api.place(input).await;
    let at = &other["position"];
    let other = vec![other["order"]["id"].clone()];
    let listed =
        async |filter: Value| ids(api, json!({ "first": 10, "where": filter, "at": at })).await;
    let nothing: Vec<Value> = vec![];
    assert_eq!(listed(json!({ "channel": "market" })).await, other);
    assert_eq!(listed(json!({ "customer": "c-9", "status": ["PENDING"] })).await, other);
    assert_eq!(listed(json!({ "customer": "c-9", "channel": "web" })).await, nothing);
    assert_eq!(listed(json!({ "status": ["CONFIRMED", "COMPLETED"] })).await, nothing);

    let first = api.data(ORDER, json!({ "id": placed[0] })).await["order"]["placedAt"].clone();
    let just_then = json!({ "placedAt": { "gte": first, "lte": first } });
    assert_eq!(listed(just_then).await, placed[..1]);
}

#[tokio::test]
async fn cursors_of_other_lists_and_nonsense_are_bad_requests() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let (_, at) = place(api, 1).await;
    let page = api.data(ORDERS, json!({ "first": 1, "at": at })).await;
    let cursor = page["orders"]["pageInfo"]["endCursor"].clone();
    for variables in [
        json!({ "first": 1, "after": "nonsense" }),
        json!({ "first": 1, "after": cursor, "by": { "field": "TOTAL" } }),
        json!({ "first": 1, "at": "nonsense" }),
        json!({ "first": 0 }),
        json!({ "first": 1, "where": { "channel": "a\0b" } }),
    ] {
        let (_, body) = api.ask(ORDERS, variables.clone()).await;
        assert_eq!(code(&body), "BAD_REQUEST", "{variables}: {body:#}");
    }
}

#[tokio::test]
async fn a_read_that_would_be_stale_says_how_far_it_got() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let (placed, at) = place(api, 1).await;
    api.data(ORDER, json!({ "id": placed[0], "at": at })).await;
    let never = format!("{0}/{0}", i64::MAX);
    let (_, body) = api.ask(ORDER, json!({ "id": placed[0], "at": never })).await;
    assert_eq!(code(&body), "STALE_READ", "{body:#}");
    let extensions = &body["errors"][0]["extensions"];
    assert_eq!(extensions["projection"], "orders");
    assert!(extensions["position"].as_str().unwrap().contains('/'), "{body:#}");
}

#[tokio::test]
async fn stock_credit_notes_sums_and_projections_can_be_read() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let (_, _) = place(api, 2).await;
    api.receive(&["CUP", "CUTLERY/SET"], 5).await;
    let issue = "mutation($input: CreditNoteIssueInput!) {
        creditNoteIssue(input: $input) { position userErrors { message } } }";
    let line = json!({ "sku": "MUG", "quantity": 1, "unitPrice": { "amount": "4.95" } });
    let input = json!({
        "idempotencyKey": "n", "number": "C1", "lines": [line],
        "total": { "amount": "4.95", "currencyCode": "GBP" }, "issuedAt": "2024-02-29T12:00:00Z",
    });
    let issued = api.data(issue, json!({ "input": input })).await;
    let at = issued["creditNoteIssue"]["position"].clone();

    let query = "query($at: String) {
        stock(sku: \"MUG\", atLeast: $at) { onHand reserved available }
        nothing: stock(sku: \"not a sku\") { sku }
        stocks(first: 1, prefix: \"CU\", atLeast: $at) { nodes { sku } pageInfo { hasNextPage endCursor } }
        creditNotes(first: 5, atLeast: $at) { nodes { number total { amount } lines { sku quantity } issuedAt } }
        salesTotals(channel: \"web\", atLeast: $at) {
            orders { status orders units gross { amount currencyCode } }
            creditNotes { creditNotes total { amount } }
        }
        processes(first: 5, atLeast: $at) { nodes { orderId } }
        projections { name position caughtUp updatedAt }
    }";
    let read = api.data(query, json!({ "at": at })).await;
    assert_eq!(read["stock"]["onHand"], "1000");
    assert_eq!(read["nothing"], Value::Null);
    assert_eq!(read["stocks"]["nodes"], json!([{ "sku": "CUP" }]));
    let note = &read["creditNotes"]["nodes"][0];
    assert_eq!((&note["number"], &note["lines"][0]["sku"]), (&json!("C1"), &json!("MUG")));
    let sums = &read["salesTotals"]["orders"];
    let total = json!({ "amount": "20.85", "currencyCode": "GBP" });
    let expected = json!([{ "status": "PENDING", "orders": "2", "units": "5", "gross": total }]);
    assert_eq!(*sums, expected);
    assert_eq!(read["salesTotals"]["creditNotes"][0]["total"]["amount"], "4.95");
    assert_eq!(read["projections"].as_array().unwrap().len(), 6);

    let after = &read["stocks"]["pageInfo"]["endCursor"];
    let next = "query($after: String) { stocks(first: 1, prefix: \"CU\", after: $after) {
        nodes { sku } pageInfo { hasNextPage } } }";
    let next = api.data(next, json!({ "after": after })).await;
    assert_eq!(next["stocks"]["nodes"], json!([{ "sku": "CUTLERY/SET" }]));
    assert_eq!(next["stocks"]["pageInfo"]["hasNextPage"], json!(false));
}

#[tokio::test]
async fn orders_are_accepted_while_postgres_is_down_and_reads_say_that_it_is() {
    let whole = Whole::start().await;
    let Whole { api, projector, postgres } = whole;
    let (placed, _) = place(&api, 1).await;
    must(projector.stop()).await;
    must(postgres.stop()).await.unwrap();

    let accepted = api.place(two_mugs("while-down")).await;
    assert_eq!(accepted["userErrors"], json!([]));
    let (status, body) = api.ask(ORDER, json!({ "id": placed[0] })).await;
    assert_eq!((status, code(&body)), (200, "UNAVAILABLE"), "{body:#}");
    let (status, body) = crate::support::sent(api.get("/health/ready")).await;
    assert_eq!((status, &body["red"][0]["check"]), (503, &json!("postgres")), "{body:#}");
}

#[tokio::test]
async fn an_imported_order_keeps_its_date() {
    let whole = Whole::start().await;
    let api = &whole.api;
    api.receive(&["MUG"], 10).await;
    let imported = json!({ "placedAt": "2010-12-01T08:26:00Z", "reference": "536365" });
    let input = with(without(two_mugs("k"), "/paymentToken"), "/imported", imported);
    let placed = api.place(input).await;
    let variables = json!({ "id": placed["order"]["id"], "at": placed["position"] });
    let read = api.data(ORDER, variables).await["order"].clone();
    assert_eq!(read["placedAt"], "2010-12-01T08:26:00+00:00");
    assert_eq!((&read["handling"], &read["reference"]), (&json!("ELSEWHERE"), &json!("536365")));
}

#[tokio::test]
async fn a_later_payment_is_not_taken_for_the_one_that_the_order_was_placed_with() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let (order, other) =
        (Acting::on(api, two_mugs("k-1")).await, Acting::on(api, two_mugs("k-2")).await);
    let later = PaymentId(journal::ids::new_id());
    authorised(api, later, order.id).await;
    authorised(api, other.payment(), other.id).await;
    // The other one's payment was recorded later, so the first one's is known when that is.
    assert_eq!(until_paid(api, other.id).await["status"], "AUTHORISED");
    assert_eq!(payment(api, order.id).await, Value::Null);
    authorised(api, order.payment(), order.id).await;
    assert_eq!(until_paid(api, order.id).await["id"], json!(order.payment().0));
}

async fn authorised(api: &Api, payment: PaymentId, order: OrderId) {
    let command = PaymentCommand::RecordAuthorisation {
        order,
        amount: pounds(1290),
        reference: PartnerReference::new("ref").unwrap(),
        expires_at: None,
    };
    let context = journal::Context {
        command_id: journal::ids::new_id(),
        correlation_id: order.0,
        causation_id: order.0,
        actor: "process:test".to_owned(),
        traceparent: None,
    };
    let payments = Repository::<Payment>::new(api.journal.clone(), 1);
    payments.execute(&payment, command, context).await.unwrap();
}

async fn payment(api: &Api, order: OrderId) -> Value {
    let query = "query($id: UUID!) { order(id: $id) { payment { id status } } }";
    api.data(query, json!({ "id": order.0 })).await["order"]["payment"].clone()
}

async fn until_paid(api: &Api, order: OrderId) -> Value {
    must(async {
        loop {
            let payment = payment(api, order).await;
            if payment.is_object() {
                return payment;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}
