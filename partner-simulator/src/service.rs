//! The running simulator: routes, waiting, failing on purpose, and stopping.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::Problem;
use crate::books::Books;
use crate::ledger::Error;
use crate::options::Options;
use crate::{carrier, gateway};

/// How long callers may take to read their last answers when the simulator stops.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Partners {
    pub(crate) options: Options,
    books: Mutex<Books>,
    failures: Mutex<HashMap<String, u32>>,
    stopping: CancellationToken,
    at_work: TaskTracker,
}

impl Partners {
    /// Held for one change or one copy, never across an `await`.
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, unless the simulator stops first.
    pub(crate) async fn pause(&self, time: Duration) -> Result<(), Problem> {
        if time.is_zero() {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.stopping.cancelled() => {
                Err(Problem::Unavailable("the simulator is stopping"))
            }
        }
    }

    /// Runs `work` to its end even if the caller hangs up, as a real gateway would.
    pub(crate) async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        match self.at_work.spawn(work).await {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "A request to the simulated partners broke off");
                Err(Problem::Unavailable("the simulator broke off"))
            }
        }
    }

    /// Counts this attempt under `key`, from 1.
    pub(crate) fn count_failure(&self, key: &str) -> u32 {
        let mut failures = self.failures();
        let count = failures.entry(key.to_owned()).or_default();
        *count += 1;
        *count
    }

    pub(crate) fn forget_failures(&self, key: &str) {
        self.failures().remove(key);
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running simulator. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    partners: Arc<Partners>,
    stopped: CancellationToken,
}

/// Serves the partners on `listener` until stopped, with the ledger in the options' folder.
/// Must be called inside a tokio runtime.
///
/// # Errors
/// [`Error`] if the ledger cannot be used.
pub fn serve(listener: TcpListener, options: Options) -> Result<Simulator, Error> {
    let address = listener.local_addr().map_err(Error::Listener)?;
    let books = Books::open(options.data_dir.as_deref())?;
    let partners = Arc::new(Partners {
        options,
        books: Mutex::new(books),
        failures: Mutex::default(),
        stopping: CancellationToken::new(),
        at_work: TaskTracker::new(),
    });
    let stopped = CancellationToken::new();
    tokio::spawn(run(listener, Arc::clone(&partners), stopped.clone()));
    tracing::debug!(%address, "The simulated partners are ready");
    Ok(Simulator { address, partners, stopped })
}

impl Simulator {
    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a URL without a slash at its end, such as `http://127.0.0.1:4711`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Refuses new requests, ends waiting ones with 503, and releases the ledger.
    pub async fn stop(self) {
        self.partners.stopping.cancel();
        self.stopped.cancelled().await;
    }

    /// Completes when the simulator has stopped, for whatever reason.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        self.stopped.clone().cancelled_owned()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.partners.stopping.cancel();
    }
}

async fn run(listener: TcpListener, partners: Arc<Partners>, stopped: CancellationToken) {
    let _stopped_on_every_way_out = stopped.drop_guard();
    let listener = listener.tap_io(|connection| {
        // Small answers must not wait for a caller's acknowledgement; without it they are late.
        let _ = connection.set_nodelay(true);
    });
    let stopping = partners.stopping.clone();
    let server = axum::serve(listener, routes(&partners))
        .with_graceful_shutdown(stopping.clone().cancelled_owned());
    let overdue = async {
        stopping.cancelled().await;
        tokio::time::sleep(STOP_DEADLINE).await;
    };
    tokio::select! {
        ended = async { server.await } => {
            if let Err(error) = ended {
                tracing::error!(%error, "The simulated partners can no longer be reached");
            }
        }
        () = overdue => tracing::warn!("Callers of the simulated partners do not hang up"),
    }
    partners.stopping.cancel();
    partners.at_work.close();
    partners.at_work.wait().await;
    partners.books().close();
}

fn routes(partners: &Arc<Partners>) -> Router {
    let one_by_one = gateway::payment_routes()
        .merge(carrier::shipment_routes())
        .route_layer(from_fn_with_state(Arc::clone(partners), fail_sometimes));
    Router::new()
        .route("/health", get(async || Json(serde_json::json!({ "status": "ok" }))))
        .route("/payments", get(gateway::list))
        .route("/shipments", get(carrier::list))
        .merge(one_by_one)
        .fallback(async || Problem::NoSuchResource)
        .with_state(Arc::clone(partners))
}

async fn fail_sometimes(
    State(partners): State<Arc<Partners>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if rand::random::<f64>() < partners.options.failure_rate {
        return Err(Problem::Unavailable("the partner fails on purpose"));
    }
    Ok(next.run(request).await)
}
