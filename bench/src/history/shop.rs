//! The shop: orders come in, and what is going to happen with them happens, one thing after another, in
//! the order of time. Orders are interleaved because their turns are.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use domain::data_key::{DataKey, DataKeyCommand};
use domain::ids::{
    HoldName, IdempotencyKey, MovementId, NumberSeries, OrderId, OrderNumber, ReceiptId, Sku,
    derive_uuid,
};
use domain::numbering::{Numbering, NumberingCommand};
use domain::order::{HoldReason, OrderCommand};
use domain::quantity::Quantity;
use domain::stock::{Stock, StockCommand, StockEvent, StockPolicy};
use journal::Context;
use uuid::Uuid;

use super::Parameters;
use super::agenda::{Agenda, Task, Turn};
use super::catalogue::Catalogue;
use super::chance::{Chance, times};
use super::fate::Fate;
use super::log::{Decided, Log, Stream};
use super::open::Open;
use super::people::{self, Buyer, People};
use super::placing;
use super::shape::Shape;
use super::tally::Tally;

/// When it begins: 1 January 2025.
pub(super) const BEGINNING: DateTime<Utc> =
    DateTime::from_timestamp_nanos(1_735_689_600_000_000_000);
/// How long orders come in.
const YEAR: TimeDelta = TimeDelta::days(365);
/// Order numbers that are reserved together.
const NUMBERS: u64 = 100;
/// How much busier each hour of a day is than the average.
const HOURS: [f64; 24] = [
    0.5, 0.3, 0.2, 0.2, 0.2, 0.3, 0.5, 0.8, 1.0, 1.2, 1.3, 1.3, 1.3, 1.2, 1.1, 1.1, 1.1, 1.2, 1.4,
    1.7, 1.9, 1.8, 1.3, 0.8,
];
/// Who places orders.
const CLIENT: &str = "client:webshop";
/// Who works in the shop.
pub(super) const STAFF: &str = "user:warehouse";

pub(super) struct Shop {
    parameters: Parameters,
    pub(super) shape: Shape,
    pub(super) chance: Chance,
    pub(super) log: Log,
    pub(super) agenda: Agenda,
    pub(super) catalogue: Catalogue,
    stock: Vec<Stream<Stock>>,
    /// How many units come at a time, per article.
    supplies: Vec<u32>,
    people: People,
    numbers: Stream<Numbering>,
    open: HashMap<u64, Open>,
    placed: u64,
    tally: Tally,
}

impl Shop {
    pub(super) fn new(parameters: &Parameters, log: Log) -> anyhow::Result<Self> {
        let mut chance = Chance::seeded(parameters.seed);
        let catalogue = Catalogue::of(parameters.skus, &mut chance)?;
        Ok(Self {
            stock: catalogue.articles.iter().map(|it| Stream::new(it.sku.clone())).collect(),
            supplies: supplies(parameters, catalogue.articles.len()),
            people: People::for_orders(parameters.orders),
            numbers: Stream::new(NumberSeries::orders()),
            parameters: parameters.clone(),
            shape: parameters.shape,
            agenda: Agenda::default(),
            open: HashMap::new(),
            placed: 0,
            tally: Tally::default(),
            chance,
            log,
            catalogue,
        })
    }

    /// Everything that ever happens, and what it amounts to.
    pub(super) fn run(mut self) -> anyhow::Result<Tally> {
        for number in 0..self.stock.len() {
            self.begin_to_sell(number)?;
        }
        self.agenda.put_down(self.log.now, Task::Place);
        while let Some((at, task)) = self.agenda.next() {
            self.log.now = self.log.now.max(at);
            match task {
                Task::Place => self.place()?,
                Task::Receive(number) => self.receive(number)?,
                Task::With(number, turn) => self.take(number, turn)?,
            }
            anyhow::ensure!(self.log.is_taken, "nobody takes what is written any more");
        }
        self.close_the_books();
        self.log.hand_on();
        let written = self.log.written;
        (self.tally.events, self.tally.bytes) = (written.events, written.bytes);
        self.tally.streams = written.streams;
        self.tally.customers = self.people.customers();
        Ok(self.tally)
    }

