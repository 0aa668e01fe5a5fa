//! Groups are created, changed, looked at and deleted.

use eventstore::{
    DeletePersistentSubscriptionOptions, Error, GetPersistentSubscriptionInfoOptions,
    ListPersistentSubscriptionsOptions, PersistentSubscriptionOptions,
    PersistentSubscriptionToAllOptions, ReplayParkedMessagesOptions,
    RestartPersistentSubscriptionSubsystem, StreamPosition,
    SubscribeToPersistentSubscriptionOptions, TombstoneStreamOptions,
};

use super::{acknowledged, eager, eager_to_all};
use crate::harness::{Store, events, soon, store};

async fn delete(store: &Store, stream: &str, group: &str) -> eventstore::Result<()> {
    let options = DeletePersistentSubscriptionOptions::default();
    soon(store.client.delete_persistent_subscription(stream, group, &options)).await
}

async fn subscribe(store: &Store, stream: &str, group: &str) -> eventstore::Result<()> {
    let options = SubscribeToPersistentSubscriptionOptions::default();
    let consumer = store.client.subscribe_to_persistent_subscription(stream, group, &options);
    soon(consumer).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_exists_once_until_it_is_deleted() {
    let store = store().await;
    store.create("s", "g", &eager()).await;
    let options = eager();
    let again = store.client.create_persistent_subscription("s", "g", &options);
    assert!(matches!(soon(again).await, Err(Error::ResourceAlreadyExists)));
    delete(&store, "s", "g").await.unwrap();
    assert!(matches!(delete(&store, "s", "g").await, Err(Error::ResourceNotFound)));
    assert!(matches!(subscribe(&store, "s", "g").await, Err(Error::ResourceNotFound)));
    store.create("s", "g", &eager()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_group_that_is_created_again_begins_anew() {
    let store = store().await;
    store.add("s", events(0..2)).await;
    store.create("s", "g", &eager()).await;
    let mut consumer = store.consume("s", "g").await;
    acknowledged(&mut consumer, 2).await;
    store.until("s", "g", |info| info.stats.last_checkpointed_event_revision == Some(1)).await;
    delete(&store, "s", "g").await.unwrap();
    store.create("s", "g", &eager()).await;
    assert_eq!(acknowledged(&mut store.consume("s", "g").await, 2).await, [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let store = store().await;
    let info = GetPersistentSubscriptionInfoOptions::default();
    let info = store.client.get_persistent_subscription_info("s", "g", &info);
    assert!(matches!(soon(info).await, Err(Error::ResourceNotFound)));
    let replay = ReplayParkedMessagesOptions::default();
    let replay = store.client.replay_parked_messages("s", "g", &replay);
    assert!(matches!(soon(replay).await, Err(Error::ResourceNotFound)));
    let options = eager();
    let update = store.client.update_persistent_subscription("s", "g", &options);
    let update = soon(update).await;
    assert!(matches!(update, Err(Error::ResourceNotFound)));
    let list = ListPersistentSubscriptionsOptions::default();
    assert!(soon(store.client.list_all_persistent_subscriptions(&list)).await.unwrap().is_empty());
    let list = store.client.list_persistent_subscriptions_for_stream("s", &list);
    assert!(matches!(soon(list).await, Err(Error::ResourceNotFound)));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_make_no_sense_are_refused() {
    let store = store().await;
    let options =
        PersistentSubscriptionOptions::default().read_batch_size(500).history_buffer_size(500);
    let refused = soon(store.client.create_persistent_subscription("s", "g", &options)).await;
    let Err(Error::ServerError(message)) = refused else { panic!("{refused:?}") };
    assert!(message.contains("Subscription group g on stream s failed"), "{message}");
    let beyond = eventstore::Position { commit: 1_000, prepare: 1_000 };
    let options =
        PersistentSubscriptionToAllOptions::default().start_from(StreamPosition::Position(beyond));
    let refused = soon(store.client.create_persistent_subscription_to_all("g", &options)).await;
    assert!(matches!(refused, Err(Error::ServerError(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_described_as_it_was_created_and_changed() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    let options = eager().max_retry_count(7).extra_statistics(true).max_subscriber_count(4);
    store.create("s", "g", &options).await;
    let settings = store.info("s", "g").await.settings.unwrap();
    assert_eq!(settings.start_from, StreamPosition::Start);
    assert_eq!((settings.max_retry_count, settings.max_subscriber_count), (7, 4));
    let changed = options.max_retry_count(8).start_from(StreamPosition::Position(2));
    soon(store.client.update_persistent_subscription("s", "g", &changed)).await.unwrap();
    let settings = store.info("s", "g").await.settings.unwrap();
    assert_eq!(settings.start_from, StreamPosition::Position(2));
    assert_eq!(settings.max_retry_count, 8);
    assert!(settings.extra_statistics);

    let mut consumer = store.consume("s", "g").await;
    assert_eq!(acknowledged(&mut consumer, 1).await, [2]);
    store.until("s", "g", |info| info.stats.last_checkpointed_event_revision == Some(2)).await;
    let info = store.info("s", "g").await;
    assert_eq!(info.status, "Live");
    assert_eq!(info.stats.total_items, 1);
    assert_eq!(info.stats.last_known_event_revision, Some(2));
    let connection = &info.connections[0];
    assert_eq!((connection.total_items, connection.available_slots), (1, 10));
    assert!(connection.extra_statistics.clone().entries().next().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_of_a_deleted_or_changed_group_are_dropped() {
    let store = store().await;
    store.create("s", "deleted", &eager()).await;
    store.create("s", "changed", &eager()).await;
    let mut deleted = store.consume("s", "deleted").await;
    let mut changed = store.consume("s", "changed").await;
    delete(&store, "s", "deleted").await.unwrap();
    soon(store.client.update_persistent_subscription("s", "changed", &eager())).await.unwrap();
    for consumer in [&mut deleted, &mut changed] {
        let dropped = soon(consumer.next()).await;
        assert!(matches!(dropped, Err(Error::IllegalStateError(_))), "{dropped:?}");
    }
    store.add("s", events(0..1)).await;
    let mut changed = store.consume("s", "changed").await;
    assert_eq!(acknowledged(&mut changed, 1).await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_consumers_are_let_in_than_a_group_may_have() {
    let store = store().await;
    store.create("s", "g", &eager().max_subscriber_count(1)).await;
    let first = store.consume("s", "g").await;
    let Err(Error::Grpc { code, message }) = subscribe(&store, "s", "g").await else {
        panic!("it was let in")
    };
    assert_eq!(code as i32, 9, "FAILED_PRECONDITION");
    assert!(message.starts_with("Maximum subscriptions reached"), "{message}");
    drop(first);
    soon(async { while subscribe(&store, "s", "g").await.is_err() {} }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_all_groups_drops_consumers_and_loses_nothing() {
    let store = store().await;
    store.add("s", events(0..2)).await;
    store.create("s", "g", &eager()).await;
    store.create_to_all("g", &eager_to_all()).await;
    let mut consumer = store.consume("s", "g").await;
    acknowledged(&mut consumer, 1).await;
    let options = RestartPersistentSubscriptionSubsystem::default();
    soon(store.client.restart_persistent_subscription_subsystem(&options)).await.unwrap();
    soon(async { while consumer.next().await.is_ok() {} }).await;
    assert_eq!(acknowledged(&mut store.consume("s", "g").await, 1).await, [1]);
    let list = ListPersistentSubscriptionsOptions::default();
    let list = soon(store.client.list_all_persistent_subscriptions(&list)).await.unwrap();
    assert_eq!(list.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_on_a_stream_that_is_deleted_for_ever_cannot_go_on() {
    let store = store().await;
    store.create("s", "g", &eager()).await;
    let mut consumer = store.consume("s", "g").await;
    store.add("s", events(0..1)).await;
    acknowledged(&mut consumer, 1).await;
    let options = TombstoneStreamOptions::default();
    soon(store.client.tombstone_stream("s", &options)).await.unwrap();
    assert!(matches!(soon(consumer.next()).await, Err(Error::IllegalStateError(_))));
}
