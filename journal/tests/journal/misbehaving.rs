//! Servers that freeze, hang up, answer nonsense or end what must not end.

use std::time::Duration;

use journal::{
    Appended, Delivery, Error, ExecuteError, ExpectedRevision, Filter, Journal, Position, Proposed,
};
use tokio::net::TcpListener;

use crate::counter::{context, counted, counters, open, stream};
use crate::scripted::{Call, Reply, Scripted, message};
use crate::{PATIENCE, connect, must};

fn is_subscription(call: &Call) -> bool {
    call.body_contains(b"counter-")
}

async fn append(journal: &Journal, event: Proposed) -> Result<Appended, Error> {
    journal.append(&stream("a"), ExpectedRevision::NoStream, vec![event]).await
}

fn is_append(call: &Call) -> bool {
    call.method.ends_with("/Append")
}

#[tokio::test]
async fn a_frozen_server_costs_no_more_than_the_deadline() {
    // The system accepts connections to it, but nobody ever answers.
    let frozen = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = frozen.local_addr().unwrap();
    // Nor does the client ever give up by itself.
    let address = format!("esdb://{address}?tls=false&gossipTimeout=3600000").parse().unwrap();
    let deadline = Duration::from_millis(300);
    let journal = connect(address, deadline);

    let appended = must(append(&journal, counted(1))).await;
    let error = appended.unwrap_err();

    let Error::Unavailable { waited, in_doubt, .. } = &error else { panic!("{error:?}") };
    assert!(*waited >= deadline && !in_doubt, "{error:?}");
    let executing = counters(&journal);
    let executed = must(executing.execute(&"a".to_owned(), open(1), context())).await;
    assert!(matches!(executed, Err(ExecuteError::Store(Error::Unavailable { .. }))));
}

#[tokio::test]
async fn a_call_that_freezes_on_a_working_connection_is_bounded_as_well() {
    let server = Scripted::serve(is_append, |_| Reply::Open(vec![])).await;
    let journal = connect(server.address(), Duration::from_secs(3));
    must(journal.wait_ready(PATIENCE)).await.unwrap();

    let appended = must(append(&journal, counted(1))).await;
    let error = appended.unwrap_err();

    assert!(matches!(error, Error::Unavailable { in_doubt: true, .. }), "{error:?}");
    assert_eq!(server.calls_so_far(), 2, "asked again once, within the deadline");
}

#[tokio::test]
async fn an_append_whose_answer_gets_lost_is_repeated_with_the_same_ids() {
    let mut server = Scripted::serve(is_append, |call| match call.number {
        0 => Reply::HangUp,
        _ => Reply::Messages(vec![message::appended(9)], 0),
    })
    .await;
    let journal = connect(server.address(), PATIENCE);

    let event = counted(1);
    let appended = must(append(&journal, event)).await;
    let appended = appended.unwrap();

    assert_eq!((appended.revision, appended.position), (0, Position { commit: 9, prepare: 9 }));
    let calls = server.calls(2).await;
    assert_eq!((calls.len(), &calls[0].body), (2, &calls[1].body));
}

#[tokio::test]
async fn a_delete_whose_answer_gets_lost_is_repeated() {
    let mut server = Scripted::serve(
        |call| call.method.ends_with("/Delete"),
        |call| match call.number {
            0 => Reply::HangUp,
            _ => Reply::Messages(vec![vec![]], 0),
        },
    )
    .await;
    let journal = connect(server.address(), PATIENCE);

    must(journal.delete_stream(&stream("a"), 0)).await.unwrap();

    let calls = server.calls(2).await;
    assert_eq!((calls.len(), &calls[0].body), (2, &calls[1].body));
}

#[tokio::test]
async fn a_server_that_keeps_failing_is_not_asked_for_ever() {
    const INTERNAL: u8 = 13;
    let server = Scripted::serve(is_append, |_| Reply::Messages(vec![], INTERNAL)).await;
    let journal = connect(server.address(), PATIENCE);

    let appended = must(append(&journal, counted(1))).await;

    assert!(matches!(appended, Err(Error::Unavailable { in_doubt: true, .. })));
    assert_eq!(server.calls_so_far(), 4);
    assert_eq!(server.connections(), 1, "the client works, so it stays");
}

