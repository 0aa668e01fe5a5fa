//! What a start finds of the server before it, and what it makes of it. The files are looked at
//! before `SQLite` opens them, because it repairs without saying so, and throws away what it takes
//! for the rest of a crash.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rusqlite::{Connection, ErrorCode, ffi};

use super::directory::DataDir;
use super::writer::UNTIL_READERS_END;
use super::{schema, sql, wal};
use crate::error::Error;

/// What a start found of the server before it, and repaired.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Recovery {
    /// Whether there was nothing to repair: the server before was stopped, or there was none.
    pub clean: bool,
    /// Commits that were in the write-ahead log and are now in the database.
    pub commits: u64,
    /// Bytes of the write-ahead log that these take.
    pub bytes: u64,
    /// Bytes of a commit that was not completed, and so was never answered. They were cut off.
    pub cut: u64,
    /// The newest position of the log, 0 if it is empty.
    pub newest_position: u64,
}

/// Whether what the write-ahead log held is now in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folded {
    Yes,
    /// Another program reads the database.
    Busy,
    /// The disk is full.
    NoSpace,
}

/// Looks at the files before `SQLite` does. Refuses those that it would open with a loss.
///
/// The server before may have ended because an fsync failed: what it wrote last can then be read,
/// and `SQLite` would take it for committed, although it is on no disk. So the write-ahead log is
/// written again before anything is made of it.
pub(super) fn examine(directory: &DataDir, durable: bool) -> Result<Recovery, Error> {
    let log = directory.write_ahead_log();
    let Some(found) = sound_log(directory.path(), &log, &directory.database())? else {
        return Ok(Recovery { clean: true, ..Recovery::default() });
    };
    if durable && found.commits > 0 {
        wal::write_again(&log, found.bytes).map_err(|error| not_used(directory, error))?;
    }
    let (commits, bytes, cut) = (found.commits, found.bytes, found.cut);
    Ok(Recovery { clean: false, commits, bytes, cut, newest_position: 0 })
}

/// What a write-ahead log holds, if there is one. Refuses files that `SQLite` would open with a loss.
pub(super) fn sound_log(
    directory: &Path,
    log: &Path,
    database: &Path,
) -> Result<Option<wal::Found>, Error> {
    let found = wal::examine(log)
        .map_err(|source| Error::DataDir { path: directory.to_owned(), source })?;
    let Some(found) = found else { return Ok(None) };
    if let Some(offset) = found.damaged_at {
        let what = format!(
            "the write-ahead log does not match its checksums at byte {offset}, and what follows \
             was committed later. Restore a backup, or cut the file there to go on without what \
             follows"
        );
        return Err(Error::Damaged { path: log.to_owned(), what });
    }
    let size = fs::metadata(database).map_or(0, |file| file.len());
    if size == 0 && found.commits > 0 {
        let what = format!(
            "it is empty or missing, but its write-ahead log holds {} commits. Restore a backup",
            found.commits
        );
        return Err(Error::Damaged { path: database.to_owned(), what });
    }
    Ok(Some(found))
}

/// Brings what the write-ahead log holds into the database. At a start that also completes what a
/// kill has interrupted between destroying events and cleaning up after that.
pub(super) fn fold(connection: &Connection) -> rusqlite::Result<Folded> {
    match schema::with_patience(connection, UNTIL_READERS_END, sql::empty_write_ahead_log) {
        Ok(true) => Ok(Folded::Yes),
        Ok(false) => Ok(Folded::Busy),
        Err(error) if is_full(&error) => Ok(Folded::NoSpace),
        Err(error) => Err(error),
    }
}

/// Whether an operation failed for lack of space on the disk.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull) || is_index_full(error)
}

/// Whether the index of the write-ahead log (the `-shm` file) could not grow.
pub(super) fn is_index_full(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(ffi::SQLITE_IOERR_SHMSIZE | ffi::SQLITE_IOERR_SHMOPEN))
}

/// Whether the database does not hold what it must hold, as opposed to a disk that cannot be read.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch)
    ) || matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    )
}

/// What a start says when the database cannot be opened or read.
pub(super) fn not_opened(directory: &DataDir, error: rusqlite::Error) -> Error {
    let path = directory.path().to_owned();
    if is_full(&error) {
        return Error::DiskFull { path };
    }
    if is_damage(&error) {
        return damaged(directory.database(), &error);
    }
    Error::Database { path, source: error.into() }
}

/// What a start says when its files cannot be looked at, made or brought to the disk.
pub(super) fn not_used(directory: &DataDir, source: io::Error) -> Error {
    let path = directory.path().to_owned();
    if source.kind() == io::ErrorKind::StorageFull {
        return Error::DiskFull { path };
    }
    Error::DataDir { path, source }
}

fn damaged(path: PathBuf, error: &rusqlite::Error) -> Error {
    let what = format!("{error}. Restore a backup");
    Error::Damaged { path, what }
}

/// Says what was found, once all is well again.
pub(super) fn report(recovery: &Recovery, folded: Folded) {
    if !recovery.clean {
        tracing::warn!(
            commits = recovery.commits,
            bytes = recovery.bytes,
            cut = recovery.cut,
            newest_position = recovery.newest_position,
            "the event store was not stopped cleanly: the commits in its write-ahead log were \
             brought back, what was not committed was cut off"
        );
    }
    match folded {
        Folded::Yes => {}
        Folded::Busy => tracing::warn!(
            "the write-ahead log could not be emptied at the start, and may hold what was deleted; \
             does another program read the database?"
        ),
        Folded::NoSpace => tracing::warn!(
            "the disk is full: the event store serves what there is, and takes appends when there \
             is space"
        ),
    }
}
