//! One transaction of the writer: judges each write by what the log says at that moment, this
//! transaction's earlier writes included, and inserts what may be written. Nothing of it is visible
//! before the commit.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode};
use uuid::Uuid;

use super::checksum::Damaged;
use super::heads::Head;
use super::writer::Memory;
use super::{Written, sql};
use crate::event::{METADATA_KIND, Proposed, Recorded, TOMBSTONE, TOMBSTONE_KIND};
use crate::semantics::append::{
    Expected, History, Removal, StreamState, Verdict, judge_append, judge_delete, judge_tombstone,
};
use crate::semantics::metadata::{self, Retention};
use crate::semantics::names;

/// Places that stay among the recent ones until they are moved together. With fewer, more is written
/// when they are moved, with more, at each commit. Few in tests, so that short histories have both.
const RECENT_PLACES: usize = if cfg!(test) { 7 } else { 1_024 };

/// Open until [`Transaction::commit`]; if it is dropped before, the writer rolls back.
pub(super) struct Transaction<'a> {
    connection: &'a Connection,
    memory: &'a mut Memory,
    created: u64,
    events: Vec<Arc<Recorded>>,
    /// Events whose content was destroyed.
    scrubbed: usize,
}

/// What a transaction brought to the disk.
pub(super) struct Committed {
    /// The events that are now in the log, in order.
    pub(super) events: Vec<Arc<Recorded>>,
    /// Whether events were destroyed, perhaps some of the new ones.
    pub(super) scrubbed: bool,
}

