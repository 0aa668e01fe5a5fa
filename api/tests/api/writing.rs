//! The other mutations: cancelling, receiving, crediting, resuming.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::acting::Acting;
use crate::support::{Api, STOCK_RECEIVE, two_mugs, without};

const CANCEL: &str = "mutation($input: OrderCancelInput!) { orderCancel(input: $input) {
    order { id status reason { code } placedAt updatedAt revision } position replayed
    userErrors { __typename field ... on InvalidTransition { from action } }
} }";

const ISSUE: &str = "mutation($input: CreditNoteIssueInput!) { creditNoteIssue(input: $input) {
    creditNote { id number channel total { amount currencyCode } lines { sku quantity } issuedAt }
    position replayed userErrors { __typename field message }
} }";

const RESUME: &str = "mutation($input: FulfilmentResumeInput!) { fulfilmentResume(input: $input) {
    process { status step } replayed userErrors { __typename field }
} }";

async fn cancel(api: &Api, id: &Value, key: &str) -> Value {
    let input = json!({ "id": id, "reason": "CUSTOMER", "idempotencyKey": key });
    api.data(CANCEL, json!({ "input": input })).await["orderCancel"].clone()
}

#[tokio::test]
async fn an_order_is_cancelled_once_and_says_so_again() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let placed = api.place(two_mugs("k-1")).await["order"].clone();
    let cancelled = cancel(&api, &placed["id"], "c-1").await;
    let order = &cancelled["order"];
    assert_eq!((&order["status"], &order["revision"]), (&json!("CANCELLED"), &json!(2)));
    assert_eq!(order["reason"]["code"], "CUSTOMER");
    assert_eq!(order["placedAt"], placed["placedAt"]);
    assert_eq!(cancelled["replayed"], json!(false));

    let again = cancel(&api, &placed["id"], "c-1").await;
    assert_eq!((&again["order"], &again["replayed"]), (order, &json!(true)));
}

#[tokio::test]
async fn an_order_that_was_never_placed_cannot_be_cancelled() {
    let api = Api::start().await;
    let refused = cancel(&api, &json!(Uuid::nil()), "c-1").await;
    assert_eq!(refused["userErrors"][0]["__typename"], "NotFound");
    assert_eq!(refused["userErrors"][0]["field"], json!(["input", "id"]));
}

#[tokio::test]
async fn an_order_that_has_left_cannot_be_cancelled() {
    let api = Api::start().await;
    let order = Acting::shipped(&api, two_mugs("k-1")).await;
    let refused = cancel(&api, &json!(order.id.0), "c-1").await;
    let error = &refused["userErrors"][0];
    assert_eq!(error["__typename"], "InvalidTransition");
    assert_eq!((&error["from"], &error["action"]), (&json!("CONFIRMED"), &json!("CANCEL")));
}

#[tokio::test]
async fn a_receipt_counts_once_and_not_with_another_quantity() {
    let api = Api::start().await;
    let receive = async |mugs: i64| {
        let items = json!([{ "sku": "MUG", "quantity": mugs }, { "sku": "CUP", "quantity": 7 }]);
        let input = json!({ "idempotencyKey": "r-1", "items": items });
        api.data(STOCK_RECEIVE, json!({ "input": input })).await["stockReceive"].clone()
    };
    let first = receive(5).await;
    assert_eq!(first["stocks"][0]["sku"], "MUG", "not in the order of the input");
    assert_eq!(first["stocks"][0]["available"], "5");
    assert_eq!(first["replayed"], json!(false));

    let again = receive(5).await;
    assert_eq!((&again["replayed"], &again["stocks"]), (&json!(true), &first["stocks"]));

    let other = receive(6).await;
    assert_eq!(other["userErrors"][0]["code"], "IDEMPOTENCY_CONFLICT");
    assert_eq!(other["userErrors"][0]["field"], json!(["input", "items", "0", "quantity"]));
    assert_eq!(other["stocks"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn two_thousand_skus_are_received_in_one_request() {
    let api = Api::start().await;
    let items: Vec<_> =
        (0..2000).map(|n| json!({ "sku": format!("S-{n}"), "quantity": n + 1 })).collect();
    let input = json!({ "idempotencyKey": "all", "items": items });
    let received = api.data(STOCK_RECEIVE, json!({ "input": input })).await;
    let received = &received["stockReceive"];
    assert_eq!(received["userErrors"], json!([]));
    assert_eq!(received["stocks"].as_array().unwrap().len(), 2000);
    assert_eq!(received["stocks"][1999]["onHand"], "2000");
}

#[tokio::test]
async fn a_wrong_receipt_changes_nothing_at_all() {
    let api = Api::start().await;
    for (items, field) in [
        (json!([]), json!(["input", "items"])),
        (
            json!([{ "sku": "MUG", "quantity": 1 }, { "sku": "MUG", "quantity": 2 }]),
            json!(["input", "items", "1", "sku"]),
        ),
        (
            json!([{ "sku": "MUG", "quantity": 1 }, { "sku": "CUP", "quantity": 0 }]),
            json!(["input", "items", "1", "quantity"]),
        ),
    ] {
        let input = json!({ "idempotencyKey": "r-1", "items": items });
        let refused = api.data(STOCK_RECEIVE, json!({ "input": input })).await;
        assert_eq!(refused["stockReceive"]["userErrors"][0]["field"], field, "{refused:#}");
        assert_eq!(refused["stockReceive"]["stocks"], json!([]));
    }
    let refused = api.place(two_mugs("k")).await;
    assert_eq!(refused["userErrors"][0]["__typename"], "UnknownSku", "something was received");
}

#[tokio::test]
async fn a_credit_note_is_issued_once_and_adds_up() {
    let api = Api::start().await;
    let input = |total: &str| {
        json!({
            "idempotencyKey": "cn-1", "number": "C536379",
            "lines": [{ "sku": "D", "title": "Discount", "kind": "CHARGE", "quantity": 1,
                        "unitPrice": { "amount": "27.50" } }],
            "total": { "amount": total, "currencyCode": "GBP" }, "issuedAt": "2010-12-01T09:41:00Z",
        })
    };
    let issue = async |total: &str| {
        let data = api.data(ISSUE, json!({ "input": input(total) })).await;
        data["creditNoteIssue"].clone()
    };
    let nameless = without(input("27.50"), "/total/currencyCode");
    let refused = api.data(ISSUE, json!({ "input": nameless })).await;
    let field = &refused["creditNoteIssue"]["userErrors"][0]["field"];
    assert_eq!(*field, json!(["input", "total", "currencyCode"]));

    let refused = issue("27.00").await;
    assert_eq!(refused["userErrors"][0]["__typename"], "TotalMismatch");

    let first = issue("27.50").await;
    assert_eq!(first["creditNote"]["number"], "C536379");
    assert_eq!(first["replayed"], json!(false));
    let again = issue("27.50").await;
    assert_eq!((&again["replayed"], &again["creditNote"]), (&json!(true), &first["creditNote"]));
}

#[tokio::test]
async fn a_process_that_never_began_cannot_be_resumed() {
    let api = Api::start().await;
    let input = json!({ "orderId": Uuid::nil(), "idempotencyKey": "x" });
    let refused = api.data(RESUME, json!({ "input": input })).await;
    assert_eq!(refused["fulfilmentResume"]["userErrors"][0]["__typename"], "NotFound");
}
