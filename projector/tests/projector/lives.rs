//! Lives of orders made up at random, but never against the rules: every event is one that the
//! domain's own rule book has decided on.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use domain::Decider;
use domain::ids::{
    CaptureId, Channel, CountryCode, CustomerRef, ExternalReference, HoldName, LocationCode,
    MovementId, OrderId, OrderNumber, PartnerReference, PaymentId, PaymentToken, RefundId,
    ReturnId, ShipmentId, Sku, SubjectId, Tag,
};
use domain::money::{Currency, Money};
use domain::order::{
    CancelReason, CapturePolicy, Discount, DispatchPolicy, Disposition, Handling, HoldReason, Line,
    LineKind, LineUnits, MovementStatus, Order, OrderCommand, OrderDetails, OrderEdit, OrderEvent,
    OrderState, OrderStatus, PlacedOrder, Policies, ReceivedUnits, RefundOf, RefundReason,
    RejectReason, ReturnProgress, ReturnReason, ShipmentStatus, ShippedBy, SkuAllocation,
};
use domain::personal::Sealed;
use domain::quantity::Quantity;
use domain::shipment::{BookedParcel, TrackingStatus};
use domain::stock::{Acceptance, LocatedUnits};
use uuid::Uuid;

/// A time, in seconds after the first.
pub(crate) fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_291_190_760, 123_456_000).unwrap() + TimeDelta::seconds(second)
}

pub(crate) fn order_id(number: u32) -> OrderId {
    // Far apart, so that the order of ids is not that of placing.
    OrderId(Uuid::from_u128(u128::from(number.wrapping_mul(2_654_435_761)) << 64 | 7))
}

/// Random numbers that are the same at every run (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `sides - 1`.
    pub(crate) fn roll(&mut self, sides: u32) -> u32 {
        u32::try_from(self.next() % u64::from(sides)).unwrap()
    }

    fn one_in(&mut self, sides: u32) -> bool {
        self.roll(sides) == 0
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        let sides = u32::try_from(all.len()).unwrap();
        (sides > 0).then(|| all[self.roll(sides) as usize].clone())
    }
}

/// One order from its placing on.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) id: OrderId,
    pub(crate) events: Vec<OrderEvent>,
}

impl Life {
    /// The life of order `number`, always the same.
    pub(crate) fn of(number: u32) -> Self {
        let mut dice = Dice::new(number.into());
        let id = order_id(number);
        let mut life = Self { id, events: vec![] };
        let mut state = Order::initial();
        life.live(&mut state, &place(number, &mut dice));
        for _ in 0..20 + dice.roll(60) {
            let OrderState::Placed(order) = &state else { panic!("it was placed") };
            if let Some(command) = next(id, order, &mut dice) {
                life.live(&mut state, &command);
            }
        }
        life
    }

    /// What its events add up to.
    pub(crate) fn order(&self) -> PlacedOrder {
        let OrderState::Placed(order) = domain::fold::<Order>(Order::initial(), &self.events)
        else {
            panic!("it was placed")
        };
        *order
    }

    fn live(&mut self, state: &mut OrderState, command: &OrderCommand) {
        // What is refused has not happened.
        for event in Order::decide(state, command).unwrap_or_default() {
            *state = Order::evolve(state.clone(), &event);
            self.events.push(event);
        }
    }
}

