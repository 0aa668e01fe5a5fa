//! The payment gateway.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{Partner, answer, assert_refused, options, part, payment};

const OK: StatusCode = StatusCode::OK;
const CREATED: StatusCode = StatusCode::CREATED;
const ACCEPTED: StatusCode = StatusCode::ACCEPTED;

#[tokio::test]
async fn the_same_key_and_body_authorise_once_and_get_the_same_answer() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    let (status, first) = caller.put("/payments/k", &payment("tok_ok")).await;
    assert_eq!(status, CREATED);
    let reference = first["reference"].clone();
    assert!(reference.as_str().is_some_and(|reference| reference.starts_with("auth_")), "{first}");
    let expected = json!({
        "key": "k", "status": "authorised", "reference": reference,
        "order": "order-1", "currency": "EUR", "expires_at": first["expires_at"],
        "authorised": 10_000, "capturing": 0, "captured": 0, "refunding": 0, "refunded": 0,
        "voided": 0, "expired": 0, "charged_back": 0,
        "authorisations": 1, "captures": 0, "refunds": 0,
    });
    assert!(first["expires_at"].is_string(), "{first}");
    assert_eq!(first, expected);

    assert_eq!(caller.put("/payments/k", &payment("tok_ok")).await, (OK, first.clone()));
    assert_eq!(caller.get("/payments/k").await, (OK, first));
}

#[tokio::test]
async fn the_same_key_with_another_body_is_a_conflict() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    caller.put("/payments/k", &payment("tok_ok")).await;
    for (field, other) in [("amount", json!(1)), ("currency", json!("USD")), ("order", json!("o"))]
    {
        let mut body = payment("tok_ok");
        body[field] = other;
        assert_refused(&caller.put("/payments/k", &body).await, 409, "idempotency_conflict");
    }
}

#[tokio::test]
async fn any_unknown_card_works() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    assert_eq!(caller.put("/payments/k", &payment("tok_4242")).await.0, CREATED);
}

#[tokio::test]
async fn a_declined_card_is_declined_every_time() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    for _ in 0..2 {
        let declined = caller.put("/payments/k", &payment("tok_declined")).await;
        assert_refused(&declined, 402, "card_declined");
        assert_eq!(
            (&declined.1["status"], &declined.1["authorised"]),
            (&"declined".into(), &0.into())
        );
    }
    let captured = caller.post("/payments/k/capture", &part("c", 1)).await;
    assert_refused(&captured, 409, "not_authorised");
}

#[tokio::test]
async fn a_timeout_card_takes_the_money_without_an_answer_and_answers_the_second_time() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    let unanswered = tokio::spawn({
        let caller = caller.clone();
        async move { caller.put("/payments/k", &payment("tok_timeout")).await }
    });
    caller.until("/payments/k", "authorised").await;

    let (status, body) = caller.put("/payments/k", &payment("tok_timeout")).await;
    assert_eq!((status, &body["authorisations"]), (OK, &json!(1)));
    assert!(!unanswered.is_finished());
}

#[tokio::test]
async fn a_timeout_card_answers_after_the_hang() {
    let hang = Duration::from_millis(1);
    let Partner { caller, simulator: _running } =
        Partner::start(partner_simulator::Options { hang, ..options() }).await;
    assert_eq!(caller.put("/payments/k", &payment("tok_timeout")).await.0, CREATED);
}

#[tokio::test]
async fn a_slow_card_authorises_even_after_the_caller_has_hung_up() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    // A caller that gives up before its request was sent at all proves nothing: try again.
    for attempt in 0..20 {
        let path = format!("/payments/k{attempt}");
        let request = caller.request(Method::PUT, &path).json(&payment("tok_slow"));
        let hung_up = request.timeout(Duration::from_millis(200)).send().await.is_err();
        assert!(hung_up, "a slow card must not answer at once");
        for _ in 0..200 {
            if caller.get(&path).await.1["status"] == "authorised" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    panic!("a slow card never authorised after its caller hung up");
}

#[tokio::test]
async fn a_late_authorisation_is_refused_once_the_key_was_voided() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    let body = payment("tok_slow");
    let (late, closed) =
        tokio::join!(caller.put("/payments/k", &body), caller.post_nothing("/payments/k/void"));
    assert_eq!((closed.0, &closed.1["status"]), (OK, &json!("closed")));
    assert_refused(&late, 409, "key_closed");
    assert_eq!(caller.get("/payments/k").await.1["authorisations"], 0);
}

