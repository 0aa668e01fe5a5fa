//! Sockets: how they are accepted, with or without TLS, how they are set up so that small messages
//! do not wait for each other, and how they are cut when a stop takes too long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::stream::{self, Stream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::storage::{Counted, Counter};

/// Pause after a failed accept, which is most often a lack of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a client may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a client may take to say anything at all.
const FIRST_WORDS: Duration = Duration::from_secs(30);

/// After how much silence the kernel asks whether the client's machine still lives. Calls have
/// their own way to ask; this is for connections without any.
const SILENCE: Duration = Duration::from_mins(1);

/// Bytes that are written without waiting for more.
const GATHERED: usize = 4_096;

/// The first byte of every TLS connection.
const TLS_HELLO: u8 = 0x16;

/// What a client gets to read that speaks HTTP/1 without TLS where there is TLS.
const HTTP1_NEEDS_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
    Connection: close\r\nContent-Length: 49\r\n\r\nThis port speaks TLS: use https:// or tls=true.\r\n";

/// What a client gets to read that speaks HTTP/2 without TLS where there is TLS: no settings, and
/// that it has to go away, with the reason `INADEQUATE_SECURITY`.
const HTTP2_NEEDS_TLS: &[u8] = b"\0\0\0\x04\0\0\0\0\0\
    \0\0\x26\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0cthis port speaks TLS: tls=true";

/// How new sockets are treated.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) quickack: bool,
    pub(crate) cut: CancellationToken,
    /// Counts the open ones.
    pub(crate) open: Arc<Counter>,
    /// One for each connection that may be open.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) tls: Option<TlsAcceptor>,
}

/// Every connection that comes to `listener`. Never an error: one that cannot be accepted does not
/// end the others, and one that takes its time over TLS does not hold them up.
pub(crate) fn accept(
    listener: TcpListener,
    setup: Setup,
) -> impl Stream<Item = io::Result<Connection>> {
    let handshakes = JoinSet::new();
    stream::unfold((listener, setup, handshakes), async |(listener, setup, mut handshakes)| {
        let connection = loop {
            let socket = tokio::select! {
                socket = accept_socket(&listener, &setup) => socket,
                Some(agreed) = handshakes.join_next() => match agreed {
                    Ok(Some(stream)) => break Connection::Encrypted(Box::new(stream)),
                    Ok(None) | Err(_) => continue,
                },
            };
            match &setup.tls {
                Some(acceptor) => handshakes.spawn(encrypt(acceptor.clone(), socket)),
                None => break Connection::Plain(socket),
            };
        };
        Some((Ok(connection), (listener, setup, handshakes)))
    })
}

async fn accept_socket(listener: &TcpListener, setup: &Setup) -> Socket {
    let place = place(&setup.places).await;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Socket::new(stream, setup, place),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Waits for a place. Who comes meanwhile waits too, in the kernel: better than to run out of
/// handles for our own files.
async fn place(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Some(place);
    }
    tracing::warn!("as many connections are open as the limit of open files allows; others wait");
    Arc::clone(places).acquire_owned().await.ok()
}

/// Agrees with a client on keys, or gives up.
async fn encrypt(acceptor: TlsAcceptor, socket: Socket) -> Option<TlsStream<Socket>> {
    let agreeing = async {
        let mut first = [0];
        if socket.stream.peek(&mut first).await? == 1 && first[0] != TLS_HELLO {
            return refuse_plain_text(socket).await;
        }
        acceptor.accept(socket).await
    };
    match tokio::time::timeout(HANDSHAKE, agreeing).await {
        Ok(Ok(mut stream)) => {
            // A greeting is no words yet.
            stream.get_mut().0.patience = Some(Socket::patience());
            return Some(stream);
        }
        Ok(Err(error)) => tracing::info!(%error, "a client and the server did not agree on TLS"),
        Err(_) => tracing::info!("a client took too long to agree on TLS"),
    }
    None
}

