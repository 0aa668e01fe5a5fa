//! `kill -9` at any moment: what was acknowledged is there afterwards, and nothing is damaged. The
//! server to kill is this test binary again, told by an environment variable to serve.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use embedded_store::Options;
use eventstore::{Client, ExpectedRevision};
use futures::future::join_all;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::harness::{append, event, number, soon, start, store_with};

const DIRECTORY: &str = "EMBEDDED_STORE_CRASH_DIRECTORY";
const ROUNDS: u32 = 15;
const WRITERS: u32 = 8;

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread")]
async fn victim() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let server = start(Options::at(directory)).await;
    println!("\nserving {}", server.connection_string());
    std::future::pending::<()>().await;
}

async fn spawn_victim(directory: &Path) -> (Child, String) {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::victim", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let address = soon(async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the victim did not start");
            if let Some(address) = line.strip_prefix("serving ") {
                return address.to_owned();
            }
        }
    });
    let address = address.await;
    (victim, address)
}

/// What one writer was told: stream, revision and number of each acknowledged event.
type Acknowledged = Vec<(String, u64, u32)>;

/// Half of the writers share streams, half have their own and expect exact revisions.
async fn write_until_killed(
    address: String,
    (round, writer): (u32, u32),
    count: Arc<AtomicUsize>,
) -> Acknowledged {
    let client = Client::new(address.parse().unwrap()).unwrap();
    let mut acknowledged = Vec::new();
    let mut expected = ExpectedRevision::NoStream;
    for step in 0..100_000 {
        let number = (round * WRITERS + writer) * 100_000 + step;
        let (stream, expectation) = if writer % 2 == 0 {
            (format!("shared-{}", step % 3), ExpectedRevision::Any)
        } else {
            (format!("own-{round}-{writer}"), expected)
        };
        let Ok(answer) = append(&client, &stream, expectation, vec![event(number)]).await else {
            return acknowledged;
        };
        expected = ExpectedRevision::Exact(answer.next_expected_version);
        acknowledged.push((stream, answer.next_expected_version, number));
        count.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let directory = TempDir::new().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let (mut victim, address) = spawn_victim(directory.path()).await;
        let count = Arc::new(AtomicUsize::new(0));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let count = Arc::clone(&count);
                tokio::spawn(write_until_killed(address.clone(), (round, writer), count))
            })
            .collect();
        // A different moment in every round, counted in appends and not in time.
        let moment = 20 + (round as usize * 61) % 200;
        soon(async {
            while count.load(Ordering::Relaxed) < moment {
                tokio::task::yield_now().await;
            }
        })
        .await;
        soon(victim.kill()).await.unwrap();
        for writer in soon(join_all(writers)).await {
            acknowledged.extend(writer.unwrap());
        }
    }
    check(directory.path(), &acknowledged).await;
}

async fn check(directory: &Path, acknowledged: &Acknowledged) {
    let store = store_with(Options::at(directory)).await;
    let log = store.log().await;
    assert!(log.windows(2).all(|pair| pair[0].position < pair[1].position));
    let mut streams: HashMap<String, Vec<u32>> = HashMap::new();
    for event in &log {
        let stream = streams.entry(event.stream_id.clone()).or_default();
        assert_eq!(event.revision, stream.len() as u64, "a gap in {}", event.stream_id);
        stream.push(number(event));
    }
    assert!(acknowledged.len() >= ROUNDS as usize * 20);
    for (stream, revision, number) in acknowledged {
        let kept =
            streams.get(stream).and_then(|events| events.get(usize::try_from(*revision).unwrap()));
        assert_eq!(kept, Some(number), "lost {stream}@{revision}");
    }
    for (stream, numbers) in &streams {
        assert_eq!(&store.numbers(stream).await, numbers, "index and log differ");
    }
}
