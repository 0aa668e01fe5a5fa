//! The live projection: how fast workers catch up, and how soon what has happened is visible.

mod catching_up;
mod visible;

use std::time::Duration;

use anyhow::ensure;
use projector::read_model::Reader;
use projector::{Options, ProjectionName};

use crate::rebuild::Where;
use crate::stage::Stage;

/// The live projection: catching up with a history, and from append to visible row
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Live {
    #[command(flatten)]
    history: Where,
    /// Orders per second that are placed in the second part
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// Seconds that they are placed for
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Events that a worker folds at once, at most, in the first part
    #[arg(long)]
    batch: Option<usize>,
    /// Slices that each projection is cut into
    #[arg(long, default_value_t = 1)]
    slices: u16,
    /// Orders are only placed in the second part: no processes drive them
    #[arg(long)]
    placing_only: bool,
    /// Only the first part: catching up
    #[arg(long)]
    only_catching_up: bool,
    /// Only the second part: visible rows
    #[arg(long, conflicts_with = "only_catching_up")]
    only_visible: bool,
}

pub(crate) async fn run(live: Live) -> anyhow::Result<()> {
    if !live.only_visible {
        let mut options = Options { slices: live.slices, ..Options::default() };
        options.batch = live.batch.unwrap_or(options.batch);
        catching_up::run(&live.history.find()?, &options).await?;
    }
    if !live.only_catching_up {
        let time = Duration::from_secs(live.seconds);
        visible::run(live.rate, time, !live.placing_only, live.slices).await?;
    }
    Ok(())
}

/// Longer than anything here should take.
const LIMIT: Duration = Duration::from_mins(10);

/// Waits until all projections are where the log is now.
pub(crate) async fn caught_up(stage: &Stage) -> anyhow::Result<()> {
    let head = stage.journal.head().await?;
    let reader = Reader::connect_lazy(&stage.database())?;
    for name in ProjectionName::ALL {
        ensure!(reader.wait_for(name, head, LIMIT).await?.is_there(), "{name} does not catch up");
    }
    reader.close().await;
    Ok(())
}
