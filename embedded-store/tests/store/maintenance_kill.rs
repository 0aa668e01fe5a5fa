//! `kill -9` during a compaction: nothing visible is lost, and the next start finds all in order. The
//! server to kill is this test binary again, told by an environment variable to serve.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use embedded_store::Options;
use embedded_store::maintenance::{Depth, verify};
use eventstore::operations::{self, OperationalOptions};
use eventstore::{
    AppendToStreamOptions, Client, EventData, ExpectedRevision, ReadStreamOptions,
    StreamMetadataBuilder,
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::harness::{append, event, id, number, read, soon, start, store_with};

const DIRECTORY: &str = "EMBEDDED_STORE_COMPACTION_DIRECTORY";
const ROUNDS: u32 = 10;
const KEPT: usize = 3;

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread")]
async fn victim() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    // What a killed process has written is there without fsync too.
    let server = start(Options { durable: false, ..Options::at(directory) }).await;
    println!("\nserving {}", server.connection_string());
    std::future::pending::<()>().await;
}

async fn spawn_victim(directory: &Path) -> (Child, String) {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "maintenance_kill::victim", "--nocapture"])
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

/// Appends to a stream that forgets and to one that does not, until the server is gone. Says how
/// many of each were acknowledged.
async fn write(client: Client, count: Arc<AtomicU32>) {
    loop {
        let next = count.load(Ordering::Relaxed);
        let padded = EventData::json(
            "Padded",
            &serde_json::json!({ "number": next, "padding": "x".repeat(next as usize % 6_000) }),
        );
        let padded = padded.unwrap().id(id(1_000_000 + u128::from(next)));
        if append(&client, "forgets", ExpectedRevision::Any, vec![padded]).await.is_err()
            || append(&client, "keeps", ExpectedRevision::Any, vec![event(next)]).await.is_err()
        {
            return;
        }
        count.store(next + 1, Ordering::Relaxed);
    }
}

async fn compact(client: operations::Client) {
    while client.start_scavenge(1, 0, &OperationalOptions::default()).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_may_be_killed_at_any_moment() {
    let directory = TempDir::new().unwrap();
    let count = Arc::new(AtomicU32::new(0));
    for round in 0..ROUNDS {
        let (mut victim, address) = spawn_victim(directory.path()).await;
        let client = Client::new(address.parse().unwrap()).unwrap();
        let metadata = StreamMetadataBuilder::new().max_count(KEPT as u64).build();
        let options = AppendToStreamOptions::default();
        soon(client.set_stream_metadata("forgets", &options, &metadata)).await.unwrap();
        let writing = tokio::spawn(write(client, Arc::clone(&count)));
        let compacting = tokio::spawn(compact(operations::Client::new(address.parse().unwrap())));
        let moment = count.load(Ordering::Relaxed) + 20 + round * 7;
        soon(async {
            while count.load(Ordering::Relaxed) < moment {
                tokio::task::yield_now().await;
            }
        })
        .await;
        victim.kill().await.unwrap();
        soon(writing).await.unwrap();
        soon(compacting).await.unwrap();

        let acknowledged = count.load(Ordering::Relaxed);
        let store = store_with(Options { durable: false, ..Options::at(directory.path()) }).await;
        let kept = store.numbers("keeps").await;
        assert!(kept.len() >= acknowledged as usize, "{} of {acknowledged}", kept.len());
        assert!(kept.iter().copied().eq(0..u32::try_from(kept.len()).unwrap()));
        let forgets = read(&store.client, "forgets", &ReadStreamOptions::default()).await.unwrap();
        assert_eq!(forgets.len(), KEPT);
        assert!(number(&forgets[KEPT - 1]) + 1 >= acknowledged);
        // What was in flight may be there although nobody was told.
        count.store(u32::try_from(kept.len()).unwrap(), Ordering::Relaxed);
        soon(store.server.stop()).await;
        let verified = verify(directory.path(), Depth::Full, &mut |_| ()).unwrap();
        assert_eq!(verified.problems, []);
    }
}
