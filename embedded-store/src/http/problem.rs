//! What cannot be answered: a status, a word for programs and a sentence for people.

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::reading::ReadingError;
use crate::storage::ReadError;

#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("Nothing is served at {0}. The page is at /web/.")]
    NoSuchPath(String),
    #[error("Only GET is served over HTTP; write through a client of the gRPC protocol.")]
    ReadOnly,
    #[error("Calls are taken over HTTP/2 only.")]
    NeedsHttp2,
    #[error("{0}")]
    Invalid(String),
    #[error("There is no stream named {0}.")]
    NoStream(Arc<str>),
    #[error(
        "There is no event at {0} of stream {1}: it was not written yet, or it can no longer be read."
    )]
    NoEvent(String, Arc<str>),
    #[error("There is no number named {0}.")]
    NoStatistic(String),
    #[error(
        "This server does not go by that name. Use its address, or start it with that name as the advertised one."
    )]
    UnknownHost,
    #[error("A login and its password are needed, or those that were given are not valid.")]
    Unauthenticated,
    #[error("This user may not see that.")]
    Forbidden,
    #[error("Too many logins at a time; try again later.")]
    Busy,
    #[error("The server is stopping.")]
    Stopping,
    #[error("{0}.")]
    Damaged(String),
    #[error("The log cannot be read; the server's own log says why.")]
    Unreadable,
}

impl Problem {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// What programs tell problems apart by.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::NoSuchPath(_) => "no-such-path",
            Self::ReadOnly => "read-only",
            Self::NeedsHttp2 => "needs-http-2",
            Self::Invalid(_) => "invalid-request",
            Self::NoStream(_) => "stream-not-found",
            Self::NoEvent(..) => "event-not-found",
            Self::NoStatistic(_) => "statistic-not-found",
            Self::UnknownHost => "unknown-host",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "access-denied",
            Self::Busy => "busy",
            Self::Stopping => "stopping",
            Self::Damaged(_) => "damaged",
            Self::Unreadable => "unreadable",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchPath(_) | Self::NoStream(_) | Self::NoEvent(..) | Self::NoStatistic(_) => {
                StatusCode::NOT_FOUND
            }
            Self::ReadOnly => StatusCode::METHOD_NOT_ALLOWED,
            Self::NeedsHttp2 => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Busy | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Damaged(_) | Self::Unreadable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.word(), "message": self.to_string() });
        let mut response = (self.status(), Json(body)).into_response();
        if matches!(self, Self::Unauthenticated) {
            let challenge = HeaderValue::from_static("Basic realm=\"event store\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        ReadingError::from(error).into()
    }
}

impl From<ReadingError> for Problem {
    fn from(error: ReadingError) -> Self {
        match error {
            ReadingError::Stopping => Self::Stopping,
            ReadingError::StreamDeleted(stream) => Self::NoStream(stream),
            ReadingError::CostlyFilter => {
                Self::invalid("The filter's regular expression takes too long.")
            }
            ReadingError::Storage(ReadError::Damaged(damaged)) => {
                tracing::error!(%damaged, "a read for the page met a damaged event");
                Self::Damaged(damaged.to_string())
            }
            ReadingError::Storage(cause) => {
                let source = std::error::Error::source(&cause);
                tracing::error!(%cause, ?source, "a read for the page failed");
                Self::Unreadable
            }
        }
    }
}
