//! Reading the whole log at once.

use std::time::Duration;

use eventstore::{AppendToStreamOptions, Client, EventData};
use futures::TryStreamExt;
use journal::{Batch, Error, ExpectedRevision, Filter, Journal, Position, Raw, Scan};
use schemas::StreamName;

use crate::counter::{counted, large, stream};
use crate::scripted::{Call, Reply, Scripted, message};
use crate::store::Store;
use crate::{PATIENCE, connect, must};

fn counters() -> Filter {
    Filter::categories(&["counter"])
}

async fn append(journal: &Journal, stream: &StreamName, count: usize) -> Position {
    let last = journal.read_last(stream, 1).await.unwrap();
    let expected = ExpectedRevision::after(last.last().map(|event| event.revision));
    let events = (0..count).map(counted).collect();
    journal.append(stream, expected, events).await.unwrap().position
}

/// Event by event what a scan is expected to bring: where, and which.
fn places(events: &[Raw]) -> Vec<(Position, String, u64)> {
    let place = |event: &Raw| (event.position, event.stream.to_string(), event.revision);
    events.iter().map(place).collect()
}

/// What `read_all` has of the counters after `after`.
async fn expected(journal: &Journal, after: Position) -> Vec<(Position, String, u64)> {
    let events: Vec<_> = journal.read_all(after).try_collect().await.unwrap();
    let ours = events.into_iter().filter(|event| event.stream.category() == "counter");
    ours.map(|event| (event.position, event.stream.to_string(), event.revision)).collect()
}

async fn batch(scan: &mut Scan) -> Batch {
    must(scan.next()).await.unwrap().expect("the end of the log comes later")
}

/// All that is left.
async fn rest(scan: &mut Scan) -> Vec<Raw> {
    let mut events = vec![];
    while let Some(batch) = must(scan.next()).await.unwrap() {
        assert_eq!(batch.position, scan.position());
        events.extend(batch.events);
    }
    events
}

#[tokio::test]
async fn a_scan_brings_every_event_of_its_categories_once_and_in_order() {
    let store = Store::start().await;
    let journal = store.journal();
    let mut last = Position::START;
    for round in 0..30 {
        append(&journal, &stream(&format!("{}", round % 7)), 150).await;
        // `counters-…` begins with the name of the category, but is another one.
        last = append(&journal, &StreamName::new("counters", "a"), 50).await;
    }

    let mut scan = journal.scan(counters(), Position::START);
    let events = rest(&mut scan).await;

    assert_eq!(places(&events), expected(&journal, Position::START).await);
    assert_eq!(events.len(), 30 * 150);
    assert_eq!(scan.position(), last, "others have been looked at as well");
    assert_eq!(must(scan.next()).await, Ok(None), "the end stays the end");
}

#[tokio::test]
async fn what_is_scanned_is_what_is_read() {
    let store = Store::start().await;
    let journal = store.journal();
    append(&journal, &stream("a"), 3).await;

    let events = rest(&mut journal.scan(counters(), Position::START)).await;

    let read: Vec<_> = journal.read_all(Position::START).try_collect().await.unwrap();
    let understood: Vec<_> = events.iter().map(|event| event.clone().recorded().unwrap()).collect();
    assert_eq!(understood, read);
    assert_eq!(journal.recorded(events[2].clone()).as_ref(), Some(&read[2]));
}

#[tokio::test]
async fn a_scan_begins_after_its_position() {
    let store = Store::start().await;
    let journal = store.journal();
    let first = append(&journal, &stream("a"), 2).await;
    let second = append(&journal, &stream("b"), 1).await;

    let events = rest(&mut journal.scan(counters(), first)).await;
    assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), [second]);

    let mut scan = journal.scan(counters(), second);
    assert_eq!(must(scan.next()).await, Ok(None));
    assert_eq!(scan.position(), second);
}

#[tokio::test]
async fn a_scan_of_an_empty_log_is_over_at_once() {
    let store = Store::start().await;
    let mut scan = store.journal().scan(counters(), Position::START);

    assert_eq!(must(scan.next()).await, Ok(None));
    assert_eq!(scan.position(), Position::START);
}

