//! Processes that can be killed: this test binary in a role, and Postgres.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use private_postgres::{Binaries, Cluster};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::role;
use crate::world::DEADLINE;

/// In this time processes of Postgres notice that it is gone.
const NOTICED: Duration = Duration::from_secs(1);

/// One of the processes of a world.
pub(crate) struct Process {
    child: Child,
    pub(crate) log: PathBuf,
    /// What it has said last, and everything that must not be missed.
    said: watch::Receiver<Said>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) last: String,
    /// How an errand ended.
    pub(crate) ended: Option<String>,
    /// What would be wrong however much is killed.
    pub(crate) complaint: Option<String>,
    /// Whether it will not say anything any more.
    pub(crate) silent: bool,
}

impl Process {
    /// Starts this binary in a role, and waits until it says that it has begun.
    pub(crate) async fn start(role: &str, log: PathBuf, settings: &[(&str, String)]) -> Self {
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "role::role", "--nocapture"]).env(role::ROLE, role);
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, said) = watch::channel(Said::default());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let Some(line) = line.strip_prefix("> ") else { continue };
                tell.send_modify(|said| {
                    line.clone_into(&mut said.last);
                    if let Some(ended) = line.strip_prefix("ended ") {
                        said.ended = Some(ended.to_owned());
                    }
                    if line.starts_with("drifted") || line.starts_with("the projector") {
                        said.complaint = Some(line.to_owned());
                    }
                });
            }
            tell.send_modify(|said| said.silent = true);
        });
        let mut process = Self { child, log, said };
        let begun = |said: &Said| !said.last.is_empty() || said.silent;
        let said = process.until(begun).await;
        assert!(!said.last.is_empty(), "{role} did not start: see {}", process.log.display());
        process
    }

    /// Waits until what it has said is as wanted.
    pub(crate) async fn until(&mut self, wanted: impl FnMut(&Said) -> bool) -> Said {
        let mut said = self.said.clone();
        match timeout(DEADLINE, said.wait_for(wanted)).await {
            // (Or it is silent, and will be.)
            Ok(Ok(said)) => said.clone(),
            Ok(Err(_)) => self.said(),
            Err(too_late) => panic!("{}: {too_late}: {:?}", self.log.display(), self.said()),
        }
    }

    pub(crate) fn said(&self) -> Said {
        self.said.borrow().clone()
    }

    /// Whether it has ended although nobody has killed it.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}

/// A durable Postgres that can be killed.
pub(crate) struct Postgres {
    folder: PathBuf,
    cluster: Option<Cluster>,
    pub(crate) url: String,
}

/// What of Postgres is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All its processes at once.
    Everything,
    /// The one that all others hang on.
    Postmaster,
    /// One that serves a client: Postgres throws all clients out and recovers by itself.
    Backend(u32),
}

impl Postgres {
    pub(crate) async fn start(folder: &Path) -> Self {
        let mut postgres = Self { folder: folder.to_owned(), cluster: None, url: String::new() };
        postgres.revive().await;
        postgres
    }

    pub(crate) async fn revive(&mut self) {
        if self.cluster.is_none() {
            let binaries = Binaries::find(None).unwrap();
            let options = private_postgres::Options {
                max_connections: 200,
                ..private_postgres::Options::new(&self.folder, binaries)
            };
            let cluster = Cluster::start(options).await.unwrap();
            self.url = cluster.url();
            self.cluster = Some(cluster);
        }
    }

    pub(crate) async fn kill(&mut self, part: Part) {
        let Some(cluster) = self.cluster.take() else { return };
        let pid = cluster.pid();
        // It must not start another one that nobody knows of, and nobody would kill.
        signal("-STOP", &[pid]).await;
        let children = children_of(pid);
        match part {
            Part::Everything => {
                let all: Vec<i32> = std::iter::once(pid).chain(children).collect();
                signal("-KILL", &all).await;
            }
            Part::Postmaster => {
                signal("-KILL", &[pid]).await;
                let begun = Instant::now();
                while children.iter().any(|pid| is_alive(*pid)) && begun.elapsed() < NOTICED {
                    sleep(Duration::from_millis(5)).await;
                }
                // Whoever waits for a lock does not notice that its owner will not come back.
                signal("-KILL", &children).await;
            }
            Part::Backend(which) => {
                let serving = |pid: &i32| {
                    let line = fs::read_to_string(format!("/proc/{pid}/cmdline"));
                    line.is_ok_and(|line| line.contains("[local]"))
                };
                let backends: Vec<i32> = children.into_iter().filter(serving).collect();
                if !backends.is_empty() {
                    signal("-KILL", &[backends[which as usize % backends.len()]]).await;
                }
                signal("-CONT", &[pid]).await;
                self.cluster = Some(cluster);
                return;
            }
        }
        timeout(DEADLINE, cluster.exited()).await.unwrap();
    }

    pub(crate) async fn stop(mut self) {
        if let Some(cluster) = self.cluster.take() {
            cluster.stop().await.unwrap();
        }
    }
}

fn children_of(pid: i32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn is_alive(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Whoever has ended meanwhile hears nothing.
async fn signal(which: &str, pids: &[i32]) {
    let mut command = Command::new("kill");
    command.arg(which).args(pids.iter().map(i32::to_string)).stderr(Stdio::null());
    command.status().await.unwrap();
}