#[tokio::test]
async fn a_flaky_card_fails_twice_per_key_and_then_works() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    for key in ["a", "b"] {
        let path = format!("/payments/{key}");
        for _ in 0..2 {
            assert_refused(&caller.put(&path, &payment("tok_flaky")).await, 503, "unavailable");
            assert_refused(&caller.get(&path).await, 404, "unknown_payment");
        }
        assert_eq!(caller.put(&path, &payment("tok_flaky")).await.0, CREATED);
        assert_eq!(caller.put(&path, &payment("tok_flaky")).await.0, OK);
    }
}

#[tokio::test]
async fn captures_never_exceed_the_authorisation_and_a_key_captures_once() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    caller.put("/payments/k", &payment("tok_ok")).await;

    let first = caller.post("/payments/k/capture", &part("c1", 6_000)).await;
    assert_eq!((first.0, &first.1["captured"]), (OK, &json!(6_000)));
    assert_eq!(caller.post("/payments/k/capture", &part("c1", 6_000)).await, first);
    let changed = caller.post("/payments/k/capture", &part("c1", 5_000)).await;
    assert_refused(&changed, 409, "idempotency_conflict");
    let too_much = caller.post("/payments/k/capture", &part("c2", 4_001)).await;
    assert_refused(&too_much, 422, "amount_too_large");

    let (_, body) = caller.post("/payments/k/capture", &part("c2", 4_000)).await;
    assert_eq!((&body["status"], &body["captures"]), (&json!("captured"), &json!(2)));
}

#[tokio::test]
async fn captures_at_the_same_time_never_exceed_the_authorisation() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    caller.put("/payments/k", &payment("tok_ok")).await;
    let captures: Vec<_> = (0..20)
        .map(|n| {
            let caller = caller.clone();
            let body = part(&format!("c{n}"), 3_000);
            tokio::spawn(async move { caller.post("/payments/k/capture", &body).await.0 })
        })
        .collect();
    let mut succeeded = 0;
    for capture in captures {
        succeeded += u32::from(capture.await.unwrap() == OK);
    }
    assert_eq!(succeeded, 3);
    assert_eq!(caller.get("/payments/k").await.1["captured"], 9_000);
}

#[tokio::test]
async fn a_void_releases_what_is_not_captured_once() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    caller.put("/payments/k", &payment("tok_ok")).await;
    caller.post("/payments/k/capture", &part("c", 2_500)).await;
    for _ in 0..2 {
        let (status, body) = caller.post_nothing("/payments/k/void").await;
        assert_eq!(
            (status, &body["voided"], &body["captured"]),
            (OK, &7_500.into(), &2_500.into())
        );
    }
    let late = caller.post("/payments/k/capture", &part("d", 1)).await;
    assert_refused(&late, 422, "amount_too_large");
}

#[tokio::test]
async fn refunds_never_exceed_the_captures_and_a_key_refunds_once() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    caller.put("/payments/k", &payment("tok_ok")).await;
    let early = caller.post("/payments/k/refund", &part("r", 1)).await;
    assert_refused(&early, 422, "amount_too_large");

    caller.post("/payments/k/capture", &part("c", 10_000)).await;
    let first = caller.post("/payments/k/refund", &part("r", 4_000)).await;
    assert_eq!((first.0, &first.1["refunded"]), (OK, &json!(4_000)));
    assert_eq!(caller.post("/payments/k/refund", &part("r", 4_000)).await, first);
    let too_much = caller.post("/payments/k/refund", &part("s", 6_001)).await;
    assert_refused(&too_much, 422, "amount_too_large");
}

