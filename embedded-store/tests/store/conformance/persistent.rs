//! Persistent subscriptions: who gets which message, and when again.

use eventstore::{
    DeletePersistentSubscriptionOptions, Error, GetPersistentSubscriptionInfoOptions, NakAction,
    PersistentSubscription, PersistentSubscriptionEvent, PersistentSubscriptionInfo,
    PersistentSubscriptionOptions, PersistentSubscriptionToAllOptions, ReplayParkedMessagesOptions,
    ResolvedEvent, StreamPosition, SubscribeToPersistentSubscriptionOptions, SubscriptionFilter,
};

use super::{Store, store};
use crate::harness::{events, number, soon};

/// A group that starts at the beginning and writes a checkpoint after each message.
fn eager() -> PersistentSubscriptionOptions {
    PersistentSubscriptionOptions::default()
        .start_from(StreamPosition::Start)
        .checkpoint_lower_bound(1)
        .checkpoint_upper_bound(1)
}

impl Store {
    async fn create_group(
        &self,
        stream: &str,
        group: &str,
        options: &PersistentSubscriptionOptions,
    ) -> eventstore::Result<()> {
        soon(self.client.create_persistent_subscription(stream, group, options)).await
    }

    async fn consume(&self, stream: &str, group: &str) -> PersistentSubscription {
        let options = SubscribeToPersistentSubscriptionOptions::default();
        let consumer = self.client.subscribe_to_persistent_subscription(stream, group, &options);
        soon(consumer).await.unwrap()
    }

    /// One that wants to hold so many messages at a time.
    async fn consume_some(&self, stream: &str, group: &str, some: usize) -> PersistentSubscription {
        let options = SubscribeToPersistentSubscriptionOptions::default().buffer_size(some);
        let consumer = self.client.subscribe_to_persistent_subscription(stream, group, &options);
        soon(consumer).await.unwrap()
    }

    async fn group_info(&self, stream: &str, group: &str) -> PersistentSubscriptionInfo<u64> {
        let options = GetPersistentSubscriptionInfoOptions::default();
        soon(self.client.get_persistent_subscription_info(stream, group, &options)).await.unwrap()
    }
}

/// The next message, and how often it was delivered before.
async fn next(consumer: &mut PersistentSubscription) -> (ResolvedEvent, usize) {
    loop {
        match soon(consumer.next_subscription_event()).await.unwrap() {
            PersistentSubscriptionEvent::EventAppeared { event, retry_count } => {
                return (event, retry_count);
            }
            PersistentSubscriptionEvent::Confirmed(_) => {}
        }
    }
}

