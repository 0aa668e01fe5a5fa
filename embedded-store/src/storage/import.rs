//! Writing events that have their place already: into the log of a directory that no server uses.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};

use super::offline::Offline;
use super::{checksum, sql};
use crate::event::{Recorded, TOMBSTONE};
use crate::maintenance::Record;

/// Events in one transaction at most.
const EVENTS: usize = 1_000;

/// Bytes of payload after which a transaction takes no further event.
const BYTES: usize = 8 * 1024 * 1024;

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Judged {
    New,
    /// It is in the log, or was there until compaction removed it.
    Known,
    /// Something else is in its place, or something is missing before it.
    Conflict(String),
}

/// A stream as it is after the events judged so far.
#[derive(Debug, Clone, Copy)]
struct Stream {
    id: Option<i64>,
    /// Newest revision in the database when the import began.
    stored: Option<u64>,
    /// Newest revision, with what was judged since.
    last: Option<u64>,
}

/// An import under way; once for judging alone, and once for writing.
#[derive(Debug)]
pub(crate) struct Importer<'a> {
    connection: &'a Connection,
    streams: HashMap<Arc<str>, Stream>,
    last_position: u64,
    last_created: u64,
    /// What the open transaction holds.
    events: usize,
    bytes: usize,
}

impl<'a> Importer<'a> {
    pub(crate) fn begin(offline: &'a Offline) -> rusqlite::Result<Self> {
        let connection = &offline.connection;
        let (last_position, last_created) = sql::newest(connection)?.unwrap_or_default();
        let streams = HashMap::new();
        Ok(Self { connection, streams, last_position, last_created, events: 0, bytes: 0 })
    }

    /// What would become of this event after those before.
    pub(crate) fn judge(&mut self, record: &Record) -> rusqlite::Result<Judged> {
        let mut stream = self.stream(&record.stream)?;
        let judged = self.judge_in(stream, record)?;
        if judged == Judged::New {
            stream.last = Some(record.revision);
            self.streams.insert(record.stream.as_str().into(), stream);
        }
        Ok(judged)
    }

    fn judge_in(&self, stream: Stream, record: &Record) -> rusqlite::Result<Judged> {
        let (revision, name) = (record.revision, &record.stream);
        if let Some(id) = stream.id
            && stream.stored.is_some_and(|stored| revision <= stored)
        {
            return Ok(match sql::event_at(self.connection, id, revision)? {
                Some((found, _)) if found == record.id => Judged::Known,
                None if revision < first_left(self.connection, id)? => Judged::Known,
                Some((found, _)) => Judged::Conflict(format!(
                    "stream '{name}' has another event at revision {revision}, {found}"
                )),
                None => {
                    Judged::Conflict(format!("stream '{name}' ended before revision {revision}"))
                }
            });
        }
        Ok(match stream.last {
            Some(TOMBSTONE) => {
                Judged::Conflict(format!("stream '{name}' ended before revision {revision}"))
            }
            Some(last) if revision != TOMBSTONE && revision != last + 1 => Judged::Conflict(
                format!("stream '{name}' goes on with revision {}, not {revision}", last + 1),
            ),
            Some(_) | None => Judged::New,
        })
    }

    fn stream(&mut self, name: &str) -> rusqlite::Result<Stream> {
        if let Some(stream) = self.streams.get(name) {
            return Ok(*stream);
        }
        let id = sql::stream_id(self.connection, name)?;
        let stored = match id {
            Some(id) => sql::last_revision(self.connection, id)?,
            None => None,
        };
        Ok(Stream { id, stored, last: stored })
    }

    /// Writes an event unless it is there. It was judged before, as were all others.
    pub(crate) fn write(&mut self, record: &Record) -> rusqlite::Result<()> {
        let mut stream = self.stream(&record.stream)?;
        if self.judge_in(stream, record)? != Judged::New {
            return Ok(());
        }
        if self.events == 0 {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
        }
        let id = match stream.id {
            Some(id) => id,
            None => self.create(record)?,
        };
        let event = Recorded {
            position: record.position.max(self.last_position + 1),
            stream: record.stream.as_str().into(),
            revision: record.revision,
            id: record.id,
            kind: record.kind.as_str().into(),
            is_json: record.is_json,
            // Not 0, or it could not be marked as destroyed.
            created: record.created.max(self.last_created).max(1),
            metadata: record.metadata.clone().into(),
            data: record.data.clone().into(),
        };
        sql::insert_event(self.connection, id, &event)?;
        (self.last_position, self.last_created) = (event.position, event.created);
        (stream.id, stream.last) = (Some(id), Some(record.revision));
        self.streams.insert(Arc::clone(&event.stream), stream);
        self.events += 1;
        self.bytes += record.metadata.len() + record.data.len();
        if self.events >= EVENTS || self.bytes >= BYTES {
            self.finish()?;
        }
        Ok(())
    }

    /// A stream begins where its first event says: what came before was removed where it comes from.
    fn create(&self, record: &Record) -> rusqlite::Result<i64> {
        let id = sql::insert_stream(self.connection, &record.stream)?;
        if record.revision != TOMBSTONE {
            sql::set_first(self.connection, id, record.revision)?;
        }
        Ok(id)
    }

    /// Brings what was written to the disk.
    pub(crate) fn finish(&mut self) -> rusqlite::Result<()> {
        if self.events > 0 {
            sql::settle_places(self.connection)?;
            self.connection.execute_batch("COMMIT")?;
        }
        (self.events, self.bytes) = (0, 0);
        Ok(())
    }
}

/// The revision before which compaction left nothing.
fn first_left(connection: &Connection, stream: i64) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT first FROM stream WHERE id = ?1")?
        .query_row([stream], |row| row.get(0))
        .optional()
        .map(|first| first.map_or(0, sql::unsigned))
}

/// Position of the newest event.
pub(crate) fn last_position(connection: &Connection) -> rusqlite::Result<u64> {
    Ok(sql::newest(connection)?.map_or(0, |(position, _)| position))
}

/// A page of the log from the first of two positions to the second, without what was destroyed: the
/// events of wanted streams, and where the next page begins.
pub(crate) fn events(
    connection: &Connection,
    (low, high): (u64, u64),
    wants: &dyn Fn(&str) -> bool,
) -> rusqlite::Result<(Vec<Recorded>, Option<u64>)> {
    let mut statement = connection.prepare_cached(sql::FORWARDS_IN_LOG)?;
    let mut rows =
        statement.query([sql::signed(low), sql::signed(high), sql::signed(EVENTS as u64)])?;
    let (mut page, mut bytes, mut examined) = (Vec::new(), 0, 0);
    let mut next = None;
    while bytes < BYTES {
        let Some(row) = rows.next()? else {
            return Ok((page, next.filter(|_| examined == EVENTS)));
        };
        let (_, stream) = sql::kind_and_stream(row)?;
        if wants(stream) {
            match sql::recorded(row, stream.into()) {
                Ok(event) => {
                    bytes += event.metadata.len() + event.data.len();
                    page.push(event);
                }
                // What comes before a damaged event is handed on; the next page begins with it.
                Err(error) if checksum::damaged(&error).is_some() && next.is_some() => break,
                Err(error) => return Err(error),
            }
        }
        examined += 1;
        next = Some(sql::position(row)? + 1);
    }
    Ok((page, next))
}
