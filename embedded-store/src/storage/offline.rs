//! The log without a server: opened for reading beside whoever uses it, or for writing by itself.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::directory::{DATABASE, DataDir};
use super::{compact, migration, recovery, schema, sql, ticks_now};
use crate::error::Error;

/// Whether this version understands the data in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Current,
    Older,
    Newer,
    Missing,
}

/// Where the database of a directory is.
pub(crate) fn database_in(directory: &Path) -> PathBuf {
    directory.join(DATABASE)
}

/// Refuses files that `SQLite` would read with a loss, and say nothing. A server that uses them looked
/// at them when it started and changes them meanwhile, so they are left alone then.
pub(crate) fn examine(directory: &Path) -> Result<(), Error> {
    let log = directory.join("events.sqlite-wal");
    if size(&log) == 0 {
        return Ok(());
    }
    let unreadable = |source| Error::DataDir { path: directory.to_owned(), source };
    let lock = match File::open(directory.join("lock")) {
        Ok(lock) => lock,
        // As in a copy of the files that no server was started on.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return examine_unused(directory, &log);
        }
        Err(error) => return Err(unreadable(error)),
    };
    // Shared, or of two that examine at a time one would take the other for a server.
    match lock.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(source)) => return Err(unreadable(source)),
    }
    let examined = examine_unused(directory, &log);
    // Closing alone would not do while a process that is just being started has a copy of the handle.
    lock.unlock().map_err(unreadable)?;
    examined
}

fn examine_unused(directory: &Path, log: &Path) -> Result<(), Error> {
    recovery::sound_log(directory, log, &database_in(directory)).map(drop)
}

/// Bytes of a file; none if it is missing.
fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// Opens the log of a directory for reading. What may be wrong with the files is for [`examine`].
pub(crate) fn reader(directory: &Path) -> rusqlite::Result<(Connection, Format)> {
    let database = database_in(directory);
    if !database.exists() {
        return Ok((Connection::open_in_memory()?, Format::Missing));
    }
    let connection = schema::open_reader(&database)?;
    let format = match schema::format(&connection)? {
        0 => Format::Missing,
        schema::FORMAT if migration::is_unfinished(&connection)? => Format::Older,
        schema::FORMAT => Format::Current,
        older if older < schema::FORMAT => Format::Older,
        _ => Format::Newer,
    };
    Ok((connection, format))
}

/// A log that nobody else uses.
#[derive(Debug)]
pub(crate) struct Offline {
    // Declared before the directory, so that it is closed first.
    pub(crate) connection: Connection,
    _directory: DataDir,
}

/// Opens the log of a directory for writing, and creates it if it is missing.
pub(crate) fn open_offline(directory: &Path) -> Result<Offline, Error> {
    let directory = DataDir::open(Some(directory))?;
    recovery::examine(&directory, true)?;
    let connection = schema::open_writer(&directory, true)?;
    Ok(Offline { connection, _directory: directory })
}

impl Offline {
    /// Removes what is hidden for good; how many events, and bytes of payload. `progress` is told how
    /// many streams of how many were examined.
    pub(crate) fn compact(
        &self,
        progress: &mut dyn FnMut(u64, u64),
    ) -> rusqlite::Result<(u64, u64)> {
        let now = ticks_now();
        let total = self
            .connection
            .query_row("SELECT coalesce(max(id), 0) FROM stream", [], |row| row.get(0))
            .map(sql::unsigned)?;
        let (mut events, mut bytes) = (0, 0);
        let mut next = Some(0);
        while let Some(after) = next {
            progress(sql::unsigned(after), total);
            let candidates = compact::candidates(&self.connection, after, now)?;
            let mut streams = candidates.streams.as_slice();
            while !streams.is_empty() {
                let transaction = self.connection.unchecked_transaction()?;
                let removed = compact::remove(&transaction, streams, now)?;
                transaction.commit()?;
                events += removed.positions.len() as u64;
                bytes += removed.bytes;
                streams = streams.get(removed.done..).unwrap_or_default();
            }
            next = candidates.next;
        }
        Ok((events, bytes))
    }

    /// Writes the database anew, without free space.
    pub(crate) fn rewrite(&self) -> rusqlite::Result<()> {
        compact::rewrite(&self.connection)
    }
}
