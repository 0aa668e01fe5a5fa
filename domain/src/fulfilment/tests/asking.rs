//! Which event of an order asks for which work.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::ids::{Channel, CountryCode, ProcessId, ReturnId};
use crate::order::{
    Disposition, Line, LineAllocation, LineKind, LineUnits, OrderCaptureRequested, OrderDetails,
    OrderEvent, OrderLinesCancelled, OrderPaymentRequested, OrderRefundRequested,
    OrderReturnReceived, OrderShipmentCleared, OrderShipmentRequested, OrderVoidRequested,
    Policies, ReceivedUnits, RefundCause, RefundReason,
};
use crate::stock::{LocatedUnits, StockBackorderFilled};

fn line(sku: &str, kind: LineKind) -> Line {
    Line {
        sku: Sku::new(sku).unwrap(),
        title: String::new(),
        kind,
        quantity: Quantity::new(10).unwrap(),
        unit_price: pounds(100),
        discounts: vec![],
        taxes: vec![],
    }
}

/// Ten mugs, ten cups, ten mugs again, and postage.
fn details(handling: Handling) -> OrderDetails {
    let goods = ["MUG", "CUP", "MUG"].map(|sku| line(sku, LineKind::Goods));
    OrderDetails {
        channel: Channel::new("web").unwrap(),
        external_reference: None,
        customer: None,
        contact: None,
        shipping_address: None,
        billing_address: None,
        country: CountryCode::new("GB").unwrap(),
        lines: goods.into_iter().chain([line("POST", LineKind::Charge)]).collect(),
        discounts: vec![],
        prices_include_tax: true,
        currency: Currency::GBP,
        total: pounds(4_000),
        handling,
        policies: Policies::default(),
        prefer_location: None,
        risk_score: None,
        tags: BTreeSet::new(),
        note: None,
        metadata: BTreeMap::new(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "reads as a sentence at every call")]
fn asked(event: OrderEvent) -> Option<(ProcessId, Work)> {
    let asked = asked_for(ORDER, &event, 7, deadline())?;
    assert_eq!(asked.1.order, Some(ORDER));
    Some((asked.0, asked.1.work))
}

fn units(line: u32, units: i64) -> LineUnits {
    LineUnits { line, quantity: Quantity::new(units).unwrap() }
}

fn goods(sku: &str, units: i64) -> Goods {
    Goods { sku: Sku::new(sku).unwrap(), quantity: Quantity::new(units).unwrap() }
}

fn at(place: &str, units: i64) -> LocatedUnits {
    let location = LocationCode::new(place).unwrap();
    LocatedUnits { location, quantity: Quantity::new(units).unwrap() }
}

#[test]
fn an_order_needs_its_goods_once_per_sku_and_no_stock_for_charges() {
    let work = AcceptanceWork::of(&details(partners()), deadline());
    assert_eq!(work.reservations, [goods("CUP", 10), goods("MUG", 20)]);
    assert_eq!((work.total, work.acceptance), (pounds(4_000), Acceptance::AllOrNothing));
}

#[test]
fn only_what_is_to_be_paid_to_us_is_awaited() {
    let deadline_of = |details| AcceptanceWork::of(&details, deadline()).payment_deadline;
    for handling in [partners(), paid_by_hand()] {
        assert_eq!(deadline_of(details(handling)), Some(deadline()));
    }
    assert_eq!(deadline_of(details(elsewhere())), None);
    assert_eq!(deadline_of(OrderDetails { total: pounds(0), ..details(partners()) }), None);
}

#[test]
fn a_shipment_takes_a_sku_of_several_lines_off_the_shelf_at_once() {
    let (shipment, by) = (ShipmentId::derive(ORDER, "1"), by_partner());
    let location = LocationCode::new("leeds").unwrap();
    let lines = vec![units(0, 1), units(1, 2), units(2, 3), units(3, 1)];
    let requested = OrderEvent::ShipmentRequested(OrderShipmentRequested {
        shipment,
        location: location.clone(),
        lines: lines.clone(),
        by: by.clone(),
        cleared: true,
    });
    assert_eq!(goods_of(&details(partners()), &lines), [goods("CUP", 2), goods("MUG", 4)]);
    let work = Work::Delivery(DeliveryWork { shipment, location, lines, by });
    assert_eq!(asked(requested), Some((shipment.into(), work)));
}

#[test]
fn money_moves_as_the_order_says() {
    let payment = PaymentId::of(ORDER);
    let (capture, refund) = (CaptureId::derive(ORDER, "1"), RefundId::derive(ORDER, "1"));
    let (amount, is_final) = (pounds(250), false);
    let payment_token = PaymentToken::new("tok_ok").unwrap();
    let again = PaymentId::derive(ORDER, "again");
    let requested = [
        OrderEvent::PaymentRequested(OrderPaymentRequested {
            payment: again,
            amount,
            payment_token: payment_token.clone(),
        }),
        OrderEvent::CaptureRequested(OrderCaptureRequested { capture, payment, amount, is_final }),
        OrderEvent::VoidRequested(OrderVoidRequested { payment }),
        OrderEvent::RefundRequested(OrderRefundRequested {
            refund,
            payment,
            amount,
            lines: vec![units(0, 1)],
            cause: RefundCause::Goodwill,
            reason: RefundReason::Damaged,
            note: None,
        }),
    ];
    let wanted = [
        (again.into(), Work::Payment { payment: again, amount, payment_token }),
        (capture.into(), Work::Capture { capture, payment, amount, is_final }),
        (void_at(7), Work::Void { payment }),
        (refund.into(), Work::Refund { refund, payment, amount }),
    ];
    assert_eq!(requested.map(asked), wanted.map(Some));
    assert_ne!(void_at(7), void_at(9), "it may be let go of twice");
}

#[test]
fn money_of_an_order_of_the_first_days_goes_back_by_its_one_payment() {
    let (refund, amount) = (RefundId::derive(ORDER, "back"), pounds(5));
    let event = OrderEvent::RefundRequested(OrderRefundRequested {
        refund,
        payment: PaymentId::OF_THE_FIRST_DAYS,
        amount,
        lines: vec![],
        cause: RefundCause::Goodwill,
        reason: RefundReason::Damaged,
        note: None,
    });
    let work = Work::Refund { refund, payment: PaymentId::of(ORDER), amount };
    assert_eq!(asked(event), Some((refund.into(), work)));
}

fn void_at(revision: u64) -> ProcessId {
    let event = OrderEvent::VoidRequested(OrderVoidRequested { payment: PaymentId::of(ORDER) });
    asked_for(ORDER, &event, revision, deadline()).unwrap().0
}

#[test]
fn each_fill_of_a_backorder_is_told_once() {
    let (sku, quantity) = (Sku::new("MUG").unwrap(), Quantity::ONE);
    let location = LocationCode::default();
    let filled = StockBackorderFilled { order: ORDER, location: location.clone(), quantity };
    let (process, started) = asked_by_stock(sku.clone(), &filled, 3);
    assert_eq!(started.order, Some(ORDER));
    assert_eq!(
        started.work,
        Work::Backorder { sku: sku.clone(), location, quantity, stock_revision: 3 }
    );
    assert_ne!(asked_by_stock(sku.clone(), &filled, 4).0, process);
    assert_eq!(asked_by_stock(sku, &filled, 3).0, process);
}

#[test]
fn cancelled_units_are_given_back_where_they_were() {
    let movement = MovementId::derive(ORDER, "1");
    let cancelled = |released| {
        asked(OrderEvent::LinesCancelled(OrderLinesCancelled {
            lines: vec![units(0, 5), units(2, 3)],
            reason: CancelReason::Customer,
            movement,
            released,
        }))
    };
    assert_eq!(cancelled(vec![]), None, "nothing was set aside for them");
    let released = vec![
        LineAllocation { line: 0, units: vec![at("york", 2), at("leeds", 1)], backordered: 2 },
        LineAllocation { line: 2, units: vec![at("york", 3)], backordered: 0 },
    ];
    let wanted = ReleasedGoods {
        sku: Sku::new("MUG").unwrap(),
        quantity: Quantity::new(8).unwrap(),
        set_aside: vec![at("leeds", 1), at("york", 5)],
    };
    assert_eq!(goods_released(&details(partners()), &released), [wanted]);
    let work = Work::Release { movement, released: released.clone() };
    assert_eq!(cancelled(released), Some((movement.into(), work)));
}

#[test]
fn only_what_can_be_sold_again_goes_back_onto_the_shelf() {
    let movement = MovementId::derive(ORDER, "1");
    let came = |goods| {
        let return_id = ReturnId::derive(ORDER, "1");
        asked(OrderEvent::ReturnReceived(OrderReturnReceived { return_id, goods, movement }))
    };
    let back = |line, disposition| ReceivedUnits {
        line,
        quantity: Quantity::new(2).unwrap(),
        disposition,
        location: LocationCode::default(),
    };
    let lost = [Disposition::WrittenOff, Disposition::Missing].map(|it| back(1, it));
    assert_eq!(came(lost.to_vec()), None);
    let received = [[0, 2].map(|line| back(line, Disposition::Restocked)), lost].concat();
    let wanted = LocatedGoods { sku: Sku::new("MUG").unwrap(), units: at("main", 4) };
    assert_eq!(goods_restocked(&details(partners()), &received), [wanted]);
    let work = Work::Restock { movement, received: received.clone() };
    assert_eq!(came(received), Some((movement.into(), work)));
}

#[test]
fn other_news_asks_for_nothing() {
    let shipment = ShipmentId::of(ORDER);
    assert_eq!(asked(OrderEvent::ShipmentCleared(OrderShipmentCleared { shipment })), None);
}
