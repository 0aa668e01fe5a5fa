//! A cluster from start to stop: the order in which the other modules are used.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};

use crate::account::Account;
use crate::death_watch::LastWill;
use crate::home::{Home, Lock, SOCKET_FILE, last_lines, make_private};
use crate::left_over::{self, PidFile};
use crate::server::Server;
use crate::wire::{NO_SUCH_DATABASE, Refusal, Session};
use crate::{Binaries, DATABASE, Error, USER};

/// Includes crash recovery, which replays up to a gigabyte of log.
const START_DEADLINE: Duration = Duration::from_mins(2);
const FAST_STOP: Duration = Duration::from_mins(1);
const IMMEDIATE_STOP: Duration = Duration::from_secs(10);

/// What the server prints when backends of a killed predecessor have not noticed its end yet.
const ORPHANS_REMAIN: &str = "is still in use";

/// Settings Postgres and initdb would take from the environment; ours come from [`Options`].
const FOREIGN_SETTINGS: [&str; 5] = ["PGDATA", "PGPORT", "PGTZ", "PGDATESTYLE", "PGCLIENTENCODING"];

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the cluster lives; created if missing. One cluster per directory.
    pub data_dir: PathBuf,
    /// The server to start.
    pub binaries: Binaries,
    /// Whether commits survive a power cut (fsync). False is for tests: commits then survive the
    /// death of any process, but not of the machine.
    pub durable: bool,
    /// The server's limit of simultaneous connections.
    pub max_connections: u16,
}

impl Options {
    /// A durable cluster for up to 100 connections.
    pub fn new(data_dir: impl Into<PathBuf>, binaries: Binaries) -> Self {
        Self { data_dir: data_dir.into(), binaries, durable: true, max_connections: 100 }
    }
}

/// A running private Postgres server with the database [`DATABASE`] in it.
///
/// Only processes of the same user (and root) can reach it. It stops with [`Cluster::stop`]; if
/// dropped instead, it is told to shut down and does so on its own; if our process is killed, a
/// watching process does the same.
#[derive(Debug)]
pub struct Cluster {
    home: Home,
    server: Server,
    temporary: bool,
    _lock: Lock,
}

impl Cluster {
    /// Creates the cluster if the data directory is empty, starts its server and waits until it
    /// accepts connections and the database exists. A server that a killed process left running
    /// on this directory is stopped first.
    ///
    /// Dropping the future stops what it has started.
    ///
    /// # Errors
    /// [`Error::InUse`] while another live process runs this cluster, [`Error::NotTraversable`]
    /// when started as root on a directory another user cannot reach, [`Error::OtherVersion`],
    /// and [`Error::Start`] with the server's last words.
    pub async fn start(options: Options) -> Result<Self, Error> {
        Self::start_as(options, false).await
    }

    /// A cluster for tests, in a new temporary directory: not durable, 200 connections, removed
    /// when dropped and also when the process ends without dropping it (as with a `static`).
    ///
    /// # Errors
    /// As [`Cluster::start`] and [`Binaries::find`].
    pub async fn temporary() -> Result<Self, Error> {
        let binaries = Binaries::find(None)?;
        let data_dir = new_temporary_dir()?;
        let options =
            Options { durable: false, max_connections: 200, ..Options::new(&data_dir, binaries) };
        let started = Self::start_as(options, true).await;
        if started.is_err() {
            // The error matters more than a folder that stays in the temporary one.
            let _ = fs::remove_dir_all(&data_dir);
        }
        started
    }

    async fn start_as(options: Options, temporary: bool) -> Result<Self, Error> {
        let (home, account) = Home::prepare(&options.data_dir)?;
        account.check_may_enter(options.binaries.dir())?;
        let lock = home.lock()?;
        left_over::clear(&home.cluster).await?;
        if !home.has_cluster() {
            create(&home, &account, &options).await?;
        }
        check_version(&home, &options.binaries)?;
        home.prepare_socket_dir(&account)?;
        let server = start_server(&home, &account, &options, temporary).await?;
        let cluster = Self { home, server, temporary, _lock: lock };
        cluster.ensure_database().await?;
        tracing::debug!(pid = cluster.pid(), dir = %cluster.home.dir.display(), "PostgreSQL is ready");
        Ok(cluster)
    }

