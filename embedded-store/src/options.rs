//! What can be chosen when a server is started.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// Largest append unless something else is said, in bytes: that of EventStoreDB.
pub const MAX_APPEND_SIZE: usize = 1 << 20;

/// Choices for [`serve`](crate::serve). The default keeps the data in a temporary directory.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the data lives; created if missing. `None` is a new temporary directory that is
    /// deleted when the server has stopped.
    pub data_dir: Option<PathBuf>,
    /// Whether an append is answered only after it reached the disk (fsync). When off, a crash of
    /// the process loses nothing, but a crash of the machine may lose the newest appends and damage
    /// the database.
    pub durable: bool,
    /// Whether received packets are acknowledged at once (Linux only). The official Rust client
    /// leaves Nagle's algorithm on and needs this, or each of its calls takes 40 ms more.
    pub quickack: bool,
    /// Whether a new log begins with an event of the server's own, as EventStoreDB's does. Some clients
    /// look for one before they have written anything. Off by default.
    pub opening_event: bool,
    /// Host and port that gossip tells clients. `None` is the listener's own address.
    pub advertised: Option<(String, u16)>,
    /// Largest append (one call, all its events), in bytes.
    pub max_append_size: usize,
    /// How long a stop waits for calls to end before it cuts their connections.
    pub stop_grace: Duration,
    /// Whether connections are encrypted. `None`: they are not, and clients need `tls=false`.
    pub tls: Option<Tls>,
    /// Whether callers have to say who they are. `None`: everybody may do everything, and
    /// credentials are ignored.
    pub authentication: Option<Authentication>,
}

/// Which certificate the server shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// One from PEM files. They are read again every minute, so that a new certificate can be put
    /// in their place while the server runs.
    Files {
        /// The server's certificate, then those that lead to one that clients trust.
        certificate_chain: PathBuf,
        /// The key of the first of them.
        private_key: PathBuf,
    },
    /// One from an authority of the server's own, which is created in the data directory.
    /// [`Server::ca_file`](crate::Server::ca_file) is what clients have to trust.
    Development,
}

/// How callers are recognised: by login and password, of users that are kept in the store.
#[derive(Debug, Clone, Default)]
pub struct Authentication {
    /// The password of the user `admin`, who is created with it if there is none. A store without
    /// this user does not start without it.
    pub admin_password: Option<SecretString>,
    /// The password of the user `ops`, who is created with it if there is none.
    pub ops_password: Option<SecretString>,
    /// Whether streams can be used without credentials, where their access lists say so. Without a
    /// list, everybody may use an ordinary stream.
    pub anonymous_streams: bool,
}

impl Authentication {
    /// The users `admin` and `ops` with these passwords.
    pub fn with_passwords(admin: impl Into<SecretString>, ops: impl Into<SecretString>) -> Self {
        Self {
            admin_password: Some(admin.into()),
            ops_password: Some(ops.into()),
            anonymous_streams: false,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data_dir: None,
            durable: true,
            quickack: true,
            opening_event: false,
            advertised: None,
            max_append_size: MAX_APPEND_SIZE,
            stop_grace: Duration::from_secs(3),
            tls: None,
            authentication: None,
        }
    }
}

impl Options {
    /// A durable store in this directory.
    pub fn at(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: Some(data_dir.into()), ..Self::default() }
    }

    /// A store for tests: in a temporary directory, without fsync.
    pub fn temporary() -> Self {
        Self { durable: false, ..Self::default() }
    }
}
