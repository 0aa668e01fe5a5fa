//! How projectors work. Where the database is, is not here: its address is a secret of the caller.

use std::time::Duration;

/// How projectors work.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Events that are folded into the read models in one transaction, at most
    #[arg(
        long = "projector-batch",
        value_name = "EVENTS",
        env = "ORDERSTORE_PROJECTOR_BATCH",
        default_value_t = BATCH
    )]
    pub batch: usize,

    /// How often a worker with nothing to do shows a sign of life, and looks how far the log is.
    #[arg(skip = HEARTBEAT)]
    pub heartbeat: Duration,

    /// How long a worker must have shown no sign of life before a standby takes over. Several
    /// times `heartbeat`.
    #[arg(skip = TAKE_OVER_AFTER)]
    pub take_over_after: Duration,
}

const BATCH: usize = 2_000;
const HEARTBEAT: Duration = Duration::from_millis(500);
const TAKE_OVER_AFTER: Duration = Duration::from_secs(5);

impl Default for Options {
    fn default() -> Self {
        Self { batch: BATCH, heartbeat: HEARTBEAT, take_over_after: TAKE_OVER_AFTER }
    }
}
