//! Finding orders: by name, by condition, per customer, per location.

use serde_json::{Value, json};

use crate::acting::{Acting, accepted, two_mugs_by_hand};
use crate::support::{Api, Whole, code, two_mugs, with};

/// Four orders that differ: plain, held, confirmed at `main` with goods to send, and cancelled.
struct Four {
    plain: Value,
    held: Value,
    confirmed: Value,
    cancelled: Value,
    at: Value,
}

async fn four(api: &Api) -> Four {
    let mut plain = two_mugs("plain");
    plain["externalReference"] = json!("A-1");
    plain["tags"] = json!(["gift"]);
    let plain = Acting::on(api, plain).await;
    let held = Acting::on(api, with(two_mugs("held"), "/customer", json!("c-9"))).await;
    let review = held.by_id("h", json!({ "name": "review", "reason": "FRAUD" }));
    accepted(api, "orderHold", review).await;
    let confirmed = Acting::confirmed(api, two_mugs_by_hand("confirmed")).await;
    let cancelled = Acting::on(api, with(two_mugs("cancelled"), "/country", json!("FR"))).await;
    let cancel = cancelled.by_id("c", json!({ "reason": "STAFF" }));
    let at = accepted(api, "orderCancel", cancel).await["position"].clone();
    let id = |order: &Acting| json!(order.id.0);
    Four {
        plain: id(&plain),
        held: id(&held),
        confirmed: id(&confirmed),
        cancelled: id(&cancelled),
        at,
    }
}

#[tokio::test]
async fn orders_are_found_by_any_condition() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let Four { plain, held, confirmed, cancelled, at } = four(api).await;
    let all = [&cancelled, &confirmed, &held, &plain];
    let list = "query($where: OrderWhere, $at: String) {
        orders(first: 10, where: $where, atLeast: $at) { nodes { id } }
        ordersCount(where: $where, atLeast: $at) { count precision } }";
    for (condition, found) in [
        (json!({}), all.to_vec()),
        (json!({ "status": ["CANCELLED"] }), vec![&cancelled]),
        (json!({ "paymentStatus": ["AUTHORISED"] }), vec![&confirmed]),
        (json!({ "fulfilmentStatus": ["ON_HOLD", "CANCELLED"] }), vec![&cancelled, &held]),
        (json!({ "returnStatus": ["NONE"] }), all.to_vec()),
        (json!({ "onHold": true }), vec![&held]),
        (json!({ "hold": "review", "onHold": true }), vec![&held]),
        (json!({ "hold": "another" }), vec![]),
        (json!({ "tag": "gift" }), vec![&plain]),
        (json!({ "customer": "c-9" }), vec![&held]),
        (json!({ "sku": "MUG", "country": "FR" }), vec![&cancelled]),
        (json!({ "sku": "CUP" }), vec![]),
        (json!({ "externalReference": "A-1", "channel": "web" }), vec![&plain]),
        (json!({ "location": "main" }), vec![&confirmed]),
        (
            json!({ "total": { "currencyCode": "GBP", "gte": "12.90", "lte": "12.90" } }),
            all.to_vec(),
        ),
        (json!({ "total": { "currencyCode": "GBP", "gte": "12.91" } }), vec![]),
        (json!({ "total": { "currencyCode": "EUR", "gte": "12.90", "lte": "12.90" } }), vec![]),
        (json!({ "total": { "currencyCode": "EUR" } }), vec![]),
        (json!({ "updatedAt": { "gte": "2999-01-01T00:00:00Z" } }), vec![]),
    ] {
        let answer = api.data(list, json!({ "where": condition, "at": at })).await;
        let nodes = answer["orders"]["nodes"].as_array().unwrap().iter();
        let ids: Vec<_> = nodes.map(|node| node["id"].clone()).collect();
        assert_eq!(ids.iter().collect::<Vec<_>>(), found, "{condition}");
        let count = json!({ "count": found.len(), "precision": "EXACT" });
        assert_eq!(answer["ordersCount"], count, "{condition}");
    }
    let some = api.data("{ ordersCount(limit: 3) { count precision } }", json!({})).await;
    assert_eq!(some["ordersCount"], json!({ "count": 3, "precision": "AT_LEAST" }));
    let wrong = json!({ "where": { "total": { "currencyCode": "GBP", "gte": "x" } } });
    assert_eq!(code(&api.ask(list, wrong).await.1), "BAD_REQUEST");
    let (_, body) = api.ask("{ ordersCount(limit: 0) { count } }", json!({})).await;
    assert_eq!(code(&body), "BAD_REQUEST");
}

