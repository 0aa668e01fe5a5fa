//! How much of the log is not in the rows yet: counted in the log itself.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use journal::{Journal, Position};
use schemas::Aggregate;
use tokio::time::timeout;

use crate::ProjectionName;
use crate::projection::Projection;
use crate::projections::{With, with};
use crate::slice::{Slice, slice_of};

/// So long is counted at most: whoever asks does not want to wait for a whole log to be read.
const LIMIT: Duration = Duration::from_secs(2);

/// A generation whose lag is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Of its streams.
    pub(crate) category: &'static str,
    /// How far each of its slices is.
    pub(crate) positions: Vec<Position>,
}

/// The part of the log that is not in the rows of a generation yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Events of its streams that are not folded yet.
    pub events: u64,
    /// Whether there may be more than were counted, because counting took too long.
    pub at_least: bool,
    /// When the first of them was recorded.
    pub oldest: Option<DateTime<Utc>>,
}

impl Line {
    fn end(&self) -> Position {
        self.positions.iter().min().copied().unwrap_or_default()
    }

    /// Whether what is at `position` in `stream` is not folded yet.
    fn lacks(&self, stream: &str, position: Position) -> bool {
        let of = u16::try_from(self.positions.len()).unwrap_or(u16::MAX);
        if of <= Slice::WHOLE.of {
            return position > self.end();
        }
        self.positions.get(usize::from(slice_of(stream, of))).is_some_and(|it| position > *it)
    }
}

/// The category of the streams that `projection` folds.
pub(crate) fn category_of(projection: ProjectionName) -> &'static str {
    with(projection, Category)
}

struct Category;

impl With for Category {
    type Output = &'static str;

    fn with<P: Projection>(self) -> Self::Output {
        P::Source::CATEGORY
    }
}

/// The lag of all `lines`, in one pass over the log up to `to`.
pub(crate) async fn lags(
    journal: &Journal,
    lines: &[Line],
    to: Position,
) -> Result<Vec<Lag>, journal::Error> {
    let mut lags = vec![Lag::default(); lines.len()];
    let from = lines.iter().map(Line::end).min().unwrap_or(to);
    if from >= to {
        return Ok(lags);
    }
    let counting = async {
        let mut events = journal.read_all(from);
        while let Some(event) = events.try_next().await? {
            if event.position > to {
                break;
            }
            for (line, lag) in lines.iter().zip(&mut lags) {
                if event.stream.category() == line.category
                    && line.lacks(event.stream.as_str(), event.position)
                {
                    lag.events += 1;
                    lag.oldest.get_or_insert(event.metadata.recorded_at);
                }
            }
        }
        Ok(())
    };
    match timeout(LIMIT, counting).await {
        Ok(counted) => counted?,
        Err(_) => {
            for (line, lag) in lines.iter().zip(&mut lags) {
                lag.at_least = line.end() < to;
            }
        }
    }
    Ok(lags)
}
