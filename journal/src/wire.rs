//! Between the client's types and ours.

use bytes::Bytes;
use eventstore::{CurrentRevision, EventData, RecordedEvent, ResolvedEvent};
use serde_json::value::RawValue;

use crate::{Error, ExpectedRevision, Position, Proposed, Raw, Recorded};

/// An event that was read and is not one of ours.
#[derive(Debug)]
pub(crate) struct NotOurs {
    pub(crate) stream: String,
    pub(crate) revision: u64,
    pub(crate) position: Position,
    pub(crate) reason: String,
}

impl NotOurs {
    /// Whether the store itself wrote it; there are many of those, and nothing wrong with them.
    pub(crate) fn is_the_stores_own(&self) -> bool {
        self.stream.starts_with('$')
    }

    pub(crate) fn into_error(self) -> Error {
        Error::Foreign { stream: self.stream, revision: self.revision, reason: self.reason }
    }
}

/// What arrived: an event of ours, or something else. `None` for a link to nothing.
pub(crate) fn received(event: ResolvedEvent) -> Option<Result<Recorded, NotOurs>> {
    event.link.or(event.event).map(|event| raw(event).understood())
}

/// An event as it came.
pub(crate) fn raw(event: RecordedEvent) -> Raw {
    Raw {
        stream: event.stream_id.into(),
        revision: event.revision,
        position: position(event.position),
        event_id: event.id,
        event_type: event.event_type.into(),
        metadata: event.custom_metadata,
        data: event.data,
    }
}

pub(crate) fn proposed(event: &Proposed) -> Result<EventData, Error> {
    let refused = |error: serde_json::Error| {
        let reason = format!("`{}` is not JSON: {error}", event.encoded.event_type);
        Error::Refused { reason }
    };
    // Checked, because the store keeps what claims to be JSON without looking.
    let data: &RawValue = serde_json::from_slice(&event.encoded.data).map_err(refused)?;
    let metadata = serde_json::to_vec(&event.metadata).map_err(refused)?;
    let data = EventData::json(event.encoded.event_type, &data).map_err(refused)?;
    Ok(data.id(event.event_id).metadata(Bytes::from(metadata)))
}

pub(crate) fn expected(revision: ExpectedRevision) -> eventstore::ExpectedRevision {
    match revision {
        ExpectedRevision::NoStream => eventstore::ExpectedRevision::NoStream,
        ExpectedRevision::Exact(revision) => eventstore::ExpectedRevision::Exact(revision),
    }
}

pub(crate) fn actual(revision: CurrentRevision) -> Option<u64> {
    match revision {
        CurrentRevision::Current(revision) => Some(revision),
        CurrentRevision::NoStream => None,
    }
}

pub(crate) fn position(position: eventstore::Position) -> Position {
    Position { commit: position.commit, prepare: position.prepare }
}

/// Where to begin so that everything after `position` comes; the start has no event at it.
pub(crate) fn after(position: Position) -> eventstore::StreamPosition<eventstore::Position> {
    if position == Position::START {
        return eventstore::StreamPosition::Start;
    }
    let Position { commit, prepare } = position;
    eventstore::StreamPosition::Position(eventstore::Position { commit, prepare })
}