/// The numbers of the next messages, each acknowledged.
async fn acknowledged(consumer: &mut PersistentSubscription, count: usize) -> Vec<u32> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let (event, _) = next(consumer).await;
        numbers.push(number(event.event.as_ref().unwrap()));
        soon(consumer.ack(event)).await.unwrap();
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_gets_what_was_written_before_and_after_it_came() {
    let store = store().await;
    let (stream, group) = (store.name("s"), store.name("g"));
    store.add(&stream, events(0..3)).await;
    store.create_group(&stream, &group, &eager()).await.unwrap();
    let mut consumer = store.consume(&stream, &group).await;
    assert_eq!(acknowledged(&mut consumer, 3).await, [0, 1, 2]);
    store.add(&stream, events(3..5)).await;
    assert_eq!(acknowledged(&mut consumer, 2).await, [3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_starts_at_the_revision_it_was_told() {
    let store = store().await;
    let (stream, group) = (store.name("s"), store.name("g"));
    store.add(&stream, events(0..4)).await;
    let options = eager().start_from(StreamPosition::Position(2));
    store.create_group(&stream, &group, &options).await.unwrap();
    let mut consumer = store.consume(&stream, &group).await;
    assert_eq!(acknowledged(&mut consumer, 2).await, [2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_the_log_gets_what_its_filter_names() {
    let store = store().await;
    let (before, name, group) = (store.end().await, store.name("s"), store.name("g"));
    store.add(&store.name("other"), events(0..3)).await;
    store.add(&name, events(3..5)).await;
    let options = PersistentSubscriptionToAllOptions::default()
        .start_from(StreamPosition::Position(before))
        .filter(SubscriptionFilter::on_stream_name().add_prefix(&name));
    soon(store.client.create_persistent_subscription_to_all(&group, &options)).await.unwrap();
    let options = SubscribeToPersistentSubscriptionOptions::default();
    let consumer = store.client.subscribe_to_persistent_subscription_to_all(&group, &options);
    let mut consumer = soon(consumer).await.unwrap();
    assert_eq!(acknowledged(&mut consumer, 2).await, [3, 4]);
    let options = DeletePersistentSubscriptionOptions::default();
    soon(store.client.delete_persistent_subscription_to_all(&group, &options)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_comes_again_and_says_how_often_it_came() {
    let store = store().await;
    let (stream, group) = (store.name("s"), store.name("g"));
    store.add(&stream, events(0..1)).await;
    store.create_group(&stream, &group, &eager()).await.unwrap();
    let mut consumer = store.consume(&stream, &group).await;
    for retries in 0..3 {
        let (event, before) = next(&mut consumer).await;
        assert_eq!((number(event.event.as_ref().unwrap()), before), (0, retries));
        soon(consumer.nack(event, NakAction::Retry, "not yet")).await.unwrap();
    }
}

/// Many times, because answers that arrive one by one take their turn anyway.
#[tokio::test(flavor = "multi_thread")]
async fn each_answer_makes_room_for_what_is_next_at_that_moment() {
    let store = store().await;
    for _ in 0..20 {
        let (stream, group) = (store.name("s"), store.name("g"));
        store.add(&stream, events(0..8)).await;
        store.create_group(&stream, &group, &eager()).await.unwrap();
        let mut consumer = store.consume_some(&stream, &group, 4).await;
        let mut held = Vec::new();
        while held.len() < 4 {
            held.push(next(&mut consumer).await.0);
        }
        let refused = held.split_off(2);
        for event in held {
            soon(consumer.ack(event)).await.unwrap();
        }
        for event in refused {
            soon(consumer.nack(event, NakAction::Retry, "not yet")).await.unwrap();
        }
        assert_eq!(acknowledged(&mut consumer, 6).await, [4, 5, 2, 3, 6, 7]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_message_comes_again_when_it_is_replayed() {
    let store = store().await;
    let (stream, group) = (store.name("s"), store.name("g"));
    store.add(&stream, events(0..2)).await;
    store.create_group(&stream, &group, &eager()).await.unwrap();
    let mut consumer = store.consume(&stream, &group).await;
    let (event, _) = next(&mut consumer).await;
    soon(consumer.nack(event, NakAction::Park, "because")).await.unwrap();
    assert_eq!(acknowledged(&mut consumer, 1).await, [1]);
    soon(async {
        while store.group_info(&stream, &group).await.stats.parked_message_count != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let options = ReplayParkedMessagesOptions::default();
    soon(store.client.replay_parked_messages(stream.as_str(), &group, &options)).await.unwrap();
    assert_eq!(acknowledged(&mut consumer, 1).await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_consumer_held_when_it_left_goes_to_another() {
    let store = store().await;
    let (stream, group) = (store.name("s"), store.name("g"));
    store.add(&stream, events(0..3)).await;
    store.create_group(&stream, &group, &eager()).await.unwrap();
    let mut first = store.consume(&stream, &group).await;
    for _ in 0..3 {
        next(&mut first).await;
    }
    drop(first);
    let mut second = store.consume(&stream, &group).await;
    assert_eq!(acknowledged(&mut second, 3).await, [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_exists_once_and_until_it_is_deleted() {
    let store = store().await;
    let (stream, group) = (store.name("s"), store.name("g"));
    store.create_group(&stream, &group, &eager()).await.unwrap();
    let again = store.create_group(&stream, &group, &eager()).await;
    assert!(matches!(again, Err(Error::ResourceAlreadyExists)), "{again:?}");

    let options = DeletePersistentSubscriptionOptions::default();
    let delete = async || {
        soon(store.client.delete_persistent_subscription(stream.as_str(), &group, &options)).await
    };
    delete().await.unwrap();
    let gone = delete().await;
    assert!(matches!(gone, Err(Error::ResourceNotFound)), "{gone:?}");
    let options = GetPersistentSubscriptionInfoOptions::default();
    let info = store.client.get_persistent_subscription_info(stream.as_str(), &group, &options);
    assert!(matches!(soon(info).await, Err(Error::ResourceNotFound)));
}
