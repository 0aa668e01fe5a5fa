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
    /// So many rows of a projection may differ between the new generation and the live one, or it
    /// is not promoted. Any number may if there is none; nothing is compared with the generation
    /// of an older version, unless [`Self::compare_versions`] is set.
    pub threshold: Option<u64>,
    /// Whether the threshold also holds for a new version of a projection, whose rows are meant
    /// to be others.
    pub compare_versions: bool,
    /// Whether to begin anew, although a rebuild of the same projections was left half done.
    pub restart: bool,
    /// Into how many partitions streams are dealt out; by the length of the log if not given.
    pub partitions: Option<u32>,
    /// How many partitions are folded at the same time; as many as there are processors if not
    /// given.
    pub folders: Option<usize>,
}

impl RebuildOptions {
    /// How many partitions are folded at the same time.
    pub(crate) fn folders(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(2, Into::into);
        self.folders.unwrap_or_else(processors).max(1)
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
            threshold: None,
            compare_versions: false,
            restart: false,
            partitions: None,
            folders: None,
        }
    }
}

impl From<Options> for RebuildOptions {
    fn from(worker: Options) -> Self {
        Self { worker, ..Self::default() }
    }
}
