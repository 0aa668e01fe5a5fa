//! Every statement that the writer and the readers share, one function each. Whoever calls decides
//! on transactions.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::checksum::{Checksum, Damaged, Parts};
use crate::event::{Recorded, TOMBSTONE};
use crate::semantics::metadata::Retention;
use crate::semantics::names;

/// `SQLite` integers are signed. Positions and revisions never get that large, but clients send any
/// number.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(crate) fn stream_id(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM stream WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(crate) fn insert_stream(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.prepare_cached("INSERT INTO stream (name) VALUES (?1)")?.insert([name])
}

/// Notes that nothing of a stream is left before this revision.
pub(crate) fn set_first(connection: &Connection, stream: i64, first: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE stream SET first = max(first, ?2) WHERE id = ?1")?
        .execute([stream, signed(first)])
        .map(|_| ())
}

pub(crate) fn insert_event(
    connection: &Connection,
    stream: i64,
    event: &Recorded,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO event
               (position, stream, revision, id, kind, is_json, created, checksum, metadata, data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            signed(event.position),
            stream,
            signed(event.revision),
            event.id.as_bytes(),
            &*event.kind,
            event.is_json,
            signed(event.created),
            checksum(event),
            &*event.metadata,
            &*event.data,
        ])?;
    connection
        .prepare_cached(
            "INSERT INTO recent_place (stream, revision, position) VALUES (?1, ?2, ?3)",
        )?
        .execute([stream, signed(event.revision), signed(event.position)])?;
    Ok(())
}

/// How many places are among the recent ones.
pub(crate) fn recent_places(connection: &Connection) -> rusqlite::Result<usize> {
    let count = connection.query_row("SELECT count(*) FROM recent_place", [], |row| row.get(0))?;
    Ok(usize::try_from(unsigned(count)).unwrap_or(usize::MAX))
}

/// Moves the recent places to where all others are.
pub(crate) fn settle_places(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO place (stream, revision, position)
             SELECT stream, revision, position FROM recent_place ORDER BY stream, revision",
        )?
        .execute([])?;
    connection.prepare_cached("DELETE FROM recent_place")?.execute([]).map(|_| ())
}

/// The checksum of an event as it is written.
fn checksum(event: &Recorded) -> Checksum {
    let parts = Parts {
        position: signed(event.position),
        stream: event.stream.as_bytes(),
        revision: signed(event.revision),
        id: event.id.as_bytes(),
        kind: event.kind.as_bytes(),
        is_json: event.is_json,
        created: signed(event.created),
        metadata: &event.metadata,
        data: &event.data,
    };
    parts.checksum()
}

/// Destroys what the events of a stream before a revision say. How many there were.
///
/// Each row is overwritten where it lies: `SQLite` writes a record of the same size into the place
/// of the old one. Older copies of a row, made when rows next to it were added or removed, are zeroed
/// when they are made (`secure_delete`). For the size to stay, the mark of a scrubbed row is a time
/// before 1970. Its id stays too, for repeated appends.
pub(crate) fn scrub_events(
    connection: &Connection,
    stream: i64,
    before: u64,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "UPDATE event SET created = -created,
               checksum = event_checksum(
                 position, (SELECT name FROM stream WHERE stream.id = ?1), revision, id, kind,
                 is_json, -created, zeroblob(length(metadata)), zeroblob(length(data))),
               metadata = zeroblob(length(metadata)), data = zeroblob(length(data))
             WHERE created >= 0 AND position IN (
               SELECT position FROM place WHERE stream = ?1 AND revision < ?2
               UNION ALL
               SELECT position FROM recent_place WHERE stream = ?1 AND revision < ?2)",
        )?
        .execute(params![stream, signed(before)])
}

/// Removes the events of a stream before a revision.
pub(crate) fn delete_events(
    connection: &Connection,
    stream: i64,
    before: u64,
) -> rusqlite::Result<()> {
    for statement in [
        "DELETE FROM event WHERE position IN (
           SELECT position FROM place WHERE stream = ?1 AND revision < ?2
           UNION ALL
           SELECT position FROM recent_place WHERE stream = ?1 AND revision < ?2)",
        "DELETE FROM place WHERE stream = ?1 AND revision < ?2",
        "DELETE FROM recent_place WHERE stream = ?1 AND revision < ?2",
    ] {
        connection.prepare_cached(statement)?.execute([stream, signed(before)])?;
    }
    Ok(())
}

/// Folds as much of the write-ahead log as the oldest reader has seen, without keeping anybody waiting.
pub(crate) fn fold_write_ahead_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Folds the write-ahead log into the database and empties it. False when a reader that stays too
/// long (another program) is in the way.
pub(crate) fn empty_write_ahead_log(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        let busy: i64 = row.get(0)?;
        Ok(busy == 0)
    })
}

