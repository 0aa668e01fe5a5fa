//! Durable appends by many writers against a bare log that writes the same bytes to a file, in the
//! same number of groups, with one fsync after each; and against the same store when it does not
//! wait for the disk at all, which tells what of the difference is the disk and what the way there.
//!
//! The protocol has two ways to append. `Append` is a call of its own for every append, and what most
//! clients use by default; `BatchAppend` is one call that stays open, and takes appends as messages.
//! Either way each writer waits for the answer to its append before it makes the next.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use embedded_store::{Options, Server, serve};
use eventstore::{
    AppendToStreamOptions, BatchAppendClient, BatchAppendOptions, Client, ExpectedRevision,
};
use futures::future::try_join_all;

use super::{event_of, store_in};
use crate::stage::{Folder, free_port};

const WRITERS: usize = 64;
/// Connections that the writers share.
const CLIENTS: usize = 8;
const APPENDS_PER_WRITER: usize = 400;
const APPENDS: usize = WRITERS * APPENDS_PER_WRITER;
/// Bytes of data per event: an order of three lines.
const DATA: usize = 600;
/// Bytes of an event besides its data: its id, its type, where it belongs and when it came.
const ENVELOPE: usize = 64;
/// Runs of each kind in turn; the first is not counted.
const ROUNDS: usize = 6;
/// What the store should reach of the bare log.
const AIM: f64 = 0.5;
/// What single calls reach at least, where the clients and gRPC have the same two cores and the
/// disk is quick.
const LIMIT: f64 = 0.15;
/// What batch calls reach at least.
const BATCH_LIMIT: f64 = 0.3;

pub(crate) async fn run() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let (server, _first) = store_in(&folder.path().join("store")).await?;
    let careless = Options { durable: false, ..Options::at(folder.path().join("careless")) };
    let careless = serve(free_port().await?, careless).await?;
    let calls = [single_calls(&server)?, batch_calls(&server).await?];
    let careless_calls = [single_calls(&careless)?, batch_calls(&careless).await?];
    let mut figures = [Figures::default(), Figures::default()];
    for round in 0..ROUNDS {
        for ((calls, careless_calls), figures) in
            calls.iter().zip(&careless_calls).zip(&mut figures)
        {
            let before = server.commits();
            let store = append(calls).await?;
            let commits = usize::try_from(server.commits() - before)?;
            let without_disk = append(careless_calls).await?;
            let path = folder.path().join("bare.log");
            let bare = tokio::task::spawn_blocking(move || write_bare(&path, commits)).await??;
            if round > 0 {
                figures.store.push(store);
                figures.bare.push(bare);
                figures.without_disk.push(without_disk);
                figures.groups += commits;
            }
        }
    }
    drop((calls, careless_calls));
    server.stop().await;
    careless.stop().await;
    println!(
        "{WRITERS} writers, {CLIENTS} connections, {APPENDS} appends of {DATA} bytes, each waits \
         for its answer"
    );
    let [single, batch] = figures;
    single.report("one call per append (Append)", LIMIT)?;
    batch.report("one call per connection (BatchAppend)", BATCH_LIMIT)
}

/// What was measured of one way to append.
#[derive(Debug, Default)]
struct Figures {
    store: Vec<Duration>,
    bare: Vec<Duration>,
    without_disk: Vec<Duration>,
    groups: usize,
}

impl Figures {
    fn report(self, way: &str, least: f64) -> anyhow::Result<()> {
        let per_fsync = per_fsync(APPENDS * (ROUNDS - 1), self.groups);
        let (store, bare) = (median(self.store), median(self.bare));
        let ratio = bare.as_secs_f64() / store.as_secs_f64();
        println!("{way}");
        println!("  embedded store        {:>8.0} appends/s, durable", per_second(store));
        println!(
            "  without fsync         {:>8.0} appends/s",
            per_second(median(self.without_disk))
        );
        println!("  bare log, same fsyncs {:>8.0} appends/s", per_second(bare));
        println!("  {per_fsync:.1} appends per fsync");
        println!("  ratio {ratio:.2} (should be {AIM}, at least {least})");
        ensure!(ratio >= least, "{way}: {ratio:.2} of a bare log, less than {least}");
        Ok(())
    }
}

/// How a writer gets its appends to the store.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "there are a few of them")]
enum Call {
    Single(Client),
    Batch(Arc<BatchAppendClient>),
}

fn clients_of(server: &Server) -> anyhow::Result<Vec<Client>> {
    let address = server.connection_string();
    (0..CLIENTS).map(|_| Ok(Client::new(address.parse()?)?)).collect()
}

fn single_calls(server: &Server) -> anyhow::Result<Vec<Call>> {
    Ok(clients_of(server)?.into_iter().map(Call::Single).collect())
}

/// One open call per connection, which its writers share.
async fn batch_calls(server: &Server) -> anyhow::Result<Vec<Call>> {
    let opening = clients_of(server)?.into_iter().map(|client| async move {
        let batch = client.batch_append(&BatchAppendOptions::default()).await?;
        anyhow::Ok(Call::Batch(Arc::new(batch)))
    });
    try_join_all(opening).await
}

/// Every writer appends to streams of its own, at exact revisions, one append after the other.
async fn append(calls: &[Call]) -> anyhow::Result<Duration> {
    let start = Instant::now();
    try_join_all((0..WRITERS).map(|writer| {
        let call = calls[writer % calls.len()].clone();
        tokio::spawn(async move { write_stream(&call).await })
    }))
    .await?
    .into_iter()
    .collect::<anyhow::Result<()>>()?;
    Ok(start.elapsed())
}

async fn write_stream(call: &Call) -> anyhow::Result<()> {
    let stream = format!("order-{}", journal::ids::new_id());
    let mut expected = ExpectedRevision::NoStream;
    for _ in 0..APPENDS_PER_WRITER {
        let newest = match call {
            Call::Single(client) => {
                let options = AppendToStreamOptions::default().expected_revision(expected);
                client
                    .append_to_stream(&*stream, &options, event_of(DATA))
                    .await?
                    .next_expected_version
            }
            Call::Batch(batch) => {
                let written = batch.append_to_stream(&*stream, expected, vec![event_of(DATA)]);
                written
                    .await?
                    .current_revision()
                    .context("a batch was answered without a revision")?
            }
        };
        expected = ExpectedRevision::Exact(newest);
    }
    Ok(())
}

/// Writes as many bytes as a round of appends, in `groups` equal parts, each brought to the disk.
fn write_bare(path: &Path, groups: usize) -> anyhow::Result<Duration> {
    let all = APPENDS * (DATA + ENVELOPE);
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
fn per_second(took: Duration) -> f64 {
    APPENDS as f64 / took.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn per_fsync(count: usize, fsyncs: usize) -> f64 {
    count as f64 / fsyncs as f64
}
