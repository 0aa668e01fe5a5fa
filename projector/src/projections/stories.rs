//! Every projection ends in the same tables however its events reach it.

use std::sync::Arc;

#[expect(dead_code, reason = "shared with the tests from outside, which use all of it")]
#[path = "../../tests/projector/lives.rs"]
mod lives;

use domain::credit_note::{
    CreditLine, CreditNote, CreditNoteDetails, CreditNoteEvent, CreditNoteIssued,
};
use domain::fulfilment::{
    Fulfilment, FulfilmentEvent, FulfilmentStarted, FulfilmentStepFailed, FulfilmentStepParked,
    Step, Work,
};
use domain::ids::{
    CaptureId, Channel, CreditNoteId, LocationCode, OrderId, PartnerReference, PaymentId,
    ProcessId, ReceiptId, ShipmentId, Sku,
};
use domain::money::{Currency, Money};
use domain::order::{LineKind, Order};
use domain::payment::{Payment, PaymentAuthorised, PaymentCaptured, PaymentEvent};
use domain::quantity::Quantity;
use domain::shipment::{
    BookedParcel, Shipment, ShipmentBooked, ShipmentDelivered, ShipmentEvent, ShipmentHandedOver,
};
use domain::stock::{LocatedUnits, Stock, StockEvent, StockReceived, StockReserved};
use schemas::stream_of;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::credit_notes::CreditNotes;
use super::fulfilments::Fulfilments;
use super::orders::Orders;
use super::payments::Payments;
use super::shipments::Shipments;
use super::stock_levels::StockLevels;
use crate::story::Story;
use lives::{Life, at};

const ONE: Uuid = Uuid::from_u128(1);
const ORDER: OrderId = OrderId(Uuid::from_u128(7));

fn gbp(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

fn reference() -> PartnerReference {
    PartnerReference::new("at the partner's").unwrap()
}

/// The answer to a query for text.
async fn asked(tables: &mut PgConnection, query: &str) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(tables).await.unwrap()
}

#[tokio::test]
async fn orders_end_as_the_domain_says_however_they_are_told() {
    let lives: Vec<Life> = [3, 8, 21].map(Life::of).into();
    let mut story = Story::<Orders>::new();
    for life in &lives {
        let stream = stream_of::<Order>(&life.id);
        let (before, now) = life.events.split_at(life.events.len().saturating_sub(3));
        story = story.given(&stream, before).when(&stream, now);
    }
    let told = async |tables: &mut PgConnection| {
        for life in &lives {
            let query = format!("select revision::text from orders where id = '{}'", life.id.0);
            let last = life.events.len() - 1;
            assert_eq!(asked(tables, &query).await, [last.to_string()]);
        }
    };
    story.then(told).await;
}

#[tokio::test]
async fn stock_is_counted_once_however_it_is_told() {
    let mug = stream_of::<Stock>(&Sku::new("MUG").unwrap());
    let (receipt, location) = (ReceiptId(ONE), LocationCode::default());
    let quantity = Quantity::new(10).unwrap();
    let received = StockEvent::Received(StockReceived { receipt, location, quantity });
    let (location, quantity) = (LocationCode::default(), Quantity::new(3).unwrap());
    let reserved = StockEvent::Reserved(StockReserved {
        order: ORDER,
        allocations: vec![LocatedUnits { location, quantity }],
        backordered: 1,
        expires_at: None,
    });
    Story::<StockLevels>::new()
        .given(&mug, std::slice::from_ref(&received))
        .when(&mug, &[received, reserved])
        .then(async |tables| {
            let level = "select on_hand || ' ' || reserved from stock_levels";
            assert_eq!(asked(tables, level).await, ["20 3"]);
            let moved = "select kind || ' ' || part from stock_movements order by revision, part";
            let all = ["received 0", "received 0", "reserved 0", "reserved 1"];
            assert_eq!(asked(tables, moved).await, all);
        })
        .await;
}

