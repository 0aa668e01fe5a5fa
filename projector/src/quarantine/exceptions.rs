//! What is not folded as it comes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use schemas::StreamName;
use sqlx::postgres::PgConnection;

use super::ledger;
use crate::ProjectionName;
use crate::bookkeeping::GenerationId;
use crate::slice::Slice;

/// Streams that wait, and events that are passed over.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Exceptions {
    /// Nothing of these streams is folded.
    pub(crate) quarantined: HashSet<StreamName>,
    /// These events move the revision of their row and nothing else.
    pub(crate) skipped: Arc<Skipped>,
}

impl Exceptions {
    /// Those of a slice of a generation that is being worked on.
    pub(crate) async fn load(
        connection: &mut PgConnection,
        generation: GenerationId,
        slice: Slice,
    ) -> sqlx::Result<Self> {
        Ok(Self {
            quarantined: ledger::quarantined(&mut *connection, generation, slice).await?,
            skipped: Arc::new(Skipped::load(connection, generation.projection).await?),
        })
    }

    /// Those of a fold from the beginning: nothing is quarantined yet.
    pub(crate) async fn at_the_beginning(
        connection: &mut PgConnection,
        projection: ProjectionName,
    ) -> sqlx::Result<Self> {
        let skipped = Arc::new(Skipped::load(connection, projection).await?);
        Ok(Self::only(skipped))
    }

    /// Only skipped events.
    pub(crate) fn only(skipped: Arc<Skipped>) -> Self {
        Self { quarantined: HashSet::new(), skipped }
    }
}

/// Events that somebody has decided to pass over. There are few, and mostly none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Skipped(HashMap<StreamName, BTreeSet<u64>>);

impl Skipped {
    /// Those of `projection`. They are the same for all its generations.
    pub(crate) async fn load(
        connection: &mut PgConnection,
        projection: ProjectionName,
    ) -> sqlx::Result<Self> {
        let events = ledger::skipped(connection, projection).await?;
        Ok(events.into_iter().collect())
    }

    /// Whether the event with this revision is passed over.
    pub(crate) fn contains(&self, stream: &StreamName, revision: u64) -> bool {
        self.0.get(stream).is_some_and(|revisions| revisions.contains(&revision))
    }

    /// The revision of the first event of `stream` from `revision` on that is not passed over.
    pub(crate) fn next_kept(&self, stream: &StreamName, revision: u64) -> u64 {
        let Some(skipped) = self.0.get(stream) else { return revision };
        let mut kept = revision;
        for _ in skipped.range(revision..).zip(revision..).take_while(|(one, all)| *one == all) {
            kept += 1;
        }
        kept
    }
}

impl FromIterator<(StreamName, u64)> for Skipped {
    fn from_iter<I: IntoIterator<Item = (StreamName, u64)>>(events: I) -> Self {
        let mut skipped: HashMap<StreamName, BTreeSet<u64>> = HashMap::new();
        for (stream, revision) in events {
            skipped.entry(stream).or_default().insert(revision);
        }
        Self(skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_skipped_events_comes_the_first_that_is_not() {
        let mug: StreamName = "stock-MUG".parse().unwrap();
        let next_kept = |revisions: &[u64], from| {
            let skipped: Skipped =
                revisions.iter().map(|revision| (mug.clone(), *revision)).collect();
            skipped.next_kept(&mug, from)
        };
        assert_eq!(next_kept(&[], 3), 3);
        assert_eq!(next_kept(&[1, 2], 0), 0);
        assert_eq!(next_kept(&[1, 2], 1), 3);
        assert_eq!(next_kept(&[0, 1, 3], 0), 2);
        assert_eq!(next_kept(&[0, 1, 3], 3), 4);
    }
}
