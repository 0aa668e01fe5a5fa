//! Bringing the data of an older version into today's format, in transactions of bounded size. A
//! migration that was interrupted goes on at the next start.

use rusqlite::{Connection, OptionalExtension as _};

use super::schema::{EVENT, FORMAT, PLACES, set_format};

/// Events moved in one transaction at most.
const EVENTS: usize = 2_000;

/// Bytes of payload after which a transaction takes no further event.
const BYTES: i64 = 8 * 1024 * 1024;

/// Places copied in one transaction.
const COPIED: usize = 50_000;

/// Events between two lines in the log of the process.
const REPORTED: usize = 200_000;

/// The events of format 1 that have no checksum yet.
const OLD_EVENTS: &str = "event_1";

/// The index of format 2.
const OLD_INDEX: &str = "event_by_place";

/// Whether a migration began and did not end.
pub(super) fn is_unfinished(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(exists(connection, OLD_EVENTS)? || exists(connection, OLD_INDEX)?)
}

fn exists(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let found = connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE name = ?1", [name], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

/// From any older format, or on from where a migration was interrupted. From the first transaction on
/// the number of the format is the new one, so that an older version refuses the half-moved data.
pub(super) fn run(connection: &Connection, found: u32) -> rusqlite::Result<()> {
    match found {
        1 => begin(connection)?,
        older if older < FORMAT => begin_places(connection)?,
        _ => {}
    }
    if exists(connection, OLD_INDEX)? {
        copy_places(connection)?;
    }
    if exists(connection, OLD_EVENTS)? {
        add_checksums(connection)?;
    }
    Ok(())
}

fn begin_places(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(PLACES)?;
    set_format(&transaction)?;
    transaction.commit()
}

/// From format 2, which has an index where there are tables now.
fn copy_places(connection: &Connection) -> rusqlite::Result<()> {
    tracing::info!("the event store's data have an older format: their index is written anew");
    let mut last: (i64, i64) = connection
        .query_row(
            "SELECT stream, revision FROM place ORDER BY stream DESC, revision DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?
        .unwrap_or((i64::MIN, i64::MIN));
    loop {
        let transaction = connection.unchecked_transaction()?;
        let copied = transaction
            .prepare_cached(
                "INSERT INTO place (stream, revision, position)
                 SELECT stream, revision, position FROM event INDEXED BY event_by_place
                 WHERE (stream, revision) > (?1, ?2) ORDER BY stream, revision LIMIT ?3",
            )?
            .execute((last.0, last.1, i64::try_from(COPIED).unwrap_or(i64::MAX)))?;
        transaction.commit()?;
        if copied == 0 {
            break;
        }
        last = connection.query_row(
            "SELECT stream, revision FROM place ORDER BY stream DESC, revision DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
    }
    // The index holds nothing that would have to be destroyed, so its pages need not be overwritten.
    connection.pragma_update(None, "secure_delete", false)?;
    connection.execute_batch("DROP INDEX event_by_place")?;
    connection.pragma_update(None, "secure_delete", true)
}

/// From format 1, which has no checksums.
fn add_checksums(connection: &Connection) -> rusqlite::Result<()> {
    tracing::info!("the event store's data have an older format: every event gets a checksum");
    let (mut moved, mut reported) = (0, 0);
    while let Some(end) = end_of_batch(connection)? {
        moved += move_events(connection, end)?;
        if moved - reported >= REPORTED {
            reported = moved;
            tracing::info!(events = moved, "events got their checksums");
        }
    }
    connection.execute_batch("DROP TABLE event_1")?;
    tracing::info!(events = moved, "the event store's data have the format of this version");
    Ok(())
}

fn begin(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(
        "ALTER TABLE event RENAME TO event_1;
         ALTER TABLE stream ADD COLUMN first INTEGER NOT NULL DEFAULT 0;",
    )?;
    transaction.execute_batch(EVENT)?;
    transaction.execute_batch(PLACES)?;
    set_format(&transaction)?;
    transaction.commit()
}

/// The last position of the next transaction; `None` when all is done.
fn end_of_batch(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT position, length(metadata) + length(data) FROM event_1 ORDER BY position LIMIT ?1",
    )?;
    let mut rows = statement.query([i64::try_from(EVENTS).unwrap_or(i64::MAX)])?;
    let (mut end, mut bytes) = (None, 0);
    while bytes < BYTES
        && let Some(row) = rows.next()?
    {
        end = Some(row.get(0)?);
        bytes += row.get::<_, i64>(1)?;
    }
    Ok(end)
}

/// The old place of an event is overwritten and used again, so the file grows by little.
fn move_events(connection: &Connection, end: i64) -> rusqlite::Result<usize> {
    let transaction = connection.unchecked_transaction()?;
    let moved = transaction
        .prepare_cached(
            "INSERT INTO event
               (position, stream, revision, id, kind, is_json, created, checksum, metadata, data)
             SELECT position, stream, revision, event_1.id, kind, is_json, created,
               event_checksum(position, name, revision, event_1.id, kind, is_json, created,
                              metadata, data),
               metadata, data
             FROM event_1 CROSS JOIN stream ON stream.id = event_1.stream
             WHERE position <= ?1 ORDER BY position",
        )?
        .execute([end])?;
    transaction
        .prepare_cached(
            "INSERT INTO place (stream, revision, position)
             SELECT stream, revision, position FROM event_1 WHERE position <= ?1",
        )?
        .execute([end])?;
    let removed =
        transaction.prepare_cached("DELETE FROM event_1 WHERE position <= ?1")?.execute([end])?;
    if removed != moved {
        // Dropped, the transaction is undone: an event without a stream is not thrown away.
        return Err(rusqlite::Error::StatementChangedRows(moved));
    }
    transaction.commit()?;
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::directory::DataDir;
    use super::super::{checksum, schema, verify};
    use super::*;

    const STREAMS: u64 = 7;
    const OLD_EVENTS: u64 = 5_000;

    /// A directory of format 1, every third event of which was destroyed.
    fn old_directory() -> TempDir {
        let directory = TempDir::new().unwrap();
        let connection = Connection::open(directory.path().join("events.sqlite")).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE stream (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
                 CREATE TABLE event (
                     position INTEGER PRIMARY KEY, stream INTEGER NOT NULL,
                     revision INTEGER NOT NULL, id BLOB NOT NULL, kind TEXT NOT NULL,
                     is_json INTEGER NOT NULL, created INTEGER NOT NULL,
                     metadata BLOB NOT NULL, data BLOB NOT NULL) STRICT;
                 CREATE UNIQUE INDEX event_by_revision ON event (stream, revision);
                 PRAGMA user_version = 1; BEGIN;",
            )
            .unwrap();
        for stream in 0..STREAMS {
            let name = format!("stream-{stream}");
            let row = (sql_number(stream + 1), name);
            connection.execute("INSERT INTO stream VALUES (?1, ?2)", row).unwrap();
        }
        for number in 0..OLD_EVENTS {
            let created = 1_000 + sql_number(number);
            let created = if number % 3 == 0 { -created } else { created };
            connection
                .prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4, 'Kind', 1, ?5, ?6, ?7)")
                .unwrap()
                .execute((
                    sql_number(number + 1),
                    sql_number(number % STREAMS + 1),
                    sql_number(number / STREAMS),
                    uuid::Uuid::from_u128(number.into()).as_bytes(),
                    created,
                    b"{}",
                    format!("event {number}").as_bytes(),
                ))
                .unwrap();
        }
        connection.execute_batch("COMMIT").unwrap();
        directory
    }

    fn sql_number(number: u64) -> i64 {
        i64::try_from(number).unwrap()
    }

    fn check(connection: &Connection) {
        let findings = verify::verify(connection, true, &mut |_| ()).unwrap();
        assert_eq!(findings.problems, []);
        assert_eq!((findings.events, findings.streams), (OLD_EVENTS, STREAMS));
        assert!(!is_unfinished(connection).unwrap());
        let text: String = connection
            .query_row("SELECT CAST(data AS TEXT) FROM event WHERE position = 4321", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(text, "event 4320");
    }

    #[test]
    fn every_event_of_an_old_directory_gets_its_checksum() {
        let old = old_directory();
        let directory = DataDir::open(Some(old.path())).unwrap();
        check(&schema::open_writer(&directory, false).unwrap());
        // And once more, with nothing left to do.
        check(&schema::open_writer(&directory, false).unwrap());
    }

    /// A directory of format 2, without its `event_1`: what a finished migration from format 1 left.
    fn directory_with_index() -> TempDir {
        let old = old_directory();
        let directory = DataDir::open(Some(old.path())).unwrap();
        let connection = schema::open_writer(&directory, false).unwrap();
        connection
            .execute_batch(
                "DROP TABLE place; DROP TABLE recent_place;
                 CREATE UNIQUE INDEX event_by_place ON event (stream, revision);
                 PRAGMA user_version = 2;",
            )
            .unwrap();
        old
    }

    #[test]
    fn the_index_of_an_old_directory_becomes_a_table() {
        let old = directory_with_index();
        let directory = DataDir::open(Some(old.path())).unwrap();
        check(&schema::open_writer(&directory, false).unwrap());
        check(&schema::open_writer(&directory, false).unwrap());
    }

    #[test]
    fn an_index_that_was_copied_in_part_is_copied_to_its_end() {
        let old = directory_with_index();
        let directory = DataDir::open(Some(old.path())).unwrap();
        let connection = Connection::open(directory.database()).unwrap();
        begin_places(&connection).unwrap();
        connection
            .execute_batch(
                "INSERT INTO place SELECT stream, revision, position FROM event
                 ORDER BY stream, revision LIMIT 1234",
            )
            .unwrap();
        assert!(is_unfinished(&connection).unwrap());
        drop(connection);
        check(&schema::open_writer(&directory, false).unwrap());
    }

    #[test]
    fn an_interrupted_migration_goes_on_at_the_next_start() {
        let old = old_directory();
        let directory = DataDir::open(Some(old.path())).unwrap();
        let connection = Connection::open(directory.database()).unwrap();
        checksum::register(&connection).unwrap();
        begin(&connection).unwrap();
        let end = end_of_batch(&connection).unwrap().unwrap();
        assert_eq!(move_events(&connection, end).unwrap(), EVENTS);
        assert!(is_unfinished(&connection).unwrap());
        drop(connection);
        check(&schema::open_writer(&directory, false).unwrap());
    }
}
