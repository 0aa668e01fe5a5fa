//! Appends over a call that stays open for many of them.

use std::time::Duration;

use futures::future::join_all;
use journal::{Error, ExpectedRevision};

use crate::counter::{counted, large, stream};
use crate::scripted::{Call, Reply, Scripted, message};
use crate::store::Store;
use crate::{PATIENCE, connect, must};

fn writes(call: &Call) -> bool {
    call.method.ends_with("Append")
}

/// Carries out every append that has a call of its own, and refuses every batch.
fn one_by_one(call: &Call) -> Reply {
    const INVALID_ARGUMENT: u8 = 3;
    if call.method.ends_with("/Append") {
        Reply::Messages(vec![message::appended(9)], 0)
    } else {
        Reply::Messages(vec![], INVALID_ARGUMENT)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_is_refused_disturbs_no_other() {
    const APPENDS: usize = 300;
    let store = Store::start().await;
    let journal = store.journal();
    let is_refused = |number: usize| number % 10 == 3;

    let appended = join_all((0..APPENDS).map(async |number| {
        let expected = ExpectedRevision::after(is_refused(number).then_some(5));
        let events = vec![counted(number), counted("again")];
        journal.append(&stream(&number.to_string()), expected, events).await
    }));

    for (number, appended) in must(appended).await.into_iter().enumerate() {
        let stream = stream(&number.to_string());
        let written = journal.read_last(&stream, 10).await.unwrap();
        if is_refused(number) {
            let expected = ExpectedRevision::Exact(5);
            assert_eq!(appended, Err(Error::Conflict { stream, expected, actual: None }));
            assert!(written.is_empty());
        } else {
            let appended = appended.unwrap();
            assert_eq!((appended.revision, written.len()), (1, 2));
            assert_eq!(appended.position, written[1].position);
        }
    }
}

#[tokio::test]
async fn an_append_that_the_open_call_does_not_answer_is_made_by_a_call_of_its_own() {
    let mut server = Scripted::serve_with_batches(writes, one_by_one).await;
    let journal = connect(server.address(), Duration::from_secs(2));
    let none = ExpectedRevision::NoStream;

    let appended = must(journal.append(&stream("a"), none, vec![counted(1)])).await;
    assert_eq!(appended.unwrap().revision, 0);

    // The call that did not answer is over for the store as well.
    let calls = must(server.calls(2)).await;
    let given_up = calls.iter().find(|call| call.method.ends_with("/BatchAppend")).unwrap();
    assert!(given_up.body_contains(b"counter-a") && given_up.body_contains(b"farewell"));
}

#[tokio::test]
async fn an_append_of_large_events_is_not_in_the_way_of_others() {
    let server = Scripted::serve_with_batches(writes, one_by_one).await;
    let journal = connect(server.address(), PATIENCE);
    let none = ExpectedRevision::NoStream;

    let appended = must(journal.append(&stream("a"), none, vec![large(100_000)])).await;

    assert_eq!(appended.unwrap().revision, 0);
    assert_eq!(server.calls_so_far(), 1, "a call of its own, which waited for no other");
}
