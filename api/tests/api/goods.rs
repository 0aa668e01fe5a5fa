//! Goods of an order: leaving, travelling, arriving, coming back.

use serde_json::{Value, json};

use crate::acting::{Acting, accepted, change_with, refused, two_mugs_by_hand, units};
use crate::support::{Api, two_mugs};

fn of_shipment(order: &Acting, key: &str, shipment: &Value) -> Value {
    order.input(key, json!({ "shipmentId": shipment }))
}

fn of_return(order: &Acting, key: &str, id: &Value) -> Value {
    order.input(key, json!({ "returnId": id }))
}

#[tokio::test]
async fn a_shipment_is_planned_cleared_and_can_be_taken_back_until_it_leaves() {
    let api = Api::start().await;
    let order = Acting::confirmed(&api, two_mugs_by_hand("k")).await;
    let plan = order.input("a", json!({ "location": "main", "lines": units(0, 1) }));
    let planned = change_with(&api, "shipmentCreate", "shipmentId", plan.clone()).await;
    assert_eq!(planned["userErrors"], json!([]), "{planned:#}");
    let id = &planned["shipmentId"];
    let shipment = &planned["order"]["shipments"][0];
    assert_eq!((&shipment["id"], &shipment["status"]), (id, &json!("REQUESTED")));
    assert_eq!((&shipment["lines"], &shipment["by"]), (&units(0, 1), &json!("PARTNER")));
    let work = json!([{ "location": "main", "status": "IN_PROGRESS",
                        "lines": [{ "line": 0, "remaining": 2, "shipped": 0 }] }]);
    assert_eq!(planned["order"]["fulfilmentOrders"], work);
    assert_eq!(accepted(&api, "shipmentCreate", plan).await["replayed"], json!(true));

    let too_many = order.input("b", json!({ "location": "main", "lines": units(0, 2) }));
    let error = refused(&api, "shipmentCreate", too_many).await;
    assert_eq!(
        (&error["__typename"], &error["availableUnits"]),
        (&json!("NotAllocated"), &json!(1))
    );
    assert_eq!(error["field"], json!(["input", "lines", "0", "quantity"]));
    let nowhere = order.input("b", json!({ "location": "moon" }));
    assert_eq!(refused(&api, "shipmentCreate", nowhere).await["__typename"], "NothingToDo");

    let cleared = accepted(&api, "shipmentClear", of_shipment(&order, "c", id)).await;
    assert_eq!(cleared["order"]["shipments"][0]["status"], "CLEARED");
    let cancelled = accepted(&api, "shipmentCancel", of_shipment(&order, "d", id)).await;
    assert_eq!(cancelled["order"]["shipments"][0]["status"], "CANCELLED");
    assert_eq!(
        cancelled["order"]["lines"][0]["allocated"],
        json!([{ "location": "main", "quantity": 2 }])
    );
    let error = refused(&api, "shipmentClear", of_shipment(&order, "e", id)).await;
    assert_eq!(
        (&error["__typename"], &error["shipmentStatus"]),
        (&json!("ShipmentNotReady"), &json!("CANCELLED"))
    );
}

#[tokio::test]
async fn parcels_of_a_carrier_that_we_do_not_talk_to_are_followed_by_hand() {
    let api = Api::start().await;
    let order = Acting::confirmed(&api, two_mugs_by_hand("k")).await;
    let parcel = |number: &str| {
        json!({
            "carrier": "Bike", "trackingNumber": number, "trackingUrl": "https://bike.example/1",
        })
    };
    let plan = json!({ "location": "main", "manualParcels": [parcel("B-1"), parcel("B-2")] });
    let mut wrong = order.input("a", plan.clone());
    wrong["manualParcels"][1]["trackingUrl"] = json!("javascript:alert(1)");
    let error = refused(&api, "shipmentCreate", wrong).await;
    assert_eq!(error["field"], json!(["input", "manualParcels", "1", "trackingUrl"]));

    let planned = change_with(&api, "shipmentCreate", "shipmentId", order.input("a", plan)).await;
    let id = planned["shipmentId"].clone();
    let news =
        |key: &str, parcel: i32, status: &str| {
            order.input(key, json!({
        "shipmentId": id, "parcel": parcel, "status": status, "at": "2026-02-03T10:00:00Z",
    }))
        };
    let early = refused(&api, "trackingRecord", news("n", 0, "IN_TRANSIT")).await;
    assert_eq!(early["__typename"], "ShipmentNotReady");

    accepted(&api, "shipmentClear", of_shipment(&order, "c", &id)).await;
    let books = order.state().await.shipments;
    let (&shipment, book) = books.first_key_value().unwrap();
    let parcels = match &book.by {
        domain::order::ShippedBy::Manual { parcels } => parcels.clone(),
        domain::order::ShippedBy::Partner { .. } | domain::order::ShippedBy::Elsewhere => panic!(),
    };
    order.does(domain::order::OrderCommand::RecordDispatch { shipment, parcels }).await;

    let moved = accepted(&api, "trackingRecord", news("n", 0, "DELIVERED")).await;
    let parcels = &moved["order"]["shipments"][0]["parcels"];
    assert_eq!(parcels[0]["trackingNumber"], "B-1");
    assert_eq!(parcels[0]["events"][0]["status"], "DELIVERED");
    assert_eq!(moved["order"]["shipments"][0]["status"], "DISPATCHED");
    assert_eq!(
        accepted(&api, "trackingRecord", news("n", 0, "DELIVERED")).await["replayed"],
        json!(true)
    );
    let error = refused(&api, "trackingRecord", news("o", 2, "DELIVERED")).await;
    assert_eq!(
        (&error["__typename"], &error["field"]),
        (&json!("NotFound"), &json!(["input", "parcel"]))
    );

    let arrived = accepted(&api, "trackingRecord", news("p", 1, "DELIVERED")).await;
    assert_eq!(arrived["order"]["shipments"][0]["status"], "DELIVERED");
    assert_eq!(arrived["order"]["fulfilmentStatus"], "DELIVERED");
}

