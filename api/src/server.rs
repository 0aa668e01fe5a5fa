//! The server: from a listener to its orderly end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use journal::Journal;
use keyring::Keyring;
use projector::read_model::Reader;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Options;
use crate::auth::Verifier;
use crate::graphql::gate::Gate;
use crate::graphql::request::Services;
use crate::graphql::schema;
use crate::http::health::{Check, Checks};
use crate::http::metrics::Metrics;
use crate::http::scenario::Scenarios;
use crate::router::{App, router};

/// Requests under way have so much time left when the server is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// What a server needs.
#[derive(Debug)]
pub struct Deps {
    /// Where commands are executed and events are followed.
    pub journal: Journal,
    /// Where queries are answered from.
    pub reader: Reader,
    /// What personal data are sealed and opened with.
    pub keyring: Keyring,
    /// Who is let in.
    pub verifier: Verifier,
    /// Limits on requests. Address and keys were used before: for the listener and the verifier.
    pub options: Options,
    /// Demonstrations, where the process offers them.
    pub scenarios: Option<Scenarios>,
    /// What must work besides the event store and Postgres.
    pub checks: Vec<Check>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    running: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has stopped: after its shutdown token was cancelled, requests under way were
    /// answered and sockets closed.
    ///
    /// # Errors
    /// When accepting connections failed, or the server panicked.
    pub async fn stopped(self) -> io::Result<()> {
        self.running.await.map_err(io::Error::other)?
    }
}

/// Serves on `listener` until `shutdown` is cancelled. Must be called inside a Tokio runtime.
///
/// Neither the event store nor Postgres need be up: what needs them says so.
///
/// # Errors
/// When the listener has no address.
pub fn serve(listener: TcpListener, deps: Deps, shutdown: CancellationToken) -> io::Result<Server> {
    let address = listener.local_addr()?;
    let Deps { journal, reader, keyring, verifier, options, scenarios, checks } = deps;
    let clock = journal.clock().clone();
    let checks = Arc::new(Checks::new(journal.clone(), reader.clone(), checks));
    let metrics = Arc::new(Metrics::new(journal.clone(), reader.clone()));
    let schema = schema::build(Services::new(journal, reader, keyring, &options));
    let tasks = TaskTracker::new();
    let app = App {
        gate: Gate::new(schema, options.request_time_limit),
        verifier,
        checks,
        metrics,
        scenarios,
        clock,
        body_limit: options.body_limit,
        time_limit: options.request_time_limit,
        shutdown: shutdown.clone(),
        tasks: tasks.clone(),
    };
    let running = tokio::spawn(run(listener, app, shutdown, tasks));
    Ok(Server { address, running })
}

async fn run(
    listener: TcpListener,
    app: App,
    shutdown: CancellationToken,
    tasks: TaskTracker,
) -> io::Result<()> {
    // Events and answers are small and follow each other: they must not wait for acknowledgements
    // (RFC 896). A socket that cannot be set up so is merely slower.
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    let told = shutdown.clone();
    let serving = axum::serve(listener, router(app))
        .with_graceful_shutdown(async move { told.cancelled().await });
    let too_long = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => served?,
        () = too_long => tracing::warn!("some requests were cut off: they took too long to end"),
    }
    tasks.close();
    // Sockets close as soon as they hear of the shutdown; who does not read is not waited for.
    if tokio::time::timeout(Duration::from_secs(2), tasks.wait()).await.is_err() {
        tracing::warn!("some WebSockets were cut off: their clients do not read");
    }
    Ok(())
}
