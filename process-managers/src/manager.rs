//! The process managers as the program that runs them sees them.

use std::sync::Arc;
use std::time::Duration;

use journal::{Filter, Journal, Position};
use keyring::Keyring;
use thiserror::Error;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::checkpoint::{CheckpointStream, Register};
use crate::driver::Driving;
use crate::fulfilment::Steps;
use crate::inbox::Inbox;
use crate::options::Options;
use crate::outbound::{Carrier, PaymentGateway};

/// Why process managers cannot be started.
#[derive(Debug, Error)]
pub enum Error {
    /// The HTTP client cannot be set up.
    #[error("the HTTP client for partners cannot be set up")]
    HttpClient(#[from] reqwest::Error),
    /// Nobody said where the payment gateway is.
    #[error("say where the payment gateway is: --payment-gateway or ORDERSTORE_PAYMENT_GATEWAY")]
    NoPaymentGateway,
    /// Nobody said where the carrier is.
    #[error("say where the carrier is: --carrier or ORDERSTORE_CARRIER")]
    NoCarrier,
}

/// How far the process managers are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// Everything up to here is routed.
    pub position: Position,
    /// Processes that are not finished.
    pub open: usize,
    /// Whether everything that was in the log has been routed since the start.
    pub caught_up: bool,
}

/// The running process managers.
#[derive(Debug)]
pub struct ProcessManager {
    task: JoinHandle<()>,
    stop: CancellationToken,
    status: watch::Receiver<Status>,
}

impl ProcessManager {
    /// Starts driving processes. The event store and the partners need not be up. `keyring` opens the
    /// addresses that parcels go to.
    ///
    /// # Errors
    /// When a partner's address is missing, or the HTTP client cannot be set up.
    pub fn start(journal: Journal, keyring: Keyring, options: &Options) -> Result<Self, Error> {
        let gateway = options.payment_gateway.as_ref().ok_or(Error::NoPaymentGateway)?;
        let gateway = PaymentGateway::new(gateway, options.partner_timeout)?;
        let carrier = options.carrier.as_ref().ok_or(Error::NoCarrier)?;
        let carrier = Carrier::new(carrier, options.partner_timeout)?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Driving {
            steps: Steps::new(&journal, keyring, gateway, carrier),
            clock: journal.clock().clone(),
            active: Arc::new(Semaphore::new(options.step_concurrency as usize)),
            step_attempts: options.step_attempts,
            payment_window: options.payment_deadline,
            stopping: stop.clone(),
        });
        let (report, status) = watch::channel(Status::default());
        let task = tokio::spawn(run(journal, shared, report, stop.clone()));
        Ok(Self { task, stop, status })
    }

    /// How far they are.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Tells whether they have died, which nothing short of a defect makes them do.
    pub fn death(&self) -> impl Fn() -> bool + Send + Sync + Clone + use<> {
        let task = self.task.abort_handle();
        move || task.is_finished()
    }

    /// Lets running steps end, notes how far it came, and stops. Takes a few seconds at most.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            error!(%error, "process managers died");
        }
    }
}

async fn run(
    journal: Journal,
    shared: Arc<Driving>,
    report: watch::Sender<Status>,
    stop: CancellationToken,
) {
    let Some(checkpoints) = stop.run_until_cancelled(Box::pin(open_checkpoints(&journal))).await
    else {
        return;
    };
    let last = checkpoints.last().cloned();
    let position = last.as_ref().map_or(Position::START, |checkpoint| checkpoint.position);
    info!(%position, open = last.as_ref().map_or(0, |it| it.open.len()), "process managers start");
    let categories = Filter::categories(&["order", "stock", "fulfilment"]);
    let subscription = journal.subscribe(categories, position);
    let mut inbox = Inbox::new(shared, Register::new(position, report), checkpoints);
    for process in last.into_iter().flat_map(|checkpoint| checkpoint.open) {
        inbox.ensure_driven(process, None).await;
    }
    stop.run_until_cancelled(Box::pin(inbox.route(subscription))).await;
    inbox.drain().await;
}

/// Reads the last checkpoint, however long the event store is away.
async fn open_checkpoints(journal: &Journal) -> CheckpointStream {
    loop {
        match CheckpointStream::open(journal.clone(), "fulfilment").await {
            Ok(checkpoints) => return checkpoints,
            Err(error) => {
                warn!(%error, "process managers cannot read their checkpoint, trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
