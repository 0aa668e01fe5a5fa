//! Reading streams and the whole log, both ways.

use eventstore::{Error, EventData, ReadAllOptions, ReadEvent, ReadStreamOptions, StreamPosition};

use crate::harness::{Store, events, number, read, read_all, soon, store};

async fn store_with_ten() -> Store {
    let store = store().await;
    store.add("s", events(0..10)).await;
    store
}

async fn numbers(store: &Store, options: ReadStreamOptions) -> Vec<u32> {
    read(&store.client, "s", &options).await.unwrap().iter().map(number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_forwards_from_any_revision_inclusively() {
    let store = store_with_ten().await;
    let from = |revision| ReadStreamOptions::default().position(StreamPosition::Position(revision));
    assert_eq!(numbers(&store, from(7)).await, [7, 8, 9]);
    assert_eq!(numbers(&store, from(7).max_count(2)).await, [7, 8]);
    assert!(numbers(&store, from(10)).await.is_empty());
    assert!(numbers(&store, from(u64::MAX)).await.is_empty());
    assert!(numbers(&store, ReadStreamOptions::default().max_count(0)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_backwards_from_any_revision_inclusively() {
    let store = store_with_ten().await;
    let from = |position| ReadStreamOptions::default().position(position).backwards();
    assert_eq!(numbers(&store, from(StreamPosition::End).max_count(3)).await, [9, 8, 7]);
    assert_eq!(numbers(&store, from(StreamPosition::Position(2))).await, [2, 1, 0]);
    assert_eq!(numbers(&store, from(StreamPosition::Position(99))).await.len(), 10);
    assert_eq!(numbers(&store, from(StreamPosition::Start)).await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stream_is_read_whole() {
    let store = store().await;
    for start in (0..3_000).step_by(500) {
        store.add("s", events(start..start + 500)).await;
    }
    assert_eq!(numbers(&store, ReadStreamOptions::default()).await, (0..3_000).collect::<Vec<_>>());
    let backwards = ReadStreamOptions::default().position(StreamPosition::End).max_count(1_700);
    let expected: Vec<_> = (1_300..3_000).rev().collect();
    assert_eq!(numbers(&store, backwards).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_events_are_read_whole() {
    let store = store().await;
    for size in [900_000, 800_000, 700_000_usize] {
        store.add("s", vec![EventData::binary("Large", vec![7; size].into())]).await;
    }
    let read = read(&store.client, "s", &ReadStreamOptions::default()).await.unwrap();
    assert_eq!(
        read.iter().map(|event| event.data.len()).collect::<Vec<_>>(),
        [900_000, 800_000, 700_000]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_never_written_to_is_not_found() {
    let store = store().await;
    let missing = read(&store.client, "missing", &ReadStreamOptions::default()).await;
    assert!(matches!(missing, Err(Error::ResourceNotFound)), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_tells_the_newest_revision_of_its_stream() {
    let store = store_with_ten().await;
    let options = ReadStreamOptions::default().max_count(3);
    let mut read = soon(store.client.read_stream("s", &options)).await.unwrap();
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
    for (number, stream) in ["a", "b", "a", "c"].into_iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        store.add(stream, events(number..number + 1)).await;
    }
    let log = store.log().await;
    assert_eq!(log.iter().map(number).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(log.windows(2).all(|pair| pair[0].position < pair[1].position));
    assert!(log[0].position.commit > 0, "an exclusive start at 0 would skip it");
    let at = StreamPosition::Position(log[2].position);
    let read = async |options| {
        read_all(&store.client, &options).await.iter().map(number).collect::<Vec<_>>()
    };
    assert_eq!(read(ReadAllOptions::default().position(at)).await, [2, 3]);
    assert_eq!(read(ReadAllOptions::default().position(at).backwards()).await, [1, 0]);
    let end = ReadAllOptions::default().position(StreamPosition::End);
    assert_eq!(read(end.clone()).await, [3, 2, 1, 0]);
    assert_eq!(read(end.max_count(2)).await, [3, 2]);
    assert_eq!(read(ReadAllOptions::default().max_count(3)).await, [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_followed_when_asked_for() {
    let store = store_with_ten().await;
    let link = |to: &'static str| EventData::binary("$>", to.as_bytes().to_vec().into());
    store.add("links", vec![link("4@s"), link("99@s"), link("nonsense")]).await;
    let options = ReadStreamOptions::default().resolve_link_tos();
    let mut read = soon(store.client.read_stream("links", &options)).await.unwrap();
    let resolved = soon(read.next()).await.unwrap().unwrap();
    assert_eq!(number(resolved.event.as_ref().unwrap()), 4);
    let link = resolved.link.unwrap();
    assert_eq!((link.stream_id.as_str(), link.revision), ("links", 0));
    for _ in 0..2 {
        let broken = soon(read.next()).await.unwrap().unwrap();
        assert!(broken.event.is_none() && broken.link.is_some());
    }
    let plain = soon(store.client.read_stream("links", &ReadStreamOptions::default())).await;
    let plain = soon(plain.unwrap().next()).await.unwrap().unwrap();
    assert_eq!(plain.event.unwrap().event_type, "$>");
}
