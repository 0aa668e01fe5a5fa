//! Sockets: how they are accepted, how they are set up so that small messages do not wait for each
//! other, and how they are cut when a stop takes too long.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{self, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// Pause after a failed accept, which is most often a lack of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Every connection that comes to `listener`. Never an error: one that cannot be accepted does not
/// end the others.
pub(crate) fn accept(
    listener: TcpListener,
    quickack: bool,
    cut: CancellationToken,
) -> impl Stream<Item = io::Result<Connection>> {
    stream::unfold((listener, cut), move |(listener, cut)| async move {
        let connection = loop {
            match listener.accept().await {
                Ok((stream, _)) => break Connection::new(stream, quickack, cut.clone()),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        Some((Ok(connection), (listener, cut)))
    })
}

/// A client's connection.
pub(crate) struct Connection {
    stream: TcpStream,
    quickack: bool,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    fn new(stream: TcpStream, quickack: bool, cut: CancellationToken) -> Self {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
        let connection = Self { stream, quickack, cut: Box::pin(cut.cancelled_owned()) };
        connection.acknowledge_at_once();
        connection
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
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.acknowledge_at_once();
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