#[tokio::test]
async fn an_order_is_found_by_its_number_or_by_how_its_channel_knows_it() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let Four { plain, at, .. } = four(api).await;
    let by_id = "query($id: UUID!, $at: String) { order(id: $id, atLeast: $at) { number } }";
    let number = api.data(by_id, json!({ "id": plain, "at": at })).await["order"]["number"].clone();
    let find = "query($n: String, $r: ExternalReferenceInput, $id: UUID, $asOf: AsOfInput) {
        order(number: $n, externalReference: $r, id: $id, asOf: $asOf) { id number version } }";
    let found = api.data(find, json!({ "n": number })).await["order"].clone();
    assert_eq!((&found["id"], &found["number"]), (&plain, &number));
    let reference = json!({ "reference": "A-1" });
    assert_eq!(api.data(find, json!({ "r": reference })).await["order"], found);
    let elsewhere = json!({ "channel": "market", "reference": "A-1" });
    assert_eq!(api.data(find, json!({ "r": elsewhere })).await["order"], Value::Null);
    let then = json!({ "n": number, "asOf": { "revision": 0 } });
    assert_eq!(api.data(find, then).await["order"]["version"], 0);
    for wrong in [json!({}), json!({ "n": number, "id": plain })] {
        assert_eq!(code(&api.ask(find, wrong).await.1), "BAD_REQUEST");
    }
}

#[tokio::test]
async fn a_customer_has_orders_and_what_they_add_up_to() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let Four { plain, confirmed, cancelled, at, .. } = four(api).await;
    let query = "query($at: String) {
        customer(reference: \"c-17\", atLeast: $at) { reference
            totals { currencyCode orders cancelledOrders spent { amount } lastOrder { id } }
            orders(first: 2) { nodes { id } pageInfo { hasNextPage } } }
        nobody: customer(reference: \"c-0\") { reference }
        customers(first: 10, currencyCode: \"GBP\", atLeast: $at, orderBy: { field: LAST_ORDER_AT, direction: ASC }) {
            nodes { customer orders firstOrderAt lastOrderId lastOrder { number } } } }";
    let answer = api.data(query, json!({ "at": at })).await;
    let customer = &answer["customer"];
    assert_eq!(
        customer["totals"],
        json!([{
            "currencyCode": "GBP", "orders": 3, "cancelledOrders": 1, "spent": { "amount": "0.00" },
            "lastOrder": { "id": cancelled },
        }])
    );
    assert_eq!(customer["orders"]["nodes"], json!([{ "id": cancelled }, { "id": confirmed }]));
    assert_eq!(customer["orders"]["pageInfo"]["hasNextPage"], json!(true));
    assert_eq!(answer["nobody"], Value::Null);
    let customers = answer["customers"]["nodes"].as_array().unwrap();
    let names: Vec<_> = customers.iter().map(|one| (&one["customer"], &one["orders"])).collect();
    assert_eq!(names, [(&json!("c-9"), &json!(1)), (&json!("c-17"), &json!(3))]);
    assert!(customers[0]["lastOrder"]["number"].is_string(), "{plain}");
}

#[tokio::test]
async fn a_location_finds_its_work() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let Four { confirmed, at, .. } = four(api).await;
    let query = "query($location: String, $status: [FulfilmentOrderStatus!], $at: String) {
        fulfilmentOrders(first: 10, location: $location, status: $status, atLeast: $at) {
            nodes { location status unitsOpen unitsShipped orderId order { id status } } } }";
    let task = json!({ "location": "main", "status": "OPEN", "unitsOpen": 2, "unitsShipped": 0,
        "orderId": confirmed, "order": { "id": confirmed, "status": "CONFIRMED" } });
    for (location, status, found) in [
        (json!("main"), json!(["OPEN"]), json!([task])),
        (Value::Null, Value::Null, json!([task])),
        (json!("main"), json!(["CLOSED", "ON_HOLD"]), json!([])),
        (json!("moon"), Value::Null, json!([])),
    ] {
        let variables = json!({ "location": location, "status": status, "at": at });
        assert_eq!(api.data(query, variables).await["fulfilmentOrders"]["nodes"], found);
    }
}
