//! The gRPC services by hand: a path names a call, a call decodes its request and encodes its
//! answers. `service!` declares one; everything it lists is also what clients are told we support.
//! Paths that are not listed are answered UNIMPLEMENTED.

use std::convert::Infallible;
use std::sync::Arc;

use futures::stream::BoxStream;
use prost::Message;
use tonic::body::BoxBody;
use tonic::codec::ProstCodec;
use tonic::codegen::{Body, BoxFuture, StdError, http};
use tonic::server::Grpc;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tower::service_fn;

use super::health::Health;
use super::{Context, append, batch, cluster, delete, read};

/// Bytes beyond the largest append that one message may have: names, ids and further events of a
/// batch.
const MESSAGE_SLACK: usize = 16 * 1024 * 1024;

pub(super) type HttpResponse = http::Response<BoxBody>;
pub(super) type Answering = BoxFuture<HttpResponse, Infallible>;

/// What a call that streams its answers gives back.
pub(super) type Responses<A> = BoxStream<'static, Result<A, Status>>;

/// Declares a service: the name of its type, its name on the wire, and its calls. Each call has the
/// shape of one of the functions below and a handler, an
/// `async fn(Arc<Context>, Request<…>) -> Result<Response<…>, Status>`.
macro_rules! service {
    ($service:ident, $name:literal, { $($method:literal => $shape:ident($handler:path)),+ $(,)? }) => {
        #[derive(Debug, Clone)]
        pub(super) struct $service(pub(super) std::sync::Arc<$crate::protocol::Context>);

        impl $service {
            /// The calls it serves.
            pub(super) const METHODS: &[&str] = &[$($method),+];
        }

        impl tonic::server::NamedService for $service {
            const NAME: &'static str = $name;
        }

        impl<B> tonic::codegen::Service<tonic::codegen::http::Request<B>> for $service
        where
            B: tonic::codegen::Body + Send + 'static,
            B::Error: Into<tonic::codegen::StdError> + Send + 'static,
        {
            type Response = $crate::protocol::service::HttpResponse;
            type Error = std::convert::Infallible;
            type Future = $crate::protocol::service::Answering;

            fn poll_ready(
                &mut self,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), std::convert::Infallible>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: tonic::codegen::http::Request<B>) -> Self::Future {
                let context = std::sync::Arc::clone(&self.0);
                match request.uri().path().strip_prefix(concat!("/", $name, "/")) {
                    $(Some($method) => Box::pin(async move {
                        Ok($crate::protocol::service::$shape(context, request, $handler).await)
                    }),)+
                    _ => $crate::protocol::service::unimplemented(),
                }
            }
        }
    };
}

service!(Streams, "event_store.client.streams.Streams", {
    "Read" => server_streaming(read::read),
    "Append" => client_streaming(append::append),
    "BatchAppend" => bidirectional(batch::batch_append),
    "Delete" => unary(delete::delete),
    "Tombstone" => unary(delete::tombstone),
});

service!(Gossip, "event_store.client.gossip.Gossip", {
    "Read" => unary(cluster::gossip),
});

service!(ServerFeatures, "event_store.client.server_features.ServerFeatures", {
    "GetSupportedMethods" => unary(cluster::supported_methods),
});

pub(super) fn routes(context: Arc<Context>) -> Routes {
    Routes::new(Streams(Arc::clone(&context)))
        .add_service(Gossip(Arc::clone(&context)))
        .add_service(ServerFeatures(Arc::clone(&context)))
        .add_service(Health(context))
}

/// Every service and its calls.
pub(super) fn served() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    use tonic::server::NamedService;
    [
        (Streams::NAME, Streams::METHODS),
        (Gossip::NAME, Gossip::METHODS),
        (ServerFeatures::NAME, ServerFeatures::METHODS),
    ]
    .into_iter()
}

pub(super) fn unimplemented() -> Answering {
    let status = Status::unimplemented("this call is not served here");
    Box::pin(async move { Ok(status.into_http()) })
}

fn grpc<Answer, Question>(context: &Context) -> Grpc<ProstCodec<Answer, Question>>
where
    Answer: Message + Send + 'static,
    Question: Message + Default + Send + 'static,
{
    let limit = context.max_append_size.saturating_add(MESSAGE_SLACK);
    Grpc::new(ProstCodec::default()).max_decoding_message_size(limit)
}

/// One question, one answer.
pub(super) async fn unary<B, Q, A, F>(
    context: Arc<Context>,
    request: http::Request<B>,
    handler: impl Fn(Arc<Context>, Request<Q>) -> F + Send + Sync + 'static,
) -> HttpResponse
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
    Q: Message + Default + Send + 'static,
    A: Message + Send + 'static,
    F: Future<Output = Result<Response<A>, Status>> + Send + 'static,
{
    let mut grpc = grpc(&context);
    grpc.unary(service_fn(move |request| handler(Arc::clone(&context), request)), request).await
}

/// One question, many answers.
pub(super) async fn server_streaming<B, Q, A, F>(
    context: Arc<Context>,
    request: http::Request<B>,
    handler: impl Fn(Arc<Context>, Request<Q>) -> F + Send + Sync + 'static,
) -> HttpResponse
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
    Q: Message + Default + Send + 'static,
    A: Message + Send + 'static,
    F: Future<Output = Result<Response<Responses<A>>, Status>> + Send + 'static,
{
    let mut grpc = grpc(&context);
    let call = service_fn(move |request| handler(Arc::clone(&context), request));
    grpc.server_streaming(call, request).await
}

/// Many questions, one answer.
pub(super) async fn client_streaming<B, Q, A, F>(
    context: Arc<Context>,
    request: http::Request<B>,
    handler: impl Fn(Arc<Context>, Request<Streaming<Q>>) -> F + Send + Sync + 'static,
) -> HttpResponse
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
    Q: Message + Default + Send + 'static,
    A: Message + Send + 'static,
    F: Future<Output = Result<Response<A>, Status>> + Send + 'static,
{
    let mut grpc = grpc(&context);
    let call = service_fn(move |request| handler(Arc::clone(&context), request));
    grpc.client_streaming(call, request).await
}

/// Many questions, many answers.
pub(super) async fn bidirectional<B, Q, A, F>(
    context: Arc<Context>,
    request: http::Request<B>,
    handler: impl Fn(Arc<Context>, Request<Streaming<Q>>) -> F + Send + Sync + 'static,
) -> HttpResponse
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
    Q: Message + Default + Send + 'static,
    A: Message + Send + 'static,
    F: Future<Output = Result<Response<Responses<A>>, Status>> + Send + 'static,
{
    let mut grpc = grpc(&context);
    let call = service_fn(move |request| handler(Arc::clone(&context), request));
    grpc.streaming(call, request).await
}
