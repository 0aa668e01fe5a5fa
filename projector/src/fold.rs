//! Folds a batch of events into rows in memory, and watches over their continuity.
//!
//! Pure: reading the missing revisions of a stream, and writing the rows, is up to others.

use std::collections::{HashMap, HashSet};

use journal::Recorded;
use schemas::StreamName;

use crate::projection::{Change, Projection, State, Unfoldable, decoded, id_of};

/// A batch being folded.
pub(crate) struct Fold<'q, P: Projection> {
    rows: Vec<Slot<P::State>>,
    index: HashMap<<P::State as State>::Key, usize>,
    /// Streams that were quarantined before.
    quarantine: &'q HashSet<StreamName>,
    poisoned: Vec<Poisoned>,
    tally: Tally,
}

/// A row of the batch.
struct Slot<R> {
    /// As it is in the table.
    before: Option<R>,
    /// As it is to be.
    row: Option<R>,
    /// The stream it is folded from, once an event of it has come.
    stream: Option<StreamName>,
    changed: bool,
}

impl<S> Slot<S> {
    fn change(&self) -> Option<Change<'_, S>> {
        let now = self.row.as_ref()?;
        Some(Change { before: self.before.as_ref(), now })
    }
}

/// An event that could not be folded, and with which its stream's quarantine begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Poisoned {
    pub(crate) stream: StreamName,
    pub(crate) revision: u64,
    pub(crate) error: Unfoldable,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It has been dealt with.
    Done,
    /// Events of its stream are missing, from this revision on. It comes again after them.
    Gap {
        /// The first missing revision.
        from: u64,
    },
}

/// What happened while events were folded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) applied: u64,
    pub(crate) duplicates: u64,
    pub(crate) gaps_healed: u64,
    pub(crate) quarantined: u64,
}

impl<'q, P: Projection> Fold<'q, P> {
    /// A batch on top of `rows`, which must be all that its events are about.
    pub(crate) fn new(rows: Vec<P::State>, quarantine: &'q HashSet<StreamName>) -> Self {
        let mut index = HashMap::with_capacity(rows.len());
        let mut slots = Vec::with_capacity(rows.len());
        for row in rows {
            index.insert(row.key(), slots.len());
            slots.push(Slot {
                before: Some(row.clone()),
                row: Some(row),
                stream: None,
                changed: false,
            });
        }
        Self { rows: slots, index, quarantine, poisoned: vec![], tally: Tally::default() }
    }

    /// Folds the next event.
    pub(crate) fn take(&mut self, recorded: &Recorded) -> Taken {
        if self.is_quarantined(&recorded.stream) {
            return Taken::Done;
        }
        let id = match id_of::<P>(&recorded.stream) {
            Ok(id) => id,
            Err(error) => return self.poison(recorded, error),
        };
        let slot = self.slot(P::key(&id), &recorded.stream);
        let next = slot.row.as_ref().map_or(0, |row| row.revision().unsigned_abs() + 1);
        if recorded.revision < next {
            self.tally.duplicates += 1;
            return Taken::Done;
        }
        if recorded.revision > next {
            return Taken::Gap { from: next };
        }
        let Ok(revision) = i64::try_from(recorded.revision) else {
            return self.poison(recorded, Unfoldable::TooLarge);
        };
        let folded = decoded::<P>(recorded).and_then(|event| match &mut slot.row {
            Some(row) => P::evolve(row, &event, recorded),
            none => P::begin(&id, &event, recorded).map(|row| *none = Some(row)),
        });
        if let Err(error) = folded {
            return self.poison(recorded, error);
        }
        if let Some(row) = &mut slot.row {
            let head = row.head();
            *head.revision = revision;
            *head.updated_at = recorded.metadata.recorded_at;
            slot.changed = true;
        }
        self.tally.applied += 1;
        Taken::Done
    }

