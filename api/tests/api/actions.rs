//! What an order says that it allows is what it allows.

use serde_json::{Value, json};

use crate::acting::{Acting, accepted, change, change_with, two_mugs_by_hand, units};
use crate::support::Api;

/// Where an order may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Placed,
    Held,
    Confirmed,
    Planned,
    Shipped,
    Paid,
    ReturnRequested,
    ReturnApproved,
    Cancelled,
}

const STAGES: [Stage; 9] = [
    Stage::Placed,
    Stage::Held,
    Stage::Confirmed,
    Stage::Planned,
    Stage::Shipped,
    Stage::Paid,
    Stage::ReturnRequested,
    Stage::ReturnApproved,
    Stage::Cancelled,
];

async fn order_at(api: &Api, stage: Stage, key: &str) -> Acting {
    let input = two_mugs_by_hand(key);
    match stage {
        Stage::Placed => Acting::on(api, input).await,
        Stage::Held => {
            let order = Acting::on(api, input).await;
            let hold = order.by_id("h", json!({ "name": "review", "reason": "FRAUD" }));
            accepted(api, "orderHold", hold).await;
            order
        }
        Stage::Confirmed => Acting::confirmed(api, input).await,
        Stage::Planned => {
            let order = Acting::confirmed(api, input).await;
            let ship = order.input("s", json!({ "location": "main", "lines": units(0, 1) }));
            accepted(api, "shipmentCreate", ship).await;
            order
        }
        Stage::Shipped => Acting::shipped(api, crate::support::two_mugs(key)).await,
        Stage::Paid => Acting::shipped_and_paid(api, crate::support::two_mugs(key)).await,
        Stage::ReturnRequested | Stage::ReturnApproved => {
            let order = Acting::shipped_and_paid(api, crate::support::two_mugs(key)).await;
            let ask = order.input("a", json!({ "lines": units(0, 1), "reason": "SIZE" }));
            let asked = change_with(api, "returnRequest", "returnId", ask).await;
            if stage == Stage::ReturnApproved {
                let approve = order.input("b", json!({ "returnId": asked["returnId"] }));
                accepted(api, "returnApprove", approve).await;
            }
            order
        }
        Stage::Cancelled => {
            let order = Acting::on(api, input).await;
            let cancel = order.by_id("c", json!({ "reason": "STAFF" }));
            accepted(api, "orderCancel", cancel).await;
            order
        }
    }
}