impl<'a> Transaction<'a> {
    pub(super) fn begin(
        connection: &'a Connection,
        memory: &'a mut Memory,
        now: u64,
    ) -> rusqlite::Result<Self> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        // A clock set back must not make times decrease along the log: `$maxAge` is found by
        // halving.
        let created = now.max(memory.last_created);
        Ok(Self { connection, memory, created, events: Vec::new(), scrubbed: 0 })
    }

    /// Brings it to the disk.
    pub(super) fn commit(self) -> rusqlite::Result<Committed> {
        if self.memory.recent_places >= RECENT_PLACES {
            sql::settle_places(self.connection)?;
            self.memory.recent_places = 0;
        }
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        self.memory.last_created = self.created;
        Ok(Committed { events: self.events, scrubbed: self.scrubbed > 0 })
    }

    /// How many events it has inserted or destroyed so far.
    pub(super) fn changes(&self) -> usize {
        self.events.len() + self.scrubbed
    }

    pub(super) fn append(
        &mut self,
        stream: &Arc<str>,
        expected: Expected,
        events: &[Proposed],
    ) -> rusqlite::Result<Written> {
        let mut head = self.head(stream)?;
        let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
        let mut past = Past { connection: self.connection, memory: self.memory, id: head.id };
        match judge_append(head.state, expected, &ids, &mut past)? {
            Verdict::WrongExpected { current } => Ok(Written::WrongExpected { current }),
            Verdict::Deleted => Ok(Written::Deleted),
            Verdict::Repeated { last } => {
                let id = head.id.unwrap_or_default();
                let position = sql::event_at(self.connection, id, last)?.map(|(_, at)| at);
                Ok(Written::Done { revision: Some(last), position })
            }
            Verdict::Write { first } => {
                // Everything that may be damaged is read before anything is inserted: then only this
                // write is refused.
                let original = self.original(stream)?;
                let hidden = if head.state.deleted {
                    self.metastream(stream)?;
                    sql::metadata(self.connection, stream)?
                } else {
                    None
                };
                for (revision, event) in (first..).zip(events) {
                    self.insert(stream, &mut head, revision, event)?;
                }
                let written = Written::Done {
                    revision: head.state.last,
                    position: Some(self.memory.last_position).filter(|at| *at > 0),
                };
                if head.state.deleted {
                    let old = hidden.map(|(_, data)| data).unwrap_or_default();
                    // Visible again from `first` on.
                    self.write_metadata(stream, metadata::with_truncation(&old, first))?;
                }
                if let Some(original) = original {
                    self.metadata_written(original, events)?;
                }
                Ok(written)
            }
        }
    }

    /// Deletes a stream by hiding all of it, and destroys all but its newest event; the next append
    /// revives it.
    pub(super) fn delete(
        &mut self,
        stream: &Arc<str>,
        expected: Expected,
    ) -> rusqlite::Result<Written> {
        let head = self.head(stream)?;
        match judge_delete(head.state, expected) {
            Removal::Deleted => Ok(Written::Deleted),
            Removal::WrongExpected { current } => Ok(Written::WrongExpected { current }),
            Removal::Remove => {
                // Or nothing may be destroyed.
                self.metastream(stream)?;
                self.scrub(stream, head, head.state.last.unwrap_or_default())?;
                self.write_metadata(stream, metadata::deleting())?;
                self.removed()
            }
        }
    }

    /// Destroys what the events of a stream before a revision say. The newest one is spared, as by
    /// EventStoreDB's scavenge: it is what later appends are counted from.
    ///
    /// Before anything is inserted: where an event is so damaged that its row cannot be written anew,
    /// none is destroyed, and only this write is refused.
    fn scrub(&mut self, stream: &Arc<str>, head: Head, before: u64) -> rusqlite::Result<()> {
        let Some(id) = head.id else { return Ok(()) };
        let scrubbed = sql::scrub_events(self.connection, id, before).or_else(|error| {
            if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) {
                sql::check_events(self.connection, (id, stream), before)?;
            }
            Err(error)
        });
        self.scrubbed += scrubbed?;
        Ok(())
    }

    /// Ends a stream for ever, and destroys what was in it.
    pub(super) fn tombstone(
        &mut self,
        stream: &Arc<str>,
        expected: Expected,
    ) -> rusqlite::Result<Written> {
        let mut head = self.head(stream)?;
        match judge_tombstone(head.state, expected) {
            Removal::Deleted => Ok(Written::Deleted),
            Removal::WrongExpected { current } => Ok(Written::WrongExpected { current }),
            Removal::Remove => {
                let event = Proposed {
                    id: self.own_id(stream, TOMBSTONE),
                    kind: TOMBSTONE_KIND.into(),
                    is_json: false,
                    metadata: Bytes::new(),
                    data: Bytes::new(),
                };
                self.scrub(stream, head, TOMBSTONE)?;
                self.insert(stream, &mut head, TOMBSTONE, &event)?;
                self.removed()
            }
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "ends two functions that can fail")]
    fn removed(&self) -> rusqlite::Result<Written> {
        Ok(Written::Done { revision: None, position: Some(self.memory.last_position) })
    }

    /// The stream that this one holds the metadata of, as it is before they are written.
    fn original(&mut self, metastream: &str) -> rusqlite::Result<Option<(Arc<str>, Head)>> {
        let Some(original) = names::original_of(metastream) else { return Ok(None) };
        let original: Arc<str> = original.into();
        let head = self.head(&original)?;
        Ok(Some((original, head)))
    }

    /// Keeps what is remembered about a stream in step with its metadata. Metadata written to a
    /// deleted stream revives it, but must not bring its old events back: they stay hidden by one
    /// more metadata event.
    fn metadata_written(
        &mut self,
        (original, before): (Arc<str>, Head),
        events: &[Proposed],
    ) -> rusqlite::Result<()> {
        self.memory.heads.forget(&original);
        let Some(newest) = events.last() else { return Ok(()) };
        if !before.state.deleted || Retention::parse(newest.is_json, &newest.data).is_deleted() {
            return Ok(());
        }
        let next = match before.state.last {
            Some(TOMBSTONE) => return Ok(()),
            Some(last) => last + 1,
            None => 0,
        };
        self.write_metadata(&original, metadata::with_truncation(&newest.data, next))
    }

    fn write_metadata(&mut self, stream: &Arc<str>, data: Vec<u8>) -> rusqlite::Result<()> {
        let (metastream, mut head) = self.metastream(stream)?;
        let revision = head.state.last.map_or(0, |last| last + 1);
        let event = Proposed {
            id: self.own_id(&metastream, revision),
            kind: METADATA_KIND.into(),
            is_json: true,
            metadata: Bytes::new(),
            data: data.into(),
        };
        self.insert(&metastream, &mut head, revision, &event)?;
        self.memory.heads.forget(stream);
        Ok(())
    }

    /// Where metadata of a stream are written. No client can end that stream for ever, so a record
    /// which says so is damage.
    fn metastream(&mut self, stream: &str) -> rusqlite::Result<(Arc<str>, Head)> {
        let metastream: Arc<str> = names::metastream_of(stream).into();
        let head = self.head(&metastream)?;
        match head.id {
            Some(id) if head.state.tombstoned => {
                let end = sql::event_at(self.connection, id, TOMBSTONE)?;
                let position = end.map_or(0, |(_, position)| position);
                Err(Damaged { stream: metastream, revision: TOMBSTONE, position }.into())
            }
            Some(_) | None => Ok((metastream, head)),
        }
    }

    /// An id for an event that no client wrote, the same whenever it is asked for.
    fn own_id(&self, stream: &str, revision: u64) -> Uuid {
        let name = format!("{stream}@{revision}@{}", self.memory.last_position);
        Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
    }

    fn insert(
        &mut self,
        stream: &Arc<str>,
        head: &mut Head,
        revision: u64,
        event: &Proposed,
    ) -> rusqlite::Result<()> {
        let id = match head.id {
            Some(id) => id,
            None => sql::insert_stream(self.connection, stream)?,
        };
        let recorded = Recorded {
            position: self.memory.last_position + 1,
            stream: Arc::clone(stream),
            revision,
            id: event.id,
            kind: Arc::clone(&event.kind),
            is_json: event.is_json,
            created: self.created,
            metadata: event.metadata.clone(),
            data: event.data.clone(),
        };
        sql::insert_event(self.connection, id, &recorded)?;
        self.memory.recent_places += 1;
        self.memory.last_position = recorded.position;
        self.memory.recent.push(id, event.id, revision);
        head.id = Some(id);
        head.state.last = Some(revision);
        head.state.tombstoned = revision == TOMBSTONE;
        self.memory.heads.put(Arc::clone(stream), *head);
        self.events.push(Arc::new(recorded));
        Ok(())
    }

    fn head(&mut self, stream: &Arc<str>) -> rusqlite::Result<Head> {
        if let Some(head) = self.memory.heads.get(stream) {
            return Ok(head);
        }
        let head = load_head(self.connection, stream)?;
        self.memory.heads.put(Arc::clone(stream), head);
        Ok(head)
    }
}

