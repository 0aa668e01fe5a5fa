//! Persistent subscriptions on the wire. What groups do is in `crate::persistent`.

mod info;
mod manage;
mod read;
mod refusal;

use tonic::Status;
use tonic::metadata::MetadataMap;

pub(super) use self::info::{get_info, list};
pub(super) use self::manage::{create, delete, replay_parked, restart_subsystem, update};
pub(super) use self::read::read;
use super::AUTHORIZATION;
use super::messages::shared::StreamIdentifier;
use super::status;
use crate::persistent::ALL;
use crate::security::caller::Credentials;

/// Who calls, as its headers say and nobody verified; only for the record.
fn user_name(headers: &MetadataMap) -> Option<String> {
    let authorization = headers.get(AUTHORIZATION)?;
    Some(Credentials::parse(authorization.as_encoded_bytes())?.login)
}

/// The name of a stream, which must not be that of the whole log.
fn stream_name(identifier: Option<&StreamIdentifier>) -> Result<&str, Status> {
    let name = identifier.map(|identifier| &*identifier.stream_name).unwrap_or_default();
    std::str::from_utf8(name).map_err(|_| status::invalid("the stream's name is not UTF-8"))
}

/// What a request without any of the choices for its source is told.
fn no_source() -> Status {
    status::invalid("the request names neither a stream nor all streams")
}

/// The name of a stream or of the whole log.
fn source_name(stream: Option<&StreamIdentifier>) -> Result<&str, Status> {
    match stream {
        Some(identifier) => stream_name(Some(identifier)),
        None => Ok(ALL),
    }
}