    /// Process managers that are started on this log go on after it: nothing is left to be done in it
    /// but for orders that are held.
    fn close_the_books(&mut self) {
        let last = self.log.next_position() - 1;
        let data = serde_json::json!({ "position": format!("{last}/{last}"), "open": [] });
        let (stream, kind) = ("process_manager-fulfilment", "process-manager-checkpointed");
        self.log.note(stream, kind, &data, super::process::ACTOR);
    }

    /// Puts down what is going to happen with an order.
    pub(super) fn put_down(&mut self, order: &mut Open, after: TimeDelta, turn: Turn) {
        order.turns += 1;
        self.agenda.put_down(self.log.now + after, Task::With(order.number, turn));
    }

    fn take(&mut self, number: u64, turn: Turn) -> anyhow::Result<()> {
        let Some(mut order) = self.open.remove(&number) else { return Ok(()) };
        order.turns -= 1;
        self.turn(&mut order, turn)?;
        self.keep(order);
        Ok(())
    }

    /// Keeps an order as long as something is going to happen with it.
    fn keep(&mut self, order: Open) {
        if order.turns > 0 {
            self.open.insert(order.number, order);
        } else if let Some(placed) = order.stream.state.placed() {
            self.tally.count(placed);
        }
    }
}

// ── Orders come in ───────────────────────────────────────────────────────────────────────────────

impl Shop {
    fn place(&mut self) -> anyhow::Result<()> {
        if self.placed == self.parameters.orders {
            return Ok(());
        }
        self.placed += 1;
        let next = self.next_order();
        self.agenda.put_down(next, Task::Place);
        let number = self.placed;
        let fate = Fate::draw(&mut self.chance);
        let key = IdempotencyKey::new(format!("checkout-{}-{number}", self.parameters.seed))?;
        let channel = placing::channel(&mut self.chance)?;
        let id = OrderId::derive(CLIENT, &channel, &key);
        let buyer = self.people.draw(id, &mut self.chance)?;
        let details = placing::draw(&self.catalogue, channel, &buyer, fate, &mut self.chance)?;
        self.keep_a_key(&buyer)?;
        let placed_at = self.log.now;
        let command = OrderCommand::Place {
            details: Arc::new(details),
            number: Some(self.number(number)?),
            holds: if fate == Fate::Held {
                vec![(HoldName::new("value")?, HoldReason::Value)]
            } else {
                vec![]
            },
            placed_at,
        };
        let mut order = Open::new(number, id, fate);
        let context = by(CLIENT, &["orderPlace", &id.to_string(), key.as_str()], id.0);
        self.tell(&mut order, &command, context)?;
        if fate == Fate::Cancelled {
            let after = self.chance.wait(TimeDelta::minutes(10), TimeDelta::hours(30));
            self.put_down(&mut order, after, Turn::Cancel);
        }
        self.keep(order);
        Ok(())
    }

    /// When the next order comes: at any time, and more often when people are awake.
    fn next_order(&mut self) -> DateTime<Utc> {
        let orders = i32::try_from(self.parameters.orders.max(1)).unwrap_or(i32::MAX);
        let hour = usize::try_from(self.log.now.hour()).unwrap_or_default();
        let gap = self.chance.until_next(times(YEAR / orders, 1.0 / HOURS[hour]));
        // An empty hour of the night is not waited through at its own pace.
        self.log.now + gap.min(times(YEAR / orders, 6.0))
    }

    fn number(&mut self, number: u64) -> anyhow::Result<OrderNumber> {
        if number % NUMBERS == 1 {
            let request = self.chance.id();
            let context = Context {
                command_id: request,
                correlation_id: request,
                causation_id: request,
                actor: "process:order-numbers".to_owned(),
                traceparent: None,
            };
            let count = Quantity::nearest(NUMBERS);
            let command = NumberingCommand::Reserve { count, request, first: 1001 };
            self.log.execute(&mut self.numbers, &command, context)?;
        }
        Ok(OrderNumber::new((1000 + number).to_string())?)
    }

