//! The database's format and how a connection to it is set up.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, ffi};

use super::directory::DataDir;
use super::{checksum, migration, recovery, sql};
use crate::error::Error;

/// Format of the data, kept in the database's `user_version`. Format 1 had no checksums and no
/// `stream.first`, format 2 an index in place of the tables of places.
pub(super) const FORMAT: u32 = 3;

/// Streams are named once; an event knows its stream by number. `first` is the revision before which
/// compaction left nothing.
const STREAM: &str = "
    CREATE TABLE stream (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        first INTEGER NOT NULL DEFAULT 0
    ) STRICT;
";

/// `position` is the row's own key, so the table is the log in order. The payload stands last, so that
/// a scan that skips an event does not read it.
pub(super) const EVENT: &str = "
    CREATE TABLE event (
        position INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        id BLOB NOT NULL,
        kind TEXT NOT NULL,
        is_json INTEGER NOT NULL,
        created INTEGER NOT NULL,
        checksum BLOB NOT NULL,
        metadata BLOB NOT NULL,
        data BLOB NOT NULL
    ) STRICT;
";

/// Where an event of a stream stands in the log. New places go to the small table and are moved to
/// the large one some at a time: appends to many streams would else write a page of the large one
/// each, six times what the event itself takes. So whatever a stream has in `recent_place` comes
/// after all that it has in `place`.
pub(super) const PLACES: &str = "
    CREATE TABLE place (
        stream INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (stream, revision)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE recent_place (
        stream INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (stream, revision)
    ) STRICT, WITHOUT ROWID;
";

/// Statements kept prepared per connection.
const STATEMENTS: usize = 32;

/// How long the writer waits for a lock of another program.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the database for writing, and creates it in a new directory.
pub(crate) fn open_writer(directory: &DataDir, durable: bool) -> Result<Connection, Error> {
    let failed = |error| recovery::not_opened(directory, error);
    let unusable = |error| recovery::not_used(directory, error);
    if !directory.has_database().map_err(unusable)? {
        make_database(directory, durable)?;
    }
    let mut connection = Connection::open(directory.database()).map_err(failed)?;
    set_up_writer(&connection, durable).map_err(failed)?;
    checksum::register(&connection).map_err(failed)?;
    let found = format(&connection).map_err(failed)?;
    // `SQLite` does so too, but does not look whether it worked. Before anything is written: while
    // the write-ahead log is folded, the database is whole only together with it, and a loss of power
    // must not leave it without its name.
    directory.sync().map_err(unusable)?;
    if found > FORMAT {
        return Err(Error::NewerFormat { path: directory.path().to_owned(), found, known: FORMAT });
    }
    if found == 0 {
        // Begun by a version that made it in its place, and interrupted.
        create(&mut connection).map_err(failed)?;
    } else if found < FORMAT || migration::is_unfinished(&connection).map_err(failed)? {
        migration::run(&connection, found).map_err(failed)?;
    }
    Ok(connection)
}

/// Makes a database beside its place, brings it to the disk, and only then gives it its name. So
/// nobody ever finds one that is half made, whatever a crash or a failed fsync leaves behind.
fn make_database(directory: &DataDir, durable: bool) -> Result<(), Error> {
    let failed = |error| recovery::not_opened(directory, error);
    let unusable = |error| recovery::not_used(directory, error);
    directory.clear_for_a_database().map_err(unusable)?;
    let unfinished = directory.unfinished_database();
    let mut connection = Connection::open(&unfinished).map_err(failed)?;
    // Nothing is worth an fsync before the file is whole.
    set_up_writer(&connection, false).map_err(failed)?;
    create(&mut connection).map_err(failed)?;
    let is_whole = sql::empty_write_ahead_log(&connection).map_err(failed)?;
    connection.close().map_err(|(_connection, error)| failed(error))?;
    if !is_whole {
        return Err(unusable(io::ErrorKind::ResourceBusy.into()));
    }
    if durable {
        File::open(&unfinished).and_then(|file| file.sync_all()).map_err(unusable)?;
    }
    fs::rename(&unfinished, directory.database()).map_err(unusable)
}

fn set_up_writer(connection: &Connection, durable: bool) -> rusqlite::Result<()> {
    keep_statements(connection)?;
    connection.busy_timeout(PATIENCE)?;
    // In a new database, and therefore before anything else: what compaction frees can be given back
    // without writing everything anew. Costs a page of book-keeping for every 800 pages.
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    use_write_ahead_log(connection)?;
    connection.pragma_update(None, "synchronous", synchronous(durable))?;
    // Kibibytes. Appends to many streams touch the index at random; but where its pages are split,
    // SQLite (3.51) looks at every cached page when it commits, until a database has 1 GiB
    // (`sqlite3PcacheTruncate` after `balance_nonroot`). With four times as much that was a seventh
    // of the writer's time, and stores of 10,000,000 events were filled no faster.
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    // When a table outgrows its first page, rows are copied and their old place stays as it was.
    // Zeroed instead, or a row that is scrubbed later could still be found there.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)
}

/// Has statements prepared once. Without its stability guarantee `SQLite` (3.51) looks at what a
/// `LIMIT` is bound to, and prepares the statement anew for every page that is read
/// (`sqlite3ExprIsInteger`).
fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

/// `SQLite` answers that it has changed the mode before it does so. Whoever does not ask on misses
/// that it failed, and goes on with the older kind of journal, which may take back a commit after a
/// loss of power.
fn use_write_ahead_log(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA journal_mode = wal")?;
    let mut rows = statement.query([])?;
    let mode: Option<String> = rows.next()?.map(|row| row.get(0)).transpose()?;
    while rows.next()?.is_some() {}
    if mode.as_deref() == Some("wal") {
        return Ok(());
    }
    let said =
        "the database cannot be given a write-ahead log; is it on a network drive?".to_owned();
    let code = ffi::Error::new(ffi::SQLITE_IOERR);
    Err(rusqlite::Error::SqliteFailure(code, Some(said)))
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

/// Which format a database has.
pub(crate) fn format(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(STREAM)?;
    transaction.execute_batch(EVENT)?;
    transaction.execute_batch(PLACES)?;
    set_format(&transaction)?;
    transaction.commit()
}

pub(super) fn set_format(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "user_version", FORMAT)
}

/// Opens the database for folding the write-ahead log into it.
pub(super) fn open_folder(database: &Path, durable: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.pragma_update(None, "synchronous", synchronous(durable))?;
    Ok(connection)
}

/// FULL makes every commit in WAL mode wait for its fsync, and a checkpoint for those of both files.
fn synchronous(durable: bool) -> &'static str {
    if durable { "full" } else { "off" }
}

/// Opens the database for reading.
pub(crate) fn open_reader(database: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    keep_statements(&connection)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "cache_size", -8_192)?;
    checksum::register(&connection)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use rusqlite::{StatementStatus, params_from_iter};

    use super::*;

    #[test]
    fn statements_that_read_pages_are_prepared_once() {
        let directory = DataDir::open(None).unwrap();
        let writer = open_writer(&directory, false).unwrap();
        let reader = open_reader(&directory.database()).unwrap();
        let reading = [
            sql::FORWARDS_IN_STREAM,
            sql::BACKWARDS_IN_STREAM,
            sql::FORWARDS_IN_LOG,
            sql::BACKWARDS_IN_LOG,
        ];
        for connection in [&writer, &reader] {
            for sql in reading {
                for page in 1..=2 {
                    let mut statement = connection.prepare_cached(sql).unwrap();
                    let arguments = vec![page; statement.parameter_count()];
                    let mut rows = statement.query(params_from_iter(arguments)).unwrap();
                    while rows.next().unwrap().is_some() {}
                    drop(rows);
                    assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
                }
            }
        }
    }
}
