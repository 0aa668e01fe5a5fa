//! What a group keeps in the log, in streams of its own: its checkpoints and its parked messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use uuid::Uuid;

use super::group::Parking;
use super::message::Resolved;
use super::settings::Source;
use super::source::{checkpoint_stream, parked_stream, resolve};
use crate::event::{LINK_KIND, METADATA_KIND, Proposed};
use crate::semantics::append::Expected;
use crate::semantics::names;
use crate::storage::{
    Change, Direction, From, ReadError, Storage, StreamPage, StreamQuery, Write, WriteError,
    Written, ticks_now,
};

/// Event type of a checkpoint.
const CHECKPOINT_KIND: &str = "$SubscriptionCheckpoint";

/// Checkpoints that stay readable.
const CHECKPOINTS_KEPT: u64 = 2;

/// Makes the ids of events that no client wrote different from each other.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// The parked messages of a group: revisions of their stream, the first one and the one after the
/// last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Parked {
    pub(crate) first: u64,
    pub(crate) next: u64,
}

impl Parked {
    pub(crate) fn count(self) -> u64 {
        self.next.saturating_sub(self.first)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    storage: Storage,
    source: Source,
    checkpoints: Arc<str>,
    parked: Arc<str>,
}

impl Ledger {
    pub(crate) fn new(storage: Storage, source: Source, group: &str) -> Self {
        let checkpoints = checkpoint_stream(source.name(), group);
        let parked = parked_stream(source.name(), group);
        Self { storage, source, checkpoints, parked }
    }

    /// The newest checkpoint.
    pub(crate) async fn checkpoint(&self) -> Result<Option<u64>, ReadError> {
        let Some(data) = newest(&self.storage, &self.checkpoints).await? else { return Ok(None) };
        let text: Option<String> = serde_json::from_slice(&data).ok();
        Ok(text.and_then(|text| self.source.parse_position(&text)))
    }

    pub(crate) async fn parked(&self) -> Result<Parked, ReadError> {
        let query = query(&self.parked, From::Start, Direction::Forwards, 1);
        Ok(match self.storage.read_stream(query).await? {
            StreamPage::Events(page) => {
                let next = page.last.saturating_add(1);
                Parked { first: page.first_visible.min(next), next }
            }
            StreamPage::NotFound | StreamPage::Tombstoned => Parked::default(),
        })
    }

    /// Writes a checkpoint; the first one of a group also limits how many stay readable.
    pub(crate) async fn save(&self, position: u64, is_first: bool) -> Result<(), WriteError> {
        if is_first {
            let metadata = json!({ "$maxCount": CHECKPOINTS_KEPT, "$acl": admins_only() });
            self.write_metadata(&self.checkpoints, &metadata).await?;
        }
        let data = json!(self.source.position_text(position));
        let event = json_event(&self.checkpoints, CHECKPOINT_KIND, &data);
        append(&self.storage, &self.checkpoints, vec![event]).await.map(drop)
    }

    /// Links to messages from the stream of parked ones, in this order; the revision of the last
    /// link. The same `ids` make a repetition harmless.
    pub(crate) async fn park(
        &self,
        messages: &[Parking],
        ids: &[Uuid],
    ) -> Result<Option<u64>, WriteError> {
        let links = messages.iter().zip(ids).map(|(message, id)| Proposed {
            id: *id,
            kind: LINK_KIND.into(),
            is_json: false,
            metadata: parked_metadata(message),
            data: message.event.link_data().into(),
        });
        match append(&self.storage, &self.parked, links.collect()).await? {
            Written::Done { revision, .. } => Ok(revision),
            Written::WrongExpected { .. } | Written::Deleted => {
                tracing::error!(stream = %self.parked, "messages could not be parked: the stream is deleted");
                Ok(None)
            }
        }
    }

    pub(crate) fn new_ids(&self, count: usize) -> Vec<Uuid> {
        (0..count).map(|_| new_id(&self.parked)).collect()
    }

