//! What happens to events that the disk does not give back as they were written, and how they are
//! found.

use std::path::Path;

use embedded_store::maintenance::{
    Depth, MaintenanceError, Problem, Selection, Verified, backup, compact, export, verify,
};
use embedded_store::{Error, Options, Server};
use eventstore::{
    AppendToStreamOptions, DeleteStreamOptions, ReadAllOptions, ReadStreamOptions,
    StreamMetadataBuilder, StreamPosition,
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::harness::{Store, event, events, read, soon, store_with};

async fn store_in(directory: &TempDir) -> Store {
    store_with(Options { durable: false, ..Options::at(directory.path()) }).await
}

async fn stop(server: &Server) {
    soon(server.stop()).await;
}

/// Does something to the database behind the server's back.
fn tamper(directory: &Path, statement: &str) {
    let connection = Connection::open(directory.join("events.sqlite")).unwrap();
    assert!(connection.execute(statement, []).unwrap() > 0, "{statement}");
}

fn check(directory: &Path) -> Verified {
    verify(directory, Depth::Full, &mut |_| ()).unwrap()
}

/// Finds an event in a statement.
fn at(stream: &str, revision: u64) -> String {
    format!("stream = (SELECT id FROM stream WHERE name = '{stream}') AND revision = {revision}")
}

/// Where an event stands in the log.
fn position(directory: &Path, stream: &str, revision: u64) -> u64 {
    let connection = Connection::open(directory.join("events.sqlite")).unwrap();
    let query = format!("SELECT position FROM event WHERE {}", at(stream, revision));
    connection.query_row(&query, [], |row| row.get::<_, u32>(0)).unwrap().into()
}

/// Two streams, `a` with the numbers 0 to 4 and `b` with 5 to 9.
async fn filled() -> TempDir {
    let directory = TempDir::new().unwrap();
    let store = store_in(&directory).await;
    store.add("a", events(0..5)).await;
    store.add("b", events(5..10)).await;
    stop(&store.server).await;
    assert_eq!(check(directory.path()).problems, []);
    directory
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_event_ends_a_read_with_data_loss_and_other_reads_go_on() {
    let directory = filled().await;
    let damage = format!("UPDATE event SET data = CAST('{{}}' AS BLOB) WHERE {}", at("a", 3));
    tamper(directory.path(), &damage);
    let position = position(directory.path(), "a", 3);
    let store = store_in(&directory).await;

    let mut stream = store.client.read_stream("a", &ReadStreamOptions::default()).await.unwrap();
    for revision in 0..3 {
        let event = soon(stream.next()).await.unwrap().unwrap();
        assert_eq!(event.get_original_event().revision, revision);
    }
    let error = soon(stream.next()).await.unwrap_err().to_string();
    let wanted = format!("event 3 of stream 'a', at position {position}");
    assert!(error.contains(&wanted), "{error}");
    assert!(error.contains("backup"), "{error}");

    let options = ReadAllOptions::default().position(StreamPosition::Start);
    let mut log = store.client.read_all(&options).await.unwrap();
    for _ in 1..position {
        soon(log.next()).await.unwrap().unwrap();
    }
    let error = soon(log.next()).await.unwrap_err().to_string();
    assert!(error.contains(&wanted), "{error}");

    assert_eq!(store.numbers("b").await, [5, 6, 7, 8, 9]);
    let later = ReadStreamOptions::default().position(StreamPosition::Position(4));
    assert_eq!(read(&store.client, "a", &later).await.unwrap().len(), 1);
    assert_eq!(store.add("a", vec![event(10)]).await.next_expected_version, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_stream_whose_metadata_are_damaged_takes_no_more_writes() {
    let directory = TempDir::new().unwrap();
    let store = store_in(&directory).await;
    store.add("a", events(0..5)).await;
    let metadata = StreamMetadataBuilder::new().max_count(3).build();
    let options = eventstore::AppendToStreamOptions::default();
    store.client.set_stream_metadata("a", &options, &metadata).await.unwrap();
    stop(&store.server).await;
    tamper(
        directory.path(),
        "UPDATE event SET data = CAST('{}' AS BLOB) WHERE data LIKE '%maxCount%'",
    );

    let store = store_in(&directory).await;
    let any = eventstore::ExpectedRevision::Any;
    let error = store.append("a", any, vec![event(9)]).await.unwrap_err().to_string();
    assert!(error.contains("event 0 of stream '$$a'"), "{error}");
    store.add("b", events(10..12)).await;
    assert_eq!(store.numbers("b").await, [10, 11]);
    let error = read(&store.client, "a", &ReadStreamOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("event 0 of stream '$$a'"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_changed_in_a_row_is_found() {
    let directory = filled().await;
    for (column, other) in [
        ("id", "zeroblob(16)"),
        ("kind", "'Numbers'"),
        ("is_json", "1 - is_json"),
        ("created", "created + 1"),
        ("metadata", "x'00'"),
        ("data", "CAST('{}' AS BLOB)"),
        ("checksum", "zeroblob(8)"),
    ] {
        let copy = TempDir::new().unwrap();
        let database = |directory: &Path| directory.join("events.sqlite");
        std::fs::copy(database(directory.path()), database(copy.path())).unwrap();
        let change = format!("UPDATE event SET {column} = {other} WHERE {}", at("b", 1));
        tamper(copy.path(), &change);
        let position = position(copy.path(), "b", 1);
        let damaged = Problem::Damaged { stream: "b".into(), revision: 1, position };
        let problems = check(copy.path()).problems;
        assert!(problems.contains(&damaged), "{column}: {problems:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_missing_or_out_of_place_is_found() {
    let found = async |statement: &str| {
        let directory = filled().await;
        tamper(directory.path(), statement);
        check(directory.path()).problems
    };
    // With its place in the index.
    let found_without = async |events: &str| {
        let directory = filled().await;
        tamper(directory.path(), &format!("DELETE FROM event WHERE {events}"));
        tamper(directory.path(), &format!("DELETE FROM recent_place WHERE {events}"));
        check(directory.path()).problems
    };
    let a = "stream = (SELECT id FROM stream WHERE name = 'a')";
    let first = position(filled().await.path(), "a", 0);
    assert_eq!(
        found(&format!("DELETE FROM event WHERE {}", at("a", 2))).await,
        [Problem::Missing { stream: "a".into(), events: 1 }]
    );
    let lost = format!("DELETE FROM recent_place WHERE {}", at("a", 4));
    let not_indexed = Problem::NotIndexed { stream: "a".into(), revision: 4, position: first + 4 };
    assert_eq!(found(&lost).await, [not_indexed]);
    assert_eq!(
        found_without(&at("a", 2)).await,
        [Problem::Gap { stream: "a".into(), first: 0, last: 4, events: 4 }]
    );
    assert_eq!(
        found_without(&at("a", 0)).await,
        [Problem::Beginning { stream: "a".into(), first: 1, expected: 0 }]
    );
    assert_eq!(found_without(a).await, [Problem::Empty { stream: "a".into() }]);
    let problems = found("DELETE FROM stream WHERE name = 'b'").await;
    assert_eq!(problems[0], Problem::WithoutStream { position: first + 5 });
    let older = format!("UPDATE event SET created = created - 36000000000 WHERE {}", at("b", 2));
    let problems = found(&older).await;
    assert!(problems.contains(&Problem::Time { position: first + 7 }), "{problems:?}");
    let moved = format!("UPDATE event SET position = 99 WHERE {}", at("a", 1));
    let damaged = Problem::Damaged { stream: "a".into(), revision: 1, position: 99 };
    assert!(found(&moved).await.contains(&damaged));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_can_be_checked_and_what_it_deleted_has_good_checksums() {
    let directory = TempDir::new().unwrap();
    let store = store_in(&directory).await;
    store.add("a", events(0..700)).await;
    store.add("b", events(1_000..1_010)).await;
    let options = eventstore::DeleteStreamOptions::default();
    store.client.delete_stream("a", &options).await.unwrap();
    store.add("a", events(2_000..2_003)).await;
    let options = eventstore::TombstoneStreamOptions::default();
    store.client.tombstone_stream("b", &options).await.unwrap();
    let verified = check(directory.path());
    assert_eq!(verified.problems, []);
    assert!(verified.events >= 714, "{}", verified.events);
}

#[test]
fn a_directory_without_a_store_is_said_to_have_none() {
    let directory = TempDir::new().unwrap();
    let error = verify(directory.path(), Depth::Quick, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("there is no event store"), "{error}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// The files of a store as a kill leaves them, with 40 commits in the write-ahead log.
async fn killed() -> TempDir {
    let (original, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = store_in(&original).await;
    for number in 0..40 {
        store.add("a", vec![event(number)]).await;
    }
    for file in ["events.sqlite", "events.sqlite-wal", "lock"] {
        std::fs::copy(original.path().join(file), copy.path().join(file)).unwrap();
    }
    copy
}

/// What checking a directory says that must have one problem, which is with a file.
fn problem_with_a_file(directory: &Path) -> String {
    let verified = check(directory);
    let [Problem::File(said)] = verified.problems.as_slice() else { panic!("{verified:?}") };
    said.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_a_damaged_write_ahead_log_would_lose_are_not_passed_over() {
    let directory = killed().await;
    let (directory, target) = (directory.path(), directory.path().join("backup"));
    let whole = check(directory);
    assert!(whole.events >= 40 && whole.problems.is_empty(), "{whole:?}");
    let log = directory.join("events.sqlite-wal");
    let mut content = std::fs::read(&log).unwrap();
    let quarter = content.len() / 4;
    content[quarter] ^= 1;
    std::fs::write(&log, &content).unwrap();
    for copied_without_its_lock in [false, true] {
        if copied_without_its_lock {
            std::fs::remove_file(directory.join("lock")).unwrap();
        }
        let said = problem_with_a_file(directory);
        assert!(said.contains("does not match its checksums at byte"), "{said}");
        let refused = [
            backup(directory, &target, &mut |_| ()).map(drop),
            export(directory, Selection::default(), &mut Vec::new(), &mut |_| ()).map(drop),
            compact(directory, &mut |_| ()).map(drop),
        ];
        for refused in refused {
            let error = refused.unwrap_err();
            let MaintenanceError::Open(Error::Damaged { path, .. }) = &error else {
                panic!("{error:?}")
            };
            assert_eq!(path, &log);
        }
        assert!(!target.exists());
        assert_eq!(std::fs::read(&log).unwrap(), content);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_ahead_log_without_its_database_is_reported_and_left_as_it_is() {
    let directory = killed().await;
    let directory = directory.path();
    let log = std::fs::read(directory.join("events.sqlite-wal")).unwrap();
    let database = directory.join("events.sqlite");
    for gone in [false, true] {
        if gone {
            std::fs::remove_file(&database).unwrap();
        } else {
            std::fs::write(&database, "").unwrap();
        }
        let said = problem_with_a_file(directory);
        assert!(said.contains("its write-ahead log holds"), "{said}");
        assert_eq!(std::fs::read(directory.join("events.sqlite-wal")).unwrap(), log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_metadata_ended_for_ever_refuses_deletes_and_the_server_writes_on() {
    let directory = filled().await;
    let store = store_in(&directory).await;
    let options = AppendToStreamOptions::default();
    for count in [7, 8] {
        let metadata = StreamMetadataBuilder::new().max_count(count).build();
        store.client.set_stream_metadata("a", &options, &metadata).await.unwrap();
    }
    stop(&store.server).await;
    for table in ["recent_place", "event"] {
        let end = format!("UPDATE {table} SET revision = {} WHERE {}", i64::MAX, at("$$a", 1));
        tamper(directory.path(), &end);
    }
    let store = store_in(&directory).await;
    let deleted = soon(store.client.delete_stream("a", &DeleteStreamOptions::default())).await;
    let error = deleted.unwrap_err().to_string();
    assert!(error.contains("'$$a'"), "{error}");
    store.add("a", vec![event(20)]).await;
    store.add("b", vec![event(21)]).await;
    assert_eq!(store.numbers("a").await, [0, 1, 2, 3, 4, 20]);
}
