//! Events to fold: orders and what becomes of them.

use std::sync::Arc;

use domain::credit_note::{
    CreditLine, CreditNote, CreditNoteDetails, CreditNoteEvent, CreditNoteIssued,
};
use domain::fulfilment::{
    AcceptanceWork, Fulfilment, FulfilmentEvent, FulfilmentFinished, FulfilmentStarted,
    FulfilmentStepCompleted, FulfilmentStepFailed, FulfilmentStepParked, Outcome, Step, Work,
};
use domain::ids::{
    CaptureId, Channel, CountryCode, CreditNoteId, CustomerRef, LocationCode, PartnerReference,
    PaymentId, PaymentToken, ReceiptId, ShipmentId, Sku,
};
use domain::money::{Currency, Money};
use domain::order::{
    CancelReason, Handling, Line, LineKind, Order, OrderCancelled, OrderCompleted, OrderConfirmed,
    OrderDetails, OrderEvent, OrderPlaced, OrderShipped, Policies,
};
use domain::payment::{Payment, PaymentAuthorised, PaymentCaptured, PaymentEvent};
use domain::pricing::price;
use domain::quantity::Quantity;
use domain::shipment::{
    BookedParcel, Shipment, ShipmentBooked, ShipmentDelivered, ShipmentEvent, ShipmentHandedOver,
    ShipmentTracked, TrackingStatus,
};
use domain::stock::{LocatedUnits, Stock, StockEvent, StockReceived, StockReserved, StockShipped};
use schemas::{StreamName, stream_of};
use uuid::Uuid;

pub(crate) use crate::lives::{at, order_id};
use crate::world::World;

