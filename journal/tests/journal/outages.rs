//! The store goes away and comes back.

use std::time::Duration;

use futures::TryStreamExt;
use journal::{Delivery, Error, ExpectedRevision, Filter, Journal, Position};

use crate::counter::{Counters, Event, context, count, counted, counters, open, stream};
use crate::store::Store;
use crate::{connect, must};

#[tokio::test]
async fn a_store_that_comes_up_late_is_waited_for() {
    let mut store = Store::reserve(|options| options);
    let journal = store.journal();
    let impatient = connect(store.address(), Duration::from_millis(100));
    let early = impatient.ready().await;
    assert!(matches!(early, Err(Error::Unavailable { in_doubt: false, .. })), "{early:?}");

    let event = vec![counted(1)];
    let (stream, none) = (stream("a"), ExpectedRevision::NoStream);
    let (appended, ()) =
        tokio::join!(must(journal.append(&stream, none, event)), store.start_again());

    assert_eq!(appended.unwrap().revision, 0);
    must(impatient.wait_ready(crate::PATIENCE)).await.unwrap();
}

#[tokio::test]
async fn a_subscription_may_begin_before_the_store_does() {
    let mut store = Store::reserve(|options| options);
    let journal = store.journal();
    let mut subscription = journal.subscribe(Filter::categories(&["counter"]), Position::START);
    assert!(!subscription.is_connected());

    store.start_again().await;
    let none = ExpectedRevision::NoStream;
    let appended = must(journal.append(&stream("a"), none, vec![counted(1)])).await.unwrap();

    loop {
        if let Delivery::Event(event) = must(subscription.next()).await {
            assert_eq!(event.position, appended.position);
            break;
        }
    }
    assert!(subscription.is_connected());
}

#[tokio::test]
async fn while_the_store_is_down_every_call_ends_at_its_deadline_and_says_so() {
    let mut store = Store::start().await;
    let deadline = Duration::from_millis(200);
    let journal = connect(store.address(), deadline);
    must(journal.wait_ready(crate::PATIENCE)).await.unwrap();
    store.stop().await;

    let (a, none) = (stream("a"), ExpectedRevision::NoStream);
    let errors = [
        must(journal.append(&a, none, vec![counted(1)])).await.unwrap_err(),
        must(journal.delete_stream(&a, 0)).await.unwrap_err(),
        must(journal.read(&a, 0).try_collect::<Vec<_>>()).await.unwrap_err(),
        must(journal.read_last(&a, 1)).await.unwrap_err(),
        must(journal.head()).await.unwrap_err(),
        must(journal.ready()).await.unwrap_err(),
    ];

    for error in errors {
        assert!(matches!(error, Error::Unavailable { .. }) && error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("--event-store"), "says what to look at: {error}");
    }
    store.start_again().await;
    must(journal.wait_ready(crate::PATIENCE)).await.unwrap();
}

/// Counts as many up as there are, each under its own command until it is in effect.
async fn count_all(counters: &Counters, tags: std::ops::Range<u32>) {
    for tag in tags {
        let context = context();
        loop {
            match counters.execute(&"a".to_owned(), count(tag), context.clone()).await {
                Ok(_) => break,
                Err(error) => assert!(
                    matches!(&error, journal::ExecuteError::Store(error) if error.is_transient()),
                    "{error:?}"
                ),
            }
        }
    }
}

async fn tags(journal: &Journal) -> Vec<String> {
    let events: Vec<_> = journal.read(&stream("a"), 1).try_collect().await.unwrap();
    let tag = |event: journal::Recorded| match event.decode().unwrap() {
        Event::Counted { tag } => tag,
        Event::Opened { .. } => panic!("opened twice"),
    };
    events.into_iter().map(tag).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_in_the_middle_lose_nothing_and_repeat_nothing() {
    const COMMANDS: u32 = 300;
    let mut store = Store::start().await;
    let journal = connect(store.address(), Duration::from_secs(2));
    let counters = counters(&journal);
    counters.execute(&"a".to_owned(), open(u64::MAX), context()).await.unwrap();
    let mut subscription = journal.subscribe(Filter::categories(&["counter"]), Position::START);

    let counting = tokio::spawn(async move { count_all(&counters, 0..COMMANDS).await });
    let mut delivered = Vec::new();
    while delivered.len() < COMMANDS as usize + 1 {
        if let Delivery::Event(event) = must(subscription.next()).await {
            delivered.push(event);
            if [50, 120, 200].contains(&delivered.len()) {
                store.stop().await;
                store.start_again().await;
            }
        }
    }
    must(counting).await.unwrap();

    let expected: Vec<_> = (0..COMMANDS).map(|tag| tag.to_string()).collect();
    assert_eq!(tags(&journal).await, expected);
    let revisions: Vec<_> = delivered.iter().map(|event| event.revision).collect();
    assert_eq!(revisions, (0..=u64::from(COMMANDS)).collect::<Vec<_>>());
    let all: Vec<_> = journal.read_all(Position::START).try_collect().await.unwrap();
    assert_eq!(all, delivered);
}

#[tokio::test]
async fn a_read_that_is_interrupted_goes_on_from_where_it_was() {
    let mut store = Store::start().await;
    let journal = store.journal();
    let (stream, mut expected) = (stream("a"), ExpectedRevision::NoStream);
    // Much more than fits into the buffers between here and there.
    for batch in 0..40 {
        let events = (0..5).map(|_| crate::counter::large(100_000)).collect();
        let appended = journal.append(&stream, expected, events).await.unwrap();
        assert_eq!(appended.revision, batch * 5 + 4);
        expected = ExpectedRevision::Exact(appended.revision);
    }

    let mut revisions = Vec::new();
    let mut events = journal.read(&stream, 0);
    while let Some(event) = must(events.try_next()).await.unwrap() {
        revisions.push(event.revision);
        if event.revision == 20 {
            store.stop().await;
            store.start_again().await;
        }
    }

    assert_eq!(revisions, (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_cluster_is_found_through_gossip() {
    let store = Store::start().await;
    let address = format!("esdb+discover://127.0.0.1:{}?tls=false", store.port());
    let journal = connect(address.parse().unwrap(), crate::PATIENCE);
    let none = ExpectedRevision::NoStream;
    must(journal.append(&stream("a"), none, vec![counted(1)])).await.unwrap();
}

#[tokio::test]
async fn when_one_node_is_gone_another_is_used() {
    let (mut one, mut other) = (Store::start().await, Store::start().await);
    let address = format!("esdb://127.0.0.1:{},127.0.0.1:{}?tls=false", one.port(), other.port());
    let journal = connect(address.parse().unwrap(), crate::PATIENCE);
    must(journal.ready()).await.unwrap();

    // Whichever it was: both have been gone in turn.
    one.stop().await;
    must(journal.ready()).await.unwrap();
    one.start_again().await;
    other.stop().await;
    must(journal.ready()).await.unwrap();
}
