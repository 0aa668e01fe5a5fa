//! Following a stream or the whole log: nothing missed, nothing twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use eventstore::{
    Client, ExpectedRevision, Position, RecordedEvent, StreamPosition, SubscribeToAllOptions,
    SubscribeToStreamOptions, Subscription, SubscriptionEvent, SubscriptionFilter,
};
use futures::future::join_all;

use super::{Store, store};
use crate::harness::{
    append, event, event_of, events, events_until_caught_up, next_events, number, soon,
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

/// The events of the log in streams of which the name begins so.
fn named(name: &str) -> SubscriptionFilter {
    SubscriptionFilter::on_stream_name().add_prefix(name)
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
    let (stream, other) = (store.name("s"), store.name("other"));
    store.add(&stream, events(0..3)).await;
    let mut subscription = follow(&store.client, &stream, StreamPosition::Start).await;
    confirmed(&mut subscription).await;
    assert_eq!(numbers(&events_until_caught_up(&mut subscription).await), [0, 1, 2]);
    store.add(&other, events(10..11)).await;
    store.add(&stream, events(3..5)).await;
    assert_eq!(numbers(&next_events(&mut subscription, 2).await), [3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_followed_from_after_a_revision() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..5)).await;
    let mut subscription = follow(&store.client, &stream, StreamPosition::Position(2)).await;
    assert_eq!(numbers(&events_until_caught_up(&mut subscription).await), [3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_followed_from_after_a_revision_that_it_does_not_have_yet() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..2)).await;
    let mut subscription = follow(&store.client, &stream, StreamPosition::Position(3)).await;
    assert!(events_until_caught_up(&mut subscription).await.is_empty());
    store.add(&stream, events(2..6)).await;
    assert_eq!(numbers(&next_events(&mut subscription, 2).await), [4, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_followed_from_its_end() {
    let store = store().await;
    let stream = store.name("s");
    store.add(&stream, events(0..5)).await;
    let mut subscription = follow(&store.client, &stream, StreamPosition::End).await;
    assert!(events_until_caught_up(&mut subscription).await.is_empty());
    store.add(&stream, events(5..6)).await;
    assert_eq!(numbers(&next_events(&mut subscription, 1).await), [5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_can_be_followed_before_it_exists() {
    let store = store().await;
    let stream = store.name("s");
    let mut subscription = follow(&store.client, &stream, StreamPosition::Start).await;
    assert!(events_until_caught_up(&mut subscription).await.is_empty());
    store.add(&stream, events(0..1)).await;
    assert_eq!(numbers(&next_events(&mut subscription, 1).await), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_followed_from_after_a_position() {
    let store = store().await;
    let (before, name) = (store.end().await, store.name("s"));
    store.add(&format!("{name}-a"), events(0..2)).await;
    store.add(&format!("{name}-b"), events(2..4)).await;
    let log = store.log_since(before, &name).await;
    let from = StreamPosition::Position(log[1].position);
    let mut subscription = follow_all(&store.client, from, Some(named(&name))).await;
    assert_eq!(numbers(&events_until_caught_up(&mut subscription).await), [2, 3]);
    let mut at_end = follow_all(&store.client, StreamPosition::End, Some(named(&name))).await;
    assert!(events_until_caught_up(&mut at_end).await.is_empty());
    store.add(&format!("{name}-c"), events(4..5)).await;
    assert_eq!(numbers(&next_events(&mut subscription, 1).await), [4]);
    assert_eq!(numbers(&next_events(&mut at_end, 1).await), [4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_the_whole_log_sees_every_event_in_its_order() {
    let store = store().await;
    let (before, name) = (store.end().await, store.name("s"));
    let from = StreamPosition::Position(before);
    let mut subscription = follow_all(&store.client, from, None).await;
    for count in 0..20 {
        store.add(&format!("{name}-{}", count % 3), events(count..count + 1)).await;
    }
    let mut mine = Vec::new();
    while mine.len() < 20 {
        let event = soon(subscription.next()).await.unwrap().event.unwrap();
        if event.stream_id.starts_with(&name) {
            mine.push(event);
        }
    }
    assert_eq!(numbers(&mine), (0..20).collect::<Vec<_>>());
    assert!(mine.windows(2).all(|pair| pair[0].position < pair[1].position));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_lets_through_what_it_names_before_and_after_catching_up() {
    let store = store().await;
    let (before, name, kind) = (store.end().await, store.name("s"), store.name("Kind"));
    let write = async |first: u32| {
        for (number, stream, kind) in [
            (first, "order", format!("{kind}-Placed")),
            (first + 1, "stock", format!("{kind}-Reserved")),
            (first + 2, "payment", format!("{kind}-Placed")),
        ] {
            store.add(&format!("{name}-{stream}"), vec![event_of(&kind, number)]).await;
        }
    };
    write(0).await;
    let filters = [
        (named(&format!("{name}-order")).add_prefix(format!("{name}-stock")), [0, 1]),
        (SubscriptionFilter::on_stream_name().regex(format!("^(?!{name}-stock){name}")), [0, 2]),
        (SubscriptionFilter::on_event_type().add_prefix(format!("{kind}-Pl")), [0, 2]),
        (SubscriptionFilter::on_event_type().regex(format!("^{kind}.*laced$")).max(2), [0, 2]),
    ];
    let mut subscriptions = Vec::new();
    for (filter, expected) in filters {
        let from = StreamPosition::Position(before);
        let mut subscription = follow_all(&store.client, from, Some(filter)).await;
        assert_eq!(numbers(&events_until_caught_up(&mut subscription).await), expected);
        subscriptions.push((subscription, expected));
    }
    write(100).await;
    for (mut subscription, expected) in subscriptions {
        let next = numbers(&next_events(&mut subscription, 2).await);
        assert_eq!(next, expected.map(|number| number + 100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_filter_is_refused() {
    let store = store().await;
    let filter = Some(SubscriptionFilter::on_stream_name().regex("("));
    let mut subscription = follow_all(&store.client, StreamPosition::Start, filter).await;
    soon(subscription.next()).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_comes_with_catching_up_and_nothing_is_lost_after_it() {
    let store = store().await;
    let (before, name) = (store.end().await, store.name("wanted"));
    let filter = || Some(named(&name));
    store.add(&store.name("other"), events(0..7)).await;
    let from = StreamPosition::Position(before);
    let mut subscription = follow_all(&store.client, from, filter()).await;
    let reached = checkpoint(&mut subscription).await;
    assert!(reached > before);

    store.add(&name, events(7..8)).await;
    let mut resumed = follow_all(&store.client, StreamPosition::Position(reached), filter()).await;
    assert_eq!(numbers(&next_events(&mut resumed, 1).await), [7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_comes_with_catching_up_also_when_nothing_was_filtered_out() {
    let store = store().await;
    let (before, name) = (store.end().await, store.name("wanted"));
    let written = store.add(&name, events(0..3)).await;
    let from = StreamPosition::Position(before);
    let mut subscription = follow_all(&store.client, from, Some(named(&name))).await;
    next_events(&mut subscription, 3).await;
    assert!(checkpoint(&mut subscription).await >= written.position);
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_grow_with_what_is_filtered_out() {
    let store = store().await;
    let (name, other) = (store.name("wanted"), store.name("other"));
    let filter = named(&name).max(10);
    let mut subscription = follow_all(&store.client, StreamPosition::End, Some(filter)).await;
    assert!(events_until_caught_up(&mut subscription).await.is_empty());
    let mut last = None;
    for batch in 0..5 {
        store.add(&other, events(batch * 10..batch * 10 + 10)).await;
        let reached = checkpoint(&mut subscription).await;
        assert!(last < Some(reached));
        last = Some(reached);
    }
}

/// Appends until told to stop: to one shared stream and to one of its own.
async fn write_on(client: Client, name: String, writer: u32, written: Arc<AtomicUsize>) {
    for count in 0..APPENDS {
        let number = 1_000_000 * (writer + 1) + count * 2;
        let shared = format!("{name}-shared");
        let own = format!("{name}-own-{writer}");
        append(&client, &shared, ExpectedRevision::Any, vec![event(number)]).await.unwrap();
        append(&client, &own, ExpectedRevision::Any, vec![event(number + 1)]).await.unwrap();
        written.fetch_add(2, Ordering::Relaxed);
    }
}

const WRITERS: u32 = 4;
const APPENDS: u32 = 100;
const TOTAL: usize = (WRITERS * APPENDS * 2) as usize;

async fn follower(
    store: &Store,
    kind: usize,
    name: String,
    before: Position,
) -> (usize, Vec<RecordedEvent>) {
    let client = store.connect();
    let from = StreamPosition::Position(before);
    let (mut subscription, count) = match kind {
        0 => (follow_all(&client, from, Some(named(&name))).await, TOTAL),
        1 => (follow(&client, &format!("{name}-shared"), StreamPosition::Start).await, TOTAL / 2),
        _ => (follow_all(&client, from, Some(named(&format!("{name}-own")))).await, TOTAL / 2),
    };
    (kind, next_events(&mut subscription, count).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_that_begin_amid_appends_miss_nothing_and_see_nothing_twice() {
    let store = Arc::new(store().await);
    let (before, name) = (store.end().await, store.name("s"));
    let written = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let written = Arc::clone(&written);
            tokio::spawn(write_on(store.connect(), name.clone(), writer, written))
        })
        .collect();
    let mut followers = Vec::new();
    for count in 0..9 {
        // Spread over the time of the appends, without a clock.
        while written.load(Ordering::Relaxed) < TOTAL * count / 12 {
            tokio::task::yield_now().await;
        }
        let (store, name) = (Arc::clone(&store), name.clone());
        followers
            .push(tokio::spawn(async move { follower(&store, count % 3, name, before).await }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let log = store.log_since(before, &name).await;
    assert_eq!(log.len(), TOTAL);
    for follower in followers {
        let (kind, seen) = follower.await.unwrap();
        let wanted = log.iter().filter(|event| match kind {
            0 => true,
            1 => event.stream_id.ends_with("-shared"),
            _ => event.stream_id.contains("-own-"),
        });
        let wanted: Vec<_> = wanted.map(|event| (event.position, event.id)).collect();
        let seen: Vec<_> = seen.iter().map(|event| (event.position, event.id)).collect();
        assert_eq!(seen, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_subscriptions_share_one_connection() {
    let store = store().await;
    let stream = store.name("s");
    let mut subscriptions = Vec::new();
    for _ in 0..90 {
        let mut subscription = follow(&store.client, &stream, StreamPosition::Start).await;
        confirmed(&mut subscription).await;
        subscriptions.push(subscription);
    }
    store.add(&stream, events(0..1)).await;
    let seen = join_all(subscriptions.iter_mut().map(|subscription| next_events(subscription, 1)));
    assert!(soon(seen).await.iter().all(|seen| numbers(seen) == [0]));
}
