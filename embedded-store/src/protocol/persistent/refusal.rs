//! Refusals of requests about groups, as clients tell them apart.

use tonic::{Code, Status};

use super::super::status::{invalid as invalid_argument, not_written, stopping, with_trailers};
use crate::persistent::{InvalidSettings, SubscriptionError};

pub(super) fn refused(error: &SubscriptionError, stream: &str, group: &str) -> Status {
    match error {
        SubscriptionError::DoesNotExist => about(
            Code::NotFound,
            "persistent-subscription-does-not-exist",
            format!("Subscription group {group} on stream {stream} does not exist."),
            (stream, group),
        ),
        SubscriptionError::Exists => about(
            Code::AlreadyExists,
            "persistent-subscription-exists",
            format!("Subscription group {group} on stream {stream} exists."),
            (stream, group),
        ),
        SubscriptionError::TooManyConsumers => about(
            Code::FailedPrecondition,
            "maximum-subscribers-reached",
            format!(
                "Maximum subscriptions reached for subscription group {group} on stream {stream}."
            ),
            (stream, group),
        ),
        SubscriptionError::Dropped => dropped(stream, group),
        SubscriptionError::CostlyFilter => invalid_argument(error.to_string()),
        SubscriptionError::Invalid(reason) => failed(&reason.to_string(), stream, group),
        SubscriptionError::Misconfigured(reason) => failed(reason, stream, group),
        SubscriptionError::Stopping => stopping(),
        SubscriptionError::NotWritten(error) => not_written(error),
        SubscriptionError::Unreadable(error) => {
            tracing::error!(%error, "a request about a persistent subscription failed");
            Status::internal("the log cannot be read")
        }
    }
}

pub(super) fn invalid(reason: &InvalidSettings, stream: &str, group: &str) -> Status {
    failed(&reason.to_string(), stream, group)
}

pub(super) fn failed(reason: &str, stream: &str, group: &str) -> Status {
    let message = format!("Subscription group {group} on stream {stream} failed: '{reason}'");
    let trailers = [
        ("exception", "persistent-subscription-failed"),
        ("stream-name", stream),
        ("group-name", group),
        ("reason", reason),
    ];
    with_trailers(Code::Internal, message, &trailers)
}

/// What a consumer hears whose group was deleted or changed.
pub(super) fn dropped(stream: &str, group: &str) -> Status {
    about(
        Code::Cancelled,
        "persistent-subscription-dropped",
        format!("Subscription group {group} on stream {stream} was dropped."),
        (stream, group),
    )
}

fn about(code: Code, exception: &str, message: String, (stream, group): (&str, &str)) -> Status {
    let trailers = [("exception", exception), ("stream-name", stream), ("group-name", group)];
    with_trailers(code, message, &trailers)
}
