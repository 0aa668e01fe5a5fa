//! Deleting a stream until it is written to again, and ending one for ever.

use eventstore::{
    DeleteStreamOptions, Error, ExpectedRevision, ReadStreamOptions, SubscribeToStreamOptions,
    TombstoneStreamOptions,
};

use crate::harness::{Store, event, events, read, soon, store};

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

fn is_wrong_version(result: eventstore::Result<()>) -> bool {
    matches!(result, Err(Error::Grpc { message, .. }) if message.contains("WrongExpectedVersion"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_is_not_found_until_it_is_written_to_again() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    store.delete("s", ExpectedRevision::Exact(2)).await.unwrap();
    assert!(matches!(store.read_error("s").await, Error::ResourceNotFound));

    let revived = store.append("s", ExpectedRevision::NoStream, events(10..12)).await.unwrap();
    assert_eq!(revived.next_expected_version, 4);
    assert_eq!(store.numbers("s").await, [10, 11]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_can_be_revived_at_any_expectation_but_that_it_exists() {
    for (expected, revives) in [
        (ExpectedRevision::Any, true),
        (ExpectedRevision::Exact(2), true),
        (ExpectedRevision::NoStream, true),
        (ExpectedRevision::StreamExists, false),
    ] {
        let store = store().await;
        store.add("s", events(0..3)).await;
        store.delete("s", ExpectedRevision::Any).await.unwrap();
        let appended = store.append("s", expected, vec![event(9)]).await;
        assert_eq!(appended.is_ok(), revives, "{expected:?}: {appended:?}");
        if revives {
            assert_eq!(store.numbers("s").await, [9]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_keeps_what_a_delete_hides() {
    let store = store().await;
    store.add("s", events(0..2)).await;
    store.delete("s", ExpectedRevision::Any).await.unwrap();
    let streams: Vec<_> = store.log().await.into_iter().map(|event| event.stream_id).collect();
    assert_eq!(streams, ["s", "s", "$$s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_checks_the_revision() {
    let store = store().await;
    store.add("s", events(0..2)).await;
    assert!(is_wrong_version(store.delete("s", ExpectedRevision::Exact(0)).await));
    assert!(is_wrong_version(store.delete("s", ExpectedRevision::NoStream).await));
    assert!(is_wrong_version(store.delete("unknown", ExpectedRevision::Any).await));
    store.delete("s", ExpectedRevision::StreamExists).await.unwrap();
    let again = store.delete("s", ExpectedRevision::StreamExists).await;
    assert!(matches!(again, Err(Error::ResourceDeleted)), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_stream_can_be_neither_read_nor_written_to_nor_ended_again() {
    let store = store().await;
    store.add("s", events(0..2)).await;
    assert!(is_wrong_version(store.end("s", ExpectedRevision::Exact(0)).await));
    store.end("s", ExpectedRevision::Exact(1)).await.unwrap();
    // It must come from the call itself, before any event.
    let read = soon(store.client.read_stream("s", &ReadStreamOptions::default())).await;
    assert!(matches!(read, Err(Error::ResourceDeleted)));
    for expected in [ExpectedRevision::Any, ExpectedRevision::NoStream, ExpectedRevision::Exact(1)]
    {
        let written = store.append("s", expected, vec![event(9)]).await;
        assert!(matches!(written, Err(Error::ResourceDeleted)), "{written:?}");
        assert!(matches!(store.end("s", expected).await, Err(Error::ResourceDeleted)));
        assert!(matches!(store.delete("s", expected).await, Err(Error::ResourceDeleted)));
    }
    let log = store.log().await;
    assert_eq!(log.last().unwrap().event_type, "$streamDeleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_never_was_can_be_ended() {
    let store = store().await;
    store.end("s", ExpectedRevision::Any).await.unwrap();
    let written = store.append("s", ExpectedRevision::NoStream, events(0..1)).await;
    assert!(matches!(written, Err(Error::ResourceDeleted)), "{written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_ends_with_its_stream() {
    let store = store().await;
    store.add("s", events(0..2)).await;
    let mut subscription =
        store.client.subscribe_to_stream("s", &SubscribeToStreamOptions::default()).await;
    crate::harness::events_until_caught_up(&mut subscription).await;
    store.add("s", events(2..3)).await;
    store.end("s", ExpectedRevision::Any).await.unwrap();
    soon(subscription.next()).await.unwrap();
    let ended = soon(subscription.next()).await;
    assert!(matches!(ended, Err(Error::ResourceDeleted)), "{ended:?}");
}
