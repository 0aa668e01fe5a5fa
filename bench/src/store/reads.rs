//! Reading the whole log through the official client: from the embedded store, and from a bare gRPC
//! server that sends the very same messages from memory and does nothing else.

use std::time::{Duration, Instant};

use anyhow::ensure;
use eventstore::{Client, ReadAllOptions};
use tokio_util::sync::CancellationToken;

use super::raw::{Recording, replay};
use super::{event_of, store_in};
use crate::stage::{Folder, free_port};

const EVENTS: usize = 300_000;
const STREAMS: usize = 3_000;
const PER_APPEND: usize = 100;
/// Bytes of data per event: an order of three lines.
const DATA: usize = 600;
/// Reads of each kind in turn; the first is not counted.
const ROUNDS: usize = 8;
/// What the store must reach of the bare stream.
const LIMIT: f64 = 0.6;

pub(crate) async fn run() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let (server, client) = store_in(folder.path()).await?;
    fill(&client).await?;
    let recording = Recording::of(server.address()).await?;
    let listener = free_port().await?;
    let bare = format!("esdb://{}?tls=false&discoveryInterval=0", listener.local_addr()?);
    let stop = CancellationToken::new();
    let replaying = tokio::spawn(replay(recording, listener, stop.clone()));
    let bare = Client::new(bare.parse()?)?;
    let (mut reads, mut limits) = (vec![], vec![]);
    for round in 0..ROUNDS {
        let (read, limit) = (read_all(&client).await?, read_all(&bare).await?);
        if round > 0 {
            reads.push(read);
            limits.push(limit);
        }
    }
    stop.cancel();
    drop(bare);
    replaying.await??;
    server.stop().await;
    report(median(reads), median(limits))
}

fn report(read: Duration, limit: Duration) -> anyhow::Result<()> {
    let ratio = limit.as_secs_f64() / read.as_secs_f64();
    println!("$all through the client, {EVENTS} events of {DATA} bytes");
    println!("  embedded store   {:>9.0} events/s", per_second(read));
    println!("  bare gRPC stream {:>9.0} events/s", per_second(limit));
    println!("  ratio {ratio:.2} (at least {LIMIT})");
    ensure!(ratio >= LIMIT, "reading reaches {ratio:.2} of a bare stream, less than {LIMIT}");
    Ok(())
}

/// Streams that grow in turns, as they do in life.
async fn fill(client: &Client) -> anyhow::Result<()> {
    for append in 0..EVENTS / PER_APPEND {
        let events: Vec<_> = (0..PER_APPEND).map(|_| event_of(DATA)).collect();
        let stream = format!("order-{}", append % STREAMS);
        client
            .append_to_stream(stream, &eventstore::AppendToStreamOptions::default(), events)
            .await?;
    }
    Ok(())
}

async fn read_all(client: &Client) -> anyhow::Result<Duration> {
    let options = ReadAllOptions::default().max_count(usize::MAX);
    let start = Instant::now();
    let mut events = client.read_all(&options).await?;
    let mut count = 0;
    while events.next().await?.is_some() {
        count += 1;
    }
    ensure!(count >= EVENTS, "only {count} events were read");
    Ok(start.elapsed())
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn per_second(took: Duration) -> f64 {
    EVENTS as f64 / took.as_secs_f64()
}
