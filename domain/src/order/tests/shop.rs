//! Words for telling stories about orders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::decider::{Decider, fold};
use crate::ids::{
    CaptureId, Channel, CountryCode, HoldName, LocationCode, MovementId, OrderId, PartnerReference,
    PaymentId, PaymentToken, RefundId, ReturnId, ShipmentId, Sku, derive_uuid,
};
use crate::money::{Currency, Money};
use crate::order::*;
use crate::quantity::Quantity;
use crate::shipment::{BookedParcel, TrackingStatus};
use crate::stock::{Acceptance, LocatedUnits};

/// An order that is being dealt with: every command that is accepted moves it on.
#[derive(Clone)]
pub(super) struct Shop {
    state: OrderState,
    pub(super) events: Vec<OrderEvent>,
}

pub(super) const NOON: DateTime<Utc> = DateTime::UNIX_EPOCH;

pub(super) fn gbp(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

pub(super) fn units(line: u32, quantity: i64) -> LineUnits {
    LineUnits { line, quantity: Quantity::new(quantity).unwrap() }
}

pub(super) fn place(name: &str) -> LocationCode {
    LocationCode::new(name).unwrap()
}

pub(super) fn sku(name: &str) -> Sku {
    Sku::new(name).unwrap()
}

pub(super) fn id() -> OrderId {
    OrderId(derive_uuid(&["the order"]))
}

pub(super) fn payment() -> PaymentId {
    PaymentId::of(id())
}

pub(super) fn capture(name: &str) -> CaptureId {
    CaptureId::derive(id(), name)
}

pub(super) fn refund(name: &str) -> RefundId {
    RefundId::derive(id(), name)
}

pub(super) fn shipment(name: &str) -> ShipmentId {
    ShipmentId::derive(id(), name)
}

pub(super) fn a_return() -> ReturnId {
    ReturnId::derive(id(), "a return")
}

pub(super) fn movement(name: &str) -> MovementId {
    MovementId::derive(id(), name)
}

pub(super) fn hold_name(name: &str) -> HoldName {
    HoldName::new(name).unwrap()
}

pub(super) fn reference(name: &str) -> PartnerReference {
    PartnerReference::new(name).unwrap()
}

pub(super) fn goods(name: &str, quantity: i64, price: i64) -> Line {
    Line {
        sku: sku(name),
        title: String::new(),
        kind: LineKind::Goods,
        quantity: Quantity::new(quantity).unwrap(),
        unit_price: gbp(price),
        discounts: vec![],
        taxes: vec![],
    }
}

pub(super) fn charge(name: &str, price: i64) -> Line {
    Line { kind: LineKind::Charge, ..goods(name, 1, price) }
}

pub(super) fn order_of(lines: Vec<Line>) -> OrderDetails {
    let total = lines.iter().map(|line| line.subtotal().unwrap().minor).sum();
    OrderDetails {
        channel: Channel::new("web").unwrap(),
        external_reference: None,
        customer: None,
        contact: None,
        shipping_address: None,
        billing_address: None,
        country: CountryCode::new("GB").unwrap(),
        lines,
        discounts: vec![],
        prices_include_tax: true,
        currency: Currency::GBP,
        total: gbp(total),
        handling: Handling::Partners { payment_token: Some(PaymentToken::new("tok_ok").unwrap()) },
        policies: Policies::default(),
        prefer_location: None,
        risk_score: None,
        tags: BTreeSet::new(),
        note: None,
        metadata: BTreeMap::new(),
    }
}

pub(super) fn manually_dispatched(mut details: OrderDetails) -> OrderDetails {
    details.policies.dispatch = DispatchPolicy::Manual;
    details
}

pub(super) fn charged_at_once(mut details: OrderDetails) -> OrderDetails {
    details.policies.capture = CapturePolicy::AtOnce;
    details
}

pub(super) fn accepting_less(mut details: OrderDetails) -> OrderDetails {
    details.policies.acceptance = Acceptance::Partial;
    details
}

pub(super) fn two_mugs_and_postage() -> OrderDetails {
    order_of(vec![goods("MUG", 2, 500), charge("POST", 300)])
}

pub(super) fn found(name: &str, places: &[(&str, i64)], backordered: u32) -> SkuAllocation {
    let located = |&(location, quantity): &(&str, i64)| LocatedUnits {
        location: place(location),
        quantity: Quantity::new(quantity).unwrap(),
    };
    let units = places.iter().map(located).collect();
    SkuAllocation { sku: sku(name), units, backordered, as_of: 10 }
}

pub(super) fn parcel(number: &str) -> BookedParcel {
    BookedParcel {
        carrier: "simulated".to_owned(),
        tracking_number: reference(number),
        tracking_url: None,
    }
}

pub(super) fn place_command(details: OrderDetails) -> OrderCommand {
    let details = Arc::new(details);
    OrderCommand::Place { details, number: None, holds: vec![], placed_at: NOON }
}

#[expect(clippy::needless_pass_by_value, reason = "reads as a sentence at every call")]
impl Shop {
    /// An order that was just placed.
    pub(super) fn with(details: OrderDetails) -> Self {
        let mut shop = Self { state: OrderState::NotPlaced, events: vec![] };
        shop.does(place_command(details));
        shop
    }

    /// An order whose goods are all at `main` and whose money is held, confirmed.
    pub(super) fn confirmed(details: OrderDetails) -> Self {
        Self::with(details).supplied().paid().then(OrderCommand::Confirm { order: id() })
    }

    /// A confirmed order of which everything has left and arrived, and is paid.
    pub(super) fn delivered(details: OrderDetails) -> Self {
        let mut shop = Self::confirmed(details);
        shop.everything_leaves();
        shop.all_captures_succeed();
        shop.everything_arrives();
        shop
    }

    /// Everything of the order is set aside at `main`.
    pub(super) fn supplied(self) -> Self {
        let goods: Vec<_> = self
            .order()
            .details
            .goods()
            .into_iter()
            .map(|(sku, units)| found(sku.as_str(), &[("main", units.try_into().unwrap())], 0))
            .collect();
        self.then(OrderCommand::RecordAllocation { goods })
    }

    /// The gateway holds all that is to be paid.
    pub(super) fn paid(self) -> Self {
        match self.order().total() {
            0 => self,
            total => self.then(authorised(total)),
        }
    }

    /// Goes on with a command that must be accepted.
    pub(super) fn then(mut self, command: OrderCommand) -> Self {
        self.does(command);
        self
    }

    /// Carries out a command that must be accepted, and makes sure that doing it again changes
    /// nothing. Returns what happened.
    #[track_caller]
    pub(super) fn does(&mut self, command: OrderCommand) -> Vec<OrderEvent> {
        let events = Order::decide(&self.state, &command)
            .unwrap_or_else(|rejection| panic!("{command:?} was rejected: {rejection}"));
        self.state = fold::<Order>(self.state.clone(), &events);
        self.events.extend(events.iter().cloned());
        assert_eq!(Order::decide(&self.state, &command), Ok(vec![]), "again: {command:?}");
        events
    }

    /// Why a command is refused.
    #[track_caller]
    pub(super) fn refuses(&self, command: OrderCommand) -> OrderRejection {
        match Order::decide(&self.state, &command) {
            Err(rejection) => rejection,
            Ok(events) => panic!("{command:?} was accepted: {events:?}"),
        }
    }

    pub(super) fn order(&self) -> &PlacedOrder {
        self.state.placed().expect("it was placed")
    }

    pub(super) fn line(&self, line: usize) -> &LineLedger {
        &self.order().lines[line]
    }

    pub(super) fn waiting(&self) -> Vec<ShipmentId> {
        let waiting = self.order().shipments.iter().filter(|(_, book)| book.status.is_waiting());
        waiting.map(|(&shipment, _)| shipment).collect()
    }

    pub(super) fn everything_leaves(&mut self) {
        for shipment in self.waiting() {
            self.does(OrderCommand::ClearShipment { shipment });
            let parcels = vec![parcel("SIM1")];
            self.does(OrderCommand::RecordDispatch { shipment, parcels });
        }
    }

    pub(super) fn everything_arrives(&mut self) {
        for shipment in self.order().shipments.clone().into_keys() {
            if self.order().shipments[&shipment].status == ShipmentStatus::Dispatched {
                self.does(OrderCommand::RecordDelivery { shipment, delivered_at: NOON });
            }
        }
    }

    pub(super) fn all_captures_succeed(&mut self) {
        for capture in self.order().captures.clone().into_keys() {
            self.does(OrderCommand::RecordCapture { capture });
        }
    }

    pub(super) fn all_refunds_succeed(&mut self) {
        for refund in self.order().refunds.clone().into_keys() {
            self.does(OrderCommand::RecordRefund { refund });
        }
    }
}

pub(super) fn authorised(amount: i64) -> OrderCommand {
    let (payment, amount) = (payment(), gbp(amount));
    OrderCommand::RecordAuthorisation { payment, amount, expires_at: None }
}

pub(super) fn cancel() -> OrderCommand {
    OrderCommand::Cancel { reason: CancelReason::Customer, movement: movement("cancel") }
}

pub(super) fn cancel_lines(lines: &[LineUnits], name: &str) -> OrderCommand {
    OrderCommand::CancelLines {
        lines: lines.to_vec(),
        reason: CancelReason::Customer,
        movement: movement(name),
        order: id(),
    }
}

pub(super) fn hold(name: &str) -> OrderCommand {
    hold_under(name, name)
}

pub(super) fn hold_under(name: &str, key: &str) -> OrderCommand {
    let movement = movement(&format!("hold {key}"));
    OrderCommand::Hold { hold: hold_name(name), reason: HoldReason::Fraud, note: None, movement }
}

pub(super) fn release_hold(name: &str) -> OrderCommand {
    release_under(name, name)
}

pub(super) fn release_under(name: &str, key: &str) -> OrderCommand {
    let movement = movement(&format!("release {key}"));
    OrderCommand::ReleaseHold { hold: hold_name(name), movement, order: id() }
}

pub(super) fn refund_amount(name: &str, amount: i64) -> OrderCommand {
    refund_of(name, RefundOf::Amount(gbp(amount)), None)
}

pub(super) fn refund_lines(name: &str, lines: &[LineUnits]) -> OrderCommand {
    refund_of(name, RefundOf::Lines(lines.to_vec()), None)
}

pub(super) fn refund_of(name: &str, what: RefundOf, return_id: Option<ReturnId>) -> OrderCommand {
    OrderCommand::RequestRefund {
        refund: refund(name),
        payment: None,
        what,
        return_id,
        reason: RefundReason::Damaged,
        note: None,
    }
}

pub(super) fn ship(name: &str, from: &str, lines: &[LineUnits]) -> OrderCommand {
    OrderCommand::RequestShipment {
        shipment: shipment(name),
        location: place(from),
        lines: lines.to_vec(),
        by: ShippedBy::Partner { parcels: 1 },
    }
}

pub(super) fn tracked(name: &str, parcel: u32, status: TrackingStatus) -> OrderCommand {
    OrderCommand::RecordTracking { shipment: shipment(name), parcel, status, at: NOON }
}

/// Kinds of events, for stories where only these matter.
pub(super) fn names(events: &[OrderEvent]) -> Vec<String> {
    let name = |event: &OrderEvent| {
        let text = format!("{event:?}");
        text.split('(').next().unwrap_or_default().to_owned()
    };
    events.iter().map(name).collect()
}
