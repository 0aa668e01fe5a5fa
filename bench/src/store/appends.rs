//! Durable appends by many writers against a bare log that writes the same bytes to a file, in the
//! same number of groups, with one fsync after each; and against the same store when it does not
//! wait for the disk at all, which tells what of the difference is the disk and what the way there.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use embedded_store::{Options, Server, serve};
use eventstore::{AppendToStreamOptions, Client, ExpectedRevision};
use futures::future::try_join_all;

use super::{Folder, event_of, store_in};
use crate::stage::free_port;

const WRITERS: usize = 64;
/// Connections that the writers share.
const CLIENTS: usize = 8;
const APPENDS_PER_WRITER: usize = 400;
/// Bytes of data per event: an order of three lines.
const DATA: usize = 600;
/// Bytes of an event besides its data: its id, its type, where it belongs and when it came.
const ENVELOPE: usize = 64;
/// Runs of each kind in turn; the first is not counted.
const ROUNDS: usize = 6;
/// What the store should reach of the bare log.
const AIM: f64 = 0.5;
/// What it reaches at least, where the clients and gRPC have the same two cores.
const LIMIT: f64 = 0.25;

pub(crate) async fn run() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let (server, _first) = store_in(&folder.path().join("store")).await?;
    let careless = Options { durable: false, ..Options::at(folder.path().join("careless")) };
    let careless = serve(free_port().await?, careless).await?;
    let (clients, careless_clients) = (clients_of(&server)?, clients_of(&careless)?);
    let (mut store, mut bare, mut not_durable, mut groups) = (vec![], vec![], vec![], 0);
    for round in 0..ROUNDS {
        let before = server.commits();
        let took = append(&clients).await?;
        let commits = usize::try_from(server.commits() - before)?;
        let without_disk = append(&careless_clients).await?;
        let path = folder.path().join("bare.log");
        let limit = tokio::task::spawn_blocking(move || write_bare(&path, commits)).await??;
        if round > 0 {
            store.push(took);
            bare.push(limit);
            not_durable.push(without_disk);
            groups += commits;
        }
    }
    server.stop().await;
    careless.stop().await;
    let events = WRITERS * APPENDS_PER_WRITER;
    let (store, bare, not_durable) = (median(store), median(bare), median(not_durable));
    let ratio = bare.as_secs_f64() / store.as_secs_f64();
    println!(
        "{WRITERS} writers, {CLIENTS} connections, {events} appends of {DATA} bytes, fsync on"
    );
    println!("  embedded store        {:>8.0} appends/s", per_second(events, store));
    println!("  without waiting       {:>8.0} appends/s", per_second(events, not_durable));
    println!("  bare log, same fsyncs {:>8.0} appends/s", per_second(events, bare));
    println!("  {:.1} appends per fsync", per_fsync(events * (ROUNDS - 1), groups));
    println!("  ratio {ratio:.2} (should be {AIM}, at least {LIMIT})");
    ensure!(ratio >= LIMIT, "durable appends reach {ratio:.2} of a bare log, less than {LIMIT}");
    Ok(())
}

fn clients_of(server: &Server) -> anyhow::Result<Vec<Client>> {
    let address = server.connection_string();
    (0..CLIENTS).map(|_| Ok(Client::new(address.parse()?)?)).collect()
}

/// Every writer appends to streams of its own, at exact revisions, one append after the other.
async fn append(clients: &[Client]) -> anyhow::Result<Duration> {
    let start = Instant::now();
    try_join_all((0..WRITERS).map(|writer| {
        let client = clients[writer % clients.len()].clone();
        tokio::spawn(async move { write_stream(&client).await })
    }))
    .await?
    .into_iter()
    .collect::<anyhow::Result<()>>()?;
    Ok(start.elapsed())
}

async fn write_stream(client: &Client) -> anyhow::Result<()> {
    let stream = format!("order-{}", journal::ids::new_id());
    let mut expected = ExpectedRevision::NoStream;
    for _ in 0..APPENDS_PER_WRITER {
        let options = AppendToStreamOptions::default().expected_revision(expected);
        let written = client.append_to_stream(&*stream, &options, event_of(DATA)).await?;
        expected = ExpectedRevision::Exact(written.next_expected_version);
    }
    Ok(())
}

/// Writes as many bytes as a round of appends, in `groups` equal parts, each brought to the disk.
fn write_bare(path: &Path, groups: usize) -> anyhow::Result<Duration> {
    let all = WRITERS * APPENDS_PER_WRITER * (DATA + ENVELOPE);
    let group = vec![0x5a; all / groups.max(1)];
    let mut file = File::create(path)?;
    let start = Instant::now();
    for _ in 0..groups {
        file.write_all(&group)?;
        file.sync_data()?;
    }
    Ok(start.elapsed())
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn per_fsync(count: usize, fsyncs: usize) -> f64 {
    count as f64 / fsyncs as f64
}
