//! Refusals and failures as gRPC statuses. Clients tell them apart by the code and by the
//! `exception` trailer, some also by words in the message, so these are part of the protocol.

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use super::convert::expected_text;
use crate::reading::ReadingError;
use crate::security::guard::Denial;
use crate::security::passwords::HashingFailed;
use crate::semantics::append::Expected;
use crate::storage::{ReadError, WriteError};

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

/// Only of a delete: an append says it in its answer.
pub(super) fn wrong_expected_version(
    stream: &str,
    expected: Expected,
    current: Option<u64>,
) -> Status {
    let expected = expected_text(expected);
    let current = current.map_or_else(|| "-1".to_owned(), |revision| revision.to_string());
    let message = format!(
        "Delete failed due to WrongExpectedVersion. Stream: {stream}, \
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

/// A message of an append that could not be received; `limit` is that of the whole append.
pub(super) fn not_received(error: Status, limit: usize) -> Status {
    // A message beyond what is decoded at all.
    if error.code() == Code::OutOfRange { append_too_large(limit) } else { error }
}

pub(super) fn too_much_arriving() -> Status {
    Status::resource_exhausted(
        "the server waits for the rest of too many large appends; the append was not written, repeat it",
    )
}

pub(super) fn too_many_batches() -> Status {
    Status::resource_exhausted("too many batches of this call have no end yet; end some of them")
}

pub(super) fn missing_property(name: &str) -> Status {
    let message = format!("Required Metadata Property '{name}' is missing");
    let trailers = [
        ("exception", "missing-required-metadata-property"),
        ("required-metadata-properties", "type,content-type"),
    ];
    with_trailers(Code::InvalidArgument, message, &trailers)
}

/// With the id of the one that runs, if one does.
pub(super) fn scavenge_not_found(running: &str) -> Status {
    let trailers = [("exception", "scavenge-not-found"), ("scavenge-id", running)];
    with_trailers(Code::NotFound, "Scavenge id was invalid.".to_owned(), &trailers)
}

pub(super) fn not_written(error: &WriteError) -> Status {
    match error {
        WriteError::Stopping => stopping(),
        WriteError::DiskFull => Status::resource_exhausted(
            "the event store's disk is full; the append was not written, free some space and repeat it",
        ),
        WriteError::Uncertain => Status::unavailable(
            "the event store's disk is full, and it is not certain whether the append was written; \
             free some space and repeat it",
        ),
        WriteError::Locked => Status::unavailable(
            "another program holds the event store's database; the append was not written, repeat it",
        ),
        WriteError::Damaged(damaged) => Status::data_loss(damaged.to_string()),
        WriteError::Failed(_) => Status::unavailable(
            "the event store takes no more writes after a failed commit; it has to be started again",
        ),
    }
}

/// Clients take both for one error; that the first has no trailer is EventStoreDB's way.
pub(super) fn denied(denial: Denial) -> Status {
    match denial {
        Denial::Unauthenticated => Status::unauthenticated("Unauthenticated"),
        Denial::Forbidden => access_denied(),
        Denial::Hashing(error) => not_hashed(&error),
        Denial::Read(error) => not_read(&error.into()),
    }
}

pub(super) fn not_hashed(error: &HashingFailed) -> Status {
    match error {
        HashingFailed::Busy => Status::unavailable(error.to_string()),
        HashingFailed::Broken => {
            tracing::error!(%error, "a caller could not be recognised");
            Status::internal(error.to_string())
        }
    }
}

pub(super) fn access_denied() -> Status {
    let trailers = [("exception", "access-denied")];
    with_trailers(Code::PermissionDenied, "Access Denied".to_owned(), &trailers)
}

pub(super) fn user_not_found(login: &str) -> Status {
    let message = format!("User '{login}' is not found.");
    with_trailers(
        Code::NotFound,
        message,
        &[("exception", "user-not-found"), ("login-name", login)],
    )
}

pub(super) fn user_conflict(login: &str) -> Status {
    let trailers = [("exception", "user-conflict"), ("login-name", login)];
    with_trailers(Code::FailedPrecondition, "Conflict.".to_owned(), &trailers)
}

pub(super) fn not_read(error: &ReadingError) -> Status {
    match error {
        ReadingError::Stopping => stopping(),
        ReadingError::StreamDeleted(stream) => stream_deleted(stream),
        ReadingError::CostlyFilter => invalid(error.to_string()),
        ReadingError::Storage(ReadError::Damaged(damaged)) => {
            tracing::error!(%damaged, "a read met a damaged event");
            Status::data_loss(damaged.to_string())
        }
        ReadingError::Storage(damage @ ReadError::Corrupt(cause)) => {
            tracing::error!(%cause, "a read met a damaged database");
            Status::data_loss(damage.to_string())
        }
        ReadingError::Storage(cause) => {
            tracing::error!(%cause, source = ?std::error::Error::source(cause), "a read failed");
            Status::internal("the log cannot be read")
        }
    }
}

pub(super) fn with_trailers(
    code: Code,
    message: String,
    trailers: &[(&'static str, &str)],
) -> Status {
    let mut metadata = MetadataMap::new();
    for (name, value) in trailers {
        // Stream names may hold what a header cannot; the message has them in full.
        if let Ok(value) = MetadataValue::try_from(*value) {
            metadata.insert(*name, value);
        }
    }
    Status::with_metadata(code, message, metadata)
}
