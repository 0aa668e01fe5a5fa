//! Starting, watching and stopping a server.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::connection;
use crate::error::{Error, Failure};
use crate::options::Options;
use crate::protocol::{self, Context};
use crate::storage::{Storage, ticks_now};

/// How often a quiet connection is asked whether its client still lives.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Calls at a time on one connection. A client may hold a subscription per call.
const CALLS_PER_CONNECTION: u32 = 65_536;

/// A running server. Dropping it stops it without waiting; [`Server::stop`] waits.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    storage: Storage,
    options: Options,
    /// Calls end.
    stopping: CancellationToken,
    /// Connections are cut.
    cut: CancellationToken,
    /// Whether the listener and all connections are gone.
    ended: watch::Receiver<bool>,
}

/// Opens the log and serves it on `listener` until the server is stopped or dropped.
///
/// # Errors
///
/// If the data directory is in use, cannot be read or written, or belongs to a newer version.
pub async fn serve(listener: TcpListener, options: Options) -> Result<Server, Error> {
    let address = listener.local_addr().map_err(Error::Listener)?;
    let (data_dir, durable) = (options.data_dir.clone(), options.durable);
    let opening = tokio::task::spawn_blocking(move || Storage::open(data_dir.as_deref(), durable));
    let storage = opening.await.map_err(|error| Error::Thread(error.into()))??;
    let (stopping, cut) = (CancellationToken::new(), CancellationToken::new());
    let routes = protocol::routes(Context {
        storage: storage.clone(),
        stopping: stopping.clone(),
        max_append_size: options.max_append_size,
        advertised: options.advertised.clone().unwrap_or_else(|| reachable(address)),
        instance: ticks_now(),
        subscriptions: AtomicU64::new(0),
    });
    let (ended_sender, ended) = watch::channel(false);
    let serving = serving(listener, options.quickack, routes, stopping.clone(), cut.clone());
    tokio::spawn(async move {
        serving.await;
        ended_sender.send_replace(true);
    });
    tracing::info!(%address, "the event store is serving");
    Ok(Server { address, storage, options, stopping, cut, ended })
}

async fn serving(
    listener: TcpListener,
    quickack: bool,
    routes: Routes,
    stopping: CancellationToken,
    cut: CancellationToken,
) {
    let incoming = connection::accept(listener, quickack, cut);
    let served = tonic::transport::Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(CALLS_PER_CONNECTION)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stopping.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the listener failed");
    }
}

/// Where clients on this machine reach a listener that may be bound to every interface.
fn reachable(address: SocketAddr) -> (String, u16) {
    let host = if address.ip().is_unspecified() {
        "localhost".to_owned()
    } else {
        address.ip().to_string()
    };
    (host, address.port())
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the official client has to be given: no TLS, and no pause before it connects.
    pub fn connection_string(&self) -> String {
        let (host, port) = reachable(self.address);
        let host = if self.address.is_ipv6() && !self.address.ip().is_unspecified() {
            format!("[{host}]")
        } else {
            host
        };
        format!("esdb://{host}:{port}?tls=false&discoveryInterval=0")
    }

    /// Stops: takes no more calls, ends subscriptions with UNAVAILABLE, answers the appends that
    /// wait, brings everything to the disk and frees the data directory. Calls that have not ended
    /// by [`Options::stop_grace`] are cut.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.storage.close().await;
        let mut ended = self.ended.clone();
        let all_ended = ended.wait_for(|ended| *ended);
        if tokio::time::timeout(self.options.stop_grace, all_ended).await.is_err() {
            tracing::warn!("calls did not end in time: their connections are cut");
            self.cut.cancel();
            // An error means that the serving task is gone, which is what this waits for.
            let _ = ended.wait_for(|ended| *ended).await;
        }
        tracing::info!(address = %self.address, "the event store has stopped");
    }

    /// Waits until the server no longer takes writes: with `Ok` when it was stopped, with the
    /// reason when a commit failed. After a failure reads are still served; stop the server and
    /// start it again.
    pub async fn stopped(&self) -> Result<(), Failure> {
        let mut failure = self.storage.failure();
        let mut ended = self.ended.clone();
        if let Ok(failure) = failure.wait_for(Option::is_some).await {
            return failure.clone().map_or(Ok(()), Err);
        }
        // The writer is gone: closed by a stop, which ends when the connections have.
        if self.stopping.is_cancelled() {
            let _ = ended.wait_for(|ended| *ended).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.cut.cancel();
        self.storage.close_soon();
    }
}