    fn keep_a_key(&mut self, buyer: &Buyer) -> anyhow::Result<()> {
        if !buyer.is_new {
            return Ok(());
        }
        let id = derive_uuid(&["data-key", &buyer.subject.to_string()]);
        let context = Context {
            command_id: id,
            correlation_id: buyer.subject.0,
            causation_id: id,
            actor: "process:keyring".to_owned(),
            traceparent: None,
        };
        let command = DataKeyCommand::Create(people::key(buyer.subject, &mut self.chance));
        let mut stream = Stream::<DataKey>::new(buyer.subject);
        self.log.execute(&mut stream, &command, context)?;
        Ok(())
    }
}

// ── Stock ────────────────────────────────────────────────────────────────────────────────────────

impl Shop {
    fn begin_to_sell(&mut self, number: usize) -> anyhow::Result<()> {
        let sku = self.stock[number].id.clone();
        let movement = MovementId(derive_uuid(&["bench", "policy", sku.as_str()]));
        let low_stock_at = Some(u64::from(self.supplies[number]) / 2);
        let command = StockCommand::SetPolicy { movement, policy: StockPolicy::Deny, low_stock_at };
        let context = by(STAFF, &["stockPolicySet", sku.as_str()], movement.0);
        self.change_stock(number, &command, context)?;
        self.receive(number)?;
        self.receive(number)
    }

    fn receive(&mut self, number: usize) -> anyhow::Result<()> {
        let stock = &self.stock[number];
        let key = format!("{} {}", stock.id, stock.revision());
        let receipt = ReceiptId(derive_uuid(&["bench", "receipt", &key]));
        let location = self.catalogue.articles[number].location.clone();
        let quantity = Quantity::nearest(self.supplies[number].into());
        let command = StockCommand::Receive { receipt, location, quantity };
        let context = by(STAFF, &["stockReceive", &key], receipt.0);
        self.change_stock(number, &command, context)
    }

    /// Changes the stock of an article. When little is left, more is ordered.
    fn change_stock(
        &mut self,
        number: usize,
        command: &StockCommand,
        context: Context,
    ) -> anyhow::Result<()> {
        let decided = self.log.execute(&mut self.stock[number], command, context)?;
        self.order_more(number, &decided);
        Ok(())
    }

    fn order_more(&mut self, number: usize, decided: &Decided<StockEvent>) {
        let ran_low = |event: &StockEvent| matches!(event, StockEvent::RanLow(_));
        if decided.events.iter().any(ran_low) {
            let on_its_way = self.chance.wait(TimeDelta::hours(2), TimeDelta::hours(20));
            self.agenda.put_down(self.log.now + on_its_way, Task::Receive(number));
        }
    }

    /// Changes the stock of a SKU for an order.
    pub(super) fn want_of_stock(
        &mut self,
        sku: &Sku,
        command: &StockCommand,
        context: Context,
    ) -> anyhow::Result<Result<&Stream<Stock>, domain::stock::StockRejection>> {
        let number = self.catalogue.number(sku)?;
        match self.log.execute(&mut self.stock[number], command, context) {
            Ok(decided) => {
                self.order_more(number, &decided);
                Ok(Ok(&self.stock[number]))
            }
            Err(rejection) => Ok(Err(rejection)),
        }
    }
}

/// How many units come at a time, so that most articles run low a few times a year: as many as are sold
/// in a month, where the first articles sell most.
fn supplies(parameters: &Parameters, articles: usize) -> Vec<u32> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a guess"
    )]
    let supply = |number: usize| {
        // The share of orders that a place in a long tail gets, see `Chance::long_tailed`.
        let share = |number: usize| (number as f64 / articles as f64).sqrt();
        let units = parameters.orders as f64 * 3.5 * (share(number + 1) - share(number));
        (units / 8.0) as u32 + 60
    };
    (0..articles).map(supply).collect()
}

/// The context of what somebody wants.
pub(super) fn by(actor: &str, parts: &[&str], correlation_id: Uuid) -> Context {
    let mut all = vec!["command", actor];
    all.extend_from_slice(parts);
    let command_id = derive_uuid(&all);
    Context {
        command_id,
        correlation_id,
        causation_id: command_id,
        actor: actor.to_owned(),
        traceparent: None,
    }
}
