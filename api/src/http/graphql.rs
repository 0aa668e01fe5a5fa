//! GraphQL over POST: one JSON document in, one out. No batches, no uploads.

use std::time::Duration;

use async_graphql::{Executor, Request as GraphqlRequest};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, header};
use axum::response::Response;
use futures::StreamExt;

use super::answer::{refuse, respond};
use crate::graphql::error::Code;
use crate::graphql::gate::Origin;
use crate::router::App;

/// How long a body that is too large is read on, so that its sender gets to see the answer.
const DRAIN_FOR: Duration = Duration::from_secs(5);
/// And how much of it.
const DRAIN_BYTES: usize = 32 << 20;

/// Answers one GraphQL request.
pub(crate) async fn post(State(app): State<App>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let authorization = text(&parts.headers, header::AUTHORIZATION.as_str());
    let identity = app.verifier.verify_header(authorization.as_deref());
    let body = match tokio::time::timeout(app.time_limit, read(body, app.body_limit)).await {
        Ok(Ok(body)) => body,
        Ok(Err(refusal)) => return refusal,
        Err(_) => return refuse(Code::Timeout, "the request took too long to arrive"),
    };
    let identity = match identity {
        Ok(identity) => identity,
        Err(refused) => return refuse(Code::Unauthenticated, refused.to_string()),
    };
    if !is_json(&parts.headers) {
        let message = "send the request as JSON, with `Content-Type: application/json`";
        return refuse(Code::UnsupportedMediaType, message);
    }
    let request = match serde_json::from_slice::<GraphqlRequest>(&body) {
        Ok(request) => request,
        Err(error) => {
            let message = format!(
                "the body is not a GraphQL request in JSON, such as {{\"query\": \"…\"}}: {error}"
            );
            return refuse(Code::BadRequest, message);
        }
    };
    let origin = origin(&parts.headers);
    // The cell is new: nobody has set it before.
    let _ = origin.identity.set(identity);
    respond(app.gate.with_origin(origin).execute(request).await)
}

/// What a request that is neither POST nor GET is told.
pub(crate) async fn method_not_allowed() -> Response {
    refuse(Code::MethodNotAllowed, "send GraphQL requests with POST")
}

/// What a request's headers say about where it comes from.
pub(crate) fn origin(headers: &HeaderMap) -> Origin {
    Origin {
        idempotency_key: text(headers, "idempotency-key"),
        traceparent: text(headers, "traceparent").filter(|value| is_traceparent(value)),
        ..Origin::default()
    }
}

pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// W3C Trace Context §3.2: `version-trace id-parent id-flags`, in hexadecimal.
fn is_traceparent(value: &str) -> bool {
    let lengths: Vec<usize> = value.split('-').map(str::len).collect();
    lengths == [2, 32, 16, 2] && value.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = text(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Response> {
    let mut pieces = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece =
            piece.map_err(|_| refuse(Code::BadRequest, "the request broke off before its end"))?;
        if whole.len() + piece.len() > limit {
            drain(pieces).await;
            let message = format!(
                "the request is larger than {limit} bytes; send less at once, in several requests"
            );
            return Err(refuse(Code::PayloadTooLarge, message));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

/// A sender that is cut off while it still sends sees a broken connection, not the answer.
async fn drain(mut pieces: axum::body::BodyDataStream) {
    let mut left = DRAIN_BYTES;
    let drained = async {
        while let Some(Ok(piece)) = pieces.next().await {
            left = left.saturating_sub(piece.len());
            if left == 0 {
                return;
            }
        }
    };
    // Whoever sends for longer than this sees the broken connection after all.
    let _ = tokio::time::timeout(DRAIN_FOR, drained).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_trace_context_is_passed_on() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(good));
        for bad in
            ["", "00", &good[..54], "00-zbf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]
        {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }
}
