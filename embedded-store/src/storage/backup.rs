//! A copy of the database as it is at one moment, made while a server may go on writing. The copying
//! reads one snapshot; appends do not wait for it, but until it ends the write-ahead log cannot be
//! emptied and grows by what is written.

use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::Connection;

/// Writes the copy to a new file and brings it to the disk.
pub(crate) fn copy(connection: &Connection, target: &Path) -> rusqlite::Result<()> {
    let Some(name) = target.to_str() else {
        return Err(rusqlite::Error::InvalidPath(target.to_owned()));
    };
    connection.execute("VACUUM INTO ?1", [name])?;
    Ok(())
}

/// Brings a file or a directory to the disk.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
