//! `backup`, `verify` and `compact`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use embedded_store::maintenance::{self, Depth, MaintenanceError, Verified};
use eventstore::operations::{self, OperationalOptions, ScavengeStatus};
use eventstore::{Client, ReadStreamOptions, StreamPosition};

use super::place::{Place, settings, watch};
use crate::output::say;

/// The store may be running; its appends go on. The copy is the store as it was at one moment. It is
/// checked, and appears under its name when it is complete and on the disk. Meanwhile the running
/// store's write-ahead log grows by what is written.
#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// Folder to make
    into: PathBuf,
    #[command(flatten)]
    place: Place,
}

impl Backup {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let (from, into) = (self.place.resolve()?, self.into.clone());
        let backup = watch(move |progress| maintenance::backup(&from, &into, progress)).await?;
        say(format!("{} bytes in {}", backup.bytes, self.into.display()));
        report(&backup.verified)
    }
}

/// The store may be running. Ends with an error if anything is wrong.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Leave out comparing each index with its table, which takes longest
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    place: Place,
}

impl Verify {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let depth = if self.quick { Depth::Quick } else { Depth::Full };
        let directory = self.place.resolve()?;
        let verified =
            watch(move |progress| maintenance::verify(&directory, depth, progress)).await?;
        report(&verified)
    }
}

fn report(verified: &Verified) -> anyhow::Result<()> {
    for problem in &verified.problems {
        say(problem);
    }
    let count = verified.problems.len() as u64 + verified.more;
    say(format!("{} events in {} streams checked", verified.events, verified.streams));
    if count > 0 {
        bail!("{count} problems; restore a backup, and look after the disk");
    }
    Ok(())
}

/// Removes what nobody can read any more: events of deleted streams, events beyond `$maxCount`, before
/// `$tb` and older than `$maxAge`, and all metadata but the newest. The newest event of each stream
/// stays.
///
/// A store that does not run is also written anew, which takes as much space again while it lasts. A
/// running one does it little by little between its appends.
#[derive(Debug, clap::Args)]
pub(super) struct Compact {
    /// Address of the running store, if it is not the one of `orderstore up` in this folder
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl Compact {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        if let Some(server) = &self.server {
            return scavenge(server).await;
        }
        let directory = self.place.resolve()?;
        let compacting = watch(move |progress| maintenance::compact(&directory, progress)).await;
        let compacted = match compacting {
            Err(error) if is_in_use(&error) => {
                let running = self.place.data_dir.resolve()?.running();
                let server = running
                    .and_then(|it| it.event_store)
                    .context("the event store is running; say where with --server esdb://…")?;
                return scavenge(&server).await;
            }
            compacted => compacted?,
        };
        let (before, after) = (compacted.size_before, compacted.size_after);
        say(format!("{} events removed; {before} bytes before, {after} after", compacted.events));
        Ok(())
    }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(MaintenanceError::Open(embedded_store::Error::InUse { .. }))
    )
}

/// Lets a running server compact itself, and waits for the end.
async fn scavenge(server: &str) -> anyhow::Result<()> {
    let settings = settings(server)?;
    let operations = operations::Client::new(settings.clone());
    let started = operations.start_scavenge(1, 0, &OperationalOptions::default()).await?;
    match started.status() {
        ScavengeStatus::Started => {}
        ScavengeStatus::InProgress | ScavengeStatus::Stopped => {
            say("The server is compacting already; waiting for that.");
        }
    }
    let client = Client::new(settings)?;
    let completed = completed(&client, &operations, started.id()).await?;
    let result = completed["result"].as_str().unwrap_or("unknown");
    say(format!("{result}; {} bytes of events removed", completed["spaceSaved"]));
    if result != "Success" {
        bail!("the compaction did not end well: {}", completed["error"]);
    }
    Ok(())
}

/// Looks every 200 ms whether it has ended, and after 50 looks whether it still runs.
async fn completed(
    client: &Client,
    operations: &operations::Client,
    id: &str,
) -> anyhow::Result<serde_json::Value> {
    let stream = format!("$scavenges-{id}");
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        for _ in 0..50 {
            tick.tick().await;
            if let Some(completed) = end_of(client, &stream).await? {
                return Ok(completed);
            }
        }
        // Only asking for another one tells whether one runs. Where none did, a second one finds
        // little to do.
        let running = operations.start_scavenge(1, 0, &OperationalOptions::default()).await?;
        if running.id() != id {
            return end_of(client, &stream).await?.context(
                "the compaction has ended, but the server could not write how; see its log",
            );
        }
    }
}

async fn end_of(client: &Client, stream: &str) -> anyhow::Result<Option<serde_json::Value>> {
    let newest =
        ReadStreamOptions::default().backwards().position(StreamPosition::End).max_count(1);
    let mut events = client.read_stream(stream, &newest).await?;
    let Some(event) = events.next().await? else { return Ok(None) };
    let event = event.get_original_event();
    Ok(if event.event_type == "$scavengeCompleted" { Some(event.as_json()?) } else { None })
}
