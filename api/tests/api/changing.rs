//! Changing orders: holding, editing, cancelling, attaching; versions and previews.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::acting::{Acting, accepted, change, change_with, refused, two_mugs_by_hand, units};
use crate::support::{Api, Choices, two_mugs, with};

fn kinds(error: &Value) -> &Value {
    &error["__typename"]
}

#[tokio::test]
async fn an_order_is_held_under_a_name_and_released() {
    let api = Api::start().await;
    let order = Acting::on(&api, two_mugs("k")).await;
    let input = order.by_id("h", json!({ "name": "review", "reason": "FRAUD", "note": "Odd." }));
    let held = accepted(&api, "orderHold", input.clone()).await;
    let review = json!({ "name": "review", "reason": "FRAUD", "automatic": false,
                       "note": { "text": "Odd.", "erased": false } });
    assert_eq!(held["order"]["holds"], json!([review]));
    assert_eq!((&held["order"]["onHold"], &held["replayed"]), (&json!(true), &json!(false)));
    let again = accepted(&api, "orderHold", input).await;
    assert_eq!((&again["replayed"], &again["order"]), (&json!(true), &held["order"]));

    let release = order.by_id("r", json!({ "name": "review" }));
    let released = accepted(&api, "orderHoldRelease", release).await;
    assert_eq!(released["order"]["holds"], json!([]));
    let wrong = order.by_id("h", json!({ "name": "Fraud!", "reason": "FRAUD" }));
    let error = refused(&api, "orderHold", wrong).await;
    assert_eq!(
        (kinds(&error), &error["field"]),
        (&json!("InvalidInput"), &json!(["input", "name"]))
    );
}

#[tokio::test]
async fn what_a_held_order_does_not_allow_names_the_holds() {
    let api = Api::start().await;
    let order = Acting::confirmed(&api, two_mugs_by_hand("k")).await;
    let hold = order.by_id("h", json!({ "name": "review", "reason": "FRAUD" }));
    accepted(&api, "orderHold", hold).await;
    let error =
        refused(&api, "shipmentCreate", order.input("s", json!({ "location": "main" }))).await;
    assert_eq!((kinds(&error), &error["holds"]), (&json!("OnHold"), &json!(["review"])));
}

