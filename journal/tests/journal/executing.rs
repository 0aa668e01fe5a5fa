//! The write path.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use futures::TryStreamExt;
use futures::future::join_all;
use journal::{Context, Error, ExecuteError, Executed, ExpectedRevision, Journal, ManualClock};
use journal::{Options, Position, Repository, ids};

use crate::counter::{Command, Counter, Counters, Event, Refused, Rejection};
use crate::counter::{context, count, counted, counters, open, proposed, stream};
use crate::must;
use crate::store::Store;

async fn execute(
    counters: &Counters,
    id: &str,
    command: Command,
) -> Result<Executed<Counter>, Refused> {
    must(counters.execute(&id.to_owned(), command, context())).await
}

/// How many events there are in the stream.
async fn length(journal: &Journal, id: &str) -> u64 {
    journal.read(&stream(id), 0).try_collect::<Vec<_>>().await.unwrap().len() as u64
}

fn rejection(answer: Result<Executed<Counter>, Refused>) -> Rejection {
    let Err(ExecuteError::Rejected(rejection)) = answer else { panic!("{answer:?}") };
    rejection
}

#[tokio::test]
async fn a_command_is_answered_with_what_it_led_to_and_where() {
    let store = Store::start().await;
    let journal = store.journal();
    let counters = counters(&journal);

    let opened = execute(&counters, "a", open(3)).await.unwrap();
    let counted = execute(&counters, "a", count("x")).await.unwrap();

    assert_eq!(opened.events, [Event::Opened { limit: 3 }]);
    assert_eq!((opened.revision, opened.replayed), (0, false));
    assert_eq!(counted.events, [Event::Counted { tag: "x".to_owned() }]);
    assert_eq!((counted.revision, counted.state.count), (1, 1));
    assert!(Position::START < opened.position && opened.position < counted.position);
    assert_eq!(journal.head().await, Ok(counted.position));
}

#[tokio::test]
async fn events_say_who_why_and_because_of_what() {
    let store = Store::start().await;
    let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH + TimeDelta::days(1)));
    let journal = Journal::connect(Options::new(store.address()), clock).unwrap();
    let context = Context {
        command_id: ids::new_id(),
        correlation_id: ids::new_id(),
        causation_id: ids::new_id(),
        actor: "user:ada".to_owned(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    };

    let executing = counters(&journal);
    must(executing.execute(&"a".to_owned(), open(1), context.clone())).await.unwrap();

    let event = &journal.read_last(&stream("a"), 1).await.unwrap()[0];
    let metadata = &event.metadata;
    assert_eq!(metadata.command_id, context.command_id);
    assert_eq!(metadata.correlation_id, context.correlation_id);
    assert_eq!(metadata.causation_id, context.causation_id);
    assert_eq!(metadata.actor, context.actor);
    assert_eq!(metadata.traceparent, context.traceparent);
    assert_eq!((metadata.schema_version, metadata.recorded_at.timestamp()), (1, 86_400));
}

#[tokio::test]
async fn a_repeated_command_writes_nothing_and_is_answered_all_the_same() {
    let store = Store::start().await;
    let journal = store.journal();
    let (counters, other) = (counters(&journal), counters(&journal));
    execute(&counters, "a", open(3)).await.unwrap();
    let first = execute(&counters, "a", count("x")).await.unwrap();

    // By the one that knows the stream, and by one that has never seen it.
    for counters in [&counters, &other] {
        let again = execute(counters, "a", count("x")).await.unwrap();
        assert!(again.replayed && again.events.is_empty());
        assert_eq!((again.revision, again.position), (first.revision, first.position));
        let opened = execute(counters, "a", open(3)).await.unwrap();
        assert!(opened.replayed && opened.state.count == 1);
    }
    assert_eq!(length(&journal, "a").await, 2);
}

/// A stream that has moved on since it was opened is not what it was then, even if the opening is
/// repeated to the letter by somebody who has never seen the stream.
#[tokio::test]
async fn a_repeated_opening_is_answered_with_the_stream_as_it_is_now() {
    let store = Store::start().await;
    let journal = store.journal();
    let (context, id) = (context(), "a".to_owned());
    let first = counters(&journal);
    must(first.execute(&id, open(3), context.clone())).await.unwrap();
    let last = execute(&first, "a", count("x")).await.unwrap();

    let again = must(counters(&journal).execute(&id, open(3), context)).await.unwrap();

    assert!(again.replayed && again.events.is_empty());
    assert_eq!((again.revision, again.position), (last.revision, last.position));
    assert_eq!(again.state.count, 1);
    assert_eq!(length(&journal, "a").await, 2);
}

