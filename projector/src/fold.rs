//! Folds a batch of events into rows in memory, and watches over their continuity.
//!
//! Pure: reading the missing revisions of a stream, and writing the rows, is up to others.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Display, Formatter};
use std::ops::AddAssign;

use journal::Recorded;
use schemas::StreamName;

use crate::projection::{Change, EventOf, Projection, State, Unfoldable, decoded, id_of};
use crate::quarantine::Exceptions;

/// A batch being folded.
pub(crate) struct Fold<'q, P: Projection> {
    rows: Vec<Slot<P::State>>,
    index: HashMap<<P::State as State>::Key, usize>,
    /// Streams that were quarantined before, and events to pass over.
    exceptions: &'q Exceptions,
    poisoned: Vec<Poisoned>,
    /// Their streams.
    stuck: HashSet<StreamName>,
    tally: Tally,
    /// Whether somebody else tells about poisoned events.
    quiet: bool,
    /// Rows whose history has become long, by their numbers.
    long: Vec<usize>,
}

/// So many rows make a history long.
const LONG: usize = 1 << 14;

/// A row of the batch.
struct Slot<R> {
    /// As it is in the table.
    before: Option<R>,
    /// As it is to be.
    row: Option<R>,
    /// The stream it is folded from, once an event of it has come.
    stream: Option<StreamName>,
    changed: bool,
    /// How many bytes it takes, once it is written.
    bytes: Option<usize>,
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
    /// As stored; unknown if not even that could be read.
    pub(crate) event_type: Option<String>,
    pub(crate) error: Unfoldable,
}

impl Display for Poisoned {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { stream, revision, error, .. } = self;
        write!(f, "event {revision} of {stream}: {error}")
    }
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

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.applied += more.applied;
        self.duplicates += more.duplicates;
        self.gaps_healed += more.gaps_healed;
        self.quarantined += more.quarantined;
    }
}

impl<'q, P: Projection> Fold<'q, P> {
    /// A batch on top of `rows`, which must be all that its events are about.
    pub(crate) fn new(rows: Vec<P::State>, exceptions: &'q Exceptions) -> Self {
        let mut index = HashMap::with_capacity(rows.len());
        let mut slots = Vec::with_capacity(rows.len());
        for row in rows {
            index.insert(row.key(), slots.len());
            slots.push(Slot {
                before: Some(row.clone()),
                row: Some(row),
                stream: None,
                changed: false,
                bytes: None,
            });
        }
        Self {
            rows: slots,
            index,
            exceptions,
            poisoned: vec![],
            stuck: HashSet::new(),
            tally: Tally::default(),
            quiet: false,
            long: vec![],
        }
    }

