//! Appends that need a server with options or files of our own; the rules are in `conformance`.

use std::time::Duration;

use embedded_store::Options;
use eventstore::{AppendToStreamOptions, Error, EventData, ExpectedRevision};
use futures::future::join_all;
use tempfile::TempDir;

use crate::harness::{append, connect, event, events, soon, start, store, store_with};

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_is_too_large_is_refused_as_such() {
    let store = store_with(Options { max_append_size: 1_000, ..Options::temporary() }).await;
    let large = |size| vec![EventData::binary("Large", vec![0; size].into())];
    let refusal = store.append("s", ExpectedRevision::Any, large(1_001)).await.unwrap_err();
    assert!(matches!(&refusal, Error::Grpc { code, .. } if *code as i32 == 3), "{refusal:?}");
    let half_each = [large(600), large(600)].concat();
    store.append("s", ExpectedRevision::Any, half_each).await.unwrap_err();
    store.append("s", ExpectedRevision::Any, large(900)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_appended_to_the_whole_log() {
    let store = store().await;
    for stream in ["$all", ""] {
        store.append(stream, ExpectedRevision::Any, events(0..1)).await.unwrap_err();
    }
    assert_eq!(store.log().await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_whose_deadline_passes_while_it_waits_is_not_written() {
    let directory = TempDir::new().unwrap();
    let store = store_with(Options::at(directory.path())).await;
    store.add("s", events(0..1)).await;
    // Somebody else holds the database, so that the server has to wait.
    let other = rusqlite::Connection::open(directory.path().join("events.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let options = AppendToStreamOptions::default().deadline(Duration::from_millis(50));
    let late = soon(store.client.append_to_stream("s", &options, events(1..2))).await;
    assert!(matches!(late, Err(Error::DeadlineExceeded)), "{late:?}");
    other.execute_batch("ROLLBACK").unwrap();
    store.add("s", events(2..3)).await;
    assert_eq!(store.numbers("s").await, [0, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_are_durable_with_fsync_too() {
    let server = start(Options::default()).await;
    let client = connect(&server);
    let appends =
        (0..32).map(|number| append(&client, "s", ExpectedRevision::Any, vec![event(number)]));
    let revisions = join_all(appends).await;
    let mut revisions: Vec<_> =
        revisions.into_iter().map(|answer| answer.unwrap().next_expected_version).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (0..32).collect::<Vec<_>>());
}