#[tokio::test]
async fn opening_twice_with_something_else_is_rejected_even_under_the_same_command_id() {
    let store = Store::start().await;
    let journal = store.journal();
    let (context, id) = (context(), "a".to_owned());
    // Two processes, so that the second one tries to open without reading first.
    must(counters(&journal).execute(&id, open(3), context.clone())).await.unwrap();

    let changed = must(counters(&journal).execute(&id, open(4), context)).await;

    assert_eq!(rejection(changed), Rejection::OtherLimit(3));
    assert_eq!(length(&journal, "a").await, 1);
}

#[tokio::test]
async fn a_command_that_opens_its_stream_costs_one_append_and_no_read() {
    let store = Store::start().await;
    let counters = counters(&store.journal());

    execute(&counters, "a", open(3)).await.unwrap();
    execute(&counters, "a", count("x")).await.unwrap();

    let stats = counters.stats();
    assert_eq!((stats.commands, stats.appends, stats.reads, stats.conflicts), (2, 2, 0, 0));
}

#[tokio::test]
async fn a_rejection_rests_on_the_stream_as_it_is_not_as_it_was() {
    let store = Store::start().await;
    let journal = store.journal();
    let (one, other) = (counters(&journal), counters(&journal));
    assert_eq!(rejection(execute(&one, "a", count("x")).await), Rejection::NotOpen);

    execute(&other, "a", open(1)).await.unwrap();

    // `one` knows an empty stream, in which this would be rejected.
    let counted = execute(&one, "a", count("x")).await.unwrap();
    assert_eq!(counted.revision, 1);
    assert_eq!(rejection(execute(&other, "a", count("y")).await), Rejection::Full(1));
}

#[tokio::test]
async fn nothing_to_do_in_an_empty_stream_has_no_position() {
    let store = Store::start().await;
    let counters = counters(&store.journal());
    assert_eq!(rejection(execute(&counters, "a", count("x")).await), Rejection::NotOpen);
    assert!(counters.load(&"a".to_owned()).await.unwrap().is_none());
}

