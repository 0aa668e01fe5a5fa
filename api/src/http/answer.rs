//! Answers that are not a resolver's: always JSON in the shape of GraphQL, so that a client needs
//! one way to read errors.

use std::any::Any;

use async_graphql::{Response as GraphqlResponse, ServerError, Value};
use async_graphql_axum::GraphQLResponse;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::graphql::error::{Code, server_error};

/// An error of this kind, under the status that goes with it.
pub(crate) fn refuse(code: Code, message: impl Into<String>) -> Response {
    respond(GraphqlResponse::from_errors(vec![server_error(code, message)]))
}

/// `response` under the status that goes with it, and with the headers that its resolvers set.
pub(crate) fn respond(response: GraphqlResponse) -> Response {
    let status = status(&response);
    let mut answer = GraphQLResponse::from(response).into_response();
    *answer.status_mut() = status;
    // The media type that every client takes (GraphQL over HTTP, "Media Types").
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

/// What a panic is answered with. It was logged by whoever watches panics.
pub(crate) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    refuse(Code::Internal, "something went wrong here")
}

/// Errors in resolvers leave the status alone: part of the answer may be there. Errors of the
/// whole request have the status that HTTP knows them by.
fn status(response: &GraphqlResponse) -> StatusCode {
    let whole = |error: &&ServerError| error.path.is_empty() && response.data == Value::Null;
    let code = response.errors.iter().find(whole).and_then(|error| {
        let Value::String(code) = error.extensions.as_ref()?.get("code")? else { return None };
        Some(code.as_str())
    });
    match code {
        None => StatusCode::OK,
        Some("UNAUTHENTICATED") => StatusCode::UNAUTHORIZED,
        Some("FORBIDDEN") => StatusCode::FORBIDDEN,
        Some("METHOD_NOT_ALLOWED") => StatusCode::METHOD_NOT_ALLOWED,
        Some("NOT_FOUND") => StatusCode::NOT_FOUND,
        Some("PAYLOAD_TOO_LARGE") => StatusCode::PAYLOAD_TOO_LARGE,
        Some("UNSUPPORTED_MEDIA_TYPE") => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Some("TIMEOUT") => StatusCode::GATEWAY_TIMEOUT,
        Some("INTERNAL") => StatusCode::INTERNAL_SERVER_ERROR,
        Some(_) => StatusCode::BAD_REQUEST,
    }
}