fn place(number: u32, dice: &mut Dice) -> OrderCommand {
    let currency = if dice.one_in(3) { Currency::EUR } else { Currency::GBP };
    let lines: Vec<_> = (0..=dice.roll(4)).map(|n| line(n, currency, dice)).collect();
    let price: i64 = lines.iter().map(|line| line.subtotal().unwrap().minor).sum();
    let discount = if dice.one_in(3) { i64::from(dice.roll(300)) + 1 } else { 0 };
    let discounts = (discount > 0)
        .then(|| Discount { title: "spring".to_owned(), amount: Money::new(discount, currency) });
    let subject = SubjectId::of_guest(order_id(number));
    let details = OrderDetails {
        channel: Channel::new(dice.pick(&["web", "till"]).unwrap()).unwrap(),
        external_reference: dice
            .one_in(2)
            .then(|| ExternalReference::new(format!("ref-{number}")).unwrap()),
        customer: (!dice.one_in(3)).then(|| customer(dice)),
        contact: dice.one_in(2).then(|| sealed(subject, "contact")),
        shipping_address: dice.one_in(2).then(|| sealed(subject, "address")),
        billing_address: None,
        country: CountryCode::new("GB").unwrap(),
        lines,
        discounts: discounts.into_iter().collect(),
        prices_include_tax: false,
        currency,
        total: Money::new(price - discount, currency),
        handling: handling(number, dice),
        policies: Policies {
            acceptance: dice.pick(&[Acceptance::AllOrNothing, Acceptance::Partial]).unwrap(),
            capture: dice
                .pick(&[CapturePolicy::OnShip, CapturePolicy::AtOnce, CapturePolicy::Manual])
                .unwrap(),
            dispatch: dice.pick(&[DispatchPolicy::Automatic, DispatchPolicy::Manual]).unwrap(),
        },
        prefer_location: None,
        risk_score: dice.one_in(2).then(|| u8::try_from(dice.roll(101)).unwrap()),
        tags: (0..dice.roll(3)).map(|_| tag(dice)).collect(),
        note: None,
        metadata: [("till".to_owned(), number.to_string())].into(),
    };
    OrderCommand::Place {
        details: Arc::new(details),
        number: (!dice.one_in(5)).then(|| OrderNumber::new(format!("W-{number}")).unwrap()),
        holds: if dice.one_in(6) { vec![(hold(), HoldReason::Value)] } else { vec![] },
        // Several orders share a second, and no order is placed at the time of its number.
        placed_at: at(i64::from(number.wrapping_mul(7919) % 50)),
    }
}

fn line(number: u32, currency: Currency, dice: &mut Dice) -> Line {
    let kind = if number > 0 && dice.one_in(3) { LineKind::Charge } else { LineKind::Goods };
    Line {
        sku: Sku::new(format!("SKU-{}", dice.roll(6))).unwrap(),
        title: "Thing".to_owned(),
        kind,
        quantity: Quantity::new(i64::from(dice.roll(5)) + 1).unwrap(),
        unit_price: Money::new(i64::from(dice.roll(900)) + 301, currency),
        discounts: vec![],
        taxes: vec![],
    }
}

fn handling(number: u32, dice: &mut Dice) -> Handling {
    match dice.roll(4) {
        0 => Handling::Elsewhere {
            reference: PartnerReference::new(format!("old {number}")).unwrap(),
        },
        1 => Handling::Partners { payment_token: None },
        _ => Handling::Partners { payment_token: Some(PaymentToken::new("tok_ok").unwrap()) },
    }
}

fn customer(dice: &mut Dice) -> CustomerRef {
    CustomerRef::new(format!("c-{}", dice.roll(6))).unwrap()
}

fn tag(dice: &mut Dice) -> Tag {
    Tag::new(dice.pick(&["gift", "vip", "b2b", "pre:order"]).unwrap()).unwrap()
}

fn hold() -> HoldName {
    HoldName::new("value").unwrap()
}

fn sealed(subject: SubjectId, text: &str) -> Sealed {
    Sealed {
        subject,
        key: Uuid::from_u128(9),
        sealed_in: "order-placed".to_owned(),
        ciphertext: text.to_owned(),
    }
}

/// What somebody may want next; most of it is allowed, some is not.
fn next(id: OrderId, order: &PlacedOrder, dice: &mut Dice) -> Option<OrderCommand> {
    let key = dice.roll(1_000).to_string();
    if dice.one_in(2) {
        return onward(id, order, dice, &key);
    }
    match dice.roll(12) {
        0 => Some(goods(id, order, dice)),
        1 => money(id, order, dice, &key),
        2 => movement(order, dice),
        3 => Some(OrderCommand::Confirm { order: id }),
        4 | 5 => shipping(id, order, dice, &key),
        6 => parcels(order, dice),
        7 => Some(returning(id, order, dice, &key)),
        8 => refund(id, order, dice, &key),
        9 => giving_up(id, order, dice, &key),
        10 => Some(holding(id, dice, &key)),
        _ => Some(editing(id, dice, &key)),
    }
}

