//! Persistent subscriptions, through the official client.

mod checkpoints;
mod delivering;
mod killed;
mod managing;
mod parking;
mod statuses;

use std::time::Duration;

use eventstore::{
    PersistentSubscription, PersistentSubscriptionEvent, PersistentSubscriptionInfo,
    PersistentSubscriptionOptions, PersistentSubscriptionToAllOptions, ResolvedEvent,
    StreamPosition, SubscribeToPersistentSubscriptionOptions,
};

use crate::harness::{Store, number, soon};

/// A group that starts at the beginning and writes a checkpoint after each message.
fn eager() -> PersistentSubscriptionOptions {
    PersistentSubscriptionOptions::default()
        .start_from(StreamPosition::Start)
        .checkpoint_lower_bound(1)
        .checkpoint_upper_bound(1)
}

fn eager_to_all() -> PersistentSubscriptionToAllOptions {
    PersistentSubscriptionToAllOptions::default()
        .start_from(StreamPosition::Start)
        .checkpoint_lower_bound(1)
        .checkpoint_upper_bound(1)
}

impl Store {
    async fn create(&self, stream: &str, group: &str, options: &PersistentSubscriptionOptions) {
        let created = self.client.create_persistent_subscription(stream, group, options);
        soon(created).await.unwrap();
    }

    async fn create_to_all(&self, group: &str, options: &PersistentSubscriptionToAllOptions) {
        let created = self.client.create_persistent_subscription_to_all(group, options);
        soon(created).await.unwrap();
    }

    async fn consume(&self, stream: &str, group: &str) -> PersistentSubscription {
        self.consume_some(stream, group, 10).await
    }

    async fn consume_some(&self, stream: &str, group: &str, some: usize) -> PersistentSubscription {
        let options = SubscribeToPersistentSubscriptionOptions::default().buffer_size(some);
        let consumer = self.client.subscribe_to_persistent_subscription(stream, group, &options);
        soon(consumer).await.unwrap()
    }

    async fn consume_all(&self, group: &str) -> PersistentSubscription {
        let options = SubscribeToPersistentSubscriptionOptions::default();
        soon(self.client.subscribe_to_persistent_subscription_to_all(group, &options))
            .await
            .unwrap()
    }

    async fn info(&self, stream: &str, group: &str) -> PersistentSubscriptionInfo<u64> {
        let options = eventstore::GetPersistentSubscriptionInfoOptions::default();
        soon(self.client.get_persistent_subscription_info(stream, group, &options)).await.unwrap()
    }

    /// Waits until the group says what is expected.
    async fn until(
        &self,
        stream: &str,
        group: &str,
        expected: impl Fn(&PersistentSubscriptionInfo<u64>) -> bool,
    ) {
        soon(async {
            while !expected(&self.info(stream, group).await) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    async fn replay(&self, stream: &str, group: &str) {
        let options = eventstore::ReplayParkedMessagesOptions::default();
        soon(self.client.replay_parked_messages(stream, group, &options)).await.unwrap();
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

/// The numbers of the next messages, and how often they were delivered before.
async fn delivered(consumer: &mut PersistentSubscription, count: usize) -> Vec<(u32, usize)> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let (event, retries) = next(consumer).await;
        numbers.push((number(event.event.as_ref().unwrap()), retries));
    }
    numbers
}
