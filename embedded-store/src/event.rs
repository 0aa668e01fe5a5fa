//! The two forms of an event, before and after it has its place in the log. Plain data: no rule, no
//! storage, no protocol.

use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;
use uuid::Uuid;

/// An event that a client wants written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposed {
    pub(crate) id: Uuid,
    pub(crate) kind: Arc<str>,
    pub(crate) is_json: bool,
    pub(crate) metadata: Bytes,
    pub(crate) data: Bytes,
}

/// What an event takes in memory besides its content, roughly.
const OVERHEAD: usize = 200;

impl Proposed {
    /// Bytes that count towards the size of an append.
    pub(crate) fn size(&self) -> usize {
        self.kind.len() + self.metadata.len() + self.data.len()
    }

    /// Bytes that it takes in memory: of empty events too, there cannot be any number.
    pub(crate) fn weight(&self) -> usize {
        self.size() + OVERHEAD
    }
}

/// An event in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Place in the log, from 1. Later events have larger ones; compaction leaves gaps.
    pub(crate) position: u64,
    pub(crate) stream: Arc<str>,
    /// Place in the stream, from 0; [`TOMBSTONE`] for the record that ends a stream for ever.
    pub(crate) revision: u64,
    pub(crate) id: Uuid,
    pub(crate) kind: Arc<str>,
    pub(crate) is_json: bool,
    /// Ticks of 100 ns since 1970; never smaller than that of the event before it.
    pub(crate) created: u64,
    pub(crate) metadata: Bytes,
    pub(crate) data: Bytes,
}

/// A time in ticks of 100 ns since 1970 as people and most programs read it.
pub(crate) fn written_time(ticks: u64) -> String {
    const TICKS_PER_SECOND: u64 = 10_000_000;
    let seconds = i64::try_from(ticks / TICKS_PER_SECOND).unwrap_or(i64::MAX);
    let time = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    format!("{}.{:07}Z", time.format("%Y-%m-%dT%H:%M:%S"), ticks % TICKS_PER_SECOND)
}

/// The revision of the record that ends a stream for ever: the largest signed 64-bit number, as the
/// protocol has it.
pub(crate) const TOMBSTONE: u64 = i64::MAX as u64;

/// Event type of that record.
pub(crate) const TOMBSTONE_KIND: &str = "$streamDeleted";

/// Event type of a stream's metadata.
pub(crate) const METADATA_KIND: &str = "$metadata";

/// Event type of a pointer to an event in another stream.
pub(crate) const LINK_KIND: &str = "$>";
