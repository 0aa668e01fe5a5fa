//! How projectors work. Where the database is, is not here: its address is a secret of the caller.

use std::path::PathBuf;
use std::time::Duration;

use crate::ProjectionName;
use crate::projections::Definition;

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

    /// Into how many slices new generations of read models are cut. Slices are folded side by side
    /// and shared out between the projectors that run; those that are there keep theirs until they
    /// are rebuilt. 0: as many as the generation that is replaced has, and one if there is none
    #[arg(
        long = "projector-slices",
        value_name = "NUMBER",
        env = "ORDERSTORE_PROJECTOR_SLICES",
        default_value_t = AS_BEFORE,
        value_parser = clap::value_parser!(u16).range(0..=MOST_SLICES)
    )]
    pub slices: u16,

    /// What this process is called in the status of projections. Default: the name of the machine
    #[arg(long = "projector-name", value_name = "NAME", env = "ORDERSTORE_PROJECTOR_NAME")]
    pub name: Option<String>,

    /// For how many seconds read models that were replaced are kept up to date, so that they can be
    /// rolled back to
    #[arg(
        long = "projector-keep-previous",
        value_name = "SECONDS",
        env = "ORDERSTORE_PROJECTOR_KEEP_PREVIOUS",
        default_value = "3600",
        value_parser = seconds
    )]
    pub keep_previous: Duration,

    /// Where events go to that are too many for the memory while a new version is built. Default:
    /// the data directory of `orderstore up`, else the system's temporary folder, which may itself
    /// be memory
    #[arg(long = "projector-spill-dir", value_name = "FOLDER", env = "ORDERSTORE_SPILL_DIR")]
    pub spill_dir: Option<PathBuf>,

    /// How often a worker with nothing to do shows a sign of life, and looks how far the log is.
    #[arg(skip = HEARTBEAT)]
    pub heartbeat: Duration,

    /// How long a worker must have shown no sign of life before a standby takes over. Several
    /// times `heartbeat`.
    #[arg(skip = TAKE_OVER_AFTER)]
    pub take_over_after: Duration,

    /// Makes this process pass for a build whose projections are so many versions further. For
    /// tests of deployments.
    #[doc(hidden)]
    #[arg(skip)]
    pub versions_ahead: i32,
}

const BATCH: usize = 8_000;
/// As many slices as there were.
const AS_BEFORE: u16 = 0;
const MOST_SLICES: i64 = 1_024;
const KEEP_PREVIOUS: Duration = Duration::from_hours(1);
const HEARTBEAT: Duration = Duration::from_millis(500);
const TAKE_OVER_AFTER: Duration = Duration::from_secs(5);

impl Default for Options {
    fn default() -> Self {
        Self {
            batch: BATCH,
            slices: AS_BEFORE,
            name: None,
            keep_previous: KEEP_PREVIOUS,
            spill_dir: None,
            heartbeat: HEARTBEAT,
            take_over_after: TAKE_OVER_AFTER,
            versions_ahead: 0,
        }
    }
}

impl Options {
    /// What this process is called.
    pub(crate) fn name(&self) -> String {
        let machine = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.name.clone().unwrap_or_else(machine)
    }

    /// The version of fold and tables that this process has of `projection`.
    pub(crate) fn version_of(&self, projection: ProjectionName) -> i32 {
        Definition::of_name(projection).version + self.versions_ahead
    }
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}
