//! The page's own files. They are part of the program, so that a server and its page always fit, and
//! they load nothing from anywhere else: the headers forbid it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use super::{Problem, access};
use crate::protocol::Context;
use crate::security::Action;

const PAGE: &str = "/web/index.html";

/// No script, style, image or request but from this server; no frame around the page.
const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($name:literal as $kind:ident),+ $(,)?) => {
        const FILES: &[(&str, &str, &str)] =
            &[$(($name, $kind, include_str!(concat!("web/", $name)))),+];
    };
}

files! {
    "index.html" as HTML,
    "style.css" as CSS,
    "icon.svg" as SVG,
    "main.js" as SCRIPT,
    "api.js" as SCRIPT,
    "dom.js" as SCRIPT,
    "format.js" as SCRIPT,
    "json.js" as SCRIPT,
    "events.js" as SCRIPT,
    "live.js" as SCRIPT,
    "dashboard.js" as SCRIPT,
    "streams.js" as SCRIPT,
    "stream.js" as SCRIPT,
    "log.js" as SCRIPT,
    "event.js" as SCRIPT,
    "search.js" as SCRIPT,
    "subscriptions.js" as SCRIPT,
    "admin.js" as SCRIPT,
}

pub(super) fn router() -> Router<Arc<Context>> {
    let to_page = || get(async || Redirect::temporary(PAGE));
    Router::new()
        .route("/", to_page())
        .route("/web", to_page())
        .route("/web/", to_page())
        .route(PAGE, get(page))
        .route("/web/{file}", get(async |Path(name): Path<String>, headers| file(&name, &headers)))
}

/// Where people log in, the page itself is for those who did: so the browser asks for the password at
/// once, and uses it for everything that the page loads.
async fn page(
    State(context): State<Arc<Context>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    access::allow(&context, &headers, Action::ReadStatistics).await?;
    Ok(file("index.html", &headers))
}

fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some((_, kind, content)) = FILES.iter().find(|(known, ..)| *known == name) else {
        return Problem::NoSuchPath(format!("/web/{name}")).into_response();
    };
    let tag = entity_tag();
    let headers_out = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("cross-origin-resource-policy"), SAME_ORIGIN),
        // Asked again each time, and most often answered with 304: a new version shows at once.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, HeaderValue::from_static(tag)),
    ];
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag);
    if known {
        return (StatusCode::NOT_MODIFIED, headers_out).into_response();
    }
    (headers_out, *content).into_response()
}

const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");

/// One for all files: they change together, with the program.
fn entity_tag() -> &'static str {
    use std::hash::{DefaultHasher, Hash, Hasher};
    use std::sync::OnceLock;

    static TAG: OnceLock<String> = OnceLock::new();
    TAG.get_or_init(|| {
        let mut hasher = DefaultHasher::new();
        FILES.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    })
}
