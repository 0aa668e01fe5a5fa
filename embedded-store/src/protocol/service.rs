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

use super::persistent;
use super::{
    Context, append, batch, cluster, delete, monitoring, operations, read, unsupported, users,
};

/// Bytes that a question may have which carries no events.
const QUESTION: usize = 1024 * 1024;

/// Bytes beyond the largest append that a message with one event may have. A larger one is refused
/// by its length, before any of it is kept.
const AROUND_AN_EVENT: usize = 64 * 1024;

/// The same of a message with all events of an append: each brings an id and names.
const AROUND_EVENTS: usize = 8 * 1024 * 1024;

pub(super) type HttpResponse = http::Response<BoxBody>;
pub(super) type Answering = BoxFuture<HttpResponse, Infallible>;

/// The host and port by which the caller reached this server.
#[derive(Debug, Clone)]
pub(super) struct CalledAs(pub(super) http::uri::Authority);

/// What a call that streams its answers gives back.
pub(super) type Responses<A> = BoxStream<'static, Result<A, Status>>;

/// Declares a service: the name of its type, its name on the wire, and its calls. Each call has the
/// shape of one of the functions below and a handler, an
/// `async fn(Arc<Context>, Request<…>) -> Result<Response<…>, Status>`.
macro_rules! service {
    ($service:ident, $name:literal, { $($method:literal => $shape:ident($handler:path)),+ $(,)? }) => {
        #[derive(Debug, Clone)]
        pub(crate) struct $service(pub(crate) std::sync::Arc<$crate::protocol::Context>);

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
                        let patience = $crate::protocol::deadline::patience(request.headers());
                        let call = $crate::protocol::service::$shape(context, request, $handler);
                        Ok($crate::protocol::deadline::within(patience, call).await)
                    }),)+
                    _ => $crate::protocol::service::unimplemented(request.uri().path()),
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

service!(Monitoring, "event_store.client.monitoring.Monitoring", {
    "Stats" => server_streaming(monitoring::stats),
});

service!(Operations, "event_store.client.operations.Operations", {
    "StartScavenge" => unary(operations::start_scavenge),
    "StopScavenge" => unary(operations::stop_scavenge),
    "Shutdown" => unary(operations::shutdown),
    "MergeIndexes" => unary(operations::merge_indexes),
    "ResignNode" => unary(operations::resign_node),
    "SetNodePriority" => unary(operations::set_node_priority),
    "RestartPersistentSubscriptions" => unary(operations::restart_persistent_subscriptions),
});

service!(PersistentSubscriptions, "event_store.client.persistent_subscriptions.PersistentSubscriptions", {
    "Create" => unary(persistent::create),
    "Update" => unary(persistent::update),
    "Delete" => unary(persistent::delete),
    "Read" => bidirectional(persistent::read),
    "GetInfo" => unary(persistent::get_info),
    "List" => unary(persistent::list),
    "ReplayParked" => unary(persistent::replay_parked),
    "RestartSubsystem" => unary(persistent::restart_subsystem),
});

service!(ServerFeatures, "event_store.client.server_features.ServerFeatures", {
    "GetSupportedMethods" => unary(cluster::supported_methods),
});

service!(Users, "event_store.client.users.Users", {
    "Create" => unary(users::create),
    "Update" => unary(users::update),
    "Delete" => unary(users::delete),
    "Disable" => unary(users::disable),
    "Enable" => unary(users::enable),
    "Details" => server_streaming(users::details),
    "ChangePassword" => unary(users::change_password),
    "ResetPassword" => unary(users::reset_password),
});

pub(super) fn routes(context: Arc<Context>) -> Routes {
    let routes = Routes::new(Streams(Arc::clone(&context)))
        .add_service(Gossip(Arc::clone(&context)))
        .add_service(Monitoring(Arc::clone(&context)))
        .add_service(Operations(Arc::clone(&context)))
        .add_service(PersistentSubscriptions(Arc::clone(&context)))
        .add_service(ServerFeatures(Arc::clone(&context)))
        .add_service(Users(context));
    with_unsupported(routes)
}

/// Every service and its calls.
pub(super) fn served() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    use tonic::server::NamedService;
    [
        (Streams::NAME, Streams::METHODS),
        (Gossip::NAME, Gossip::METHODS),
        (Monitoring::NAME, Monitoring::METHODS),
        (Operations::NAME, Operations::METHODS),
        (PersistentSubscriptions::NAME, PersistentSubscriptions::METHODS),
        (ServerFeatures::NAME, ServerFeatures::METHODS),
        (Users::NAME, Users::METHODS),
    ]
    .into_iter()
}

pub(super) fn unimplemented(path: &str) -> Answering {
    let status = Status::unimplemented(unsupported::instead_of(path));
    Box::pin(async move { Ok(status.into_http()) })
}

/// Answers the calls of services that are not listed.
fn with_unsupported(routes: Routes) -> Routes {
    let unsupported = |path: http::Uri| async move {
        Status::unimplemented(unsupported::instead_of(path.path())).into_http()
    };
    routes.into_axum_router().fallback(unsupported).into()
}

fn grpc<Answer, Question>(limit: usize) -> Grpc<ProstCodec<Answer, Question>>
where
    Answer: Message + Send + 'static,
    Question: Message + Default + Send + 'static,
{
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
    let mut grpc = grpc(QUESTION);
    let mut request = request;
    if let Some(name) = request.uri().authority().cloned() {
        request.extensions_mut().insert(CalledAs(name));
    }
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
    let mut grpc = grpc(QUESTION);
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
    let mut grpc = grpc(context.max_append_size.saturating_add(AROUND_AN_EVENT));
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
    let mut grpc = grpc(context.max_append_size.saturating_add(AROUND_EVENTS));
    let call = service_fn(move |request| handler(Arc::clone(&context), request));
    grpc.streaming(call, request).await
}
