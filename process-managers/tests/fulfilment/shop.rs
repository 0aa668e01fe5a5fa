//! A shop to test in: an event store, a payment gateway and a carrier, all reached over a wire.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::fulfilment::{
    Fulfilment, FulfilmentState, Outcome, Phase, asked_by_stock, asked_for, phase,
};
use domain::ids::{
    Channel, CountryCode, HoldName, LocationCode, MovementId, OrderId, PartnerReference, PaymentId,
    PaymentToken, ProcessId, ReceiptId, ShipmentId, Sku, SubjectId,
};
use domain::money::{Currency, Money};
use domain::order::{
    CancelReason, Handling, HoldReason, Line, LineKind, LineUnits, Order, OrderCommand,
    OrderDetails, OrderEvent, OrderState, OrderStatus, PlacedOrder, Policies,
};
use domain::payment::{Payment, PaymentState};
use domain::personal::{PostalAddress, Sealed};
use domain::quantity::Quantity;
use domain::shipment::{Shipment, ShipmentState};
use domain::stock::{Stock, StockCommand, StockEvent, StockPolicy, StockState};
use futures::TryStreamExt as _;
use journal::{Context, Journal, Repository, SystemClock};
use keyring::{Keyring, MasterKeys, Place};
use partner_simulator::Simulator;
use process_managers::{Options, ProcessManager};
use schemas::id_in;
use tokio::net::TcpListener;

/// How long anything may take before it counts as stuck: long enough for a machine with other work.
const PATIENCE: Duration = Duration::from_mins(4);

const MASTER_KEY: &str = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";

pub(crate) struct Shop {
    pub(crate) journal: Journal,
    pub(crate) partners: Simulator,
    store: embedded_store::Server,
    pub(crate) orders: Repository<Order>,
    pub(crate) stock: Repository<Stock>,
    payments: Repository<Payment>,
    shipments: Repository<Shipment>,
    pub(crate) processes: Repository<Fulfilment>,
}

/// What the payment gateway has done for one order, over all its payments.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Charged {
    pub(crate) payments: u64,
    pub(crate) authorisations: u64,
    pub(crate) captures: u64,
    pub(crate) refunds: u64,
    pub(crate) authorised: u64,
    pub(crate) captured: u64,
    pub(crate) refunded: u64,
    /// Let go, or run out.
    pub(crate) released: u64,
}

impl Charged {
    /// What the gateway holds or is moving.
    pub(crate) fn held(&self) -> u64 {
        self.authorised - self.captured - self.released
    }

    /// What we have got.
    pub(crate) fn kept(&self) -> u64 {
        self.captured - self.refunded
    }
}

