//! Looking back: an order as it was, and how it came to be as it is.

use serde_json::{Value, json};

use crate::acting::{Acting, accepted, two_mugs_by_hand, units};
use crate::lists::{appended, appended_behind, tags};
use crate::support::{Api, Whole, code, must, sent, two_mugs};

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
    assert_eq!(change(0, "status"), Some((Value::Null, json!("PENDING"))));
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

/// Every change of an order: revision, field, before, after.
async fn changes(api: &Api, order: &Acting) -> Vec<(usize, String, Value, Value)> {
    let page = json!({ "id": order.id.0, "first": 100 });
    let history = api.data(HISTORY, page).await["orderHistory"]["nodes"].clone();
    let told = history.as_array().unwrap().iter().enumerate().flat_map(|(n, change)| {
        change["changes"].as_array().unwrap().iter().map(move |it| {
            let field = it["field"].as_str().unwrap().to_owned();
            (n, field, it["before"].clone(), it["after"].clone())
        })
    });
    told.collect()
}

#[tokio::test]
async fn the_history_has_the_words_of_the_schema_and_no_bookkeeping() {
    let api = Api::start().await;
    let order = Acting::confirmed(&api, two_mugs_by_hand("k")).await;
    let part = json!({ "reason": "CUSTOMER", "lines": units(0, 1) });
    accepted(&api, "orderCancel", order.by_id("p", part)).await;
    accepted(&api, "orderCancel", order.by_id("c", json!({ "reason": "STAFF" }))).await;
    let all = changes(&api, &order).await;
    let of = |field: &str| -> Vec<_> {
        let told = all.iter().filter(|(_, it, ..)| it == field);
        told.map(|(_, _, before, after)| (before.clone(), after.clone())).collect()
    };
    assert_eq!(
        of("status"),
        [
            (Value::Null, json!("PENDING")),
            (json!("PENDING"), json!("CONFIRMED")),
            (json!("CONFIRMED"), json!("CANCELLED")),
        ]
    );
    assert_eq!(of("reason"), [(Value::Null, json!("STAFF"))]);
    assert_eq!(of("lines.0.cancelled"), [(json!(0), json!(1)), (json!(1), json!(2))]);
    for (_, field, ..) in &all {
        let hidden = ["movements", "supply", "details", "prices", "status."];
        assert!(!hidden.iter().any(|start| field.starts_with(start)), "{field}");
    }
}

#[tokio::test]
async fn the_history_tells_amounts_with_their_currency() {
    let api = Api::start().await;
    let order = Acting::shipped_and_paid(&api, two_mugs("k")).await;
    let refund = json!({ "amount": { "amount": "5.00", "currencyCode": "GBP" }, "reason": "LATE" });
    accepted(&api, "refundCreate", order.input("r", refund)).await;
    let all = changes(&api, &order).await;
    let payment = |what: &str| format!("payments.{}.{what}", order.payment().0);
    let last = |field: &str| {
        let told = all.iter().rev().find(|(_, it, ..)| it == field);
        told.map(|(_, _, before, after)| (before.clone(), after.clone()))
    };
    assert_eq!(
        last(&payment("captured")),
        Some((json!("0.00 GBP"), json!("12.90 GBP"))),
        "{all:#?}"
    );
    assert_eq!(last(&payment("refunding")), Some((json!("0.00 GBP"), json!("5.00 GBP"))));
    for movement in ["captures.", "refunds."] {
        let amounts: Vec<_> = all
            .iter()
            .filter(|(_, it, ..)| it.starts_with(movement) && it.ends_with(".amount"))
            .collect();
        assert!(!amounts.is_empty());
        for (_, field, _, after) in amounts {
            assert!(after.as_str().is_some_and(|it| it.ends_with(" GBP")), "{field}: {after}");
        }
    }
}

#[tokio::test]
async fn a_page_of_the_history_has_the_same_changes_however_it_is_asked_for() {
    let api = Api::start().await;
    let order = eventful(&api).await;
    let id = json!(order.id.0);
    let all = api.data(HISTORY, json!({ "id": id, "first": 100 })).await;
    let all = all["orderHistory"]["nodes"].as_array().unwrap().clone();
    let behind = api.data(HISTORY, json!({ "id": id, "first": 2, "after": "1" })).await;
    assert_eq!(behind["orderHistory"]["nodes"], json!(all[2..4]));

    let by_edges = "query($id: UUID!) { h: orderHistory(id: $id, first: 9) { ...page } }
        fragment page on OrderChangeConnection { edges { node { ... on OrderChange { ...one } } } }
        fragment one on OrderChange { told: changes { field before after } }";
    let edges = api.data(by_edges, json!({ "id": id })).await["h"]["edges"].clone();
    for (edge, change) in edges.as_array().unwrap().iter().zip(&all) {
        assert_eq!(edge["node"]["told"], change["changes"]);
    }
    assert_eq!(edges.as_array().unwrap().len(), all.len());
}

