//! What a damaged event does not take with it: other streams' writes, compaction, and the answer to
//! whether anything is missing.

use std::path::Path;

use embedded_store::Options;
use eventstore::operations::{self, OperationalOptions};
use eventstore::{
    AppendToStreamOptions, DeleteStreamOptions, EventData, ReadAllOptions, ReadStreamOptions,
    StreamMetadataBuilder, StreamPosition, TombstoneStreamOptions,
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::harness::{Store, events, read, soon, store_with};

async fn store_in(directory: &TempDir) -> Store {
    store_with(Options { durable: false, ..Options::at(directory.path()) }).await
}

/// Does something to the database behind the server's back.
fn tamper(directory: &Path, statement: &str) {
    let connection = Connection::open(directory.join("events.sqlite")).unwrap();
    assert!(connection.execute(statement, []).unwrap() > 0, "{statement}");
}

/// Gives events a value of a type that their column does not allow.
fn tamper_with_type(directory: &Path, statement: &str) {
    let strict = |from: &str, to: &str| {
        let connection = Connection::open(directory.join("events.sqlite")).unwrap();
        let change = format!(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_master SET sql = replace(sql, '{from}', '{to}') WHERE name = 'event'"
        );
        connection.execute_batch(&change).unwrap();
    };
    strict(") STRICT", ")/*was strict*/");
    tamper(directory, statement);
    strict(")/*was strict*/", ") STRICT");
}

/// Finds an event in a statement.
fn at(stream: &str, revision: u64) -> String {
    format!("stream = (SELECT id FROM stream WHERE name = '{stream}') AND revision = {revision}")
}

const OTHER_METADATA: &str = "UPDATE event SET data = CAST('{}' AS BLOB) WHERE";
const NOT_TEXT: &str = "UPDATE event SET kind = CAST(x'ff' AS TEXT) WHERE";
const NOT_A_TRUTH: &str = "UPDATE event SET is_json = 'x' WHERE";
const FLIPPED_SIGN: &str = "UPDATE event SET created = created | (1 << 63) WHERE";

async fn count(store: &Store, stream: &str, max_count: u64) -> eventstore::Result<()> {
    let metadata = StreamMetadataBuilder::new().max_count(max_count).build();
    let options = AppendToStreamOptions::default();
    store.client.set_stream_metadata(stream, &options, &metadata).await.map(|_| ())
}

/// Compacts over the wire. How that ended.
async fn scavenge(store: &Store) -> String {
    let client = operations::Client::new(store.server.connection_string().parse().unwrap());
    let started = client.start_scavenge(1, 0, &OperationalOptions::default()).await.unwrap();
    let stream = format!("$scavenges-{}", started.id());
    soon(async {
        loop {
            let events = read(&store.client, &stream, &ReadStreamOptions::default()).await.unwrap();
            if let Some(event) = events.iter().find(|it| it.event_type == "$scavengeCompleted") {
                let completed: serde_json::Value = event.as_json().unwrap();
                return completed["result"].as_str().unwrap().to_owned();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn assert_other_streams_take_writes(store: &Store) {
    store.add("other", events(90..92)).await;
    assert_eq!(store.numbers("other").await, [90, 91]);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_over_damaged_ones_are_refused_and_other_writes_go_on() {
    let directory = TempDir::new().unwrap();
    let store = store_in(&directory).await;
    store.add("a", events(0..3)).await;
    count(&store, "a", 3).await.unwrap();
    soon(store.server.stop()).await;
    tamper(directory.path(), &format!("{OTHER_METADATA} {}", at("$$a", 0)));

    let store = store_in(&directory).await;
    let error = count(&store, "a", 2).await.unwrap_err().to_string();
    assert!(error.contains("event 0 of stream '$$a'"), "{error}");
    assert_other_streams_take_writes(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_to_a_deleted_stream_with_damaged_metadata_is_refused_alone() {
    let directory = TempDir::new().unwrap();
    let store = store_in(&directory).await;
    store.add("a", events(0..3)).await;
    store.client.delete_stream("a", &DeleteStreamOptions::default()).await.unwrap();
    tamper(directory.path(), &format!("{OTHER_METADATA} {}", at("$$a", 0)));

    let any = eventstore::ExpectedRevision::Any;
    let error = store.append("a", any, events(3..4)).await.unwrap_err().to_string();
    assert!(error.contains("event 0 of stream '$$a'"), "{error}");
    assert_other_streams_take_writes(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_may_be_damaged() {
    let directory = TempDir::new().unwrap();
    let store = store_in(&directory).await;
    for stream in ["deleted", "ended", "counted"] {
        store.add(stream, events(0..5)).await;
        tamper(directory.path(), &format!("{NOT_TEXT} {}", at(stream, 1)));
    }
    count(&store, "counted", 2).await.unwrap();
    store.client.delete_stream("deleted", &DeleteStreamOptions::default()).await.unwrap();
    store.client.tombstone_stream("ended", &TombstoneStreamOptions::default()).await.unwrap();
    assert_eq!(scavenge(&store).await, "Success");
    assert_eq!(store.numbers("counted").await, [3, 4]);
    assert_other_streams_take_writes(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_destroyed_is_not_deleted_and_everything_else_goes_on() {
    let directory = TempDir::new().unwrap();
    let store = store_in(&directory).await;
    store.add("a", events(0..700)).await;
    store.add("counted", events(0..5)).await;
    store.add("also", events(0..5)).await;
    count(&store, "counted", 2).await.unwrap();
    count(&store, "also", 2).await.unwrap();
    tamper_with_type(directory.path(), &format!("{NOT_A_TRUTH} {}", at("a", 690)));
    tamper_with_type(directory.path(), &format!("{NOT_A_TRUTH} {}", at("counted", 1)));

    let options = DeleteStreamOptions::default();
    let error = store.client.delete_stream("a", &options).await.unwrap_err().to_string();
    assert!(error.contains("event 690 of stream 'a'"), "{error}");
    let options = TombstoneStreamOptions::default();
    let error = store.client.tombstone_stream("a", &options).await.unwrap_err().to_string();
    assert!(error.contains("event 690 of stream 'a'"), "{error}");
    let before = ReadStreamOptions::default().max_count(690);
    assert_eq!(read(&store.client, "a", &before).await.unwrap().len(), 690);

    assert_eq!(scavenge(&store).await, "Success");
    assert_eq!(store.numbers("counted").await, [3, 4]);
    assert_eq!(store.numbers("also").await, [3, 4]);
    let log = ReadAllOptions::default().backwards().position(StreamPosition::End).max_count(20);
    let mut left = 0;
    let mut log = store.client.read_all(&log).await.unwrap();
    while let Ok(Some(event)) = soon(log.next()).await {
        left += usize::from(event.get_original_event().stream_id == "also");
    }
    assert_eq!(left, 2);
    assert_other_streams_take_writes(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_fails_leaves_nothing_of_what_it_removed() {
    let directory = TempDir::new().unwrap();
    let store = store_in(&directory).await;
    let secrets = (0..9).map(|number| EventData::binary("Secret", format!("[{number}]").into()));
    store.add("a", secrets.collect()).await;
    count(&store, "a", 1).await.unwrap();
    soon(store.server.stop()).await;
    // More streams than are looked at in one go, and then one that cannot be.
    tamper(
        directory.path(),
        "WITH RECURSIVE number(it) AS (SELECT 1 UNION ALL SELECT it + 1 FROM number LIMIT 300)
         INSERT INTO stream (name) SELECT 'empty' || it FROM number",
    );
    tamper(directory.path(), "INSERT INTO stream (name) VALUES (CAST(x'ff' AS TEXT))");

    let store = store_in(&directory).await;
    assert_eq!(scavenge(&store).await, "Errored");
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        assert!(!content.windows(3).any(|window| window == b"[3]"), "{}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_looks_destroyed_by_damage_is_missed() {
    let directory = TempDir::new().unwrap();
    let store = store_in(&directory).await;
    store.add("gone", events(20..25)).await;
    store.add("a", events(0..5)).await;
    store.client.delete_stream("gone", &DeleteStreamOptions::default()).await.unwrap();
    soon(store.server.stop()).await;
    tamper(directory.path(), &format!("{FLIPPED_SIGN} {}", at("a", 2)));

    let store = store_in(&directory).await;
    let missed = async |options: ReadStreamOptions| {
        let error = read(&store.client, "a", &options).await.unwrap_err().to_string();
        assert!(error.contains("event 2 of stream 'a'"), "{error}");
    };
    missed(ReadStreamOptions::default()).await;
    missed(ReadStreamOptions::default().backwards().position(StreamPosition::End)).await;
    let exactly = ReadStreamOptions::default().position(StreamPosition::Position(2)).max_count(1);
    missed(exactly).await;

    let mut log = store.client.read_all(&ReadAllOptions::default()).await.unwrap();
    let error = loop {
        match soon(log.next()).await {
            Ok(Some(event)) => {
                let event = event.get_original_event();
                // What was deleted is hidden as before, all but its newest event.
                assert!(event.stream_id != "gone" || event.revision == 4, "{event:?}");
            }
            Ok(None) => panic!("nothing was missed"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("event 2 of stream 'a'"), "{error}");
    assert_other_streams_take_writes(&store).await;
}
