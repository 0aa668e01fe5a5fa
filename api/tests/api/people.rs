//! Personal data: sealed in the log, shown to who may see them, gone when the person is erased.

use serde_json::{Value, json};

use crate::acting::{Acting, accepted, query};
use crate::support::{Api, Whole, sent, two_mugs, with, without};

const PERSONAL: &str = "contact { name email phone locale erased }
    shippingAddress { name company lines city postalCode region country erased }
    billingAddress { city erased } note { text erased } holds { note { text erased } }";

fn annas(key: &str) -> Value {
    let address = |city: &str| {
        json!({
            "name": "Anna Smith", "lines": ["1 High Street"], "city": city, "postalCode": "YO1 1AA",
            "country": "GB",
        })
    };
    let mut input = without(two_mugs(key), "/country");
    input["contact"] =
        json!({ "name": "Anna Smith", "email": "Anna@Example.org", "locale": "en-GB" });
    input["shippingAddress"] = address("York");
    input["billingAddress"] = address("Leeds");
    input["note"] = json!("Ring twice.");
    input
}

async fn read(api: &Api, id: &Value, at: &Value, scope: &str) -> Value {
    let query = format!(
        "query($id: UUID!, $at: String) {{ order(id: $id, atLeast: $at) {{ id {PERSONAL} }} }}"
    );
    let token = api.token_with(&json!({ "scope": scope }));
    let body = json!({ "query": query, "variables": { "id": id, "at": at } });
    let (_, body) = sent(api.post_anonymously().bearer_auth(token).json(&body)).await;
    assert_eq!(body.get("errors"), None, "{body:#}");
    body["data"]["order"].clone()
}

/// Everything that is stored of an order, as text.
async fn stored(api: &Api, id: &Value) -> String {
    let stream = format!("order-{}", id.as_str().unwrap()).parse().unwrap();
    let events = api.journal.read_last(&stream, 100).await.unwrap();
    events.iter().map(|event| String::from_utf8_lossy(&event.data).into_owned()).collect()
}

#[tokio::test]
async fn personal_data_are_stored_sealed_and_shown_with_the_scope_only() {
    let whole = Whole::start().await;
    let api = &whole.api;
    api.receive(&["MUG"], 10).await;
    let placed = api.place(annas("k")).await;
    assert_eq!(placed["userErrors"], json!([]), "{placed:#}");
    assert_eq!(placed["order"]["country"], "GB");
    let id = &placed["order"]["id"];
    let order = Acting::on_order(api, id);
    let input = order.by_id("h", json!({ "name": "a", "reason": "OTHER", "note": "Knows Bob." }));
    let held = accepted(api, "orderHold", input).await;

    let text = stored(api, id).await;
    for secret in ["Anna", "example", "High Street", "York", "Leeds", "Ring twice", "Bob"] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
    let at = &held["position"];
    let all = "orders:read personal-data:read";
    let seen = read(api, id, at, all).await;
    assert_eq!(
        seen["contact"],
        json!({ "name": "Anna Smith", "email": "Anna@Example.org",
        "phone": null, "locale": "en-GB", "erased": false })
    );
    assert_eq!(seen["shippingAddress"]["lines"], json!(["1 High Street"]));
    assert_eq!(seen["billingAddress"], json!({ "city": "Leeds", "erased": false }));
    assert_eq!(seen["note"], json!({ "text": "Ring twice.", "erased": false }));
    assert_eq!(seen["holds"][0]["note"]["text"], "Knows Bob.");

    let masked = read(api, id, at, "orders:read").await;
    for field in ["contact", "shippingAddress", "billingAddress", "note"] {
        assert_eq!(masked[field], Value::Null, "{field}");
    }
    assert_eq!(masked["holds"][0]["note"], Value::Null);
}