#[tokio::test]
async fn batches_move_on_where_nothing_is_for_us() {
    let store = Store::start().await;
    let journal = store.journal();
    let other = append(&journal, &StreamName::new("order", "a"), 3000).await;
    let mut scan = journal.scan(counters(), Position::START);

    let mut examined = 0;
    while let Some(batch) = must(scan.next()).await.unwrap() {
        assert!(batch.events.is_empty() && batch.examined > 0);
        examined += batch.examined;
    }

    assert_eq!((examined, scan.position()), (3000, other));
}

#[tokio::test]
async fn a_scan_goes_on_where_it_was_when_the_store_has_been_away() {
    let mut store = Store::start().await;
    let journal = store.journal();
    for _ in 0..32 {
        let none = ExpectedRevision::NoStream;
        let events = (0..4).map(|_| large(200_000)).collect();
        journal.append(&stream(&ids()), none, events).await.unwrap();
    }
    let expected = expected(&journal, Position::START).await;
    let mut scan = journal.scan(counters(), Position::START);
    let mut events = vec![];

    // More than may wait is left each time, so the rest can only come from a store that is there.
    for _ in 0..2 {
        events.extend(batch(&mut scan).await.events);
        store.stop().await;
        store.start_again().await;
    }
    events.extend(rest(&mut scan).await);

    assert_eq!(places(&events), expected);
}

fn ids() -> String {
    journal::ids::new_id().to_string()
}

#[tokio::test]
async fn while_the_store_is_away_a_scan_says_so_and_can_be_asked_again() {
    let mut store = Store::start().await;
    append(&store.journal(), &stream("a"), 2000).await;
    let journal = connect(store.address(), Duration::from_millis(300));
    must(journal.wait_ready(PATIENCE)).await.unwrap();
    let all = expected(&store.journal(), Position::START).await;
    store.stop().await;

    let mut scan = journal.scan(counters(), Position::START);
    for _ in 0..2 {
        let error = must(scan.next()).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { in_doubt: false, .. }), "{error:?}");
    }
    store.start_again().await;

    let mut events = vec![];
    loop {
        match must(scan.next()).await {
            Ok(Some(batch)) => events.extend(batch.events),
            Ok(None) => break,
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
    }
    assert_eq!(places(&events), all);
}

#[tokio::test]
async fn an_event_of_somebody_else_is_scanned_but_not_understood() {
    let store = Store::start().await;
    let journal = store.journal();
    let address = format!("esdb://127.0.0.1:{}?tls=false", store.port());
    let foreigner = Client::new(address.parse().unwrap()).unwrap();
    let theirs = EventData::json("their-event", &"data").unwrap();
    let any = AppendToStreamOptions::default();
    foreigner.append_to_stream("counter-x", &any, theirs).await.unwrap();
    append(&journal, &stream("a"), 1).await;

    let events = rest(&mut journal.scan(counters(), Position::START)).await;

    let [theirs, ours] = <[_; 2]>::try_from(events).unwrap();
    let error = theirs.clone().recorded().unwrap_err();
    assert!(
        matches!(&error, Error::Foreign { stream, revision: 0, .. } if stream == "counter-x"),
        "{error:?}"
    );
    assert!(ours.recorded().is_ok());
    assert_eq!(journal.skipped_events(), 0, "nobody has left it out yet");
    assert_eq!(journal.recorded(theirs), None);
    assert_eq!(journal.skipped_events(), 1);
}

#[tokio::test]
async fn a_scan_that_nobody_takes_from_does_not_read_the_whole_log_into_memory() {
    const LIMIT: usize = 16 << 20;
    let store = Store::start().await;
    let journal = store.journal();
    for _ in 0..36 {
        let none = ExpectedRevision::NoStream;
        journal.append(&stream(&ids()), none, vec![large(700_000)]).await.unwrap();
    }
    let expected = expected(&journal, Position::START).await;
    let mut scan = journal.scan(counters(), Position::START);
    let mut events = batch(&mut scan).await.events;

    let nearly_full = async {
        while scan.waiting_bytes() < LIMIT - (2 << 20) {
            journal.head().await.unwrap();
        }
    };
    must(nearly_full).await;
    // Others are not held up by what is not taken; and it does not grow meanwhile.
    for _ in 0..200 {
        journal.head().await.unwrap();
        assert!(scan.waiting_bytes() <= LIMIT);
    }

    events.extend(rest(&mut scan).await);
    assert_eq!(places(&events), expected);
}

