//! Refusals and failures as gRPC statuses. Clients tell them apart by the code and by the
//! `exception` trailer, some also by words in the message, so these are part of the protocol.

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use super::convert::expected_text;
use crate::reading::ReadingError;
use crate::semantics::append::Expected;
use crate::storage::WriteError;

/// A stop, by whoever is asked for anything while it is under way. Never OK: the official client
/// would spin.
pub(super) fn stopping() -> Status {
    Status::unavailable("the server is stopping")
}

pub(super) fn invalid(message: impl Into<String>) -> Status {
    Status::invalid_argument(message)
}

pub(super) fn stream_deleted(stream: &str) -> Status {
    let message = format!("Event stream '{stream}' is deleted.");
    let trailers = [("exception", "stream-deleted"), ("stream-name", stream)];
    with_trailers(Code::FailedPrecondition, message, &trailers)
}

pub(super) fn wrong_expected_version(
    stream: &str,
    expected: Expected,
    current: Option<u64>,
) -> Status {
    let expected = expected_text(expected);
    let current = current.map_or_else(|| "-1".to_owned(), |revision| revision.to_string());
    let message = format!(
        "Append failed due to WrongExpectedVersion. Stream: {stream}, \
         Expected version: {expected}, Actual version: {current}"
    );
    let trailers = [
        ("exception", "wrong-expected-version"),
        ("stream-name", stream),
        ("expected-version", &expected),
        ("actual-version", &current),
    ];
    with_trailers(Code::FailedPrecondition, message, &trailers)
}

pub(super) fn append_too_large(limit: usize) -> Status {
    let message = format!("Maximum Append Size of {limit} Exceeded.");
    let trailers = [
        ("exception", "maximum-append-size-exceeded"),
        ("maximum-append-size", &limit.to_string()),
    ];
    with_trailers(Code::InvalidArgument, message, &trailers)
}

pub(super) fn missing_property(name: &str) -> Status {
    let message = format!("Required Metadata Property '{name}' is missing");
    let trailers = [
        ("exception", "missing-required-metadata-property"),
        ("required-metadata-properties", name),
    ];
    with_trailers(Code::InvalidArgument, message, &trailers)
}

pub(super) fn not_written(error: &WriteError) -> Status {
    match error {
        WriteError::Stopping => stopping(),
        WriteError::DiskFull => Status::resource_exhausted(
            "the event store's disk is full; the append was not written, free some space and repeat it",
        ),
        WriteError::Locked => Status::unavailable(
            "another program holds the event store's database; the append was not written, repeat it",
        ),
        WriteError::Failed(_) => Status::unavailable(
            "the event store takes no more writes after a failed commit; it has to be started again",
        ),
    }
}

pub(super) fn not_read(error: &ReadingError) -> Status {
    match error {
        ReadingError::Stopping => stopping(),
        ReadingError::StreamDeleted(stream) => stream_deleted(stream),
        ReadingError::Storage(cause) => {
            tracing::error!(%cause, source = ?std::error::Error::source(cause), "a read failed");
            Status::internal("the log cannot be read")
        }
    }
}

fn with_trailers(code: Code, message: String, trailers: &[(&'static str, &str)]) -> Status {
    let mut metadata = MetadataMap::new();
    for (name, value) in trailers {
        // Stream names may hold what a header cannot; the message has them in full.
        if let Ok(value) = MetadataValue::try_from(*value) {
            metadata.insert(*name, value);
        }
    }
    Status::with_metadata(code, message, metadata)
}
