//! Compaction: removing the events that are hidden for good. Always from a stream's beginning, so
//! that what is left has no gaps, and never its newest event: that is what its revisions are counted
//! from, and the newest event of the log is the newest of some stream, so that no position is given
//! away twice. Which streams have something to remove is found by reading; the writer judges again
//! and removes a bounded number of events per transaction.

use std::sync::Arc;

use rusqlite::{Connection, ErrorCode};

use super::{checksum, recovery, sql};
use crate::event::TOMBSTONE;

/// What `PRAGMA auto_vacuum` says of a database that can give pages back.
const INCREMENTAL: u32 = 2;

/// Streams that one query examines.
const STREAMS: u64 = 256;

/// Events that one transaction removes at most.
const EVENTS: usize = 512;

/// Bytes of payload after which a transaction removes no further event.
const BYTES: u64 = 2 * 1024 * 1024;

/// Free pages at the end of the file that one transaction gives back.
const PAGES: u32 = 512;

/// A stream by its number, and its name.
pub(crate) type Candidate = (i64, Arc<str>);

/// Streams with something to remove, and where the search goes on; `None` at the end.
#[derive(Debug)]
pub(crate) struct Candidates {
    pub(crate) streams: Vec<Candidate>,
    pub(crate) next: Option<i64>,
}

/// What one transaction removed.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    pub(crate) positions: Vec<u64>,
    /// Bytes of payload.
    pub(crate) bytes: u64,
    /// How many of the streams are done.
    pub(crate) done: usize,
}

/// Examines some streams with numbers after `after`. `now` is for `$maxAge`.
pub(crate) fn candidates(
    connection: &Connection,
    after: i64,
    now: u64,
) -> rusqlite::Result<Candidates> {
    let mut statement = connection
        .prepare_cached("SELECT id, name, first FROM stream WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let mut rows = statement.query([after, sql::signed(STREAMS)])?;
    let (mut streams, mut examined, mut last) = (Vec::new(), 0, after);
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        let name: Arc<str> = row.get_ref(1)?.as_str()?.into();
        let first = sql::unsigned(row.get(2)?);
        if removable_before(connection, id, &name, now)? > first {
            streams.push((id, name));
        }
        (examined, last) = (examined + 1, id);
    }
    Ok(Candidates { streams, next: (examined == STREAMS).then_some(last) })
}

/// The revision before which everything in a stream is hidden for good; its newest is left.
fn removable_before(
    connection: &Connection,
    id: i64,
    name: &str,
    now: u64,
) -> rusqlite::Result<u64> {
    let last = match sql::last_revision(connection, id)? {
        None => return Ok(0),
        Some(TOMBSTONE) => return Ok(TOMBSTONE),
        Some(last) => last,
    };
    let retention = match sql::retention(connection, name) {
        Err(error) if checksum::damaged(&error).is_some() => {
            tracing::warn!(stream = name, %error, "not compacted: its metadata are damaged");
            return Ok(0);
        }
        retention => retention?,
    };
    let first = sql::first_visible(connection, id, retention, (last, now))?;
    Ok(first.min(last))
}

/// Removes events of these streams in the transaction that is open, as many as are good at once.
pub(crate) fn remove(
    connection: &Connection,
    streams: &[Candidate],
    now: u64,
) -> rusqlite::Result<Removed> {
    let mut removed = Removed::default();
    for (id, name) in streams {
        let before = removable_before(connection, *id, name, now)?;
        let (positions, bytes) = (removed.positions.len(), removed.bytes);
        connection.prepare_cached("SAVEPOINT stream")?.execute([])?;
        match remove_from(connection, *id, before, &mut removed) {
            Ok(true) => removed.done += 1,
            Ok(false) => {
                connection.prepare_cached("RELEASE stream")?.execute([])?;
                break;
            }
            // One stream that is damaged keeps no other from being compacted.
            Err(error) if is_row_damage(&error) && !connection.is_autocommit() => {
                tracing::warn!(stream = &**name, %error, "not compacted: it is damaged");
                connection.prepare_cached("ROLLBACK TO stream")?.execute([])?;
                removed.positions.truncate(positions);
                removed.bytes = bytes;
                removed.done += 1;
            }
            Err(error) => return Err(error),
        }
        connection.prepare_cached("RELEASE stream")?.execute([])?;
    }
    Ok(removed)
}

/// Also a value of another type than its column's: a row with one cannot be written anew.
fn is_row_damage(error: &rusqlite::Error) -> bool {
    recovery::is_damage(error) || error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

/// Whether all of it was removed.
fn remove_from(
    connection: &Connection,
    stream: i64,
    before: u64,
    removed: &mut Removed,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT place.revision, place.position, length(metadata) + length(data)
         FROM place JOIN event ON event.position = place.position
         WHERE place.stream = ?1 AND place.revision < ?2
         UNION ALL
         SELECT place.revision, place.position, length(metadata) + length(data)
         FROM recent_place AS place JOIN event ON event.position = place.position
         WHERE place.stream = ?1 AND place.revision < ?2
         ORDER BY 1",
    )?;
    let mut rows = statement.query([stream, sql::signed(before)])?;
    let mut end = None;
    let all = loop {
        if removed.positions.len() >= EVENTS || removed.bytes >= BYTES {
            break false;
        }
        let Some(row) = rows.next()? else { break true };
        end = Some(sql::unsigned(row.get(0)?) + 1);
        removed.positions.push(sql::unsigned(row.get(1)?));
        removed.bytes += sql::unsigned(row.get(2)?);
    };
    drop(rows);
    let end = if all { before } else { end.unwrap_or(0) };
    // Overwritten first: what becomes of a row's place when rows move is not in our hands.
    sql::scrub_events(connection, stream, end)?;
    sql::delete_events(connection, stream, end)?;
    sql::set_first(connection, stream, end)?;
    Ok(all)
}

