//! Placing an order through GraphQL against a bare append of the same event over an open call of the
//! same client.

use std::time::{Duration, Instant};

use anyhow::ensure;
use eventstore::{BatchAppendClient, BatchAppendOptions, EventData, ExpectedRevision};
use serde_json::{Value, json};

use crate::buyer::Buyer;
use crate::stage::Stage;

/// Calls of one kind before the other kind has its turn.
const BLOCK: usize = 200;
const BLOCKS: usize = 6;
/// The first block of each is not counted.
const WARM_UP: usize = 1;
/// Order numbers that one append reserves.
const NUMBERS_TOGETHER: usize = 100;
/// What one placing may cost, in bare appends.
const LIMIT: f64 = 3.0;

pub(crate) async fn run() -> anyhow::Result<()> {
    let stage = Stage::build().await?;
    let client = eventstore::Client::new(stage.event_store.connection_string().parse()?)?;
    let buyer = Buyer::new(&stage)?;
    buyer.receive(1).await?;
    let batches = client.batch_append(&BatchAppendOptions::default()).await?;
    let before = log_length(&client).await?;
    let (mut appends, mut placings) = (Vec::new(), Vec::new());
    for block in 0..BLOCKS {
        let (append, place) = (append_block(&batches).await?, place_block(&buyer).await?);
        if block >= WARM_UP {
            appends.extend(append);
            placings.extend(place);
        }
    }
    let written = log_length(&client).await? - before;
    let (append, place) = (Figures::of(appends), Figures::of(placings));
    let ratio = place.median.as_secs_f64() / append.median.as_secs_f64();
    println!(
        "one client, one call at a time, {} calls of each kind, fsync on",
        BLOCK * (BLOCKS - WARM_UP)
    );
    println!("  bare append          p50 {:>8.3?}  p99 {:>8.3?}", append.median, append.p99);
    println!("  place through GraphQL p50 {:>7.3?}  p99 {:>8.3?}", place.median, place.p99);
    let calls = 2 * BLOCK * BLOCKS;
    // Order numbers are reserved a hundred at a time, and ahead.
    let numbers = BLOCK * BLOCKS / NUMBERS_TOGETHER + 2;
    println!(
        "  {written} events written by {calls} calls, at most {numbers} of them for order numbers"
    );
    println!("  ratio of medians {ratio:.2} (at most {LIMIT})");
    stage.clear().await?;
    let is_one_each = (calls..=calls + numbers).contains(&written);
    ensure!(is_one_each, "placing an order costs more than one append");
    ensure!(ratio <= LIMIT, "placing an order costs {ratio:.2} bare appends, more than {LIMIT}");
    Ok(())
}

struct Figures {
    median: Duration,
    p99: Duration,
}

impl Figures {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self { median: all[all.len() / 2], p99: all[all.len() * 99 / 100] }
    }
}

/// Events in the log, those of others included.
pub(crate) async fn log_length(client: &eventstore::Client) -> anyhow::Result<usize> {
    let options = eventstore::ReadAllOptions::default().max_count(usize::MAX);
    let mut events = client.read_all(&options).await?;
    let mut count = 0;
    while events.next().await?.is_some() {
        count += 1;
    }
    Ok(count)
}

async fn append_block(batches: &BatchAppendClient) -> anyhow::Result<Vec<Duration>> {
    let mut took = Vec::with_capacity(BLOCK);
    for _ in 0..BLOCK {
        let stream = format!("order-{}", journal::ids::new_id());
        let event = EventData::json("order-placed", &placed_event())?
            .metadata_as_json(&metadata())?
            .id(journal::ids::new_id());
        let start = Instant::now();
        batches.append_to_stream(stream, ExpectedRevision::NoStream, vec![event]).await?;
        took.push(start.elapsed());
    }
    Ok(took)
}

async fn place_block(buyer: &Buyer) -> anyhow::Result<Vec<Duration>> {
    let mut took = Vec::with_capacity(BLOCK);
    for _ in 0..BLOCK {
        let start = Instant::now();
        buyer.place(0).await?;
        took.push(start.elapsed());
    }
    Ok(took)
}

/// What an order of three lines is stored as.
fn placed_event() -> Value {
    let price = json!({ "minor": 1250, "currency": "GBP" });
    let line = json!({ "sku": "MUG-1", "title": "Mug", "kind": "goods", "quantity": 2, "unitPrice": price });
    let priced = json!({ "subtotal": 2500, "discount": 0, "orderDiscount": 0, "tax": 0,
        "total": 2500, "unit": 1250, "dearerUnits": 0 });
    json!({
        "number": "1001",
        "details": {
            "channel": "web",
            "country": "GB",
            "lines": [line, line, line],
            "pricesIncludeTax": false,
            "currency": "GBP",
            "total": { "minor": 7500, "currency": "GBP" },
            "handling": { "by": "partners", "paymentToken": "tok_ok" },
            "policies": { "acceptance": "all-or-nothing", "capture": "on-ship", "dispatch": "automatic" },
        },
        "prices": { "lines": [priced, priced, priced], "subtotal": 7500, "discount": 0, "tax": 0,
            "total": 7500 },
        "placedAt": "2026-01-01T12:00:00Z",
    })
}

fn metadata() -> Value {
    let id = journal::ids::new_id();
    json!({
        "commandId": id,
        "$correlationId": id,
        "$causationId": id,
        "actor": "client:development",
        "schemaVersion": 2,
        "recordedAt": "2026-01-01T12:00:00Z",
    })
}
