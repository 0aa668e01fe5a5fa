//! What a stream amounts to, so that two of them can be compared without keeping them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use embedded_store::maintenance::Record;

/// Some events of a stream, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    first: u64,
    last: u64,
    count: u64,
    /// Over everything the events say, in order.
    content: u64,
}

impl Tally {
    pub(super) fn begin(record: &Record) -> Self {
        let (first, last) = (record.revision, record.revision);
        let mut tally = Self { first, last, count: 0, content: 0 };
        tally.add(record);
        tally
    }

    pub(super) fn add(&mut self, record: &Record) {
        let mut hasher = DefaultHasher::new();
        self.content.hash(&mut hasher);
        (record.revision, record.id.as_u128(), &record.kind).hash(&mut hasher);
        (&record.metadata, &record.data).hash(&mut hasher);
        self.content = hasher.finish();
        self.last = record.revision;
        self.count += 1;
    }

    /// Whether an event at this revision belongs to it.
    pub(super) fn covers(&self, revision: u64) -> bool {
        (self.first..=self.last).contains(&revision)
    }
}