#[tokio::test]
async fn a_pending_card_authorises_after_a_while() {
    let pending = Duration::from_hours(1);
    let Partner { caller, simulator: _running } =
        Partner::start(partner_simulator::Options { pending, ..options() }).await;
    for _ in 0..2 {
        let (status, body) = caller.put("/payments/k", &payment("tok_pending")).await;
        assert_eq!((status, &body["status"]), (ACCEPTED, &json!("pending")));
        assert_eq!((&body["authorised"], &body["authorisations"]), (&json!(0), &json!(0)));
    }
    let early = caller.post("/payments/k/capture", &part("c", 1)).await;
    assert_refused(&early, 409, "not_authorised");

    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    caller.put("/payments/k", &payment("tok_pending")).await;
    let body = caller.until("/payments/k", "authorised").await;
    assert_eq!((&body["authorised"], &body["authorisations"]), (&json!(10_000), &json!(1)));
    assert_eq!(caller.put("/payments/k", &payment("tok_pending")).await, (OK, body));
}

#[tokio::test]
async fn a_void_of_what_is_pending_closes_the_key() {
    let pending = Duration::from_millis(1);
    let Partner { caller, simulator: _running } =
        Partner::start(partner_simulator::Options { pending, ..options() }).await;
    // Whichever comes first, nothing is held afterwards.
    caller.put("/payments/k", &payment("tok_pending")).await;
    let (_, body) = caller.post_nothing("/payments/k/void").await;
    assert_eq!(body["authorised"], body["voided"], "{body}");

    let pending = Duration::from_hours(1);
    let Partner { caller, simulator: _running } =
        Partner::start(partner_simulator::Options { pending, ..options() }).await;
    caller.put("/payments/k", &payment("tok_pending")).await;
    let (status, body) = caller.post_nothing("/payments/k/void").await;
    assert_eq!((status, &body["status"]), (OK, &json!("closed")));
    let late = caller.put("/payments/k", &payment("tok_pending")).await;
    assert_refused(&late, 409, "key_closed");
}

#[tokio::test]
async fn an_expiring_card_holds_money_for_a_while() {
    let expiry = Duration::ZERO;
    let Partner { caller, simulator: _running } =
        Partner::start(partner_simulator::Options { expiry, ..options() }).await;
    let (status, body) = caller.put("/payments/k", &payment("tok_expiring")).await;
    assert_eq!((status, &body["status"]), (CREATED, &json!("expired")));
    assert_eq!((&body["expired"], &body["voided"]), (&json!(10_000), &json!(0)));
    let late = caller.post("/payments/k/capture", &part("c", 1)).await;
    assert_refused(&late, 409, "authorisation_expired");
    assert_eq!(caller.post_nothing("/payments/k/void").await.0, OK);
}

#[tokio::test]
async fn a_card_can_fail_to_pay_and_to_take_money_back() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    caller.put("/payments/a", &payment("tok_capture_fails")).await;
    for _ in 0..2 {
        let refused = caller.post("/payments/a/capture", &part("c", 1)).await;
        assert_refused(&refused, 402, "capture_declined");
    }
    caller.put("/payments/b", &payment("tok_refund_fails")).await;
    assert_eq!(caller.post("/payments/b/capture", &part("c", 10_000)).await.0, OK);
    let refused = caller.post("/payments/b/refund", &part("r", 1)).await;
    assert_refused(&refused, 422, "refund_refused");
    let (_, body) = caller.get("/payments/b").await;
    assert_eq!((&body["captured"], &body["refunded"]), (&json!(10_000), &json!(0)));
}

#[tokio::test]
async fn what_is_pending_counts_and_is_done_when_it_is_asked_for_again_later() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    for (card, step, pending, done) in [
        ("tok_capture_pending", "capture", "capturing", "captured"),
        ("tok_refund_pending", "refund", "refunding", "refunded"),
    ] {
        caller.put(&format!("/payments/{card}"), &payment(card)).await;
        if step == "refund" {
            caller.post(&format!("/payments/{card}/capture"), &part("c", 10_000)).await;
        }
        let path = format!("/payments/{card}/{step}");
        let (status, body) = caller.post(&path, &part("p", 6_000)).await;
        assert_eq!((status, &body[pending], &body[done]), (ACCEPTED, &6_000.into(), &0.into()));
        let too_much = caller.post(&path, &part("q", 4_001)).await;
        assert_refused(&too_much, 422, "amount_too_large");
        let body = caller.until_done(&path, &part("p", 6_000)).await;
        assert_eq!((&body[pending], &body[done]), (&0.into(), &6_000.into()));
    }
}

