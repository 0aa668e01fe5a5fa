//! Folders, queries and other processes for the rules.
#![expect(clippy::unwrap_used, reason = "a panic here fails the rule that called, as it should")]

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use private_postgres::{Binaries, Cluster, Options};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

/// Tells a re-executed test process which directory to use, and that it is one.
const DATA_DIR: &str = "PRIVATE_POSTGRES_TEST_DATA_DIR";

/// A folder that the user who runs the server may enter even when root makes it.
pub(crate) fn open_folder() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

pub(crate) fn options(data_dir: impl Into<PathBuf>) -> Options {
    Options { durable: false, ..Options::new(data_dir, Binaries::find(None).unwrap()) }
}

pub(crate) async fn start(data_dir: &Path) -> Cluster {
    Cluster::start(options(data_dir)).await.unwrap()
}

/// What `psql` prints for `statement`, without decoration.
pub(crate) fn query(url: &str, statement: &str) -> String {
    let beside_the_server = Binaries::find(None).unwrap().dir().join("psql");
    let psql = if beside_the_server.exists() { beside_the_server } else { "psql".into() };
    let answer = Command::new(psql)
        .args(["--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-Atq", "-c", statement, url])
        .output()
        .unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    String::from_utf8(answer.stdout).unwrap().trim().to_owned()
}

/// Waits for something another process does, with a deadline no healthy machine reaches.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 30 seconds: {what}");
}

pub(crate) fn kill(pid: i32) {
    signal(pid, Signal::KILL);
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

pub(crate) fn is_alive(pid: i32) -> bool {
    rustix::process::test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Another process that runs one of the `as_another_process` tests below.
pub(crate) struct Other {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Other {
    pub(crate) fn run(test: &str, data_dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(DATA_DIR, data_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The rest of the first line the process prints that begins with `label`.
    pub(crate) fn says(&mut self, label: &str) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            // The test harness prints the test's name into the same line.
            if let Some((_, rest)) = line.split_once(label) {
                return rest.trim().to_owned();
            }
            line.clear();
        }
        panic!("the other process ended without saying {label}");
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets the process end by itself.
    pub(crate) fn finish(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

fn given_data_dir() -> Option<PathBuf> {
    std::env::var_os(DATA_DIR).map(PathBuf::from)
}

fn wait_to_be_ended() {
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
}

#[tokio::test]
#[ignore = "run by other tests in a process of its own"]
async fn run_a_cluster_as_another_process() {
    let Some(data_dir) = given_data_dir() else { return };
    let cluster = start(&data_dir).await;
    println!("server={}", cluster.pid());
    wait_to_be_ended();
}

#[tokio::test]
#[ignore = "run by other tests in a process of its own"]
async fn leak_a_temporary_cluster_as_another_process() {
    if given_data_dir().is_none() {
        return;
    }
    let cluster = Box::leak(Box::new(Cluster::temporary().await.unwrap()));
    println!("folder={}", cluster.data_dir().display());
    wait_to_be_ended();
}
