//! Rebuilding read models, against the least that the same rows could cost.
//!
//! In reading order: a process of its own that rebuilds (`alone`); who spends how much of the
//! processors (`processors`); the `limit`, which is copying the resulting rows into tables of the same
//! definition and making the same keys and indexes; what `lists` of the rebuilt orders take; the run of
//! all this; and what becomes of orders that are placed meanwhile (`beside`).

mod alone;
mod beside;
mod limit;
mod lists;
mod processors;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use private_postgres::{Binaries, Cluster};
use projector::ProjectionName;

pub(crate) use self::alone::run as alone;
use self::alone::{Job, Rebuilt};
pub(crate) use self::beside::{Beside, run as beside};
use self::limit::Limit;
use self::processors::{Lap, Processors, Spent};
use crate::history::{History, Parameters, in_folder};
use crate::stage::{Folder, free_port};

/// Up to so many orders, rows are compared with those of a second rebuild.
const COMPARED: u64 = 20_000;
/// What a rebuild may be slower than its limit.
const AIM: f64 = 0.5;
/// Memory that a rebuild may take.
const MEMORY: u64 = 512 << 20;

/// Rebuilding all projections against copying the resulting rows
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Rebuilding {
    #[command(flatten)]
    pub(crate) history: Where,
    /// Compares the rows with those of another rebuild afterwards; always done for small histories
    #[arg(long)]
    compare: bool,
    /// Does not go out of anybody's way
    #[arg(long)]
    greedy: bool,
}

/// Where the history is that read models are made of.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Where {
    /// Folder of a history that is there; otherwise one is written, and kept, in the system's temporary folder
    #[arg(long = "history", value_name = "FOLDER")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    parameters: Parameters,
}

impl Where {
    /// The history, written if need be.
    pub(crate) fn find(&self) -> anyhow::Result<History> {
        if let Some(folder) = &self.folder {
            return History::open(folder);
        }
        let Parameters { orders, skus, seed, .. } = self.parameters;
        let name = format!("orderstore-history-{orders}-{skus}-{seed}");
        in_folder(&self.parameters, &std::env::temp_dir().join(name))
    }
}

/// A Postgres of its own, with durable commits, in `folder`.
pub(crate) async fn postgres(folder: &Path) -> anyhow::Result<Cluster> {
    let binaries = Binaries::find(None)?;
    let options = private_postgres::Options::new(folder.join("postgres"), binaries);
    Ok(Cluster::start(options).await?)
}

/// The event store in `folder`.
pub(crate) async fn event_store(folder: &Path) -> anyhow::Result<embedded_store::Server> {
    let options = embedded_store::Options::at(folder);
    Ok(embedded_store::serve(free_port().await?, options).await?)
}

pub(crate) async fn run(rebuilding: Rebuilding) -> anyhow::Result<()> {
    let history = rebuilding.history.find()?;
    let folder = Folder::new()?;
    let store = event_store(&history.event_store).await?;
    let postgres = postgres(folder.path()).await?;
    let tally = &history.tally;
    println!("{} orders, {} events", tally.orders, tally.events);
    let job = Job {
        event_store: store.connection_string(),
        database: postgres.url(),
        spill: folder.path().to_owned(),
        promote: true,
        gentle: !rebuilding.greedy,
    };
    projector::migrate(&job.database).await?;
    limit::checkpoint(&job.database).await?;
    let mut processors = Processors::of(postgres.pid());
    let rebuilt = job.start()?.finish(|spent, phase| processors.lap_of(phase, spent)).await?;
    show(&rebuilt, &processors);
    ensure!(rebuilt.promoted, "the rebuild was not promoted: {:?}", rebuilt.refusals);

    lists::run(&job.database).await?;
    if rebuilding.compare || tally.orders <= COMPARED {
        compare(&Job { promote: false, ..job.clone() }).await?;
    }
    store.stop().await;
    let limit = Limit::prepare(&job.database, folder.path()).await?;
    limit::checkpoint(&job.database).await?;
    let mut processors = Processors::of(postgres.pid());
    let rows = limit.copy(&job.database).await?;
    processors.lap_of("copy", 0.0);
    limit.index(&job.database).await?;
    processors.lap_of("indexes", 0.0);
    let seconds: f64 = processors.laps.iter().map(|lap| lap.seconds).sum();
    println!("limit: the same rows by binary copy, then the same keys and indexes, alone");
    println!("  {:.1} MB in {} rows", mega(limit.bytes), rows);
    println!("  {:>10} {:>8} {:>12} {:>12}", "", "seconds", "client", "Postgres");
    for Lap { name, seconds, spent } in &processors.laps {
        println!("  {name:>10} {seconds:>8.1} {:>12.1} {:>12.1}", spent.own, spent.postgres);
    }
    let ratio = seconds / rebuilt.seconds;
    println!("  {:>10} {seconds:>8.1}", "all");
    println!(
        "ratio {ratio:.2} (aim {AIM}), memory {:.0} MB (at most {:.0})",
        mega(rebuilt.peak_rss_bytes),
        mega(MEMORY)
    );
    postgres.stop().await?;
    ensure!(rebuilt.peak_rss_bytes <= MEMORY, "a rebuild took too much memory");
    Ok(())
}

fn show(rebuilt: &Rebuilt, processors: &Processors) {
    println!(
        "rebuilt {} events into {} rows of {:.1} MB in {:.1} s: {:.0} events/s; {:.1} MB spilled",
        rebuilt.events,
        rebuilt.rows,
        mega(rebuilt.row_bytes),
        rebuilt.seconds,
        rebuilt.events_per_second(),
        mega(rebuilt.spilled_bytes),
    );
    println!("  {:>10} {:>8} {:>12} {:>12} {:>12}", "", "seconds", "rebuild", "store", "Postgres");
    for lap in &processors.laps {
        let seconds = rebuilt.phases.iter().find(|(name, _)| *name == lap.name);
        let Spent { other, own, postgres } = lap.spent;
        println!(
            "  {:>10} {:>8.1} {other:>12.1} {own:>12.1} {postgres:>12.1}",
            lap.name,
            seconds.map_or(lap.seconds, |(_, seconds)| *seconds),
        );
    }
    println!("  peak memory of the rebuilding process {:.0} MB", mega(rebuilt.peak_rss_bytes));
}

/// Rebuilds once more, and compares every row with the live ones.
async fn compare(job: &Job) -> anyhow::Result<()> {
    job.start()?.finish(|_, _| {}).await?;
    let journal = job.journal()?;
    for name in ProjectionName::ALL {
        let comparison = projector::diff(&job.database, journal.clone(), name)
            .await
            .with_context(|| format!("{name} could not be compared"))?;
        let rows: u64 = comparison.tables.iter().map(|table| table.rows_green).sum();
        ensure!(comparison.differing() == 0, "{name} came out differently: {comparison:?}");
        println!("  {name}: {rows} rows are the same when rebuilt");
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
pub(crate) fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
