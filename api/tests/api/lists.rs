//! Lists of the past, of returns, of sales and of processes.

use serde_json::{Value, json};

use crate::acting::{Acting, accepted, change_with, units};
use crate::support::{Api, Whole, code, two_mugs, with};

const ORDERS: &str =
    "query($asOf: DateTime, $first: Int!, $after: String, $where: OrderWhere, $at: String) {
    orders(asOf: $asOf, first: $first, after: $after, where: $where, atLeast: $at) {
        nodes { id version status tags updatedAt holds { name } lines { cancelled }
                total { amount } quarantined }
        pageInfo { hasNextPage endCursor }
    }
    ordersCount(asOf: $asOf, where: $where, atLeast: $at) { count precision } }";

/// Answers the position of what was done last.
async fn tagged(api: &Api, order: &Acting, tag: &str) -> Value {
    let version = order.version().await;
    let edit = order.by_id(tag, json!({ "expectedVersion": version, "addTags": [tag] }));
    accepted(api, "orderEdit", edit).await["position"].clone()
}

async fn updated(api: &Api, order: &Acting) -> Value {
    let query = "query($id: UUID!) { order(id: $id, asOf: { revision: 999 }) { updatedAt } }";
    api.data(query, json!({ "id": order.id.0 })).await["order"]["updatedAt"].clone()
}

#[tokio::test]
async fn orders_are_found_and_shown_as_they_were() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let mut orders = vec![];
    for n in 0..5 {
        orders.push(Acting::on(api, two_mugs(&format!("k-{n}"))).await);
    }
    let before = updated(api, &orders[4]).await;
    let hold = orders[1].by_id("h", json!({ "name": "review", "reason": "FRAUD" }));
    accepted(api, "orderHold", hold).await;
    let part = orders[2].by_id("c", json!({ "reason": "CUSTOMER", "lines": units(0, 1) }));
    accepted(api, "orderCancel", part).await;
    tagged(api, &orders[3], "vip").await;
    let between = updated(api, &orders[3]).await;
    tagged(api, &orders[3], "late").await;
    let later = Acting::on(api, two_mugs("k-later")).await;
    let at = tagged(api, &later, "later").await;

    let listed = async |as_of: &Value, filter: Value| {
        let page = json!({ "asOf": as_of, "first": 10, "where": filter, "at": at });
        let answer = api.data(ORDERS, page).await;
        let nodes = answer["orders"]["nodes"].as_array().unwrap().clone();
        assert_eq!(answer["ordersCount"], json!({ "count": nodes.len(), "precision": "EXACT" }));
        nodes
    };
    let ids = |nodes: &[Value]| -> Vec<Value> { nodes.iter().map(|it| it["id"].clone()).collect() };
    let placed: Vec<_> = orders.iter().rev().map(|order| json!(order.id.0)).collect();
    let then = listed(&before, json!({})).await;
    assert_eq!(ids(&then), placed);
    for node in &then {
        assert_eq!((&node["version"], &node["tags"]), (&json!(0), &json!([])), "{node:#}");
        assert_eq!((&node["holds"], &node["quarantined"]), (&json!([]), &json!(false)));
    }
    let then = listed(&between, json!({})).await;
    assert_eq!(ids(&then), placed);
    assert_eq!((&then[1]["tags"], &then[1]["updatedAt"]), (&json!(["vip"]), &between));
    assert_eq!(then[2]["lines"][0]["cancelled"], 1);
    assert_eq!(then[3]["holds"], json!([{ "name": "review" }]));

    assert_eq!(listed(&before, json!({ "onHold": true })).await, [Value::Null; 0]);
    let on_hold = listed(&between, json!({ "onHold": true })).await;
    assert_eq!(ids(&on_hold), [json!(orders[1].id.0)]);
    assert_eq!(listed(&between, json!({ "tag": "late" })).await, [Value::Null; 0]);
    let never = json!("2000-01-01T00:00:00Z");
    assert_eq!(listed(&never, json!({})).await, [Value::Null; 0]);
    // The present, said in two ways.
    let now = listed(&json!("2999-01-01T00:00:00Z"), json!({})).await;
    assert_eq!(now, listed(&Value::Null, json!({})).await);
}

