//! How a story is told: every event as it happens, what people do, and how it ended.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures::channel::mpsc;
use futures::stream::{BoxStream, Stream, StreamExt};
use serde_json::{Value, json};

use super::deeds::Doer;
use super::{Act, Expected, FAILED, Scenario};
use crate::client::Client;

/// A story in which nothing happens for so long will not end as it should.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether a story has ended.
const LOOK: Duration = Duration::from_millis(25);

const EVENTS: &str = "subscription($id: UUID!) { it: orderEvents(orderId: $id) { type data } }";

const END: &str = "query($id: UUID!, $sku: String!) { \
    order(id: $id) { status paymentStatus fulfilmentStatus returnStatus processes { status } } \
    stock(sku: $sku) { onHand reserved } }";

/// Tells a story, a line at a time, as it happens.
pub(super) fn tell(scenario: Scenario, client: Client) -> BoxStream<'static, String> {
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

/// How things are.
struct End {
    /// In words.
    summary: String,
    is_as_expected: bool,
    /// How many processes there were.
    processes: usize,
}

impl Teller {
    fn say(&self, line: &str) {
        // Nobody listens any more: then nobody has to be told.
        let _ = self.lines.unbounded_send(line.to_owned());
    }

    /// Something that people do, below the events.
    fn say_aside(&self, line: &str) {
        self.say(&format!("          {line}"));
    }

    async fn tell(&self) -> anyhow::Result<()> {
        let Scenario { title, shelves, backorders, order, .. } = self.scenario;
        // A SKU of its own, so that stories told at the same time do not disturb each other.
        let story = journal::ids::new_id().simple().to_string();
        let sku = format!("MUG-{}", &story[20..]);
        let doer = Doer { client: &self.client, story: &story, sku: &sku };
        self.say(&format!("Scenario: {title}"));
        for (location, units) in shelves {
            doer.receive(location, *units).await?;
            self.say_aside(&format!("{units} × {sku} received into stock, location {location}"));
        }
        if backorders {
            doer.allow_backorders().await?;
            self.say_aside("more of it may be sold than there is");
        }
        let (id, number) = doer.place(&order).await?;
        self.say_aside(&format!("order {number} placed: {id}"));
        let mut events = self.client.subscribe(EVENTS, json!({ "id": id })).await?;
        let finished = self.play(&doer, &id, &mut events).await?;
        self.wait_for_the_end(&id, &sku, &mut events, finished).await
    }

    /// Shows events until people have done everything; how many processes have finished.
    async fn play(
        &self,
        doer: &Doer<'_>,
        order: &str,
        events: &mut (impl Stream<Item = anyhow::Result<Value>> + Unpin),
    ) -> anyhow::Result<usize> {
        let mut finished = 0;
        for Act { after, deeds } in self.scenario.acts {
            loop {
                let next = tokio::time::timeout(PATIENCE, events.next()).await;
                let event = next.with_context(|| format!("{after} does not come"))?;
                let Shown { event_type, detail } = self.show(event)?;
                finished += usize::from(event_type == "fulfilment-finished");
                if event_type == *after || detail == *after {
                    break;
                }
            }
            for deed in *deeds {
                doer.act(order, *deed, |line| self.say_aside(line)).await?;
            }
        }
        Ok(finished)
    }

    /// Shows events until everything is as it has to be, and every process has finished.
    async fn wait_for_the_end(
        &self,
        order: &str,
        sku: &str,
        events: &mut (impl Stream<Item = anyhow::Result<Value>> + Unpin),
        mut finished: usize,
    ) -> anyhow::Result<()> {
        let mut since = Instant::now();
        loop {
            tokio::select! {
                event = events.next() => {
                    let Shown { event_type, .. } = self.show(event)?;
                    finished += usize::from(event_type == "fulfilment-finished");
                    since = Instant::now();
                }
                // The read models are a moment behind.
                () = tokio::time::sleep(LOOK) => {
                    let End { summary, is_as_expected, processes } = self.look(order, sku).await?;
                    if is_as_expected && finished >= processes {
                        self.say(&format!("✓ {summary}"));
                        return Ok(());
                    }
                    if since.elapsed() > PATIENCE {
                        bail!("{summary}; expected {:?}", self.scenario.expected);
                    }
                }
            }
        }
    }

    fn show(&self, event: Option<anyhow::Result<Value>>) -> anyhow::Result<Shown> {
        let event = event.context("the API ended the subscription")??;
        let event = event.get("it").context("an event without content")?;
        let event_type = event["type"].as_str().unwrap_or_default().to_owned();
        let detail = detail(&event["data"]);
        let elapsed = self.start.elapsed().as_millis();
        self.say(&format!("{elapsed:>6} ms {event_type:<33} {detail}"));
        Ok(Shown { event_type, detail })
    }

    /// How things are, as the read models see it.
    async fn look(&self, order: &str, sku: &str) -> anyhow::Result<End> {
        let answer: Value = self.client.run(END, json!({ "id": order, "sku": sku })).await?;
        let text = |path: &str| answer.pointer(path).and_then(Value::as_str).unwrap_or("NONE");
        let count = |path: &str| answer.pointer(path).and_then(as_count).unwrap_or_default();
        let Expected { order, payment, goods, returned, left_in_stock } = self.scenario.expected;
        let (on_hand, reserved) = (count("/stock/onHand"), count("/stock/reserved"));
        let processes = answer.pointer("/order/processes").and_then(Value::as_array);
        let processes = processes.map_or(&[][..], Vec::as_slice);
        let is_as_expected = text("/order/status") == order
            && text("/order/paymentStatus") == payment
            && text("/order/fulfilmentStatus") == goods
            && text("/order/returnStatus") == returned
            && (on_hand, reserved) == (left_in_stock, 0)
            && processes.iter().all(|process| process["status"] == "FINISHED");
        let summary = format!(
            "order {}, payment {}, goods {}, returns {}, {on_hand} on hand, {reserved} reserved",
            text("/order/status"),
            text("/order/paymentStatus"),
            text("/order/fulfilmentStatus"),
            text("/order/returnStatus"),
        );
        Ok(End { summary, is_as_expected, processes: processes.len() })
    }
}

/// An event that was shown.
struct Shown {
    event_type: String,
    detail: String,
}

fn as_count(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Where in an event the one word stands that a person wants to see; the first that is there.
const WORDS: [&str; 13] = [
    "/step",
    "/outcome",
    "/work/kind",
    "/hold",
    "/reason/code",
    "/reason",
    "/code",
    "/trackingNumber",
    "/parcels/0/trackingNumber",
    "/status",
    "/location",
    "/goods/0/disposition",
    "/number",
];

/// The part of an event that a person wants to see.
fn detail(data: &Value) -> String {
    let text = |path: &str| data.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let money = || {
        let minor = data.pointer("/amount/minor")?.as_i64()?;
        let currency = text("/amount/currency")?.parse().ok()?;
        Some(domain::money::Money::new(minor, currency).to_string())
    };
    let quantity = || data.get("quantity").map(|it| format!("{it} units"));
    money()
        .or_else(|| WORDS.iter().find_map(|path| text(path)))
        .or_else(quantity)
        .unwrap_or_default()
}
