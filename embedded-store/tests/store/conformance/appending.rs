//! What may be appended, and what a repeated append is answered.

use eventstore::{AppendToStreamOptions, CurrentRevision, Error, ExpectedRevision, WriteResult};
use eventstore::{EventData, StreamMetadataBuilder};
use futures::future::join_all;

use super::store;
use crate::harness::{append, event, events, id, soon};

fn refused(result: eventstore::Result<WriteResult>) -> (ExpectedRevision, Option<u64>) {
    match result {
        Err(Error::WrongExpectedVersion { expected, current }) => {
            let current = match current {
                CurrentRevision::Current(revision) => Some(revision),
                CurrentRevision::NoStream => None,
            };
            (expected, current)
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_count_from_zero_and_positions_grow() {
    let store = store().await;
    let stream = store.name("s");
    let first = store.append(&stream, ExpectedRevision::NoStream, events(0..3)).await.unwrap();
    let second = store.append(&stream, ExpectedRevision::Exact(2), events(3..4)).await.unwrap();
    assert_eq!((first.next_expected_version, second.next_expected_version), (2, 3));
    assert!(first.position < second.position);
    assert_eq!(first.position.commit, first.position.prepare);
    assert_eq!(store.numbers(&stream).await, [0, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_at_the_wrong_revision_is_refused_and_told_the_right_one() {
    let store = store().await;
    let (stream, unknown) = (store.name("s"), store.name("unknown"));
    store.add(&stream, events(0..2)).await;
    for (stream, expected, current) in [
        (&stream, ExpectedRevision::Exact(0), Some(1)),
        (&stream, ExpectedRevision::Exact(7), Some(1)),
        (&stream, ExpectedRevision::NoStream, Some(1)),
        (&unknown, ExpectedRevision::Exact(7), None),
        (&unknown, ExpectedRevision::StreamExists, None),
    ] {
        let refusal = refused(store.append(stream, expected, vec![event(9)]).await);
        assert_eq!(refusal, (expected, current));
    }
    assert_eq!(store.numbers(&stream).await, [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_append_at_a_revision_is_answered_like_the_first() {
    let store = store().await;
    let stream = store.name("s");
    for (expected, numbers) in
        [(ExpectedRevision::NoStream, 0..2), (ExpectedRevision::Exact(1), 2..4)]
    {
        let first = store.append(&stream, expected, events(numbers.clone())).await.unwrap();
        let again = store.append(&stream, expected, events(numbers)).await.unwrap();
        assert_eq!(again.next_expected_version, first.next_expected_version);
        assert_eq!(again.position, first.position);
    }
    let beginning = store.append(&stream, ExpectedRevision::NoStream, events(0..1)).await.unwrap();
    assert_eq!(beginning.next_expected_version, 0);
    assert_eq!(store.numbers(&stream).await, [0, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_append_without_a_revision_is_answered_like_the_first() {
    let store = store().await;
    let stream = store.name("s");
    let first = store.add(&stream, events(0..2)).await;
    for expected in [ExpectedRevision::Any, ExpectedRevision::StreamExists] {
        let again = store.append(&stream, expected, events(0..2)).await.unwrap();
        assert_eq!(again.next_expected_version, 1);
        assert_eq!(again.position, first.position);
    }
    assert_eq!(store.numbers(&stream).await, [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_ids_in_another_stream_are_no_repetition() {
    let store = store().await;
    let (one, other) = (store.name("one"), store.name("other"));
    store.add(&one, events(0..2)).await;
    store.add(&other, events(0..2)).await;
    assert_eq!(store.numbers(&other).await, [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_begins_as_a_repetition_and_goes_on_is_refused() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..3)).await;
    refused(store.append(&stream, ExpectedRevision::Any, events(2..4)).await);
    refused(store.append(&stream, ExpectedRevision::StreamExists, events(2..4)).await);
    refused(store.append(&stream, ExpectedRevision::Exact(1), events(2..4)).await);
    refused(store.append(&stream, ExpectedRevision::NoStream, events(0..4)).await);
    assert_eq!(store.numbers(&stream).await, [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_revision_the_first_id_decides_whether_an_append_is_new() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..2)).await;
    store.add(&stream, vec![event(2), event(0)]).await;
    assert_eq!(store.numbers(&stream).await, [0, 1, 2, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_of_nothing_is_answered_and_writes_nothing() {
    let store = store().await;
    let stream = store.name("s");
    store.append(&stream, ExpectedRevision::NoStream, Vec::new()).await.unwrap();
    store.add(&stream, events(0..2)).await;
    let answer = store.append(&stream, ExpectedRevision::Exact(1), Vec::new()).await.unwrap();
    assert_eq!(answer.next_expected_version, 1);
    refused(store.append(&stream, ExpectedRevision::Exact(0), Vec::new()).await);
    refused(store.append(&stream, ExpectedRevision::NoStream, Vec::new()).await);
    assert_eq!(store.numbers(&stream).await, [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_appends_at_one_revision_exactly_one_wins() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..1)).await;
    let clients: Vec<_> = (0..4).map(|_| store.connect()).collect();
    for round in 0..20 {
        let attempts = (0..12_u32).map(|contender| {
            let client = &clients[contender as usize % clients.len()];
            let contribution = vec![event(1_000 + round * 100 + contender)];
            append(client, &stream, ExpectedRevision::Exact(round.into()), contribution)
        });
        let answers = join_all(attempts).await;
        let winners = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(winners, 1, "round {round}: {answers:?}");
    }
    assert_eq!(store.numbers(&stream).await.len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_comes_back_as_it_was_written() {
    let store = store().await;
    let (before, stream) = (store.end().await, store.name("straße/1"));
    let binary = EventData::binary("Raw", vec![0, 159, 146, 150].into())
        .id(id(7))
        .metadata(b"{\"why\":\"because\"}".to_vec().into());
    store.add(&stream, vec![event(1), binary]).await;
    let log = store.log_since(before, &stream).await;
    assert_eq!((log[0].event_type.as_str(), log[0].is_json), ("Numbered", true));
    let raw = &log[1];
    assert_eq!((raw.event_type.as_str(), raw.is_json, raw.id), ("Raw", false, id(7)));
    assert_eq!(
        (&raw.data[..], &raw.custom_metadata[..]),
        (&[0, 159, 146, 150][..], &b"{\"why\":\"because\"}"[..])
    );
    assert_eq!((raw.stream_id.as_str(), raw.revision), (stream.as_str(), 1));
    let ticks: u64 = raw.metadata["created"].parse().unwrap();
    // Between 2020 and 2100, as 100 ns ticks.
    assert!((15_778_368_000_000_000..41_024_448_000_000_000).contains(&ticks));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_a_name_cannot_be_appended_to() {
    let store = store().await;
    for stream in ["", "$$"] {
        store.append(stream, ExpectedRevision::Any, events(0..1)).await.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_pipelined_and_answered_one_by_one() {
    let store = store().await;
    let name = store.name("batch");
    let batches =
        store.client.batch_append(&eventstore::BatchAppendOptions::default()).await.unwrap();
    let appends = (0..200_u32).map(|number| {
        let stream = format!("{name}-{}", number % 10);
        let batches = &batches;
        async move {
            let appended =
                batches.append_to_stream(&stream, ExpectedRevision::Any, vec![event(number)]);
            soon(appended).await.unwrap()
        }
    });
    let answers = join_all(appends).await;
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.stream_name(), format!("{name}-{}", number % 10));
        assert_eq!(answer.current_revision(), Some(number as u64 / 10));
        assert!(answer.current_position().is_some());
    }
    let one_of_them = store.numbers(&format!("{name}-3")).await;
    assert_eq!(one_of_them, (0..20).map(|n| n * 10 + 3).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_at_the_wrong_revision_is_refused() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..2)).await;
    let batches =
        store.client.batch_append(&eventstore::BatchAppendOptions::default()).await.unwrap();
    let refusal = batches.append_to_stream(&stream, ExpectedRevision::Exact(0), vec![event(9)]);
    let refusal = soon(refusal).await.unwrap_err();
    assert!(
        matches!(&refusal, Error::Grpc { message, .. } if message == "WrongExpectedVersion"),
        "{refusal:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_exists_once_its_metadata_does() {
    let store = store().await;
    let stream = store.name("s");
    let metadata = StreamMetadataBuilder::new().max_count(5).build();
    let options = AppendToStreamOptions::default();
    soon(store.client.set_stream_metadata(stream.as_str(), &options, &metadata)).await.unwrap();
    let answer = store.append(&stream, ExpectedRevision::StreamExists, events(0..1)).await.unwrap();
    assert_eq!(answer.next_expected_version, 0);
}
