//! Between the protocol's messages and our own types, for what more than one call uses.

use std::sync::Arc;

use bytes::Bytes;
use tonic::Status;
use uuid::Uuid;

use super::messages::recorded::JSON;
use super::messages::shared::{
    self, AllStreamPosition, StreamIdentifier, Timestamp, uuid::Structured, uuid::Value,
};
use super::messages::write::{self, ExpectedRevision, ProposedMessage};
use super::status;
use crate::event::Proposed;
use crate::semantics::append::Expected;
use crate::semantics::names;

const TICKS_PER_SECOND: u64 = 10_000_000;

pub(super) fn position(position: u64) -> AllStreamPosition {
    AllStreamPosition { commit_position: position, prepare_position: position }
}

/// A time in ticks of 100 ns since 1970.
pub(super) fn time(ticks: u64) -> Timestamp {
    let seconds = i64::try_from(ticks / TICKS_PER_SECOND).unwrap_or(i64::MAX);
    let nanos = i32::try_from(ticks % TICKS_PER_SECOND * 100).unwrap_or_default();
    Timestamp { seconds, nanos }
}

pub(super) fn identifier(stream: &str) -> StreamIdentifier {
    StreamIdentifier { stream_name: Bytes::copy_from_slice(stream.as_bytes()) }
}

/// The stream that a request names.
pub(super) fn stream_name(identifier: Option<&StreamIdentifier>) -> Result<Arc<str>, Status> {
    let name = identifier.map(|identifier| &*identifier.stream_name).unwrap_or_default();
    match std::str::from_utf8(name) {
        Ok("") => Err(status::invalid("the request names no stream")),
        Ok(name) => Ok(name.into()),
        Err(_) => Err(status::invalid("the stream's name is not UTF-8")),
    }
}

/// The stream that a request wants to change.
pub(super) fn writable_stream(identifier: Option<&StreamIdentifier>) -> Result<Arc<str>, Status> {
    let name = stream_name(identifier)?;
    if names::is_writable(&name) {
        Ok(name)
    } else {
        Err(status::invalid("this stream cannot be written to"))
    }
}

pub(super) fn expected(expected: Option<ExpectedRevision>) -> Result<Expected, Status> {
    match expected {
        // What "no stream" was called before it had a name.
        Some(ExpectedRevision::Revision(u64::MAX) | ExpectedRevision::NoStream(())) => {
            Ok(Expected::NoStream)
        }
        Some(ExpectedRevision::Revision(revision)) => Ok(Expected::Revision(revision)),
        Some(ExpectedRevision::Any(())) => Ok(Expected::Any),
        Some(ExpectedRevision::StreamExists(())) => Ok(Expected::StreamExists),
        None => Err(status::invalid("the request does not say what it expects of the stream")),
    }
}

/// The expectation as the numbers that older servers used and clients still print.
pub(super) fn expected_text(expected: Expected) -> String {
    match expected {
        Expected::Revision(revision) => revision.to_string(),
        Expected::NoStream => "-1".to_owned(),
        Expected::Any => "-2".to_owned(),
        Expected::StreamExists => "-4".to_owned(),
    }
}

/// The answer to an append that holds.
pub(super) fn success(revision: Option<u64>, at: Option<u64>) -> write::Success {
    let revision =
        revision.map_or(write::CurrentRevision::NoStream(()), write::CurrentRevision::Revision);
    let at = at.map_or(write::WrittenPosition::NoPosition(()), |at| {
        write::WrittenPosition::Position(position(at))
    });
    write::Success { current_revision: Some(revision), position: Some(at) }
}

pub(super) fn proposed(message: ProposedMessage) -> Result<Proposed, Status> {
    let property = |name: &'static str| {
        let entry = message.metadata.iter().find(|entry| entry.key == name);
        let value = entry.ok_or_else(|| status::missing_property(name))?;
        std::str::from_utf8(&value.value)
            .map_err(|_| status::invalid(format!("the event's {name} is not UTF-8")))
    };
    let kind: Arc<str> = property("type")?.into();
    let is_json = property("content-type")? == JSON;
    let id = message.id.ok_or_else(|| status::invalid("an event has no id"))?;
    Ok(Proposed {
        id: uuid(&id)?,
        kind,
        is_json,
        metadata: message.custom_metadata,
        data: message.data,
    })
}

pub(super) fn uuid(id: &shared::Uuid) -> Result<Uuid, Status> {
    match &id.value {
        Some(Value::Structured(id)) => Ok(Uuid::from_u64_pair(
            id.most_significant_bits.cast_unsigned(),
            id.least_significant_bits.cast_unsigned(),
        )),
        Some(Value::String(id)) => {
            Uuid::parse_str(id).map_err(|_| status::invalid("an id is not a UUID"))
        }
        None => Err(status::invalid("an id is empty")),
    }
}

pub(super) fn uuid_as_text(id: Uuid) -> shared::Uuid {
    shared::Uuid { value: Some(Value::String(id.to_string())) }
}

pub(super) fn uuid_as_numbers(id: Uuid) -> shared::Uuid {
    let (high, low) = id.as_u64_pair();
    let value = Structured {
        most_significant_bits: high.cast_signed(),
        least_significant_bits: low.cast_signed(),
    };
    shared::Uuid { value: Some(Value::Structured(value)) }
}
