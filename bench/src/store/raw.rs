//! gRPC without messages: bytes as they travel. What a server said can be recorded, and said again
//! by a server that does nothing else.

#![expect(clippy::result_large_err, reason = "tonic ends calls with its Status, by value")]

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes};
use futures::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::body::BoxBody;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{Body, BoxFuture, Service, StdError, http};
use tonic::server::{Grpc, NamedService};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tower::service_fn;

const READ: &str = "/event_store.client.streams.Streams/Read";
const FEATURES: &str = "/event_store.client.server_features.ServerFeatures/GetSupportedMethods";

#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// What a server answered.
#[derive(Debug)]
pub(super) struct Recording {
    features: Bytes,
    read: Vec<Bytes>,
}

impl Recording {
    /// Asks the server at `address` for its features, and for all of its log.
    pub(super) async fn of(address: std::net::SocketAddr) -> anyhow::Result<Self> {
        let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await?;
        let features = grpc.unary(Request::new(Bytes::new()), FEATURES.parse()?, Raw).await?;
        grpc.ready().await?;
        let question = Request::new(read_everything());
        let mut answers = grpc.server_streaming(question, READ.parse()?, Raw).await?.into_inner();
        let mut read = Vec::new();
        while let Some(answer) = answers.message().await? {
            read.push(answer);
        }
        Ok(Self { features: features.into_inner(), read })
    }
}

/// `ReadReq { options { all { start }, forwards, count: max, no filter, ids as text } }` of the
/// protocol, written out: the only question that is asked here.
fn read_everything() -> Bytes {
    let options = [
        &[0x12, 0x02, 0x12, 0x00][..],
        &[0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x42, 0x00],
        &[0x4a, 0x02, 0x12, 0x00],
    ]
    .concat();
    let mut request = vec![0x0a, u8::try_from(options.len()).unwrap_or(u8::MAX)];
    request.extend(options);
    request.into()
}

/// Serves the recording to whoever asks, until stopped.
pub(super) async fn replay(
    recording: Recording,
    listener: tokio::net::TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let recording = Arc::new(recording);
    let incoming = stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await.and_then(|(stream, _)| {
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        Some((accepted, listener))
    });
    tonic::transport::Server::builder()
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .add_service(Streams(Arc::clone(&recording)))
        .add_service(Features(recording))
        .serve_with_incoming_shutdown(incoming.boxed(), stop.cancelled_owned())
        .await?;
    Ok(())
}

#[derive(Debug, Clone)]
struct Streams(Arc<Recording>);

#[derive(Debug, Clone)]
struct Features(Arc<Recording>);

impl NamedService for Streams {
    const NAME: &'static str = "event_store.client.streams.Streams";
}

impl NamedService for Features {
    const NAME: &'static str = "event_store.client.server_features.ServerFeatures";
}

impl<B> Service<http::Request<B>> for Streams
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<BoxBody>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let recording = Arc::clone(&self.0);
        Box::pin(async move {
            let answer = service_fn(move |_: Request<Bytes>| {
                let recording = Arc::clone(&recording);
                let messages = (0..recording.read.len())
                    .map(move |index| Ok::<_, Status>(recording.read[index].clone()));
                async move { Ok::<_, Status>(Response::new(stream::iter(messages))) }
            });
            Ok(Grpc::new(Raw).server_streaming(answer, request).await)
        })
    }
}

impl<B> Service<http::Request<B>> for Features
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<BoxBody>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let features = self.0.features.clone();
        Box::pin(async move {
            let answer = service_fn(move |_: Request<Bytes>| {
                let features = features.clone();
                async move { Ok::<_, Status>(Response::new(features)) }
            });
            Ok(Grpc::new(Raw).unary(answer, request).await)
        })
    }
}
