//! The database's format and how a connection to it is set up.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::directory::DataDir;
use crate::error::Error;

/// Format of the data, kept in the database's `user_version`.
const FORMAT: u32 = 1;

/// Streams are named once; an event knows its stream by number. `position` is the row's own key, so
/// the table is the log in order, and the index finds an event by its place in its stream. The
/// payload stands last, so that a scan that skips an event does not read it.
const SCHEMA: &str = "
    CREATE TABLE stream (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE event (
        position INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        id BLOB NOT NULL,
        kind TEXT NOT NULL,
        is_json INTEGER NOT NULL,
        created INTEGER NOT NULL,
        metadata BLOB NOT NULL,
        data BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX event_by_revision ON event (stream, revision);
";

/// Statements kept prepared per connection.
const STATEMENTS: usize = 32;

/// How long the writer waits for a lock of another program.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the database for writing, and creates it in a new directory.
pub(crate) fn open_writer(directory: &DataDir, durable: bool) -> Result<Connection, Error> {
    let failed = |source: rusqlite::Error| Error::Database {
        path: directory.path().to_owned(),
        source: source.into(),
    };
    let mut connection = Connection::open(directory.database()).map_err(failed)?;
    set_up_writer(&connection, durable).map_err(failed)?;
    let found = format(&connection).map_err(failed)?;
    if found > FORMAT {
        return Err(Error::NewerFormat { path: directory.path().to_owned(), found, known: FORMAT });
    }
    if found == 0 {
        create(&mut connection).map_err(failed)?;
    }
    Ok(connection)
}

fn set_up_writer(connection: &Connection, durable: bool) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // FULL makes every commit in WAL mode wait for its fsync.
    connection.pragma_update(None, "synchronous", if durable { "full" } else { "off" })?;
    // Kibibytes. Appends to many streams touch the index at random.
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    // When a table outgrows its first page, rows are copied and their old place stays as it was.
    // Zeroed instead, or a row that is scrubbed later could still be found there.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)
}

/// Does something for which the writer waits longer or shorter than usual.
pub(crate) fn with_patience<T>(
    connection: &Connection,
    patience: Duration,
    act: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.busy_timeout(patience)?;
    let outcome = act(connection);
    connection.busy_timeout(PATIENCE)?;
    outcome
}

fn format(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}

/// Opens the database for reading.
pub(crate) fn open_reader(database: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "cache_size", -8_192)?;
    Ok(connection)
}
