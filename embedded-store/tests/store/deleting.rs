//! What deleting and ending a stream destroy: that is our own; the rules are in `conformance`.

use std::path::Path;

use embedded_store::Options;
use eventstore::{
    DeleteStreamOptions, Error, EventData, ExpectedRevision, ReadAllOptions, ReadStreamOptions,
    RecordedEvent, StreamPosition, SubscribeToAllOptions, TombstoneStreamOptions,
};
use serde_json::json;
use uuid::Uuid;

use crate::harness::{
    Store, event, events, events_until_caught_up, next_events, read, read_all, soon, store,
    store_with,
};

impl Store {
    async fn delete(&self, stream: &str, expected: ExpectedRevision) -> eventstore::Result<()> {
        let options = DeleteStreamOptions::default().expected_revision(expected);
        soon(self.client.delete_stream(stream, &options)).await.map(|position| {
            assert!(position.is_some());
        })
    }

    async fn end(&self, stream: &str, expected: ExpectedRevision) -> eventstore::Result<()> {
        let options = TombstoneStreamOptions::default().expected_revision(expected);
        soon(self.client.tombstone_stream(stream, &options)).await.map(|position| {
            assert!(position.is_some());
        })
    }

    async fn read_error(&self, stream: &str) -> Error {
        read(&self.client, stream, &ReadStreamOptions::default()).await.unwrap_err()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_keeps_the_newest_event_of_a_deleted_stream_and_no_other() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    store.add("other", events(3..4)).await;
    store.delete("s", ExpectedRevision::Any).await.unwrap();
    let places = |log: Vec<RecordedEvent>| {
        log.into_iter().map(|event| (event.stream_id, event.revision)).collect::<Vec<_>>()
    };
    let left = [("s", 2), ("other", 0), ("$$s", 0)].map(|(stream, at)| (stream.to_owned(), at));
    assert_eq!(places(store.log().await), left);

    let backwards = ReadAllOptions::default().position(StreamPosition::End).backwards();
    let mut from_the_end = places(read_all(&store.client, &backwards.max_count(3)).await);
    from_the_end.reverse();
    assert_eq!(from_the_end, left);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_the_log_goes_on_past_what_was_deleted() {
    let store = store().await;
    let at_the_end = SubscribeToAllOptions::default().position(StreamPosition::End);
    let mut following = store.client.subscribe_to_all(&at_the_end).await;
    assert!(events_until_caught_up(&mut following).await.is_empty());
    store.add("s", events(0..2)).await;
    assert_eq!(next_events(&mut following, 2).await.len(), 2);
    store.delete("s", ExpectedRevision::Any).await.unwrap();
    store.add("s", events(2..3)).await;
    let streams: Vec<_> =
        next_events(&mut following, 3).await.into_iter().map(|event| event.stream_id).collect();
    assert_eq!(streams, ["$$s", "s", "$$s"]);
}

/// Whether any file of the store holds these bytes.
fn files_hold(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|file| {
        let content = std::fs::read(file.unwrap().path()).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

fn secret(text: &str, id: u128) -> EventData {
    let metadata = json!({ "reason": format!("metadata of {text}") });
    let data = EventData::json("Told", &json!({ "secret": text })).unwrap();
    data.metadata_as_json(&metadata).unwrap().id(Uuid::from_u128(id))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deleted_stream_said_is_gone_from_the_files_before_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(Options::at(folder.path())).await;
    let long = format!("needs pages of its own {} until here", "and goes on ".repeat(2_000));
    let told = ["fits into the first page", "metadata of fits", "needs pages of its", "until here"];
    let held = || told.map(|text| files_hold(folder.path(), text.as_bytes()));
    store.add("other", events(0..1)).await;
    let secrets = vec![secret("fits into the first page", 1_000), secret(&long, 1_001), event(1)];
    store.add("s", secrets).await;
    for batch in 1..41_u32 {
        store.add("other", events(10 * batch..10 * batch + 10)).await;
    }
    assert_eq!(held(), [true; 4]);
    store.delete("s", ExpectedRevision::Any).await.unwrap();
    assert_eq!(held(), [false; 4]);
    assert_eq!(store.numbers("other").await.len(), 401);
    store.server.stop().await;
    let store = store_with(Options::at(folder.path())).await;
    assert!(matches!(store.read_error("s").await, Error::ResourceNotFound));
    assert_eq!(store.numbers("other").await.len(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_ended_stream_said_is_gone_from_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(Options::at(folder.path())).await;
    store.add("s", vec![secret("the newest is no exception", 1)]).await;
    store.end("s", ExpectedRevision::Any).await.unwrap();
    assert!(!files_hold(folder.path(), b"the newest is no exception"));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_another_program_reads_the_files_a_later_write_clears_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(Options::at(folder.path())).await;
    store.add("s", vec![secret("somebody reads this", 1), event(2)]).await;
    let reader = rusqlite::Connection::open(folder.path().join("events.sqlite")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM event;").unwrap();

    store.delete("s", ExpectedRevision::Any).await.unwrap();
    assert!(files_hold(folder.path(), b"somebody reads this"));
    drop(reader);
    store.add("other", events(3..4)).await;
    assert!(!files_hold(folder.path(), b"somebody reads this"));
}
