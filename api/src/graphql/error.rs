//! Errors that are nobody's input: not allowed, not there, not available, our fault.
//!
//! They go to the top-level `errors`, each with a stable `extensions.code`. What is wrong with an
//! input is a user error of the payload, see [`user_error`](super::user_error).

use async_graphql::{Context, Error, ErrorExtensions, ServerError};
use journal::ExecuteError;
use projector::read_model;
use schemas::StreamName;

use super::request::Caller;

/// What kind of error it is, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// The request makes no sense.
    BadRequest,
    /// Nobody known is asking.
    Unauthenticated,
    /// The token does not allow this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The method is not meant for this address.
    MethodNotAllowed,
    /// The body is too large.
    PayloadTooLarge,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// The query asks for too much.
    QueryTooExpensive,
    /// Too many subscriptions on one socket.
    TooManySubscriptions,
    /// The read model has not got far enough in time.
    StaleRead,
    /// An event in the log cannot be understood by this build, and what was asked for needs it.
    UnreadableEvent,
    /// Something that is needed cannot be reached.
    Unavailable,
    /// It took too long.
    Timeout,
    /// A defect.
    Internal,
}

impl Code {
    /// As it stands in `extensions.code`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::QueryTooExpensive => "QUERY_TOO_EXPENSIVE",
            Self::TooManySubscriptions => "TOO_MANY_SUBSCRIPTIONS",
            Self::StaleRead => "STALE_READ",
            Self::UnreadableEvent => "UNREADABLE_EVENT",
            Self::Unavailable => "UNAVAILABLE",
            Self::Timeout => "TIMEOUT",
            Self::Internal => "INTERNAL",
        }
    }
}

/// An error of this kind, for a resolver to return.
pub(crate) fn error(code: Code, message: impl Into<String>) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code.name()))
}

/// The same for a whole request.
pub(crate) fn server_error(code: Code, message: impl Into<String>) -> ServerError {
    error(code, message).into_server_error(async_graphql::Pos::default())
}

/// Answers what the event store did wrong. Transient trouble is said so; everything else is logged
/// under the id that the caller gets to see.
pub(crate) fn store_error(ctx: &Context<'_>, cause: &journal::Error) -> Error {
    match cause {
        journal::Error::Unavailable { .. }
        | journal::Error::Conflict { .. }
        | journal::Error::GivenUp => {
            tracing::warn!(error = cause as &dyn std::error::Error, "event store unavailable");
            error(
                Code::Unavailable,
                "the event store cannot be reached; try again with the same idempotency key",
            )
        }
        journal::Error::Undecodable { .. }
        | journal::Error::Foreign { .. }
        | journal::Error::TooLarge { .. }
        | journal::Error::StreamDeleted { .. }
        | journal::Error::AccessDenied { .. }
        | journal::Error::BadAddress { .. }
        | journal::Error::SnapshotFolder { .. }
        | journal::Error::Tls
        | journal::Error::Refused { .. } => internal(ctx, cause),
    }
}

/// Answers that event `revision` of `stream` cannot be understood; of this type, if that is known.
/// Why is in the log: it may repeat what the event says.
pub(crate) fn unreadable_event(
    stream: &StreamName,
    revision: u64,
    event_type: Option<&str>,
    cause: &(dyn std::error::Error + 'static),
) -> Error {
    tracing::warn!(%stream, revision, error = cause, "an event cannot be understood");
    let name = event_type.map_or(String::new(), |name| format!(", `{name}`,"));
    let message = format!(
        "event {revision} of {stream}{name} cannot be understood by this version; a newer one may, \
         or an operator can skip it"
    );
    error(Code::UnreadableEvent, message).extend_with(|_, extensions| {
        extensions.set("stream", stream.as_str());
        extensions.set("revision", revision);
        if let Some(name) = event_type {
            extensions.set("eventType", name);
        }
    })
}

/// Answers why a read gave no answer.
pub(crate) fn read_error(ctx: &Context<'_>, cause: &read_model::Error) -> Error {
    match cause {
        read_model::Error::Unavailable(_) | read_model::Error::NotReady(_) => {
            tracing::warn!(error = cause as &dyn std::error::Error, "read models unavailable");
            error(Code::Unavailable, cause.to_string())
        }
        read_model::Error::ForeignCursor | read_model::Error::NotInThePast(_) => {
            error(Code::BadRequest, cause.to_string())
        }
        read_model::Error::TooBroad => error(Code::QueryTooExpensive, cause.to_string()),
        read_model::Error::BadAddress | read_model::Error::Failed(_) => internal(ctx, cause),
    }
}

/// Answers why personal data could not be sealed or opened.
pub(crate) fn keyring_error(ctx: &Context<'_>, cause: &keyring::Error) -> Error {
    if !cause.is_transient() {
        return internal(ctx, cause);
    }
    tracing::warn!(error = cause as &dyn std::error::Error, "keys of personal data unavailable");
    error(
        Code::Unavailable,
        "the keys of personal data cannot be reached; try again with the same idempotency key",
    )
}

/// Splits what became of a command into the rule it broke, for the payload, and everything else.
pub(crate) fn rejection<R: std::error::Error + 'static>(
    ctx: &Context<'_>,
    cause: ExecuteError<R>,
) -> Result<R, Error> {
    match cause {
        ExecuteError::Rejected(rejection) => Ok(rejection),
        ExecuteError::Store(cause) => Err(store_error(ctx, &cause)),
        ExecuteError::Contended => Err(error(
            Code::Unavailable,
            "too many others change the same thing; try again with the same idempotency key",
        )),
    }
}

/// Answers a defect: the caller gets the id under which it was logged, and nothing else.
pub(crate) fn internal(ctx: &Context<'_>, cause: &(dyn std::error::Error + 'static)) -> Error {
    let request_id = Caller::of(ctx).request_id;
    tracing::error!(%request_id, error = cause, "a request failed by our own fault");
    error(Code::Internal, format!("something went wrong here; the log knows it as {request_id}"))
        .extend_with(|_, extensions| extensions.set("requestId", request_id.to_string()))
}
