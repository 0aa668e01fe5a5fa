//! What a new log holds.

use embedded_store::Options;

use crate::harness::{event, store, store_with};

#[tokio::test]
async fn a_new_log_is_empty() {
    let store = store().await;
    assert!(store.log().await.is_empty());
}

#[tokio::test]
async fn a_new_log_begins_with_an_event_of_the_servers_own_when_asked_to() {
    let directory = tempfile::tempdir().unwrap();
    for start in 1..=2 {
        let options = Options { opening_event: true, ..Options::at(directory.path()) };
        let store = store_with(options).await;
        store.add("s", vec![event(start)]).await;
        let log = store.log().await;
        let streams: Vec<&str> = log.iter().map(|event| event.stream_id.as_str()).collect();
        assert_eq!(streams, [&["$$$scavenges"][..], &["s"].repeat(start as usize)].concat());
        store.server.stop().await;
    }
}
