//! The first command for the stock of a SKU after a restart: with its whole stream to be read, and
//! with a state that was written down. The limit is reading the stream through the client, without
//! understanding it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use domain::ids::{LocationCode, OrderId, ReceiptId, ShipmentId, Sku};
use domain::quantity::Quantity;
use domain::stock::{Acceptance, Stock, StockCommand};
use embedded_store::{Options, Server, serve};
use futures::TryStreamExt as _;
use futures::future::try_join_all;
use journal::{Clock as _, Context, Executed, Journal, Repository, SystemClock, ids};
use schemas::stream_of;

use crate::stage::{Folder, free_port};

/// Of fewer no state is written down.
const LEAST: u64 = 2_500;
/// Orders whose commands are under way at once.
const TOGETHER: u64 = 256;
const READS: usize = 3;

/// The first command for a SKU after a restart, with and without a state that was written down
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Restart {
    /// How many orders of one SKU have been reserved and shipped
    #[arg(long, default_value_t = 300_000)]
    orders: u64,
}

pub(crate) async fn run(restart: Restart) -> anyhow::Result<()> {
    ensure!(restart.orders >= LEAST, "take {LEAST} orders or more");
    let folder = Folder::new()?;
    let store = serve(free_port().await?, Options::at(folder.path().join("store"))).await?;
    let sku = Sku::new("MUG")?;
    let started = Instant::now();
    let revision = sell(&store, &sku, restart.orders).await?;
    let events = revision + 1;
    println!("{} orders of one SKU: {events} events, in {:.0?}", restart.orders, started.elapsed());

    let snapshots = folder.path().join("snapshots");
    let limit = bare_read(&store, &sku).await?;
    let cold = first_command(&store, &sku, None).await?;
    let writes = first_command(&store, &sku, Some(&snapshots)).await?;
    let file = written(&snapshots).await?;
    let warm = first_command(&store, &sku, Some(&snapshots)).await?;
    println!("  reading it through the client        {limit:>10.1?}");
    let ratio = limit.as_secs_f64() / cold.took.as_secs_f64();
    println!("  first command, nothing written down  {:>10.1?}  ({ratio:.2})", cold.took);
    println!("  the same, and it is written down     {:>10.1?}", writes.took);
    println!("  first command, written down          {:>10.1?}", warm.took);
    println!("  written down                         {file:>10} bytes");
    ensure!(warm.events_read < 10, "{} events were read", warm.events_read);
    store.stop().await;
    Ok(())
}

/// Has so many orders reserve and ship one unit each; the last revision of the stream.
async fn sell(store: &Server, sku: &Sku, orders: u64) -> anyhow::Result<u64> {
    let stock = stock(store, None)?;
    let receipt = ReceiptId(ids::new_id());
    let (location, quantity) = (LocationCode::default(), Quantity::nearest(orders + 100));
    let received = execute(&stock, sku, StockCommand::Receive { receipt, location, quantity });
    let mut revision = received.await?.revision;
    for from in (0..orders).step_by(usize::try_from(TOGETHER)?) {
        let number = TOGETHER.min(orders - from);
        let sold = try_join_all((0..number).map(|_| sell_one(&stock, sku))).await?;
        revision = sold.into_iter().max().unwrap_or(revision);
    }
    Ok(revision)
}

async fn sell_one(stock: &Repository<Stock>, sku: &Sku) -> anyhow::Result<u64> {
    let order = OrderId(ids::new_id());
    execute(stock, sku, reserve(order)).await?;
    let (location, quantity) = (LocationCode::default(), Quantity::ONE);
    let shipment = ShipmentId(ids::new_id());
    let ship = StockCommand::Ship { order, shipment, location, quantity };
    Ok(execute(stock, sku, ship).await?.revision)
}

fn reserve(order: OrderId) -> StockCommand {
    StockCommand::Reserve {
        order,
        quantity: Quantity::ONE,
        acceptance: Acceptance::AllOrNothing,
        prefer: None,
        now: SystemClock.now(),
        expires_at: None,
    }
}

struct First {
    took: Duration,
    events_read: u64,
}

/// As a process that has just started, but for the connection, which is there.
async fn first_command(
    store: &Server,
    sku: &Sku,
    snapshots: Option<&Path>,
) -> anyhow::Result<First> {
    let stock = stock(store, snapshots)?;
    stock.journal().head().await?;
    let started = Instant::now();
    execute(&stock, sku, reserve(OrderId(ids::new_id()))).await?;
    Ok(First { took: started.elapsed(), events_read: stock.stats().events_read })
}

/// The shortest of a few times.
async fn bare_read(store: &Server, sku: &Sku) -> anyhow::Result<Duration> {
    let journal = journal(store, None)?;
    let mut shortest = Duration::MAX;
    for _ in 0..READS {
        let started = Instant::now();
        let events = journal.read(&stream_of::<Stock>(sku), 0);
        events.try_for_each(|_| std::future::ready(Ok(()))).await?;
        shortest = shortest.min(started.elapsed());
    }
    Ok(shortest)
}

fn journal(store: &Server, snapshots: Option<&Path>) -> anyhow::Result<Journal> {
    let options = journal::Options::new(store.connection_string().parse()?);
    let options = journal::Options { snapshot_dir: snapshots.map(Path::to_owned), ..options };
    Ok(Journal::connect(options, Arc::new(SystemClock))?)
}

fn stock(store: &Server, snapshots: Option<&Path>) -> anyhow::Result<Repository<Stock>> {
    Ok(Repository::new(journal(store, snapshots)?, 10))
}

async fn execute(
    stock: &Repository<Stock>,
    sku: &Sku,
    command: StockCommand,
) -> anyhow::Result<Executed<Stock>> {
    let command_id = ids::new_id();
    let context = Context {
        command_id,
        correlation_id: command_id,
        causation_id: command_id,
        actor: "client:bench".to_owned(),
        traceparent: None,
    };
    stock.execute(sku, command, context).await.context("a command was not carried out")
}

/// Waits for the file; its length in bytes.
async fn written(folder: &Path) -> anyhow::Result<u64> {
    loop {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|it| it == "snapshot") {
                return Ok(entry.metadata()?.len());
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
