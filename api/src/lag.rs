//! How far projections are behind the log: asked of the log itself, because a worker that has died
//! does not say that it lags.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::TryStreamExt;
use futures::future::join_all;
use journal::{Journal, Position};
use projector::read_model::SliceState;
use tokio::time::timeout;

/// Time that asking the event store may take.
const LIMIT: Duration = Duration::from_secs(1);

/// How far slices are behind the log.
pub(crate) struct Lags {
    head: Position,
    /// How long ago the event right behind a position was recorded.
    milliseconds: BTreeMap<Position, i64>,
}

impl Lags {
    /// `None` when the event store does not answer in time.
    pub(crate) async fn read(journal: &Journal, slices: &[SliceState]) -> Option<Self> {
        timeout(LIMIT, Self::ask(journal, slices)).await.ok().flatten()
    }

    async fn ask(journal: &Journal, slices: &[SliceState]) -> Option<Self> {
        let now = journal.clock().now();
        let head = journal.head().await.ok()?;
        let followed = slices.iter().filter(|slice| slice.is_followed());
        let behind = followed.map(|slice| slice.position).filter(|position| *position < head);
        let mut positions: Vec<_> = behind.collect();
        positions.sort_unstable();
        positions.dedup();
        let ages = positions.into_iter().map(|position| async move {
            let next = journal.read_all(position).try_next().await.ok()?;
            // Behind it there may be nothing but events that are not ours.
            let age = next.map_or(0, |event| (now - event.metadata.recorded_at).num_milliseconds());
            Some((position, age.max(0)))
        });
        let milliseconds = join_all(ages).await.into_iter().collect::<Option<_>>()?;
        Some(Self { head, milliseconds })
    }

    /// How far `slice` is from the end of the log, in the log's own unit.
    pub(crate) fn positions(&self, slice: &SliceState) -> u64 {
        self.head.commit.saturating_sub(slice.position.commit)
    }

    /// How long ago the first event was recorded that `slice` has not come to yet; 0 at the end.
    pub(crate) fn milliseconds(&self, slice: &SliceState) -> i64 {
        self.milliseconds.get(&slice.position).copied().unwrap_or(0)
    }
}
