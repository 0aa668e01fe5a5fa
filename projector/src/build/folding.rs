//! Folds the events of one partition into rows, on a thread of its own.
//!
//! All events of a stream are in the same partition, so every state begins here, and ends here as
//! the rows that it is kept as.

use std::collections::{BTreeMap, HashMap};

use journal::{Journal, Recorded};
use schemas::{Aggregate, StreamName};
use tokio::runtime::Handle;

use super::long_history::LongHistory;
use super::spill::Partitions;
use crate::ProjectionName;
use crate::failure::Failure;
use crate::fold::{Fold, Poisoned, Taken, Tally};
use crate::projection::{Projection, State as _};
use crate::projections::{With, with};
use crate::quarantine::Exceptions;
use crate::table::Rows;
use crate::writer;

/// How rows are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// All at once.
    Together,
    /// By stream, to find those that the database refuses.
    Apart,
}

/// What a partition came to in one projection.
#[derive(Debug)]
pub(super) struct Folded {
    pub(super) projection: ProjectionName,
    pub(super) tally: Tally,
    pub(super) rows: Rows,
    /// Rows of long streams that are in files.
    pub(super) long: LongHistory,
    /// The rows of each stream, where they are written apart.
    pub(super) streams: Vec<(StreamName, Rows)>,
    pub(super) poisoned: Vec<Poisoned>,
}

/// What it takes to fold.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) journal: Journal,
    /// Where streams are read whose events are missing.
    pub(super) runtime: Handle,
    pub(super) exceptions: BTreeMap<ProjectionName, Exceptions>,
}

impl Folder {
    /// Folds the events of a partition for `projections`.
    pub(super) fn fold(
        &self,
        projections: &[ProjectionName],
        manner: Manner,
        partitions: &Partitions,
        number: u32,
    ) -> Result<Vec<Folded>, Failure> {
        let mut foldings: Vec<_> = projections
            .iter()
            .filter_map(|name| {
                let exceptions = self.exceptions.get(name)?;
                let begin = Begin { folder: self, exceptions, manner, partitions, number };
                Some(with(*name, begin))
            })
            .collect();
        for block in partitions.read(number as usize)? {
            let block = block?;
            for event in block.events()? {
                // What is not ours is left out, as it is everywhere.
                let Some(event) = self.journal.recorded(block.raw(event)) else { continue };
                let category = event.stream.category();
                for folding in foldings.iter_mut().filter(|it| it.category() == category) {
                    folding.take(&event)?;
                }
            }
        }
        Ok(foldings.into_iter().map(Folding::finish).collect())
    }
}

/// A fold, whatever its types.
trait Folding {
    fn category(&self) -> &'static str;
    fn take(&mut self, event: &Recorded) -> Result<(), Failure>;
    fn finish(self: Box<Self>) -> Folded;
}

struct Begin<'a> {
    folder: &'a Folder,
    exceptions: &'a Exceptions,
    manner: Manner,
    partitions: &'a Partitions,
    number: u32,
}

impl<'a> With for Begin<'a> {
    type Output = Box<dyn Folding + 'a>;

    fn with<P: Projection>(self) -> Self::Output {
        let Self { folder, exceptions, manner, partitions, number } = self;
        match manner {
            Manner::Together => {
                let fold = Fold::new(vec![], exceptions).quietly();
                let long = LongHistory::default();
                Box::new(Together::<P> { folder, fold, partitions, number, long })
            }
            Manner::Apart => Box::new(Apart::<P> { folder, exceptions, folds: HashMap::new() }),
        }
    }
}

/// All streams in one.
struct Together<'a, P: Projection> {
    folder: &'a Folder,
    fold: Fold<'a, P>,
    partitions: &'a Partitions,
    number: u32,
    long: LongHistory,
}

impl<P: Projection> Folding for Together<'_, P> {
    fn category(&self) -> &'static str {
        P::Source::CATEGORY
    }

    fn take(&mut self, event: &Recorded) -> Result<(), Failure> {
        take(self.folder, &mut self.fold, event)?;
        while let Some(state) = self.fold.next_long() {
            let mut rows = Rows::default();
            P::history(state, &mut rows);
            self.long.put(rows, self.partitions, self.number)?;
            state.forget_history();
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Folded {
        let rows = rows_of(&self.fold);
        let (poisoned, tally) = self.fold.finish();
        let long = self.long;
        Folded { projection: P::NAME, tally, rows, long, streams: vec![], poisoned }
    }
}

/// Each stream by itself.
struct Apart<'a, P: Projection> {
    folder: &'a Folder,
    exceptions: &'a Exceptions,
    folds: HashMap<StreamName, Fold<'a, P>>,
}

impl<P: Projection> Folding for Apart<'_, P> {
    fn category(&self) -> &'static str {
        P::Source::CATEGORY
    }

    fn take(&mut self, event: &Recorded) -> Result<(), Failure> {
        let fold = self
            .folds
            .entry(event.stream.clone())
            .or_insert_with(|| Fold::new(vec![], self.exceptions).quietly());
        take(self.folder, fold, event)
    }

    fn finish(self: Box<Self>) -> Folded {
        let mut folded = Folded {
            projection: P::NAME,
            tally: Tally::default(),
            rows: Rows::default(),
            long: LongHistory::default(),
            streams: vec![],
            poisoned: vec![],
        };
        for (stream, fold) in self.folds {
            folded.streams.push((stream, rows_of(&fold)));
            let (poisoned, tally) = fold.finish();
            folded.poisoned.extend(poisoned);
            folded.tally.applied += tally.applied;
            folded.tally.duplicates += tally.duplicates;
            folded.tally.gaps_healed += tally.gaps_healed;
            folded.tally.quarantined += tally.quarantined;
        }
        folded
    }
}

fn take<P: Projection>(
    folder: &Folder,
    fold: &mut Fold<'_, P>,
    event: &Recorded,
) -> Result<(), Failure> {
    match fold.take(event) {
        Taken::Done => Ok(()),
        Taken::Gap { .. } => folder.runtime.block_on(writer::take(fold, event, &folder.journal)),
    }
}

fn rows_of<P: Projection>(fold: &Fold<'_, P>) -> Rows {
    let mut rows = Rows::default();
    for change in fold.changes() {
        P::rows(change.now, &mut rows);
    }
    rows
}
