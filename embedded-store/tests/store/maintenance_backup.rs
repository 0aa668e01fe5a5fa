//! Backups that are made while the server goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use embedded_store::Options;
use embedded_store::maintenance::{self, MaintenanceError};
use eventstore::{ExpectedRevision, RecordedEvent};
use tempfile::TempDir;

use crate::harness::{append, connect, event, number, soon, store_with};

/// Leaves out what a server writes by itself into a new log.
fn of_clients(event: &RecordedEvent) -> bool {
    !event.stream_id.starts_with('$')
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_the_log_at_one_moment_and_appends_go_on_meanwhile() {
    let place = TempDir::new().unwrap();
    let original = place.path().join("original");
    let store = store_with(Options { durable: false, ..Options::at(&original) }).await;
    store.add("before", vec![event(0)]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let (client, stop) = (connect(&store.server), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut next = 1;
            while !stop.load(Ordering::Relaxed) {
                let events = vec![event(next), event(next + 1)];
                append(&client, "during", ExpectedRevision::Any, events).await.unwrap();
                next += 2;
            }
        })
    };

    let first = place.path().join("backups/first");
    let backup = soon(store.server.backup(&first)).await.unwrap();
    assert!(backup.verified.problems.is_empty());
    // As another process does it.
    let second = place.path().join("second");
    let (from, into) = (original.clone(), second.clone());
    let copying = move || maintenance::backup(&from, &into, &mut |_| ());
    let later = tokio::task::spawn_blocking(copying).await.unwrap().unwrap();
    assert!(later.verified.events >= backup.verified.events);
    stop.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    let log = store.log().await;
    let log: Vec<_> = log.into_iter().filter(of_clients).collect();

    for (directory, backup) in [(first, backup), (second, later)] {
        let restored = store_with(Options { durable: false, ..Options::at(directory) }).await;
        let copy = restored.log().await;
        assert!(copy.len() as u64 <= backup.verified.events);
        let copy: Vec<_> = copy.into_iter().filter(of_clients).collect();
        assert_eq!(copy.len() % 2, 1, "an append is there whole or not at all");
        for (copy, original) in copy.iter().zip(&log) {
            assert_eq!((copy.id, copy.revision, &copy.position), {
                (original.id, original.revision, &original.position)
            });
        }
        let next = u32::try_from(copy.len()).unwrap();
        restored.add("during", vec![event(next)]).await;
        assert_eq!(restored.numbers("during").await.last(), Some(&next));
        assert_eq!(number(&copy[0]), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_replaces_nothing_and_leaves_nothing_half() {
    let place = TempDir::new().unwrap();
    let original = place.path().join("original");
    let store = store_with(Options { durable: false, ..Options::at(&original) }).await;
    store.add("a", vec![event(0)]).await;
    let error = store.server.backup(&original).await.unwrap_err();
    assert!(matches!(error, MaintenanceError::Exists { .. }), "{error}");
    store.server.backup(place.path().join("copy")).await.unwrap();
    let error = store.server.backup(place.path().join("copy")).await.unwrap_err();
    assert!(matches!(error, MaintenanceError::Exists { .. }), "{error}");
    let mut names: Vec<_> = std::fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["copy", "original"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_during_a_long_read_by_others_is_answered_and_cleaned_up_later() {
    let place = TempDir::new().unwrap();
    let original = place.path().join("original");
    let store = store_with(Options { durable: false, ..Options::at(&original) }).await;
    store.add("a", vec![event(0), event(1)]).await;
    let reader = rusqlite::Connection::open(original.join("events.sqlite")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM event;").unwrap();
    let options = eventstore::DeleteStreamOptions::default();
    soon(store.client.delete_stream("a", &options)).await.unwrap();
    reader.execute_batch("COMMIT").unwrap();
    store.add("b", vec![event(5)]).await;
    assert_eq!(store.numbers("b").await, [5]);
}