/// Says what is wrong in the client's own language. It reads what the client sends: closing a socket
/// with unread bytes would take back the answer.
async fn refuse_plain_text(mut socket: Socket) -> io::Result<TlsStream<Socket>> {
    let mut begin = [0; 3];
    socket.read_exact(&mut begin).await?;
    let answer = if begin == *b"PRI" { HTTP2_NEEDS_TLS } else { HTTP1_NEEDS_TLS };
    tracing::warn!("a client does not speak TLS, which is on here; it needs tls=true or https");
    socket.write_all(answer).await?;
    socket.shutdown().await?;
    tokio::io::copy(&mut (&mut socket).take(64 * 1024), &mut tokio::io::sink()).await?;
    Err(io::ErrorKind::ConnectionAborted.into())
}

/// A client's connection.
pub(crate) enum Connection {
    Plain(Socket),
    Encrypted(Box<TlsStream<Socket>>),
}

impl Connection {
    fn inner(self: Pin<&mut Self>) -> Pin<&mut dyn Duplex> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket),
            Self::Encrypted(stream) => Pin::new(&mut **stream),
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Encrypted(stream) => stream.is_write_vectored(),
        }
    }
}

fn notice_silence(stream: &TcpStream) -> rustix::io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, SILENCE)?;
    sockopt::set_tcp_keepintvl(stream, SILENCE / 4)
}

/// A TCP connection.
pub(crate) struct Socket {
    stream: TcpStream,
    quickack: bool,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Whether something was read, if the client could be wrong about TLS.
    awaits_first: bool,
    /// Until the client has said something.
    patience: Option<Pin<Box<Sleep>>>,
    /// Whether what is to be written has had its chance to become more.
    gathered: bool,
    _counted: Counted,
    _place: Option<OwnedSemaphorePermit>,
}

impl Socket {
    fn new(stream: TcpStream, setup: &Setup, place: Option<OwnedSemaphorePermit>) -> Self {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
        if let Err(error) = notice_silence(&stream) {
            tracing::debug!(%error, "a connection of a machine that is gone may stay");
        }
        let socket = Self {
            stream,
            quickack: setup.quickack,
            cut: Box::pin(setup.cut.clone().cancelled_owned()),
            awaits_first: setup.tls.is_none(),
            patience: Some(Self::patience()),
            gathered: false,
            _counted: setup.open.enter(),
            _place: place,
        };
        socket.acknowledge_at_once();
        socket
    }

    fn patience() -> Pin<Box<Sleep>> {
        Box::pin(tokio::time::sleep_until(Instant::now() + FIRST_WORDS))
    }

    /// The kernel forgets this whenever it likes, so it is repeated after every read. Without it, a
    /// client that leaves Nagle's algorithm on waits up to 40 ms for our delayed acknowledgement
    /// before it sends the rest of its call.
    fn acknowledge_at_once(&self) {
        #[cfg(target_os = "linux")]
        if self.quickack {
            // Without it the connection is slower and works.
            let _ = rustix::net::sockopt::set_tcp_quickack(&self.stream, true);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = self.quickack;
    }

    /// Whatever is waited for, writing too: a client that does not read would hold up a stop.
    fn unless_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// Lets other tasks that are ready go first, once per flush. A commit answers many calls at the same
    /// time, and the connection would otherwise be woken by the first of them and write each answer
    /// by itself. Nobody waits when nothing else is ready.
    fn gather(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<()> {
        if bytes >= GATHERED || std::mem::replace(&mut self.gathered, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// A client that tries TLS where there is none gives up with an error that says little.
    fn note_first(&mut self, bytes: &[u8]) {
        if std::mem::take(&mut self.awaits_first) && bytes.first() == Some(&TLS_HELLO) {
            tracing::warn!("a client tried TLS, which is off here; it needs tls=false");
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.unless_cut(cx)?;
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Some(patience) = &mut self.patience
            && read.is_pending()
            && patience.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if read.is_ready() {
            self.patience = None;
            self.acknowledge_at_once();
            self.note_first(buffer.filled());
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unless_cut(cx)?;
        ready!(self.gather(cx, bytes.len()));
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_cut(cx)?;
        self.gathered = false;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_cut(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unless_cut(cx)?;
        ready!(self.gather(cx, bytes.iter().map(|part| part.len()).sum()));
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