/// An order to be placed.
pub(crate) struct Wanted {
    pub(crate) price: i64,
    pub(crate) lines: Vec<(&'static str, i64)>,
    pub(crate) handling: Handling,
    pub(crate) policies: Policies,
    pub(crate) holds: Vec<&'static str>,
    pub(crate) shipping_address: Option<Sealed>,
    pub(crate) id: OrderId,
}

impl Wanted {
    /// Lines of a SKU and units each, at a pound a unit.
    pub(crate) fn paid_with(token: &str, lines: &[(&'static str, i64)]) -> Self {
        let payment_token = Some(PaymentToken::new(token).unwrap());
        Self::handled(Handling::Partners { payment_token }, lines)
    }

    pub(crate) fn paid_by_hand(lines: &[(&'static str, i64)]) -> Self {
        Self::handled(Handling::Partners { payment_token: None }, lines)
    }

    pub(crate) fn handled(handling: Handling, lines: &[(&'static str, i64)]) -> Self {
        Self {
            price: 100,
            lines: lines.to_vec(),
            handling,
            policies: Policies::default(),
            holds: vec![],
            shipping_address: None,
            id: OrderId(journal::ids::new_id()),
        }
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    pub(crate) async fn open_with(change: impl FnOnce(&mut partner_simulator::Options)) -> Self {
        let options = embedded_store::Options::temporary();
        let store = embedded_store::serve(listener().await, options).await.unwrap();
        let journal = connect(&store.connection_string());
        let mut options = partner_simulator::Options {
            payment_delay: Duration::ZERO,
            pending: Duration::from_millis(300),
            carrier_transit: Duration::from_millis(50),
            ..Default::default()
        };
        change(&mut options);
        let partners = partner_simulator::serve(listener().await, options).unwrap();
        Self {
            orders: Repository::new(journal.clone(), 1_000),
            stock: Repository::new(journal.clone(), 1_000),
            payments: Repository::new(journal.clone(), 1_000),
            shipments: Repository::new(journal.clone(), 1_000),
            processes: Repository::new(journal.clone(), 1_000),
            journal,
            partners,
            store,
        }
    }

    pub(crate) fn address(&self) -> String {
        self.store.connection_string()
    }

    pub(crate) fn options(&self) -> Options {
        Options::for_partners_at(&self.partners.base_url())
    }

    pub(crate) fn process_manager(&self) -> ProcessManager {
        self.process_manager_with(&self.options())
    }

    pub(crate) fn process_manager_with(&self, options: &Options) -> ProcessManager {
        start(&self.journal, options)
    }
}

/// Process managers over `journal`.
pub(crate) fn start(journal: &Journal, options: &Options) -> ProcessManager {
    let keyring = Keyring::new(journal.clone(), MasterKeys::parse(MASTER_KEY).unwrap());
    ProcessManager::start(journal.clone(), keyring, options).unwrap()
}

// ── What people do ───────────────────────────────────────────────────────────────────────────────

impl Shop {
    /// Takes goods in where nobody named a location for.
    pub(crate) async fn receive(&self, sku: &str, units: i64) {
        self.receive_at(LocationCode::MAIN, sku, units).await;
    }

    pub(crate) async fn receive_at(&self, location: &str, sku: &str, units: i64) {
        let command = StockCommand::Receive {
            receipt: ReceiptId(journal::ids::new_id()),
            location: LocationCode::new(location).unwrap(),
            quantity: Quantity::new(units).unwrap(),
        };
        self.stock.execute(&Sku::new(sku).unwrap(), command, context()).await.unwrap();
    }

    pub(crate) async fn promise_before_it_comes(&self, sku: &str) {
        let policy = StockPolicy::Backorder;
        let movement = MovementId(journal::ids::new_id());
        let command = StockCommand::SetPolicy { movement, policy, low_stock_at: None };
        self.stock.execute(&Sku::new(sku).unwrap(), command, context()).await.unwrap();
    }

    pub(crate) async fn place(&self, lines: &[(&'static str, i64)], token: &str) -> OrderId {
        self.place_wanted(Wanted::paid_with(token, lines)).await
    }

    pub(crate) async fn place_wanted(&self, wanted: Wanted) -> OrderId {
        let Wanted { price, lines, handling, policies, holds, shipping_address, id } = wanted;
        let line = |&(sku, units): &(&str, i64)| Line {
            sku: Sku::new(sku).unwrap(),
            title: String::new(),
            kind: LineKind::Goods,
            quantity: Quantity::new(units).unwrap(),
            unit_price: Money::new(price, Currency::GBP),
            discounts: vec![],
            taxes: vec![],
        };
        let total = lines.iter().map(|(_, units)| units * price).sum();
        let details = OrderDetails {
            channel: Channel::new("web").unwrap(),
            external_reference: None,
            customer: None,
            contact: None,
            shipping_address,
            billing_address: None,
            country: CountryCode::new("GB").unwrap(),
            lines: lines.iter().map(line).collect(),
            discounts: vec![],
            prices_include_tax: true,
            currency: Currency::GBP,
            total: pence(total),
            handling,
            policies,
            prefer_location: None,
            risk_score: None,
            tags: BTreeSet::new(),
            note: None,
            metadata: BTreeMap::new(),
        };
        let hold = |name: &str| (hold_named(name), HoldReason::Fraud);
        let command = OrderCommand::Place {
            details: Arc::new(details),
            number: None,
            holds: holds.into_iter().map(hold).collect(),
            placed_at: self.journal.clock().now(),
        };
        self.tell(id, command).await;
        id
    }

    /// Has the order do something that it allows.
    pub(crate) async fn tell(&self, order: OrderId, command: OrderCommand) {
        self.try_to(order, command).await.unwrap();
    }

    pub(crate) async fn try_to(
        &self,
        order: OrderId,
        command: OrderCommand,
    ) -> Result<(), journal::ExecuteError<domain::order::OrderRejection>> {
        self.orders.execute(&order, command, context()).await.map(drop)
    }

    /// False when it was too late.
    pub(crate) async fn cancel(&self, order: OrderId) -> bool {
        let movement = MovementId::derive(order, "whole");
        let cancel = OrderCommand::Cancel { reason: CancelReason::Customer, movement };
        self.try_to(order, cancel).await.is_ok()
    }

    pub(crate) async fn cancel_units(&self, order: OrderId, line: u32, units: i64) {
        let lines = vec![LineUnits { line, quantity: Quantity::new(units).unwrap() }];
        let movement = MovementId(journal::ids::new_id());
        let reason = CancelReason::Customer;
        self.tell(order, OrderCommand::CancelLines { lines, reason, movement, order }).await;
    }

    pub(crate) async fn release_hold(&self, order: OrderId, hold: &str) {
        let (hold, movement) = (hold_named(hold), MovementId(journal::ids::new_id()));
        self.tell(order, OrderCommand::ReleaseHold { hold, movement, order }).await;
    }

    /// Somebody says that pence came to the bank.
    pub(crate) async fn pay_by_hand(&self, order: OrderId, minor: i64, reference: &str) {
        let payment = PaymentId::derive(order, reference);
        let reference = PartnerReference::new(reference).unwrap();
        let amount = pence(minor);
        self.tell(order, OrderCommand::RecordPayment { payment, amount, reference }).await;
    }

    pub(crate) async fn resume(&self, process: ProcessId) {
        let command = domain::fulfilment::FulfilmentCommand::Resume;
        self.processes.execute(&process, command, context()).await.unwrap();
    }

    /// Forgets who placed an order.
    pub(crate) async fn erase(&self, order: OrderId) {
        let keyring = Keyring::new(self.journal.clone(), MasterKeys::parse(MASTER_KEY).unwrap());
        keyring.erase(SubjectId::of_guest(order), context()).await.unwrap();
    }

    /// What the shop keeps of where somebody lives.
    pub(crate) async fn seal_for(&self, order: OrderId, address: &PostalAddress) -> Sealed {
        let keyring = Keyring::new(self.journal.clone(), MasterKeys::parse(MASTER_KEY).unwrap());
        let stream = schemas::stream_of::<Order>(&order);
        let (event_type, field) = ("order-placed", "shipping-address");
        let place = Place { stream: &stream, event_type, field };
        keyring.seal(SubjectId::of_guest(order), &place, address).await.unwrap()
    }
}

// ── What came of it ──────────────────────────────────────────────────────────────────────────────

impl Shop {
    /// How the acceptance of an order ended.
    pub(crate) async fn finished(&self, process: impl Into<ProcessId>) -> Outcome {
        let end = self.reaches(process, |phase| matches!(phase, Phase::Finished(_))).await;
        let Phase::Finished(outcome) = end else { unreachable!("{end:?}") };
        outcome
    }

    /// Waits until a process is where it is wanted.
    pub(crate) async fn reaches(
        &self,
        process: impl Into<ProcessId>,
        wanted: impl Fn(&Phase) -> bool,
    ) -> Phase {
        let process = process.into();
        let mut last = FulfilmentState::NotStarted;
        let watching = async {
            loop {
                last = self.process(process).await;
                if wanted(&phase(&last)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, watching).await;
        assert!(reached.is_ok(), "process {process} got stuck: {last:#?}");
        phase(&last)
    }

    pub(crate) async fn process(&self, process: impl Into<ProcessId>) -> FulfilmentState {
        let loaded = self.processes.load(&process.into()).await.unwrap();
        loaded.map_or(FulfilmentState::NotStarted, |it| it.state.as_ref().clone())
    }

    /// Waits until the order is as it is wanted.
    pub(crate) async fn becomes(
        &self,
        order: OrderId,
        wanted: impl Fn(&PlacedOrder) -> bool,
    ) -> PlacedOrder {
        let mut last = None;
        let watching = async {
            loop {
                let now = self.order(order).await;
                let is_wanted = wanted(&now);
                last = Some(now);
                if is_wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, watching).await;
        assert!(reached.is_ok(), "order {order} got stuck: {last:#?}");
        last.unwrap()
    }

    pub(crate) async fn completes(&self, order: OrderId) -> PlacedOrder {
        self.becomes(order, |order| order.status == OrderStatus::Completed).await
    }

    pub(crate) async fn order(&self, order: OrderId) -> PlacedOrder {
        let loaded = self.orders.load(&order).await.unwrap().unwrap();
        let OrderState::Placed(order) = loaded.state.as_ref() else { unreachable!() };
        order.as_ref().clone()
    }

    pub(crate) async fn status(&self, order: OrderId) -> OrderStatus {
        self.order(order).await.status
    }

    /// Waits until everything that was ever asked for is done.
    pub(crate) async fn comes_to_rest(&self) {
        let mut open = BTreeSet::new();
        let watching = async {
            loop {
                open = self.open_processes().await;
                if open.is_empty() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let rest = tokio::time::timeout(PATIENCE, watching).await;
        assert!(rest.is_ok(), "did not come to rest: {open:?}");
    }

    /// The processes that something in the log asks for and that have not ended.
    async fn open_processes(&self) -> BTreeSet<ProcessId> {
        let (mut asked, mut finished) = (BTreeSet::new(), BTreeSet::new());
        let mut log = self.journal.read_all(journal::Position::START);
        while let Some(event) = log.try_next().await.unwrap() {
            if let Some(order) = id_in::<Order>(&event.stream) {
                let asking = event.decode::<OrderEvent>().unwrap();
                let process = asked_for(order, &asking, event.revision, DateTime::<Utc>::MIN_UTC);
                asked.extend(process.map(|(process, _)| process));
            } else if let Some(sku) = id_in::<Stock>(&event.stream) {
                if let StockEvent::BackorderFilled(filled) = event.decode().unwrap() {
                    asked.insert(asked_by_stock(sku, &filled, event.revision).0);
                }
            } else if event.event_type == "fulfilment-finished" {
                finished.extend(id_in::<Fulfilment>(&event.stream));
            }
        }
        asked.difference(&finished).copied().collect()
    }

    /// How many events there are, but for the managers' own checkpoints.
    pub(crate) async fn events_in_all(&self) -> usize {
        let mut count = 0;
        let mut log = self.journal.read_all(journal::Position::START);
        while let Some(event) = log.try_next().await.unwrap() {
            count += usize::from(event.stream.category() != "process_manager");
        }
        count
    }

    pub(crate) async fn stock(&self, sku: &str) -> StockState {
        let loaded = self.stock.load(&Sku::new(sku).unwrap()).await.unwrap().unwrap();
        loaded.state.as_ref().clone()
    }

    /// Units on the shelves, and units set aside.
    pub(crate) async fn shelves(&self, sku: &str) -> (u64, u64) {
        let stock = self.stock(sku).await;
        (stock.on_hand(), stock.reserved())
    }

    pub(crate) async fn payment(&self, payment: PaymentId) -> PaymentState {
        let loaded = self.payments.load(&payment).await.unwrap();
        loaded.map_or(PaymentState::Unknown, |it| it.state.as_ref().clone())
    }

    pub(crate) async fn shipment(&self, shipment: ShipmentId) -> ShipmentState {
        let loaded = self.shipments.load(&shipment).await.unwrap();
        loaded.map_or_else(ShipmentState::default, |it| it.state.as_ref().clone())
    }

    /// What the gateway says it did for `order`.
    pub(crate) async fn charged(&self, order: OrderId) -> Charged {
        let mut charged = Charged::default();
        for payment in self.ask_partner("payments").await {
            if payment["order"] != order.to_string().as_str() {
                continue;
            }
            let number = |key: &str| payment[key].as_u64().unwrap_or_default();
            charged.payments += 1;
            charged.authorisations += number("authorisations");
            charged.captures += number("captures");
            charged.refunds += number("refunds");
            charged.authorised += number("authorised");
            charged.captured += number("captured");
            charged.refunded += number("refunded");
            charged.released += number("voided") + number("expired");
        }
        charged
    }

    /// What the carrier knows of shipments of `order`.
    pub(crate) async fn carried(&self, order: OrderId) -> Vec<serde_json::Value> {
        let all = self.ask_partner("shipments").await;
        all.into_iter().filter(|it| it["order"] == order.to_string().as_str()).collect()
    }

    async fn ask_partner(&self, what: &str) -> Vec<serde_json::Value> {
        let url = format!("{}/{what}", self.partners.base_url());
        let all: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        all[what].as_array().unwrap().clone()
    }
}

/// A connection of its own, as another process would have.
pub(crate) fn connect(address: &str) -> Journal {
    let address = address.parse().unwrap();
    let options = journal::Options::new(address).with_deadline(Duration::from_secs(20));
    Journal::connect(options, Arc::new(SystemClock)).unwrap()
}

pub(crate) fn pence(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

pub(crate) fn hold_named(name: &str) -> HoldName {
    HoldName::new(name).unwrap()
}

fn context() -> Context {
    let command_id = journal::ids::new_id();
    Context {
        command_id,
        correlation_id: command_id,
        causation_id: command_id,
        actor: "client:test".to_owned(),
        traceparent: None,
    }
}
