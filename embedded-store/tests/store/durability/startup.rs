//! What a start says about the end of the server before, and which files it refuses.

use std::path::Path;

use embedded_store::{Error, Options, Recovery, Server, serve};
use eventstore::ExpectedRevision;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::victim::Victim;
use crate::harness::{append, connect, event, events, number, read, soon};

async fn start(directory: &Path) -> Result<Server, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    serve(listener, Options::at(directory)).await
}

/// A directory whose server was killed after so many commits.
async fn killed_after(commits: u32) -> TempDir {
    let directory = TempDir::new().unwrap();
    let victim = Victim::start(directory.path()).await.unwrap();
    let client = victim.client();
    for number in 0..commits {
        append(&client, "s", ExpectedRevision::Any, vec![event(number)]).await.unwrap();
    }
    victim.kill().await;
    directory
}

async fn numbers(server: &Server) -> Vec<u32> {
    let events = read(&connect(server), "s", &eventstore::ReadStreamOptions::default()).await;
    events.unwrap().iter().map(number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_says_whether_the_server_before_was_stopped_or_killed() {
    let directory = killed_after(20).await;
    let server = start(directory.path()).await.unwrap();
    let Recovery { clean, commits, cut, newest_position, .. } = server.recovery().clone();
    assert_eq!((clean, cut), (false, 0));
    assert!(commits >= 20, "{commits}");
    let repaired = newest_position;
    server.stop().await;
    let server = start(directory.path()).await.unwrap();
    let Recovery { clean, commits, cut, newest_position, .. } = server.recovery().clone();
    assert_eq!((clean, commits, cut, newest_position), (true, 0, 0, repaired));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_was_not_completed_is_cut_off() {
    let directory = killed_after(20).await;
    let log = directory.path().join("events.sqlite-wal");
    let length = std::fs::metadata(&log).unwrap().len();
    let file = std::fs::File::options().write(true).open(&log).unwrap();
    file.set_len(length - 100).unwrap();
    let server = start(directory.path()).await.unwrap();
    assert!(!server.recovery().clean);
    assert_eq!(numbers(&server).await, (0..19).collect::<Vec<_>>());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_ahead_log_that_was_damaged_before_later_commits_is_refused() {
    let directory = killed_after(20).await;
    let log = directory.path().join("events.sqlite-wal");
    let content = std::fs::read(&log).unwrap();
    let mut damaged = content.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&log, damaged).unwrap();
    let error = start(directory.path()).await.unwrap_err();
    let Error::Damaged { path, what } = &error else { panic!("{error:?}") };
    assert_eq!(path, &log);
    assert!(error.to_string().contains("events.sqlite-wal is damaged"), "{error}");
    // What it says can be done is true.
    let (_, rest) = what.split_once("at byte ").unwrap();
    let (offset, _) = rest.split_once(',').unwrap();
    let offset: u64 = offset.parse().unwrap();
    std::fs::File::options().write(true).open(&log).unwrap().set_len(offset).unwrap();
    let server = start(directory.path()).await.unwrap();
    let kept = numbers(&server).await;
    assert!((1..20).contains(&kept.len()) && kept.is_sorted() && kept[0] == 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_while_its_write_ahead_log_is_there_is_refused() {
    let directory = killed_after(20).await;
    let database = directory.path().join("events.sqlite");
    std::fs::write(&database, b"").unwrap();
    let error = start(directory.path()).await.unwrap_err();
    assert!(matches!(&error, Error::Damaged { path, .. } if path == &database), "{error:?}");
    std::fs::remove_file(&database).unwrap();
    let error = start(directory.path()).await.unwrap_err();
    assert!(matches!(&error, Error::Damaged { path, .. } if path == &database), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_cut_or_overwritten_is_refused() {
    let directory = TempDir::new().unwrap();
    let server = start(directory.path()).await.unwrap();
    let client = connect(&server);
    append(&client, "s", ExpectedRevision::NoStream, events(0..2_000)).await.unwrap();
    drop(client);
    soon(server.stop()).await;
    let database = directory.path().join("events.sqlite");
    let whole = std::fs::read(&database).unwrap();
    for length in [whole.len() / 2, whole.len() - 4_096, 4_096, 100] {
        std::fs::write(&database, &whole[..length]).unwrap();
        let error = start(directory.path()).await.unwrap_err();
        assert!(matches!(&error, Error::Damaged { path, .. } if path == &database), "{error:?}");
        assert!(error.to_string().contains("Restore a backup"), "{error}");
    }
    std::fs::write(&database, vec![7; 100_000]).unwrap();
    let error = start(directory.path()).await.unwrap_err();
    assert!(matches!(&error, Error::Damaged { path, .. } if path == &database), "{error:?}");
    std::fs::write(&database, whole).unwrap();
    let server = start(directory.path()).await.unwrap();
    assert_eq!(numbers(&server).await.len(), 2_000);
    server.stop().await;
}
