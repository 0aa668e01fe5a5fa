//! How projections are rebuilt.

use std::path::PathBuf;
use std::time::Duration;

use crate::Options;

/// How projections are rebuilt.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub struct RebuildOptions {
    /// How the workers go on that catch up with what happened meanwhile.
    pub worker: Options,
    /// So many bytes of events are kept in memory; more go to the disk.
    pub memory_bytes: usize,
    /// Where they go to. A folder of its own is made in it.
    pub spill_dir: PathBuf,
    /// So far live projections may fall behind before the rebuild slows down.
    pub max_lag: Duration,
    /// Whether to let everybody else on the machine go first.
    pub gentle: bool,
    /// Whether readers are to see the new generations once they have caught up.
    pub promote: bool,
    /// Whether the new generation is compared with the live one before it is promoted.
    pub compare: bool,
    /// So many rows of a projection may differ then, or it is not promoted; streams that cannot be
    /// compared count as well. If it is not given: none of a generation of the same version, any
    /// number of a new version, whose rows are meant to be others.
    pub threshold: Option<u64>,
    /// Whether to begin anew, although a rebuild of the same projections was left half done.
    pub restart: bool,
    /// Into how many partitions streams are dealt out; by the length of the log if not given.
    pub partitions: Option<u32>,
    /// How many partitions are folded at the same time; as many as there are processors if not
    /// given.
    pub folders: Option<usize>,
}

impl RebuildOptions {
    /// The threshold to keep for whoever goes on with the run: where nothing is to be compared, any
    /// number of rows may differ.
    pub(crate) fn kept_threshold(&self) -> Option<u64> {
        if self.compare { self.threshold } else { Some(u64::MAX) }
    }

    /// How many partitions are folded at the same time.
    pub(crate) fn folders(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(2, Into::into);
        self.folders.unwrap_or_else(processors).max(1)
    }

    /// How many partitions may be in memory at the same time: those that are folded, and one that
    /// is copied meanwhile.
    pub(crate) fn under_way(&self) -> usize {
        self.folders() + 1
    }
}

const MEMORY_BYTES: usize = 256 << 20;
const MAX_LAG: Duration = Duration::from_secs(2);

impl Default for RebuildOptions {
    fn default() -> Self {
        Self {
            worker: Options::default(),
            memory_bytes: MEMORY_BYTES,
            spill_dir: std::env::temp_dir(),
            max_lag: MAX_LAG,
            gentle: true,
            promote: true,
            compare: true,
            threshold: None,
            restart: false,
            partitions: None,
            folders: None,
        }
    }
}

impl From<Options> for RebuildOptions {
    fn from(worker: Options) -> Self {
        let default = Self::default();
        let spill_dir = worker.spill_dir.clone().unwrap_or_else(|| default.spill_dir.clone());
        Self { worker, spill_dir, ..default }
    }
}
