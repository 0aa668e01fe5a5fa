//! What can be chosen when a server is started.

use std::path::PathBuf;
use std::time::Duration;

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
    /// Host and port that gossip tells clients. `None` is the listener's own address.
    pub advertised: Option<(String, u16)>,
    /// Largest append (one call, all its events), in bytes.
    pub max_append_size: usize,
    /// How long a stop waits for calls to end before it cuts their connections.
    pub stop_grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data_dir: None,
            durable: true,
            quickack: true,
            advertised: None,
            max_append_size: 1024 * 1024,
            stop_grace: Duration::from_secs(3),
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
