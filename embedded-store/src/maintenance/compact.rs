//! Compaction of a store that no server uses.

use std::fs;
use std::path::Path;

use super::{MaintenanceError, Phase, Progress, reader};
use crate::storage;

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Events that were removed.
    pub events: u64,
    /// Bytes of what they said.
    pub bytes: u64,
    /// Size of the database before.
    pub size_before: u64,
    /// Size of the database after.
    pub size_after: u64,
}

/// Removes every event that is hidden for good and writes the database anew without the space that
/// they took. Needs as much free space as the result takes.
pub fn compact(
    directory: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Compacted, MaintenanceError> {
    // Says so if there is nothing, where opening for writing would create it.
    drop(reader(directory)?);
    let opened = storage::open_offline(directory)?;
    let database = storage::database_in(directory);
    let size = || {
        let metadata = fs::metadata(&database);
        let failed = |source| MaintenanceError::File { path: database.clone(), source };
        metadata.map(|metadata| metadata.len()).map_err(failed)
    };
    let size_before = size()?;
    let (events, bytes) = opened.compact(&mut |done, total| {
        progress(Progress { phase: Phase::Streams, done, total });
    })?;
    progress(Progress { phase: Phase::Copying, done: 0, total: 1 });
    opened.rewrite()?;
    drop(opened);
    Ok(Compacted { events, bytes, size_before, size_after: size()? })
}
