//! A history that read models do not have yet. A projector that finds it when it begins for the first
//! time builds them from it; workers that were away for that long fold it batch by batch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use journal::{Journal, SystemClock};
use projector::{Options, ProjectionName, Projector, Rebuild, RebuildOptions};
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;

use crate::history::History;
use crate::rebuild::{event_store, postgres};
use crate::stage::Folder;

/// Events of all projections per second.
const AIM: f64 = 100_000.0;
const LOOK: Duration = Duration::from_millis(10);

/// Who folds a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// A build, because there is nothing yet that readers see.
    Build,
    /// The workers of live generations, which readers see.
    Workers,
}

pub(super) async fn run(history: &History, options: &Options) -> anyhow::Result<()> {
    for by in [By::Build, By::Workers] {
        catch_up(history, options, by).await?;
    }
    Ok(())
}

async fn catch_up(history: &History, options: &Options, by: By) -> anyhow::Result<()> {
    // Workers take it for a generation that has been seen.
    const SEEN: &str = "update orderstore.projections set opened = true";
    let folder = Folder::new()?;
    let store = event_store(&history.event_store).await?;
    let postgres = postgres(folder.path()).await?;
    let url = postgres.url();
    projector::migrate(&url).await?;
    if by == By::Workers {
        let mut connection = PgConnection::connect(&url).await?;
        sqlx::query(SEEN).execute(&mut connection).await?;
        connection.close().await?;
    }
    let to_store = journal::Options::new(store.connection_string().parse()?);
    let journal = Journal::connect(to_store, Arc::new(SystemClock))?;
    let head = journal.head().await?;

    let start = Instant::now();
    let projector = Projector::start(&url, journal.clone(), options.clone())?;
    let mut there: BTreeMap<ProjectionName, Duration> = BTreeMap::new();
    while there.len() < ProjectionName::ALL.len() {
        sleep(LOOK).await;
        for status in projector.status() {
            if status.caught_up && status.position >= head {
                there.entry(status.projection).or_insert_with(|| start.elapsed());
            }
        }
    }
    let took = start.elapsed().as_secs_f64();
    let statuses = projector.status();
    projector.stop().await;
    if by == By::Build {
        let events = history.tally.events;
        println!("{events} events, built for the first time, are to be seen after {took:.1} s");
        println!("  {:.0} events/s (aim {AIM})", rate(events, took));
        postgres.stop().await?;
        store.stop().await;
        return Ok(());
    }
    let events: u64 = statuses.iter().map(|it| it.stats.events_applied).sum();
    println!("{events} events by live workers from the beginning of the log in {took:.1} s");
    for status in &statuses {
        let stats = status.stats;
        println!(
            "  {:>12} {:>8} events in {:>5} transactions, there after {:>5.1} s",
            status.projection.as_str(),
            stats.events_applied,
            stats.batches,
            there[&status.projection].as_secs_f64()
        );
        ensure!(stats.gaps_healed + stats.streams_quarantined == 0, "{status:?}");
    }
    println!("  {:.0} events/s (aim {AIM})", rate(events, took));
    same_in_bulk(&url, &journal).await?;
    postgres.stop().await?;
    store.stop().await;
    Ok(())
}

/// What live workers wrote is what a rebuild writes.
async fn same_in_bulk(url: &str, journal: &Journal) -> anyhow::Result<()> {
    let options = RebuildOptions { promote: false, ..RebuildOptions::default() };
    Rebuild::start(url, journal.clone(), &ProjectionName::ALL, options).await?.finish().await?;
    for name in ProjectionName::ALL {
        let comparison = projector::diff(url, journal.clone(), name)
            .await
            .with_context(|| format!("{name} could not be compared"))?;
        ensure!(comparison.differing() == 0, "{name} comes out differently: {comparison:?}");
    }
    println!("  all rows are the same when rebuilt");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}