#[tokio::test]
async fn pages_of_the_past_stay_where_they_are() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let mut orders = vec![];
    for n in 0..5 {
        orders.push(Acting::on(api, two_mugs(&format!("k-{n}"))).await);
    }
    let time = updated(api, &orders[4]).await;
    let mut at = json!(api.journal.head().await.unwrap().to_string());
    let (mut seen, mut after) = (vec![], Value::Null);
    loop {
        let page = json!({ "asOf": time, "first": 2, "after": after, "at": at });
        let page = api.data(ORDERS, page).await["orders"].clone();
        let nodes = page["nodes"].as_array().unwrap();
        assert!(nodes.iter().all(|node| node["tags"] == json!([])));
        seen.extend(nodes.iter().map(|node| node["id"].clone()));
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
        // Meanwhile everything moves on.
        for (n, order) in orders.iter().enumerate() {
            at = tagged(api, order, &format!("t{}-{n}", seen.len())).await;
        }
        Acting::on(api, two_mugs(&format!("more-{}", seen.len()))).await;
    }
    assert_eq!(seen, orders.iter().rev().map(|order| json!(order.id.0)).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_nobody_knows_of_the_past_cannot_be_asked() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let page =
        json!({ "asOf": "2024-01-01T00:00:00Z", "first": 1, "where": { "location": "main" } });
    let (_, body) = api.ask(ORDERS, page).await;
    assert_eq!(code(&body), "BAD_REQUEST", "{body:#}");
    assert!(body["errors"][0]["message"].as_str().unwrap().contains("`location`"), "{body:#}");
}

#[tokio::test]
async fn a_timeline_says_where_an_order_stood() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let order = Acting::shipped_and_paid(api, two_mugs("k")).await;
    let at = tagged(api, &order, "vip").await;
    let query = "query($id: UUID!, $first: Int!, $after: String, $at: String) {
        orderTimeline(id: $id, first: $first, after: $after, atLeast: $at) {
            nodes { revision type at actor causationId status paymentStatus fulfilmentStatus
                    returnStatus total { amount } captured { amount } refunded { amount }
                    outstanding { amount currencyCode } customer country holds tags }
            pageInfo { hasNextPage endCursor } } }";
    let (mut all, mut after) = (vec![], Value::Null);
    loop {
        let page = json!({ "id": order.id.0, "first": 3, "after": after, "at": at });
        let page = api.data(query, page).await["orderTimeline"].clone();
        all.extend(page["nodes"].as_array().unwrap().clone());
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            break;
        }
    }
    let revisions: Vec<_> = all.iter().map(|moment| moment["revision"].clone()).collect();
    assert_eq!(revisions, (0..=order.version().await).map(|n| json!(n)).collect::<Vec<_>>());
    let (first, last) = (&all[0], all.last().unwrap());
    assert_eq!((&first["type"], &first["status"]), (&json!("order-placed"), &json!("PENDING")));
    assert_eq!(first["outstanding"], json!({ "amount": "12.90", "currencyCode": "GBP" }));
    assert_eq!((&first["customer"], &first["country"]), (&json!("c-17"), &json!("GB")));
    assert_eq!((&last["type"], &last["tags"]), (&json!("order-tags-changed"), &json!(["vip"])));
    assert_eq!(
        (&last["paymentStatus"], &last["captured"]["amount"]),
        (&json!("PAID"), &json!("12.90"))
    );
    assert_eq!(last["fulfilmentStatus"], "SHIPPED");
}

