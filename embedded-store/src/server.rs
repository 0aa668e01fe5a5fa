//! Starting, watching and stopping a server.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::stream::Stream;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::beginning;
use crate::connection::{self, Connection};
use crate::descriptors;
use crate::error::{Error, Failure};
use crate::http::BesideGrpc;
use crate::maintenance::scavenge::Scavenger;
use crate::maintenance::{self, Backup, MaintenanceError};
use crate::options::Options;
use crate::persistent::Subscriptions;
use crate::protocol::{self, Arriving, Context};
use crate::security::Security;
use crate::security::tls::Encryption;
use crate::storage::{Recovery, Storage, ticks_now};

/// How often a quiet connection is asked whether its client still lives.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Calls at a time on one connection. A client may hold a subscription per call.
const CALLS_PER_CONNECTION: u32 = 4_096;

/// How often certificates are read again.
const RENEWAL: Duration = Duration::from_mins(1);

/// How long a stop waits for the last checkpoints of persistent subscriptions.
const LAST_CHECKPOINTS: Duration = Duration::from_secs(1);

/// How long a stop waits for connections that were cut. What happens on other threads on behalf of
/// a request cannot be.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// A running server. Dropping it stops it without waiting; [`Server::stop`] waits.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    storage: Storage,
    persistent: Arc<Subscriptions>,
    options: Options,
    tls: Option<Encryption>,
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
/// If the data directory is in use, cannot be read or written, or belongs to a newer version; if
/// certificates cannot be used, or there is no administrator although callers have to be known.
pub async fn serve(listener: TcpListener, options: Options) -> Result<Server, Error> {
    let address = listener.local_addr().map_err(Error::Listener)?;
    let (data_dir, durable) = (options.data_dir.clone(), options.durable);
    let opening = tokio::task::spawn_blocking(move || Storage::open(data_dir.as_deref(), durable));
    let storage = opening.await.map_err(|error| Error::Thread(error.into()))??;
    if options.opening_event
        && let Err(error) = beginning::begin(&storage).await
    {
        tracing::warn!(%error, "the first event of the log cannot be written");
    }
    let advertised = options.advertised.clone().unwrap_or_else(|| reachable(address));
    let is_local = address.ip().is_loopback();
    let secured = secure(&storage, &options, (&advertised.0, is_local)).await;
    let (security, tls) = match secured {
        Ok(secure) => secure,
        Err(error) => {
            storage.close().await;
            return Err(error);
        }
    };
    let (stopping, cut) = (CancellationToken::new(), CancellationToken::new());
    let shutdown = CancellationToken::new();
    let persistent = Subscriptions::start(storage.clone(), stopping.clone()).await;
    let context = Arc::new(Context {
        persistent: Arc::clone(&persistent),
        storage: storage.clone(),
        security,
        stopping: stopping.clone(),
        max_append_size: options.max_append_size,
        arriving: Arriving::new(options.max_append_size),
        instance: ticks_now(),
        subscriptions: AtomicU64::new(0),
        scavenger: Scavenger::new(storage.clone(), &advertised),
        shutdown: shutdown.clone(),
        advertised,
        is_told_its_address: options.advertised.is_some(),
    });
    let (ended_sender, ended) = watch::channel(false);
    let setup = connection::Setup {
        quickack: options.quickack,
        cut: cut.clone(),
        open: Arc::clone(&storage.counters().connections),
        places: Arc::new(Semaphore::new(descriptors::connections())),
        tls: tls.as_ref().map(Encryption::acceptor),
    };
    let incoming = connection::accept(listener, setup);
    if let Some(tls) = tls.clone() {
        tokio::spawn(renew(tls, stopping.clone()));
    }
    let serving = serving(incoming, context, stopping.clone());
    tokio::spawn(async move {
        serving.await;
        ended_sender.send_replace(true);
    });
    tracing::info!(%address, "the event store is serving");
    let server = Server { address, storage, persistent, options, tls, stopping, cut, ended };
    tokio::spawn(server.ending().on_request(shutdown));
    tokio::spawn(Scavenger::end_interrupted(server.storage.clone()));
    Ok(server)
}

/// Certificates and users, if they were asked for.
async fn secure(
    storage: &Storage,
    options: &Options,
    (advertised, is_local): (&str, bool),
) -> Result<(Security, Option<Encryption>), Error> {
    let tls = match options.tls.clone() {
        None => None,
        Some(tls) => {
            let (data_dir, advertised) = (storage.directory().to_owned(), advertised.to_owned());
            let opening =
                tokio::task::spawn_blocking(move || Encryption::new(&tls, &data_dir, &advertised));
            let opened = opening.await.map_err(|error| Error::Thread(error.into()))?;
            Some(opened.map_err(|error| Error::Tls(error.into()))?)
        }
    };
    if tls.is_none() && options.authentication.is_some() && !is_local {
        tracing::warn!("logins without TLS: anybody on the network can read the passwords");
    }
    let security = Security::open(storage.clone(), options.authentication.as_ref()).await?;
    Ok((security, tls))
}

