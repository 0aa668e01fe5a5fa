//! A server in a process of its own, so that it can be killed and its disk can fail: this test
//! binary again, told by an environment variable to serve.

use std::path::Path;
use std::process::Stdio;

use embedded_store::{Options, serve};
use eventstore::Client;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::disk::Disk;
use crate::harness::soon;

const DIRECTORY: &str = "EMBEDDED_STORE_VICTIM_DIRECTORY";

/// Not a test by itself: the process that suffers. It serves until its input ends, then stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victim() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    match serve(listener, Options::at(directory)).await {
        Ok(server) => {
            println!("\nrecovery {:?}", server.recovery());
            println!("serving {}", server.connection_string());
            let mut input = Vec::new();
            tokio::io::stdin().read_to_end(&mut input).await.unwrap();
            server.stop().await;
            println!("stopped");
        }
        Err(error) => println!("\nrefused {}", chain(&error)),
    }
    // Not by way of the test's end, which would wait for the thread that reads the input.
    std::process::exit(0);
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text.replace('\n', " ")
}

pub(super) struct Victim {
    process: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    address: String,
    recovery: String,
}

/// How a start ended that did not lead to a server.
#[derive(Debug)]
pub(super) enum NotStarted {
    /// It refused, and said why.
    Refused(String),
    /// It was killed before it served.
    Killed,
}

impl Victim {
    pub(super) async fn start(directory: &Path) -> Result<Self, NotStarted> {
        Self::run(Self::command(directory)).await
    }

    pub(super) async fn on(disk: &Disk) -> Result<Self, NotStarted> {
        let mut command = Self::command(disk.data());
        disk.give_to(&mut command, false);
        Self::run(command).await
    }

    /// On a disk that records every change.
    pub(super) async fn recorded_on(disk: &Disk) -> Result<Self, NotStarted> {
        let mut command = Self::command(disk.data());
        disk.give_to(&mut command, true);
        Self::run(command).await
    }

    fn command(directory: &Path) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "durability::victim::victim", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn run(mut command: Command) -> Result<Self, NotStarted> {
        let mut process = command.spawn().unwrap();
        let input = process.stdin.take();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut recovery = String::new();
        let address = soon(async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(found) = line.strip_prefix("recovery ") {
                    found.clone_into(&mut recovery);
                } else if let Some(address) = line.strip_prefix("serving ") {
                    return Ok(address.to_owned());
                } else if let Some(reason) = line.strip_prefix("refused ") {
                    return Err(NotStarted::Refused(reason.to_owned()));
                }
            }
            Err(NotStarted::Killed)
        })
        .await;
        match address {
            Ok(address) => Ok(Self { process, input, lines, address, recovery }),
            Err(reason) => {
                let _ = soon(process.wait()).await;
                Err(reason)
            }
        }
    }

    pub(super) fn client(&self) -> Client {
        Client::new(self.address.parse().unwrap()).unwrap()
    }

    /// What the server says it found when it started.
    pub(super) fn recovery(&self) -> &str {
        &self.recovery
    }

    /// `kill -9`.
    pub(super) async fn kill(mut self) {
        soon(self.process.kill()).await.unwrap();
    }

    /// Waits for the end that the disk brings about.
    pub(super) async fn killed(mut self) {
        let status = soon(self.process.wait()).await.unwrap();
        assert!(!status.success(), "it was to be killed, and ended by itself");
    }

    /// The clean end.
    pub(super) async fn stop(mut self) {
        drop(self.input.take());
        soon(async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if line == "stopped" {
                    return;
                }
            }
            panic!("it ended without stopping");
        })
        .await;
        soon(self.process.wait()).await.unwrap();
    }
}