#[tokio::test]
async fn many_histories_in_one_query_are_too_much() {
    let api = Api::start().await;
    let one = |n| format!("h{n}: orderHistory(id: $id, first: 1) {{ nodes {{ revision }} }}");
    let asked = async |count: u32| {
        let fields: Vec<_> = (0..count).map(one).collect();
        let query = format!("query($id: UUID!) {{ {} }}", fields.join(" "));
        api.ask(&query, json!({ "id": uuid::Uuid::nil() })).await
    };
    let (status, body) = asked(4).await;
    assert!(status == 200 && body.get("errors").is_none(), "{body:#}");
    let (_, body) = asked(5).await;
    assert!(body.to_string().contains("too complex"), "{body:#}");
}

/// The history from the beginning or behind `after`, with `changes`.
async fn history(api: &Api, order: &Acting, first: u32, after: Option<&str>) -> Value {
    let page = json!({ "id": order.id.0, "first": first, "after": after });
    api.ask(HISTORY, page).await.1
}

fn revisions(history: &Value) -> Vec<i64> {
    let nodes = history["data"]["orderHistory"]["nodes"].as_array();
    let nodes = nodes.unwrap_or_else(|| panic!("{history:#}"));
    nodes.iter().map(|change| change["revision"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn the_history_names_the_event_that_it_cannot_understand_and_tells_what_is_before_it() {
    let api = Api::start().await;
    let order = Acting::on(&api, two_mugs("k")).await;
    let poison = schemas::Encoded { version: 99, ..tags("poison") };
    appended(&api, &order, vec![tags("vip"), poison, tags("west")]).await;

    for (first, after) in [(3, None), (1, Some("1")), (9, Some("2"))] {
        let refused = history(&api, &order, first, after).await;
        assert_eq!(code(&refused), "UNREADABLE_EVENT", "{refused:#}");
        let error = &refused["errors"][0];
        assert_eq!(error["extensions"]["stream"], json!(format!("order-{}", order.id.0)));
        assert_eq!(error["extensions"]["revision"], json!(2));
        assert_eq!(error["extensions"]["eventType"], "order-tags-changed");
        assert!(error["message"].as_str().unwrap().contains("event 2 of order-"), "{refused:#}");
    }
    let before = history(&api, &order, 2, None).await;
    assert_eq!(revisions(&before), [0, 1]);
    assert_eq!(before["data"]["orderHistory"]["pageInfo"]["hasNextPage"], json!(true));

    let who = "query($id: UUID!) { orderHistory(id: $id, first: 9) { nodes { revision type } } }";
    let who = api.ask(who, json!({ "id": order.id.0 })).await.1;
    assert_eq!(revisions(&who), [0, 1, 2, 3]);
}

#[tokio::test]
async fn the_history_leaves_out_what_is_skipped_and_what_is_not_ours() {
    let whole = Whole::start().await;
    let (api, url) = (&whole.api, whole.postgres.url());
    let order = Acting::on(api, two_mugs("k")).await;
    let stream = schemas::stream_of::<domain::order::Order>(&order.id);
    let poison = schemas::Encoded { version: 99, ..tags("poison") };
    appended(api, &order, vec![tags("vip"), poison, tags("west")]).await;
    let foreigner = api.store.connection_string().parse().unwrap();
    let foreigner = eventstore::Client::new(foreigner).unwrap();
    let theirs = eventstore::EventData::json("their-event", &"data").unwrap();
    let any = eventstore::AppendToStreamOptions::default();
    let theirs = Box::pin(foreigner.append_to_stream(stream.as_str(), &any, theirs));
    theirs.await.unwrap();

    let skip = async |revision| {
        let (actor, reason) = ("user:test".to_owned(), "written by a test".to_owned());
        let skip = projector::quarantine::Skip { revision, actor, reason };
        let orders = projector::read_model::ProjectionName::Orders;
        projector::quarantine::skip(&url, &api.journal, orders, &stream, skip).await
    };
    // Only what the read model is stuck at can be skipped.
    must(async {
        while skip(2).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let told = history(api, &order, 9, None).await;
    assert_eq!(revisions(&told), [0, 1, 3]);
    let changes = &told["data"]["orderHistory"]["nodes"][2]["changes"];
    assert_eq!(*changes, json!([{ "field": "tags.1", "before": null, "after": "west" }]));
    let pages = history(api, &order, 1, Some("1")).await;
    assert_eq!(revisions(&pages), [3]);
    assert_eq!(pages["data"]["orderHistory"]["pageInfo"]["hasNextPage"], json!(false));

    let timeline = "query($id: UUID!, $at: String) {
        orderTimeline(id: $id, first: 9, atLeast: $at) { nodes { revision quarantined } } }";
    let at = json!({ "id": order.id.0, "at": null });
    let moments = api.data(timeline, at).await["orderTimeline"]["nodes"].clone();
    let moment = |revision| json!({ "revision": revision, "quarantined": false });
    assert_eq!(moments, json!([moment(0), moment(1), moment(3)]));

    // Behind what is not ours there is something now.
    appended_behind(4, api, &order, vec![tags("later")]).await;
    let refused = history(api, &order, 9, None).await;
    assert_eq!(code(&refused), "UNREADABLE_EVENT", "{refused:#}");
    assert_eq!(refused["errors"][0]["extensions"]["revision"], json!(4));
    must(async {
        while skip(4).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(revisions(&history(api, &order, 9, None).await), [0, 1, 3, 5]);
}
