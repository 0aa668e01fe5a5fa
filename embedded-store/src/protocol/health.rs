//! `GET /health/live`: 204 while the server takes writes, 503 once it no longer does.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{self, Poll};

use tonic::body::BoxBody;
use tonic::codegen::{Service, empty_body, http};
use tonic::server::NamedService;

use super::Context;

#[derive(Debug, Clone)]
pub(super) struct Health(pub(super) Arc<Context>);

impl NamedService for Health {
    const NAME: &'static str = "health";
}

impl<B> Service<http::Request<B>> for Health {
    type Response = http::Response<BoxBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let failed = self.0.storage.failure().borrow().is_some();
        let status = match request.uri().path() {
            "/health/live" if failed => http::StatusCode::SERVICE_UNAVAILABLE,
            "/health/live" => http::StatusCode::NO_CONTENT,
            _ => http::StatusCode::NOT_FOUND,
        };
        let mut response = http::Response::new(empty_body());
        *response.status_mut() = status;
        ready(Ok(response))
    }
}
