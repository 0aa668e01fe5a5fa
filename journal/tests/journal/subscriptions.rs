//! Following what happens.

use std::time::Duration;

use eventstore::{AppendToStreamOptions, Client, EventData};
use futures::TryStreamExt;
use journal::{Delivery, ExpectedRevision, Filter, Journal, Position, Subscription};
use schemas::StreamName;
use tokio::time::timeout;

use crate::counter::{counted, large, stream};
use crate::must;
use crate::store::Store;

async fn append(journal: &Journal, stream: &StreamName, count: usize) -> Position {
    let last = journal.read_last(stream, 1).await.unwrap();
    let expected = ExpectedRevision::after(last.last().map(|event| event.revision));
    let events = (0..count).map(counted).collect();
    journal.append(stream, expected, events).await.unwrap().position
}

/// The positions of the next `count` events.
async fn events(subscription: &mut Subscription, count: usize) -> Vec<Position> {
    let mut positions = Vec::new();
    while positions.len() < count {
        if let Delivery::Event(event) = must(subscription.next()).await {
            positions.push(event.position);
        }
    }
    positions
}

async fn caught_up(subscription: &mut Subscription) {
    while must(subscription.next()).await != Delivery::CaughtUp {}
}

#[tokio::test]
async fn a_subscription_brings_what_was_there_and_then_what_happens() {
    let store = Store::start().await;
    let journal = store.journal();
    let first = append(&journal, &stream("a"), 1).await;

    let mut subscription = journal.subscribe(Filter::categories(&["counter"]), Position::START);

    assert_eq!(events(&mut subscription, 1).await, [first]);
    caught_up(&mut subscription).await;
    let second = append(&journal, &stream("b"), 1).await;
    assert_eq!(events(&mut subscription, 1).await, [second]);
}

#[tokio::test]
async fn a_subscription_begins_after_its_position() {
    let store = Store::start().await;
    let journal = store.journal();
    let first = append(&journal, &stream("a"), 1).await;
    let second = append(&journal, &stream("a"), 1).await;

    let mut subscription = journal.subscribe(Filter::categories(&["counter"]), first);

    assert_eq!(events(&mut subscription, 1).await, [second]);
}

#[tokio::test]
async fn only_the_categories_asked_for_are_delivered() {
    let store = Store::start().await;
    let journal = store.journal();
    // `counters-…` begins with the name of the category, but is another one.
    for (category, id) in [("counters", "a"), ("order", "a"), ("counter", "a"), ("stock", "a")] {
        append(&journal, &StreamName::new(category, id), 1).await;
    }

    let filter = Filter::categories(&["counter", "stock"]);
    let mut subscription = journal.subscribe(filter, Position::START);

    let mut seen = Vec::new();
    loop {
        match must(subscription.next()).await {
            Delivery::Event(event) => seen.push(event.stream.to_string()),
            Delivery::Checkpoint(_) => {}
            Delivery::CaughtUp => break,
        }
    }
    assert_eq!(seen, ["counter-a", "stock-a"]);
}

#[tokio::test]
async fn checkpoints_move_on_where_nothing_is_for_us() {
    let store = Store::start().await;
    let journal = store.journal();
    let mut subscription = journal.subscribe(Filter::categories(&["counter"]), Position::START);
    caught_up(&mut subscription).await;

    let other = append(&journal, &StreamName::new("order", "a"), 200).await;

    let halfway = Position { commit: other.commit / 2, prepare: other.prepare / 2 };
    let mut last = Position::START;
    // The newest may stay below the checkpoint interval; most of them may not.
    while last < halfway {
        let delivery = must(subscription.next()).await;
        let Delivery::Checkpoint(position) = delivery else { panic!("{delivery:?}") };
        assert!(position > last && position <= other);
        last = position;
    }
}

#[tokio::test]
async fn a_batch_takes_what_is_there_and_no_more_than_asked() {
    let store = Store::start().await;
    let journal = store.journal();
    append(&journal, &stream("a"), 50).await;
    let mut subscription = journal.subscribe(Filter::categories(&["counter"]), Position::START);

    let mut revisions = Vec::new();
    while revisions.len() < 50 {
        let batch = must(subscription.next_batch(20)).await;
        assert!(!batch.is_empty() && batch.len() <= 20);
        let events = batch.into_iter().filter_map(|delivery| match delivery {
            Delivery::Event(event) => Some(event.revision),
            Delivery::Checkpoint(_) | Delivery::CaughtUp => None,
        });
        revisions.extend(events);
    }
    assert_eq!(revisions, (0..50).collect::<Vec<_>>());
}

/// Longer than any test takes.
const LONG: Duration = Duration::from_mins(10);