#[tokio::test]
async fn a_final_capture_releases_the_rest() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    caller.put("/payments/k", &payment("tok_ok")).await;
    let last = json!({ "key": "c", "amount": 6_000, "final": true });
    for _ in 0..2 {
        let (status, body) = caller.post("/payments/k/capture", &last).await;
        assert_eq!(
            (status, &body["captured"], &body["voided"]),
            (OK, &6_000.into(), &4_000.into())
        );
    }
    let refused = caller.post("/payments/k/refund", &last).await;
    assert_refused(&refused, 400, "invalid_request");
}

#[tokio::test]
async fn a_charge_back_is_shown_and_what_it_took_is_not_refunded() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    caller.put("/payments/k", &payment("tok_ok")).await;
    let early = caller.post("/payments/k/chargeback", &part("b", 1)).await;
    assert_refused(&early, 422, "amount_too_large");

    caller.post("/payments/k/capture", &part("c", 10_000)).await;
    for _ in 0..2 {
        let (status, body) = caller.post("/payments/k/chargeback", &part("b", 9_000)).await;
        assert_eq!((status, &body["charged_back"]), (OK, &json!(9_000)));
    }
    let refused = caller.post("/payments/k/refund", &part("r", 1_001)).await;
    assert_refused(&refused, 422, "charged_back");
    assert_eq!(caller.post("/payments/k/refund", &part("r", 1_000)).await.0, OK);
}

#[tokio::test]
async fn nothing_moves_under_a_key_nobody_used() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    assert_refused(&caller.get("/payments/k").await, 404, "unknown_payment");
    for step in ["capture", "refund", "chargeback"] {
        let answer = caller.post(&format!("/payments/k/{step}"), &part("c", 1)).await;
        assert_refused(&answer, 404, "unknown_payment");
    }
}

#[tokio::test]
async fn the_list_tells_every_payment_and_how_often_money_moved() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    for key in ["b", "a"] {
        caller.put(&format!("/payments/{key}"), &payment("tok_ok")).await;
    }
    caller.post_nothing("/payments/c/void").await;

    let (status, list) = caller.get("/payments").await;
    let summary: Vec<_> = list["payments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|payment| (payment["key"].clone(), payment["authorisations"].clone()))
        .collect();
    assert_eq!(status, OK);
    assert_eq!(summary, [("a", 1), ("b", 1), ("c", 0)].map(|(k, n)| (json!(k), json!(n))));
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_answered_with_code_and_message() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    for body in ["", "{", "[]", "{\"order\":\"o\"}", "{\"amount\":1.5}"] {
        let request = caller.request(Method::PUT, "/payments/k").body(body);
        assert_refused(&answer(request).await, 400, "malformed_request");
    }
    let mut misspelt = payment("tok_ok");
    misspelt["ammount"] = json!(1);
    assert_refused(&caller.put("/payments/k", &misspelt).await, 400, "malformed_request");
    for (field, value) in [("amount", json!(0)), ("amount", json!(-5)), ("currency", json!("euro"))]
    {
        let mut body = payment("tok_ok");
        body[field] = value;
        assert_refused(&caller.put("/payments/k", &body).await, 400, "invalid_request");
    }
    let endless = format!("/payments/{}", "k".repeat(201));
    assert_refused(&caller.put(&endless, &payment("tok_ok")).await, 400, "invalid_request");
    assert_refused(&caller.get("/nowhere").await, 404, "no_such_resource");
}

#[tokio::test]
async fn many_callers_wait_at_the_same_time() {
    let Partner { caller, simulator: _running } = Partner::start(options()).await;
    let calls: Vec<_> = (0..200)
        .map(|n| {
            let caller = caller.clone();
            let path = format!("/payments/k{n}");
            tokio::spawn(async move { caller.put(&path, &payment("tok_slow")).await.0 })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), CREATED);
    }
}
