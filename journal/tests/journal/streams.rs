//! Writing and reading streams.

use eventstore::{AppendToStreamOptions, Client, DeleteStreamOptions, EventData};
use eventstore::{ExpectedRevision as Expected, TombstoneStreamOptions};
use futures::TryStreamExt;
use journal::{Appended, Error, ExpectedRevision, Position, Recorded};

use crate::counter::{Event, counted, large, stream};
use crate::store::Store;
use crate::{connect, must};

/// Somebody else's client, writing what we never would.
fn foreigner(store: &Store) -> Client {
    Client::new(format!("esdb://127.0.0.1:{}?tls=false", store.port()).parse().unwrap()).unwrap()
}

fn revisions(events: &[Recorded]) -> Vec<u64> {
    events.iter().map(|event| event.revision).collect()
}

#[tokio::test]
async fn what_is_appended_is_read_back_as_it_was() {
    let store = Store::start().await;
    let journal = store.journal();
    let (first, second) = (counted(1), counted(2));
    let events = vec![first.clone(), second.clone()];

    let appended = journal.append(&stream("a"), ExpectedRevision::NoStream, events).await.unwrap();
    let read: Vec<_> = journal.read(&stream("a"), 0).try_collect().await.unwrap();

    assert_eq!(revisions(&read), [0, 1]);
    for (read, proposed) in read.iter().zip([&first, &second]) {
        assert_eq!(read.stream, stream("a"));
        assert_eq!(read.event_id, proposed.event_id);
        assert_eq!(read.event_type, proposed.encoded.event_type);
        assert_eq!(read.data, proposed.encoded.data);
        assert_eq!(read.metadata, proposed.metadata);
    }
    assert_eq!(appended, Appended { revision: 1, position: read[1].position });
    assert_eq!(read[1].decode(), Ok(Event::Counted { tag: "2".to_owned() }));
    assert!(Position::START < read[0].position && read[0].position < read[1].position);
}

#[tokio::test]
async fn an_append_at_another_revision_is_a_conflict_that_tells_the_right_one() {
    let store = Store::start().await;
    let journal = store.journal();
    let stream = stream("a");
    let conflict =
        |expected, actual| Err(Error::Conflict { stream: stream.clone(), expected, actual });

    let exact = ExpectedRevision::Exact(0);
    assert_eq!(journal.append(&stream, exact, vec![counted(1)]).await, conflict(exact, None));
    let none = ExpectedRevision::NoStream;
    journal.append(&stream, none, vec![counted(1), counted(2)]).await.unwrap();
    assert_eq!(journal.append(&stream, none, vec![counted(3)]).await, conflict(none, Some(1)));
    assert_eq!(journal.append(&stream, exact, vec![counted(3)]).await, conflict(exact, Some(1)));
    let read: Vec<_> = journal.read(&stream, 0).try_collect().await.unwrap();
    assert_eq!(revisions(&read), [0, 1]);
}

