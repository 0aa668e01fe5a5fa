//! Who may see what over HTTP: the same rules as for calls, and one more for browsers.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Problem;
use crate::protocol::Context;
use crate::security::Action;
use crate::security::guard::Denial;
use crate::security::passwords::HashingFailed;

/// Whether whoever sent these headers may do this: the first thing that every request asks that
/// shows anything of the log or of the server's work.
pub(super) async fn allow(
    context: &Context,
    headers: &HeaderMap,
    action: Action<'_>,
) -> Result<(), Problem> {
    context.allow_http(headers, action).await.map_err(|denial| match denial {
        // Whoever did not say who they are may still do so.
        Denial::Forbidden if headers.contains_key(header::AUTHORIZATION) => Problem::Forbidden,
        Denial::Forbidden | Denial::Unauthenticated => Problem::Unauthenticated,
        Denial::Hashing(HashingFailed::Busy) => Problem::Busy,
        Denial::Hashing(error @ HashingFailed::Broken) => {
            tracing::error!(%error, "a caller could not be recognised");
            Problem::Unreadable
        }
        Denial::Read(error) => error.into(),
    })
}

/// Refuses names that this server does not go by. A page of some other site could otherwise have
/// its own name resolved to this machine, and read the log with its visitor's browser.
pub(super) async fn known_host(
    State(context): State<Arc<Context>>,
    request: Request,
    next: Next,
) -> Response {
    let host = match request.uri().host() {
        Some(host) => Some(host),
        None => request.headers().get(header::HOST).and_then(|host| host.to_str().ok()),
    };
    if host.is_some_and(|host| is_known(host, &context.advertised.0)) {
        next.run(request).await
    } else {
        Problem::UnknownHost.into_response()
    }
}

const OTHERS_MAY_EMBED: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What the log says is for whoever asked, and is kept nowhere.
pub(super) async fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(OTHERS_MAY_EMBED, HeaderValue::from_static("same-origin"));
    response
}

/// Addresses and names without a dot cannot be registered by anybody else.
fn is_known(host: &str, advertised: &str) -> bool {
    let name = without_port(host);
    name.parse::<IpAddr>().is_ok()
        || !name.contains('.')
        || name.ends_with(".localhost")
        || name.eq_ignore_ascii_case(advertised)
}

fn without_port(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_others_could_own_are_not_ours_unless_we_say_so() {
        for ours in ["127.0.0.1:2113", "[::1]:2113", "localhost", "events:2113", "a.localhost:1"] {
            assert!(is_known(ours, "events.example.com"), "{ours}");
        }
        assert!(is_known("Events.example.com:443", "events.example.com"));
        assert!(!is_known("rebound.example.org:2113", "events.example.com"));
    }
}
