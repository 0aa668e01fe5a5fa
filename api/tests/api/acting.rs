//! What people do to an order through the API, and what processes do to it, by hand: none runs here.

use domain::ids::{LocationCode, OrderId, PartnerReference, PaymentId, ShipmentId};
use domain::money::{Currency, Money};
use domain::order::{LineKind, Order, OrderCommand, PlacedOrder, SkuAllocation};
use domain::shipment::BookedParcel;
use domain::stock::LocatedUnits;
use journal::Repository;
use serde_json::{Value, json};

use crate::support::{Api, two_mugs, with};

const FIELDS: &str = "order {
        id number status paymentStatus fulfilmentStatus returnStatus onHold version
        reason { code } holds { name reason automatic note { text erased } }
        availableActions tags customer country total { amount } outstanding { amount }
        authorised { amount } captured { amount } refunded { amount } refundable { amount }
        contact { name email phone erased } shippingAddress { name lines city country erased }
        note { text erased }
        lines { index sku quantity cancelled backordered shipped delivered returnRequested returned
                refunded refundable allocated { location quantity } total { amount } }
        payments { id authorised { amount } held { amount } captured { amount } voiding receivedAs }
        captures { id amount { amount } status final }
        refunds { id amount { amount } status cause reason lines { line quantity } note { text } }
        chargebacks { reference amount { amount } }
        shipments { id location status by lines { line quantity } deliveredAt
                    parcels { index carrier trackingNumber trackingUrl events { status at } } }
        fulfilmentOrders { location status lines { line remaining shipped } }
        returns { id status reason lines { line quantity } note { text }
                  received { line quantity disposition } }
    }
    position replayed
    userErrors {
        __typename code field message
        ... on InvalidTransition { from action allowed }
        ... on VersionConflict { expectedVersion actualVersion }
        ... on OnHold { holds }
        ... on NotEnoughUnits { line requestedUnits availableUnits }
        ... on NotAllocated { line location requestedUnits availableUnits }
        ... on OverCapture { requestedAmount { amount } availableAmount { amount } }
        ... on OverPayment { requestedAmount { amount } availableAmount { amount } }
        ... on OverRefund { requestedAmount { amount } availableAmount { amount } }
        ... on ShipmentNotReady { shipmentStatus }
        ... on ReturnNotReady { returnStatus }
    }";

/// The payload of a mutation of an order, such as `orderHold`, with `more` fields.
pub(crate) async fn change_with(api: &Api, mutation: &str, more: &str, input: Value) -> Value {
    let query = query(mutation, more);
    api.data(&query, json!({ "input": input })).await["it"].clone()
}

pub(crate) fn query(mutation: &str, more: &str) -> String {
    let kind = format!("{}{}Input", mutation[..1].to_uppercase(), &mutation[1..]);
    format!("mutation($input: {kind}!) {{ it: {mutation}(input: $input) {{ {FIELDS} {more} }} }}")
}

pub(crate) async fn change(api: &Api, mutation: &str, input: Value) -> Value {
    change_with(api, mutation, "", input).await
}

/// The payload of a mutation that must be accepted.
pub(crate) async fn accepted(api: &Api, mutation: &str, input: Value) -> Value {
    let payload = change(api, mutation, input).await;
    assert_eq!(payload["userErrors"], json!([]), "{mutation}: {payload:#}");
    payload
}

/// The only user error of a mutation that must be refused.
pub(crate) async fn refused(api: &Api, mutation: &str, input: Value) -> Value {
    let payload = change(api, mutation, input).await;
    assert_eq!(payload["order"], Value::Null, "{mutation}: {payload:#}");
    assert_eq!(payload["userErrors"].as_array().unwrap().len(), 1, "{mutation}: {payload:#}");
    payload["userErrors"][0].clone()
}

/// `two_mugs` whose goods leave only when the warehouse says so.
pub(crate) fn two_mugs_by_hand(key: &str) -> Value {
    with(two_mugs(key), "/policies", json!({ "dispatch": "MANUAL" }))
}

/// An order in the hands of processes.
pub(crate) struct Acting {
    orders: Repository<Order>,
    pub(crate) id: OrderId,
}

