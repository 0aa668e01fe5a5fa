//! A stream's metadata, and what it hides.

use eventstore::{
    AppendToStreamOptions, DeleteStreamOptions, EventData, ExpectedRevision, ReadStreamOptions,
    StreamMetadata, StreamMetadataBuilder, StreamMetadataResult, StreamPosition,
};

use crate::harness::{Store, events, number, read, soon, store};

impl Store {
    async fn set_metadata(&self, stream: &str, metadata: &StreamMetadata) {
        let options = AppendToStreamOptions::default();
        soon(self.client.set_stream_metadata(stream, &options, metadata)).await.unwrap();
    }

    async fn metadata(&self, stream: &str) -> StreamMetadataResult {
        let options = ReadStreamOptions::default();
        soon(self.client.get_stream_metadata(stream, &options)).await.unwrap()
    }
}

fn max_count(count: u64) -> StreamMetadata {
    StreamMetadataBuilder::new().max_count(count).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_metadata_is_the_one_that_is_read() {
    let store = store().await;
    store.add("s", events(0..1)).await;
    assert!(store.metadata("s").await.is_not_found());
    for count in [7, 8, 9] {
        store.set_metadata("s", &max_count(count)).await;
    }
    let StreamMetadataResult::Success(metadata) = store.metadata("s").await else {
        panic!("no metadata");
    };
    assert_eq!((metadata.metadata(), metadata.version()), (&max_count(9), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn max_count_shows_only_the_newest_events() {
    let store = store().await;
    store.add("s", events(0..5)).await;
    store.set_metadata("s", &max_count(2)).await;
    assert_eq!(store.numbers("s").await, [3, 4]);
    store.add("s", events(5..6)).await;
    assert_eq!(store.numbers("s").await, [4, 5]);
    let backwards = ReadStreamOptions::default().position(StreamPosition::End);
    let read = read(&store.client, "s", &backwards).await.unwrap();
    assert_eq!(read.iter().map(number).collect::<Vec<_>>(), [5, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn truncation_hides_the_events_before_a_revision() {
    let store = store().await;
    store.add("s", events(0..5)).await;
    store.set_metadata("s", &StreamMetadataBuilder::new().truncate_before(3).build()).await;
    assert_eq!(store.numbers("s").await, [3, 4]);
    store.set_metadata("s", &StreamMetadataBuilder::new().build()).await;
    assert_eq!(store.numbers("s").await, [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_still_counts_for_expected_revisions() {
    let store = store().await;
    store.add("s", events(0..5)).await;
    store.set_metadata("s", &max_count(1)).await;
    let appended = store.append("s", ExpectedRevision::Exact(4), events(5..6)).await.unwrap();
    assert_eq!(appended.next_expected_version, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn max_age_in_seconds_hides_older_events() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    // The client writes milliseconds where the protocol has seconds, so the metadata is written by
    // hand.
    let year = EventData::json("$metadata", &serde_json::json!({ "$maxAge": 31_536_000 })).unwrap();
    store.add("$$s", vec![year]).await;
    assert_eq!(store.numbers("s").await, [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_for_a_deleted_stream_does_not_bring_its_events_back() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    soon(store.client.delete_stream("s", &DeleteStreamOptions::default())).await.unwrap();
    store.set_metadata("s", &max_count(50)).await;
    assert!(store.numbers("s").await.is_empty());
    store.add("s", events(3..5)).await;
    assert_eq!(store.numbers("s").await, [3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reviving_a_stream_keeps_its_other_properties() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    soon(store.client.delete_stream("s", &DeleteStreamOptions::default())).await.unwrap();
    store.set_metadata("s", &max_count(1)).await;
    store.add("s", events(3..6)).await;
    assert_eq!(store.numbers("s").await, [5]);
}