#[tokio::test]
async fn returns_and_sales_are_listed() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let order = Acting::shipped_and_paid(api, two_mugs("k-1")).await;
    let asked = order.input("a", json!({ "lines": units(0, 2), "reason": "SIZE" }));
    let asked = change_with(api, "returnRequest", "returnId", asked).await;
    let id = asked["returnId"].clone();
    let of_return = |key: &str| order.input(key, json!({ "returnId": id }));
    accepted(api, "returnApprove", of_return("b")).await;
    let goods = json!([{ "line": 0, "quantity": 1, "disposition": "WRITTEN_OFF" }]);
    let came = order.input("c", json!({ "returnId": id, "goods": goods }));
    accepted(api, "returnReceive", came).await;
    let other = Acting::on(api, with(two_mugs("k-2"), "/channel", json!("market"))).await;
    let part = other.by_id("p", json!({ "reason": "CUSTOMER", "lines": units(0, 1) }));
    let at = accepted(api, "orderCancel", part).await["position"].clone();

    let query = "query($where: ReturnWhere, $at: String) {
        returns(first: 5, where: $where, atLeast: $at) { nodes {
            id orderId order { number returnStatus } status reason unitsRequested unitsReceived
            unitsRestocked unitsWrittenOff unitsMissing requestedAt decidedAt receivedAt closedAt
            quarantined } } }";
    let listed = async |filter: Value| {
        let answer = api.data(query, json!({ "where": filter, "at": at })).await;
        answer["returns"]["nodes"].as_array().unwrap().clone()
    };
    let all = listed(Value::Null).await;
    let [one] = &all[..] else { panic!("{all:#?}") };
    assert_eq!((&one["id"], &one["orderId"]), (&id, &json!(order.id.0)));
    assert_eq!((&one["status"], &one["reason"]), (&json!("RECEIVED"), &json!("SIZE")));
    let units_of = ["unitsRequested", "unitsReceived", "unitsRestocked", "unitsWrittenOff"];
    assert_eq!(units_of.map(|field| one[field].clone()), [2, 1, 0, 1].map(|units| json!(units)));
    assert!(one["decidedAt"].is_string() && one["receivedAt"].is_string());
    assert_eq!((&one["closedAt"], &one["quarantined"]), (&Value::Null, &json!(false)));
    assert!(one["order"]["number"].is_string());
    let found = [
        (json!({ "status": ["RECEIVED", "CLOSED"], "customer": "c-17" }), 1),
        (json!({ "reason": ["SIZE"], "channel": "web", "orderId": order.id.0 }), 1),
        (json!({ "status": ["REQUESTED"] }), 0),
        (json!({ "channel": "market" }), 0),
        (json!({ "requestedAt": { "lte": "2000-01-01T00:00:00Z" } }), 0),
    ];
    for (filter, count) in found {
        assert_eq!(listed(filter.clone()).await.len(), count, "{filter}");
    }

    let query =
        "query($by: [SalesGroup!], $kind: LineKind, $sku: String, $after: String, $to: NaiveDate) {
        salesByDay(groupBy: $by, kind: $kind, sku: $sku, to: $to, first: 1, after: $after) {
            nodes { day sku channel orders units gross { amount currencyCode } cancelledUnits
                    cancelled { amount } returnedUnits refundedUnits }
            pageInfo { hasNextPage endCursor } } }";
    let by_channel =
        api.data(query, json!({ "by": ["CHANNEL", "SKU"], "kind": "GOODS" })).await["salesByDay"]
            .clone();
    let market = json!({ "day": null, "sku": "MUG", "channel": "market", "orders": "1", "units": "2",
        "gross": { "amount": "9.90", "currencyCode": "GBP" }, "cancelledUnits": "1",
        "cancelled": { "amount": "4.95" }, "returnedUnits": "0", "refundedUnits": "0" });
    assert_eq!(by_channel["nodes"], json!([market]));
    let after = &by_channel["pageInfo"]["endCursor"];
    let next = json!({ "by": ["CHANNEL", "SKU"], "kind": "GOODS", "after": after });
    let web = api.data(query, next).await["salesByDay"].clone();
    assert_eq!(
        (&web["nodes"][0]["channel"], &web["nodes"][0]["returnedUnits"]),
        (&json!("web"), &json!("1"))
    );
    assert_eq!(web["pageInfo"]["hasNextPage"], json!(false));
    let whole_day =
        api.data(query, json!({ "by": ["DAY"], "kind": null })).await["salesByDay"].clone();
    assert_eq!(
        (&whole_day["nodes"][0]["units"], &whole_day["nodes"][0]["sku"]),
        (&json!("6"), &Value::Null)
    );
    assert!(whole_day["nodes"][0]["day"].is_string());
    let none = api.data(query, json!({ "by": ["DAY"], "kind": null, "to": "2000-01-01" })).await;
    assert_eq!(none["salesByDay"]["nodes"], json!([]));
    for after in [json!("nonsense"), after.clone()] {
        let (_, body) =
            api.ask(query, json!({ "by": ["DAY"], "kind": null, "after": after })).await;
        assert_eq!(code(&body), "BAD_REQUEST", "{body:#}");
    }
}

/// Appends events behind the API's back; answers when the last one was recorded.
pub(crate) async fn appended(api: &Api, order: &Acting, events: Vec<schemas::Encoded>) -> Value {
    let stream = schemas::stream_of::<domain::order::Order>(&order.id);
    let last = api.journal.read_last(&stream, 1).await.unwrap()[0].revision;
    appended_behind(last, api, order, events).await
}

