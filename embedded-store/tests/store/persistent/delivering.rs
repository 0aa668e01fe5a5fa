//! Who gets which message, and when again.

use std::time::Duration;

use eventstore::{
    EventData, NakAction, PersistentSubscriptionOptions, PersistentSubscriptionToAllOptions,
    ReadStreamOptions, StreamPosition, SubscriptionFilter, SystemConsumerStrategy,
};
use serde_json::json;

use super::{acknowledged, delivered, eager, eager_to_all, next};
use crate::harness::{event_of, events, id, number, read, soon, store};

#[tokio::test(flavor = "multi_thread")]
async fn a_group_gets_what_was_written_before_and_after_it_came() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    store.create("s", "g", &eager()).await;
    let mut consumer = store.consume("s", "g").await;
    assert_eq!(acknowledged(&mut consumer, 3).await, [0, 1, 2]);
    store.add("other", events(10..12)).await;
    store.add("s", events(3..5)).await;
    assert_eq!(acknowledged(&mut consumer, 2).await, [3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_starts_where_it_was_told_to() {
    let store = store().await;
    store.add("s", events(0..4)).await;
    let from = |start| PersistentSubscriptionOptions::default().start_from(start);
    store.create("s", "second", &from(StreamPosition::Position(2))).await;
    store.create("s", "end", &from(StreamPosition::End)).await;
    store.add("s", events(4..6)).await;
    let mut second = store.consume("s", "second").await;
    assert_eq!(acknowledged(&mut second, 4).await, [2, 3, 4, 5]);
    let mut end = store.consume("s", "end").await;
    assert_eq!(acknowledged(&mut end, 2).await, [4, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_on_a_long_stream_reads_it_page_by_page_in_order() {
    let store = store().await;
    for from in (0..5_000).step_by(500) {
        store.add("s", events(from..from + 500)).await;
    }
    store.create("s", "g", &eager().checkpoint_upper_bound(1_000)).await;
    let mut consumer = store.consume_some("s", "g", 50).await;
    let numbers = acknowledged(&mut consumer, 5_000).await;
    assert!(numbers.into_iter().eq(0..5_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_events_come_without_another_append() {
    let store = store().await;
    store.create("s", "g", &eager()).await;
    store.create_to_all("all", &eager_to_all()).await;
    let mut consumer = store.consume_some("s", "g", 20).await;
    let mut of_all = store.consume_all("all").await;
    store.add("s", events(0..1)).await;
    assert_eq!(acknowledged(&mut consumer, 1).await, [0]);
    let large = (1..11).map(|number| {
        let content = json!({ "number": number, "padding": "x".repeat(90_000) });
        EventData::json("Large", &content).unwrap()
    });
    store.add("s", large.collect()).await;
    assert!(acknowledged(&mut consumer, 10).await.into_iter().eq(1..11));
    let mut large = 0;
    while large < 10 {
        let (event, _) = next(&mut of_all).await;
        large += usize::from(event.event.as_ref().unwrap().event_type == "Large");
        soon(of_all.ack(event)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_gets_no_more_than_it_asked_to_hold() {
    let store = store().await;
    store.add("s", events(0..5)).await;
    store.create("s", "g", &eager()).await;
    let mut consumer = store.consume_some("s", "g", 2).await;
    assert_eq!(delivered(&mut consumer, 2).await, [(0, 0), (1, 0)]);
    let info = store.info("s", "g").await;
    assert_eq!(info.stats.total_in_flight_messages, 2);
    assert_eq!(info.connections[0].available_slots, 0);
    soon(consumer.ack_ids([id(0)])).await.unwrap();
    assert_eq!(delivered(&mut consumer, 1).await, [(2, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_consumer_held_when_it_left_goes_to_another() {
    let store = store().await;
    store.add("s", events(0..3)).await;
    store.create("s", "g", &eager()).await;
    let mut first = store.consume("s", "g").await;
    assert_eq!(delivered(&mut first, 3).await, [(0, 0), (1, 0), (2, 0)]);
    soon(first.ack_ids([id(1)])).await.unwrap();
    store.until("s", "g", |info| info.stats.total_in_flight_messages == 2).await;
    drop(first);
    let mut second = store.consume("s", "g").await;
    assert_eq!(delivered(&mut second, 2).await, [(0, 1), (2, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_comes_again_and_a_skipped_one_does_not() {
    let store = store().await;
    store.add("s", events(0..4)).await;
    store.create("s", "g", &eager()).await;
    let mut consumer = store.consume_some("s", "g", 1).await;
    let mut seen = Vec::new();
    for action in [NakAction::Retry, NakAction::Unknown, NakAction::Skip, NakAction::Stop] {
        let (event, retries) = next(&mut consumer).await;
        seen.push((number(event.event.as_ref().unwrap()), retries));
        soon(consumer.nack(event, action, "because")).await.unwrap();
    }
    seen.extend(delivered(&mut consumer, 1).await);
    assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_messages_come_before_those_that_were_never_sent() {
    let store = store().await;
    store.add("s", events(0..41)).await;
    store.create("s", "g", &eager()).await;
    let mut consumer = store.consume_some("s", "g", 10).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&(40, 0)) {
        let (event, retries) = next(&mut consumer).await;
        let number = number(event.event.as_ref().unwrap());
        seen.push((number, retries));
        if number < 20 && retries == 0 {
            soon(consumer.nack(event, NakAction::Retry, "once more")).await.unwrap();
        } else {
            soon(consumer.ack(event)).await.unwrap();
        }
    }
    assert_eq!(seen.len(), 61, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_not_answered_in_time_comes_again() {
    let store = store().await;
    store.add("s", events(0..1)).await;
    store.create("s", "g", &eager().message_timeout(Duration::from_millis(50))).await;
    let mut consumer = store.consume("s", "g").await;
    assert_eq!(delivered(&mut consumer, 3).await, [(0, 0), (0, 1), (0, 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_take_turns() {
    let store = store().await;
    store.create("s", "g", &eager()).await;
    let mut first = store.consume("s", "g").await;
    let mut second = store.consume("s", "g").await;
    store.add("s", events(0..4)).await;
    let mut all = delivered(&mut first, 2).await;
    all.extend(delivered(&mut second, 2).await);
    all.sort_unstable();
    assert_eq!(all, [(0, 0), (1, 0), (2, 0), (3, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_stream_stays_with_one_consumer() {
    let store = store().await;
    let options = eager_to_all()
        .consumer_strategy_name(SystemConsumerStrategy::Pinned)
        .filter(SubscriptionFilter::on_stream_name().add_prefix("pin-"));
    store.create_to_all("g", &options).await;
    let mut first = store.consume_all("g").await;
    let mut second = store.consume_all("g").await;
    for number in 0..40 {
        store.add(&format!("pin-{}", number % 8), vec![event_of("Numbered", number)]).await;
    }
    let (mut by_first, mut by_second) = (Vec::new(), Vec::new());
    while by_first.len() + by_second.len() < 40 {
        let (event, seen, consumer) = soon(async {
            tokio::select! {
                event = first.next() => (event.unwrap(), &mut by_first, &mut first),
                event = second.next() => (event.unwrap(), &mut by_second, &mut second),
            }
        })
        .await;
        seen.push(event.get_original_stream_id().to_owned());
        consumer.ack(event).await.unwrap();
    }
    assert!(by_first.iter().all(|stream| !by_second.contains(stream)));
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_followed_and_answered_by_their_own_ids() {
    let store = store().await;
    store.add("s", events(7..8)).await;
    let link = EventData::binary("$>", "0@s".into()).id(id(100));
    let dangling = EventData::binary("$>", "9@s".into()).id(id(101));
    store.add("links", vec![link, dangling]).await;
    store.create("links", "g", &eager().resolve_link_tos(true)).await;
    let mut consumer = store.consume("links", "g").await;
    let (resolved, _) = next(&mut consumer).await;
    assert_eq!(number(resolved.event.as_ref().unwrap()), 7);
    assert_eq!(resolved.link.as_ref().unwrap().id, id(100));
    let (gone, _) = next(&mut consumer).await;
    assert!(gone.event.is_none());
    soon(consumer.ack_ids([id(100), id(101)])).await.unwrap();
    store.until("links", "g", |info| info.stats.total_in_flight_messages == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_on_everything_gets_what_its_filter_lets_through() {
    let store = store().await;
    store.add("order-1", events(0..2)).await;
    store.add("stock-1", events(10..12)).await;
    let by_prefix = SubscriptionFilter::on_stream_name().add_prefix("order-");
    store.create_to_all("prefix", &eager_to_all().filter(by_prefix)).await;
    let by_pattern = SubscriptionFilter::on_event_type().regex("^Oth");
    store.create_to_all("pattern", &eager_to_all().filter(by_pattern)).await;
    store.add("order-2", vec![event_of("Other", 2)]).await;
    let mut prefix = store.consume_all("prefix").await;
    assert_eq!(acknowledged(&mut prefix, 3).await, [0, 1, 2]);
    let mut pattern = store.consume_all("pattern").await;
    assert_eq!(acknowledged(&mut pattern, 1).await, [2]);
    store.add("order-3", events(3..4)).await;
    assert_eq!(acknowledged(&mut prefix, 1).await, [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_on_everything_does_not_see_its_own_streams() {
    let store = store().await;
    store.add("s", events(0..1)).await;
    let from_here = store.log().await.last().unwrap().position;
    let options = PersistentSubscriptionToAllOptions::default()
        .start_from(StreamPosition::Position(from_here))
        .checkpoint_lower_bound(1)
        .checkpoint_upper_bound(1);
    store.create_to_all("g", &options).await;
    let mut consumer = store.consume_all("g").await;
    let mut streams = Vec::new();
    store.add("s", events(1..4)).await;
    while streams.iter().filter(|stream| **stream == "s").count() < 4 {
        let (event, _) = next(&mut consumer).await;
        streams.push(event.get_original_stream_id().to_owned());
        if streams.len() == 2 {
            soon(consumer.nack(event, NakAction::Park, "")).await.unwrap();
        } else {
            soon(consumer.ack(event)).await.unwrap();
        }
    }
    // Both of them are written by now or soon.
    for kind in ["checkpoint", "parked"] {
        let own = format!("$persistentsubscription-$all::g-{kind}");
        let options = ReadStreamOptions::default();
        soon(async { while read(&store.client, &own, &options).await.is_err() {} }).await;
    }
    store.add("s", events(4..5)).await;
    let (event, _) = next(&mut consumer).await;
    streams.push(event.get_original_stream_id().to_owned());
    assert_eq!(streams.last().unwrap(), "s");
    assert!(!streams.iter().any(|stream| stream.contains("$persistentsubscription-$all::g")));
}