#[tokio::test]
async fn loading_sees_what_other_processes_wrote() {
    let store = Store::start().await;
    let journal = store.journal();
    let (one, other) = (counters(&journal), counters(&journal));
    execute(&one, "a", open(9)).await.unwrap();

    let counted = execute(&other, "a", count("x")).await.unwrap();

    let loaded = one.load(&"a".to_owned()).await.unwrap().unwrap();
    assert_eq!((loaded.revision, loaded.position), (1, counted.position));
    assert_eq!(loaded.state, counted.state);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_wait_for_one_stream_are_appended_together() {
    const COMMANDS: usize = 200;
    const LIMIT: u64 = 150;
    let store = Store::start().await;
    let journal = store.journal();
    let counters = counters(&journal);
    execute(&counters, "a", open(LIMIT)).await.unwrap();

    let counting = (0..COMMANDS).map(|tag| execute(&counters, "a", count(tag)));
    let answers = must(join_all(counting)).await;

    let mut accepted = 0;
    for (tag, answer) in answers.into_iter().enumerate() {
        // In the order in which they came: the first ones, and no others.
        if (tag as u64) < LIMIT {
            let executed = answer.unwrap();
            assert_eq!(executed.events, [Event::Counted { tag: tag.to_string() }]);
            assert!(executed.state.tags.contains(&tag.to_string()));
            accepted += 1;
        } else {
            assert_eq!(rejection(answer), Rejection::Full(LIMIT));
        }
    }
    assert_eq!(accepted, LIMIT);
    assert_eq!(length(&journal, "a").await, LIMIT + 1);
    let stats = counters.stats();
    assert!(stats.appends <= 20, "{stats:?}");
    // Lanes without work are closed.
    must(async {
        while counters.busy_streams() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn answers_in_one_batch_are_each_their_own() {
    let store = Store::start().await;
    let counters = counters(&store.journal());

    // On one thread all of these wait before the first is decided.
    let (opened, x, again, y, full, other) = tokio::join!(
        execute(&counters, "a", open(2)),
        execute(&counters, "a", count("x")),
        execute(&counters, "a", count("x")),
        execute(&counters, "a", count("y")),
        execute(&counters, "a", count("z")),
        execute(&counters, "a", open(7)),
    );

    assert!(!opened.unwrap().replayed && !x.unwrap().replayed && !y.unwrap().replayed);
    assert!(again.unwrap().replayed);
    assert_eq!(rejection(full), Rejection::Full(2));
    assert_eq!(rejection(other), Rejection::OtherLimit(2));
    assert_eq!(counters.stats().appends, 1);
}

#[tokio::test]
async fn a_rejection_that_followed_from_what_did_not_happen_is_not_given() {
    let store = Store::start().await;
    let journal = store.journal();
    let (one, other) = (counters(&journal), counters(&journal));
    assert_eq!(rejection(execute(&one, "a", count("x")).await), Rejection::NotOpen);
    execute(&other, "a", open(2)).await.unwrap();

    // `one` believes the stream empty: opened with 1 by the first, the third would be one too many.
    let (opened, x, y) = tokio::join!(
        execute(&one, "a", open(1)),
        execute(&one, "a", count("x")),
        execute(&one, "a", count("y")),
    );

    assert_eq!(rejection(opened), Rejection::OtherLimit(2));
    assert_eq!((x.unwrap().state.count, y.unwrap().revision), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_contend_for_a_stream_agree_on_it() {
    const EACH: usize = 60;
    let store = Store::start().await;
    let journals = [store.journal(), store.journal(), store.journal()];
    let repositories = journals.each_ref().map(counters);
    execute(&repositories[0], "a", open(100)).await.unwrap();

    let counting = repositories.iter().enumerate().flat_map(|(process, counters)| {
        (0..EACH).map(move |number| async move {
            loop {
                let tag = format!("{process}/{number}");
                match execute(counters, "a", count(tag)).await {
                    Err(ExecuteError::Contended) => {}
                    answer => return answer,
                }
            }
        })
    });
    let answers = must(join_all(counting)).await;

    let accepted: Vec<_> = answers.iter().filter(|answer| answer.is_ok()).collect();
    assert_eq!(accepted.len(), 100);
    for answer in answers {
        assert!(answer.is_ok() || rejection(answer) == Rejection::Full(100));
    }
    let tags = &repositories[0].load(&"a".to_owned()).await.unwrap().unwrap().state.tags.clone();
    assert_eq!((tags.len(), tags.iter().collect::<HashSet<_>>().len()), (100, 100));
}

#[tokio::test]
async fn after_a_conflict_only_the_tail_is_read() {
    let store = Store::start().await;
    let journal = store.journal();
    let (one, other) = (counters(&journal), counters(&journal));
    execute(&one, "a", open(9)).await.unwrap();
    execute(&other, "a", count("x")).await.unwrap();
    let before = one.stats();

    let counted = execute(&one, "a", count("y")).await.unwrap();

    assert_eq!(counted.state.tags, ["x", "y"]);
    let after = one.stats();
    assert_eq!((after.conflicts - before.conflicts, after.reads - before.reads), (1, 1));
    assert_eq!(after.appends - before.appends, 2);
}

#[tokio::test]
async fn a_stream_that_is_out_of_memory_is_read_again() {
    let store = Store::start().await;
    let journal = store.journal();
    let counters: Counters = Repository::new(journal, 1);
    execute(&counters, "a", open(9)).await.unwrap();
    execute(&counters, "b", open(9)).await.unwrap();
    assert_eq!(counters.stats().reads, 0);

    let counted = execute(&counters, "a", count("x")).await.unwrap();

    assert_eq!((counted.revision, counted.state.limit), (1, Some(9)));
    assert_eq!(counters.stats().reads, 1);
}

#[tokio::test]
async fn what_does_not_fit_into_one_append_goes_into_several() {
    const COMMANDS: u64 = 30;
    let store = Store::start().await;
    let journal = store.journal();
    let counters = counters(&journal);
    execute(&counters, "a", open(100)).await.unwrap();

    let long = |tag: u64| count(format!("{tag}{}", "x".repeat(100_000)));
    let answers = must(join_all((0..COMMANDS).map(|tag| execute(&counters, "a", long(tag))))).await;

    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(length(&journal, "a").await, COMMANDS + 1);
    let appends = counters.stats().appends - 1;
    assert!((3..COMMANDS).contains(&appends), "{appends}");
}

#[tokio::test]
async fn one_command_that_is_too_large_does_not_take_its_neighbours_with_it() {
    let store =
        Store::start_with(|options| embedded_store::Options { max_append_size: 10_000, ..options });
    let store = store.await;
    let counters = counters(&store.journal());
    execute(&counters, "a", open(100)).await.unwrap();

    let (before, large, after) = tokio::join!(
        execute(&counters, "a", count("before")),
        execute(&counters, "a", count("x".repeat(20_000))),
        execute(&counters, "a", count("after")),
    );

    assert!(matches!(large, Err(ExecuteError::Store(Error::TooLarge { events: 1, .. }))));
    before.unwrap();
    assert_eq!(after.unwrap().state.tags, ["before", "after"]);
}

#[tokio::test]
async fn a_decision_that_panics_does_not_take_its_neighbours_with_it() {
    let store = Store::start().await;
    let counters = counters(&store.journal());

    let (opened, stumbled, counted) = tokio::join!(
        execute(&counters, "a", open(2)),
        execute(&counters, "a", Command::Stumble),
        execute(&counters, "a", count("x")),
    );

    opened.unwrap();
    assert_eq!(stumbled.unwrap_err(), ExecuteError::Store(Error::GivenUp));
    assert_eq!(counted.unwrap().state.count, 1);
    execute(&counters, "a", count("y")).await.unwrap();
}

#[tokio::test]
async fn callers_that_go_away_disturb_nobody() {
    let store = Store::start().await;
    let journal = store.journal();
    let counters = counters(&journal);
    execute(&counters, "a", open(100)).await.unwrap();

    let mut impatient: Vec<_> = (0..20)
        .map(|tag| Box::pin(execute(&counters, "a", count(format!("gone {tag}")))))
        .collect();
    for future in &mut impatient {
        // Asked for, but not waited for.
        assert!(futures::poll!(future).is_pending());
    }
    drop(impatient);
    let counted = execute(&counters, "a", count("x")).await.unwrap();

    assert!(counted.state.tags.contains(&"x".to_owned()));
    let events = length(&journal, "a").await;
    let loaded = counters.load(&"a".to_owned()).await.unwrap().unwrap();
    assert_eq!(loaded.revision + 1, events);
}

#[tokio::test]
async fn a_stream_that_cannot_be_read_cannot_be_written() {
    let store = Store::start().await;
    let journal = store.journal();
    let mut event = counted("x");
    event.encoded.data = bytes::Bytes::from_static(b"{\"Unheard\":{}}");
    let none = ExpectedRevision::NoStream;
    journal
        .append(&stream("a"), none, vec![proposed(&Event::Opened { limit: 1 }), event])
        .await
        .unwrap();

    let refused = execute(&counters(&journal), "a", count("y")).await.unwrap_err();

    let ExecuteError::Store(Error::Undecodable { revision, .. }) = refused else { panic!() };
    assert_eq!(revision, 1);
}

#[tokio::test]
async fn a_store_that_knows_less_than_we_do_is_believed() {
    let mut store = Store::start().await;
    let journal = store.journal();
    let counters = counters(&journal);
    execute(&counters, "a", open(9)).await.unwrap();
    execute(&counters, "a", count("x")).await.unwrap();

    // As after restoring a backup: in it the stream is shorter.
    store.stop().await;
    store.forget_everything();
    store.start_again().await;
    let opened = proposed(&Event::Opened { limit: 5 });
    must(journal.append(&stream("a"), ExpectedRevision::NoStream, vec![opened])).await.unwrap();

    let counted = execute(&counters, "a", count("y")).await.unwrap();
    assert_eq!((counted.state.limit, &*counted.state.tags), (Some(5), &["y".to_owned()][..]));
    assert_eq!(counted.revision, 1);
    assert_eq!(execute(&counters, "a", count("z")).await.unwrap().revision, 2);
}

#[tokio::test]
async fn a_stream_that_was_deleted_meanwhile_is_decided_upon_anew() {
    let store = Store::start().await;
    let (ours, theirs) = (counters(&store.journal()), counters(&store.journal()));
    let id = "a".to_owned();
    ours.execute(&id, open(9), context()).await.unwrap();
    let last = theirs.execute(&id, count(1), context()).await.unwrap().revision;
    store.journal().delete_stream(&stream("a"), last).await.unwrap();

    let executed = ours.execute(&id, count(2), context()).await;
    assert_eq!(executed.unwrap_err(), ExecuteError::Rejected(Rejection::NotOpen));
    assert_eq!(ours.execute(&id, open(3), context()).await.unwrap().revision, 2);
}
