//! The log as it grows: what a command leads to is written as the write path would write it.

use std::mem;
use std::sync::mpsc::SyncSender;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use embedded_store::maintenance::Record;
use journal::{Context, ids};
use schemas::{Aggregate, Metadata, StoredEvent, stream_of};
use uuid::Uuid;

use super::shape::Shape;

/// Bytes of lines that are handed on together. Large, because each part opens the store anew.
const PART: usize = 128 << 20;
/// What an append takes.
const APPEND: TimeDelta = TimeDelta::microseconds(900);

/// A stream, and the state that its events have led to.
#[derive(Debug)]
pub(super) struct Stream<D: Aggregate> {
    pub(super) id: D::Id,
    pub(super) state: D::State,
    next: u64,
}

impl<D: Aggregate> Stream<D> {
    pub(super) fn new(id: D::Id) -> Self {
        Self { id, state: D::initial(), next: 0 }
    }

    /// Revision of the last event; 0 when there is none.
    pub(super) const fn revision(&self) -> u64 {
        self.next.saturating_sub(1)
    }
}

/// What a command led to.
#[derive(Debug)]
pub(super) struct Decided<E> {
    pub(super) events: Vec<E>,
    /// Revision of the first of them.
    first: u64,
    command_id: Uuid,
    attempt: Uuid,
}

impl<E> Decided<E> {
    /// Each event with its revision and its id.
    pub(super) fn each(&self) -> impl Iterator<Item = (&E, u64, Uuid)> {
        let id = |index| ids::event_id(self.command_id, self.attempt, index);
        self.events.iter().enumerate().map(move |(n, event)| (event, self.first + n as u64, id(n)))
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    pub(super) events: u64,
    /// Of data and metadata.
    pub(super) bytes: u64,
    pub(super) streams: u64,
}

/// The log, and the time of its newest event.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) now: DateTime<Utc>,
    pub(super) written: Written,
    /// Whether somebody takes what is written.
    pub(super) is_taken: bool,
    shape: Shape,
    decisions: u64,
    lines: Vec<u8>,
    out: SyncSender<Bytes>,
}

impl Log {
    pub(super) fn new(now: DateTime<Utc>, shape: Shape, out: SyncSender<Bytes>) -> Self {
        let written = Written::default();
        Self { now, written, is_taken: true, shape, decisions: 0, lines: Vec::new(), out }
    }

    /// Decides `command`, writes what follows from it, and moves `stream` on.
    pub(super) fn execute<D: Aggregate>(
        &mut self,
        stream: &mut Stream<D>,
        command: &D::Command,
        context: Context,
    ) -> Result<Decided<D::Event>, D::Rejection> {
        let events = D::decide(&stream.state, command)?;
        self.decisions += 1;
        let attempt = Uuid::from_u64_pair(self.decisions, 0);
        let (first, command_id) = (stream.next, context.command_id);
        if !events.is_empty() && self.shape.writes(D::CATEGORY) {
            self.now += APPEND;
            self.written.streams += u64::from(first == 0);
            let name = stream_of::<D>(&stream.id).to_string();
            let mut metadata = Metadata {
                command_id,
                correlation_id: context.correlation_id,
                causation_id: context.causation_id,
                actor: context.actor,
                schema_version: 0,
                recorded_at: self.now,
                traceparent: context.traceparent,
            };
            for (index, event) in events.iter().enumerate() {
                let encoded = event.encode();
                metadata.schema_version = encoded.version;
                self.write(Record {
                    position: 0,
                    stream: name.clone(),
                    revision: first + index as u64,
                    id: ids::event_id(command_id, attempt, index),
                    kind: encoded.event_type.to_owned(),
                    is_json: true,
                    created: 0,
                    metadata: json(&metadata),
                    data: encoded.data.into(),
                });
            }
        }
        stream.next += events.len() as u64;
        let before = mem::replace(&mut stream.state, D::initial());
        stream.state = domain::fold::<D>(before, &events);
        Ok(Decided { events, first, command_id, attempt })
    }

    /// Writes an event that no decider decides.
    pub(super) fn note(&mut self, stream: &str, kind: &str, data: &serde_json::Value, actor: &str) {
        self.now += APPEND;
        self.decisions += 1;
        self.written.streams += 1;
        let id = ids::event_id(Uuid::nil(), Uuid::from_u64_pair(self.decisions, 0), 0);
        let metadata = Metadata {
            command_id: id,
            correlation_id: id,
            causation_id: id,
            actor: actor.to_owned(),
            schema_version: 1,
            recorded_at: self.now,
            traceparent: None,
        };
        self.write(Record {
            position: 0,
            stream: stream.to_owned(),
            revision: 0,
            id,
            kind: kind.to_owned(),
            is_json: true,
            created: 0,
            metadata: json(&metadata),
            data: json(data),
        });
    }

    /// Where the next event is going to stand.
    pub(super) const fn next_position(&self) -> u64 {
        self.written.events + 1
    }

    fn write(&mut self, mut record: Record) {
        record.position = self.next_position();
        // Ticks of 100 nanoseconds.
        record.created = u64::try_from(self.now.timestamp_micros()).unwrap_or_default() * 10;
        self.written.events += 1;
        self.written.bytes += (record.data.len() + record.metadata.len()) as u64;
        self.lines.extend_from_slice(record.to_line().as_bytes());
        self.lines.push(b'\n');
        if self.lines.len() >= PART {
            self.hand_on();
        }
    }

    /// Hands on what was not handed on yet.
    pub(super) fn hand_on(&mut self) {
        let part = mem::replace(&mut self.lines, Vec::with_capacity(PART + (PART >> 4)));
        self.is_taken = self.out.send(part.into()).is_ok();
    }
}

/// None of what is written here can fail to be JSON.
fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
