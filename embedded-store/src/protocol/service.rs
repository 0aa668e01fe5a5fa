//! The gRPC services by hand: a path names a call, a call decodes its request and encodes its
//! answers. Paths that are not here are answered UNIMPLEMENTED by tonic.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{self, Poll};

use prost::Message;
use tonic::body::BoxBody;
use tonic::codec::ProstCodec;
use tonic::codegen::{Body, BoxFuture, Service, StdError, http};
use tonic::server::{Grpc, NamedService};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tower::service_fn;

use super::append::append;
use super::batch::batch_append;
use super::delete::remove;
use super::health::Health;
use super::messages::read::ReadReq;
use super::messages::write::DeleteReq;
use super::read::read;
use super::{Context, cluster};
use crate::storage::Change;

/// Bytes beyond the largest append that one message may have: names, ids and further events of a
/// batch.
const MESSAGE_SLACK: usize = 16 * 1024 * 1024;

pub(super) fn routes(context: Arc<Context>) -> Routes {
    Routes::new(Streams(Arc::clone(&context)))
        .add_service(Gossip(Arc::clone(&context)))
        .add_service(ServerFeatures(Arc::clone(&context)))
        .add_service(Health(context))
}

type HttpResponse = http::Response<BoxBody>;
type Answering = BoxFuture<HttpResponse, Infallible>;

fn grpc<Answer, Question>(context: &Context) -> Grpc<ProstCodec<Answer, Question>>
where
    Answer: Message + Send + 'static,
    Question: Message + Default + Send + 'static,
{
    let limit = context.max_append_size.saturating_add(MESSAGE_SLACK);
    Grpc::new(ProstCodec::default()).max_decoding_message_size(limit)
}

fn unimplemented() -> Answering {
    let status = Status::unimplemented("this call is not served here");
    Box::pin(async move { Ok(status.into_http()) })
}

/// Implements a tonic service over `answer`, which maps a path to a call.
macro_rules! service {
    ($service:ident, $name:literal) => {
        #[derive(Debug, Clone)]
        struct $service(Arc<Context>);

        impl NamedService for $service {
            const NAME: &'static str = $name;
        }

        impl<B> Service<http::Request<B>> for $service
        where
            B: Body + Send + 'static,
            B::Error: Into<StdError> + Send + 'static,
        {
            type Response = HttpResponse;
            type Error = Infallible;
            type Future = Answering;

            fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<B>) -> Answering {
                self.answer(request)
            }
        }
    };
}

service!(Streams, "event_store.client.streams.Streams");
service!(Gossip, "event_store.client.gossip.Gossip");
service!(ServerFeatures, "event_store.client.server_features.ServerFeatures");

impl Streams {
    fn answer<B>(&self, request: http::Request<B>) -> Answering
    where
        B: Body + Send + 'static,
        B::Error: Into<StdError> + Send + 'static,
    {
        let context = Arc::clone(&self.0);
        match request.uri().path() {
            "/event_store.client.streams.Streams/Read" => Box::pin(async move {
                let mut grpc = grpc(&context);
                let call = service_fn(move |request: Request<ReadReq>| {
                    read(Arc::clone(&context), request.into_inner())
                });
                Ok(grpc.server_streaming(call, request).await)
            }),
            "/event_store.client.streams.Streams/Append" => Box::pin(async move {
                let mut grpc = grpc(&context);
                let call = service_fn(move |request| append(Arc::clone(&context), request));
                Ok(grpc.client_streaming(call, request).await)
            }),
            "/event_store.client.streams.Streams/BatchAppend" => Box::pin(async move {
                let mut grpc = grpc(&context);
                let call = service_fn(move |request| {
                    let answers = batch_append(Arc::clone(&context), request);
                    async move { Ok::<_, Status>(answers) }
                });
                Ok(grpc.streaming(call, request).await)
            }),
            "/event_store.client.streams.Streams/Delete" => {
                removal(context, request, || Change::Delete)
            }
            "/event_store.client.streams.Streams/Tombstone" => {
                removal(context, request, || Change::Tombstone)
            }
            _ => unimplemented(),
        }
    }
}

fn removal<B>(
    context: Arc<Context>,
    request: http::Request<B>,
    change: impl Fn() -> Change + Send + Sync + 'static,
) -> Answering
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    Box::pin(async move {
        let mut grpc = grpc(&context);
        let call = service_fn(move |request: Request<DeleteReq>| {
            remove(Arc::clone(&context), request.into_inner(), change())
        });
        Ok(grpc.unary(call, request).await)
    })
}

impl Gossip {
    fn answer<B>(&self, request: http::Request<B>) -> Answering
    where
        B: Body + Send + 'static,
        B::Error: Into<StdError> + Send + 'static,
    {
        let context = Arc::clone(&self.0);
        match request.uri().path() {
            "/event_store.client.gossip.Gossip/Read" => nullary(context, request, cluster::gossip),
            _ => unimplemented(),
        }
    }
}

impl ServerFeatures {
    fn answer<B>(&self, request: http::Request<B>) -> Answering
    where
        B: Body + Send + 'static,
        B::Error: Into<StdError> + Send + 'static,
    {
        let context = Arc::clone(&self.0);
        match request.uri().path() {
            "/event_store.client.server_features.ServerFeatures/GetSupportedMethods" => {
                nullary(context, request, |_| cluster::supported_methods())
            }
            _ => unimplemented(),
        }
    }
}

/// A call whose request is empty and whose answer is at hand.
fn nullary<B, M>(
    context: Arc<Context>,
    request: http::Request<B>,
    answer: impl Fn(&Context) -> Response<M> + Send + Sync + 'static,
) -> Answering
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
    M: Message + 'static,
{
    Box::pin(async move {
        let mut grpc = grpc(&context);
        let call = service_fn(move |_: Request<()>| {
            let answer = answer(&context);
            async move { Ok::<_, Status>(answer) }
        });
        Ok(grpc.unary(call, request).await)
    })
}