/// Takes new certificates when they are there. Bad ones are not taken.
async fn renew(tls: Encryption, stopping: CancellationToken) {
    let mut tick = tokio::time::interval(RENEWAL);
    while stopping.run_until_cancelled(tick.tick()).await.is_some() {
        let tls = tls.clone();
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(true)) => tracing::info!("a new certificate is shown from now on"),
            Ok(Err(error)) => tracing::error!(%error, "the certificate cannot be read again"),
            Ok(Ok(false)) | Err(_) => {}
        }
    }
}

async fn serving(
    incoming: impl Stream<Item = io::Result<Connection>>,
    context: Arc<Context>,
    stopping: CancellationToken,
) {
    let served = tonic::transport::Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(CALLS_PER_CONNECTION)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .layer(BesideGrpc::new(Arc::clone(&context)))
        .add_routes(protocol::routes(context))
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

    /// What the official client has to be given: whether there is TLS, and no pause before it
    /// connects. Where callers have to say who they are, it still lacks their `login:password@`.
    pub fn connection_string(&self) -> String {
        let tls = match (&self.tls, self.ca_file()) {
            (None, _) => "false".to_owned(),
            (Some(_), None) => "true".to_owned(),
            (Some(_), Some(ca_file)) => format!("true&tlsCaFile={}", ca_file.display()),
        };
        format!("esdb://{}?tls={tls}&discoveryInterval=0", self.authority())
    }

    /// Host and port as addresses have them.
    fn authority(&self) -> String {
        let (host, port) = reachable(self.address);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// The certificate that clients have to trust, if the server made its own
    /// ([`Tls::Development`](crate::Tls::Development)).
    pub fn ca_file(&self) -> Option<&Path> {
        self.tls.as_ref().and_then(Encryption::ca_file)
    }

    /// Where its web page is, for people who want to look at events.
    pub fn web_page(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/web/", self.authority())
    }

    /// How many commits the log has seen since it was opened. Each takes one fsync and carries the
    /// appends that waited for it.
    pub fn commits(&self) -> u64 {
        self.storage.commits()
    }

    /// What the start found of the server before it, and repaired.
    pub fn recovery(&self) -> &Recovery {
        self.storage.recovery()
    }

    /// Stops: takes no more calls, ends subscriptions with UNAVAILABLE, answers the appends that
    /// wait, brings everything to the disk and frees the data directory. Calls that have not ended
    /// by [`Options::stop_grace`] are cut.
    pub async fn stop(&self) {
        self.ending().stop().await;
    }

    fn ending(&self) -> Ending {
        Ending {
            address: self.address,
            storage: self.storage.clone(),
            persistent: Arc::clone(&self.persistent),
            stopping: self.stopping.clone(),
            cut: self.cut.clone(),
            ended: self.ended.clone(),
            grace: self.options.stop_grace,
        }
    }

    /// Copies the log, as it is at one moment, into a new directory that a server can be started on,
    /// and checks the copy. Appends go on meanwhile.
    pub async fn backup(&self, into: impl Into<PathBuf>) -> Result<Backup, MaintenanceError> {
        let (from, into) = (self.storage.directory().to_owned(), into.into());
        let reading = self.storage.counters().long_reads.enter();
        let copying = tokio::task::spawn_blocking(move || {
            let _reading = reading;
            maintenance::backup(&from, &into, &mut |_| ())
        });
        copying.await.unwrap_or(Err(MaintenanceError::Stopping))
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

/// What it takes to stop a server.
struct Ending {
    address: SocketAddr,
    storage: Storage,
    persistent: Arc<Subscriptions>,
    stopping: CancellationToken,
    cut: CancellationToken,
    ended: watch::Receiver<bool>,
    grace: Duration,
}

impl Ending {
    async fn stop(mut self) {
        self.stopping.cancel();
        if tokio::time::timeout(LAST_CHECKPOINTS, self.persistent.ended()).await.is_err() {
            tracing::warn!("not all persistent subscriptions could write their last checkpoint");
        }
        self.storage.close().await;
        let all_ended = self.ended.wait_for(|ended| *ended);
        if tokio::time::timeout(self.grace, all_ended).await.is_err() {
            tracing::warn!("calls did not end in time: their connections are cut");
            self.cut.cancel();
            // An error means that the serving task is gone, which is what this waits for.
            let all_ended = self.ended.wait_for(|ended| *ended);
            if tokio::time::timeout(LAST_CALLS, all_ended).await.is_err() {
                tracing::warn!("some requests were still under way when the event store stopped");
            }
        }
        tracing::info!(address = %self.address, "the event store has stopped");
    }

    /// Stops when a client wants it.
    async fn on_request(self, shutdown: CancellationToken) {
        let mut ended = self.ended.clone();
        let over = async move {
            // An error means that the serving task is gone.
            let _ = ended.wait_for(|ended| *ended).await;
        };
        let wanted = tokio::select! {
            () = shutdown.cancelled() => true,
            () = over => false,
        };
        if wanted {
            self.stop().await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.cut.cancel();
        self.storage.close_soon();
    }
}