/// What brings an order to its end, one step of it.
fn onward(id: OrderId, order: &PlacedOrder, dice: &mut Dice, key: &str) -> Option<OrderCommand> {
    if let Some(hold) = order.holds.keys().next() {
        let (hold, movement) = (hold.clone(), MovementId::derive(id, key));
        return Some(OrderCommand::ReleaseHold { hold, movement, order: id });
    }
    if !order.allocated {
        return Some(goods(id, order, dice));
    }
    let missing = order.outstanding() - order.held();
    if missing > 0 {
        let payment = PaymentId::derive(id, key);
        let amount = order.money(missing);
        return Some(OrderCommand::RecordAuthorisation { payment, amount, expires_at: None });
    }
    match order.status {
        OrderStatus::Pending => return Some(OrderCommand::Confirm { order: id }),
        OrderStatus::Confirmed => {}
        OrderStatus::Completed | OrderStatus::Cancelled(_) | OrderStatus::Rejected(_) => {
            return if dice.one_in(2) { movement(order, dice) } else { None };
        }
    }
    let with = |status| {
        let found = order.shipments.iter().find(move |(_, book)| book.status == status);
        found.map(|(shipment, _)| *shipment)
    };
    if let Some(location) = order.to_be_shipped().into_keys().next() {
        let (shipment, by) = (ShipmentId::derive(id, key), ShippedBy::Partner { parcels: 1 });
        return Some(OrderCommand::RequestShipment { shipment, location, lines: vec![], by });
    }
    if let Some(shipment) = with(ShipmentStatus::Requested) {
        return Some(OrderCommand::ClearShipment { shipment });
    }
    if let Some(shipment) = with(ShipmentStatus::Cleared) {
        return Some(OrderCommand::RecordDispatch { shipment, parcels: vec![booked(key)] });
    }
    let delivered = with(ShipmentStatus::Dispatched).filter(|_| dice.one_in(2));
    let deliver = |shipment| OrderCommand::RecordDelivery { shipment, delivered_at: at(7_200) };
    delivered.map(deliver).or_else(|| movement(order, dice))
}

fn goods(id: OrderId, order: &PlacedOrder, dice: &mut Dice) -> OrderCommand {
    let goods: BTreeMap<Sku, u64> =
        order.details.goods().into_iter().map(|(sku, units)| (sku.clone(), units)).collect();
    if order.allocated {
        let skus: Vec<Sku> = goods.into_keys().collect();
        return OrderCommand::RecordBackorderFilled {
            order: id,
            sku: dice.pick(&skus).unwrap(),
            location: location(dice),
            quantity: Quantity::new(i64::from(dice.roll(4)) + 1).unwrap(),
            stock_revision: 100 + u64::from(dice.roll(20)),
        };
    }
    let nothing_is_there = dice.one_in(4);
    let goods = goods.into_iter().map(|(sku, wanted)| {
        let wanted = u32::try_from(wanted).unwrap();
        if nothing_is_there {
            return SkuAllocation { sku, units: vec![], backordered: wanted, as_of: 7 };
        }
        let here = dice.roll(wanted + 1);
        let there = dice.roll(wanted - here + 1);
        let units = [("north", here), ("south", there)].into_iter().filter_map(|(name, units)| {
            let quantity = Quantity::new(units.into()).ok()?;
            Some(LocatedUnits { location: LocationCode::new(name).unwrap(), quantity })
        });
        let units = units.collect();
        SkuAllocation { sku, units, backordered: wanted - here - there, as_of: 7 }
    });
    OrderCommand::RecordAllocation { goods: goods.collect() }
}

fn location(dice: &mut Dice) -> LocationCode {
    LocationCode::new(dice.pick(&["north", "south"]).unwrap()).unwrap()
}

