//! Parked messages: how they get there and how they come back.

use eventstore::{
    DeletePersistentSubscriptionOptions, NakAction, ReadStreamOptions, ReplayParkedMessagesOptions,
    StreamMetadataResult,
};

use super::{acknowledged, delivered, eager, next};
use crate::harness::{Store, events, number, read, soon, store};

const PARKED: &str = "$persistentsubscription-s::g-parked";

/// A group whose consumer has parked the events 0 to 3.
async fn parked() -> (Store, eventstore::PersistentSubscription) {
    let store = store().await;
    store.add("s", events(0..4)).await;
    store.create("s", "g", &eager()).await;
    let mut consumer = store.consume("s", "g").await;
    for _ in 0..4 {
        let (event, _) = next(&mut consumer).await;
        soon(consumer.nack(event, NakAction::Park, "because")).await.unwrap();
    }
    store.until("s", "g", |info| info.stats.parked_message_count == 4).await;
    (store, consumer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_message_is_a_link_that_says_why() {
    let (store, _consumer) = parked().await;
    let links = read(&store.client, PARKED, &ReadStreamOptions::default()).await.unwrap();
    assert_eq!(links.len(), 4);
    assert_eq!(links[1].event_type, "$>");
    assert_eq!(links[1].data, "1@s");
    let why: serde_json::Value = serde_json::from_slice(&links[1].custom_metadata).unwrap();
    assert!(why["reason"].as_str().unwrap().ends_with("because"));
    assert_eq!(why["subscriptionEventNumber"], 1);
    assert!(why["added"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_refused_too_often_is_parked() {
    let store = store().await;
    store.add("s", events(0..2)).await;
    store.create("s", "g", &eager().max_retry_count(1)).await;
    let mut consumer = store.consume_some("s", "g", 1).await;
    for retries in 0..2 {
        let (event, before) = next(&mut consumer).await;
        assert_eq!((number(event.event.as_ref().unwrap()), before), (0, retries));
        soon(consumer.nack(event, NakAction::Retry, "")).await.unwrap();
    }
    assert_eq!(delivered(&mut consumer, 1).await, [(1, 0)]);
    store.until("s", "g", |info| info.stats.parked_message_count == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_messages_are_replayed_once() {
    let (store, mut consumer) = parked().await;
    store.replay("s", "g").await;
    assert_eq!(acknowledged(&mut consumer, 4).await, [0, 1, 2, 3]);
    assert_eq!(store.info("s", "g").await.stats.parked_message_count, 0);
    store.replay("s", "g").await;
    store.add("s", events(4..5)).await;
    assert_eq!(acknowledged(&mut consumer, 1).await, [4]);
    let metadata = soon(async {
        loop {
            let options = ReadStreamOptions::default();
            let metadata = store.client.get_stream_metadata(PARKED, &options).await.unwrap();
            if let StreamMetadataResult::Success(metadata) = metadata {
                return metadata;
            }
        }
    })
    .await;
    assert_eq!(metadata.metadata().truncate_before, Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_stops_where_it_is_told_to_and_the_next_one_goes_on_there() {
    let (store, mut consumer) = parked().await;
    let options = ReplayParkedMessagesOptions::default().stop_at(3);
    soon(store.client.replay_parked_messages("s", "g", &options)).await.unwrap();
    assert_eq!(acknowledged(&mut consumer, 3).await, [0, 1, 2]);
    assert_eq!(store.info("s", "g").await.stats.parked_message_count, 1);
    store.replay("s", "g").await;
    assert_eq!(acknowledged(&mut consumer, 1).await, [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_message_can_be_parked_again() {
    let (store, mut consumer) = parked().await;
    store.replay("s", "g").await;
    let (event, _) = next(&mut consumer).await;
    assert_eq!(event.link.as_ref().unwrap().stream_id, PARKED);
    soon(consumer.nack(event, NakAction::Park, "again")).await.unwrap();
    assert_eq!(acknowledged(&mut consumer, 3).await, [1, 2, 3]);
    store.until("s", "g", |info| info.stats.parked_message_count == 1).await;
    store.replay("s", "g").await;
    assert_eq!(acknowledged(&mut consumer, 1).await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_created_again_has_only_parked_what_it_parked() {
    let (store, _consumer) = parked().await;
    let options = DeletePersistentSubscriptionOptions::default();
    soon(store.client.delete_persistent_subscription("s", "g", &options)).await.unwrap();
    store.create("s", "g", &eager()).await;
    assert_eq!(store.info("s", "g").await.stats.parked_message_count, 0);
    let mut consumer = store.consume_some("s", "g", 1).await;
    let (event, _) = next(&mut consumer).await;
    soon(consumer.nack(event, NakAction::Park, "")).await.unwrap();
    store.until("s", "g", |info| info.stats.parked_message_count == 1).await;
    store.replay("s", "g").await;
    let order = acknowledged(&mut consumer, 4).await;
    assert!(order.contains(&0), "{order:?}");
}
