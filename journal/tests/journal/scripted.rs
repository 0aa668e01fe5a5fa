//! A server that speaks just enough of the protocol to misbehave on command.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use h2::server::SendResponse;
use http::{HeaderMap, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A call, as far as scripts care.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) body: Bytes,
    /// How many calls of the same kind came before.
    pub(crate) number: usize,
}

impl Call {
    pub(crate) fn body_contains(&self, bytes: &[u8]) -> bool {
        self.body.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// What the server does about a call.
pub(crate) enum Reply {
    /// These messages, and then this gRPC status.
    Messages(Vec<Vec<u8>>, u8),
    /// These messages, and then nothing for ever.
    Open(Vec<Vec<u8>>),
    /// Cuts the connection.
    HangUp,
}

type Script = dyn Fn(&Call) -> Reply + Send + Sync;

pub(crate) struct Scripted {
    address: SocketAddr,
    calls: watch::Receiver<Vec<Call>>,
    connections: Arc<AtomicUsize>,
    _accepting: AbortOnDropHandle<Infallible>,
}

impl Scripted {
    /// Calls of `kind` are counted apart from the others and go to `script`; all the others are
    /// answered as an empty store would.
    pub(crate) async fn serve(
        kind: impl Fn(&Call) -> bool + Send + Sync + 'static,
        script: impl Fn(&Call) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::serve_with(None, kind, script).await
    }

    /// The same, but it knows batch appends as well, and answers none before it is told farewell.
    pub(crate) async fn serve_with_batches(
        kind: impl Fn(&Call) -> bool + Send + Sync + 'static,
        script: impl Fn(&Call) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::serve_with(Some(message::knows_batch_appends()), kind, script).await
    }

    async fn serve_with(
        features: Option<Vec<u8>>,
        kind: impl Fn(&Call) -> bool + Send + Sync + 'static,
        script: impl Fn(&Call) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, calls) = watch::channel(Vec::<Call>::new());
        let script: Arc<Script> = Arc::new(move |call| {
            if !kind(call) {
                // An empty answer: unknown features are none, and a read finds nothing.
                return match (call.method.contains("ServerFeatures"), features.clone()) {
                    (true, None) => Reply::Messages(vec![], 12),
                    (true, Some(features)) => Reply::Messages(vec![features], 0),
                    (false, _) => Reply::Messages(vec![], 0),
                };
            }
            let mut call = call.clone();
            count.send_modify(|calls| {
                call.number = calls.len();
                calls.push(call.clone());
            });
            script(&call)
        });
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(converse(connection, Arc::clone(&script)));
            }
        });
        Self { address, calls, connections, _accepting: AbortOnDropHandle::new(accepting) }
    }

    pub(crate) fn address(&self) -> journal::Address {
        format!("esdb://{}?tls=false", self.address).parse().unwrap()
    }

    /// Waits until there were `count` calls of the kind, and gives them.
    pub(crate) async fn calls(&mut self, count: usize) -> Vec<Call> {
        self.calls.wait_for(|calls| calls.len() >= count).await.unwrap().clone()
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn calls_so_far(&self) -> usize {
        self.calls.borrow().len()
    }
}

async fn converse(connection: TcpStream, script: Arc<Script>) {
    connection.set_nodelay(true).unwrap();
    let Ok(mut connection) = h2::server::handshake(connection).await else { return };
    let (hang_up, mut over) = watch::channel(false);
    loop {
        let next = tokio::select! {
            next = connection.accept() => next,
            _ = over.wait_for(|over| *over) => None,
        };
        let Some(Ok((request, respond))) = next else { return };
        let (script, hang_up) = (Arc::clone(&script), hang_up.clone());
        tokio::spawn(async move {
            let (parts, mut body) = request.into_parts();
            let method = parts.uri.path().to_owned();
            let mut call = Call { method, body: Bytes::new(), number: 0 };
            let mut received = BytesMut::new();
            // Batches would go on for ever.
            while !call.body_contains(b"farewell")
                && let Some(Ok(data)) = body.data().await
            {
                let _ = body.flow_control().release_capacity(data.len());
                received.put(data);
                call.body = Bytes::copy_from_slice(&received);
            }
            match script(&call) {
                Reply::Messages(messages, status) => reply(respond, messages, Some(status)).await,
                Reply::Open(messages) => reply(respond, messages, None).await,
                Reply::HangUp => {
                    hang_up.send_replace(true);
                }
            }
        });
    }
}

async fn reply(mut respond: SendResponse<Bytes>, messages: Vec<Vec<u8>>, status: Option<u8>) {
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let Ok(mut stream) = respond.send_response(head, false) else { return };
    for message in messages {
        let mut frame = BytesMut::new();
        frame.put_u8(0);
        frame.put_u32(u32::try_from(message.len()).unwrap());
        frame.put_slice(&message);
        if stream.send_data(frame.freeze(), false).is_err() {
            return;
        }
    }
    let Some(status) = status else {
        // Kept open until the client has enough of it.
        let _ = std::future::poll_fn(|context| stream.poll_reset(context)).await;
        return;
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.to_string().parse().unwrap());
    let _ = stream.send_trailers(trailers);
}

/// Messages of the protocol, by hand. All numbers and lengths are below 128.
pub(crate) mod message {
    /// The answer to a subscription that was accepted.
    pub(crate) fn confirmation() -> Vec<u8> {
        nested(2, &[0x0a, 1, b'x'])
    }

    /// Everything up to here was looked at.
    pub(crate) fn checkpoint(position: u8) -> Vec<u8> {
        nested(3, &self::position(position))
    }

    /// A position, as it is in checkpoints and in the request for a subscription.
    pub(crate) fn position(position: u8) -> [u8; 4] {
        [0x08, position, 0x10, position]
    }

    /// The number of events that a read without a limit asks for.
    pub(crate) const NO_LIMIT: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];

    /// An event in `counter-a`, with this for a position and a revision.
    pub(crate) fn event(position: u8) -> Vec<u8> {
        let mut event = nested(1, &[]);
        event.extend(nested(2, &nested(3, b"counter-a")));
        event.extend([3 << 3, position, 4 << 3, position, 5 << 3, position]);
        nested(1, &nested(1, &event))
    }

    /// The answer to an append that was carried out: revision 0.
    pub(crate) fn appended(position: u8) -> Vec<u8> {
        let mut success = vec![0x08, 0];
        success.extend(nested(3, &self::position(position)));
        nested(1, &success)
    }

    /// The answer to an append that expected no stream and met one at revision 5.
    pub(crate) fn conflict() -> Vec<u8> {
        nested(2, &[6 << 3, 5, 11 << 3 | 2, 0])
    }

    /// The only thing that the server knows beside the oldest version of the protocol.
    pub(crate) fn knows_batch_appends() -> Vec<u8> {
        let mut method = nested(1, b"batchappend");
        method.extend(nested(2, b"event_store.client.streams.streams"));
        let mut features = nested(1, &method);
        features.extend(nested(2, b"24.10.0"));
        features
    }

    fn nested(field: u8, content: &[u8]) -> Vec<u8> {
        let mut message = vec![field << 3 | 2, u8::try_from(content.len()).unwrap()];
        message.extend_from_slice(content);
        message
    }
}