fn money(id: OrderId, order: &PlacedOrder, dice: &mut Dice, key: &str) -> Option<OrderCommand> {
    let known: Vec<PaymentId> = order.payments.keys().copied().collect();
    let payment = PaymentId::derive(id, key);
    let missing = order.outstanding() - order.held();
    let part = |dice: &mut Dice, whole: i64| {
        let minor = if dice.one_in(3) { whole / 2 } else { whole };
        order.money(minor)
    };
    Some(match dice.roll(9) {
        0..=2 => OrderCommand::RecordAuthorisation {
            payment,
            amount: part(dice, missing),
            expires_at: Some(at(90_000)),
        },
        3 => OrderCommand::RecordDecline { payment, code: "card-expired".to_owned() },
        4 => OrderCommand::RecordPayment {
            payment,
            amount: part(dice, order.outstanding()),
            reference: PartnerReference::new("bank").unwrap(),
        },
        5 => OrderCommand::RequestCapture {
            capture: CaptureId::derive(id, key),
            payment: None,
            amount: None,
            is_final: dice.one_in(2),
        },
        6 if dice.one_in(4) => OrderCommand::RecordExpiry { payment: dice.pick(&known)? },
        6 => OrderCommand::RequestVoid { payment: dice.pick(&known)? },
        7 => OrderCommand::RecordVoid { payment: dice.pick(&known)? },
        _ if dice.one_in(3) => OrderCommand::RecordChargeback {
            payment: dice.pick(&known)?,
            amount: order.money(100),
            reference: PartnerReference::new(key).unwrap(),
            reason: "fraud".to_owned(),
        },
        _ => return None,
    })
}

/// The outcome of a movement of money that is under way.
fn movement(order: &PlacedOrder, dice: &mut Dice) -> Option<OrderCommand> {
    let captures = order.captures.iter().filter(|(_, it)| it.status == MovementStatus::Pending);
    let captures: Vec<CaptureId> = captures.map(|(id, _)| *id).collect();
    let refunds = order.refunds.iter().filter(|(_, it)| it.status == MovementStatus::Pending);
    let refunds: Vec<RefundId> = refunds.map(|(id, _)| *id).collect();
    let (code, fails) = ("no-answer".to_owned(), dice.one_in(5));
    match (dice.pick(&captures), dice.pick(&refunds)) {
        (Some(capture), _) if fails => Some(OrderCommand::RecordCaptureFailure { capture, code }),
        (Some(capture), _) => Some(OrderCommand::RecordCapture { capture }),
        (None, Some(refund)) if fails => Some(OrderCommand::RecordRefundFailure { refund, code }),
        (None, Some(refund)) => Some(OrderCommand::RecordRefund { refund }),
        (None, None) => None,
    }
}

fn booked(key: &str) -> BookedParcel {
    BookedParcel {
        carrier: "post".to_owned(),
        tracking_number: PartnerReference::new(format!("T{key}")).unwrap(),
        tracking_url: None,
    }
}

fn shipping(id: OrderId, order: &PlacedOrder, dice: &mut Dice, key: &str) -> Option<OrderCommand> {
    let waiting: Vec<ShipmentId> = order
        .shipments
        .iter()
        .filter(|(_, book)| book.status.is_waiting())
        .map(|(shipment, _)| *shipment)
        .collect();
    Some(match dice.roll(6) {
        0 => OrderCommand::RequestShipment {
            shipment: ShipmentId::derive(id, key),
            location: location(dice),
            lines: if dice.one_in(2) { some_units(order, dice) } else { vec![] },
            by: dice
                .pick(&[
                    ShippedBy::Partner { parcels: 2 },
                    ShippedBy::Manual { parcels: vec![booked(key)] },
                ])
                .unwrap(),
        },
        1 => OrderCommand::ClearShipment { shipment: dice.pick(&waiting)? },
        2 if dice.one_in(2) => OrderCommand::CancelShipment { shipment: dice.pick(&waiting)? },
        _ => OrderCommand::RecordDispatch {
            shipment: dice.pick(&waiting)?,
            parcels: vec![booked("a"), booked("b")],
        },
    })
}

fn parcels(order: &PlacedOrder, dice: &mut Dice) -> Option<OrderCommand> {
    let all: Vec<ShipmentId> = order.shipments.keys().copied().collect();
    let shipment = dice.pick(&all)?;
    if dice.one_in(2) {
        return Some(OrderCommand::RecordDelivery { shipment, delivered_at: at(7_200) });
    }
    let status = dice.pick(&TrackingStatus::ALL).unwrap();
    Some(OrderCommand::RecordTracking { shipment, parcel: dice.roll(2), status, at: at(3_600) })
}

fn some_units(order: &PlacedOrder, dice: &mut Dice) -> Vec<LineUnits> {
    let line = dice.roll(u32::try_from(order.lines.len()).unwrap());
    vec![LineUnits { line, quantity: Quantity::new(i64::from(dice.roll(2)) + 1).unwrap() }]
}

