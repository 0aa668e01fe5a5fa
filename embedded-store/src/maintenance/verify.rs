//! Whether a store is what it should be.

use std::path::Path;
use std::sync::Arc;

use super::{MaintenanceError, Progress, reader};
use crate::error::Error;
use crate::storage;

/// How much of the file itself is checked. Events and streams always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Every page, but not whether the indexes agree with their tables in both directions.
    Quick,
    /// Everything. Takes longer, in one step during which the write-ahead log of a running server
    /// cannot be emptied.
    Full,
}

/// What was checked, and what is wrong.
#[derive(Debug)]
pub struct Verified {
    /// Events in the log, those whose content was destroyed included.
    pub events: u64,
    /// Streams that were ever written to.
    pub streams: u64,
    /// What is wrong; empty if nothing is.
    pub problems: Vec<Problem>,
    /// Problems beyond those that are listed.
    pub more: u64,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file is damaged, in `SQLite`'s words.
    #[error("the database file: {0}")]
    File(String),
    /// The log cannot be read any further.
    #[error("the log cannot be read after position {after}: {reason}")]
    Unreadable {
        /// The last position that can be read.
        after: u64,
        /// Why.
        reason: String,
    },
    /// An event is not what was written.
    #[error(
        "event {revision} of stream '{stream}' (position {position}) does not match its checksum"
    )]
    Damaged {
        /// Its stream.
        stream: Arc<str>,
        /// Its place there.
        revision: u64,
        /// Its place in the log.
        position: u64,
    },
    /// An event's stream has no name.
    #[error("the event at position {position} belongs to no stream")]
    WithoutStream {
        /// Its place in the log.
        position: u64,
    },
    /// The index does not lead to an event.
    #[error("event {revision} of stream '{stream}' (position {position}) is not in the index")]
    NotIndexed {
        /// Its stream.
        stream: Arc<str>,
        /// Its place there.
        revision: u64,
        /// Its place in the log.
        position: u64,
    },
    /// The index leads to events that are not there.
    #[error("{events} events of stream '{stream}' are in the index and not in the log")]
    Missing {
        /// Their stream.
        stream: Arc<str>,
        /// How many there are.
        events: u64,
    },
    /// An event is older than the one before it.
    #[error("the event at position {position} was created before the one that precedes it")]
    Time {
        /// Its place in the log.
        position: u64,
    },
    /// A stream has no event.
    #[error("stream '{stream}' has no event")]
    Empty {
        /// The stream.
        stream: Arc<str>,
    },
    /// Events at a stream's beginning are gone that were not removed by compaction.
    #[error("stream '{stream}' begins with revision {first} and should begin with {expected}")]
    Beginning {
        /// The stream.
        stream: Arc<str>,
        /// Its first revision.
        first: u64,
        /// What that should be.
        expected: u64,
    },
    /// Revisions are missing.
    #[error("stream '{stream}' has {events} events for revisions {first} to {last}")]
    Gap {
        /// The stream.
        stream: Arc<str>,
        /// Its first revision.
        first: u64,
        /// Its last.
        last: u64,
        /// How many there are.
        events: u64,
    },
}

/// Checks the store in a directory, whether or not a server runs on it. If its write-ahead log is
/// damaged, that is the only problem named: nothing else can be checked without it.
pub fn verify(
    directory: &Path,
    depth: Depth,
    progress: &mut dyn FnMut(Progress),
) -> Result<Verified, MaintenanceError> {
    let connection = match reader(directory) {
        Err(MaintenanceError::Open(error @ Error::Damaged { .. })) => {
            let problems = vec![Problem::File(error.to_string())];
            return Ok(Verified { events: 0, streams: 0, problems, more: 0 });
        }
        connection => connection?,
    };
    let findings = storage::verify(&connection, depth == Depth::Full, progress)?;
    let storage::Findings { events, streams, problems, more } = findings;
    Ok(Verified { events, streams, problems, more })
}
