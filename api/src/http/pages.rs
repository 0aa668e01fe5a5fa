//! Pages for people, from our own files: nothing is loaded from elsewhere.

use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{Html, IntoResponse, Response};

use super::answer::refuse;
use crate::graphql::error::Code;
use crate::router::App;

const EXPLORER: &str = include_str!("../../assets/explorer.html");

/// Where to go from here.
pub(crate) async fn home(State(app): State<App>) -> Html<String> {
    let scenarios = if app.scenarios.is_some() {
        "<li><a href=\"/scenario\">Scenarios</a>: demonstrations, step by step</li>\n"
    } else {
        ""
    };
    Html(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>orderstore</title></head>\n\
         <body>\n<h1>orderstore</h1>\n<ul>\n\
         <li><a href=\"/explorer\">Explorer</a>: try GraphQL queries</li>\n\
         <li><code>POST /graphql</code>: queries and mutations; a WebSocket there: subscriptions</li>\n\
         <li><a href=\"/health/ready\">Readiness</a> and <a href=\"/health/live\">liveness</a></li>\n\
         {scenarios}</ul>\n</body>\n</html>\n"
    ))
}

/// The explorer.
pub(crate) async fn explorer() -> Response {
    ([(header::CACHE_CONTROL, "no-cache")], Html(EXPLORER)).into_response()
}

/// Anything else.
pub(crate) async fn not_found(uri: Uri) -> Response {
    refuse(Code::NotFound, format!("there is nothing at {}", uri.path()))
}