    /// A URL for any Postgres client: the database, the socket's folder and the user. Settings
    /// that clients would take from the environment (port, TLS) are spelled out.
    pub fn url(&self) -> String {
        url_for(&self.home.socket_dir)
    }

    /// The URL of the cluster of `data_dir`, if its server is running and accepts connections;
    /// for other processes than the one that started it. They must be of the same user, or root.
    pub fn url_of_running(data_dir: &Path) -> Option<String> {
        let home = Home::of(data_dir);
        let file = PidFile::read(&home.cluster)?;
        let socket_dir = file.socket_dir.as_deref()?;
        let owner = |path: &Path| fs::symlink_metadata(path).ok().map(|meta| meta.uid());
        // A socket in the system's temporary folder could be somebody else's after ours has gone.
        let ours = owner(socket_dir)? == owner(&home.cluster)?;
        (ours && file.ready && file.is_live(&home.cluster)).then(|| url_for(socket_dir))
    }

    /// The data directory, absolute and without symbolic links.
    pub fn data_dir(&self) -> &Path {
        &self.home.dir
    }

    /// The server's process id.
    pub fn pid(&self) -> i32 {
        self.server.pid()
    }

    /// Completes when the server process has ended, whoever ended it: for supervision.
    pub fn exited(&self) -> impl Future<Output = ExitStatus> + Send + use<> {
        self.server.ended()
    }

    /// Disconnects all clients, shuts the server down and waits for its end.
    ///
    /// # Errors
    /// [`Error::Stop`] if it ignores even an immediate shutdown.
    pub async fn stop(self) -> Result<(), Error> {
        for (signal, patience) in [(Signal::INT, FAST_STOP), (Signal::QUIT, IMMEDIATE_STOP)] {
            self.server.signal(signal);
            if timeout(patience, self.server.ended()).await.is_ok() {
                return Ok(());
            }
        }
        Err(Error::Stop { pid: self.pid() })
    }

