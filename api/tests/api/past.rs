//! Looking back: an order as it was, and how it came to be as it is.

use serde_json::{Value, json};

use crate::acting::{Acting, accepted, units};
use crate::support::{Api, Whole, code, sent, two_mugs};

const AS_OF: &str = "query($id: UUID!, $asOf: AsOfInput) { order(id: $id, asOf: $asOf) {
    id status version updatedAt holds { name } tags lines { cancelled } total { amount }
    availableActions } }";

const HISTORY: &str = "query($id: UUID!, $first: Int!, $after: String) {
    orderHistory(id: $id, first: $first, after: $after) {
        nodes { revision type at actor commandId correlationId causationId reason note { text }
                changes { field before after } }
        pageInfo { hasNextPage endCursor } } }";

/// An order that was placed, held, relieved of one mug and tagged.
async fn eventful(api: &Api) -> Acting {
    let order = Acting::on(api, two_mugs("k")).await;
    let hold = order.by_id("h", json!({ "name": "review", "reason": "FRAUD", "note": "Odd." }));
    accepted(api, "orderHold", hold).await;
    let part = order.by_id("c", json!({ "reason": "CUSTOMER", "lines": units(0, 1) }));
    accepted(api, "orderCancel", part).await;
    let edit = order.by_id(
        "e",
        json!({
            "expectedVersion": order.version().await, "addTags": ["vip"],
            "contact": { "email": "anna@example.org" },
        }),
    );
    accepted(api, "orderEdit", edit).await;
    order
}

#[tokio::test]
async fn an_order_is_shown_as_it_was_even_without_postgres() {
    let api = Api::start().await;
    let order = eventful(&api).await;
    let at = async |as_of: Value| {
        api.data(AS_OF, json!({ "id": order.id.0, "asOf": as_of })).await["order"].clone()
    };
    let placed = at(json!({ "revision": 0 })).await;
    assert_eq!((&placed["version"], &placed["holds"]), (&json!(0), &json!([])));
    assert_eq!(placed["total"]["amount"], "12.90");
    let held = at(json!({ "revision": 1 })).await;
    assert_eq!(held["holds"], json!([{ "name": "review" }]));
    assert_eq!(held["total"]["amount"], "12.90");
    let now = at(json!({ "revision": 999 })).await;
    assert_eq!(now["version"], json!(order.version().await));
    assert_eq!((&now["tags"], &now["lines"][0]["cancelled"]), (&json!(["vip"]), &json!(1)));

    assert_eq!(at(json!({ "time": held["updatedAt"] })).await, held);
    assert_eq!(at(json!({ "time": "2999-01-01T00:00:00Z" })).await, now);
    assert_eq!(at(json!({ "time": "2000-01-01T00:00:00Z" })).await, Value::Null);

    let nobody = json!({ "id": uuid::Uuid::nil(), "asOf": { "revision": 0 } });
    assert_eq!(api.data(AS_OF, nobody).await["order"], Value::Null);
    for as_of in
        [json!({ "revision": -1 }), json!({ "revision": 1, "time": "2999-01-01T00:00:00Z" })]
    {
        let (_, body) = api.ask(AS_OF, json!({ "id": order.id.0, "asOf": as_of })).await;
        assert_eq!(code(&body), "BAD_REQUEST", "{body:#}");
    }
}

#[tokio::test]
async fn what_a_mutation_answers_is_what_the_past_and_the_read_model_show() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let order = eventful(api).await;
    let release = order.by_id("r", json!({ "name": "review" }));
    let answer = accepted(api, "orderHoldRelease", release).await;
    let query = crate::acting::query("orderHold", "");
    let fields = query.split_once("order {").unwrap().1.split_once("position replayed").unwrap().0;
    let fields = fields.trim_end().strip_suffix('}').unwrap();
    let read = format!(
        "query($id: UUID!, $at: String, $asOf: AsOfInput) {{
            order(id: $id, atLeast: $at, asOf: $asOf) {{ {fields} }} }}"
    );
    for as_of in [Value::Null, json!({ "revision": answer["order"]["version"] })] {
        let variables = json!({ "id": order.id.0, "at": answer["position"], "asOf": as_of });
        assert_eq!(api.data(&read, variables).await["order"], answer["order"], "{as_of}");
    }
}

#[tokio::test]
async fn the_history_says_who_when_why_and_what_was_before_and_after() {
    let api = Api::start().await;
    let order = eventful(&api).await;
    let page = json!({ "id": order.id.0, "first": 100 });
    let history = api.data(HISTORY, page).await["orderHistory"]["nodes"].clone();
    let history = history.as_array().unwrap();
    let types: Vec<_> = history.iter().map(|change| change["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "order-placed",
            "order-held",
            "order-lines-cancelled",
            "order-contact-changed",
            "order-tags-changed",
        ]
    );
    for (revision, change) in history.iter().enumerate() {
        assert_eq!(change["revision"], json!(revision));
        assert_eq!(change["actor"], "client:development");
        assert_eq!(change["correlationId"], json!(order.id.0));
        assert!(change["at"].is_string() && change["commandId"].is_string());
    }
    let change = |revision: usize, field: &str| {
        let all = history[revision]["changes"].as_array().unwrap();
        let one = all.iter().find(|change| change["field"] == field);
        one.map(|change| (change["before"].clone(), change["after"].clone()))
    };
    assert_eq!(
        (&history[1]["reason"], &history[1]["note"]["text"]),
        (&json!("fraud"), &json!("Odd."))
    );
    assert_eq!(change(1, "holds.review.reason"), Some((Value::Null, json!("fraud"))));
    assert_eq!(change(1, "status"), None, "nothing has changed there");
    assert_eq!(change(2, "lines.0.cancelled"), Some((json!(0), json!(1))));
    assert_eq!(history[2]["reason"], "customer");
    assert_eq!(change(3, "contact.email"), Some((Value::Null, json!("anna@example.org"))));
    assert_eq!(change(4, "tags.0"), Some((Value::Null, json!("vip"))));
    assert_eq!(change(0, "status"), Some((Value::Null, json!("pending"))));
}

#[tokio::test]
async fn the_history_hides_what_the_reader_may_not_see() {
    let api = Api::start().await;
    let order = eventful(&api).await;
    let token = api.token_with(&json!({ "scope": "orders:read" }));
    let body = json!({ "query": HISTORY, "variables": { "id": order.id.0, "first": 100 } });
    let (_, body) = sent(api.post_anonymously().bearer_auth(token).json(&body)).await;
    let history = &body["data"]["orderHistory"]["nodes"];
    assert_eq!(history[1]["note"], Value::Null, "{body:#}");
    let contact = json!([{ "field": "contact", "before": null, "after": "hidden" }]);
    assert_eq!(history[3]["changes"], contact);
    assert!(!body.to_string().contains("anna@example.org"));
}

#[tokio::test]
async fn the_history_is_read_page_by_page() {
    let api = Api::start().await;
    let order = eventful(&api).await;
    let (mut after, mut seen) = (Value::Null, vec![]);
    loop {
        let page = json!({ "id": order.id.0, "first": 2, "after": after });
        let page = api.data(HISTORY, page).await["orderHistory"].clone();
        seen.extend(page["nodes"].as_array().unwrap().iter().map(|one| one["revision"].clone()));
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            break;
        }
    }
    assert_eq!(seen, [0, 1, 2, 3, 4].map(|n| json!(n)));
    let (_, body) = api.ask(HISTORY, json!({ "id": order.id.0, "first": 2, "after": "x" })).await;
    assert_eq!(code(&body), "BAD_REQUEST");
}