    /// Parked messages from a revision on and before another, and where the next page begins.
    pub(crate) async fn parked_page(
        &self,
        from: u64,
        before: u64,
        limit: usize,
    ) -> Result<(Vec<Resolved>, u64), ReadError> {
        let limit = before.saturating_sub(from).min(limit as u64);
        let query = query(&self.parked, From::Revision(from), Direction::Forwards, limit);
        let StreamPage::Events(page) = self.storage.read_stream(query).await? else {
            return Ok((Vec::new(), before));
        };
        let next = page.events.last().map_or(before, |last| last.revision + 1);
        let events = page.events.into_iter().filter(|event| event.revision < before).collect();
        Ok((resolve(&self.storage, events, true).await?, next))
    }

    /// Hides the parked messages before a revision: they were replayed.
    pub(crate) async fn truncate(&self, before: u64) -> Result<(), WriteError> {
        let metadata = json!({ "$tb": before, "$acl": admins_only() });
        self.write_metadata(&self.parked, &metadata).await
    }

    /// Removes all of it.
    pub(crate) async fn delete(&self) -> Result<(), WriteError> {
        for stream in [&self.checkpoints, &self.parked] {
            let stream = Arc::clone(stream);
            let write = Write { stream, expected: Expected::Any, change: Change::Delete };
            // A stream that was never written to cannot be deleted, and need not be.
            self.storage.write(write).await?;
        }
        Ok(())
    }

    async fn write_metadata(&self, stream: &str, metadata: &Value) -> Result<(), WriteError> {
        let metastream: Arc<str> = names::metastream_of(stream).into();
        let event = json_event(&metastream, METADATA_KIND, metadata);
        append(&self.storage, &metastream, vec![event]).await.map(drop)
    }
}

/// The data of the newest event of a stream, if there is one.
pub(crate) async fn newest(
    storage: &Storage,
    stream: &Arc<str>,
) -> Result<Option<Bytes>, ReadError> {
    let query = query(stream, From::End, Direction::Backwards, 1);
    match storage.read_stream(query).await? {
        StreamPage::Events(mut page) => Ok(page.events.pop().map(|event| event.data.clone())),
        StreamPage::NotFound | StreamPage::Tombstoned => Ok(None),
    }
}

pub(crate) async fn append(
    storage: &Storage,
    stream: &Arc<str>,
    events: Vec<Proposed>,
) -> Result<Written, WriteError> {
    let stream = Arc::clone(stream);
    let change = Change::Append(events);
    storage.write(Write { stream, expected: Expected::Any, change }).await
}

/// Limits how many of a stream's events stay readable.
pub(crate) async fn keep_newest(
    storage: &Storage,
    stream: &str,
    count: u64,
) -> Result<(), WriteError> {
    let metastream: Arc<str> = names::metastream_of(stream).into();
    let event = json_event(&metastream, METADATA_KIND, &json!({ "$maxCount": count }));
    append(storage, &metastream, vec![event]).await.map(drop)
}

pub(crate) fn json_event(stream: &str, kind: &str, data: &Value) -> Proposed {
    Proposed {
        id: new_id(stream),
        kind: kind.into(),
        is_json: true,
        metadata: Bytes::new(),
        data: data.to_string().into(),
    }
}

/// The time as the protocol's JSON has it.
pub(crate) fn now_text() -> String {
    let micros = i64::try_from(ticks_now() / 10).unwrap_or(i64::MAX);
    let now = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    now.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn query(stream: &Arc<str>, from: From, direction: Direction, limit: u64) -> StreamQuery {
    StreamQuery { stream: Arc::clone(stream), from, direction, limit, now: ticks_now() }
}

fn new_id(stream: &str) -> Uuid {
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let name = format!("{stream}@{}@{number}@{}", ticks_now(), std::process::id());
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}

fn parked_metadata(message: &Parking) -> Bytes {
    json!({
        "added": now_text(),
        "reason": message.reason,
        "subscriptionEventNumber": message.event.original.revision,
    })
    .to_string()
    .into()
}

fn admins_only() -> Value {
    json!({ "$r": "$admins", "$w": "$admins", "$d": "$admins", "$mr": "$admins", "$mw": "$admins" })
}
