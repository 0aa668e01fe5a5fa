//! Refusals inside of an answer, `google.rpc.Status`: how a batch says what became of one append.
//! Clients tell them apart by the type of their details.

use prost::Message;
use tonic::{Code, Status};

use super::convert;
use super::messages::shared::{
    self, AnyMessage, BadRequest, MaximumAppendSizeExceeded, RpcStatus, StreamDeleted,
    wrong_expected_version as wire,
};
use crate::semantics::append::Expected;

pub(super) fn wrong_expected_version(expected: Expected, current: Option<u64>) -> RpcStatus {
    let expected = match expected {
        Expected::Any => wire::Expected::Any(()),
        Expected::NoStream => wire::Expected::NoStream(()),
        Expected::StreamExists => wire::Expected::StreamExists(()),
        Expected::Revision(revision) => wire::Expected::Revision(revision),
    };
    let current = current.map_or(wire::Current::NoStream(()), wire::Current::Revision);
    let details = shared::WrongExpectedVersion { current: Some(current), expected: Some(expected) };
    refusal(Code::AlreadyExists, "WrongExpectedVersion", &details)
}

pub(super) fn stream_deleted(stream: &str) -> RpcStatus {
    let stream_identifier = Some(convert::identifier(stream));
    refusal(Code::NotFound, "StreamDeleted", &StreamDeleted { stream_identifier })
}

pub(super) fn too_large(limit: usize) -> RpcStatus {
    let max_append_size = u32::try_from(limit).unwrap_or(u32::MAX);
    let details = MaximumAppendSizeExceeded { max_append_size };
    refusal(Code::InvalidArgument, "MaximumAppendSizeExceeded", &details)
}

pub(super) fn timeout() -> RpcStatus {
    refusal(Code::DeadlineExceeded, "Timeout", &())
}

/// What would have ended a call of its own.
pub(super) fn of(status: &Status) -> RpcStatus {
    match status.code() {
        Code::InvalidArgument => {
            let details = BadRequest { message: status.message().to_owned() };
            refusal(Code::InvalidArgument, "BadRequest", &details)
        }
        Code::PermissionDenied | Code::Unauthenticated => {
            refusal(Code::PermissionDenied, "AccessDenied", &())
        }
        Code::Unknown => refusal(Code::Unknown, "Unknown", &()),
        // These have no details in the protocol.
        code @ (Code::Ok
        | Code::Cancelled
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss) => RpcStatus {
            code: code as i32,
            message: status.message().to_owned(),
            details: Some(packed("google.protobuf.Empty", &())),
        },
    }
}

/// `name` is the message's name in the package that all services share.
fn refusal<M: Message>(code: Code, name: &str, details: &M) -> RpcStatus {
    let details = packed(&format!("event_store.client.{name}"), details);
    RpcStatus { code: code as i32, message: name.to_owned(), details: Some(details) }
}

fn packed<M: Message>(name: &str, message: &M) -> AnyMessage {
    AnyMessage {
        type_url: format!("type.googleapis.com/{name}"),
        value: message.encode_to_vec().into(),
    }
}