#[tokio::test]
async fn an_append_that_is_repeated_happens_once() {
    let store = Store::start().await;
    let journal = store.journal();
    let event = counted(1);

    let a = stream("a");
    let none = ExpectedRevision::NoStream;
    let first = journal.append(&a, none, vec![event.clone()]).await.unwrap();
    let second = journal.append(&a, none, vec![event.clone()]).await.unwrap();

    assert_eq!(first.revision, second.revision);
    assert_eq!(journal.read_last(&a, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_append_of_nothing_is_refused() {
    let store = Store::start().await;
    let appended = store.journal().append(&stream("a"), ExpectedRevision::NoStream, vec![]).await;
    assert!(matches!(appended, Err(Error::Refused { .. })));
}

#[tokio::test]
async fn data_that_is_not_json_is_refused() {
    let store = Store::start().await;
    let mut event = counted(1);
    event.encoded.data = bytes::Bytes::from_static(b"{");
    let journal = store.journal();
    let appended = journal.append(&stream("a"), ExpectedRevision::NoStream, vec![event]).await;
    assert!(matches!(appended, Err(Error::Refused { .. })), "{appended:?}");
}

#[tokio::test]
async fn an_append_beyond_the_stores_limit_is_too_large() {
    let store = Store::start().await;
    let journal = store.journal();
    let (a, none) = (stream("a"), ExpectedRevision::NoStream);
    let appended = journal.append(&a, none, vec![large(2 << 20)]).await;
    let Err(Error::TooLarge { events, bytes, .. }) = appended else { panic!("{appended:?}") };
    assert!(events == 1 && bytes > 2 << 20);
    journal.ready().await.unwrap();
}

#[tokio::test]
async fn a_deleted_stream_reads_as_empty_and_goes_on_with_the_next_number() {
    let store = Store::start().await;
    let journal = store.journal();
    let (a, none) = (stream("a"), ExpectedRevision::NoStream);
    journal.append(&a, none, vec![counted(1), counted(2)]).await.unwrap();

    journal.delete_stream(&a, 1).await.unwrap();
    assert_eq!(journal.read(&a, 0).try_collect::<Vec<_>>().await, Ok(vec![]));
    assert_eq!(journal.read_last(&a, 5).await, Ok(vec![]));
    let left: Vec<_> = journal.read_all(Position::START).try_collect().await.unwrap();
    assert_eq!(revisions(&left), [1], "the last event is spared");
    journal.delete_stream(&a, 1).await.unwrap();

    assert_eq!(journal.append(&a, none, vec![counted(3)]).await.unwrap().revision, 2);
    let read: Vec<_> = journal.read(&a, 0).try_collect().await.unwrap();
    assert_eq!(revisions(&read), [2]);
}

#[tokio::test]
async fn a_delete_at_another_revision_is_a_conflict_that_tells_the_right_one() {
    let store = Store::start().await;
    let journal = store.journal();
    let a = stream("a");
    let expected = ExpectedRevision::Exact(1);
    let conflict = |actual| Err(Error::Conflict { stream: stream("a"), expected, actual });

    assert_eq!(journal.delete_stream(&a, 1).await, conflict(None));
    journal.append(&a, ExpectedRevision::NoStream, vec![counted(1)]).await.unwrap();
    assert_eq!(journal.delete_stream(&a, 1).await, conflict(Some(0)));
    assert_eq!(journal.read_last(&a, 5).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_missing_stream_reads_as_empty() {
    let store = Store::start().await;
    let journal = store.journal();
    assert_eq!(journal.read(&stream("a"), 0).try_collect::<Vec<_>>().await, Ok(vec![]));
    assert_eq!(journal.read_last(&stream("a"), 5).await, Ok(vec![]));
    assert_eq!(journal.read_all(Position::START).try_collect::<Vec<_>>().await, Ok(vec![]));
}

#[tokio::test]
async fn streams_are_read_from_any_revision_and_from_the_end() {
    let store = Store::start().await;
    let journal = store.journal();
    let events = (0..5).map(counted).collect();
    journal.append(&stream("a"), ExpectedRevision::NoStream, events).await.unwrap();

    let from = async |revision| {
        let events: Vec<_> = journal.read(&stream("a"), revision).try_collect().await.unwrap();
        revisions(&events)
    };
    assert_eq!((from(3).await, from(5).await), (vec![3, 4], vec![]));
    let last = async |count| revisions(&journal.read_last(&stream("a"), count).await.unwrap());
    assert_eq!((last(2).await, last(0).await), (vec![3, 4], vec![]));
    assert_eq!(last(100).await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn everything_is_read_in_the_order_it_was_written() {
    let store = Store::start().await;
    let journal = store.journal();
    let mut written = Vec::new();
    for (number, name) in ["a", "b", "a", "c"].iter().enumerate() {
        let known = journal.read_last(&stream(name), 1).await.unwrap();
        let expected = ExpectedRevision::after(known.last().map(|event| event.revision));
        let event = counted(number);
        let appended = journal.append(&stream(name), expected, vec![event]).await.unwrap();
        written.push((stream(name), appended.position));
    }

    let after = async |position| {
        let events: Vec<_> = journal.read_all(position).try_collect().await.unwrap();
        events.into_iter().map(|event| (event.stream, event.position)).collect::<Vec<_>>()
    };
    assert_eq!(after(Position::START).await, written);
    assert_eq!(after(written[1].1).await, written[2..], "exclusive");
    assert_eq!(after(written[3].1).await, []);
    assert_eq!(journal.head().await, Ok(written[3].1));
}

#[tokio::test]
async fn the_head_of_an_empty_store_is_not_after_any_event() {
    let store = Store::start().await;
    let journal = store.journal();
    let head = journal.head().await.unwrap();
    let none = ExpectedRevision::NoStream;
    let appended = journal.append(&stream("a"), none, vec![counted(1)]).await.unwrap();
    assert!(head < appended.position);
}

#[tokio::test]
async fn a_stream_deleted_by_others_reads_as_empty_and_a_tombstoned_one_is_an_error() {
    let store = Store::start().await;
    let (journal, foreigner) = (store.journal(), foreigner(&store));
    let none = ExpectedRevision::NoStream;
    for name in ["deleted", "tombstoned"] {
        journal.append(&stream(name), none, vec![counted(1)]).await.unwrap();
    }
    let delete = DeleteStreamOptions::default().expected_revision(Expected::Exact(0));
    foreigner.delete_stream("counter-deleted", &delete).await.unwrap();
    let tombstone = TombstoneStreamOptions::default().expected_revision(Expected::Exact(0));
    foreigner.tombstone_stream("counter-tombstoned", &tombstone).await.unwrap();

    assert_eq!(journal.read_last(&stream("deleted"), 1).await, Ok(vec![]));
    let gone = Error::StreamDeleted { stream: "counter-tombstoned".to_owned() };
    assert_eq!(journal.read_last(&stream("tombstoned"), 1).await, Err(gone.clone()));
    let append = journal.append(&stream("tombstoned"), none, vec![counted(2)]).await;
    assert_eq!(append, Err(gone.clone()));
    assert_eq!(journal.delete_stream(&stream("tombstoned"), 0).await, Err(gone));
}

#[tokio::test]
async fn an_event_of_somebody_else_is_an_error_in_a_stream_and_left_out_elsewhere() {
    let store = Store::start().await;
    let (journal, foreigner) = (store.journal(), foreigner(&store));
    let none = ExpectedRevision::NoStream;
    let ours = journal.append(&stream("a"), none, vec![counted(1)]).await.unwrap();
    let theirs = || EventData::json("their-event", &"data").unwrap();
    let any = AppendToStreamOptions::default();
    must(foreigner.append_to_stream("counter-a", &any, theirs())).await.unwrap();
    must(foreigner.append_to_stream("nocategory", &any, theirs())).await.unwrap();

    let read = journal.read(&stream("a"), 0).try_collect::<Vec<_>>().await;
    let Err(Error::Foreign { stream: name, revision: 1, .. }) = read else { panic!("{read:?}") };
    assert_eq!(name, "counter-a");
    let all: Vec<_> = journal.read_all(Position::START).try_collect().await.unwrap();
    assert_eq!(all.iter().map(|event| event.position).collect::<Vec<_>>(), [ours.position]);
    assert_eq!(journal.skipped_events(), 2);
}

#[tokio::test]
async fn credentials_are_sent_but_never_printed() {
    let store = Store::start().await;
    let address = format!("esdb://ada:s3cret@127.0.0.1:{}?tls=false", store.port());
    let journal = connect(address.parse().unwrap(), crate::PATIENCE);
    must(journal.ready()).await.unwrap();
    let printed = format!("{journal:?}");
    assert!(printed.contains("127.0.0.1") && !printed.contains("s3cret"), "{printed}");
    assert!(!printed.contains("ada"), "{printed}");
}