    /// Quarantines the stream of `recorded`, which cannot be folded: whatever comes after it waits.
    pub(crate) fn poison(&mut self, recorded: &Recorded, error: Unfoldable) -> Taken {
        let (stream, revision) = (recorded.stream.clone(), recorded.revision);
        tracing::error!(
            projection = %P::NAME, %stream, revision, %error,
            "an event cannot be folded; its stream is quarantined until the projector starts again"
        );
        if let Ok(id) = id_of::<P>(&stream) {
            let slot = self.slot(P::key(&id), &stream);
            if let Some(row) = &mut slot.row {
                *row.head().quarantined = true;
                slot.changed = true;
            }
        }
        self.poisoned.push(Poisoned { stream, revision, error });
        self.tally.quarantined += 1;
        Taken::Done
    }

    /// Takes back what was folded into the row with `key`, which the database refuses, and
    /// quarantines its stream. The row that is left to write, if there is any.
    pub(crate) fn refuse(
        &mut self,
        key: &<P::State as State>::Key,
        reason: String,
    ) -> Option<Change<'_, P::State>> {
        let slot = self.index.get(key).and_then(|&at| self.rows.get_mut(at))?;
        let stream = slot.stream.clone()?;
        slot.row = slot.before.clone();
        let next = slot.row.as_ref().map_or(0, |row| row.revision().unsigned_abs() + 1);
        if let Some(row) = &mut slot.row {
            *row.head().quarantined = true;
        }
        let error = Unfoldable::Refused { reason };
        tracing::error!(
            projection = %P::NAME, %stream, revision = next, %error,
            "a row cannot be written; its stream is quarantined until the projector starts again"
        );
        // A stream that was poisoned in this batch as well is now stuck earlier.
        self.poisoned.retain(|poisoned| poisoned.stream != stream);
        self.poisoned.push(Poisoned { stream, revision: next, error });
        self.tally.quarantined += 1;
        slot.change()
    }

    /// Ends the quarantine of all rows. They are written even if no event changes them.
    pub(crate) fn readmit(&mut self) {
        for slot in &mut self.rows {
            if let Some(row) = &mut slot.row {
                *row.head().quarantined = false;
            }
            slot.changed = true;
        }
    }

    /// Counts a gap that has been filled.
    pub(crate) fn healed(&mut self) {
        self.tally.gaps_healed += 1;
    }

    /// What has to be written, in the order in which the first events came.
    pub(crate) fn changes(&self) -> Vec<Change<'_, P::State>> {
        self.rows.iter().filter(|slot| slot.changed).filter_map(Slot::change).collect()
    }

    /// The streams that were quarantined in this batch.
    pub(crate) fn poisoned(&self) -> &[Poisoned] {
        &self.poisoned
    }

    /// What happened.
    pub(crate) fn finish(self) -> (Vec<Poisoned>, Tally) {
        (self.poisoned, self.tally)
    }

    fn is_quarantined(&self, stream: &StreamName) -> bool {
        // Few batches have any poisoned streams, and those that do have few.
        self.quarantine.contains(stream) || self.poisoned.iter().any(|p| p.stream == *stream)
    }

    fn slot(&mut self, key: <P::State as State>::Key, stream: &StreamName) -> &mut Slot<P::State> {
        let at = *self.index.entry(key).or_insert_with(|| {
            self.rows.push(Slot { before: None, row: None, stream: None, changed: false });
            self.rows.len() - 1
        });
        let slot = &mut self.rows[at];
        slot.stream.get_or_insert_with(|| stream.clone());
        slot
    }
}

/// The keys of the rows that `events` are about, each once.
pub(crate) fn keys<P: Projection>(
    events: &[Recorded],
    quarantine: &HashSet<StreamName>,
) -> Vec<<P::State as State>::Key> {
    let mut seen = HashSet::with_capacity(events.len());
    let ids = events
        .iter()
        .filter(|event| !quarantine.contains(&event.stream))
        .filter_map(|event| id_of::<P>(&event.stream).ok());
    ids.map(|id| P::key(&id)).filter(|key| seen.insert(key.clone())).collect()
}
