//! What the target has before anything is written to it. Its streams do not say: one that is deleted
//! looks as if it had never been, and one that is limited hides its beginning, which may be gone or
//! not. So the whole log is read.

use std::collections::{HashMap, HashSet};

use embedded_store::maintenance::Record;
use eventstore::Client;
use indicatif::ProgressBar;
use uuid::Uuid;

use super::limits::Limits;
use super::source::Source;

#[derive(Debug, Default)]
pub(super) struct Present {
    streams: HashMap<String, Extent>,
    /// Hidden until the next append, which would revive them.
    deleted: HashSet<String>,
    /// Ended for ever.
    pub(super) ended: HashSet<String>,
    metadata: HashSet<Uuid>,
}

/// The oldest and the newest revision that are left of a stream.
#[derive(Debug, Clone, Copy)]
struct Extent {
    first: u64,
    last: u64,
}

impl Present {
    pub(super) async fn read(client: &Client, bar: &ProgressBar) -> anyhow::Result<Self> {
        let mut reading = Source::Server(Box::new(client.clone())).begin().await?;
        bar.set_length(reading.last_position);
        bar.set_message("reading the target");
        let mut present = Self::default();
        while let Some(record) = reading.records.recv().await {
            let record = record?;
            bar.set_position(record.position);
            present.take(record);
        }
        Ok(present)
    }

    fn take(&mut self, record: Record) {
        if let Some(original) = record.stream.strip_prefix("$$") {
            self.metadata.insert(record.id);
            if Limits::of(&record).delete() {
                self.deleted.insert(original.to_owned());
            } else {
                self.deleted.remove(original);
            }
        } else if record.is_tombstone() {
            self.ended.insert(record.stream);
        } else if !record.stream.starts_with('$') {
            let (first, last) = (record.revision, record.revision);
            self.streams
                .entry(record.stream)
                .and_modify(|extent| extent.last = last)
                .or_insert(Extent { first, last });
        }
    }

    /// The oldest revision that is left of a stream; 0 if there is nothing.
    pub(super) fn first(&self, stream: &str) -> u64 {
        self.streams.get(stream).map_or(0, |extent| extent.first)
    }

    /// The revision that a stream goes on with.
    pub(super) fn next(&self, stream: &str) -> u64 {
        self.streams.get(stream).map_or(0, |extent| extent.last + 1)
    }

    pub(super) fn deleted(&self) -> impl Iterator<Item = &String> {
        self.deleted.iter()
    }

    /// The first revision that may be sent. Before it events are gone that the target does not take
    /// back; and in a deleted stream, where a repeated append can be taken for one that revives it,
    /// everything that is there counts as sent.
    pub(super) fn sendable(&self, stream: &str) -> u64 {
        if self.deleted.contains(stream) { self.next(stream) } else { self.first(stream) }
    }

    /// Whether metadata with this id were written before.
    pub(super) fn knows_metadata(&self, id: Uuid) -> bool {
        self.metadata.contains(&id)
    }
}
