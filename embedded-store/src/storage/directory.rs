//! The data directory: where the files are, who may use them, and when a temporary one goes away.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::Error;

/// Name of the database's file.
pub(crate) const DATABASE: &str = "events.sqlite";

/// Name of the database's file while it is being made.
const UNFINISHED: &str = "events.sqlite.new";

/// What `SQLite` adds to a database's name for the files it keeps beside it.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A locked data directory. Dropping it releases the lock and deletes the directory if it is
/// temporary.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    // Declared before the directory, so that it is closed first.
    lock: File,
    _temporary: Option<TempDir>,
}

impl Drop for DataDir {
    /// Closing the file would do, but for a process that is being started at this moment: until it has
    /// become another program it holds a copy of the handle.
    fn drop(&mut self) {
        // An error means that there is no lock.
        let _ = self.lock.unlock();
    }
}

impl DataDir {
    /// Creates the directory if it is missing and locks it for this server.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Error> {
        let (path, temporary) = if let Some(path) = path {
            create(path).map_err(|source| unusable(path, source))?;
            (path.to_owned(), None)
        } else {
            let temporary = TempDir::with_prefix("embedded-store-")
                .map_err(|source| unusable(&std::env::temp_dir(), source))?;
            (temporary.path().to_owned(), Some(temporary))
        };
        let lock = lock(&path)?;
        Ok(Self { path, lock, _temporary: temporary })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Where a database is made before it gets its name.
    pub(crate) fn unfinished_database(&self) -> PathBuf {
        self.path.join(UNFINISHED)
    }

    /// Whether there is a database, complete or not. A file without content is none: that is what
    /// was left of one that never held anything.
    pub(crate) fn has_database(&self) -> io::Result<bool> {
        match fs::metadata(self.database()) {
            Ok(file) => Ok(file.len() > 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes what would mix with a new database: the rest of one that was not finished, and files
    /// that belong to a database which is not there.
    pub(crate) fn clear_for_a_database(&self) -> io::Result<()> {
        let beside = |name: &str| BESIDE.map(|suffix| format!("{name}{suffix}"));
        let names = [UNFINISHED.to_owned()].into_iter().chain(beside(UNFINISHED));
        for name in names.chain(beside(DATABASE)) {
            match fs::remove_file(self.path.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    pub(crate) fn write_ahead_log(&self) -> PathBuf {
        self.path.join("events.sqlite-wal")
    }

    /// Brings the names of the files to the disk. `SQLite` does so too, but does not look whether it
    /// worked.
    pub(crate) fn sync(&self) -> io::Result<()> {
        sync_directory(&self.path)
    }

    /// Brings the write-ahead log to the disk as it is.
    pub(crate) fn sync_write_ahead_log(&self) -> io::Result<()> {
        match File::open(self.write_ahead_log()) {
            Ok(log) => log.sync_all(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Creates a directory and those above it, and sees to it that they are still there after a loss of
/// power.
fn create(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    create(parent)?;
    fs::create_dir_all(path)?;
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    sync_directory(parent)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    // Only there can a directory be opened.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

fn lock(path: &Path) -> Result<File, Error> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join("lock"))
        .map_err(|source| unusable(path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(path, source)),
    }
}

fn unusable(path: &Path, source: io::Error) -> Error {
    Error::DataDir { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_server_at_a_time() {
        let parent = TempDir::new().unwrap();
        let path = parent.path().join("new");
        let first = DataDir::open(Some(&path)).unwrap();
        assert!(matches!(DataDir::open(Some(&path)), Err(Error::InUse { .. })));
        drop(first);
        DataDir::open(Some(&path)).unwrap();
    }

    #[test]
    fn a_temporary_directory_goes_away_with_its_server() {
        let temporary = DataDir::open(None).unwrap();
        let path = temporary.path().to_owned();
        assert!(path.is_dir());
        drop(temporary);
        assert!(!path.exists());
    }
}