#[tokio::test]
async fn goods_come_back_as_they_were_asked_for() {
    let api = Api::start().await;
    let order = Acting::shipped_and_paid(&api, two_mugs("k")).await;
    let ask =
        order.input("a", json!({ "lines": units(0, 2), "reason": "SIZE", "note": "Too big." }));
    let asked = change_with(&api, "returnRequest", "returnId", ask.clone()).await;
    assert_eq!(asked["userErrors"], json!([]), "{asked:#}");
    let id = asked["returnId"].clone();
    let one = &asked["order"]["returns"][0];
    assert_eq!(
        (&one["id"], &one["status"], &one["note"]["text"]),
        (&id, &json!("REQUESTED"), &json!("Too big."))
    );
    assert_eq!(asked["order"]["returnStatus"], "REQUESTED");
    assert_eq!(accepted(&api, "returnRequest", ask).await["replayed"], json!(true));
    let again = order.input("b", json!({ "lines": units(0, 1), "reason": "SIZE" }));
    let error = refused(&api, "returnRequest", again).await;
    assert_eq!(
        (&error["__typename"], &error["availableUnits"]),
        (&json!("NotEnoughUnits"), &json!(0))
    );

    let came = |key: &str, line: i32, quantity: i32, what: &str| {
        order.input(key, json!({
        "returnId": id, "goods": [{ "line": line, "quantity": quantity, "disposition": what }],
    }))
    };
    let early = refused(&api, "returnReceive", came("c", 0, 1, "RESTOCKED")).await;
    assert_eq!(
        (&early["__typename"], &early["returnStatus"]),
        (&json!("ReturnNotReady"), &json!("REQUESTED"))
    );
    accepted(&api, "returnApprove", of_return(&order, "d", &id)).await;
    let received = accepted(&api, "returnReceive", came("e", 0, 1, "RESTOCKED")).await;
    assert_eq!(
        received["order"]["returns"][0]["received"],
        json!([{ "line": 0, "quantity": 1, "disposition": "RESTOCKED" }])
    );
    let repeated = accepted(&api, "returnReceive", came("e", 0, 1, "RESTOCKED")).await;
    assert_eq!(repeated["replayed"], json!(true));
    let error = refused(&api, "returnReceive", came("f", 0, 2, "WRITTEN_OFF")).await;
    assert_eq!(
        (&error["__typename"], &error["field"]),
        (&json!("NotEnoughUnits"), &json!(["input", "goods", "0", "quantity"]))
    );

    let refund =
        order.input("g", json!({ "returnId": id, "lines": units(0, 1), "reason": "CUSTOMER" }));
    assert_eq!(
        accepted(&api, "refundCreate", refund).await["order"]["refunds"][0]["cause"],
        "RETURN"
    );
    let closed = accepted(&api, "returnClose", of_return(&order, "h", &id)).await;
    assert_eq!(closed["order"]["returns"][0]["status"], "CLOSED");
}

#[tokio::test]
async fn a_declined_return_does_not_come() {
    let api = Api::start().await;
    let order = Acting::shipped_and_paid(&api, two_mugs("k")).await;
    let ask = order.input("a", json!({ "lines": units(0, 1), "reason": "UNWANTED" }));
    let asked = change_with(&api, "returnRequest", "returnId", ask).await;
    let id = &asked["returnId"];
    let decline = order.input("b", json!({ "returnId": id, "note": "Too late." }));
    let declined = accepted(&api, "returnDecline", decline).await;
    assert_eq!(declined["order"]["returns"][0]["status"], "DECLINED");
    let error = refused(&api, "returnApprove", of_return(&order, "c", id)).await;
    assert_eq!(
        (&error["__typename"], &error["returnStatus"]),
        (&json!("ReturnNotReady"), &json!("DECLINED"))
    );
}
