//! Events on their way into and out of streams.

use bytes::Bytes;
use schemas::{Encoded, Metadata, StoredEvent, StreamName, Undecodable};
use uuid::Uuid;

use crate::Position;

/// The state a stream must be in for an append to happen.
///
/// There is no "any": the store checks nothing when it is told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedRevision {
    /// The stream has no events.
    NoStream,
    /// The last event of the stream has exactly this revision (from 0).
    Exact(u64),
}

impl ExpectedRevision {
    /// What to expect of a stream whose last revision is `revision`, `None` if it has no events.
    pub fn after(revision: Option<u64>) -> Self {
        revision.map_or(Self::NoStream, Self::Exact)
    }
}

impl std::fmt::Display for ExpectedRevision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoStream => f.write_str("no stream"),
            Self::Exact(revision) => write!(f, "revision {revision}"),
        }
    }
}

/// An event that is to be appended.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    /// Its id; derived (see [`ids::event_id`](crate::ids::event_id)), so that a repeated append is
    /// recognised.
    pub event_id: Uuid,
    /// Type, version and data.
    pub encoded: Encoded,
    /// Who, why and because of what. `schema_version` must be the version in `encoded`.
    pub metadata: Metadata,
}

/// Where appended events ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Revision of the last of them.
    pub revision: u64,
    /// Position of the last of them.
    pub position: Position,
}

/// An event as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The stream it is in.
    pub stream: StreamName,
    /// Its number in the stream, from 0, without gaps.
    pub revision: u64,
    /// Its place in the log of everything.
    pub position: Position,
    /// Its id.
    pub event_id: Uuid,
    /// Stored name of its type.
    pub event_type: String,
    /// Who, why and because of what.
    pub metadata: Metadata,
    /// JSON, in the shape of version `metadata.schema_version`.
    pub data: Bytes,
}

impl Recorded {
    /// The event itself, lifted to the newest shape.
    ///
    /// # Errors
    /// See [`Undecodable`].
    pub fn decode<E: StoredEvent>(&self) -> Result<E, Undecodable> {
        E::decode(&self.event_type, self.metadata.schema_version, &self.data)
    }
}
