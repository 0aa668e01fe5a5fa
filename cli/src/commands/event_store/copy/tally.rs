//! What a stream amounts to, so that two of them can be compared without keeping them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use embedded_store::maintenance::Record;

/// Some events of a stream, without gaps, of which those from a revision on are compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    /// The first event, compared or not.
    first: u64,
    from: u64,
    last: u64,
    count: u64,
    /// Over everything the events say, in order.
    content: u64,
}

impl Tally {
    pub(super) fn begin(record: &Record, from: u64) -> Self {
        let (first, last) = (record.revision, record.revision);
        let mut tally = Self { first, from: from.max(first), last, count: 0, content: 0 };
        tally.add(record);
        tally
    }

    pub(super) fn add(&mut self, record: &Record) {
        self.last = record.revision;
        if record.revision < self.from {
            return;
        }
        let mut hasher = DefaultHasher::new();
        self.content.hash(&mut hasher);
        (record.revision, record.id.as_u128(), &record.kind).hash(&mut hasher);
        (&record.metadata, &record.data).hash(&mut hasher);
        self.content = hasher.finish();
        self.count += 1;
    }

    /// Whether an event at this revision is compared.
    pub(super) fn covers(&self, revision: u64) -> bool {
        (self.from..=self.last).contains(&revision)
    }

    /// Whether what was found is the same.
    pub(super) fn is(&self, found: Option<&Self>) -> bool {
        let of = |tally: &Self| (tally.count, tally.content);
        of(self) == found.map_or((0, 0), of)
    }

    /// Where the comparison begins, if there are events before.
    pub(super) fn skipped(&self) -> Option<u64> {
        (self.first < self.from).then_some(self.from)
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }
}
