//! How fast a scan of the log is, with nothing else going on: events like those of orders in an
//! embedded store of the same process. As a limit, what the bare client reads and drops.
//!
//! `cargo run --release -p journal --example scan_rate`
#![expect(clippy::unwrap_used, reason = "an example stops where it is surprised")]

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use chrono::DateTime;
use embedded_store::{Options, serve};
use eventstore::{Client, ReadAllOptions};
use journal::{ExpectedRevision, Filter, Journal, Position, Proposed, SystemClock, ids};
use schemas::{Encoded, Metadata, StreamName};
use tokio::net::TcpListener;

const APPENDS: usize = 2000;
const PER_APPEND: usize = 500;
/// Bytes of data per event, in addition to its metadata.
const DATA: usize = 600;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { durable: false, ..Options::at(directory.path().join("store")) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("esdb://{}?tls=false", listener.local_addr().unwrap());
    let server = serve(listener, options).await.unwrap();
    let options = journal::Options::new(address.parse().unwrap());
    let journal = Journal::connect(options, Arc::new(SystemClock)).unwrap();
    for _ in 0..APPENDS {
        let events = (0..PER_APPEND).map(|_| event()).collect();
        let stream = StreamName::new("order", ids::new_id());
        journal.append(&stream, ExpectedRevision::NoStream, events).await.unwrap();
    }
    let client = Client::new(address.parse().unwrap()).unwrap();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let mut reading = client.read_all(&ReadAllOptions::default()).await.unwrap();
        let mut read = 0;
        while reading.next().await.unwrap().is_some() {
            read += 1;
        }
        let limit = per_second(read, begun);
        let (begun, mut events) = (Instant::now(), 0);
        let mut scan = journal.scan(Filter::categories(&["order"]), Position::START);
        while let Some(batch) = scan.next().await.unwrap() {
            events += batch.events.len();
        }
        assert_eq!(events, APPENDS * PER_APPEND);
        let rate = per_second(events, begun);
        println!("{rate:.0} events/s of {limit:.0} that the client reads: {:.2}", rate / limit);
    }
    server.stop().await;
}

fn event() -> Proposed {
    let id = ids::new_id();
    let metadata = Metadata {
        command_id: id,
        correlation_id: id,
        causation_id: id,
        actor: "client:example".to_owned(),
        schema_version: 1,
        recorded_at: DateTime::UNIX_EPOCH,
        traceparent: None,
    };
    let data = Bytes::from(format!("{{\"text\":\"{}\"}}", "x".repeat(DATA)));
    let encoded = Encoded { event_type: "order-placed", version: 1, data };
    Proposed { event_id: id, encoded, metadata }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn per_second(events: usize, begun: Instant) -> f64 {
    events as f64 / begun.elapsed().as_secs_f64()
}
