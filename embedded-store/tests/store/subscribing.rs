//! Following a stream or the whole log: nothing missed, nothing twice, nobody held up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use embedded_store::Options;
use eventstore::{
    Client, EventData, ExpectedRevision, Position, RecordedEvent, StreamPosition,
    SubscribeToAllOptions, SubscribeToStreamOptions, Subscription, SubscriptionEvent,
    SubscriptionFilter,
};
use futures::future::join_all;

use crate::harness::{
    Store, append, connect, event, event_of, events, events_until_caught_up, next_events, number,
    soon, store, store_with,
};

fn numbers(events: &[RecordedEvent]) -> Vec<u32> {
    events.iter().map(number).collect()
}

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

/// The first message, which says that the subscription has begun.
async fn confirmed(subscription: &mut Subscription) {
    let first = soon(subscription.next_subscription_event()).await.unwrap();
    assert!(matches!(first, SubscriptionEvent::Confirmed(id) if !id.is_empty()));
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
async fn a_stream_is_followed_from_the_start() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    let mut subscription = follow(&store.client, "s", StreamPosition::Start).await;
    confirmed(&mut subscription).await;
    assert_eq!(numbers(&events_until_caught_up(&mut subscription).await), [0, 1, 2]);
    store.add("other", events(10..11)).await;
    store.add("s", events(3..5)).await;
    assert_eq!(numbers(&next_events(&mut subscription, 2).await), [3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_followed_from_after_a_revision() {
    let store = store().await;
    store.add("s", events(0..5)).await;
    let mut subscription = follow(&store.client, "s", StreamPosition::Position(2)).await;
    assert_eq!(numbers(&events_until_caught_up(&mut subscription).await), [3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_followed_from_its_end() {
    let store = store().await;
    store.add("s", events(0..5)).await;
    let mut subscription = follow(&store.client, "s", StreamPosition::End).await;
    assert!(events_until_caught_up(&mut subscription).await.is_empty());
    store.add("s", events(5..6)).await;
    assert_eq!(numbers(&next_events(&mut subscription, 1).await), [5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_can_be_followed_before_it_exists() {
    let store = store().await;
    let mut subscription = follow(&store.client, "s", StreamPosition::Start).await;
    assert!(events_until_caught_up(&mut subscription).await.is_empty());
    store.add("s", events(0..1)).await;
    assert_eq!(numbers(&next_events(&mut subscription, 1).await), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_followed_from_after_a_position() {
    let store = store().await;
    store.add("a", events(0..2)).await;
    store.add("b", events(2..4)).await;
    let log = store.log().await;
    let from = StreamPosition::Position(log[1].position);
    let mut subscription = follow_all(&store.client, from, None).await;
    assert_eq!(numbers(&events_until_caught_up(&mut subscription).await), [2, 3]);
    let mut at_end = follow_all(&store.client, StreamPosition::End, None).await;
    assert!(events_until_caught_up(&mut at_end).await.is_empty());
    store.add("c", events(4..5)).await;
    assert_eq!(numbers(&next_events(&mut subscription, 1).await), [4]);
    assert_eq!(numbers(&next_events(&mut at_end, 1).await), [4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_lets_through_what_it_names_before_and_after_catching_up() {
    let store = store().await;
    let write = async |first: u32| {
        store.add("order-1", vec![event_of("Placed", first)]).await;
        store.add("stock-1", vec![event_of("Reserved", first + 1)]).await;
        store.add("payment-1", vec![event_of("Placed", first + 2)]).await;
    };
    write(0).await;
    let filters = [
        (SubscriptionFilter::on_stream_name().add_prefix("order-").add_prefix("stock-"), [0, 1]),
        (SubscriptionFilter::on_stream_name().regex("^(?!stock)"), [0, 2]),
        (SubscriptionFilter::on_event_type().add_prefix("Pl"), [0, 2]),
        (SubscriptionFilter::on_event_type().regex("ed$").max(2), [0, 1]),
    ];
    let mut subscriptions = Vec::new();
    for (filter, expected) in filters {
        let filter = Some(filter);
        let mut subscription = follow_all(&store.client, StreamPosition::Start, filter).await;
        let caught = numbers(&events_until_caught_up(&mut subscription).await);
        assert_eq!(caught[..2], expected);
        subscriptions.push((subscription, expected));
    }
    write(100).await;
    for (mut subscription, expected) in subscriptions {
        let next = numbers(&next_events(&mut subscription, 1).await);
        assert!(next[0] == 2 || next[0] == expected[0] + 100, "{next:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_filter_is_refused() {
    let store = store().await;
    let filter = Some(SubscriptionFilter::on_stream_name().regex("("));
    let mut subscription = follow_all(&store.client, StreamPosition::Start, filter).await;
    let refusal = soon(subscription.next()).await.unwrap_err();
    assert!(matches!(refusal, eventstore::Error::Grpc { .. }), "{refusal:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_the_last_record_examined_when_caught_up() {
    let store = store().await;
    let filter = || Some(SubscriptionFilter::on_stream_name().add_prefix("wanted"));
    store.add("other", events(0..7)).await;
    let mut subscription = follow_all(&store.client, StreamPosition::Start, filter()).await;
    let reached = checkpoint(&mut subscription).await;
    assert_eq!(reached, store.log().await.last().unwrap().position);

    store.add("wanted", events(7..8)).await;
    let mut resumed = follow_all(&store.client, StreamPosition::Position(reached), filter()).await;
    assert_eq!(numbers(&next_events(&mut resumed, 1).await), [7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_follows_every_window_of_records_that_are_filtered_out() {
    let store = store().await;
    let filter = SubscriptionFilter::on_stream_name().add_prefix("wanted").max(10);
    let mut subscription = follow_all(&store.client, StreamPosition::End, Some(filter)).await;
    assert!(events_until_caught_up(&mut subscription).await.is_empty());
    let mut last = None;
    for batch in 0..5 {
        store.add("other", events(batch * 10..batch * 10 + 10)).await;
        let reached = checkpoint(&mut subscription).await;
        assert!(last < Some(reached));
        last = Some(reached);
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
    store.add("wanted", events(0..100)).await;
    let filter = SubscriptionFilter::on_stream_name().add_prefix("wanted").max(10);
    let mut subscription = follow_all(&store.client, StreamPosition::Start, Some(filter)).await;
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

/// Appends until told to stop: to one shared stream and to one of its own.
async fn write_on(client: Client, writer: u32, appends: u32, written: Arc<AtomicUsize>) {
    for append_number in 0..appends {
        let number = 1_000_000 * (writer + 1) + append_number * 2;
        let own = format!("own-{writer}");
        append(&client, "shared", ExpectedRevision::Any, vec![event(number)]).await.unwrap();
        append(&client, &own, ExpectedRevision::Any, vec![event(number + 1)]).await.unwrap();
        written.fetch_add(2, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_that_begin_amid_appends_miss_nothing_and_see_nothing_twice() {
    const WRITERS: u32 = 4;
    const APPENDS: u32 = 250;
    let store = store().await;
    let written = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let client = connect(&store.server);
            tokio::spawn(write_on(client, writer, APPENDS, Arc::clone(&written)))
        })
        .collect();
    let total = (WRITERS * APPENDS * 2) as usize;
    let mut followers = Vec::new();
    for follower in 0..9 {
        // Spread over the time of the appends, without a clock.
        while written.load(Ordering::Relaxed) < total * follower / 12 {
            tokio::task::yield_now().await;
        }
        let client = connect(&store.server);
        followers.push(tokio::spawn(async move {
            let start = StreamPosition::Start;
            let (mut subscription, count) = match follower % 3 {
                0 => (follow_all(&client, start, None).await, total),
                1 => (follow(&client, "shared", StreamPosition::Start).await, total / 2),
                _ => {
                    let filter = SubscriptionFilter::on_stream_name().add_prefix("own-");
                    (follow_all(&client, start, Some(filter)).await, total / 2)
                }
            };
            (follower % 3, next_events(&mut subscription, count).await)
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let log = store.log().await;
    assert_eq!(log.len(), total);
    for follower in followers {
        let (kind, seen) = follower.await.unwrap();
        let wanted = log.iter().filter(|event| match kind {
            0 => true,
            1 => event.stream_id == "shared",
            _ => event.stream_id.starts_with("own-"),
        });
        let wanted: Vec<_> = wanted.map(|event| (event.position, event.id)).collect();
        let seen: Vec<_> = seen.iter().map(|event| (event.position, event.id)).collect();
        assert_eq!(seen, wanted);
    }
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
async fn a_slow_subscriber_holds_nobody_up_and_misses_nothing() {
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
        let seen = next_events(subscription, count).await;
        let revisions: Vec<_> = seen.iter().map(|event| event.revision).collect();
        assert_eq!(revisions, (0..count as u64).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_subscriptions_share_one_connection() {
    let store = store().await;
    let mut subscriptions = Vec::new();
    for _ in 0..300 {
        let mut subscription = follow(&store.client, "s", StreamPosition::Start).await;
        confirmed(&mut subscription).await;
        subscriptions.push(subscription);
    }
    store.add("s", events(0..1)).await;
    let seen = join_all(subscriptions.iter_mut().map(|subscription| next_events(subscription, 1)));
    assert!(soon(seen).await.iter().all(|seen| numbers(seen) == [0]));
}
