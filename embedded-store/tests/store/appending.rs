//! What may be appended, and what a repeated append is answered.

use std::time::Duration;

use embedded_store::Options;
use eventstore::{AppendToStreamOptions, Error, EventData, ExpectedRevision, WriteResult};
use futures::future::join_all;
use tempfile::TempDir;

use crate::harness::{Store, append, connect, event, events, id, soon, start, store, store_with};

fn refused(result: eventstore::Result<WriteResult>) -> (ExpectedRevision, Option<u64>) {
    match result {
        Err(Error::WrongExpectedVersion { expected, current }) => {
            let current = match current {
                eventstore::CurrentRevision::Current(revision) => Some(revision),
                eventstore::CurrentRevision::NoStream => None,
            };
            (expected, current)
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_count_from_zero_and_positions_grow() {
    let store = store().await;
    let first = store.append("s", ExpectedRevision::NoStream, events(0..3)).await.unwrap();
    let second = store.append("s", ExpectedRevision::Exact(2), events(3..4)).await.unwrap();
    assert_eq!((first.next_expected_version, second.next_expected_version), (2, 3));
    assert!(first.position < second.position);
    assert_eq!(first.position.commit, first.position.prepare);
    assert_eq!(store.numbers("s").await, [0, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_at_the_wrong_revision_is_refused_and_told_the_right_one() {
    let store = store().await;
    store.add("s", events(0..2)).await;
    let refused_at =
        async |expected, stream| refused(store.append(stream, expected, vec![event(9)]).await);
    let expected = ExpectedRevision::Exact(0);
    assert_eq!(refused_at(expected, "s").await, (expected, Some(1)));
    let expected = ExpectedRevision::Exact(7);
    assert_eq!(refused_at(expected, "s").await, (expected, Some(1)));
    assert_eq!(refused_at(expected, "unknown").await, (expected, None));
    let expected = ExpectedRevision::NoStream;
    assert_eq!(refused_at(expected, "s").await, (expected, Some(1)));
    let expected = ExpectedRevision::StreamExists;
    assert_eq!(refused_at(expected, "unknown").await, (expected, None));
    assert_eq!(store.numbers("s").await, [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_append_at_a_revision_is_answered_like_the_first() {
    let store = store().await;
    for (expected, numbers) in
        [(ExpectedRevision::NoStream, 0..2), (ExpectedRevision::Exact(1), 2..4)]
    {
        let first = store.append("s", expected, events(numbers.clone())).await.unwrap();
        let again = store.append("s", expected, events(numbers)).await.unwrap();
        assert_eq!(again.next_expected_version, first.next_expected_version);
        assert_eq!(again.position, first.position);
    }
    assert_eq!(store.numbers("s").await, [0, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_append_without_a_revision_is_answered_like_the_first() {
    let store = store().await;
    store.add("other", events(0..2)).await;
    let first = store.add("s", events(0..2)).await;
    for expected in [ExpectedRevision::Any, ExpectedRevision::StreamExists] {
        let again = store.append("s", expected, events(0..2)).await.unwrap();
        assert_eq!(again.next_expected_version, 1);
        assert_eq!(again.position, first.position);
    }
    assert_eq!(store.numbers("s").await, [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_is_partly_a_repetition_is_refused() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    refused(store.append("s", ExpectedRevision::Any, events(2..4)).await);
    refused(store.append("s", ExpectedRevision::Exact(1), events(2..4)).await);
    assert_eq!(store.numbers("s").await, [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_of_nothing_is_answered_and_writes_nothing() {
    let store = store().await;
    store.append("s", ExpectedRevision::NoStream, Vec::new()).await.unwrap();
    store.add("s", events(0..2)).await;
    let answer = store.append("s", ExpectedRevision::Exact(1), Vec::new()).await.unwrap();
    assert_eq!(answer.next_expected_version, 1);
    assert_eq!(store.log().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_appends_at_one_revision_exactly_one_wins() {
    let store = store().await;
    store.add("s", events(0..1)).await;
    let clients: Vec<_> = (0..4).map(|_| connect(&store.server)).collect();
    for round in 0..20 {
        let attempts = (0..12_u32).map(|contender| {
            let client = &clients[contender as usize % clients.len()];
            let contribution = vec![event(1_000 + round * 100 + contender)];
            append(client, "s", ExpectedRevision::Exact(round.into()), contribution)
        });
        let answers = join_all(attempts).await;
        let winners = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(winners, 1, "round {round}: {answers:?}");
    }
    assert_eq!(store.numbers("s").await.len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_comes_back_as_it_was_written() {
    let store = store().await;
    let binary = EventData::binary("Raw", vec![0, 159, 146, 150].into())
        .id(id(7))
        .metadata(b"{\"why\":\"because\"}".to_vec().into());
    store.add("straße/1", vec![event(1), binary]).await;
    let log = store.log().await;
    assert_eq!((log[0].event_type.as_str(), log[0].is_json), ("Numbered", true));
    let raw = &log[1];
    assert_eq!((raw.event_type.as_str(), raw.is_json, raw.id), ("Raw", false, id(7)));
    assert_eq!(
        (&raw.data[..], &raw.custom_metadata[..]),
        (&[0, 159, 146, 150][..], &b"{\"why\":\"because\"}"[..])
    );
    assert_eq!((raw.stream_id.as_str(), raw.revision), ("straße/1", 1));
    let ticks: u64 = raw.metadata["created"].parse().unwrap();
    // Between 2020 and 2100, as 100 ns ticks.
    assert!((15_778_368_000_000_000..41_024_448_000_000_000).contains(&ticks));
}

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
    for stream in ["$all", "$$$all", ""] {
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
async fn batches_are_pipelined_and_answered_one_by_one() {
    let store = store().await;
    let batches =
        store.client.batch_append(&eventstore::BatchAppendOptions::default()).await.unwrap();
    let appends = (0..200_u32).map(|number| {
        let stream = format!("batch-{}", number % 10);
        let batches = &batches;
        async move {
            let appended =
                batches.append_to_stream(&stream, ExpectedRevision::Any, vec![event(number)]);
            soon(appended).await.unwrap()
        }
    });
    let answers = join_all(appends).await;
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.stream_name(), format!("batch-{}", number % 10));
        assert_eq!(answer.current_revision(), Some(number as u64 / 10));
        assert!(answer.current_position().is_some());
    }
    assert_eq!(store.numbers("batch-3").await, (0..20).map(|n| n * 10 + 3).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_at_the_wrong_revision_is_refused() {
    let store = store().await;
    store.add("s", events(0..2)).await;
    let batches =
        store.client.batch_append(&eventstore::BatchAppendOptions::default()).await.unwrap();
    let refusal = batches.append_to_stream("s", ExpectedRevision::Exact(0), vec![event(9)]);
    let refusal = soon(refusal).await.unwrap_err();
    assert!(
        matches!(&refusal, Error::Grpc { message, .. } if message == "WrongExpectedVersion"),
        "{refusal:?}"
    );
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

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_exists_once_its_metadata_does() {
    let Store { client, server: _server } = &store().await;
    let metadata = eventstore::StreamMetadataBuilder::new().max_count(5).build();
    let options = AppendToStreamOptions::default();
    soon(client.set_stream_metadata("s", &options, &metadata)).await.unwrap();
    let answer = append(client, "s", ExpectedRevision::StreamExists, events(0..1)).await.unwrap();
    assert_eq!(answer.next_expected_version, 0);
}