    /// Leaves it to others to tell about poisoned events, which may be as many as there are streams.
    pub(crate) fn quietly(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Folds the next event.
    pub(crate) fn take(&mut self, recorded: &Recorded) -> Taken {
        if self.is_quarantined(&recorded.stream) {
            return Taken::Done;
        }
        let skipped = &self.exceptions.skipped;
        let is_skipped = skipped.contains(&recorded.stream, recorded.revision);
        let id = match id_of::<P>(&recorded.stream) {
            Ok(id) => id,
            Err(_) if is_skipped => return Taken::Done,
            Err(error) => return self.poison(recorded, error),
        };
        let at = self.slot(P::key(&id), &recorded.stream);
        let slot = &mut self.rows[at];
        let next = slot.row.as_ref().map_or(0, |row| row.revision().unsigned_abs() + 1);
        if recorded.revision < next {
            self.tally.duplicates += 1;
            return Taken::Done;
        }
        // Those that are skipped need not have come: it may be that nobody can read them.
        let kept = skipped.next_kept(&recorded.stream, next);
        if recorded.revision > kept {
            return Taken::Gap { from: kept };
        }
        if is_skipped && slot.row.is_none() {
            return Taken::Done;
        }
        let Ok(revision) = i64::try_from(recorded.revision) else {
            return self.poison(recorded, Unfoldable::TooLarge);
        };
        let fold = |event: EventOf<P>| match &mut slot.row {
            Some(row) => P::evolve(row, &event, recorded),
            none => P::begin(&id, &event, recorded).map(|row| *none = Some(row)),
        };
        let folded = if is_skipped { Ok(()) } else { decoded::<P>(recorded).and_then(fold) };
        if let Err(error) = folded {
            return self.poison(recorded, error);
        }
        if let Some(row) = &mut slot.row {
            let head = row.head();
            *head.revision = revision;
            *head.updated_at = recorded.metadata.recorded_at;
            slot.changed = true;
            if row.history() >= LONG {
                self.long.push(at);
            }
        }
        self.tally.applied += u64::from(!is_skipped);
        Taken::Done
    }

    /// Quarantines the stream of `recorded`, which cannot be folded: whatever comes after it waits.
    pub(crate) fn poison(&mut self, recorded: &Recorded, error: Unfoldable) -> Taken {
        let (stream, revision) = (recorded.stream.clone(), recorded.revision);
        if !self.quiet {
            tracing::error!(
                projection = %P::NAME, %stream, revision, %error,
                "an event cannot be folded; its stream is quarantined, and others go on"
            );
        }
        if let Ok(id) = id_of::<P>(&stream) {
            let at = self.slot(P::key(&id), &stream);
            let slot = &mut self.rows[at];
            if let Some(row) = &mut slot.row {
                *row.head().quarantined = true;
                slot.changed = true;
            }
        }
        let event_type = Some(recorded.event_type.clone());
        self.stuck.insert(stream.clone());
        self.poisoned.push(Poisoned { stream, revision, event_type, error });
        self.tally.quarantined += 1;
        Taken::Done
    }

    /// Quarantines the stream of `recorded`, because what is before it cannot be read.
    pub(crate) fn unreadable(&mut self, recorded: &Recorded, error: &journal::Error) {
        let reason = error.to_string();
        self.poison(recorded, Unfoldable::Unreadable { reason });
        if let (journal::Error::Foreign { revision, .. }, Some(poisoned)) =
            (error, self.poisoned.last_mut())
        {
            poisoned.revision = *revision;
            poisoned.event_type = None;
        }
    }

    /// Takes back what was folded into the row with `key`, which the database refuses. Its stream,
    /// which must be tried event by event to find the one that is to blame.
    pub(crate) fn take_back(&mut self, key: &<P::State as State>::Key) -> Option<StreamName> {
        let slot = self.index.get(key).and_then(|&at| self.rows.get_mut(at))?;
        slot.row = slot.before.clone();
        slot.changed = false;
        let stream = slot.stream.clone()?;
        // One that was poisoned in this batch as well is stuck no later than there.
        if self.stuck.remove(&stream) {
            self.poisoned.retain(|poisoned| poisoned.stream != stream);
        }
        Some(stream)
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

    /// A row whose history has become long since this was last asked, for whoever wants to take that
    /// out of memory before all is folded.
    pub(crate) fn next_long(&mut self) -> Option<&mut P::State> {
        let at = self.long.pop()?;
        self.rows[at].row.as_mut()
    }

    /// Counts a gap that has been filled.
    pub(crate) fn healed(&mut self) {
        self.tally.gaps_healed += 1;
    }

    /// What has to be written, in the order in which the first events came.
    pub(crate) fn changes(&self) -> Vec<Change<'_, P::State>> {
        self.rows.iter().filter(|slot| slot.changed).filter_map(Slot::change).collect()
    }

    /// Takes down that all [`Fold::changes`] are written, and how many bytes each of them takes.
    pub(crate) fn written(&mut self, bytes: Vec<usize>) {
        let changed = self.rows.iter_mut().filter(|slot| slot.changed && slot.row.is_some());
        for (slot, bytes) in changed.zip(bytes) {
            slot.bytes = Some(bytes);
        }
    }

    /// The rows that were written, as they are in the table now, and how many bytes each takes; not
    /// those that others are going to write, because their streams are quarantined.
    pub(crate) fn take_written(&mut self) -> impl Iterator<Item = (P::State, usize)> {
        let written = self.rows.iter_mut().filter_map(|slot| Some((slot.row.take()?, slot.bytes?)));
        written.filter_map(|(mut row, bytes)| (!*row.head().quarantined).then_some((row, bytes)))
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
        self.exceptions.quarantined.contains(stream) || self.stuck.contains(stream)
    }

    /// The number of the row with `key`.
    fn slot(&mut self, key: <P::State as State>::Key, stream: &StreamName) -> usize {
        let at = *self.index.entry(key).or_insert_with(|| {
            self.rows.push(Slot {
                before: None,
                row: None,
                stream: None,
                changed: false,
                bytes: None,
            });
            self.rows.len() - 1
        });
        self.rows[at].stream.get_or_insert_with(|| stream.clone());
        at
    }
}

/// The keys of the rows that `events` are about, each once.
pub(crate) fn keys<P: Projection>(
    events: &[Recorded],
    exceptions: &Exceptions,
) -> Vec<<P::State as State>::Key> {
    let mut seen = HashSet::with_capacity(events.len());
    let ids = events
        .iter()
        .filter(|event| !exceptions.quarantined.contains(&event.stream))
        .filter_map(|event| id_of::<P>(&event.stream).ok());
    ids.map(|id| P::key(&id)).filter(|key| seen.insert(key.clone())).collect()
}