/// The mutation of an action, and the input that is likeliest to be accepted. `None` when there is
/// nothing to name in it, and so nothing to try.
async fn trial(order: &Acting, action: &str) -> Option<(&'static str, Value)> {
    let state = order.state().await;
    let by_id = |more| order.by_id("trial", more);
    let input = |more| order.input("trial", more);
    let penny = json!({ "amount": "0.01", "currencyCode": "GBP" });
    let shipment = state.shipments.keys().next().map(|id| json!(id.0));
    let one_return = state.returns.keys().next().map(|id| json!(id.0));
    Some(match action {
        "CANCEL" => ("orderCancel", by_id(json!({ "reason": "STAFF" }))),
        "CANCEL_LINES" => {
            let left = state.lines.iter().position(|line| line.unshipped() > 0).unwrap_or(0);
            let lines = units(i32::try_from(left).unwrap(), 1);
            ("orderCancel", by_id(json!({ "reason": "STAFF", "lines": lines })))
        }
        "EDIT" => {
            let version = order.version().await;
            ("orderEdit", by_id(json!({ "expectedVersion": version, "addTags": ["trial"] })))
        }
        "HOLD" => ("orderHold", by_id(json!({ "name": "trial", "reason": "OTHER" }))),
        "RELEASE_HOLD" => ("orderHoldRelease", by_id(json!({ "name": "review" }))),
        "MARK_PAID" => ("orderMarkPaid", by_id(json!({ "amount": penny, "reference": "r" }))),
        "AUTHORISE" => ("paymentAuthorise", input(json!({ "paymentToken": "tok" }))),
        "CAPTURE" => ("paymentCapture", input(json!({}))),
        "VOID" => ("paymentVoid", input(json!({ "paymentId": order.payment().0 }))),
        "REFUND" => ("refundCreate", input(json!({ "amount": penny, "reason": "OTHER" }))),
        "RECORD_CHARGEBACK" => {
            let payment = order.payment().0;
            let more =
                json!({ "paymentId": payment, "amount": penny, "reference": "r", "reason": "x" });
            ("chargebackRecord", input(more))
        }
        "SHIP" => ("shipmentCreate", input(json!({ "location": "main" }))),
        "CLEAR_SHIPMENT" => ("shipmentClear", input(json!({ "shipmentId": shipment? }))),
        "CANCEL_SHIPMENT" => ("shipmentCancel", input(json!({ "shipmentId": shipment? }))),
        "TRACK" => {
            let more = json!({ "shipmentId": shipment?, "status": "IN_TRANSIT",
                               "at": "2026-02-03T10:00:00Z" });
            ("trackingRecord", input(more))
        }
        "REQUEST_RETURN" => {
            ("returnRequest", input(json!({ "lines": units(0, 1), "reason": "SIZE" })))
        }
        "APPROVE_RETURN" => ("returnApprove", input(json!({ "returnId": one_return? }))),
        "DECLINE_RETURN" => ("returnDecline", input(json!({ "returnId": one_return? }))),
        "RECEIVE_RETURN" => {
            let goods = json!([{ "line": 0, "quantity": 1, "disposition": "WRITTEN_OFF" }]);
            ("returnReceive", input(json!({ "returnId": one_return?, "goods": goods })))
        }
        "CLOSE_RETURN" => ("returnClose", input(json!({ "returnId": one_return? }))),
        other => panic!("{other} has no trial"),
    })
}

const ACTIONS: [&str; 20] = [
    "CANCEL",
    "CANCEL_LINES",
    "EDIT",
    "HOLD",
    "RELEASE_HOLD",
    "MARK_PAID",
    "AUTHORISE",
    "CAPTURE",
    "VOID",
    "REFUND",
    "RECORD_CHARGEBACK",
    "SHIP",
    "CLEAR_SHIPMENT",
    "CANCEL_SHIPMENT",
    "TRACK",
    "REQUEST_RETURN",
    "APPROVE_RETURN",
    "DECLINE_RETURN",
    "RECEIVE_RETURN",
    "CLOSE_RETURN",
];

/// What the order says that it allows.
async fn listed(api: &Api, order: &Acting) -> Vec<Value> {
    let query =
        "query($id: UUID!) { order(id: $id, asOf: { revision: 999 }) { availableActions } }";
    let answer = api.data(query, json!({ "id": order.id.0 })).await;
    answer["order"]["availableActions"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_is_listed_is_accepted_and_nothing_else_is() {
    let api = Api::start().await;
    for stage in STAGES {
        let mut order = order_at(&api, stage, &format!("{stage:?}")).await;
        let listed = listed(&api, &order).await;
        for action in &listed {
            let known = action == "ATTACH_CUSTOMER" || ACTIONS.iter().any(|it| action == *it);
            assert!(known, "{action} is listed and not tried here");
        }
        for action in ACTIONS {
            let Some((mutation, input)) = trial(&order, action).await else {
                assert!(!listed.contains(&json!(action)), "{action}: {listed:?}");
                continue;
            };
            let answer = change(&api, mutation, input).await;
            let accepted = answer["userErrors"] == json!([]) && answer["replayed"] == json!(false);
            assert_eq!(
                listed.contains(&json!(action)),
                accepted,
                "{action} of an order that is {stage:?}: {listed:?}"
            );
            if accepted {
                order = order_at(&api, stage, &format!("{stage:?}-{action}")).await;
            }
        }
    }
}