/// The newest revision of a stream; [`TOMBSTONE`] if it was ended for ever.
pub(crate) fn last_revision(connection: &Connection, stream: i64) -> rusqlite::Result<Option<u64>> {
    let last: Option<i64> = connection
        .prepare_cached(
            "SELECT coalesce((SELECT max(revision) FROM recent_place WHERE stream = ?1),
                             (SELECT max(revision) FROM place WHERE stream = ?1))",
        )?
        .query_row([stream], |row| row.get(0))?;
    Ok(last.map(unsigned))
}

/// Id and position of the event at a revision.
pub(crate) fn event_at(
    connection: &Connection,
    stream: i64,
    revision: u64,
) -> rusqlite::Result<Option<(Uuid, u64)>> {
    connection
        .prepare_cached(
            "SELECT id, position FROM event WHERE position = coalesce(
               (SELECT position FROM recent_place WHERE stream = ?1 AND revision = ?2),
               (SELECT position FROM place WHERE stream = ?1 AND revision = ?2))",
        )?
        .query_row([stream, signed(revision)], |row| Ok((uuid(row, 0)?, unsigned(row.get(1)?))))
        .optional()
}

/// Position and time of the newest event.
pub(crate) fn newest(connection: &Connection) -> rusqlite::Result<Option<(u64, u64)>> {
    connection
        .prepare_cached("SELECT position, created FROM event ORDER BY position DESC LIMIT 1")?
        .query_row([], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))
        .optional()
}

/// Ids of the newest events, the newest first, with their stream's number and their revision.
pub(crate) fn newest_ids(
    connection: &Connection,
    count: usize,
) -> rusqlite::Result<Vec<(i64, Uuid, u64)>> {
    connection
        .prepare_cached("SELECT stream, id, revision FROM event ORDER BY position DESC LIMIT ?1")?
        .query_map([signed(count as u64)], |row| {
            Ok((row.get(0)?, uuid(row, 1)?, unsigned(row.get(2)?)))
        })?
        .collect()
}

/// A stream's newest metadata, as it was written.
pub(crate) fn metadata(
    connection: &Connection,
    stream: &str,
) -> rusqlite::Result<Option<(bool, Vec<u8>)>> {
    let metastream = names::metastream_of(stream);
    let Some(id) = stream_id(connection, &metastream)? else {
        return Ok(None);
    };
    connection
        .prepare_cached(BACKWARDS_IN_STREAM)?
        .query_row([id, 0, signed(TOMBSTONE - 1), 1], |row| {
            let event = recorded(row, metastream.into())?;
            Ok((event.is_json, event.data.into()))
        })
        .optional()
}

/// What a stream's metadata hides.
pub(crate) fn retention(connection: &Connection, stream: &str) -> rusqlite::Result<Retention> {
    if names::original_of(stream).is_some() {
        return Ok(Retention::METASTREAM);
    }
    let metadata = metadata(connection, stream)?;
    Ok(metadata.map_or_else(Retention::default, |(json, data)| Retention::parse(json, &data)))
}

/// The first revision of a stream that its metadata leave visible; larger than `last`, its newest,
/// when nothing is left.
pub(crate) fn first_visible(
    connection: &Connection,
    stream: i64,
    retention: Retention,
    (last, now): (u64, u64),
) -> rusqlite::Result<u64> {
    let first = retention.first_visible(last);
    match retention.max_age() {
        Some(seconds) if first <= last => {
            let oldest = now.saturating_sub(seconds.saturating_mul(10_000_000));
            first_created_after(connection, stream, (first, last), oldest)
        }
        Some(_) | None => Ok(first),
    }
}

/// The first revision from `first` to `last` that was created after `time`; `last + 1` if none was.
/// Times never decrease along the log, so this needs few look-ups.
fn first_created_after(
    connection: &Connection,
    stream: i64,
    (mut first, last): (u64, u64),
    time: u64,
) -> rusqlite::Result<u64> {
    // What stands at a revision, or next after it where compaction left a gap.
    let mut statement = connection.prepare_cached(
        "SELECT revision, created FROM event WHERE position = coalesce(
           (SELECT position FROM place WHERE stream = ?1 AND revision >= ?2
            ORDER BY revision LIMIT 1),
           (SELECT position FROM recent_place WHERE stream = ?1 AND revision >= ?2
            ORDER BY revision LIMIT 1))",
    )?;
    let mut end = last + 1;
    while first < end {
        let middle = first + (end - first) / 2;
        let (revision, created) = statement.query_row([stream, signed(middle)], |row| {
            Ok((unsigned(row.get(0)?), row.get::<_, i64>(1)?.unsigned_abs()))
        })?;
        if created > time {
            end = middle;
        } else {
            first = revision + 1;
        }
    }
    Ok(end)
}