#[tokio::test]
async fn an_answer_that_makes_the_client_panic_is_only_an_error() {
    // A message without content: the client unwraps it.
    let server = Scripted::serve(is_append, |_| Reply::Messages(vec![vec![]], 0)).await;
    let journal = connect(server.address(), PATIENCE);

    let appended = must(append(&journal, counted(1))).await;

    assert!(matches!(appended, Err(Error::Unavailable { .. })));
    must(journal.ready()).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_has_always_moved_on_is_given_up_in_the_end() {
    let conflict = |_: &Call| Reply::Messages(vec![message::conflict()], 0);
    let server = Scripted::serve(is_append, conflict).await;
    let counters = counters(&connect(server.address(), PATIENCE));

    let executed = must(counters.execute(&"a".to_owned(), open(1), context())).await;

    assert_eq!(executed.unwrap_err(), ExecuteError::Contended);
    assert_eq!((server.calls_so_far(), counters.stats().conflicts), (9, 9));
}

#[tokio::test]
async fn a_denied_call_is_not_repeated() {
    const PERMISSION_DENIED: u8 = 7;
    let server = Scripted::serve(is_append, |_| Reply::Messages(vec![], PERMISSION_DENIED)).await;
    let journal = connect(server.address(), PATIENCE);

    let appended = must(append(&journal, counted(1))).await;

    assert!(matches!(appended, Err(Error::AccessDenied { .. })));
    assert_eq!(server.calls_so_far(), 1);
}

/// On two threads, so that a lost one fails this test instead of stopping it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_is_ended_in_good_order_goes_on_from_where_it_was() {
    let mut server = Scripted::serve(is_subscription, |call| match call.number {
        0 => Reply::Messages(vec![message::confirmation(), message::checkpoint(42)], 0),
        1..3 => Reply::Messages(vec![message::confirmation()], 0),
        // The one we know already, and the next.
        _ => Reply::Open(vec![
            message::confirmation(),
            message::checkpoint(42),
            message::checkpoint(43),
        ]),
    })
    .await;
    let journal = connect(server.address(), PATIENCE);

    let filter = Filter::categories(&["counter"]);
    let mut subscription = journal.subscribe(filter, Position { commit: 7, prepare: 7 });

    let at = |place| Delivery::Checkpoint(Position { commit: place, prepare: place });
    assert_eq!(must(subscription.next()).await, at(42));
    assert_eq!(must(subscription.next()).await, at(43));
    let calls = must(server.calls(4)).await;
    assert!(calls[0].body_contains(&message::position(7)));
    for call in &calls[1..] {
        assert!(call.body_contains(&message::position(42)), "{call:?}");
    }
    assert!(subscription.is_connected());
}

#[tokio::test]
async fn a_subscription_survives_hanging_up_failing_and_freezing() {
    const UNAVAILABLE: u8 = 14;
    let mut server = Scripted::serve(is_subscription, |call| match call.number {
        0 => Reply::HangUp,
        1 => Reply::Messages(vec![], UNAVAILABLE),
        2 => Reply::Open(vec![]),
        3 => Reply::Messages(vec![message::confirmation(), vec![]], UNAVAILABLE),
        _ => Reply::Open(vec![message::confirmation(), message::checkpoint(5)]),
    })
    .await;
    let journal = connect(server.address(), Duration::from_millis(500));

    let mut subscription = journal.subscribe(Filter::categories(&["counter"]), Position::START);

    let Delivery::Checkpoint(position) = must(subscription.next()).await else { panic!() };
    assert_eq!(position, Position { commit: 5, prepare: 5 });
    assert!(must(server.calls(5)).await.len() >= 5);
}

#[tokio::test]
async fn dropping_a_subscription_ends_it() {
    let mut server =
        Scripted::serve(is_subscription, |_| Reply::Messages(vec![message::confirmation()], 0))
            .await;
    let journal = connect(server.address(), PATIENCE);
    let subscription = journal.subscribe(Filter::categories(&["counter"]), Position::START);
    must(server.calls(2)).await;
    let connected = subscription.connected();

    drop(subscription);

    let mut connected = connected;
    must(async { while connected.changed().await.is_ok() {} }).await;
}
