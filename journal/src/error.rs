//! What can go wrong between us and the event store, and what to do about it.

use std::time::Duration;

use schemas::{StreamName, Undecodable};
use thiserror::Error;

use crate::ExpectedRevision;

/// Why the event store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// The stream has moved on. Read its tail, decide again, append at its revision.
    #[error("stream {stream} is at {}, not at {expected}", at(*actual))]
    Conflict {
        /// The stream.
        stream: StreamName,
        /// What the append expected.
        expected: ExpectedRevision,
        /// Revision of the stream's last event; `None` when it has none.
        actual: Option<u64>,
    },
    /// The store did not answer within the deadline. Try again later: it is being reconnected to
    /// meanwhile, for ever.
    #[error(
        "the event store at {target} did not answer within {}: {reason}; is it running, and is --event-store right?",
        seconds(*waited)
    )]
    Unavailable {
        /// Where the store should be; without credentials.
        target: String,
        /// How long was waited.
        waited: Duration,
        /// What was seen last.
        reason: String,
        /// Whether an append may have happened all the same. Repeating it *with the same event
        /// ids at the same revision* is safe and tells.
        in_doubt: bool,
    },
    /// A stored event cannot be read by this build.
    #[error(
        "event {revision} of stream {stream} cannot be read; is this build older than its writer?"
    )]
    Undecodable {
        /// The stream.
        stream: StreamName,
        /// The event's revision.
        revision: u64,
        /// Why.
        source: Undecodable,
    },
    /// An event in one of our streams was not written by us: its metadata lack what ours have.
    #[error("event {revision} of stream {stream} was not written by orderstore: {reason}")]
    Foreign {
        /// The stream.
        stream: String,
        /// The event's revision.
        revision: u64,
        /// What is missing or malformed.
        reason: String,
    },
    /// The events of one append are larger than the store allows. Make fewer or smaller events;
    /// the limit is the store's `MaxAppendSize`.
    #[error(
        "{events} events of {bytes} bytes for stream {stream} are more than the event store accepts in one append"
    )]
    TooLarge {
        /// The stream.
        stream: StreamName,
        /// How many events.
        events: usize,
        /// How large they are together, about.
        bytes: usize,
    },
    /// The stream was deleted for good (tombstoned). It can never be written again.
    #[error("stream {stream} was deleted for good in the event store")]
    StreamDeleted {
        /// The stream.
        stream: String,
    },
    /// The store does not let us. Check user and password in `--event-store`, and the access
    /// control lists of the store.
    #[error(
        "the event store at {target} denied access; check the credentials in --event-store and the access control lists"
    )]
    AccessDenied {
        /// Where the store is; without credentials.
        target: String,
    },
    /// The address of the store makes no sense.
    #[error("--event-store is not usable: {reason}")]
    BadAddress {
        /// What is wrong with it; without credentials.
        reason: String,
    },
    /// The folder for states of long streams cannot be made or looked into.
    #[error("the folder for snapshots, {folder}, is not usable: {reason}")]
    SnapshotFolder {
        /// The folder.
        folder: String,
        /// What the system says.
        reason: String,
    },
    /// The client cannot set up TLS (it does so even when TLS is off).
    #[error(
        "the event store's client cannot set up TLS: either another TLS provider was installed before it, or the \
         system's certificates are unreadable; call journal::prepare_tls first in main, install ca-certificates"
    )]
    Tls,
    /// The store answered something that makes no sense here. A defect, here or there.
    #[error("the event store refused: {reason}")]
    Refused {
        /// Its words.
        reason: String,
    },
    /// The command was given up because this process is stopping, or because deciding it panicked.
    #[error("the command was given up before it was decided")]
    GivenUp,
}

impl Error {
    /// Whether the same call may well succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Conflict { .. })
    }
}

fn at(revision: Option<u64>) -> String {
    ExpectedRevision::after(revision).to_string()
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