impl Acting {
    /// Places `input` with enough mugs in stock.
    pub(crate) async fn on(api: &Api, input: Value) -> Self {
        api.receive(&["MUG"], 100).await;
        let placed = api.place(input).await;
        assert_eq!(placed["userErrors"], json!([]), "{placed:#}");
        Self::on_order(api, &placed["order"]["id"])
    }

    pub(crate) fn on_order(api: &Api, id: &Value) -> Self {
        let orders = Repository::new(api.journal.clone(), 1);
        Self { orders, id: id.as_str().unwrap().parse().unwrap() }
    }

    /// An order that was placed, has its goods at `main` and its money held, and is promised.
    pub(crate) async fn confirmed(api: &Api, input: Value) -> Self {
        let order = Self::on(api, input).await;
        order.allocate().await;
        let total = order.state().await.details.total;
        order.authorise(total).await;
        order.does(OrderCommand::Confirm { order: order.id }).await;
        order
    }

    /// The same, with all of it on its way.
    pub(crate) async fn shipped(api: &Api, input: Value) -> Self {
        let order = Self::confirmed(api, input).await;
        for shipment in order.state().await.shipments.into_keys() {
            order.dispatch(shipment).await;
        }
        order
    }

    /// The same, paid.
    pub(crate) async fn shipped_and_paid(api: &Api, input: Value) -> Self {
        let order = Self::shipped(api, input).await;
        for capture in order.state().await.captures.into_keys() {
            order.does(OrderCommand::RecordCapture { capture }).await;
        }
        order
    }

    pub(crate) async fn does(&self, command: OrderCommand) {
        let context = journal::Context {
            command_id: journal::ids::new_id(),
            correlation_id: self.id.0,
            causation_id: self.id.0,
            actor: "process:test".to_owned(),
            traceparent: None,
        };
        self.orders.execute(&self.id, command, context).await.unwrap();
    }

    pub(crate) async fn state(&self) -> PlacedOrder {
        let loaded = self.orders.load(&self.id).await.unwrap().unwrap();
        loaded.state.placed().unwrap().clone()
    }

    /// The version that the order has now.
    pub(crate) async fn version(&self) -> u64 {
        self.orders.load(&self.id).await.unwrap().unwrap().revision
    }

    pub(crate) async fn allocate(&self) {
        let details = self.state().await.details;
        let goods = details.lines.iter().filter(|line| line.kind == LineKind::Goods);
        let allocated = goods.map(|line| SkuAllocation {
            sku: line.sku.clone(),
            units: vec![LocatedUnits {
                location: LocationCode::default(),
                quantity: line.quantity,
            }],
            backordered: 0,
            as_of: 0,
        });
        self.does(OrderCommand::RecordAllocation { goods: allocated.collect() }).await;
    }

    pub(crate) async fn authorise(&self, amount: Money) {
        let payment = self.payment();
        self.does(OrderCommand::RecordAuthorisation { payment, amount, expires_at: None }).await;
    }

    pub(crate) async fn dispatch(&self, shipment: ShipmentId) {
        let number = PartnerReference::new("T-1").unwrap();
        let parcel = BookedParcel {
            carrier: "Royal Mail".to_owned(),
            tracking_number: number,
            tracking_url: Some("https://track.example/T-1".to_owned()),
        };
        self.does(OrderCommand::RecordDispatch { shipment, parcels: vec![parcel] }).await;
    }

    /// The payment that the order was placed with.
    pub(crate) fn payment(&self) -> PaymentId {
        PaymentId::of(self.id)
    }

    /// An input about the order as `id`, under `key`, with more fields.
    pub(crate) fn by_id(&self, key: &str, more: Value) -> Value {
        merged(json!({ "id": self.id.0, "idempotencyKey": key }), more)
    }

    /// An input about the order as `orderId`.
    pub(crate) fn input(&self, key: &str, more: Value) -> Value {
        merged(json!({ "orderId": self.id.0, "idempotencyKey": key }), more)
    }
}

fn merged(mut input: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more} is no object") };
    input.as_object_mut().unwrap().extend(more);
    input
}

pub(crate) fn pounds(pence: i64) -> Money {
    Money::new(pence, Currency::GBP)
}

pub(crate) fn units(line: i32, quantity: i32) -> Value {
    json!([{ "line": line, "quantity": quantity }])
}