#[tokio::test]
async fn who_has_a_long_way_to_go_gets_full_batches_until_there_is_nothing_more() {
    let store = Store::start().await;
    let journal = store.journal();
    append(&journal, &stream("a"), 50).await;
    let mut subscription = journal.subscribe(Filter::categories(&["counter"]), Position::START);

    assert_eq!(must(subscription.gather(30, LONG)).await.len(), 30);
    let rest = must(subscription.gather(30, LONG)).await;
    assert_eq!(rest.iter().filter_map(Delivery::position).count(), 20);
    assert_eq!(rest.last(), Some(&Delivery::CaughtUp));
}

#[tokio::test]
async fn what_was_gathered_when_waiting_is_given_up_comes_the_next_time() {
    let store = Store::start().await;
    let journal = store.journal();
    append(&journal, &stream("a"), 50).await;
    let mut subscription = journal.subscribe(Filter::categories(&["counter"]), Position::START);

    let waiting = async {
        loop {
            let gathering = subscription.gather(1_000, LONG);
            if let Ok(batch) = timeout(Duration::from_micros(100), gathering).await {
                break batch;
            }
        }
    };
    let batch = must(waiting).await;
    let revisions = batch.iter().filter_map(|delivery| match delivery {
        Delivery::Event(event) => Some(event.revision),
        Delivery::Checkpoint(_) | Delivery::CaughtUp => None,
    });
    assert_eq!(revisions.collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_receiver_that_stops_for_a_while_misses_nothing() {
    let store = Store::start().await;
    let journal = store.journal();
    let mut expected = ExpectedRevision::NoStream;
    // Far more bytes than may wait.
    for _ in 0..40 {
        let appended = journal.append(&stream("a"), expected, vec![large(700_000)]).await.unwrap();
        expected = ExpectedRevision::Exact(appended.revision);
    }
    let mut subscription = journal.subscribe(Filter::categories(&["counter"]), Position::START);
    let mut connected = subscription.connected();
    must(connected.wait_for(|connected| *connected)).await.unwrap();
    let last = append(&journal, &stream("b"), 1).await;

    assert_eq!(events(&mut subscription, 41).await.last(), Some(&last));
}

#[tokio::test]
async fn an_event_of_somebody_else_is_passed_and_counted() {
    let store = Store::start().await;
    let journal = store.journal();
    let address = format!("esdb://127.0.0.1:{}?tls=false", store.port());
    let foreigner = Client::new(address.parse().unwrap()).unwrap();
    let theirs = EventData::json("their-event", &"data").unwrap();
    let any = AppendToStreamOptions::default();
    let written = foreigner.append_to_stream("counter-x", &any, theirs).await.unwrap().position;
    let ours = append(&journal, &stream("a"), 1).await;

    let mut subscription = journal.subscribe(Filter::categories(&["counter"]), Position::START);

    let theirs = Position { commit: written.commit, prepare: written.prepare };
    assert_eq!(must(subscription.next()).await, Delivery::Checkpoint(theirs));
    assert_eq!(events(&mut subscription, 1).await, [ours]);
    assert_eq!(journal.skipped_events(), 1);
}

#[test]
#[should_panic(expected = "not a category")]
fn a_stream_name_is_no_category() {
    let _ = Filter::categories(&["counter-a"]);
}

#[tokio::test]
async fn readers_that_stop_hold_nobody_else_up() {
    let store = Store::start().await;
    let journal = store.journal();
    let mut expected = ExpectedRevision::NoStream;
    // For each reader more than may wait for it, here and on its way.
    for _ in 0..24 {
        let appended = journal.append(&stream("a"), expected, vec![large(700_000)]).await.unwrap();
        expected = ExpectedRevision::Exact(appended.revision);
    }
    let mut stopped = Vec::new();
    for _ in 0..6 {
        let filter = Filter::categories(&["counter"]);
        let subscription = journal.subscribe(filter, Position::START);
        must(subscription.connected().wait_for(|connected| *connected)).await.unwrap();
        let mut events = journal.read(&stream("a"), 0);
        must(events.try_next()).await.unwrap().unwrap();
        stopped.push((subscription, events));
    }

    let mut other = journal.subscribe(Filter::categories(&["order"]), Position::START);
    let order = append(&journal, &StreamName::new("order", "a"), 1).await;
    assert_eq!(events(&mut other, 1).await, [order]);

    // Nor have they missed anything.
    for (mut subscription, events) in stopped {
        let rest: Vec<_> = must(events.try_collect()).await.unwrap();
        assert_eq!(rest.len(), 23);
        let positions = self::events(&mut subscription, 24).await;
        assert_eq!(positions[1..], rest.iter().map(|event| event.position).collect::<Vec<_>>());
    }
}
