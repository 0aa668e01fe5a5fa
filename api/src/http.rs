//! How requests come in: GraphQL over POST and WebSocket, health, metrics, pages, scenarios.

pub(crate) mod answer;
pub(crate) mod graphql;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod pages;
pub(crate) mod scenario;
pub(crate) mod socket;

/// What a GET that is no WebSocket and no browser is told.
fn refuse_get() -> axum::response::Response {
    let message = "send GraphQL requests with POST, or open a WebSocket";
    answer::refuse(crate::graphql::error::Code::MethodNotAllowed, message)
}
