//! A copy that a server can be started on, made while another runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::verify::{Depth, Verified, verify};
use super::{MaintenanceError, Phase, Progress, reader};
use crate::storage;

/// A backup that was made.
#[derive(Debug)]
pub struct Backup {
    /// Its size on the disk.
    pub bytes: u64,
    /// What its check found: what was damaged in the original is damaged in the copy.
    pub verified: Verified,
}

/// Copies the store in a directory, as it is at one moment, into a new directory. It appears there
/// under its name when it is complete, on the disk and checked.
pub fn backup(
    directory: &Path,
    into: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Backup, MaintenanceError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| MaintenanceError::File { path, source }
    };
    let into = std::path::absolute(into).map_err(failed(into))?;
    if is_taken(&into) {
        return Err(MaintenanceError::Exists { path: into });
    }
    let connection = reader(directory)?;
    let parent = into.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
    fs::create_dir_all(&parent).map_err(failed(&parent))?;
    let unfinished =
        tempfile::Builder::new().prefix(".backup-").tempdir_in(&parent).map_err(failed(&parent))?;
    let database = storage::database_in(unfinished.path());
    progress(Progress { phase: Phase::Copying, done: 0, total: 1 });
    storage::copy(&connection, &database)?;
    storage::sync(&database).map_err(failed(&database))?;
    let verified = verify(unfinished.path(), Depth::Full, progress)?;
    let bytes = fs::metadata(&database).map_err(failed(&database))?.len();
    finish(unfinished, &into, &parent).map_err(failed(&into))?;
    Ok(Backup { bytes, verified })
}

/// Whether something is there that a backup would replace. An empty directory may be.
fn is_taken(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

fn finish(unfinished: tempfile::TempDir, into: &Path, parent: &Path) -> io::Result<()> {
    storage::sync(unfinished.path())?;
    fs::rename(unfinished.path(), into)?;
    // It has another name now and must not be deleted.
    let _ = unfinished.keep();
    storage::sync(parent)
}
