//! `kill -9` while a group is consumed: nothing that was not acknowledged is lost.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use eventstore::{
    Client, NakAction, PersistentSubscription, SubscribeToPersistentSubscriptionOptions,
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{eager, next};
use crate::harness::{append, events, number, soon};

const MESSAGES: u32 = 200;

/// A server in a process of its own, that of the durability tests.
struct Victim {
    process: Child,
    client: Client,
}

impl Victim {
    async fn start(directory: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "durability::victim::victim", "--nocapture"])
            .env("EMBEDDED_STORE_VICTIM_DIRECTORY", directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = soon(async {
            loop {
                let line = lines.next_line().await.unwrap().expect("the server did not start");
                if let Some(address) = line.strip_prefix("serving ") {
                    return address.to_owned();
                }
            }
        });
        let client = Client::new(address.await.parse().unwrap()).unwrap();
        Self { process, client }
    }

    async fn consume(&self) -> PersistentSubscription {
        let options = SubscribeToPersistentSubscriptionOptions::default().buffer_size(20);
        soon(self.client.subscribe_to_persistent_subscription("s", "g", &options)).await.unwrap()
    }

    async fn kill(mut self) {
        soon(self.process.kill()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_no_message_that_was_not_acknowledged() {
    let directory = TempDir::new().unwrap();
    let mut acknowledged = BTreeSet::new();
    for life in 0..4 {
        let victim = Victim::start(directory.path()).await;
        if life == 0 {
            let options = eager().checkpoint_upper_bound(3);
            soon(victim.client.create_persistent_subscription("s", "g", &options)).await.unwrap();
            let expected = eventstore::ExpectedRevision::Any;
            append(&victim.client, "s", expected, events(0..MESSAGES)).await.unwrap();
        }
        let mut consumer = victim.consume().await;
        for _ in 0..30 + life {
            let (event, _) = next(&mut consumer).await;
            let number = number(event.event.as_ref().unwrap());
            match number % 7 {
                0 => soon(consumer.nack(event, NakAction::Park, "later")).await.unwrap(),
                // Never answered.
                1 if number.is_multiple_of(2) => {}
                _ => {
                    soon(consumer.ack(event)).await.unwrap();
                    acknowledged.insert(number);
                }
            }
        }
        victim.kill().await;
    }
    let victim = Victim::start(directory.path()).await;
    let mut consumer = victim.consume().await;
    let replay = eventstore::ReplayParkedMessagesOptions::default();
    soon(victim.client.replay_parked_messages("s", "g", &replay)).await.unwrap();
    // Ends only if every message comes that was not acknowledged.
    while acknowledged.len() < MESSAGES as usize {
        let (event, _) = next(&mut consumer).await;
        acknowledged.insert(number(event.event.as_ref().unwrap()));
        soon(consumer.ack(event)).await.unwrap();
    }
}
