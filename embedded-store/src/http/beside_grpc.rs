//! Telling requests apart on the one port: what says that it is gRPC goes to the calls of the
//! protocol, which also refuse the unknown ones among them; everything else is HTTP.

use std::sync::Arc;
use std::task::{self, Poll};

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use futures::future::{BoxFuture, TryFutureExt as _};
use tonic::body::BoxBody;
use tonic::codegen::http::{Request, Response, Version, header};
use tonic::service::Routes;
use tower::{Layer, Service};

use super::Problem;
use crate::protocol::{Context, Streams, is_of_streams};

/// Puts HTTP beside the gRPC services.
#[derive(Debug, Clone)]
pub(crate) struct BesideGrpc {
    streams: Streams,
    http: Router,
}

impl BesideGrpc {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { streams: Streams(Arc::clone(&context)), http: super::router(context) }
    }
}

impl Layer<Routes> for BesideGrpc {
    type Service = Both;

    fn layer(&self, grpc: Routes) -> Both {
        Both { streams: self.streams.clone(), grpc, http: self.http.clone() }
    }
}

/// Both protocols.
#[derive(Debug, Clone)]
pub(crate) struct Both {
    streams: Streams,
    grpc: Routes,
    http: Router,
}

impl Service<Request<BoxBody>> for Both {
    type Response = Response<BoxBody>;
    type Error = <Routes as Service<Request<BoxBody>>>::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    /// Both are always ready.
    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<BoxBody>) -> Self::Future {
        // Browsers let pages of any site send what looks like a call, but only over HTTP/1; clients
        // speak HTTP/2.
        if is_grpc(&request) && request.version() < Version::HTTP_2 {
            let refused = Problem::NeedsHttp2.into_response().map(tonic::body::boxed);
            return Box::pin(async { Ok(refused) });
        }
        if is_grpc(&request) && is_of_streams(request.uri().path()) {
            let answer = self.streams.call(request);
            return Box::pin(answer.map_err(|never| match never {}));
        }
        if is_grpc(&request) {
            return Box::pin(self.grpc.call(request));
        }
        let answer = self.http.call(request.map(Body::new));
        Box::pin(async move {
            let Ok(response) = answer.await;
            Ok(response.map(tonic::body::boxed))
        })
    }
}

/// Also of its relatives (`application/grpc-web`), which the services refuse in their own way.
fn is_grpc(request: &Request<BoxBody>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
