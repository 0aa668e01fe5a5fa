//! Every way in which an order can be wrong, with the path of the field.

use serde_json::{Value, json};

use crate::support::{Api, two_mugs, with, without};

fn line(path: &str) -> Vec<String> {
    ["input", "lines", "0"].into_iter().chain(path.split('/')).map(str::to_owned).collect()
}

fn at(path: &str) -> Vec<String> {
    ["input"].into_iter().chain(path.split('/')).map(str::to_owned).collect()
}

fn address(country: &str) -> Value {
    json!({ "name": "Anna Smith", "lines": ["1 High Street"], "city": "York", "country": country })
}

fn off(pounds: &str) -> Value {
    json!({ "title": "SUMMER", "amount": { "amount": pounds } })
}

fn vat(rate: &str, pounds: &str) -> Value {
    json!({ "title": "VAT", "rate": rate, "amount": { "amount": pounds } })
}

/// An order, what is wrong with it, and where.
type Case = (Value, &'static str, Vec<String>);

/// Wrong lines and totals.
fn lines_and_totals() -> Vec<Case> {
    let order = || two_mugs("k-1");
    let long = |length: usize| json!("x".repeat(length));
    vec![
        (with(order(), "/lines/0/quantity", json!(0)), "InvalidInput", line("quantity")),
        (with(order(), "/lines/0/quantity", json!(-1)), "InvalidInput", line("quantity")),
        (with(order(), "/lines/0/quantity", json!(10_000_001)), "InvalidInput", line("quantity")),
        (with(order(), "/lines/0/sku", json!("")), "InvalidInput", line("sku")),
        (with(order(), "/lines/0/sku", json!("A MUG")), "InvalidInput", line("sku")),
        (with(order(), "/lines/0/sku", long(65)), "InvalidInput", line("sku")),
        (with(order(), "/lines/0/sku", json!("CUP")), "UnknownSku", line("sku")),
        (with(order(), "/lines/0/title", long(201)), "InvalidInput", line("title")),
        (
            with(order(), "/lines/0/unitPrice/amount", json!("-4.95")),
            "InvalidInput",
            line("unitPrice/amount"),
        ),
        (
            with(order(), "/lines/0/unitPrice/amount", json!("4.955")),
            "InvalidInput",
            line("unitPrice/amount"),
        ),
        (
            with(order(), "/lines/0/unitPrice/amount", json!("four")),
            "InvalidInput",
            line("unitPrice/amount"),
        ),
        (
            with(order(), "/lines/0/unitPrice/amount", json!("90000000000000000")),
            "InvalidInput",
            line("unitPrice/amount"),
        ),
        (
            with(order(), "/lines/0/unitPrice/currencyCode", json!("EUR")),
            "InvalidInput",
            line("unitPrice/currencyCode"),
        ),
        (with(order(), "/lines", json!([])), "InvalidInput", at("lines")),
        (with(order(), "/total/amount", json!("12.91")), "TotalMismatch", at("total/amount")),
        (with(order(), "/total/amount", json!("1e1")), "InvalidInput", at("total/amount")),
        (
            with(order(), "/total/currencyCode", json!("EUR")),
            "InvalidInput",
            at("total/currencyCode"),
        ),
    ]
}

/// Wrong terms.
fn terms() -> Vec<Case> {
    let order = || two_mugs("k-1");
    let long = |length: usize| json!("x".repeat(length));
    vec![
        (with(order(), "/currencyCode", json!("XYZ")), "InvalidInput", at("currencyCode")),
        (with(order(), "/country", json!("uk")), "InvalidInput", at("country")),
        (with(order(), "/country", json!("G")), "InvalidInput", at("country")),
        (with(order(), "/channel", long(33)), "InvalidInput", at("channel")),
        (with(order(), "/customer", json!("anna@example.org")), "InvalidInput", at("customer")),
        (with(order(), "/paymentToken", json!("4111 1111")), "InvalidInput", at("paymentToken")),
        (without(order(), "/paymentToken"), "InvalidInput", at("paymentToken")),
        (with(order(), "/idempotencyKey", json!("")), "InvalidInput", at("idempotencyKey")),
        (with(order(), "/idempotencyKey", long(256)), "InvalidInput", at("idempotencyKey")),
        (without(order(), "/idempotencyKey"), "InvalidInput", at("idempotencyKey")),
        (
            with(
                without(order(), "/paymentToken"),
                "/imported",
                json!({ "placedAt": "2999-01-01T00:00:00Z", "reference": "1" }),
            ),
            "InvalidInput",
            at("imported/placedAt"),
        ),
    ]
}

/// Wrong words about persons and orders.
fn words() -> Vec<Case> {
    let order = || two_mugs("k-1");
    let long = |length: usize| json!("x".repeat(length));
    vec![
        (
            with(order(), "/externalReference", json!("A 1")),
            "InvalidInput",
            at("externalReference"),
        ),
        (with(order(), "/contact", json!({})), "InvalidInput", at("contact")),
        (
            with(order(), "/contact", json!({ "email": "anna" })),
            "InvalidInput",
            at("contact/email"),
        ),
        (with(order(), "/contact", json!({ "name": "\u{0}" })), "InvalidInput", at("contact/name")),
        (with(order(), "/shippingAddress", address("DE")), "InvalidInput", at("country")),
        (
            with(order(), "/billingAddress", with(address("GB"), "/lines", json!(["a", ""]))),
            "InvalidInput",
            at("billingAddress/lines/1"),
        ),
        (without(order(), "/country"), "InvalidInput", at("country")),
        (with(order(), "/note", long(2001)), "InvalidInput", at("note")),
        (with(order(), "/tags", json!(["two words"])), "InvalidInput", at("tags/0")),
        (with(order(), "/riskScore", json!(101)), "InvalidInput", at("riskScore")),
        (with(order(), "/preferLocation", json!("a b")), "InvalidInput", at("preferLocation")),
        (
            with(order(), "/metadata", json!([{ "key": "a", "value": "x".repeat(501) }])),
            "InvalidInput",
            at("metadata/0/value"),
        ),
        (
            with(
                order(),
                "/metadata",
                json!([{ "key": "a", "value": "b" }, { "key": "a", "value": "c" }]),
            ),
            "InvalidInput",
            at("metadata/1/key"),
        ),
    ]
}

/// Wrong discounts and taxes.
fn discounts_and_taxes() -> Vec<Case> {
    let order = || two_mugs("k-1");
    vec![
        (
            with(order(), "/lines/0/discounts", json!([off("9.91")])),
            "InvalidInput",
            line("discounts"),
        ),
        (
            with(order(), "/lines/0/discounts", json!([off("0.00")])),
            "InvalidInput",
            line("discounts/0/amount/amount"),
        ),
        (with(order(), "/discounts", json!([off("12.91")])), "InvalidInput", at("discounts")),
        (
            with(order(), "/discounts", Value::Array(vec![off("0.01"); 21])),
            "InvalidInput",
            at("discounts"),
        ),
        (
            with(order(), "/lines/0/taxes", json!([vat("20%", "1.98")])),
            "InvalidInput",
            line("taxes/0/rate"),
        ),
        (
            with(order(), "/lines/0/taxes", json!([vat("0.2", "3.00")])),
            "InvalidInput",
            line("taxes/0/amount/amount"),
        ),
    ]
}

#[tokio::test]
async fn a_wrong_order_is_refused_with_the_path_of_what_is_wrong() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let cases = [lines_and_totals(), terms(), words(), discounts_and_taxes()].concat();
    for (input, kind, field) in cases {
        let refused = api.place(input.clone()).await;
        let error = &refused["userErrors"][0];
        assert_eq!(error["__typename"], kind, "{field:?}: {refused:#}");
        assert_eq!(error["field"], json!(field), "{refused:#}");
        assert_eq!(refused["userErrors"].as_array().unwrap().len(), 1, "{refused:#}");
        assert!(!error["message"].as_str().unwrap().is_empty());
        assert_eq!((&refused["order"], &refused["position"]), (&Value::Null, &Value::Null));
    }
    let placed = api.place(two_mugs("k-1")).await;
    assert_eq!(placed["replayed"], json!(false), "a refusal left something behind: {placed:#}");
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once() {
    let api = Api::start().await;
    let input = with(two_mugs("k-1"), "/lines/0/quantity", json!(0));
    let input = with(with(input, "/country", json!("england")), "/channel", json!("a b"));
    let refused = api.place(input).await;
    let fields: Vec<_> =
        refused["userErrors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(fields.len(), 3, "{fields:?}");
}

#[tokio::test]
async fn a_total_that_does_not_add_up_comes_with_both_sums() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let refused = api.place(with(two_mugs("k"), "/total/amount", json!("99.99"))).await;
    let error = &refused["userErrors"][0];
    assert_eq!(error["declared"]["amount"], "99.99");
    assert_eq!(error["computed"]["amount"], "12.90");
}

#[tokio::test]
async fn every_line_of_an_unknown_sku_is_named_and_receiving_it_helps() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let cup = json!({ "sku": "CUP", "quantity": 1, "unitPrice": { "amount": "1.00" } });
    let mut input = two_mugs("k-1");
    input["lines"].as_array_mut().unwrap().extend([cup.clone(), cup]);
    let input = with(input, "/total/amount", json!("14.90"));

    let refused = api.place(input.clone()).await;
    let errors = refused["userErrors"].as_array().unwrap();
    let fields: Vec<_> = errors.iter().map(|error| &error["field"]).collect();
    assert_eq!(
        fields,
        [&json!(["input", "lines", "2", "sku"]), &json!(["input", "lines", "3", "sku"])]
    );
    assert_eq!(errors[0]["sku"], "CUP");

    let item = json!({ "idempotencyKey": "cups", "items": [{ "sku": "CUP", "quantity": 5 }] });
    api.data(crate::support::STOCK_RECEIVE, json!({ "input": item })).await;
    assert_eq!(api.place(input).await["userErrors"], json!([]));
}
