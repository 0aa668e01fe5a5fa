//! Orders that are placed while read models are rebuilt: how many, and how long each takes, against the
//! same without a rebuild. The rebuild is a process of its own, everything else is this one.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use projector::{Options, Projector};
use tokio_util::sync::CancellationToken;

use super::Where;
use super::alone::{Job, Rebuilt};
use crate::buyer::Buyer;
use crate::live::caught_up;
use crate::load::{CLIENTS, Load, Pace, SKUS};
use crate::stage::{Folder, Stage};

/// How long orders are placed without a rebuild, before it and again after it.
const ALONE: Duration = Duration::from_secs(10);
/// Share of orders that are still to go through.
const RATE_AIM: f64 = 0.8;
/// So many times as long the slowest in a hundred may take.
const P99_AIM: f64 = 2.0;

/// Placing orders while all projections are rebuilt, against placing them alone
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Beside {
    #[command(flatten)]
    history: Where,
    /// Orders per second in the first part; in the second there are as many as go through
    #[arg(long, default_value_t = 300)]
    rate: u32,
}

pub(crate) async fn run(beside: Beside) -> anyhow::Result<()> {
    let history = beside.history.find()?;
    let folder = Folder::new()?;
    // Orders are going to be added to it.
    let copy = folder.path().join("event-store");
    copy_all(&history.event_store, &copy)?;
    let stage = Stage::over(copy).await?;
    let buyer = Buyer::new(&stage)?;
    buyer.receive(SKUS).await?;
    let job = Job {
        event_store: stage.event_store.connection_string(),
        database: stage.database(),
        spill: folder.path().to_owned(),
        promote: true,
        gentle: true,
    };
    let alone = job.start()?.finish(|_, _| {}).await?;
    println!(
        "a history of {} events, rebuilt alone in {:.1} s; {CLIENTS} clients",
        history.tally.events, alone.seconds
    );
    // What is replaced is not kept up to date for a rollback: it would be more to do afterwards.
    let options = Options { keep_previous: Duration::ZERO, ..Options::default() };
    let projector = Projector::start(&job.database, stage.journal.clone(), options)?;
    caught_up(&stage).await?;
    for pace in [Pace::Fixed(beside.rate), Pace::Largest] {
        let before = Load::last(ALONE, &buyer, pace).await?;
        let (during, rebuilt) = while_rebuilding(&job, &buyer, pace).await?;
        caught_up(&stage).await?;
        let after = Load::last(ALONE, &buyer, pace).await?;
        show(pace, [&before, &during, &after], &rebuilt);
    }
    let healed: u64 = projector.status().iter().map(|it| it.stats.gaps_healed).sum();
    ensure!(healed == 0, "{healed} gaps");
    projector.stop().await;
    stage.clear().await
}

async fn while_rebuilding(job: &Job, buyer: &Buyer, pace: Pace) -> anyhow::Result<(Load, Rebuilt)> {
    let stop = CancellationToken::new();
    let rebuild = async {
        let done = job.start()?.finish(|_, _| {}).await;
        stop.cancel();
        done
    };
    let (load, done) = tokio::join!(Load::until(&stop, buyer, pace), rebuild);
    let done = done?;
    ensure!(done.promoted, "the rebuild was not promoted: {:?}", done.refusals);
    Ok((load?, done))
}

fn show(pace: Pace, [before, during, after]: [&Load; 3], rebuilt: &Rebuilt) {
    println!("{pace:?}; the rebuild took {:.1} s meanwhile", rebuilt.seconds);
    let mut at = 0.0;
    let phases = rebuilt.phases.iter().map(|(name, seconds)| {
        let part = during.between(at, at + seconds);
        at += seconds;
        let (rate, p99) = (part.rate(), part.latencies().p99);
        format!("{name} {seconds:.1} s at {rate:.0} orders/s, p99 {p99:.2?}")
    });
    println!("  {}", phases.collect::<Vec<_>>().join("; "));
    for (name, load) in [("before", before), ("during", during), ("after", after)] {
        let took = load.latencies();
        println!(
            "  {name:>8} {:>7.0} orders/s, p50 {:>7.2?}, p99 {:>7.2?}, longest {:>7.2?}",
            load.rate(),
            took.p50,
            took.p99,
            took.longest
        );
    }
    let rate = during.rate() / before.rate().midpoint(after.rate());
    let p99 = |load: &Load| load.latencies().p99.as_secs_f64();
    let slower = p99(during) / p99(before).midpoint(p99(after));
    println!("  rate ratio {rate:.2} (aim {RATE_AIM}), p99 ratio {slower:.2} (aim {P99_AIM})");
}

fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}
