//! `customerErase`: who is meant, what a repetition does, and what it needs.

use domain::erasure::Erasure;
use domain::ids::{CustomerRef, OrderId, SubjectId};
use schemas::stream_of;
use serde_json::{Value, json};

use crate::acting::accepted;
use crate::support::{Api, Whole, code, two_mugs, with, without};

const ERASE: &str = "mutation($input: CustomerEraseInput!) { it: customerErase(input: $input) {
    keysDestroyed replayed userErrors { __typename field message } } }";

fn with_contact(input: Value) -> Value {
    with(input, "/contact", json!({ "name": "Anna Smith" }))
}

fn guests(key: &str) -> Value {
    with_contact(without(two_mugs(key), "/customer"))
}

async fn erase(api: &Api, input: Value) -> Value {
    api.data(ERASE, json!({ "input": input })).await["it"].clone()
}

fn erased(keys: u32) -> Value {
    json!({ "keysDestroyed": keys, "replayed": keys == 0, "userErrors": [] })
}

#[tokio::test]
async fn a_customer_is_erased_with_what_they_bought_as_a_guest_once() {
    let whole = Whole::start().await;
    let api = &whole.api;
    api.receive(&["MUG"], 20).await;
    api.place(with_contact(two_mugs("k-1"))).await;
    api.place(with_contact(two_mugs("k-2"))).await;
    let guest = api.place(guests("k-3")).await;
    let attach = json!({ "id": guest["order"]["id"], "customer": "c-17", "idempotencyKey": "a" });
    accepted(api, "orderCustomerAttach", attach).await;
    api.place(guests("k-4")).await;

    let input = json!({ "customer": "c-17", "idempotencyKey": "e" });
    assert_eq!(erase(api, input.clone()).await, erased(2));
    assert_eq!(erase(api, input.clone()).await, erased(0));

    // Somebody who came back is not touched by a request from before.
    api.place(with_contact(two_mugs("k-5"))).await;
    assert_eq!(erase(api, input.clone()).await, erased(0));
    assert_eq!(erase(api, with(input, "/idempotencyKey", json!("e-2"))).await, erased(1));
}

#[tokio::test]
async fn the_customer_goes_before_the_guest_that_they_were() {
    let whole = Whole::start().await;
    let api = &whole.api;
    api.receive(&["MUG"], 20).await;
    api.place(with_contact(two_mugs("k"))).await;
    let mut guests_of = Vec::new();
    for n in 0..6 {
        let guest = api.place(guests(&format!("g-{n}"))).await;
        let id = &guest["order"]["id"];
        let attach = json!({ "id": id, "customer": "c-17", "idempotencyKey": format!("a-{n}") });
        accepted(api, "orderCustomerAttach", attach).await;
        guests_of.push(SubjectId::of_guest(OrderId(id.as_str().unwrap().parse().unwrap())));
    }
    let input = json!({ "customer": "c-17", "idempotencyKey": "e" });
    assert_eq!(erase(api, input).await, erased(7));

    let customer = erased_at(api, SubjectId::of_customer(&CustomerRef::new("c-17").unwrap())).await;
    for guest in guests_of {
        assert!(customer < erased_at(api, guest).await);
    }
}

async fn erased_at(api: &Api, subject: SubjectId) -> journal::Position {
    let proof = api.journal.read_last(&stream_of::<Erasure>(&subject), 1).await.unwrap();
    proof[0].position
}

#[tokio::test]
async fn a_guest_is_erased_by_their_order_without_a_postgres() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let placed = api.place(guests("k")).await;
    let input = json!({ "order": placed["order"]["id"], "idempotencyKey": "e" });
    assert_eq!(erase(&api, input).await, erased(1));
}

#[tokio::test]
async fn an_order_that_is_placed_again_after_an_erasure_is_the_same_order_and_seals_nothing() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let input = with(guests("k"), "/note", json!("Ring twice."));
    let placed = api.place(input.clone()).await;
    let id = placed["order"]["id"].clone();
    let erasure = json!({ "order": id, "idempotencyKey": "e" });
    assert_eq!(erase(&api, erasure).await, erased(1));

    let again = api.place(input.clone()).await;
    assert_eq!(again["userErrors"], json!([]), "{again:#}");
    assert_eq!((&again["replayed"], &again["order"]["id"]), (&json!(true), &id));
    assert_eq!(again["position"], placed["position"]);
    for other in [
        with(input.clone(), "/tags", json!(["vip"])),
        without(input.clone(), "/note"),
        with(
            input,
            "/billingAddress",
            json!({ "name": "A", "lines": ["1"], "city": "York", "country": "GB" }),
        ),
    ] {
        let refused = api.place(other).await;
        assert_eq!(refused["userErrors"][0]["__typename"], "IdempotencyConflict", "{refused:#}");
    }
    let second = json!({ "order": id, "idempotencyKey": "e-2" });
    assert_eq!(erase(&api, second).await, erased(0), "there is no new key");
}

#[tokio::test]
async fn a_customer_is_not_half_erased_while_their_orders_cannot_be_found() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    api.place(with_contact(two_mugs("k"))).await;
    let input = json!({ "customer": "c-17", "idempotencyKey": "e" });
    let (_, body) = api.ask(ERASE, json!({ "input": input })).await;
    assert_eq!(code(&body), "UNAVAILABLE", "{body:#}");
    let again = api.place(with_contact(two_mugs("k"))).await;
    assert_eq!(again["replayed"], json!(true), "the key is still the same");
}

#[tokio::test]
async fn who_is_meant_must_be_said_once_and_be_known() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let nobody = "00000000-0000-0000-0000-000000000001";
    for (input, kind, field) in [
        (json!({}), "InvalidInput", "customer"),
        (json!({ "customer": "c", "order": nobody }), "InvalidInput", "customer"),
        (json!({ "customer": "no spaces" }), "InvalidInput", "customer"),
        (json!({ "customer": "c-unknown" }), "NotFound", "customer"),
        (json!({ "order": nobody }), "NotFound", "order"),
    ] {
        let input = with(input, "/idempotencyKey", json!("e"));
        let refused = erase(api, input).await;
        let error = &refused["userErrors"][0];
        assert_eq!(error["__typename"], kind, "{refused:#}");
        assert_eq!(error["field"], json!(["input", field]), "{refused:#}");
    }
    let keyless = erase(api, json!({ "customer": "c-17" })).await;
    assert_eq!(keyless["userErrors"][0]["field"], json!(["input", "idempotencyKey"]));
}
