//! Deleting a stream until it is written to again, and ending one for ever.

use eventstore::{
    AppendToStreamOptions, DeleteStreamOptions, Error, ExpectedRevision, ReadStreamOptions,
    StreamMetadataBuilder, StreamPosition, SubscribeToStreamOptions, TombstoneStreamOptions,
};

use super::{Store, store};
use crate::harness::{event, events, events_until_caught_up, next_events, number, read, soon};

impl Store {
    async fn delete(&self, stream: &str, expected: ExpectedRevision) -> eventstore::Result<()> {
        let options = DeleteStreamOptions::default().expected_revision(expected);
        soon(self.client.delete_stream(stream, &options)).await.map(|position| {
            assert!(position.is_some());
        })
    }

    async fn end_stream(&self, stream: &str, expected: ExpectedRevision) -> eventstore::Result<()> {
        let options = TombstoneStreamOptions::default().expected_revision(expected);
        soon(self.client.tombstone_stream(stream, &options)).await.map(|position| {
            assert!(position.is_some());
        })
    }

    async fn read_error(&self, stream: &str) -> Error {
        read(&self.client, stream, &ReadStreamOptions::default()).await.unwrap_err()
    }
}

fn is_wrong_version(result: eventstore::Result<()>) -> bool {
    matches!(result, Err(Error::Grpc { message, .. }) if message.contains("WrongExpectedVersion"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_is_not_found_until_it_is_written_to_again() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..3)).await;
    store.delete(&stream, ExpectedRevision::Exact(2)).await.unwrap();
    assert!(matches!(store.read_error(&stream).await, Error::ResourceNotFound));

    let revived = store.append(&stream, ExpectedRevision::NoStream, events(10..12)).await.unwrap();
    assert_eq!(revived.next_expected_version, 4);
    assert_eq!(store.numbers(&stream).await, [10, 11]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_can_be_revived_at_any_expectation_but_that_it_exists() {
    let store = store().await;
    for (expected, revives) in [
        (ExpectedRevision::Any, true),
        (ExpectedRevision::Exact(2), true),
        (ExpectedRevision::NoStream, true),
        (ExpectedRevision::StreamExists, false),
    ] {
        let stream = store.name("s");
        store.add(&stream, events(0..3)).await;
        store.delete(&stream, ExpectedRevision::Any).await.unwrap();
        let appended = store.append(&stream, expected, vec![event(9)]).await;
        assert_eq!(appended.is_ok(), revives, "{expected:?}: {appended:?}");
        if revives {
            assert_eq!(store.numbers(&stream).await, [9]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_of_nothing_revives_a_deleted_stream_too() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..3)).await;
    store.delete(&stream, ExpectedRevision::Any).await.unwrap();
    store.append(&stream, ExpectedRevision::Any, Vec::new()).await.unwrap();
    assert!(store.numbers(&stream).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_is_repeated_after_a_delete_is_still_recognised() {
    let store = store().await;
    let stream = store.name("s");
    store.append(&stream, ExpectedRevision::NoStream, events(0..2)).await.unwrap();
    store.delete(&stream, ExpectedRevision::Any).await.unwrap();
    let again = store.append(&stream, ExpectedRevision::NoStream, events(0..2)).await.unwrap();
    assert_eq!(again.next_expected_version, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_checks_the_revision() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..2)).await;
    assert!(is_wrong_version(store.delete(&stream, ExpectedRevision::Exact(0)).await));
    assert!(is_wrong_version(store.delete(&stream, ExpectedRevision::NoStream).await));
    let unknown = store.name("unknown");
    assert!(is_wrong_version(store.delete(&unknown, ExpectedRevision::Any).await));
    store.delete(&stream, ExpectedRevision::StreamExists).await.unwrap();
    let again = store.delete(&stream, ExpectedRevision::StreamExists).await;
    assert!(matches!(again, Err(Error::ResourceDeleted)), "{again:?}");
    store.delete(&stream, ExpectedRevision::Any).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_has_only_metadata_can_be_deleted() {
    let store = store().await;
    let stream = store.name("s");
    let metadata = StreamMetadataBuilder::new().max_count(7).build();
    let options = AppendToStreamOptions::default();
    soon(store.client.set_stream_metadata(stream.as_str(), &options, &metadata)).await.unwrap();
    store.delete(&stream, ExpectedRevision::Any).await.unwrap();
    let exists = store.append(&stream, ExpectedRevision::StreamExists, events(0..1)).await;
    assert!(matches!(exists, Err(Error::ResourceDeleted)), "{exists:?}");
    store.add(&stream, events(0..1)).await;
    assert_eq!(store.numbers(&stream).await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_stream_can_be_neither_read_nor_written_to_nor_ended_again() {
    let store = store().await;
    let (before, stream) = (store.end().await, store.name("s"));
    store.add(&stream, events(0..2)).await;
    assert!(is_wrong_version(store.end_stream(&stream, ExpectedRevision::Exact(0)).await));
    store.end_stream(&stream, ExpectedRevision::Exact(1)).await.unwrap();
    // It must come from the call itself, before any event.
    let read = soon(store.client.read_stream(stream.as_str(), &ReadStreamOptions::default())).await;
    assert!(matches!(read, Err(Error::ResourceDeleted)));
    for expected in [ExpectedRevision::Any, ExpectedRevision::NoStream, ExpectedRevision::Exact(1)]
    {
        let written = store.append(&stream, expected, vec![event(9)]).await;
        assert!(matches!(written, Err(Error::ResourceDeleted)), "{written:?}");
        assert!(matches!(store.end_stream(&stream, expected).await, Err(Error::ResourceDeleted)));
        assert!(matches!(store.delete(&stream, expected).await, Err(Error::ResourceDeleted)));
    }
    let log = store.log_since(before, &stream).await;
    assert_eq!(log.last().unwrap().event_type, "$streamDeleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_never_was_can_be_ended() {
    let store = store().await;
    let stream = store.name("s");
    store.end_stream(&stream, ExpectedRevision::Any).await.unwrap();
    let written = store.append(&stream, ExpectedRevision::NoStream, events(0..1)).await;
    assert!(matches!(written, Err(Error::ResourceDeleted)), "{written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_ends_with_its_stream() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..2)).await;
    let options = SubscribeToStreamOptions::default();
    let mut subscription = store.client.subscribe_to_stream(stream.as_str(), &options).await;
    events_until_caught_up(&mut subscription).await;
    store.add(&stream, events(2..3)).await;
    assert_eq!(next_events(&mut subscription, 1).await.len(), 1);
    store.end_stream(&stream, ExpectedRevision::Any).await.unwrap();
    // Some servers hand the tombstone on before they end.
    let ended = soon(async {
        loop {
            match subscription.next().await {
                Ok(event) => assert_eq!(event.event.unwrap().event_type, "$streamDeleted"),
                Err(error) => return error,
            }
        }
    });
    assert!(matches!(ended.await, Error::ResourceDeleted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_has_ended_cannot_be_followed() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..2)).await;
    store.end_stream(&stream, ExpectedRevision::Any).await.unwrap();
    let options = SubscribeToStreamOptions::default().start_from(StreamPosition::Start);
    let mut subscription = store.client.subscribe_to_stream(stream.as_str(), &options).await;
    let refused = soon(subscription.next()).await;
    assert!(matches!(refused, Err(Error::ResourceDeleted)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_a_stream_sees_what_revives_it() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..2)).await;
    store.delete(&stream, ExpectedRevision::Any).await.unwrap();
    let options = SubscribeToStreamOptions::default().start_from(StreamPosition::Start);
    let mut subscription = store.client.subscribe_to_stream(stream.as_str(), &options).await;
    assert!(events_until_caught_up(&mut subscription).await.is_empty());
    store.add(&stream, events(5..6)).await;
    let seen = next_events(&mut subscription, 1).await;
    assert_eq!((number(&seen[0]), seen[0].revision), (5, 2));
}
