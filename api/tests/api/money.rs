//! Money of an order: marked as paid, captured, let go, moved back, taken back.

use serde_json::{Value, json};

use crate::acting::{Acting, accepted, change_with, pounds, refused, two_mugs_by_hand, units};
use crate::support::{Api, two_mugs, with, without};

fn amount(pounds: &str) -> Value {
    json!({ "amount": { "amount": pounds } })
}

fn manual(key: &str) -> Value {
    with(without(two_mugs(key), "/paymentToken"), "/payment", json!({ "manual": true }))
}

#[tokio::test]
async fn an_order_is_paid_by_hand_in_parts_and_never_beyond_what_is_owed() {
    let api = Api::start().await;
    let order = Acting::on(&api, manual("k")).await;
    let pay = |key: &str, pounds: &str| {
        order.by_id(key, json!({ "amount": { "amount": pounds }, "reference": "bank 1" }))
    };
    let part = change_with(&api, "orderMarkPaid", "paymentId", pay("a", "10.00")).await;
    assert_eq!(part["userErrors"], json!([]), "{part:#}");
    assert_eq!(part["order"]["paymentStatus"], "PARTIALLY_PAID");
    assert_eq!(part["order"]["payments"][0]["id"], part["paymentId"]);
    assert_eq!(part["order"]["payments"][0]["receivedAs"], "bank 1");
    assert_eq!(accepted(&api, "orderMarkPaid", pay("a", "10.00")).await["replayed"], json!(true));

    let error = refused(&api, "orderMarkPaid", pay("b", "2.91")).await;
    assert_eq!(error["__typename"], "OverPayment");
    assert_eq!(error["availableAmount"]["amount"], "2.90");
    let other = refused(&api, "orderMarkPaid", pay("a", "2.90")).await;
    assert_eq!(other["__typename"], "IdempotencyConflict");
    let paid = accepted(&api, "orderMarkPaid", pay("b", "2.90")).await;
    assert_eq!(paid["order"]["paymentStatus"], "PAID");
}

#[tokio::test]
async fn an_order_is_paid_one_way_or_another_and_says_which() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let payment =
        |payment: Value| with(without(two_mugs("k"), "/paymentToken"), "/payment", payment);
    for (input, field) in [
        (payment(json!({ "manual": false })), json!(["input", "payment"])),
        (payment(json!({ "token": "4111 1111" })), json!(["input", "payment", "token"])),
        (with(two_mugs("k"), "/payment", json!({ "manual": true })), json!(["input", "payment"])),
    ] {
        let refused = api.place(input).await;
        assert_eq!(refused["userErrors"][0]["field"], field, "{refused:#}");
    }
    let token = api.place(payment(json!({ "token": "tok_visa" }))).await;
    let same = api.place(two_mugs("k")).await;
    assert_eq!((&same["replayed"], &same["order"]["id"]), (&json!(true), &token["order"]["id"]));
}

#[tokio::test]
async fn held_money_is_captured_in_parts_and_never_beyond_what_is_held() {
    let api = Api::start().await;
    let mut input = two_mugs_by_hand("k");
    input["policies"]["capture"] = json!("MANUAL");
    let order = Acting::confirmed(&api, input).await;
    let part = order.input("a", amount("5.00"));
    let captured = change_with(&api, "paymentCapture", "captureId", part.clone()).await;
    let capture = json!({ "id": captured["captureId"], "amount": { "amount": "5.00" },
                          "status": "PENDING", "final": false });
    assert_eq!(captured["order"]["captures"], json!([capture]), "{captured:#}");
    assert_eq!(accepted(&api, "paymentCapture", part).await["replayed"], json!(true));

    let error = refused(&api, "paymentCapture", order.input("b", amount("7.91"))).await;
    assert_eq!(error["__typename"], "OverCapture");
    assert_eq!(error["availableAmount"]["amount"], "7.90");
    assert_eq!(error["field"], json!(["input", "amount"]));
    let rest = accepted(&api, "paymentCapture", order.input("b", json!({ "final": true }))).await;
    assert_eq!(rest["order"]["captures"].as_array().unwrap().len(), 2);
    assert_eq!(rest["order"]["outstanding"]["amount"], "0.00");

    let euros = order.input("c", json!({ "amount": { "amount": "1.00", "currencyCode": "EUR" } }));
    let error = refused(&api, "paymentCapture", euros).await;
    assert_eq!(error["__typename"], "OverCapture", "{error:#}");
}

#[tokio::test]
async fn held_money_is_let_go_only_when_it_is_not_needed() {
    let api = Api::start().await;
    let order = Acting::confirmed(&api, two_mugs_by_hand("k")).await;
    let void = |key: &str| order.input(key, json!({ "paymentId": order.payment().0 }));
    let error = refused(&api, "paymentVoid", void("v")).await;
    assert_eq!(error["__typename"], "StillNeeded");
    let error =
        refused(&api, "paymentVoid", order.input("w", json!({ "paymentId": order.id.0 }))).await;
    assert_eq!(
        (&error["__typename"], &error["field"]),
        (&json!("NotFound"), &json!(["input", "paymentId"]))
    );

    let paid = order.by_id("p", json!({ "amount": { "amount": "12.90" }, "reference": "cash" }));
    let paid = accepted(&api, "orderMarkPaid", paid).await;
    let books = paid["order"]["payments"].as_array().unwrap();
    assert!(books.iter().any(|book| book["voiding"] == json!(true)), "{paid:#}");
    assert_eq!(accepted(&api, "paymentVoid", void("x")).await["replayed"], json!(true));
}