/// The same behind the event of this revision, whoever wrote that.
pub(crate) async fn appended_behind(
    last: u64,
    api: &Api,
    order: &Acting,
    events: Vec<schemas::Encoded>,
) -> Value {
    let stream = schemas::stream_of::<domain::order::Order>(&order.id);
    let mut recorded_at = api.journal.clock().now();
    let proposed = events.into_iter().map(|encoded| {
        recorded_at += chrono::TimeDelta::milliseconds(1);
        let metadata = schemas::Metadata {
            command_id: journal::ids::new_id(),
            correlation_id: order.id.0,
            causation_id: order.id.0,
            actor: "process:test".to_owned(),
            schema_version: encoded.version,
            recorded_at,
            traceparent: None,
        };
        journal::Proposed { event_id: journal::ids::new_id(), metadata, encoded }
    });
    let proposed = proposed.collect();
    let expected = journal::ExpectedRevision::after(Some(last));
    api.journal.append(&stream, expected, proposed).await.unwrap();
    json!(recorded_at)
}

pub(crate) fn tags(tag: &str) -> schemas::Encoded {
    use schemas::StoredEvent;
    let added = [domain::ids::Tag::new(tag).unwrap()].into();
    let changed = domain::order::OrderTagsChanged { added, removed: [].into() };
    domain::order::OrderEvent::TagsChanged(changed).encode()
}

#[tokio::test]
async fn an_order_with_an_event_that_is_skipped_is_shown_without_it_in_the_past_too() {
    let whole = Whole::start().await;
    let (api, url) = (&whole.api, whole.postgres.url());
    let order = Acting::on(api, two_mugs("k")).await;
    let poison = schemas::Encoded { version: 99, ..tags("poison") };
    let then = appended(api, &order, vec![poison, tags("vip")]).await;
    appended(api, &order, vec![tags("late")]).await;
    let stream = schemas::stream_of::<domain::order::Order>(&order.id);
    let orders = projector::read_model::ProjectionName::Orders;
    let query = "query($id: UUID!) { order(id: $id) { quarantined version } }";
    crate::support::must(async {
        while api.data(query, json!({ "id": order.id.0 })).await["order"]["quarantined"] != true {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let stuck = api.data(ORDERS, json!({ "asOf": then, "first": 5 })).await;
    assert_eq!(stuck["orders"]["nodes"][0]["quarantined"], json!(true));
    assert_eq!(stuck["orders"]["nodes"][0]["version"], json!(0));
    let elsewhere = "query($id: UUID!) {
        orderTimeline(id: $id, first: 9) { nodes { revision quarantined } }
        fulfilmentOrders(first: 9) { nodes { orderId quarantined } }
        creditNotes(first: 9) { nodes { quarantined } } }";
    let elsewhere = api.data(elsewhere, json!({ "id": order.id.0 })).await;
    let moments = json!([{ "revision": 0, "quarantined": true }]);
    assert_eq!(elsewhere["orderTimeline"]["nodes"], moments);
    let mut work = elsewhere["fulfilmentOrders"]["nodes"].as_array().unwrap().iter();
    assert!(work.all(|work| work["quarantined"] == json!(true)), "{elsewhere:#}");

    let as_of = "query($id: UUID!, $asOf: AsOfInput) {
        order(id: $id, asOf: $asOf) { version quarantined tags } }";
    let at = async |as_of_then: Value| {
        api.data(as_of, json!({ "id": order.id.0, "asOf": as_of_then })).await["order"].clone()
    };
    let before = json!({ "version": 0, "quarantined": true, "tags": [] });
    assert_eq!(at(json!({ "time": then })).await, before);
    assert_eq!(at(json!({ "revision": 1 })).await, before);
    assert_eq!(at(json!({ "revision": 0 })).await["quarantined"], json!(false));

    let skip = projector::quarantine::Skip {
        revision: 1,
        actor: "user:test".to_owned(),
        reason: "written by a test".to_owned(),
    };
    projector::quarantine::skip(&url, &api.journal, orders, &stream, skip).await.unwrap();
    let shown = api.data(ORDERS, json!({ "asOf": then, "first": 5 })).await;
    let node = &shown["orders"]["nodes"][0];
    assert_eq!((&node["version"], &node["tags"]), (&json!(2), &json!(["vip"])), "{node:#}");
    assert_eq!(node["quarantined"], json!(false));
    let after = json!({ "version": 2, "quarantined": false, "tags": ["vip"] });
    assert_eq!(at(json!({ "time": then })).await, after);
    assert_eq!(at(json!({ "revision": 2 })).await, after);
    assert_eq!(at(json!({ "revision": 1 })).await["version"], json!(0));
}