#[tokio::test]
async fn money_moves_once_however_it_is_told() {
    let payment = stream_of::<Payment>(&PaymentId(ONE));
    let (amount, expires_at) = (gbp(5_000), None);
    let authorised = PaymentEvent::Authorised(PaymentAuthorised {
        order: ORDER,
        amount,
        reference: reference(),
        expires_at,
    });
    let captured = |id, minor| {
        let (capture, amount) = (CaptureId(Uuid::from_u128(id)), gbp(minor));
        PaymentEvent::Captured(PaymentCaptured { capture, amount, is_final: false })
    };
    Story::<Payments>::new()
        .given(&payment, &[authorised])
        .when(&payment, &[captured(1, 2_000), captured(2, 500)])
        .then(async |tables| {
            let captured = "select captured_minor::text from payments";
            assert_eq!(asked(tables, captured).await, ["2500"]);
        })
        .await;
}

#[tokio::test]
async fn parcels_arrive_once_however_it_is_told() {
    let shipment = stream_of::<Shipment>(&ShipmentId(ONE));
    let parcel = BookedParcel {
        carrier: "post".to_owned(),
        tracking_number: reference(),
        tracking_url: None,
    };
    let booked = ShipmentEvent::Booked(ShipmentBooked {
        order: ORDER,
        location: LocationCode::default(),
        parcels: vec![parcel],
    });
    let handed_over = ShipmentEvent::HandedOver(ShipmentHandedOver { at: Some(at(60)) });
    let delivered = ShipmentEvent::Delivered(ShipmentDelivered { delivered_at: at(120) });
    Story::<Shipments>::new()
        .when(&shipment, &[booked, handed_over, delivered])
        .then(async |tables| {
            assert_eq!(asked(tables, "select status from shipments").await, ["delivered"]);
        })
        .await;
}

#[tokio::test]
async fn a_process_is_where_it_is_however_it_is_told() {
    let process = stream_of::<Fulfilment>(&ProcessId(ONE));
    let work = Work::Void { payment: PaymentId(ONE) };
    let started = FulfilmentEvent::Started(FulfilmentStarted { order: Some(ORDER), work });
    let step = Step::VoidPayment;
    let failed = FulfilmentEvent::StepFailed(FulfilmentStepFailed {
        step,
        attempt: 1,
        error: "no answer".to_owned(),
        retry_at: at(300),
    });
    let parked =
        FulfilmentEvent::StepParked(FulfilmentStepParked { step, error: "given up".to_owned() });
    Story::<Fulfilments>::new()
        .given(&process, &[started])
        .when(&process, &[failed, parked])
        .then(async |tables| {
            let where_it_is = "select status || ': ' || error from fulfilments";
            assert_eq!(asked(tables, where_it_is).await, ["parked: given up"]);
        })
        .await;
}

#[tokio::test]
async fn a_credit_note_is_there_once_with_all_its_lines_however_it_is_told() {
    let line = |sku: &str, kind, quantity, pence| CreditLine {
        sku: Sku::new(sku).unwrap(),
        title: String::new(),
        kind,
        quantity: Quantity::new(quantity).unwrap(),
        unit_price: gbp(pence),
    };
    let issued = |number: &str, lines: Vec<CreditLine>, pence| {
        let number = PartnerReference::new(number).unwrap();
        let (channel, total) = (Channel::new("web").unwrap(), gbp(pence));
        let customer = None;
        let details =
            CreditNoteDetails { number, channel, customer, lines, total, issued_at: at(60) };
        CreditNoteEvent::Issued(CreditNoteIssued { details: Arc::new(details) })
    };
    let note = |id| stream_of::<CreditNote>(&CreditNoteId(Uuid::from_u128(id)));
    let (mug, postage) =
        (line("MUG", LineKind::Goods, 3, 500), line("POST", LineKind::Charge, 1, 300));
    Story::<CreditNotes>::new()
        .given(&note(1), &[issued("C1", vec![mug.clone(), postage.clone()], 1_800)])
        .when(&note(2), &[issued("C2", vec![postage], 300)])
        .when(&note(3), &[issued("C3", vec![mug], 1_500)])
        .then(async |tables| {
            let notes = "select number || ' ' || total_minor || ' ' || unit_count \
                 from credit_notes order by number";
            let all = ["C1 1800 4", "C2 300 1", "C3 1500 3"];
            assert_eq!(asked(tables, notes).await, all);
            let lines = "select number || ' ' || line || ' ' || sku || ' ' || quantity \
                 from credit_note_lines join credit_notes on id = credit_note_id order by 1";
            let all = ["C1 0 MUG 3", "C1 1 POST 1", "C2 0 POST 1", "C3 0 MUG 3"];
            assert_eq!(asked(tables, lines).await, all);
        })
        .await;
}