    async fn ensure_database(&self) -> Result<(), Error> {
        let socket = self.home.socket_dir.join(SOCKET_FILE);
        let refused = |refusal: Refusal| Error::Database {
            log: self.home.log.clone(),
            message: refusal.to_string(),
        };
        match Session::open(&socket, USER, DATABASE).await {
            Ok(_) => Ok(()),
            Err(Refusal::Server { sqlstate, .. }) if sqlstate == NO_SUCH_DATABASE => {
                let mut session =
                    Session::open(&socket, USER, "postgres").await.map_err(refused)?;
                session.run(&format!("create database {DATABASE}")).await.map_err(refused)
            }
            Err(refusal) => Err(refused(refusal)),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.temporary {
            self.discard();
        } else {
            self.server.signal(Signal::INT);
        }
        self.home.remove_outside_socket_dir();
    }
}

impl Cluster {
    /// Blocks for the few milliseconds an immediate shutdown takes, so that the folder can go.
    fn discard(&self) {
        self.server.signal(Signal::QUIT);
        let deadline = std::time::Instant::now() + IMMEDIATE_STOP;
        while !self.server.has_ended() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Err(error) = fs::remove_dir_all(&self.home.dir) {
            tracing::warn!(dir = %self.home.dir.display(), %error, "A temporary cluster stays behind");
        }
    }
}

/// A folder in the first temporary one that the server's user can reach.
fn new_temporary_dir() -> Result<PathBuf, Error> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let account = Account::first_candidate()?;
    let bases = [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
    let mut refusal = None;
    for base in bases {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let dir = base.join(format!("orderstore-test-{}-{number}", std::process::id()));
        let made = account.check_may_enter(&base).and_then(|()| {
            // A former process with our number may have been killed together with its watcher.
            let _ = fs::remove_dir_all(&dir);
            make_private(&dir)
        });
        match made {
            Ok(()) => return Ok(dir),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or(Error::NoServerAccount))
}

async fn create(home: &Home, account: &Account, options: &Options) -> Result<(), Error> {
    home.begin_cluster(account)?;
    let program = options.binaries.initdb();
    let mut command = server_command(&program, account);
    command.arg("-D").arg(&home.unfinished);
    // The C locale sorts the same on every machine, whatever locales it has.
    command.args(["--encoding=UTF8", "--locale=C", "--auth=trust", "--no-instructions"]);
    command.arg(format!("--username={USER}"));
    if !options.durable {
        command.arg("--no-sync");
    }
    let answer = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Error::run(program))?;
    if !answer.status.success() {
        let said = [answer.stdout, answer.stderr].concat();
        return Err(Error::Initdb {
            cluster: home.unfinished.clone(),
            output: last_lines(&String::from_utf8_lossy(&said)),
        });
    }
    home.finish_cluster()
}

fn check_version(home: &Home, binaries: &Binaries) -> Result<(), Error> {
    let path = home.cluster.join("PG_VERSION");
    let made_by = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let made_by = made_by.trim();
    if made_by == binaries.major().to_string() {
        return Ok(());
    }
    Err(Error::OtherVersion {
        cluster: home.cluster.clone(),
        made_by: made_by.to_owned(),
        installed: binaries.major(),
    })
}

async fn start_server(
    home: &Home,
    account: &Account,
    options: &Options,
    temporary: bool,
) -> Result<Server, Error> {
    let deadline = Instant::now() + START_DEADLINE;
    let pid_file = PidFile::path(&home.cluster);
    let will =
        LastWill { account, pid_file: &pid_file, remove: temporary.then_some(home.dir.as_path()) };
    loop {
        let (log, begin) = home.open_log()?;
        let mut command = postgres_command(home, account, options);
        let copy = log.try_clone().map_err(Error::file("open", &home.log))?;
        command.stdout(log).stderr(copy);
        let server = Server::spawn(command, &will)?;
        if accepts_connections(home, &server, deadline).await {
            return Ok(server);
        }
        let tail = home.log_tail(begin);
        if !(tail.contains(ORPHANS_REMAIN) && Instant::now() < deadline) {
            return Err(Error::Start { log: home.log.clone(), tail });
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn postgres_command(home: &Home, account: &Account, options: &Options) -> Command {
    let mut command = server_command(&options.binaries.postgres(), account);
    command.arg("-D").arg(&home.cluster);
    let sockets = home.socket_dir.to_string_lossy().replace('"', "\"\"");
    let mut settings = vec![
        "listen_addresses=".to_owned(),
        "port=5432".to_owned(),
        format!("unix_socket_directories=\"{sockets}\""),
        "unix_socket_permissions=0700".to_owned(),
        format!("max_connections={}", options.max_connections),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        // Nothing replicates from a private cluster, and bulk loads into new tables need no log.
        "wal_level=minimal".to_owned(),
        "max_wal_senders=0".to_owned(),
        // Or each of its first files costs 16 MB of zeros, for which every other fsync on that disk
        // waits.
        "wal_init_zero=off".to_owned(),
    ];
    if !options.durable {
        // Commits still reach the system before they are answered, so a killed server loses none.
        settings.extend(["fsync=off", "full_page_writes=off"].map(str::to_owned));
    }
    for setting in settings {
        command.arg("-c").arg(setting);
    }
    command
}

fn server_command(program: &Path, account: &Account) -> Command {
    let mut command = Command::new(program);
    for name in FOREIGN_SETTINGS {
        command.env_remove(name);
    }
    // Messages in English, because one of them is recognised; macOS also needs a valid locale.
    command.env("LC_ALL", "C").stdin(Stdio::null());
    account.apply(&mut command);
    command
}

/// False when the server ended or the deadline passed first.
async fn accepts_connections(home: &Home, server: &Server, deadline: Instant) -> bool {
    let socket = home.socket_dir.join(SOCKET_FILE);
    let ready = async {
        // Any other answer than "ready" means that it is still starting or recovering.
        while Session::open(&socket, USER, "postgres").await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        biased;
        _ = server.ended() => false,
        answer = tokio::time::timeout_at(deadline, ready) => answer.is_ok(),
    }
}

fn url_for(socket_dir: &Path) -> String {
    let host = percent_encoded(&socket_dir.to_string_lossy());
    format!("postgres:///{DATABASE}?host={host}&port=5432&user={USER}&sslmode=disable")
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_carries_any_path_through_percent_encoding() {
        assert_eq!(
            url_for(Path::new("/tmp/a b&c=ü")),
            "postgres:///orderstore?host=%2Ftmp%2Fa%20b%26c%3D%C3%BC&port=5432&user=orderstore&sslmode=disable"
        );
    }
}
