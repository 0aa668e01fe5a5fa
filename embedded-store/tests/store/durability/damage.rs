//! Files that were damaged while nobody looked: whatever is served is, byte for byte, what was
//! written, or there is an error that says what is wrong.

use std::collections::HashMap;
use std::path::Path;

use embedded_store::{Error, Options, Server, serve};
use eventstore::{
    Client, ExpectedRevision, ReadAllOptions, ReadStreamOptions, RecordedEvent, StreamPosition,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::ledger::{Ids, check_content, event_with};
use super::victim::Victim;
use super::{random, rounds};
use crate::harness::{append, connect, read_all, soon, store_with};

const FILES: [&str; 2] = ["events.sqlite", "events.sqlite-wal"];

/// What was written: stream, revision and position of every event, by id.
type Written = HashMap<uuid::Uuid, (String, u64, eventstore::Position)>;

async fn start(directory: &Path) -> Result<Server, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    serve(listener, Options { durable: false, ..Options::at(directory) }).await
}

/// A store as it is after a kill: half of it in the database, half in the write-ahead log.
async fn prepare(directory: &Path, random: &mut StdRng) -> Written {
    let ids = Ids::default();
    for _ in 0..2 {
        let victim = Victim::start(directory).await.unwrap();
        let client = victim.client();
        for _ in 0..60 {
            let stream = format!("s-{}", random.random_range(0..12));
            let events = ids.next(random.random_range(1..5)).into_iter().map(event_with).collect();
            append(&client, &stream, ExpectedRevision::Any, events).await.unwrap();
        }
        victim.kill().await;
    }
    let copy = copy(directory);
    let store = store_with(Options::at(copy.path())).await;
    let log = store.log().await;
    log.into_iter()
        .map(|event| (event.id, (event.stream_id, event.revision, event.position)))
        .collect()
}

fn copy(directory: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for file in FILES {
        std::fs::copy(directory.join(file), copy.path().join(file)).unwrap();
    }
    copy
}

/// Flips bits, overwrites a piece, or exchanges two pieces.
fn damage(path: &Path, random: &mut StdRng) -> String {
    let mut content = std::fs::read(path).unwrap();
    let length = content.len();
    let story = match random.random_range(0..4) {
        0 | 1 => {
            let flips = random.random_range(1..6);
            let places: Vec<_> = (0..flips).map(|_| random.random_range(0..length)).collect();
            for place in &places {
                content[*place] ^= 1 << random.random_range(0..8);
            }
            format!("flipped {places:?}")
        }
        2 => {
            let start = random.random_range(0..length);
            let end = (start + random.random_range(1..5_000)).min(length);
            content[start..end].fill(random.random());
            format!("overwrote {start}..{end}")
        }
        _ => {
            let (one, other) = (random.random_range(0..length), random.random_range(0..length));
            let size = 512.min(length - one.max(other));
            let piece = content[one..one + size].to_vec();
            content.copy_within(other..other + size, one);
            content[other..other + size].copy_from_slice(&piece);
            format!("exchanged {one} and {other}")
        }
    };
    std::fs::write(path, content).unwrap();
    story
}

fn check(event: &RecordedEvent, written: &Written) {
    // What this test appends afterwards.
    if event.stream_id == "afterwards" {
        return;
    }
    check_content(event);
    let found = (event.stream_id.clone(), event.revision, event.position);
    assert_eq!(written.get(&event.id), Some(&found), "not where it was written");
}

/// Reads on until the end or an error. How many events there were, and the error.
async fn read_checked(
    client: &Client,
    stream: Option<&str>,
    written: &Written,
) -> (usize, Option<eventstore::Error>) {
    let (by_stream, all) = (ReadStreamOptions::default(), ReadAllOptions::default());
    let reading = match stream {
        Some(stream) => client.read_stream(stream, &by_stream).await,
        None => client.read_all(&all.position(StreamPosition::Start)).await,
    };
    let mut reading = match reading {
        Ok(reading) => reading,
        Err(error) => return (0, Some(error)),
    };
    let mut count = 0;
    loop {
        match reading.next().await {
            Ok(Some(event)) => check(event.event.as_ref().unwrap(), written),
            Ok(None) => return (count, None),
            Err(error) => return (count, Some(error)),
        }
        count += 1;
    }
}

fn assert_clear(error: &eventstore::Error) {
    let clear = if let eventstore::Error::ServerError(text) = error {
        text.contains("damaged")
    } else {
        matches!(error, eventstore::Error::ResourceNotFound)
    };
    assert!(clear, "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_served_from_damaged_files_is_what_was_written() {
    let mut random = random("damage");
    let original = TempDir::new().unwrap();
    let written = prepare(original.path(), &mut random).await;
    let (mut refused, mut failed, mut whole) = (0, 0, 0);
    for _ in 0..rounds(300) {
        let directory = copy(original.path());
        let file = FILES[random.random_range(0..2)];
        let story = damage(&directory.path().join(file), &mut random);
        println!("{file}: {story}");
        let server = match start(directory.path()).await {
            Ok(server) => server,
            Err(Error::Damaged { .. } | Error::NewerFormat { .. }) => {
                refused += 1;
                continue;
            }
            Err(other) => panic!("{other:?}"),
        };
        let client = connect(&server);
        let (count, error) = soon(read_checked(&client, None, &written)).await;
        for stream in 0..12 {
            let stream = format!("s-{stream}");
            let (_, error) = soon(read_checked(&client, Some(&stream), &written)).await;
            error.iter().for_each(assert_clear);
        }
        error.iter().for_each(assert_clear);
        let event = event_with(uuid::Uuid::from_u128(1 << 70 | random.random_range(0..1 << 60)));
        let appended = append(&client, "afterwards", ExpectedRevision::Any, vec![event]).await;
        if let Err(error) = appended {
            let stopping = error.to_string().contains("stopping");
            assert!(!stopping, "the writer is gone: {error:?}");
        }
        match error {
            None if count == written.len() => whole += 1,
            _ => failed += 1,
        }
    }
    println!("{refused} starts were refused, {failed} reads fell short, {whole} were whole");
    assert!(refused > 10 && failed > 10 && whole > 10);
}

/// The test itself would notice other content.
#[tokio::test(flavor = "multi_thread")]
async fn undamaged_files_are_served_whole() {
    let mut random = StdRng::seed_from_u64(1);
    let original = TempDir::new().unwrap();
    let written = prepare(original.path(), &mut random).await;
    let server = start(original.path()).await.unwrap();
    let client = connect(&server);
    let (count, error) = soon(read_checked(&client, None, &written)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(count, written.len());
    let log = read_all(&client, &ReadAllOptions::default()).await;
    assert_eq!(log.len(), written.len());
}
