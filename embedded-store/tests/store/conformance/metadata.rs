//! A stream's metadata, and what it hides.

use eventstore::{
    Acl, AppendToStreamOptions, DeleteStreamOptions, Error, EventData, ExpectedRevision,
    ReadStreamOptions, StreamAclBuilder, StreamMetadata, StreamMetadataBuilder,
    StreamMetadataResult, StreamPosition, SubscribeToStreamOptions,
};

use super::{Store, store};
use crate::harness::{events, events_until_caught_up, next_events, number, read, soon};

impl Store {
    async fn set_metadata(&self, stream: &str, metadata: &StreamMetadata) {
        let options = AppendToStreamOptions::default();
        soon(self.client.set_stream_metadata(stream, &options, metadata)).await.unwrap();
    }

    async fn metadata(&self, stream: &str) -> StreamMetadataResult {
        let options = ReadStreamOptions::default();
        soon(self.client.get_stream_metadata(stream, &options)).await.unwrap()
    }

    /// As a client of another language may write it.
    async fn set_raw_metadata(&self, stream: &str, metadata: serde_json::Value) {
        let written = EventData::json("$metadata", &metadata).unwrap();
        self.add(&format!("$${stream}"), vec![written]).await;
    }
}

fn max_count(count: u64) -> StreamMetadata {
    StreamMetadataBuilder::new().max_count(count).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_metadata_is_the_one_that_is_read() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..1)).await;
    assert!(store.metadata(&stream).await.is_not_found());
    for count in [7, 8, 9] {
        store.set_metadata(&stream, &max_count(count)).await;
    }
    let StreamMetadataResult::Success(metadata) = store.metadata(&stream).await else {
        panic!("no metadata");
    };
    assert_eq!((metadata.metadata(), metadata.version()), (&max_count(9), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_comes_back_as_it_was_written() {
    let store = store().await;
    let stream = store.name("s");
    let readers =
        StreamAclBuilder::new().add_read_roles("readers").add_write_roles("writers").build();
    let written = StreamMetadataBuilder::new()
        .max_count(12)
        .truncate_before(3)
        .cache_control(std::time::Duration::from_secs(77))
        .acl(Acl::Stream(readers))
        .insert_custom_property("owner", "somebody")
        .build();
    store.set_metadata(&stream, &written).await;
    let StreamMetadataResult::Success(read) = store.metadata(&stream).await else {
        panic!("no metadata");
    };
    assert_eq!(read.metadata(), &written);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_written_at_a_revision_of_its_own() {
    let store = store().await;
    let stream = store.name("s");
    let at = |expected| AppendToStreamOptions::default().expected_revision(expected);
    let set = async |expected| {
        let metadata = max_count(5);
        soon(store.client.set_stream_metadata(stream.as_str(), &at(expected), &metadata)).await
    };
    set(ExpectedRevision::NoStream).await.unwrap();
    set(ExpectedRevision::Exact(0)).await.unwrap();
    let refused = set(ExpectedRevision::Exact(0)).await;
    assert!(matches!(refused, Err(Error::WrongExpectedVersion { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn max_count_shows_only_the_newest_events() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..5)).await;
    store.set_metadata(&stream, &max_count(2)).await;
    assert_eq!(store.numbers(&stream).await, [3, 4]);
    store.add(&stream, events(5..6)).await;
    assert_eq!(store.numbers(&stream).await, [4, 5]);
    let backwards = ReadStreamOptions::default().position(StreamPosition::End).backwards();
    let read = read(&store.client, &stream, &backwards).await.unwrap();
    assert_eq!(read.iter().map(number).collect::<Vec<_>>(), [5, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn truncation_hides_the_events_before_a_revision() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..5)).await;
    let truncated = StreamMetadataBuilder::new().truncate_before(3).build();
    store.set_metadata(&stream, &truncated).await;
    assert_eq!(store.numbers(&stream).await, [3, 4]);
    store.set_metadata(&stream, &StreamMetadataBuilder::new().build()).await;
    assert_eq!(store.numbers(&stream).await, [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_a_stream_goes_on_when_it_is_truncated() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..3)).await;
    let options = SubscribeToStreamOptions::default().start_from(StreamPosition::Start);
    let mut subscription = store.client.subscribe_to_stream(stream.as_str(), &options).await;
    assert_eq!(events_until_caught_up(&mut subscription).await.len(), 3);
    let truncated = StreamMetadataBuilder::new().truncate_before(3).build();
    store.set_metadata(&stream, &truncated).await;
    store.add(&stream, events(3..4)).await;
    assert_eq!(number(&next_events(&mut subscription, 1).await[0]), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_still_counts_for_expected_revisions() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..5)).await;
    store.set_metadata(&stream, &max_count(1)).await;
    let appended = store.append(&stream, ExpectedRevision::Exact(4), events(5..6)).await.unwrap();
    assert_eq!(appended.next_expected_version, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn max_age_in_seconds_hides_older_events() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..3)).await;
    store.set_raw_metadata(&stream, serde_json::json!({ "$maxAge": 31_536_000 })).await;
    assert_eq!(store.numbers(&stream).await, [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_for_a_deleted_stream_does_not_bring_its_events_back() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..3)).await;
    let options = DeleteStreamOptions::default();
    soon(store.client.delete_stream(stream.as_str(), &options)).await.unwrap();
    store.set_metadata(&stream, &max_count(50)).await;
    assert!(store.numbers(&stream).await.is_empty());
    store.add(&stream, events(3..5)).await;
    assert_eq!(store.numbers(&stream).await, [3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reviving_a_stream_keeps_its_other_properties() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..3)).await;
    let options = DeleteStreamOptions::default();
    soon(store.client.delete_stream(stream.as_str(), &options)).await.unwrap();
    store.set_metadata(&stream, &max_count(1)).await;
    store.add(&stream, events(3..6)).await;
    assert_eq!(store.numbers(&stream).await, [5]);
}
