//! Opening a store that holds many events: how long it takes, and what it keeps in memory. A
//! process of its own opens it, so that nothing else is counted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use embedded_store::{Options, serve};
use eventstore::{AppendToStreamOptions, Client};
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::{event_of, store_in};
use crate::stage::{Folder, free_port};

const PER_APPEND: usize = 500;
const WRITERS: usize = 4;
/// Events in one stream.
const PER_STREAM: usize = 20_000;
const DATA: usize = 100;
/// What opening may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Memory that an opened store may keep, whatever it holds.
const MEMORY: u64 = 64 * 1024 * 1024;

/// Opening a store of many events: time and memory
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Opening {
    /// How many events
    #[arg(long, default_value_t = 10_000_000)]
    events: usize,
    /// Only opens the store in this folder, and prints the figures
    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
}

pub(crate) async fn run(opening: Opening) -> anyhow::Result<()> {
    if let Some(folder) = &opening.folder {
        return open(folder).await;
    }
    let folder = Folder::new()?;
    let empty = measure(&folder.path().join("empty"))?;
    let full_folder = folder.path().join("full");
    let filled = fill(&full_folder, opening.events).await?;
    let full = measure(&full_folder)?;
    println!("{} events of {DATA} bytes, written in {:.0?}", opening.events, filled);
    println!("  opens in         {:>8.1?}", full.took);
    println!(
        "  resident memory  {:>8} KiB, of an empty store {} KiB",
        full.resident / 1024,
        empty.resident / 1024
    );
    let more = full.resident.saturating_sub(empty.resident);
    ensure!(full.took <= LIMIT, "opening took {:?}, more than {LIMIT:?}", full.took);
    ensure!(more <= MEMORY, "an opened store keeps {more} bytes more than an empty one");
    Ok(())
}

async fn fill(folder: &Path, events: usize) -> anyhow::Result<Duration> {
    let (server, client) = store_in(folder).await?;
    let start = Instant::now();
    try_join_all((0..WRITERS).map(|writer| {
        let client = client.clone();
        tokio::spawn(async move { write(&client, writer, events / WRITERS).await })
    }))
    .await?
    .into_iter()
    .collect::<anyhow::Result<()>>()?;
    server.stop().await;
    Ok(start.elapsed())
}

async fn write(client: &Client, writer: usize, events: usize) -> anyhow::Result<()> {
    for written in (0..events).step_by(PER_APPEND) {
        let stream = format!("order-{writer}-{}", written / PER_STREAM);
        let events: Vec<_> = (0..PER_APPEND).map(|_| event_of(DATA)).collect();
        client.append_to_stream(stream, &AppendToStreamOptions::default(), events).await?;
    }
    Ok(())
}

struct Figures {
    took: Duration,
    resident: u64,
}

/// Opens the folder in a process of its own.
fn measure(folder: &Path) -> anyhow::Result<Figures> {
    let output = Command::new(std::env::current_exe()?)
        .args(["opening", "--folder"])
        .arg(folder)
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: Value = serde_json::from_slice(&output.stdout)?;
    let number = |name: &str| figures[name].as_u64().context("a figure is missing");
    Ok(Figures { took: Duration::from_micros(number("micros")?), resident: number("resident")? })
}

/// Opens a store, reads its newest event, and says how long that took and what it keeps.
async fn open(folder: &Path) -> anyhow::Result<()> {
    let start = Instant::now();
    let server = serve(free_port().await?, Options::at(folder)).await?;
    let micros = u64::try_from(start.elapsed().as_micros())?;
    let client = Client::new(server.connection_string().parse()?)?;
    let newest = eventstore::ReadAllOptions::default().backwards().max_count(1);
    let _ =
        client.read_all(&newest.position(eventstore::StreamPosition::End)).await?.next().await?;
    println!("{}", json!({ "micros": micros, "resident": resident()? }));
    server.stop().await;
    Ok(())
}

/// Bytes of memory that this process has now.
fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .context("the system does not tell its processes' memory")?
        .trim()
        .parse()?;
    Ok(kib * 1024)
}
