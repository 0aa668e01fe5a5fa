//! Why a store could not be looked after.

use std::io;
use std::path::PathBuf;

use super::record::Malformed;
use crate::error::Error;

/// Why something could not be done. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaintenanceError {
    /// There is no database in the directory.
    #[error("there is no event store in {}", directory.display())]
    Missing {
        /// The directory.
        directory: PathBuf,
    },
    /// The data are of an older version.
    #[error(
        "the event store in {} has an older format; start it once with this version, which brings \
         it up to date",
        directory.display()
    )]
    OlderFormat {
        /// The directory.
        directory: PathBuf,
    },
    /// The data are of a newer version.
    #[error("the event store in {} has a newer format; use the newer version", directory.display())]
    NewerFormat {
        /// The directory.
        directory: PathBuf,
    },
    /// The place for a new directory is taken.
    #[error("{} exists already; choose a directory that does not", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// The directory cannot be opened: for writing because a server uses it, or at all because its
    /// write-ahead log is damaged.
    #[error(transparent)]
    Open(#[from] Error),
    /// A file cannot be read or written.
    #[error("{} cannot be read or written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// What is exported cannot be written, or what is imported cannot be read.
    #[error("the lines cannot be read or written")]
    Lines(#[source] io::Error),
    /// An event is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// A line of an import cannot be taken.
    #[error("line {line}: {what}; nothing was imported")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        what: Malformed,
    },
    /// The database said no.
    #[error("the database cannot be read or written")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server ended meanwhile.
    #[error("the server is stopping")]
    Stopping,
}

impl From<rusqlite::Error> for MaintenanceError {
    fn from(error: rusqlite::Error) -> Self {
        match crate::storage::checksum::damaged(&error) {
            Some(damaged) => Self::Damaged(damaged.to_string()),
            None => Self::Database(error.into()),
        }
    }
}