#[tokio::test]
async fn another_payment_is_asked_for_what_is_missing() {
    let api = Api::start().await;
    let order = Acting::on(&api, two_mugs("k")).await;
    order.authorise(pounds(1_000)).await;
    let token = |key: &str, more: Value| {
        let mut input = order.input(key, json!({ "paymentToken": "tok_2" }));
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let error = refused(&api, "paymentAuthorise", token("a", amount("2.91"))).await;
    assert_eq!(
        (&error["__typename"], &error["availableAmount"]["amount"]),
        (&json!("OverPayment"), &json!("2.90"))
    );
    let asked = accepted(&api, "paymentAuthorise", token("a", json!({}))).await;
    assert_eq!(asked["replayed"], json!(false));
    assert_eq!(
        accepted(&api, "paymentAuthorise", token("a", json!({}))).await["replayed"],
        json!(true)
    );
}

#[tokio::test]
async fn money_goes_back_by_amount_or_by_units_and_never_more_than_came() {
    let api = Api::start().await;
    let order = Acting::shipped_and_paid(&api, two_mugs("k")).await;
    let by_units = order.input(
        "a",
        json!({
            "lines": units(0, 1), "reason": "DAMAGED", "note": "A crack.",
        }),
    );
    let refunded = change_with(&api, "refundCreate", "refundId", by_units.clone()).await;
    let refund = json!({
        "id": refunded["refundId"], "amount": { "amount": "4.95" }, "status": "PENDING",
        "cause": "GOODWILL", "reason": "DAMAGED", "lines": units(0, 1), "note": { "text": "A crack." },
    });
    assert_eq!(refunded["order"]["refunds"], json!([refund]), "{refunded:#}");
    assert_eq!(refunded["order"]["lines"][0]["refunded"], 1);
    assert_eq!(accepted(&api, "refundCreate", by_units).await["replayed"], json!(true));

    let by_amount = |key: &str, pounds: &str| {
        let mut input = order.input(key, amount(pounds));
        input["reason"] = json!("LATE");
        input
    };
    let error = refused(&api, "refundCreate", by_amount("b", "7.96")).await;
    assert_eq!(error["__typename"], "OverRefund");
    assert_eq!(error["availableAmount"]["amount"], "7.95");
    let all = accepted(&api, "refundCreate", by_amount("b", "7.95")).await;
    assert_eq!(all["order"]["refundable"]["amount"], "0.00");

    for wrong in [
        order.input("c", json!({ "reason": "OTHER" })),
        order.input(
            "c",
            json!({ "reason": "OTHER", "lines": units(0, 1), "amount": { "amount": "1" } }),
        ),
    ] {
        let error = refused(&api, "refundCreate", wrong).await;
        assert_eq!(
            (&error["__typename"], &error["field"]),
            (&json!("InvalidInput"), &json!(["input", "amount"]))
        );
    }
}

#[tokio::test]
async fn a_chargeback_counts_once_per_reference() {
    let api = Api::start().await;
    let order = Acting::shipped_and_paid(&api, two_mugs("k")).await;
    let taken =
        |key: &str, pounds: &str| {
            order.input(key, json!({
        "paymentId": order.payment().0, "amount": { "amount": pounds }, "reference": "cb-1",
        "reason": "10.4",
    }))
        };
    let recorded = accepted(&api, "chargebackRecord", taken("a", "5.00")).await;
    assert_eq!(recorded["order"]["paymentStatus"], "CHARGED_BACK");
    assert_eq!(
        recorded["order"]["chargebacks"],
        json!([{ "reference": "cb-1", "amount": { "amount": "5.00" } }])
    );
    assert_eq!(
        accepted(&api, "chargebackRecord", taken("b", "5.00")).await["replayed"],
        json!(true)
    );
    let error = refused(&api, "chargebackRecord", taken("c", "6.00")).await;
    assert_eq!(error["__typename"], "IdempotencyConflict");
}

#[tokio::test]
async fn keys_of_different_mutations_have_nothing_to_do_with_each_other() {
    let api = Api::start().await;
    let mut input = two_mugs_by_hand("k");
    input["policies"]["capture"] = json!("MANUAL");
    let order = Acting::confirmed(&api, input).await;
    let captured = accepted(&api, "paymentCapture", order.input("same", amount("1.00"))).await;
    assert_eq!(captured["replayed"], json!(false));
    let cancelled = order.by_id("same", json!({ "reason": "STAFF", "lines": units(0, 1) }));
    assert_eq!(accepted(&api, "orderCancel", cancelled).await["replayed"], json!(false));
    let version = order.version().await;
    let edit =
        order.by_id("same", json!({ "expectedVersion": version, "cancelLines": units(0, 1) }));
    assert_eq!(accepted(&api, "orderEdit", edit).await["replayed"], json!(false));
    assert_eq!(order.state().await.lines[0].cancelled, 2);
}
