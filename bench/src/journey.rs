//! Orders from placed to delivered, against bare appends of as many events over one open call of
//! the same client.

use std::time::{Duration, Instant};

use anyhow::ensure;
use eventstore::{BatchAppendClient, BatchAppendOptions, EventData, ExpectedRevision};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use journal::{Delivery, Filter, Journal, Position};
use partner_simulator::Simulator;
use process_managers::ProcessManager;
use serde_json::json;

use crate::buyer::Buyer;
use crate::place::log_length;
use crate::stage::{Stage, free_port};

const ORDERS: usize = 3_000;
const SKUS: usize = 200;
const CLIENTS: usize = 64;

pub(crate) async fn run() -> anyhow::Result<()> {
    let stage = Stage::build().await?;
    let client = eventstore::Client::new(stage.event_store.connection_string().parse()?)?;
    let partners = prompt_partners().await?;
    let options = process_managers::Options::for_partners_at(&partners.base_url());
    let managers = ProcessManager::start(stage.journal.clone(), stage.keyring.clone(), &options)?;
    let buyer = Buyer::new(&stage)?;
    buyer.receive(SKUS).await?;

    let before = log_length(&client).await?;
    let start = Instant::now();
    stream::iter(0..ORDERS)
        .map(async |number| buyer.place(number % SKUS).await.map(drop))
        .buffer_unordered(CLIENTS)
        .try_collect::<()>()
        .await?;
    let placed = start.elapsed();
    all_finished(&stage.journal, start).await?;
    let delivered = start.elapsed();
    let events = log_length(&client).await? - before;
    managers.stop().await;
    partners.stop().await;

    let bare = append_all(&client, events).await?;
    println!("{ORDERS} orders, {CLIENTS} clients, {SKUS} SKUs, partners without delay, fsync on");
    println!("  placed      {:>7.0} orders/s", rate(ORDERS, placed));
    println!(
        "  delivered   {:>7.0} orders/s, {:.1} events per order",
        rate(ORDERS, delivered),
        share(events, ORDERS)
    );
    println!("  journey     {:>7.0} events/s", rate(events, delivered));
    println!("  bare append {:>7.0} events/s", rate(events, bare));
    println!("  ratio {:.2}", bare.as_secs_f64() / delivered.as_secs_f64());
    stage.clear().await
}

async fn prompt_partners() -> anyhow::Result<Simulator> {
    let options = partner_simulator::Options {
        payment_delay: Duration::ZERO,
        carrier_transit: Duration::ZERO,
        ..Default::default()
    };
    Ok(partner_simulator::serve(free_port().await?, options)?)
}

/// Waits until all orders are complete and no process is at work any more.
async fn all_finished(journal: &Journal, start: Instant) -> anyhow::Result<()> {
    let filter = Filter::categories(&["order", "fulfilment"]);
    let mut events = journal.subscribe(filter, Position::START);
    let (mut completed, mut at_work) = (0, 0);
    while completed < ORDERS || at_work > 0 {
        for delivery in events.next_batch(2_000).await {
            let Delivery::Event(event) = delivery else { continue };
            match event.event_type.as_str() {
                "order-completed" => completed += 1,
                "fulfilment-started" => at_work += 1,
                "fulfilment-finished" => at_work -= 1,
                _ => {}
            }
        }
        ensure!(
            start.elapsed() < Duration::from_mins(5),
            "{completed} of {ORDERS} completed, {at_work} processes at work"
        );
    }
    Ok(())
}

async fn append_all(client: &eventstore::Client, events: usize) -> anyhow::Result<Duration> {
    let batches = client.batch_append(&BatchAppendOptions::default()).await?;
    let start = Instant::now();
    stream::iter(0..events)
        .map(|_| append(&batches))
        .buffer_unordered(CLIENTS)
        .try_collect::<()>()
        .await?;
    Ok(start.elapsed())
}

async fn append(batches: &BatchAppendClient) -> anyhow::Result<()> {
    let data = json!({ "step": "reserve-stock", "padding": "x".repeat(300) });
    let event = EventData::json("bare", &data)?.id(journal::ids::new_id());
    let stream = format!("bare-{}", journal::ids::new_id());
    batches.append_to_stream(stream, ExpectedRevision::NoStream, vec![event]).await?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}
