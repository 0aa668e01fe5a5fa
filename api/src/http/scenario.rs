//! Scenarios: demonstrations that tell line by line what they do. Only where the process offers
//! them.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::router::App;

/// What a scenario tells, line by line, without line breaks.
pub type Lines = BoxStream<'static, String>;

/// The scenarios that a process offers.
#[derive(Clone)]
pub struct Scenarios {
    /// Number and title of each, in the order in which they are listed.
    pub titles: Vec<(u32, String)>,
    /// Starts the scenario of this number; `None` when there is none. What it does goes on only as
    /// long as its lines are read.
    pub run: Arc<dyn Fn(u32) -> Option<Lines> + Send + Sync>,
}

impl std::fmt::Debug for Scenarios {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scenarios").field("titles", &self.titles).finish_non_exhaustive()
    }
}

impl Scenarios {
    fn list(&self) -> String {
        let mut list = String::new();
        for (number, title) in &self.titles {
            // Writing to a String cannot fail.
            let _ = writeln!(list, "/scenario/{number}  {title}");
        }
        list
    }
}

const TEXT: [(header::HeaderName, &str); 3] = [
    (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
    (header::CACHE_CONTROL, "no-store"),
    // Without it browsers hold text back to guess what it is.
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// What there is.
pub(crate) async fn list(State(app): State<App>) -> Response {
    let list = app.scenarios.as_ref().map(Scenarios::list).unwrap_or_default();
    (TEXT, list).into_response()
}

/// Runs one, and tells what happens as it happens.
pub(crate) async fn run(State(app): State<App>, Path(number): Path<String>) -> Response {
    let Some(scenarios) = &app.scenarios else { return StatusCode::NOT_FOUND.into_response() };
    let lines = number.parse().ok().and_then(|number| (scenarios.run)(number));
    let Some(lines) = lines else {
        let list = format!("There is no scenario {number}. There are:\n\n{}", scenarios.list());
        return (StatusCode::NOT_FOUND, TEXT, list).into_response();
    };
    let lines = lines.take_until(app.shutdown.clone().cancelled_owned());
    let pieces = lines.map(|line| Ok::<_, Infallible>(format!("{line}\n")));
    (TEXT, Body::from_stream(pieces)).into_response()
}
