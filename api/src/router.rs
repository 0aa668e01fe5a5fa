//! Every route, on one screen.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use journal::Clock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use crate::auth::Verifier;
use crate::graphql::gate::Gate;
use crate::http::health::Checks;
use crate::http::metrics::Metrics;
use crate::http::scenario::Scenarios;
use crate::http::{answer, graphql, health, metrics, pages, scenario, socket};

/// What every route may use.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) gate: Gate,
    pub(crate) verifier: Verifier,
    pub(crate) checks: Arc<Checks>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) scenarios: Option<Scenarios>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Bytes of one request or one WebSocket message.
    pub(crate) body_limit: usize,
    /// Time that a request's body may take to arrive.
    pub(crate) time_limit: Duration,
    pub(crate) shutdown: CancellationToken,
    /// Sockets under way.
    pub(crate) tasks: TaskTracker,
}

impl App {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

pub(crate) fn router(app: App) -> Router {
    let graphql = post(graphql::post).fallback(graphql::method_not_allowed);
    let mut pages = Router::new()
        .route("/", get(pages::home))
        .route("/explorer", get(pages::explorer))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::answer))
        .route("/graphql", graphql);
    if app.scenarios.is_some() {
        pages = pages.route("/scenario", get(scenario::list));
    }
    // Neither a WebSocket nor a stream of lines is compressed: both answer piece by piece.
    let mut streams = Router::new().route("/graphql", get(socket::upgrade));
    if app.scenarios.is_some() {
        streams = streams.route("/scenario/{number}", get(scenario::run));
    }
    pages
        .layer(CompressionLayer::new())
        .merge(streams)
        .fallback(pages::not_found)
        .layer(CatchPanicLayer::custom(answer::panicked))
        .with_state(app)
}
