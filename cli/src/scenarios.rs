//! Five stories that an order store has to tell right, told through the public API.

use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use futures::channel::mpsc;
use futures::stream::{BoxStream, StreamExt};
use serde_json::{Value, json};

use crate::client::Client;

/// How a line begins that says that a story went wrong.
pub(crate) const FAILED: &str = "✗";

/// One story.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    title: &'static str,
    /// What the payment gateway is given: the simulator's test cards.
    payment_token: &'static str,
    /// Units received into stock before, of which one more or less than these are ordered.
    in_stock: i64,
    ordered: i64,
    /// The customer cancels when this step is done.
    cancels_after: Option<&'static str>,
    expected: Expected,
}

/// How a story has to end.
#[derive(Debug, Clone, Copy)]
struct Expected {
    order: &'static str,
    payment: Option<&'static str>,
    left_in_stock: i64,
}

const SCENARIOS: [Scenario; 5] = [
    Scenario {
        title: "an order goes from placed to delivered",
        payment_token: "tok_ok",
        in_stock: 10,
        ordered: 2,
        cancels_after: None,
        expected: Expected { order: "COMPLETED", payment: Some("CAPTURED"), left_in_stock: 8 },
    },
    Scenario {
        title: "the payment is declined: the stock is released, the order cancelled",
        payment_token: "tok_declined",
        in_stock: 10,
        ordered: 2,
        cancels_after: None,
        expected: Expected { order: "CANCELLED", payment: Some("DECLINED"), left_in_stock: 10 },
    },
    Scenario {
        title: "there is not enough stock: the order is rejected, no money is touched",
        payment_token: "tok_ok",
        in_stock: 1,
        ordered: 2,
        cancels_after: None,
        expected: Expected { order: "REJECTED", payment: None, left_in_stock: 1 },
    },
    Scenario {
        title: "the customer cancels while the payment is in flight",
        payment_token: "tok_slow",
        in_stock: 10,
        ordered: 2,
        cancels_after: Some("reserve-stock"),
        expected: Expected { order: "CANCELLED", payment: Some("VOIDED"), left_in_stock: 10 },
    },
    Scenario {
        title: "the gateway times out, is asked, and has charged: no second charge",
        payment_token: "tok_timeout",
        in_stock: 10,
        ordered: 2,
        cancels_after: None,
        expected: Expected { order: "COMPLETED", payment: Some("CAPTURED"), left_in_stock: 8 },
    },
];

/// Number and title of each story.
pub(crate) fn titles() -> Vec<(u32, String)> {
    (1..).zip(SCENARIOS).map(|(number, it)| (number, it.title.to_owned())).collect()
}

/// The story of that number, from 1.
pub(crate) fn find(number: u32) -> Option<Scenario> {
    SCENARIOS.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
}

/// Tells a story, a line at a time, as it happens.
pub(crate) fn tell(scenario: Scenario, client: Client) -> BoxStream<'static, String> {
    let (lines, told) = mpsc::unbounded();
    let telling = async move {
        let teller = Teller { scenario, client, lines, start: Instant::now() };
        if let Err(error) = teller.tell().await {
            teller.say(&format!("{FAILED} {error:#}"));
        }
        None
    };
    // The story goes on only while somebody listens.
    futures::stream::select(told.map(Some), futures::stream::once(telling))
        .filter_map(futures::future::ready)
        .boxed()
}

struct Teller {
    scenario: Scenario,
    client: Client,
    lines: mpsc::UnboundedSender<String>,
    start: Instant,
}

impl Teller {
    fn say(&self, line: &str) {
        // Nobody listens any more: then nobody has to be told.
        let _ = self.lines.unbounded_send(line.to_owned());
    }

    async fn tell(&self) -> anyhow::Result<()> {
        let Scenario { title, in_stock, .. } = self.scenario;
        // A SKU of its own, so that stories told at the same time do not disturb each other.
        let story = journal::ids::new_id().simple().to_string();
        let sku = format!("MUG-{}", &story[20..]);
        self.say(&format!("Scenario: {title}"));
        self.receive(&sku, in_stock, &story).await?;
        self.say(&format!("          {in_stock} × {sku} received into stock"));
        let order = self.place(&sku, &story).await?;
        self.say(&format!("          order {order} placed"));
        self.watch(&order).await?;
        self.check(&order, &sku).await
    }

    async fn receive(&self, sku: &str, quantity: i64, story: &str) -> anyhow::Result<()> {
        let query = "mutation($input: StockReceiveInput!) { it: stockReceive(input: $input) { \
            userErrors { message } } }";
        let items = json!([{ "sku": sku, "quantity": quantity }]);
        let input = json!({ "idempotencyKey": story, "items": items });
        self.mutate(query, input).await.map(drop)
    }