#[tokio::test]
async fn rules_hold_orders_that_are_worth_too_much_or_look_like_fraud() {
    let options = api::Options {
        hold_above: vec!["GBP:12.89".parse().unwrap(), "EUR:1.00".parse().unwrap()],
        hold_risk_from: Some(80),
        ..api::Options::default()
    };
    let api = Api::start_with(Choices { options, ..Choices::default() }).await;
    let risky = with(two_mugs("k"), "/riskScore", json!(80));
    let order = Acting::on(&api, risky.clone()).await;

    let state = order.state().await;
    let holds: Vec<_> =
        state.holds.iter().map(|(name, it)| (name.as_str(), it.automatic)).collect();
    assert_eq!(holds, [("risk", true), ("value", true)]);

    let cheap = with(with(risky, "/lines/0/quantity", json!(1)), "/total/amount", json!("7.95"));
    let cheap = with(with(cheap, "/riskScore", json!(79)), "/idempotencyKey", json!("cheap"));
    let order = Acting::on(&api, cheap).await;
    assert!(order.state().await.holds.is_empty());
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_nothing_else() {
    let api = Api::start().await;
    let order = Acting::on(&api, with(two_mugs("k"), "/tags", json!(["gift", "vip"]))).await;
    let address = json!({ "name": "Anna Smith", "lines": ["1 High Street"], "city": "York",
                          "postalCode": "YO1 1AA", "country": "IE" });
    let edit = order.by_id(
        "e",
        json!({
            "expectedVersion": 0, "shippingAddress": address, "note": "Leave it at the door.",
            "contact": { "name": "Anna Smith", "email": "anna@example.org" },
            "addTags": ["fragile"], "removeTags": ["vip"],
        }),
    );
    let edited = accepted(&api, "orderEdit", edit.clone()).await;
    let now = &edited["order"];
    assert_eq!(now["shippingAddress"]["lines"], json!(["1 High Street"]));
    assert_eq!(
        (&now["country"], &now["contact"]["email"]),
        (&json!("IE"), &json!("anna@example.org"))
    );
    assert_eq!(now["note"]["text"], "Leave it at the door.");
    assert_eq!(now["tags"], json!(["fragile", "gift"]));
    assert_eq!(now["total"]["amount"], "12.90");

    let again = accepted(&api, "orderEdit", edit).await;
    assert_eq!((&again["replayed"], &again["order"]), (&json!(true), now));

    let version = &now["version"];
    let clear = order.by_id("e2", json!({ "expectedVersion": version, "note": null }));
    assert_eq!(accepted(&api, "orderEdit", clear).await["order"]["note"], Value::Null);
}

#[tokio::test]
async fn a_change_that_is_meant_for_another_version_is_refused_with_both() {
    let api = Api::start().await;
    let order = Acting::on(&api, two_mugs("k")).await;
    let hold = order.by_id("h", json!({ "name": "a", "reason": "OTHER", "expectedVersion": 0 }));
    accepted(&api, "orderHold", hold.clone()).await;
    // The very same again is in effect already.
    assert_eq!(accepted(&api, "orderHold", hold).await["replayed"], json!(true));

    let edit = order.by_id("e", json!({ "expectedVersion": 0, "addTags": ["late"] }));
    for preview in [false, true] {
        let edit = with(edit.clone(), "/preview", json!(preview));
        let error = refused(&api, "orderEdit", edit).await;
        assert_eq!(kinds(&error), "VersionConflict");
        assert_eq!((&error["expectedVersion"], &error["actualVersion"]), (&json!(0), &json!(1)));
        assert_eq!(error["field"], json!(["input", "expectedVersion"]));
    }
    let now = with(edit, "/expectedVersion", json!(1));
    accepted(&api, "orderEdit", now).await;
    let negative = order.by_id("n", json!({ "expectedVersion": -1, "addTags": ["late"] }));
    assert_eq!(kinds(&refused(&api, "orderEdit", negative).await), "InvalidInput");
}

#[tokio::test]
async fn a_preview_is_what_the_edit_then_does() {
    const MORE: &str = "consequences { total { amount } outstanding { amount } refund { amount }
                                       release { amount } events }";
    let api = Api::start().await;
    let mut paid = two_mugs_by_hand("k");
    paid["policies"]["capture"] = json!("AT_ONCE");
    let order = Acting::confirmed(&api, paid).await;
    for capture in order.state().await.captures.into_keys() {
        order.does(domain::order::OrderCommand::RecordCapture { capture }).await;
    }
    let version = order.version().await;
    let edit = order.by_id(
        "e",
        json!({
            "expectedVersion": version, "cancelLines": units(0, 1), "addTags": ["smaller"],
            "preview": true,
        }),
    );
    let preview = change_with(&api, "orderEdit", MORE, edit.clone()).await;
    assert_eq!(preview["userErrors"], json!([]), "{preview:#}");
    assert_eq!(preview["position"], Value::Null);
    assert_eq!(order.version().await, version, "a preview has written something");
    assert_eq!(preview["order"]["lines"][0]["cancelled"], 1);
    assert_eq!(preview["consequences"]["total"]["amount"], "7.95");
    assert_eq!(preview["consequences"]["refund"]["amount"], "4.95");

    let done = change_with(&api, "orderEdit", MORE, with(edit, "/preview", json!(false))).await;
    for field in ["order", "consequences", "replayed", "userErrors"] {
        assert_eq!(done[field], preview[field], "{field}");
    }
    assert!(done["position"].is_string());
}

#[tokio::test]
async fn an_edit_that_makes_no_sense_is_refused_with_every_path() {
    let api = Api::start().await;
    let order = Acting::on(&api, two_mugs("k")).await;
    let edit = order.by_id(
        "e",
        json!({
            "expectedVersion": 0,
            "contact": { "email": "nobody" },
            "shippingAddress": { "name": "A", "lines": [], "city": "", "country": "uk" },
            "note": "x".repeat(2001), "addTags": ["two words"],
            "cancelLines": [{ "line": 0, "quantity": 1 }, { "line": 0, "quantity": 0 }],
        }),
    );
    let payload = change(&api, "orderEdit", edit).await;
    let errors = payload["userErrors"].as_array().unwrap();
    let fields = errors.iter().map(|error| {
        let path = error["field"].as_array().unwrap().iter().map(|part| part.as_str().unwrap());
        path.skip(1).collect::<Vec<_>>().join(".")
    });
    let fields: Vec<_> = fields.collect();
    assert_eq!(
        fields,
        [
            "contact.email",
            "shippingAddress.city",
            "shippingAddress.country",
            "shippingAddress.lines",
            "note",
            "addTags.0",
            "cancelLines.1.line",
            "cancelLines.1.quantity",
        ]
    );
    assert_eq!(order.version().await, 0);
}

#[tokio::test]
async fn units_are_cancelled_once_per_key() {
    let api = Api::start().await;
    let order = Acting::on(&api, two_mugs("k")).await;
    let part = order.by_id("c", json!({ "reason": "CUSTOMER", "lines": units(0, 1) }));
    let cancelled = accepted(&api, "orderCancel", part.clone()).await;
    assert_eq!(cancelled["order"]["lines"][0]["cancelled"], 1);
    assert_eq!(cancelled["order"]["status"], "PENDING");
    assert_eq!(cancelled["order"]["total"]["amount"], "7.95");
    let again = accepted(&api, "orderCancel", part).await;
    assert_eq!((&again["replayed"], &again["order"]), (&json!(true), &cancelled["order"]));

    let too_many = order.by_id("d", json!({ "reason": "CUSTOMER", "lines": units(0, 2) }));
    let error = refused(&api, "orderCancel", too_many).await;
    assert_eq!(kinds(&error), "NotEnoughUnits");
    assert_eq!((&error["requestedUnits"], &error["availableUnits"]), (&json!(2), &json!(1)));
    assert_eq!(error["field"], json!(["input", "lines", "0", "quantity"]));
}

