//! What a killed run leaves behind: a server that still runs, or its pid file.
//! Everything here is called under the data directory's lock, so no live process owns the server.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::time::{Instant, sleep};

use crate::Error;

/// How long a fast shutdown may take (it writes out all changed pages), and then an immediate one.
const FAST: Duration = Duration::from_mins(1);
const IMMEDIATE: Duration = Duration::from_secs(10);

/// `postmaster.pid`, as far as we need it. A server that is still starting has written less.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: Pid,
    pub(crate) socket_dir: Option<PathBuf>,
    pub(crate) ready: bool,
}

impl PidFile {
    pub(crate) fn path(cluster: &Path) -> PathBuf {
        cluster.join("postmaster.pid")
    }

    pub(crate) fn read(cluster: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(Self::path(cluster)).ok()?)
    }

    /// Lines: pid, data directory, start time, port, socket directory, address, memory key, status.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim);
        // A stand-alone backend writes its pid negated.
        let pid = lines.next()?.trim_start_matches('-').parse().ok()?;
        Some(Self {
            pid: Pid::from_raw(pid)?,
            socket_dir: lines.nth(3).filter(|dir| !dir.is_empty()).map(PathBuf::from),
            ready: lines.nth(2) == Some("ready"),
        })
    }

    /// Whether the process is alive and really a server of this cluster, not a later process that
    /// was given the same number.
    pub(crate) fn is_live(&self, cluster: &Path) -> bool {
        test_kill_process(self.pid).is_ok() && serves(self.pid, cluster)
    }
}

/// Stops a server that a killed process left running on this cluster, and makes a stale pid file
/// harmless.
pub(crate) async fn clear(cluster: &Path) -> Result<(), Error> {
    let Some(file) = PidFile::read(cluster) else { return Ok(()) };
    if file.is_live(cluster) {
        return stop(&file, cluster).await;
    }
    if test_kill_process(file.pid) == Err(rustix::io::Errno::SRCH) {
        return Ok(());
    }
    disown(cluster)
}

async fn stop(file: &PidFile, cluster: &Path) -> Result<(), Error> {
    let pid = file.pid.as_raw_nonzero().get();
    tracing::warn!(pid, "Stopping a PostgreSQL server that a killed process left running");
    for (signal, patience) in [(Signal::INT, FAST), (Signal::QUIT, IMMEDIATE)] {
        // It may have ended meanwhile; whether it lives on is asked below.
        let _ = kill_process(file.pid, signal);
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if !file.is_live(cluster) {
                return Ok(());
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
    Err(Error::LeftOverStays { pid, cluster: cluster.to_owned() })
}

/// The pid in the file now belongs to some other process, which would keep Postgres from
/// starting. The file must stay: Postgres finds in it the shared memory that orphaned backends
/// may still use. A pid file that names the server's own parent counts as stale, so we enter
/// ourselves.
fn disown(cluster: &Path) -> Result<(), Error> {
    let path = PidFile::path(cluster);
    let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    fs::write(&path, format!("{}\n{rest}", std::process::id())).map_err(Error::file("write", &path))
}

/// A server's working directory is its cluster. The link of a process that ended but was not yet
/// waited for cannot be read.
#[cfg(target_os = "linux")]
fn serves(pid: Pid, cluster: &Path) -> bool {
    fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).is_ok_and(|cwd| cwd == cluster)
}

/// A server is started with its cluster's path as an argument.
#[cfg(not(target_os = "linux"))]
fn serves(pid: Pid, cluster: &Path) -> bool {
    let pid = pid.as_raw_nonzero().to_string();
    let answer =
        std::process::Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid]).output();
    answer.is_ok_and(|answer| {
        String::from_utf8_lossy(&answer.stdout).contains(&*cluster.to_string_lossy())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_of_a_ready_server_tells_its_socket() {
        let text = "4711\n/data/cluster\n1700000000\n5432\n/data/socket\n\n  12345  6\nready   \n";
        let file = PidFile::parse(text).unwrap();
        assert_eq!(file.pid.as_raw_nonzero().get(), 4711);
        assert_eq!(file.socket_dir.as_deref(), Some(Path::new("/data/socket")));
        assert!(file.ready);
    }

    #[test]
    fn a_pid_file_that_is_being_written_is_not_ready() {
        let file = PidFile::parse("4711\n/data/cluster\n").unwrap();
        assert_eq!((file.socket_dir, file.ready), (None, false));
        assert_eq!(PidFile::parse(""), None);
    }

    #[test]
    fn a_process_that_was_given_the_same_number_is_not_taken_for_the_server() {
        let cluster = tempfile::tempdir().unwrap();
        let path = PidFile::path(cluster.path());
        fs::write(&path, format!("{}\nthe rest\n", std::process::id())).unwrap();
        assert!(!PidFile::read(cluster.path()).unwrap().is_live(cluster.path()));
    }
}