    async fn place(&self, sku: &str, story: &str) -> anyhow::Result<String> {
        let query = "mutation($input: OrderPlaceInput!) { it: orderPlace(input: $input) { \
            order { id } userErrors { message } } }";
        let pounds = |pence: i64| {
            let amount = format!("{}.{:02}", pence / 100, pence % 100);
            json!({ "amount": amount, "currencyCode": "GBP" })
        };
        let (quantity, price) = (self.scenario.ordered, 1_250);
        let lines = json!([
            { "sku": sku, "title": "Mug", "quantity": quantity, "unitPrice": pounds(price) },
            { "sku": "POST", "title": "Postage", "kind": "CHARGE", "quantity": 1,
              "unitPrice": pounds(395) },
        ]);
        let input = json!({
            "idempotencyKey": story,
            "country": "GB",
            "currencyCode": "GBP",
            "lines": lines,
            "total": pounds(quantity * price + 395),
            "paymentToken": self.scenario.payment_token,
        });
        let placed = self.mutate(query, input).await?;
        let id = placed.pointer("/order/id").and_then(Value::as_str);
        id.map(str::to_owned).context("the order has no id")
    }

    async fn mutate(&self, query: &str, input: Value) -> anyhow::Result<Value> {
        let mut answer: Value = self.client.run(query, json!({ "input": input })).await?;
        let payload = answer.get_mut("it").map(Value::take).unwrap_or_default();
        let errors = payload.get("userErrors").and_then(Value::as_array);
        if let Some(error) = errors.and_then(|errors| errors.first()) {
            bail!("{}", error.get("message").and_then(Value::as_str).unwrap_or("refused"));
        }
        Ok(payload)
    }

    /// Shows every event of the order until its process has finished.
    async fn watch(&self, order: &str) -> anyhow::Result<()> {
        let query = "subscription($id: UUID!) { it: orderEvents(orderId: $id) { \
            type stream recordedAt actor data } }";
        let mut events = self.client.subscribe(query, json!({ "id": order })).await?;
        while let Some(data) = events.next().await {
            let data = data?;
            let event = data.get("it").context("an event without content")?;
            let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or("");
            let detail = detail(event.get("data"));
            let elapsed = self.start.elapsed().as_millis();
            self.say(&format!("{elapsed:>6} ms {:<33} {detail}", text("type")));
            if self.scenario.cancels_after == Some(detail.as_str()) {
                self.cancel(order).await?;
            }
            if text("type") == "fulfilment-finished" {
                return Ok(());
            }
        }
        bail!("the API ended the subscription")
    }

    async fn cancel(&self, order: &str) -> anyhow::Result<()> {
        let query = "mutation($input: OrderCancelInput!) { it: orderCancel(input: $input) { \
            userErrors { message } } }";
        let input = json!({ "idempotencyKey": format!("cancel-{order}"), "id": order, "reason": "CUSTOMER" });
        self.say("          the customer cancels");
        self.mutate(query, input).await.map(drop)
    }

    /// Compares the end with what it has to be, as the read models see it.
    async fn check(&self, order: &str, sku: &str) -> anyhow::Result<()> {
        let expected = self.scenario.expected;
        let query = "query($id: UUID!, $sku: String!) { \
            order(id: $id) { status payment { status } process { status } } \
            stock(sku: $sku) { onHand reserved } }";
        let deadline = Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let answer: Value = self.client.run(query, json!({ "id": order, "sku": sku })).await?;
            let text = |path: &str| answer.pointer(path).and_then(Value::as_str).map(str::to_owned);
            let number = |path: &str| answer.pointer(path).and_then(as_count);
            let (status, payment) = (text("/order/status"), text("/order/payment/status"));
            let (on_hand, reserved) = (number("/stock/onHand"), number("/stock/reserved"));
            let is_as_expected = status.as_deref() == Some(expected.order)
                && payment.as_deref() == expected.payment
                && on_hand == Some(expected.left_in_stock)
                && reserved == Some(0);
            let payment = payment.unwrap_or_else(|| "NONE".to_owned());
            let summary = format!(
                "order {}, payment {payment}, {} on hand, {} reserved",
                status.unwrap_or_default(),
                on_hand.unwrap_or_default(),
                reserved.unwrap_or_default(),
            );
            if is_as_expected {
                self.say(&format!("✓ {summary}"));
                return Ok(());
            }
            // The read models are a moment behind.
            ensure!(Instant::now() < deadline, "{summary}; expected {expected:?}");
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
    }
}

fn as_count(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The part of an event that a person wants to see.
fn detail(data: Option<&Value>) -> String {
    let Some(data) = data else { return String::new() };
    let text = |path: &str| data.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let money = || {
        let minor = data.pointer("/amount/minor")?.as_i64()?;
        let currency = text("/amount/currency")?.parse().ok()?;
        Some(domain::money::Money::new(minor, currency).to_string())
    };
    let quantity = || data.get("quantity").map(|it| format!("{it} units"));
    text("/step")
        .or_else(|| text("/outcome"))
        .or_else(|| text("/reason/code"))
        .or_else(|| text("/reason"))
        .or_else(|| text("/trackingNumber"))
        .or_else(money)
        .or_else(quantity)
        .unwrap_or_default()
}
