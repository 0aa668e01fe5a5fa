//! How soon an order that has been placed is in what readers see, while orders are placed at a fixed
//! rate and, unless they are left out, processes drive them. Everything is one process, but for Postgres.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use journal::Position;
use partner_simulator::Simulator;
use process_managers::ProcessManager;
use projector::{Options, ProjectionName, Projector};
use sqlx::postgres::PgListener;
use tokio::time::timeout;

use crate::buyer::Buyer;
use crate::load::{CLIENTS, Load, Pace, Quantiles, SKUS};
use crate::place::log_length;
use crate::stage::{Stage, free_port};

/// The slowest in a hundred may take so long.
const AIM: Duration = Duration::from_millis(50);
/// Before anything is counted.
const WARM_UP: Duration = Duration::from_secs(3);
/// Where the projector says that readers see more.
const CHANNEL: &str = "orderstore_checkpoint";
/// Nobody waits longer for the last orders.
const LIMIT: Duration = Duration::from_mins(1);

pub(super) async fn run(
    rate: u32,
    time: Duration,
    processes: bool,
    slices: u16,
) -> anyhow::Result<()> {
    let stage = Stage::build().await?;
    let partners: Simulator =
        partner_simulator::serve(free_port().await?, partner_simulator::Options::default())?;
    let options = process_managers::Options::for_partners_at(&partners.base_url());
    let managers = processes
        .then(|| ProcessManager::start(stage.journal.clone(), stage.keyring.clone(), &options))
        .transpose()?;
    let options = Options { slices, ..Options::default() };
    let projector = Projector::start(&stage.database(), stage.journal.clone(), options)?;
    let buyer = Buyer::new(&stage)?;
    buyer.receive(SKUS).await?;
    let mut listener = PgListener::connect(&stage.database()).await?;
    listener.listen(CHANNEL).await?;
    Load::last(WARM_UP, &buyer, Pace::Fixed(rate)).await?;

    let client = eventstore::Client::new(stage.event_store.connection_string().parse()?)?;
    let before = log_length(&client).await?;
    let heard = Arc::new(Mutex::new(Moves::new()));
    let hearing = tokio::spawn(hear(listener, Arc::clone(&heard)));
    let start = Instant::now();
    let load = Load::last(time, &buyer, Pace::Fixed(rate)).await?;
    let events = log_length(&client).await? - before;
    let seconds = start.elapsed().as_secs_f64();
    let last = load.placed.iter().map(|placed| placed.position).max();
    let last = last.context("no order was placed")?;
    timeout(LIMIT, projector.watch(ProjectionName::Orders).wait_for(|it| it.position >= last))
        .await??;
    // The last news may be on its way.
    tokio::time::sleep(Duration::from_millis(200)).await;
    hearing.abort();
    let moves = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
    show(&load, &moves, count(events) / seconds)?;
    if let Some(managers) = managers {
        managers.stop().await;
    }
    partners.stop().await;
    projector.stop().await;
    stage.clear().await
}

/// When readers saw orders up to where.
type Moves = Vec<(Position, Instant)>;

async fn hear(mut listener: PgListener, heard: Arc<Mutex<Moves>>) -> anyhow::Result<()> {
    loop {
        let news = listener.recv().await?;
        let now = Instant::now();
        let mut words = news.payload().split(' ');
        if words.next() != Some(ProjectionName::Orders.as_str()) {
            continue;
        }
        let position = words.next_back().context("news without a position")?.parse()?;
        heard.lock().unwrap_or_else(PoisonError::into_inner).push((position, now));
    }
}

fn show(load: &Load, moves: &Moves, events: f64) -> anyhow::Result<()> {
    let mut visible = vec![];
    for placed in &load.placed {
        let at = moves.partition_point(|(position, _)| *position < placed.position);
        let (_, seen) = moves.get(at).context("an order was not seen")?;
        visible.push(seen.saturating_duration_since(placed.answered));
    }
    let (placing, seeing) = (load.latencies(), Quantiles::of(visible));
    println!(
        "{:.0} orders/s placed by {CLIENTS} clients, {events:.0} events/s with what processes do",
        load.rate()
    );
    for (name, took) in [("placed", placing), ("visible", seeing)] {
        println!(
            "  {name:>8} p50 {:>7.2?}, p99 {:>7.2?}, longest {:>7.2?}",
            took.p50, took.p99, took.longest
        );
    }
    println!("  {} transactions; visible: p99 at most {AIM:?} is the aim", moves.len());
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn count(number: usize) -> f64 {
    number as f64
}