#[tokio::test]
async fn an_erased_person_is_shown_as_erased_and_the_order_stays() {
    let whole = Whole::start().await;
    let api = &whole.api;
    api.receive(&["MUG"], 10).await;
    let placed = api.place(annas("k")).await;
    let (id, at) = (&placed["order"]["id"], &placed["position"]);
    let erase = "mutation($input: CustomerEraseInput!) { customerErase(input: $input) {
        keysDestroyed userErrors { message } } }";
    let input = json!({ "customer": "c-17", "idempotencyKey": "e" });
    let erased = api.data(erase, json!({ "input": input })).await["customerErase"].clone();
    assert_eq!(erased, json!({ "keysDestroyed": 1, "userErrors": [] }));

    let seen = read(api, id, at, "orders:read personal-data:read").await;
    assert_eq!(
        seen["contact"],
        json!({ "name": null, "email": null, "phone": null,
        "locale": null, "erased": true })
    );
    assert_eq!(seen["shippingAddress"]["erased"], json!(true));
    assert_eq!(seen["shippingAddress"]["lines"], json!([]));
    assert_eq!(seen["note"], json!({ "text": null, "erased": true }));

    let history = "query($id: UUID!) { orderHistory(id: $id, first: 1) { nodes {
        changes { field before after } } } }";
    let history = api.data(history, json!({ "id": id })).await;
    let changes = history["orderHistory"]["nodes"][0]["changes"].as_array().unwrap().clone();
    let contact = json!({ "field": "contact", "before": null, "after": "erased" });
    assert!(changes.contains(&contact), "{changes:#?}");

    // Whoever orders again is known again.
    let again = api.place(annas("k-2")).await;
    let seen =
        read(api, &again["order"]["id"], &again["position"], "orders:read personal-data:read");
    assert_eq!(seen.await["contact"]["name"], "Anna Smith");
}

#[tokio::test]
async fn the_same_words_under_the_same_key_are_the_same_order() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let first = api.place(annas("k")).await;
    assert_eq!(api.place(annas("k")).await["replayed"], json!(true));
    let other = api.place(with(annas("k"), "/contact/email", json!("bob@example.org"))).await;
    assert_eq!(other["userErrors"][0]["__typename"], "IdempotencyConflict", "{first:#}");
}

#[tokio::test]
async fn a_guest_finds_an_order_by_its_number_and_email() {
    let whole = Whole::start().await;
    let api = &whole.api;
    api.receive(&["MUG"], 10).await;
    let placed = api.place(without(annas("k"), "/customer")).await;
    let anonymous = api.place(without(two_mugs("k-2"), "/customer")).await;
    let at = &anonymous["position"];
    let query = "query($n: String!, $e: String!, $at: String) {
        orderByNumberAndEmail(number: $n, email: $e, atLeast: $at) { id number } }";
    let find = async |number: &Value, email: &str| {
        let variables = json!({ "n": number, "e": email, "at": at });
        api.data(query, variables).await["orderByNumberAndEmail"]["id"].clone()
    };
    let number = &placed["order"]["number"];
    assert_eq!(find(number, " anna@EXAMPLE.org").await, placed["order"]["id"]);
    assert_eq!(find(number, "bob@example.org").await, Value::Null);
    assert_eq!(find(&json!("no such number"), "anna@example.org").await, Value::Null);
    assert_eq!(find(&json!("1"), "anna@example.org").await, Value::Null);
    assert_eq!(find(&anonymous["order"]["number"], "anna@example.org").await, Value::Null);
}

#[tokio::test]
async fn a_mutation_answers_with_the_same_mask() {
    let api = Api::start().await;
    let order = Acting::on(&api, annas("k")).await;
    let input = order.by_id("h", json!({ "name": "a", "reason": "OTHER", "note": "Odd." }));
    let token = api.token_with(&json!({ "scope": "orders:write", "sub": "client:development" }));
    let body = json!({ "query": query("orderHold", ""), "variables": { "input": input } });
    let (_, held) = sent(api.post_anonymously().bearer_auth(token).json(&body)).await;
    let held = &held["data"]["it"]["order"];
    assert_eq!((&held["contact"], &held["holds"][0]["note"]), (&Value::Null, &Value::Null));
}
