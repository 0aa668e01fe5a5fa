//! Reading streams and the whole log, both ways.

use eventstore::{Error, EventData, ReadAllOptions, ReadEvent, ReadStreamOptions, StreamPosition};

use super::{Store, store};
use crate::harness::{events, number, read, read_all, soon};

async fn store_with_ten() -> (Store, String) {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..10)).await;
    (store, stream)
}

impl Store {
    async fn numbers_by(&self, stream: &str, options: ReadStreamOptions) -> Vec<u32> {
        read(&self.client, stream, &options).await.unwrap().iter().map(number).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_forwards_from_any_revision_inclusively() {
    let (store, stream) = store_with_ten().await;
    let from = |revision| ReadStreamOptions::default().position(StreamPosition::Position(revision));
    assert_eq!(store.numbers_by(&stream, from(7)).await, [7, 8, 9]);
    assert_eq!(store.numbers_by(&stream, from(7).max_count(2)).await, [7, 8]);
    assert!(store.numbers_by(&stream, from(10)).await.is_empty());
    assert!(store.numbers_by(&stream, from(1_000_000)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_backwards_from_any_revision_inclusively() {
    let (store, stream) = store_with_ten().await;
    let from = |position| ReadStreamOptions::default().position(position).backwards();
    assert_eq!(store.numbers_by(&stream, from(StreamPosition::End).max_count(3)).await, [9, 8, 7]);
    assert_eq!(store.numbers_by(&stream, from(StreamPosition::Position(2))).await, [2, 1, 0]);
    assert_eq!(store.numbers_by(&stream, from(StreamPosition::Position(99))).await.len(), 10);
    assert_eq!(store.numbers_by(&stream, from(StreamPosition::Start)).await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stream_is_read_whole() {
    let store = store().await;
    let stream = store.name("s");
    for start in (0..3_000).step_by(500) {
        store.add(&stream, events(start..start + 500)).await;
    }
    assert_eq!(store.numbers(&stream).await, (0..3_000).collect::<Vec<_>>());
    let backwards =
        ReadStreamOptions::default().position(StreamPosition::End).backwards().max_count(1_700);
    let expected: Vec<_> = (1_300..3_000).rev().collect();
    assert_eq!(store.numbers_by(&stream, backwards).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_events_are_read_whole() {
    let store = store().await;
    let stream = store.name("s");
    for size in [900_000, 800_000, 700_000_usize] {
        store.add(&stream, vec![EventData::binary("Large", vec![7; size].into())]).await;
    }
    let read = read(&store.client, &stream, &ReadStreamOptions::default()).await.unwrap();
    let sizes: Vec<_> = read.iter().map(|event| event.data.len()).collect();
    assert_eq!(sizes, [900_000, 800_000, 700_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_never_written_to_is_not_found() {
    let store = store().await;
    let (missing, options) = (store.name("missing"), ReadStreamOptions::default());
    for options in [options.clone(), options.position(StreamPosition::End).backwards()] {
        let refused = read(&store.client, &missing, &options).await;
        assert!(matches!(refused, Err(Error::ResourceNotFound)), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_tells_the_newest_revision_of_its_stream() {
    let (store, stream) = store_with_ten().await;
    let options = ReadStreamOptions::default().max_count(3);
    let mut read = soon(store.client.read_stream(stream, &options)).await.unwrap();
    let mut last = None;
    while let Some(said) = soon(read.next_read_event()).await.unwrap() {
        if let ReadEvent::LastStreamPosition(revision) = said {
            last = Some(revision);
        }
    }
    assert_eq!(last, Some(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_read_forwards_inclusively_and_backwards_exclusively() {
    let store = store().await;
    let (before, name) = (store.end().await, store.name("s"));
    for (count, stream) in (0..).zip(["a", "b", "a", "c"]) {
        store.add(&format!("{name}-{stream}"), events(count..count + 1)).await;
    }
    let log = store.log_since(before, &name).await;
    assert_eq!(log.iter().map(number).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(log.windows(2).all(|pair| pair[0].position < pair[1].position));
    assert!(log[0].position.commit > 0, "an exclusive start at 0 would skip it");

    let at = StreamPosition::Position(log[2].position);
    let from_there = ReadAllOptions::default().position(at).max_count(1);
    let forwards = read_all(&store.client, &from_there).await;
    assert_eq!(forwards[0].position, log[2].position);
    let backwards = read_all(&store.client, &from_there.backwards().max_count(1)).await;
    assert!(backwards[0].position < log[2].position);
    assert!(backwards[0].position >= log[1].position);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_the_log_ends_after_as_many_events_as_it_was_told() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..10)).await;
    let from_the_start = ReadAllOptions::default().position(StreamPosition::Start);
    assert_eq!(read_all(&store.client, &from_the_start.max_count(3)).await.len(), 3);
    let from_the_end = ReadAllOptions::default().position(StreamPosition::End).backwards();
    assert_eq!(read_all(&store.client, &from_the_end.max_count(2)).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_followed_when_asked_for() {
    let (store, stream) = store_with_ten().await;
    let (links, deleted) = (store.name("links"), store.name("deleted"));
    store.add(&deleted, events(0..1)).await;
    soon(store.client.delete_stream(deleted.as_str(), &eventstore::DeleteStreamOptions::default()))
        .await
        .unwrap();
    let link = |to: String| EventData::binary("$>", to.into_bytes().into());
    let missing = store.name("missing");
    let broken = [format!("99@{stream}"), format!("0@{deleted}"), format!("0@{missing}")];
    store.add(&links, vec![link(format!("4@{stream}"))]).await;
    store.add(&links, broken.into_iter().map(link).collect()).await;

    let options = ReadStreamOptions::default().resolve_link_tos();
    let mut read = soon(store.client.read_stream(links.as_str(), &options)).await.unwrap();
    let resolved = soon(read.next()).await.unwrap().unwrap();
    assert_eq!(number(resolved.event.as_ref().unwrap()), 4);
    let link = resolved.link.unwrap();
    assert_eq!((link.stream_id.as_str(), link.revision), (links.as_str(), 0));
    for _ in 0..3 {
        let broken = soon(read.next()).await.unwrap().unwrap();
        assert!(broken.event.is_none() && broken.link.is_some());
    }
    let plain = ReadStreamOptions::default();
    let mut read = soon(store.client.read_stream(links.as_str(), &plain)).await.unwrap();
    let plain = soon(read.next()).await.unwrap().unwrap();
    assert_eq!(plain.event.unwrap().event_type, "$>");
}
