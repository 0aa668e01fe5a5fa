//! Starting, stopping, failing and starting again.

use std::path::Path;
use std::time::Duration;

use embedded_store::{Error, Options, Server, serve};
use eventstore::{
    Client, DeleteStreamOptions, ExpectedRevision, ReadStreamOptions, RetryOptions, StreamPosition,
    SubscribeToAllOptions, SubscribeToStreamOptions, TombstoneStreamOptions,
};
use futures::future::join_all;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::harness::{
    Store, append, connect, event, events, events_until_caught_up, next_events, number, read, soon,
    start, store, store_with,
};

fn at(directory: &Path) -> Options {
    Options { durable: false, ..Options::at(directory) }
}

async fn try_start(directory: &Path) -> Result<Server, Error> {
    serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), at(directory)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_everything() {
    let directory = TempDir::new().unwrap();
    let first = store_with(at(directory.path())).await;
    first.add("s", events(0..5)).await;
    let repeated = first.add("t", events(10..12)).await;
    first.add("gone", events(20..21)).await;
    soon(first.client.delete_stream("gone", &DeleteStreamOptions::default())).await.unwrap();
    soon(first.client.tombstone_stream("s2", &TombstoneStreamOptions::default())).await.unwrap();
    let before = first.log().await;
    soon(first.server.stop()).await;

    let second = store_with(at(directory.path())).await;
    let key = |event: &eventstore::RecordedEvent| {
        (event.position, event.stream_id.clone(), event.revision, event.id, event.data.clone())
    };
    let after = second.log().await;
    assert_eq!(
        before.iter().map(key).collect::<Vec<_>>(),
        after.iter().map(key).collect::<Vec<_>>()
    );
    assert_eq!(second.numbers("s").await, [0, 1, 2, 3, 4]);
    let gone = read(&second.client, "gone", &ReadStreamOptions::default()).await;
    assert!(matches!(gone, Err(eventstore::Error::ResourceNotFound)));
    let ended = second.append("s2", ExpectedRevision::Any, events(0..1)).await;
    assert!(matches!(ended, Err(eventstore::Error::ResourceDeleted)));
    let again = second.add("t", events(10..12)).await;
    assert_eq!(again.position, repeated.position);
    let next = second.append("s", ExpectedRevision::Exact(4), events(5..6)).await.unwrap();
    assert!(next.position > before.last().unwrap().position);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_has_one_server_at_a_time() {
    let directory = TempDir::new().unwrap();
    let first = try_start(directory.path()).await.unwrap();
    assert!(matches!(try_start(directory.path()).await, Err(Error::InUse { .. })));
    soon(first.stop()).await;
    try_start(directory.path()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_server_frees_its_directory_and_its_port() {
    let directory = TempDir::new().unwrap();
    let first = store_with(at(directory.path())).await;
    first.add("s", events(0..1)).await;
    let address = first.server.address();
    drop(first);
    let second = soon(async {
        loop {
            match try_start(directory.path()).await {
                Ok(server) => return server,
                Err(Error::InUse { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert_eq!(
        read(&connect(&second.await), "s", &ReadStreamOptions::default()).await.unwrap().len(),
        1
    );
    soon(async {
        while TcpListener::bind(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_format_is_refused() {
    let directory = TempDir::new().unwrap();
    soon(try_start(directory.path()).await.unwrap().stop()).await;
    let database = rusqlite::Connection::open(directory.path().join("events.sqlite")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let refused = try_start(directory.path()).await;
    assert!(matches!(refused, Err(Error::NewerFormat { found: 99, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_subscriptions_with_an_error() {
    let store = store().await;
    store.add("s", events(0..1)).await;
    let options = SubscribeToAllOptions::default().position(StreamPosition::Start);
    let mut subscription = store.client.subscribe_to_all(&options).await;
    events_until_caught_up(&mut subscription).await;
    let batches =
        store.client.batch_append(&eventstore::BatchAppendOptions::default()).await.unwrap();
    let first = batches.append_to_stream("s", ExpectedRevision::Any, vec![event(1)]);
    soon(first).await.unwrap();

    let (ended, ()) = soon(futures::future::join(
        async {
            loop {
                if let Err(error) = subscription.next().await {
                    return error;
                }
            }
        },
        store.server.stop(),
    ))
    .await;
    assert!(matches!(ended, eventstore::Error::ServerError(_)), "{ended:?}");
    soon(store.server.stopped()).await.unwrap();
    let late = store.append("s", ExpectedRevision::Any, events(5..6)).await;
    assert!(late.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_and_its_retrying_subscription_survive_a_restart() {
    let directory = TempDir::new().unwrap();
    let first = store_with(at(directory.path())).await;
    first.add("s", events(0..3)).await;
    let retry = RetryOptions::default().retry_forever();
    let options =
        SubscribeToStreamOptions::default().start_from(StreamPosition::Start).retry_options(retry);
    let mut subscription = first.client.subscribe_to_stream("s", &options).await;
    assert_eq!(events_until_caught_up(&mut subscription).await.len(), 3);
    let Store { server, client } = first;
    soon(server.stop()).await;
    let listener = TcpListener::bind(server.address()).await.unwrap();
    let second = serve(listener, at(directory.path())).await.unwrap();
    let store = Store { server: second, client };
    store.append("s", ExpectedRevision::Exact(2), events(3..5)).await.unwrap();
    let seen = next_events(&mut subscription, 2).await;
    assert_eq!(seen.iter().map(number).collect::<Vec<_>>(), [3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_reads_nothing_does_not_hold_a_stop_up() {
    let grace = Duration::from_millis(50);
    let store = store_with(Options { stop_grace: grace, ..Options::temporary() }).await;
    let options = SubscribeToAllOptions::default().position(StreamPosition::Start);
    let mut stuck = store.client.subscribe_to_all(&options).await;
    events_until_caught_up(&mut stuck).await;
    let writer = connect(&store.server);
    for batch in 0..20 {
        let event = eventstore::EventData::binary("Large", vec![batch; 900_000].into());
        append(&writer, "s", ExpectedRevision::Any, vec![event]).await.unwrap();
    }
    soon(store.server.stop()).await;
}

async fn append_until_refused(client: Client, writer: u32) -> Vec<u32> {
    let mut accepted = Vec::new();
    for number in (0..).map(|count| writer * 1_000_000 + count) {
        match append(&client, &format!("s-{writer}"), ExpectedRevision::Any, vec![event(number)])
            .await
        {
            Ok(_) => accepted.push(number),
            Err(_) => return accepted,
        }
    }
    accepted
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_amid_appends_keeps_what_was_accepted() {
    let directory = TempDir::new().unwrap();
    let server = start(at(directory.path())).await;
    let writers: Vec<_> =
        (0..6).map(|writer| tokio::spawn(append_until_refused(connect(&server), writer))).collect();
    let observer = Store { client: connect(&server), server };
    while soon(observer.log()).await.len() < 200 {}
    soon(observer.server.stop()).await;
    let accepted = soon(join_all(writers)).await;
    let reopened = store_with(at(directory.path())).await;
    for (writer, accepted) in accepted.into_iter().enumerate() {
        let kept = reopened.numbers(&format!("s-{writer}")).await;
        let accepted = accepted.unwrap();
        assert_eq!(kept[..accepted.len()], accepted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_commit_stops_the_writes_and_is_reported() {
    let directory = TempDir::new().unwrap();
    let store = store_with(at(directory.path())).await;
    store.add("s", events(0..3)).await;
    let saboteur = rusqlite::Connection::open(directory.path().join("events.sqlite")).unwrap();
    let break_it = "ALTER TABLE event RENAME COLUMN created TO broken";
    saboteur.execute_batch(break_it).unwrap();
    let refused = store.append("s", ExpectedRevision::Any, events(3..4)).await;
    assert!(matches!(refused, Err(eventstore::Error::ServerError(_))), "{refused:?}");
    soon(store.server.stopped()).await.unwrap_err();
    saboteur.execute_batch("ALTER TABLE event RENAME COLUMN broken TO created").unwrap();
    // Once it does not know what is on the disk, it does not find out by trying.
    let client = connect(&store.server);
    append(&client, "s", ExpectedRevision::Any, events(3..4)).await.unwrap_err();
    let read = read(&client, "s", &ReadStreamOptions::default()).await.unwrap();
    assert_eq!(read.iter().map(number).collect::<Vec<_>>(), [0, 1, 2]);
    soon(store.server.stop()).await;

    let healed = store_with(at(directory.path())).await;
    healed.add("s", events(3..4)).await;
    assert_eq!(healed.numbers("s").await, [0, 1, 2, 3]);
}
