//! What can go wrong when a server is started or while it runs, as the program that runs it sees
//! it. What clients see is in `protocol`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a server could not be started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another server, in this process or another, holds the lock of the data directory.
    #[error(
        "the data directory {} is in use; stop the server that uses it or choose another directory",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The data directory cannot be created, or its lock file cannot be opened.
    #[error("the data directory {} cannot be used; check that it may be written to", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The data was written by a version of this crate that is newer than this one.
    #[error(
        "the data directory {} has format {found}, newer than format {known} of this version; \
         run the newer version",
        path.display()
    )]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// Format of the data.
        found: u32,
        /// The newest format this version reads.
        known: u32,
    },
    /// A file does not hold what was written to it.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found, and what can be done.
        what: String,
    },
    /// There is no space to open the database.
    #[error("the disk of {} is full; free some space and start again", path.display())]
    DiskFull {
        /// The directory.
        path: PathBuf,
    },
    /// `SQLite` refused to open the database or its first statements.
    #[error("the database in {} cannot be opened", path.display())]
    Database {
        /// The directory.
        path: PathBuf,
        /// What `SQLite` said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Callers have to say who they are, and there is nobody they could be.
    #[error(
        "there is no user admin; give a password for it (Authentication::admin_password), with \
         which it is created"
    )]
    NoAdmin,
    /// The first users cannot be looked up or created.
    #[error("the users admin and ops cannot be created")]
    Users(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The certificate or its key cannot be used.
    #[error("TLS cannot be switched on")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The listener is not bound.
    #[error("the listener has no address")]
    Listener(#[source] io::Error),
    /// The writer's thread cannot be started.
    #[error("the writer's thread cannot be started")]
    Thread(#[source] io::Error),
}

/// Why a running server no longer takes writes: a commit or its fsync failed, so that nobody can
/// say what is on the disk. Everything acknowledged before is there; start the server again to go
/// on.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "the event store stopped taking writes after a failed commit; check the disk and start it again"
)]
pub struct Failure(#[source] pub(crate) Arc<rusqlite::Error>);