/// The events of a stream between two revisions. A place that leads to no event gives a row of
/// nothing, which is found to be damage.
macro_rules! in_stream {
    ($order:literal) => {
        concat!(
            "SELECT event.position, event.revision, id, kind, is_json, created, metadata, data,
               checksum, place.revision
             FROM place LEFT JOIN event ON event.position = place.position
             WHERE place.stream = ?1 AND place.revision BETWEEN ?2 AND ?3
               AND (created IS NULL OR created >= 0 OR checksum <> event_checksum(
                      event.position, (SELECT name FROM stream WHERE stream.id = ?1),
                      event.revision, id, kind, is_json, created, metadata, data))
             UNION ALL
             SELECT event.position, event.revision, id, kind, is_json, created, metadata, data,
               checksum, place.revision
             FROM recent_place AS place LEFT JOIN event ON event.position = place.position
             WHERE place.stream = ?1 AND place.revision BETWEEN ?2 AND ?3
               AND (created IS NULL OR created >= 0 OR checksum <> event_checksum(
                      event.position, (SELECT name FROM stream WHERE stream.id = ?1),
                      event.revision, id, kind, is_json, created, metadata, data))
             ORDER BY ",
            $order
        )
    };
}

/// Statements that return whole events leave out scrubbed ones and share these columns, in this
/// order; the stream's name comes last where it is selected at all. `CROSS JOIN` keeps the order of
/// the tables: the log first, then each event's stream.
///
/// A scrubbed event matches its checksum. One that does not has the mark of a scrubbed one by a
/// flipped bit: it is returned, and then found to be damaged.
pub(crate) const FORWARDS_IN_STREAM: &str = in_stream!("10 LIMIT ?4");

pub(crate) const BACKWARDS_IN_STREAM: &str = in_stream!("10 DESC LIMIT ?4");

pub(crate) const FORWARDS_IN_LOG: &str =
    "SELECT position, revision, event.id, kind, is_json, created, metadata, data, checksum, name
     FROM event CROSS JOIN stream ON stream.id = event.stream
     WHERE position BETWEEN ?1 AND ?2
       AND (created >= 0 OR checksum <> event_checksum(
              position, name, revision, event.id, kind, is_json, created, metadata, data))
     ORDER BY position LIMIT ?3";

pub(crate) const BACKWARDS_IN_LOG: &str =
    "SELECT position, revision, event.id, kind, is_json, created, metadata, data, checksum, name
     FROM event CROSS JOIN stream ON stream.id = event.stream
     WHERE position BETWEEN ?1 AND ?2
       AND (created >= 0 OR checksum <> event_checksum(
              position, name, revision, event.id, kind, is_json, created, metadata, data))
     ORDER BY position DESC LIMIT ?3";

/// An error with [`Damaged`] if one of the events of a stream before a revision is damaged.
pub(crate) fn check_events(
    connection: &Connection,
    (id, stream): (i64, &Arc<str>),
    before: u64,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(FORWARDS_IN_STREAM)?;
    let high = signed(before.saturating_sub(1));
    let mut rows = statement.query([id, 0, high, i64::MAX])?;
    while let Some(row) = rows.next()? {
        recorded(row, Arc::clone(stream))?;
    }
    Ok(())
}

pub(crate) fn position(row: &Row<'_>) -> rusqlite::Result<u64> {
    Ok(unsigned(row.get(0)?))
}

/// Event type and stream name of a row of the log.
pub(crate) fn kind_and_stream<'r>(row: &'r Row<'_>) -> rusqlite::Result<(&'r str, &'r str)> {
    Ok((row.get_ref(3)?.as_str()?, row.get_ref(9)?.as_str()?))
}

/// The whole event of a row; an error with [`Damaged`] if it is not what was written.
pub(crate) fn recorded(row: &Row<'_>, stream: Arc<str>) -> rusqlite::Result<Recorded> {
    let (position, revision) = (position(row)?, unsigned(row.get(1)?));
    match unchecked(row, (position, revision), Arc::clone(&stream)) {
        Ok(event) if row.get_ref(8)? == ValueRef::Blob(&checksum(&event)) => Ok(event),
        Err(error @ rusqlite::Error::SqliteFailure(..)) => Err(error),
        // A value of the wrong type or length was not written by us either.
        Ok(_) | Err(_) => Err(Damaged { stream, revision, position }.into()),
    }
}

fn unchecked(
    row: &Row<'_>,
    (position, revision): (u64, u64),
    stream: Arc<str>,
) -> rusqlite::Result<Recorded> {
    Ok(Recorded {
        position,
        stream,
        revision,
        id: uuid(row, 2)?,
        kind: row.get_ref(3)?.as_str()?.into(),
        is_json: row.get(4)?,
        created: unsigned(row.get(5)?),
        metadata: bytes(row, 6)?,
        data: bytes(row, 7)?,
    })
}

fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}

fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    Ok(Uuid::from_bytes(row.get(column)?))
}
