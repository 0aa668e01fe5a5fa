//! Clients that are broken, slow, greedy or gone. The server runs in a process of its own (this test
//! binary again, told by an environment variable to serve), so that its memory and its sockets can
//! be counted from outside.

mod bare;
mod costs;
mod crowds;
mod frames;
mod messages;
mod stopping;
mod vanishing;

use std::net::SocketAddr;
use std::process::Stdio;

use embedded_store::Options;
use eventstore::{Client, EventData, ExpectedRevision};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::harness::{append, event, soon, start};

const SERVE: &str = "EMBEDDED_STORE_ROBUSTNESS";

/// Not a test by itself: the process that serves.
#[tokio::test(flavor = "multi_thread")]
async fn serving() {
    if std::env::var_os(SERVE).is_none() {
        return;
    }
    let server = start(Options::temporary()).await;
    println!("\nserving {}", server.address());
    // It ends with whoever started it.
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while lines.next_line().await.unwrap().is_some() {}
}

/// A server in a process of its own.
struct Served {
    process: Child,
    address: SocketAddr,
    client: Client,
}

impl Served {
    async fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "robustness::serving", "--nocapture"])
            .env(SERVE, "1")
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
                    return address.parse().unwrap();
                }
            }
        });
        let address: SocketAddr = address.await;
        let url = format!("esdb://{address}?tls=false&discoveryInterval=0");
        Self { process, address, client: Client::new(url.parse().unwrap()).unwrap() }
    }

    /// Fails if the server does not serve.
    async fn still_serves(&self) {
        self.add("alive", vec![event(1)]).await;
    }

    async fn add(&self, stream: &str, events: Vec<EventData>) {
        append(&self.client, stream, ExpectedRevision::Any, events).await.unwrap();
    }

    /// Bytes of memory that the process uses.
    fn memory(&self) -> usize {
        let path = format!("/proc/{}/status", self.process.id().unwrap());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
        kilobytes * 1024
    }

    /// How many files and sockets the process has open.
    fn handles(&self) -> usize {
        let path = format!("/proc/{}/fd", self.process.id().unwrap());
        std::fs::read_dir(path).unwrap().count()
    }

    /// Waits until it has no more open than that.
    async fn has_closed_all_but(&self, handles: usize) {
        soon(async {
            while self.handles() > handles {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}

const MIB: usize = 1024 * 1024;