fn returning(id: OrderId, order: &PlacedOrder, dice: &mut Dice, key: &str) -> OrderCommand {
    let request = OrderCommand::RequestReturn {
        return_id: ReturnId::derive(id, key),
        lines: some_units(order, dice),
        reason: ReturnReason::Size,
        note: None,
    };
    let known: Vec<ReturnId> = order.returns.keys().copied().collect();
    let Some(return_id) = dice.pick(&known).filter(|_| !dice.one_in(4)) else { return request };
    let book = &order.returns[&return_id];
    match book.status {
        ReturnProgress::Requested if dice.one_in(4) => {
            OrderCommand::DeclineReturn { return_id, note: None }
        }
        ReturnProgress::Requested => OrderCommand::ApproveReturn { return_id },
        ReturnProgress::Approved | ReturnProgress::Received if dice.one_in(4) => {
            OrderCommand::CloseReturn { return_id }
        }
        ReturnProgress::Approved | ReturnProgress::Received => {
            let LineUnits { line, .. } = book.lines[0];
            let goods = ReceivedUnits {
                line,
                quantity: Quantity::ONE,
                disposition: dice
                    .pick(&[Disposition::Restocked, Disposition::WrittenOff, Disposition::Missing])
                    .unwrap(),
                location: location(dice),
            };
            let movement = MovementId::derive(id, key);
            OrderCommand::ReceiveReturn { return_id, goods: vec![goods], movement }
        }
        ReturnProgress::Declined | ReturnProgress::Closed => request,
    }
}

fn refund(id: OrderId, order: &PlacedOrder, dice: &mut Dice, key: &str) -> Option<OrderCommand> {
    if order.refundable() == 0 {
        return None;
    }
    let what = if dice.one_in(2) {
        RefundOf::Amount(order.money(i64::from(dice.roll(200)) + 1))
    } else {
        RefundOf::Lines(some_units(order, dice))
    };
    Some(OrderCommand::RequestRefund {
        refund: RefundId::derive(id, key),
        payment: None,
        what,
        return_id: None,
        reason: RefundReason::Damaged,
        note: None,
    })
}

fn giving_up(id: OrderId, order: &PlacedOrder, dice: &mut Dice, key: &str) -> Option<OrderCommand> {
    let movement = MovementId::derive(id, key);
    let reason = CancelReason::Customer;
    match dice.roll(24) {
        0 => Some(OrderCommand::Cancel { reason, movement }),
        1 => {
            let sku = order.details.lines[0].sku.clone();
            Some(OrderCommand::Reject { reason: RejectReason::UnknownSku { sku } })
        }
        2..=8 => {
            let lines = some_units(order, dice);
            Some(OrderCommand::CancelLines { lines, reason, movement, order: id })
        }
        _ => None,
    }
}

fn holding(id: OrderId, dice: &mut Dice, key: &str) -> OrderCommand {
    let movement = MovementId::derive(id, key);
    if dice.one_in(3) {
        let name = dice.pick(&["fraud-review", "address"]).unwrap();
        let hold = HoldName::new(name).unwrap();
        return OrderCommand::Hold { hold, reason: HoldReason::Other, note: None, movement };
    }
    let name = dice.pick(&["fraud-review", "address", "value"]).unwrap();
    OrderCommand::ReleaseHold { hold: HoldName::new(name).unwrap(), movement, order: id }
}

fn editing(id: OrderId, dice: &mut Dice, key: &str) -> OrderCommand {
    if dice.one_in(3) {
        return OrderCommand::AttachCustomer { customer: customer(dice) };
    }
    let subject = SubjectId::of_guest(id);
    let country = CountryCode::new(dice.pick(&["GB", "FR"]).unwrap()).unwrap();
    OrderCommand::Edit(OrderEdit {
        contact: dice.one_in(3).then(|| sealed(subject, key)),
        shipping_address: dice.one_in(4).then(|| (sealed(subject, key), country)),
        billing_address: dice.one_in(4).then(|| sealed(subject, key)),
        note: dice.one_in(4).then(|| dice.one_in(2).then(|| sealed(subject, key))),
        add_tags: (0..dice.roll(2)).map(|_| tag(dice)).collect(),
        remove_tags: (0..dice.roll(2)).map(|_| tag(dice)).collect(),
        cancel: vec![],
        movement: MovementId::derive(id, key),
        order: id,
    })
}
