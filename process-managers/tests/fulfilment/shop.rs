//! A shop to test in: an event store, a payment gateway and a carrier, all reached over a wire.

use std::sync::Arc;
use std::time::Duration;

use domain::fulfilment::{Fulfilment, FulfilmentState, Outcome, Phase, phase};
use domain::ids::{Channel, CountryCode, OrderId, PaymentId, PaymentToken, ReceiptId, Sku};
use domain::money::{Currency, Money};
use domain::order::{
    CancelReason, Handling, Line, LineKind, Order, OrderCommand, OrderDetails, OrderStatus,
};
use domain::payment::{Payment, PaymentState};
use domain::quantity::Quantity;
use domain::stock::{Stock, StockCommand, StockState};
use journal::{Context, Journal, Repository, SystemClock};
use partner_simulator::Simulator;
use process_managers::{Options, ProcessManager};
use tokio::net::TcpListener;
use uuid::Uuid;

pub(crate) struct Shop {
    pub(crate) journal: Journal,
    pub(crate) partners: Simulator,
    store: embedded_store::Server,
    orders: Repository<Order>,
    stock: Repository<Stock>,
    payments: Repository<Payment>,
    processes: Repository<Fulfilment>,
}

/// What the payment gateway has done for one order.
#[derive(Debug, PartialEq)]
pub(crate) struct Charged {
    pub(crate) authorisations: u64,
    pub(crate) captures: u64,
    pub(crate) captured: u64,
    pub(crate) voided: u64,
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
            carrier_transit: Duration::from_millis(50),
            ..Default::default()
        };
        change(&mut options);
        let partners = partner_simulator::serve(listener().await, options).unwrap();
        Self {
            orders: Repository::new(journal.clone(), 1_000),
            stock: Repository::new(journal.clone(), 1_000),
            payments: Repository::new(journal.clone(), 1_000),
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
        ProcessManager::start(self.journal.clone(), &self.options()).unwrap()
    }

    pub(crate) async fn receive(&self, sku: &str, units: i64) {
        let receipt = ReceiptId(Uuid::from_u128(u128::from(units.unsigned_abs())));
        let command = StockCommand::Receive { receipt, quantity: Quantity::new(units).unwrap() };
        self.stock.execute(&Sku::new(sku).unwrap(), command, context()).await.unwrap();
    }

    pub(crate) async fn place(&self, skus: &[(&str, i64)], token: &str) -> OrderId {
        let payment_token = PaymentToken::new(token).unwrap();
        self.place_at(100, skus, Handling::Partners { payment_token }).await
    }

    /// Places an order for units at `price` pence each.
    pub(crate) async fn place_at(
        &self,
        price: i64,
        skus: &[(&str, i64)],
        handling: Handling,
    ) -> OrderId {
        let order = OrderId(journal::ids::new_id());
        let line = |&(sku, units): &(&str, i64)| Line {
            sku: Sku::new(sku).unwrap(),
            title: String::new(),
            kind: LineKind::Goods,
            quantity: Quantity::new(units).unwrap(),
            unit_price: Money::new(price, Currency::GBP),
        };
        let total = skus.iter().map(|(_, units)| units * price).sum();
        let details = OrderDetails {
            channel: Channel::new("web").unwrap(),
            customer: None,
            country: CountryCode::new("GB").unwrap(),
            lines: skus.iter().map(line).collect(),
            currency: Currency::GBP,
            total: Money::new(total, Currency::GBP),
            handling,
        };
        let placed_at = self.journal.clock().now();
        let command = OrderCommand::Place { details: Arc::new(details), placed_at };
        self.orders.execute(&order, command, context()).await.unwrap();
        order
    }

    pub(crate) async fn cancel(&self, order: OrderId) -> bool {
        let command = OrderCommand::Cancel { reason: CancelReason::Customer };
        self.orders.execute(&order, command, context()).await.is_ok()
    }

    pub(crate) async fn resume(&self, order: OrderId) {
        let command = domain::fulfilment::FulfilmentCommand::Resume;
        self.processes.execute(&order, command, context()).await.unwrap();
    }

    pub(crate) async fn finished(&self, order: OrderId) -> Outcome {
        let end = self.reaches(order, |phase| matches!(phase, Phase::Finished(_))).await;
        let Phase::Finished(outcome) = end else { unreachable!("{end:?}") };
        outcome
    }

    /// Waits until the process of `order` is where it is wanted.
    pub(crate) async fn reaches(&self, order: OrderId, wanted: impl Fn(&Phase) -> bool) -> Phase {
        let mut last = Phase::NotStarted;
        let watching = async {
            loop {
                let state = self.process(order).await;
                last = phase(&state);
                if wanted(&last) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_mins(1), watching).await;
        assert!(reached.is_ok(), "order {order} got stuck: {last:?}");
        last
    }

    pub(crate) async fn process(&self, order: OrderId) -> FulfilmentState {
        let loaded = self.processes.load(&order).await.unwrap();
        loaded.map_or(FulfilmentState::NotStarted, |it| it.state.as_ref().clone())
    }

    /// How many events the order and its process have.
    pub(crate) async fn events_of(&self, order: OrderId) -> [u64; 2] {
        let order_revision = self.orders.load(&order).await.unwrap().unwrap().revision;
        let process_revision = self.processes.load(&order).await.unwrap().unwrap().revision;
        [order_revision + 1, process_revision + 1]
    }

    pub(crate) async fn status(&self, order: OrderId) -> OrderStatus {
        let loaded = self.orders.load(&order).await.unwrap().unwrap();
        loaded.state.status().unwrap().clone()
    }

    pub(crate) async fn stock(&self, sku: &str) -> StockState {
        let loaded = self.stock.load(&Sku::new(sku).unwrap()).await.unwrap().unwrap();
        loaded.state.as_ref().clone()
    }

    pub(crate) async fn payment(&self, order: OrderId) -> PaymentState {
        let loaded = self.payments.load(&PaymentId::of(order)).await.unwrap();
        loaded.map_or(PaymentState::Unknown, |it| it.state.as_ref().clone())
    }

    /// What the gateway says it did for `order`; `None` when it never heard of it.
    pub(crate) async fn charged(&self, order: OrderId) -> Option<Charged> {
        let url = format!("{}/payments", self.partners.base_url());
        let all: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        let payments = all["payments"].as_array().unwrap();
        let payment = payments.iter().find(|it| it["order"] == order.to_string().as_str())?;
        let number = |key: &str| payment[key].as_u64().unwrap_or_default();
        Some(Charged {
            authorisations: number("authorisations"),
            captures: number("captures"),
            captured: number("captured"),
            voided: number("voided"),
        })
    }
}

/// A connection of its own, as another process would have.
pub(crate) fn connect(address: &str) -> Journal {
    let address = address.parse().unwrap();
    let options = journal::Options::new(address).with_deadline(Duration::from_secs(20));
    Journal::connect(options, Arc::new(SystemClock)).unwrap()
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