/// Gives some free pages back to the file system. True when there is nothing more to give back: no
/// page is free, or the database is an old one, whose free pages only later events use again.
pub(crate) fn shrink(connection: &Connection) -> rusqlite::Result<bool> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
    let free = number("freelist_count")?;
    if number("auto_vacuum")? != INCREMENTAL || free == 0 {
        return Ok(true);
    }
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    drop(rows);
    let left = number("freelist_count")?;
    Ok(left == 0 || left >= free)
}

/// Writes the whole database anew, without free pages and able to give them back from then on. Takes
/// as much space again while it runs, and nobody else may use the database.
pub(crate) fn rewrite(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    connection.execute_batch("VACUUM")?;
    sql::empty_write_ahead_log(connection).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use bytes::Bytes;
    use proptest::prelude::*;
    use tempfile::TempDir;
    use tokio::runtime::Runtime;
    use uuid::Uuid;

    use super::super::{
        Change, Direction, From, Step, Storage, StreamPage, StreamQuery, Write, Written, ticks_now,
        verify,
    };
    use crate::event::Proposed;
    use crate::semantics::append::Expected;

    #[derive(Debug, Clone)]
    enum Operation {
        Append(u8),
        Metadata(&'static str),
        Delete,
        Compact,
        Restart,
    }

    fn operation() -> impl Strategy<Value = Operation> {
        let metadata = prop_oneof![
            Just("{}"),
            Just(r#"{"$maxCount":1}"#),
            Just(r#"{"$maxCount":4}"#),
            Just(r#"{"$tb":3}"#),
            Just(r#"{"$tb":40}"#),
            Just(r#"{"$tb":6,"$maxCount":5}"#),
        ];
        prop_oneof![
            4 => (1..6_u8).prop_map(Operation::Append),
            3 => metadata.prop_map(Operation::Metadata),
            1 => Just(Operation::Delete),
            3 => Just(Operation::Compact),
            1 => Just(Operation::Restart),
        ]
    }

    /// Ids that no other event has.
    fn proposed(size: usize, data: &'static str) -> Proposed {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = Uuid::from_u64_pair(7, NEXT.fetch_add(1, Ordering::Relaxed));
        let data = if size > 0 { vec![b'x'; size].into() } else { Bytes::from(data) };
        let (kind, metadata) = ("Happened".into(), Bytes::new());
        Proposed { id, kind, is_json: size == 0, metadata, data }
    }

    async fn write(storage: &Storage, stream: &str, change: Change) -> Written {
        let write = Write { stream: stream.into(), expected: Expected::Any, change };
        storage.write(write).await.unwrap()
    }

    async fn visible(storage: &Storage, stream: &str) -> Vec<(u64, Uuid)> {
        let query = StreamQuery {
            stream: stream.into(),
            from: From::Start,
            direction: Direction::Forwards,
            limit: u64::MAX,
            now: ticks_now(),
        };
        match storage.read_stream(query).await.unwrap() {
            StreamPage::NotFound | StreamPage::Tombstoned => Vec::new(),
            StreamPage::Events(page) => {
                page.events.iter().map(|event| (event.revision, event.id)).collect()
            }
        }
    }

    async fn compact_all(storage: &Storage) {
        let mut next = Some(0);
        while let Some(after) = next {
            let candidates = storage.compactable(after).await.unwrap();
            let mut streams = candidates.streams;
            while !streams.is_empty() {
                let progress = storage.compact(Step::Remove(streams.clone())).await.unwrap();
                streams.drain(..progress.done);
            }
            next = candidates.next;
        }
        while storage.compact(Step::Shrink).await.unwrap().done == 0 {}
        storage.compact(Step::Finish).await.unwrap();
        assert!(storage.compactable(0).await.unwrap().streams.is_empty(), "all at once");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

        #[test]
        fn compaction_changes_nothing_that_can_be_read_and_no_revision(
            operations in proptest::collection::vec((0..2_usize, operation()), 1..40),
        ) {
            let directory = TempDir::new().unwrap();
            Runtime::new().unwrap().block_on(async {
                let mut storage = Storage::open(Some(directory.path()), false).unwrap();
                let mut next = [0, 0];
                for (place, operation) in operations {
                    let stream = ["a", "b"][place];
                    match operation {
                        Operation::Append(count) => {
                            let sizes = (0..count).map(|number| usize::from(number) * 1_500 + 1);
                            let events = sizes.map(|size| proposed(size, "")).collect();
                            let written = write(&storage, stream, Change::Append(events)).await;
                            next[place] += u64::from(count);
                            let Written::Done { revision, .. } = written else {
                                panic!("{written:?}");
                            };
                            assert_eq!(revision, Some(next[place] - 1));
                        }
                        Operation::Metadata(metadata) => {
                            let change = Change::Append(vec![proposed(0, metadata)]);
                            write(&storage, &format!("$${stream}"), change).await;
                        }
                        Operation::Delete => {
                            write(&storage, stream, Change::Delete).await;
                        }
                        Operation::Compact => {
                            let before =
                                (visible(&storage, "a").await, visible(&storage, "b").await);
                            compact_all(&storage).await;
                            let after =
                                (visible(&storage, "a").await, visible(&storage, "b").await);
                            assert_eq!(before, after);
                        }
                        Operation::Restart => {
                            storage.close().await;
                            storage = Storage::open(Some(directory.path()), false).unwrap();
                        }
                    }
                }
                storage.close().await;
            });
            let (connection, _) = super::super::reader(directory.path()).unwrap();
            let findings = verify(&connection, true, &mut |_| ()).unwrap();
            prop_assert_eq!(findings.problems, []);
        }
    }
}
