//! Following, where it depends on how our own server does it; the rules are in `conformance`.

use embedded_store::Options;
use eventstore::{
    Client, EventData, Position, StreamPosition, SubscribeToAllOptions, SubscribeToStreamOptions,
    Subscription, SubscriptionEvent, SubscriptionFilter,
};

use crate::harness::{
    Store, connect, events, events_until_caught_up, next_events, soon, store, store_with,
};

async fn follow(client: &Client, stream: &str, from: StreamPosition<u64>) -> Subscription {
    let options = SubscribeToStreamOptions::default().start_from(from);
    client.subscribe_to_stream(stream, &options).await
}

async fn follow_all(
    client: &Client,
    from: StreamPosition<Position>,
    filter: Option<SubscriptionFilter>,
) -> Subscription {
    let options = SubscribeToAllOptions::default().position(from);
    let options = match filter {
        Some(filter) => options.filter(filter),
        None => options,
    };
    client.subscribe_to_all(&options).await
}

/// The next checkpoint; fails if an event comes before it.
async fn checkpoint(subscription: &mut Subscription) -> Position {
    loop {
        match soon(subscription.next_subscription_event()).await.unwrap() {
            SubscriptionEvent::Checkpoint(position) => return position,
            SubscriptionEvent::EventAppeared(event) => panic!("not filtered out: {event:?}"),
            SubscriptionEvent::Confirmed(_)
            | SubscriptionEvent::CaughtUp
            | SubscriptionEvent::FirstStreamPosition(_)
            | SubscriptionEvent::LastStreamPosition(_)
            | SubscriptionEvent::LastAllPosition(_)
            | SubscriptionEvent::FellBehind => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_comes_even_when_fewer_records_than_a_window_are_filtered_out() {
    let store = store().await;
    let filter = SubscriptionFilter::on_stream_name().add_prefix("wanted").max(10_000);
    let mut subscription = follow_all(&store.client, StreamPosition::End, Some(filter)).await;
    assert!(events_until_caught_up(&mut subscription).await.is_empty());
    let written = store.add("other", events(0..1)).await;
    assert_eq!(checkpoint(&mut subscription).await, written.position);
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_stand_between_the_events_they_count() {
    let store = store().await;
    let before = store.add("before", events(0..1)).await.position;
    store.add("wanted", events(0..100)).await;
    let filter = SubscriptionFilter::on_stream_name().add_prefix("wanted").max(10);
    let from = StreamPosition::Position(before);
    let mut subscription = follow_all(&store.client, from, Some(filter)).await;
    let (mut seen, mut checkpoints, mut last) = (0, Vec::new(), None);
    while seen < 100 || checkpoints.len() < 10 {
        match soon(subscription.next_subscription_event()).await.unwrap() {
            SubscriptionEvent::EventAppeared(event) => {
                seen += 1;
                last = event.event.map(|event| event.position);
            }
            SubscriptionEvent::Checkpoint(position) => {
                assert_eq!(Some(position), last);
                checkpoints.push(seen);
            }
            SubscriptionEvent::Confirmed(_)
            | SubscriptionEvent::CaughtUp
            | SubscriptionEvent::FirstStreamPosition(_)
            | SubscriptionEvent::LastStreamPosition(_)
            | SubscriptionEvent::LastAllPosition(_)
            | SubscriptionEvent::FellBehind => {}
        }
    }
    assert_eq!(checkpoints, (1..=10).map(|count| count * 10).collect::<Vec<_>>());
}

/// Writes more than the server keeps in memory or the connection holds on the way.
async fn write_much(store: &Store) -> usize {
    for batch in 0..60 {
        let large = (0..400).map(|number| {
            EventData::binary("Large", vec![7; 2_000].into())
                .id(crate::harness::id(batch * 400 + number))
        });
        store.add("much", large.collect()).await;
    }
    60 * 400
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_subscriber_holds_nobody_up_is_told_so_and_misses_nothing() {
    let store = store_with(Options { max_append_size: 4_000_000, ..Options::temporary() }).await;
    let (slow_client, slow_stream_client) = (connect(&store.server), connect(&store.server));
    let mut slow = follow_all(&slow_client, StreamPosition::Start, None).await;
    let mut slow_stream = follow(&slow_stream_client, "much", StreamPosition::Start).await;
    events_until_caught_up(&mut slow).await;
    events_until_caught_up(&mut slow_stream).await;
    let quick_client = connect(&store.server);
    let mut quick = follow_all(&quick_client, StreamPosition::Start, None).await;
    let quick = tokio::spawn(async move { next_events(&mut quick, 24_000).await.len() });
    let count = write_much(&store).await;
    assert_eq!(quick.await.unwrap(), count);
    for subscription in [&mut slow, &mut slow_stream] {
        let (mut revisions, mut fell_behind) = (Vec::new(), false);
        while revisions.len() < count {
            match soon(subscription.next_subscription_event()).await.unwrap() {
                SubscriptionEvent::EventAppeared(event) => {
                    revisions.push(event.event.unwrap().revision);
                }
                SubscriptionEvent::FellBehind => fell_behind = true,
                SubscriptionEvent::Confirmed(_)
                | SubscriptionEvent::Checkpoint(_)
                | SubscriptionEvent::CaughtUp
                | SubscriptionEvent::FirstStreamPosition(_)
                | SubscriptionEvent::LastStreamPosition(_)
                | SubscriptionEvent::LastAllPosition(_) => {}
            }
        }
        assert_eq!(revisions, (0..count as u64).collect::<Vec<_>>());
        assert!(fell_behind, "it is told that it was too slow");
        assert!(events_until_caught_up(subscription).await.is_empty());
    }
}
