//! Health: `live` says that this process works, `ready` that everything it needs does.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::future::{BoxFuture, FutureExt, join_all};
use journal::Journal;
use projector::read_model::Reader;
use serde::Serialize;

use crate::router::App;

/// Time that one check may take.
const LIMIT: Duration = Duration::from_secs(1);

/// Why a check is red, for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckFailed(pub String);

type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), CheckFailed>> + Send + Sync>;

/// Something that must work for this process to be ready.
#[derive(Clone)]
pub struct Check {
    name: String,
    probe: Probe,
}

impl Check {
    /// A check under `name`. `probe` is asked at every request, for a second at most.
    pub fn new<F, E>(name: impl Into<String>, probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let probe = move || {
            let asked = probe();
            async move { asked.await.map_err(|error| CheckFailed(error.to_string())) }.boxed()
        };
        Self { name: name.into(), probe: Arc::new(probe) }
    }
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All checks: the event store, Postgres, and what the process was started with besides.
pub(crate) struct Checks(Vec<Check>);

impl Checks {
    pub(crate) fn new(journal: Journal, reader: Reader, more: Vec<Check>) -> Self {
        let store = Check::new("event store", move || {
            let journal = journal.clone();
            async move { journal.ready().await }
        });
        let postgres = Check::new("postgres", move || {
            let reader = reader.clone();
            async move { reader.ready().await }
        });
        Self([store, postgres].into_iter().chain(more).collect())
    }
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    red: Vec<Red>,
}

#[derive(Serialize)]
struct Red {
    check: String,
    reason: String,
}

/// 200 as long as requests are answered at all.
pub(crate) async fn live() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "live": true }))
}

/// 200 when every check is green, else 503 with those that are red.
pub(crate) async fn ready(State(app): State<App>) -> Response {
    let red: Vec<Red> =
        join_all(app.checks.0.iter().map(ask)).await.into_iter().flatten().collect();
    let ready = red.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, red })).into_response()
}

async fn ask(check: &Check) -> Option<Red> {
    let reason = match tokio::time::timeout(LIMIT, (check.probe)()).await {
        Ok(Ok(())) => return None,
        Ok(Err(CheckFailed(reason))) => reason,
        Err(_) => format!("no answer within {} s", LIMIT.as_secs()),
    };
    Some(Red { check: check.name.clone(), reason })
}