fn load_head(connection: &Connection, stream: &str) -> rusqlite::Result<Head> {
    let id = sql::stream_id(connection, stream)?;
    let last = match id {
        Some(id) => sql::last_revision(connection, id)?,
        None => None,
    };
    let is_metastream = names::original_of(stream).is_some();
    let metadata = if is_metastream { None } else { sql::metadata(connection, stream)? };
    let state = StreamState {
        last,
        tombstoned: last == Some(TOMBSTONE),
        has_metadata: metadata.is_some(),
        deleted: metadata.is_some_and(|(json, data)| Retention::parse(json, &data).is_deleted()),
    };
    Ok(Head { id, state })
}

/// The past of one stream, as an append needs it.
struct Past<'a> {
    connection: &'a Connection,
    memory: &'a Memory,
    id: Option<i64>,
}

impl History for Past<'_> {
    type Error = rusqlite::Error;

    fn recent(&mut self, id: Uuid) -> rusqlite::Result<Option<u64>> {
        Ok(self.id.and_then(|stream| self.memory.recent.revision(stream, id)))
    }

    fn id_at(&mut self, revision: u64) -> rusqlite::Result<Option<Uuid>> {
        let Some(stream) = self.id else { return Ok(None) };
        Ok(sql::event_at(self.connection, stream, revision)?.map(|(id, _)| id))
    }
}