#[tokio::test]
async fn a_read_that_ends_early_is_not_the_end_of_the_log() {
    let at = message::event;
    let is_read = |call: &Call| call.method.ends_with("/Read");
    let is_scan = |call: &Call| call.body_contains(&message::NO_LIMIT);
    let mut server = Scripted::serve(is_read, move |call| {
        let events = match call {
            // Its last event is number seven.
            other if !is_scan(other) => vec![at(7)],
            // Reads begin at the event that the last one ended with.
            scan if scan.body_contains(&message::position(5)) => vec![at(5), at(6)],
            scan if scan.body_contains(&message::position(6)) => vec![at(6), at(7)],
            _ => vec![at(5)],
        };
        Reply::Messages(events, 0)
    })
    .await;
    let journal = connect(server.address(), PATIENCE);

    let events = rest(&mut journal.scan(counters(), Position::START)).await;

    let revisions: Vec<_> = events.iter().map(|event| event.revision).collect();
    assert_eq!(revisions, [5, 6, 7]);
    let calls = must(server.calls(3)).await;
    assert_eq!(calls.iter().filter(|call| is_scan(call)).count(), 3, "{calls:?}");
}

/// Which read of the log the first of a scan is: after connecting and asking whether the store is
/// ready, and after connecting for scans and asking where the log ends.
const FIRST_SCAN: usize = 4;

#[tokio::test]
async fn a_read_that_finds_nothing_is_not_the_end_of_the_log_either() {
    let is_read = |call: &Call| call.method.ends_with("/Read");
    let is_scan = |call: &Call| call.body_contains(&message::NO_LIMIT);
    let mut server = Scripted::serve(is_read, move |call| {
        let empty = is_scan(call) && call.number <= FIRST_SCAN;
        Reply::Messages(if empty { vec![] } else { vec![message::event(7)] }, 0)
    })
    .await;
    let journal = connect(server.address(), PATIENCE);
    must(journal.wait_ready(PATIENCE)).await.unwrap();

    let events = rest(&mut journal.scan(counters(), Position::START)).await;

    assert_eq!(events.len(), 1);
    assert!(is_scan(&server.calls(FIRST_SCAN + 1).await[FIRST_SCAN]));
}

#[tokio::test]
async fn a_last_event_that_is_gone_meanwhile_is_not_waited_for() {
    let is_read = |call: &Call| call.method.ends_with("/Read");
    let is_scan = |call: &Call| call.body_contains(&message::NO_LIMIT);
    let mut server = Scripted::serve(is_read, move |call| {
        let last = if call.number < FIRST_SCAN { 7 } else { 5 };
        Reply::Messages(vec![message::event(if is_scan(call) { 5 } else { last })], 0)
    })
    .await;
    let journal = connect(server.address(), PATIENCE);
    must(journal.wait_ready(PATIENCE)).await.unwrap();

    let events = rest(&mut journal.scan(counters(), Position::START)).await;

    assert_eq!(events.len(), 1);
    assert!(is_scan(&server.calls(FIRST_SCAN + 1).await[FIRST_SCAN]));
}

#[tokio::test]
async fn a_store_whose_last_event_cannot_be_read_is_told_of() {
    let is_read = |call: &Call| call.method.ends_with("/Read");
    let is_scan = |call: &Call| call.body_contains(&message::NO_LIMIT);
    let server = Scripted::serve(is_read, move |call| {
        Reply::Messages(vec![message::event(if is_scan(call) { 5 } else { 7 })], 0)
    })
    .await;
    let journal = connect(server.address(), PATIENCE);
    let mut scan = journal.scan(counters(), Position::START);

    assert_eq!(batch(&mut scan).await.events.len(), 1);
    let error = must(scan.next()).await.unwrap_err();

    assert!(matches!(&error, Error::Refused { reason } if reason.contains("7/7")), "{error:?}");
}
