//! What is served over plain HTTP, on the port that speaks gRPC too: whether the server lives, what
//! it says about itself and its work, and a page on which a person reads the log. Nothing here
//! writes.
//!
//! | Path | Is |
//! |---|---|
//! | `/health/live` | 204 while the server takes writes, 503 once it no longer does |
//! | `/ping`, `/info`, `/gossip` | what clients and load balancers ask |
//! | `/stats` | numbers about the process, the machine and the log |
//! | `/web/` | the page, and under `/web/api/` where it gets what it shows |

mod access;
mod api;
mod assets;
mod beside_grpc;
mod node;
mod problem;
mod stats;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub(crate) use self::beside_grpc::BesideGrpc;
use self::problem::Problem;
use crate::protocol::Context;

/// Everything that is served over HTTP.
fn router(context: Arc<Context>) -> Router {
    let stats = Router::new()
        .route("/stats", get(stats::all))
        .route("/stats/{*path}", get(stats::part))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&context), access::known_host));
    Router::new()
        .route("/health/live", get(node::live))
        .route("/ping", get(node::ping))
        .route("/info", get(node::info))
        .route("/gossip", get(node::gossip))
        .merge(stats)
        .nest("/web/api", api::router(Arc::clone(&context)))
        .merge(assets::router())
        .fallback(nothing_here)
        .method_not_allowed_fallback(read_only)
        .with_state(context)
}

/// Without a word for who wants to write, as clients do that speak EventStoreDB's older protocol, or
/// try whether a server speaks it: they look at the status, and some never read the rest.
async fn nothing_here(method: Method, uri: Uri) -> Response {
    if method.is_safe() {
        Problem::NoSuchPath(uri.path().to_owned()).into_response()
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

async fn read_only() -> impl IntoResponse {
    (StatusCode::METHOD_NOT_ALLOWED, Problem::ReadOnly)
}
