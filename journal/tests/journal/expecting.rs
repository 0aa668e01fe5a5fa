//! Commands that are meant for one revision of their stream.

use journal::{ExecuteAtError, ExecuteError, Executed};

use crate::counter::{Command, Counter, Counters, Rejection};
use crate::counter::{context, count, counters, open};
use crate::must;
use crate::store::Store;

type Answer = Result<Executed<Counter>, ExecuteAtError<Rejection>>;

async fn execute(counters: &Counters, command: Command, expected: Option<u64>) -> Answer {
    must(counters.execute_at(&"a".to_owned(), command, context(), expected)).await
}

/// Where the stream was, according to an answer that says that it has moved.
fn moved(answer: &Answer) -> Option<u64> {
    let Err(ExecuteAtError::Moved { actual, .. }) = answer else { panic!("{answer:?}") };
    *actual
}

fn rejection(answer: Answer) -> Rejection {
    let Err(ExecuteAtError::Failed(ExecuteError::Rejected(rejection))) = answer else {
        panic!("{answer:?}")
    };
    rejection
}

#[tokio::test]
async fn a_command_is_carried_out_only_where_it_was_meant_for() {
    let store = Store::start().await;
    let counters = counters(&store.journal());
    execute(&counters, open(9), None).await.unwrap();
    execute(&counters, count("x"), Some(0)).await.unwrap();

    assert_eq!(moved(&execute(&counters, count("y"), Some(0)).await), Some(1));
    assert_eq!(moved(&execute(&counters, count("y"), Some(7)).await), Some(1));
    let counted = execute(&counters, count("y"), Some(1)).await.unwrap();

    assert_eq!(counted.state.tags, ["x", "y"]);
}

#[tokio::test]
async fn what_others_have_written_counts_even_if_it_is_not_known_yet() {
    let store = Store::start().await;
    let journal = store.journal();
    let (one, other) = (counters(&journal), counters(&journal));
    execute(&one, open(9), None).await.unwrap();
    execute(&other, count("x"), None).await.unwrap();

    // `one` still believes in revision 0.
    assert_eq!(moved(&execute(&one, count("y"), Some(0)).await), Some(1));
    execute(&other, count("z"), None).await.unwrap();
    assert_eq!(execute(&one, count("y"), Some(2)).await.unwrap().revision, 3);
}

#[tokio::test]
async fn a_repeated_command_is_in_effect_wherever_the_stream_is_by_then() {
    let store = Store::start().await;
    let counters = counters(&store.journal());
    execute(&counters, open(9), None).await.unwrap();
    execute(&counters, count("x"), Some(0)).await.unwrap();
    execute(&counters, count("y"), None).await.unwrap();

    let again = execute(&counters, count("x"), Some(0)).await.unwrap();

    assert!(again.replayed);
    assert_eq!(again.revision, 2);
}

#[tokio::test]
async fn commands_of_one_batch_see_those_before_them() {
    let store = Store::start().await;
    let counters = counters(&store.journal());
    execute(&counters, open(9), None).await.unwrap();
    let before = counters.stats();

    // On one thread all of these wait before the first is decided.
    let (x, y, again, z, last) = tokio::join!(
        execute(&counters, count("x"), Some(0)),
        execute(&counters, count("y"), Some(0)),
        execute(&counters, count("x"), Some(0)),
        execute(&counters, count("z"), Some(1)),
        execute(&counters, count("last"), None),
    );

    assert!(!x.unwrap().replayed);
    assert_eq!(moved(&y), Some(1));
    assert!(again.unwrap().replayed);
    assert_eq!(z.unwrap().state.tags, ["x", "z", "last"]);
    assert!(!last.unwrap().replayed);
    assert_eq!(counters.stats().appends - before.appends, 1);
}

#[tokio::test]
async fn having_moved_goes_before_what_is_forbidden_there() {
    let store = Store::start().await;
    let counters = counters(&store.journal());
    execute(&counters, open(1), None).await.unwrap();
    execute(&counters, count("x"), None).await.unwrap();

    assert_eq!(moved(&execute(&counters, count("y"), Some(0)).await), Some(1));
    assert_eq!(rejection(execute(&counters, count("y"), Some(1)).await), Rejection::Full(1));
}

#[tokio::test]
async fn in_a_stream_without_events_nothing_has_moved() {
    let store = Store::start().await;
    let counters = counters(&store.journal());

    let refused = execute(&counters, count("x"), Some(3)).await;
    assert_eq!(rejection(refused), Rejection::NotOpen);
    // But what would open it was not meant to.
    assert_eq!(moved(&execute(&counters, open(1), Some(0)).await), None);
    execute(&counters, open(1), None).await.unwrap();
}
