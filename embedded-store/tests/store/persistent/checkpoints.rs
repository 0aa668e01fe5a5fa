//! What survives: groups, how far they have come, and what was parked.

use std::path::Path;

use embedded_store::Options;
use eventstore::{
    EventData, NakAction, PersistentSubscriptionOptions, ReadStreamOptions, StreamPosition,
};
use tempfile::TempDir;

use super::{acknowledged, delivered, eager, eager_to_all, next};
use crate::harness::{Store, events, id, read, soon, store, store_with};

const CHECKPOINTS: &str = "$persistentsubscription-s::g-checkpoint";

fn at(directory: &Path) -> Options {
    Options { durable: false, ..Options::at(directory) }
}

async fn checkpoints(store: &Store, stream: &str) -> Vec<String> {
    let events = read(&store.client, stream, &ReadStreamOptions::default()).await;
    let events = events.unwrap_or_default();
    assert!(events.iter().all(|event| event.event_type == "$SubscriptionCheckpoint"));
    events.iter().map(|event| event.as_json().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_never_passes_a_message_that_is_not_done() {
    let store = store().await;
    store.add("s", events(0..4)).await;
    store.create("s", "g", &eager()).await;
    let mut consumer = store.consume("s", "g").await;
    delivered(&mut consumer, 4).await;
    soon(consumer.ack_ids([id(0), id(2), id(3)])).await.unwrap();
    let saved = |revision| {
        let store = &store;
        async move {
            store
                .until("s", "g", |info| {
                    info.stats.last_checkpointed_event_revision == Some(revision)
                })
                .await;
        }
    };
    saved(0).await;
    assert_eq!(checkpoints(&store, CHECKPOINTS).await, ["0"]);
    soon(consumer.nack_ids([id(1)], NakAction::Park, "")).await.unwrap();
    saved(3).await;
    assert_eq!(checkpoints(&store, CHECKPOINTS).await, ["0", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_on_after_a_restart_with_what_was_not_done() {
    let directory = TempDir::new().unwrap();
    let first = store_with(at(directory.path())).await;
    first.add("s", events(0..5)).await;
    first.create("s", "g", &eager().max_retry_count(3)).await;
    first.create_to_all("all", &eager_to_all()).await;
    let mut consumer = first.consume("s", "g").await;
    delivered(&mut consumer, 5).await;
    soon(consumer.nack_ids([id(0)], NakAction::Park, "")).await.unwrap();
    soon(consumer.ack_ids([id(1), id(3)])).await.unwrap();
    first.until("s", "g", |info| info.stats.last_checkpointed_event_revision == Some(1)).await;
    soon(first.server.stop()).await;
    assert!(soon(consumer.next()).await.is_err());

    let second = store_with(at(directory.path())).await;
    let info = second.info("s", "g").await;
    assert_eq!(info.settings.as_ref().unwrap().max_retry_count, 3);
    assert_eq!(info.stats.parked_message_count, 1);
    let mut consumer = second.consume("s", "g").await;
    assert_eq!(acknowledged(&mut consumer, 3).await, [2, 3, 4]);
    second.replay("s", "g").await;
    assert_eq!(acknowledged(&mut consumer, 1).await, [0]);
    let options = eventstore::ListPersistentSubscriptionsOptions::default();
    let all = soon(second.client.list_persistent_subscriptions_to_all(&options)).await.unwrap();
    assert_eq!(all.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_starts_at_the_end_misses_nothing_over_a_restart() {
    let directory = TempDir::new().unwrap();
    let first = store_with(at(directory.path())).await;
    first.add("s", events(0..2)).await;
    first.create("s", "g", &PersistentSubscriptionOptions::default()).await;
    first.create("empty", "g", &PersistentSubscriptionOptions::default()).await;
    first.add("s", events(2..3)).await;
    first.add("empty", events(10..11)).await;
    soon(first.server.stop()).await;
    let second = store_with(at(directory.path())).await;
    assert_eq!(acknowledged(&mut second.consume("s", "g").await, 1).await, [2]);
    assert_eq!(acknowledged(&mut second.consume("empty", "g").await, 1).await, [10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_messages_that_were_not_done_are_parked_still_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let first = store_with(at(directory.path())).await;
    first.add("s", events(0..1)).await;
    first.create("s", "g", &eager()).await;
    let mut consumer = first.consume("s", "g").await;
    let (event, _) = next(&mut consumer).await;
    soon(consumer.nack(event, NakAction::Park, "")).await.unwrap();
    first.until("s", "g", |info| info.stats.parked_message_count == 1).await;
    first.replay("s", "g").await;
    delivered(&mut consumer, 1).await;
    soon(first.server.stop()).await;
    let second = store_with(at(directory.path())).await;
    assert_eq!(second.info("s", "g").await.stats.parked_message_count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_a_stop_does_not_come_again() {
    let directory = TempDir::new().unwrap();
    let first = store_with(at(directory.path())).await;
    first.add("s", events(0..3)).await;
    first.create("s", "g", &eager().checkpoint_lower_bound(100).checkpoint_upper_bound(100)).await;
    let mut consumer = first.consume("s", "g").await;
    acknowledged(&mut consumer, 2).await;
    first.until("s", "g", |info| info.stats.total_in_flight_messages == 1).await;
    soon(first.server.stop()).await;
    let second = store_with(at(directory.path())).await;
    assert_eq!(acknowledged(&mut second.consume("s", "g").await, 1).await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_no_reason_for_another() {
    let store = store().await;
    store.create_to_all("g", &eager_to_all()).await;
    let mut consumer = store.consume_all("g").await;
    for number in 0..50 {
        store.add("s", events(number..number + 1)).await;
        loop {
            let (event, _) = next(&mut consumer).await;
            let is_last = event.event.as_ref().unwrap().stream_id == "s";
            soon(consumer.ack(event)).await.unwrap();
            if is_last {
                break;
            }
        }
    }
    let newest = ReadStreamOptions::default().position(StreamPosition::End).backwards();
    let stream = "$persistentsubscription-$all::g-checkpoint";
    let checkpoints = read(&store.client, stream, &newest).await.unwrap()[0].revision + 1;
    let records = store.log().await.len() as u64;
    assert!(checkpoints <= records, "{checkpoints} checkpoints of {records} records");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_group_does_not_go_on_where_one_of_its_name_was() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    // What is left of a group if the process dies while it is deleted.
    let left = EventData::json("$SubscriptionCheckpoint", &"1").unwrap();
    store.add(CHECKPOINTS, vec![left]).await;
    store.create("s", "g", &eager()).await;
    assert_eq!(acknowledged(&mut store.consume("s", "g").await, 3).await, [0, 1, 2]);
}