#[tokio::test]
async fn what_an_order_does_not_allow_comes_with_what_it_does() {
    let api = Api::start().await;
    let order = Acting::on(&api, two_mugs("k")).await;
    let capture = order.input("c", json!({}));
    let error = refused(&api, "paymentCapture", capture).await;
    assert_eq!((kinds(&error), &error["from"]), (&json!("InvalidTransition"), &json!("PENDING")));
    assert_eq!(error["action"], "CAPTURE");
    let allowed = error["allowed"].as_array().unwrap();
    assert!(
        allowed.contains(&json!("CANCEL")) && !allowed.contains(&json!("CAPTURE")),
        "{error:#}"
    );
}

#[tokio::test]
async fn a_guests_order_becomes_a_customers_and_stays_it() {
    let api = Api::start().await;
    let guest = crate::support::without(two_mugs("k"), "/customer");
    let order = Acting::on(&api, guest).await;
    let attach = |key: &str, customer: &str| order.by_id(key, json!({ "customer": customer }));
    let attached = accepted(&api, "orderCustomerAttach", attach("a", "c-1")).await;
    assert_eq!(attached["order"]["customer"], "c-1");
    let error = refused(&api, "orderCustomerAttach", attach("b", "c-2")).await;
    assert_eq!(kinds(&error), "OtherCustomer");
}

#[tokio::test]
async fn no_mutation_finds_an_order_that_was_never_placed() {
    let api = Api::start().await;
    let nobody = Uuid::nil();
    let key = "k";
    for (mutation, field, input) in [
        ("orderCancel", "id", json!({ "reason": "OTHER" })),
        ("orderEdit", "id", json!({ "expectedVersion": 0, "note": "x" })),
        ("orderHold", "id", json!({ "name": "a", "reason": "OTHER", "note": "x" })),
        ("orderHoldRelease", "id", json!({ "name": "a" })),
        ("orderCustomerAttach", "id", json!({ "customer": "c" })),
        ("orderMarkPaid", "id", json!({ "amount": { "amount": "1" }, "reference": "r" })),
        ("paymentAuthorise", "orderId", json!({ "paymentToken": "t" })),
        ("paymentCapture", "orderId", json!({ "amount": { "amount": "1.00" } })),
        ("paymentVoid", "orderId", json!({ "paymentId": nobody })),
        ("refundCreate", "orderId", json!({ "lines": units(0, 1), "reason": "OTHER" })),
        (
            "chargebackRecord",
            "orderId",
            json!({ "paymentId": nobody, "reference": "r",
            "reason": "x", "amount": { "amount": "1", "currencyCode": "GBP" } }),
        ),
        ("shipmentCreate", "orderId", json!({ "location": "main" })),
        ("shipmentClear", "orderId", json!({ "shipmentId": nobody })),
        ("shipmentCancel", "orderId", json!({ "shipmentId": nobody })),
        (
            "trackingRecord",
            "orderId",
            json!({ "shipmentId": nobody, "status": "DELIVERED",
            "at": "2026-01-01T00:00:00Z" }),
        ),
        (
            "returnRequest",
            "orderId",
            json!({ "lines": units(0, 1), "reason": "SIZE", "note": "x" }),
        ),
        ("returnApprove", "orderId", json!({ "returnId": nobody })),
        ("returnDecline", "orderId", json!({ "returnId": nobody, "note": "x" })),
        ("returnReceive", "orderId", json!({ "returnId": nobody, "goods": [] })),
        ("returnClose", "orderId", json!({ "returnId": nobody })),
    ] {
        let mut input = input;
        input[field] = json!(nobody);
        input["idempotencyKey"] = json!(key);
        let error = refused(&api, mutation, input).await;
        assert_eq!(kinds(&error), "NotFound", "{mutation}: {error:#}");
        assert_eq!(error["field"], json!(["input", field]), "{mutation}");
    }
}

#[tokio::test]
async fn of_many_edits_of_one_version_one_is_made() {
    let api = Api::start().await;
    let order = Acting::on(&api, two_mugs("k")).await;
    let edits = (0..20).map(|n| {
        let edit = json!({ "expectedVersion": 0, "addTags": [format!("tag-{n}")] });
        change(&api, "orderEdit", order.by_id(&format!("e-{n}"), edit))
    });
    let answers = futures::future::join_all(edits).await;
    let (made, others): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer["userErrors"] == json!([]));
    assert_eq!(made.len(), 1);
    for other in others {
        let error = &other["userErrors"][0];
        assert_eq!((kinds(error), &error["actualVersion"]), (&json!("VersionConflict"), &json!(1)));
    }
    assert_eq!(order.state().await.tags.len(), 1);
}