pub(crate) fn gbp(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

pub(crate) fn order_stream(number: u32) -> StreamName {
    stream_of::<Order>(&order_id(number))
}

pub(crate) fn sku(number: u32) -> Sku {
    Sku::new(format!("SKU-{:02}", number % 20)).unwrap()
}

pub(crate) fn stock_stream(number: u32) -> StreamName {
    stream_of::<Stock>(&sku(number))
}

/// Two lines: some goods, and postage.
pub(crate) fn details(number: u32) -> Arc<OrderDetails> {
    let units = i64::from(number % 5 + 1);
    let line = |sku: Sku, kind, quantity, minor| Line {
        sku,
        title: format!("Thing {number}"),
        kind,
        quantity: Quantity::new(quantity).unwrap(),
        unit_price: gbp(minor),
        discounts: vec![],
        taxes: vec![],
    };
    Arc::new(OrderDetails {
        channel: Channel::new(if number.is_multiple_of(3) { "till" } else { "web" }).unwrap(),
        external_reference: None,
        customer: (!number.is_multiple_of(4))
            .then(|| CustomerRef::new(format!("c-{}", number % 7)).unwrap()),
        contact: None,
        shipping_address: None,
        billing_address: None,
        country: CountryCode::new("GB").unwrap(),
        lines: vec![
            line(sku(number), LineKind::Goods, units, 255),
            line(Sku::new("POST").unwrap(), LineKind::Charge, 1, 1_800),
        ],
        discounts: vec![],
        prices_include_tax: false,
        currency: Currency::GBP,
        total: gbp(units * 255 + 1_800),
        handling: Handling::Partners { payment_token: Some(PaymentToken::new("tok_ok").unwrap()) },
        policies: Policies::default(),
        prefer_location: None,
        risk_score: None,
        tags: [].into(),
        note: None,
        metadata: [].into(),
    })
}

pub(crate) fn placed(number: u32) -> OrderEvent {
    // Several orders share a second: sorting must not depend on the time alone.
    let placed_at = at(i64::from(number / 3));
    let details = details(number);
    let prices = Arc::new(price(&details).unwrap());
    OrderEvent::Placed(OrderPlaced { number: None, details, prices, placed_at })
}

pub(crate) fn confirmed() -> OrderEvent {
    OrderEvent::Confirmed(OrderConfirmed {})
}

pub(crate) fn shipped() -> OrderEvent {
    OrderEvent::Shipped(OrderShipped {})
}

pub(crate) fn cancelled() -> OrderEvent {
    OrderEvent::Cancelled(OrderCancelled { reason: CancelReason::Customer })
}

pub(crate) fn received(number: u32, units: i64) -> StockEvent {
    let receipt = ReceiptId(Uuid::from_u128(number.into()));
    let (location, quantity) = (LocationCode::default(), Quantity::new(units).unwrap());
    StockEvent::Received(StockReceived { receipt, location, quantity })
}

pub(crate) fn reference(text: &str) -> PartnerReference {
    PartnerReference::new(text).unwrap()
}

fn completed(step: Step) -> FulfilmentEvent {
    FulfilmentEvent::StepCompleted(FulfilmentStepCompleted { step })
}

fn started(number: u32) -> FulfilmentEvent {
    let work = AcceptanceWork::of(&details(number), at(1_800));
    let (order, work) = (Some(order_id(number)), Work::Acceptance(work));
    FulfilmentEvent::Started(FulfilmentStarted { order, work })
}

impl World {
    /// Places `numbers`, and takes some of them further, in all kinds of streams.
    pub(crate) async fn trade(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            self.append(&order_stream(number), &[placed(number)]).await;
            self.append(&stock_stream(number), &[received(number, 100)]).await;
            match number % 4 {
                0 => self.fulfil(number).await,
                1 => {
                    self.append(&order_stream(number), &[cancelled()]).await;
                }
                2 => self.get_stuck(number).await,
                _ => self.credit(number).await,
            }
        }
    }

    /// An order from reservation to delivery.
    pub(crate) async fn fulfil(&self, number: u32) {
        let (order, amount) = (order_id(number), details(number).total);
        let quantity = details(number).lines[0].quantity;
        let process = stream_of::<Fulfilment>(&order.into());
        let payment = stream_of::<Payment>(&PaymentId::of(order));
        let shipment = stream_of::<Shipment>(&ShipmentId::of(order));
        self.append(&process, &[started(number)]).await;
        let location = LocationCode::default();
        let reserved = StockEvent::Reserved(StockReserved {
            order,
            allocations: vec![LocatedUnits { location: location.clone(), quantity }],
            backordered: 0,
            expires_at: None,
        });
        self.append(&stock_stream(number), &[reserved]).await;
        let reference = reference(&format!("pay-{number}"));
        let expires_at = Some(at(86_400));
        let authorised =
            PaymentAuthorised { order, amount, reference: reference.clone(), expires_at };
        self.append(&payment, &[PaymentEvent::Authorised(authorised)]).await;
        self.append(&process, &[completed(Step::ReserveStock), completed(Step::AuthorisePayment)])
            .await;
        self.append(&order_stream(number), &[confirmed()]).await;
        let parcel = BookedParcel {
            carrier: "carrier".to_owned(),
            tracking_number: reference,
            tracking_url: Some("https://carrier.example/1".to_owned()),
        };
        let parcels = vec![parcel];
        let booked = ShipmentBooked { order, location: location.clone(), parcels };
        self.append(&shipment, &[ShipmentEvent::Booked(booked)]).await;
        self.append(&order_stream(number), &[shipped()]).await;
        let shipment_id = Some(ShipmentId::of(order));
        let gone = StockShipped { order, shipment: shipment_id, location, quantity };
        let gone = StockEvent::Shipped(gone);
        self.append(&stock_stream(number), &[gone]).await;
        let capture = CaptureId(Uuid::from_u128(number.into()));
        let captured = PaymentEvent::Captured(PaymentCaptured { capture, amount, is_final: false });
        self.append(&payment, &[captured]).await;
        let (status, delivered_at) = (TrackingStatus::Delivered, at(3_600));
        let events = [
            ShipmentEvent::HandedOver(ShipmentHandedOver { at: None }),
            ShipmentEvent::Tracked(ShipmentTracked {
                parcel: 0,
                status,
                at: delivered_at,
                note: None,
            }),
            ShipmentEvent::Delivered(ShipmentDelivered { delivered_at }),
        ];
        self.append(&shipment, &events).await;
        self.append(&order_stream(number), &[OrderEvent::Completed(OrderCompleted {})]).await;
        let finished =
            FulfilmentEvent::Finished(FulfilmentFinished { outcome: Outcome::Fulfilled });
        self.append(&process, &[completed(Step::WatchAuthorisation), finished]).await;
    }

    /// An order whose payment fails until it is parked.
    pub(crate) async fn get_stuck(&self, number: u32) {
        let step = Step::AuthorisePayment;
        let error = "the gateway answered 500".to_owned();
        let failed =
            FulfilmentStepFailed { step, attempt: 1, error: error.clone(), retry_at: at(60) };
        let events = [
            started(number),
            completed(Step::ReserveStock),
            FulfilmentEvent::StepFailed(failed),
            FulfilmentEvent::StepParked(FulfilmentStepParked { step, error }),
        ];
        self.append(&stream_of::<Fulfilment>(&order_id(number).into()), &events).await;
    }

    /// A credit note over the lines of an order.
    pub(crate) async fn credit(&self, number: u32) {
        let order = details(number);
        let credited = |line: &Line| CreditLine {
            sku: line.sku.clone(),
            title: line.title.clone(),
            kind: line.kind,
            quantity: line.quantity,
            unit_price: line.unit_price,
        };
        let note = CreditNoteDetails {
            number: reference(&format!("C{number}")),
            channel: order.channel.clone(),
            customer: order.customer.clone(),
            lines: order.lines.iter().map(credited).collect(),
            total: order.total,
            issued_at: at(i64::from(number)),
        };
        let issued = CreditNoteEvent::Issued(CreditNoteIssued { details: Arc::new(note) });
        let id = CreditNoteId(Uuid::from_u128(number.into()));
        self.append(&stream_of::<CreditNote>(&id), &[issued]).await;
    }
}
