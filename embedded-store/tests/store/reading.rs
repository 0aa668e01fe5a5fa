//! Reads at the edges of what can be asked, where other servers may fail; the rules are in
//! `conformance`.

use eventstore::{ReadAllOptions, ReadStreamOptions, StreamPosition};

use crate::harness::{events, read, read_all, store};

#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_nothing_finds_nothing() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    let none = ReadStreamOptions::default().max_count(0);
    assert!(read(&store.client, "s", &none).await.unwrap().is_empty());
    let none = ReadAllOptions::default().position(StreamPosition::Start).max_count(0);
    assert!(read_all(&store.client, &none).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_from_after_the_last_possible_revision_finds_nothing() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    for revision in [i64::MAX as u64, u64::MAX - 1, u64::MAX] {
        let beyond = ReadStreamOptions::default().position(StreamPosition::Position(revision));
        assert!(read(&store.client, "s", &beyond).await.unwrap().is_empty());
    }
}
