//! Reads the log and sees to it that every process has a driver.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::fulfilment::{FulfilmentCommand, FulfilmentStarted};
use domain::ids::OrderId;
use domain::order::OrderEvent;
use futures::FutureExt as _;
use journal::{Delivery, Filter, Journal, Position, Recorded, Subscription};
use schemas::id_in;
use thiserror::Error;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::checkpoint::{CheckpointStream, Register};
use crate::driver::{Driver, Driving, Seed};
use crate::fulfilment::{Because, Failure, Steps, step_id};
use crate::options::Options;
use crate::outbound::{Carrier, PaymentGateway};

/// Deliveries handled between two looks at the clock.
const BATCH: usize = 512;
/// How long running steps may take to end when we stop.
const DRAIN: Duration = Duration::from_secs(3);

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
    /// Starts driving processes. The event store and the partners need not be up.
    ///
    /// # Errors
    /// When a partner's address is missing, or the HTTP client cannot be set up.
    pub fn start(journal: Journal, options: &Options) -> Result<Self, Error> {
        let gateway = options.payment_gateway.as_ref().ok_or(Error::NoPaymentGateway)?;
        let gateway = PaymentGateway::new(gateway, options.partner_timeout)?;
        let carrier = options.carrier.as_ref().ok_or(Error::NoCarrier)?;
        let carrier = Carrier::new(carrier, options.partner_timeout)?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Driving {
            steps: Steps::new(&journal, gateway, carrier),
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
    let subscription = journal.subscribe(Filter::categories(&["order", "fulfilment"]), position);
    let mut inbox = Inbox {
        shared,
        register: Arc::new(Register::new(position, report)),
        wakers: Arc::default(),
        drivers: TaskTracker::new(),
        abandon: CancellationToken::new(),
        checkpoints,
        saved: Instant::now(),
    };
    for order in last.into_iter().flat_map(|checkpoint| checkpoint.open) {
        inbox.ensure_driven(order, None, position).await;
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

struct Inbox {
    shared: Arc<Driving>,
    register: Arc<Register>,
    wakers: Arc<Wakers>,
    drivers: TaskTracker,
    /// Cancelled when steps that are still running are to be left where they are.
    abandon: CancellationToken,
    checkpoints: CheckpointStream,
    saved: Instant,
}

/// One per process that has a driver: tells it that somebody else wrote to its stream.
#[derive(Debug, Default)]
struct Wakers(Mutex<HashMap<OrderId, Arc<Notify>>>);

impl Wakers {
    fn all(&self) -> MutexGuard<'_, HashMap<OrderId, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    async fn route(&mut self, mut subscription: Subscription) {
        loop {
            for delivery in subscription.next_batch(BATCH).await {
                match delivery {
                    Delivery::Event(event) => {
                        self.react(&event).await;
                        self.register.route_to(event.position);
                    }
                    Delivery::Checkpoint(position) => self.register.route_to(position),
                    Delivery::CaughtUp => self.register.catch_up(),
                }
            }
            self.register.publish();
            if self.saved.elapsed() >= self.checkpoint_interval() {
                self.save().await;
            }
        }
    }

    async fn react(&mut self, event: &Recorded) {
        match event.event_type.as_str() {
            "order-placed" => {
                let Some(order) = id_in::<domain::order::Order>(&event.stream) else { return };
                let seed = self.seed(event);
                self.ensure_driven(order, seed, self.register.routed()).await;
            }
            "order-cancelled" => {
                let Some(order) = id_in::<domain::order::Order>(&event.stream) else { return };
                self.request_cancellation(order, event).await;
                self.ensure_driven(order, None, self.register.routed()).await;
            }
            "fulfilment-step-resumed" => {
                let Some(order) = id_in::<domain::fulfilment::Fulfilment>(&event.stream) else {
                    return;
                };
                self.ensure_driven(order, None, self.register.routed()).await;
            }
            _ => {}
        }
    }

    /// What the process of a placed order begins with. `None` when the event cannot be read: its
    /// driver then keeps trying to read the order, visibly, and no order is dropped.
    fn seed(&self, event: &Recorded) -> Option<Seed> {
        let deadline = self.shared.payment_deadline();
        match event.decode::<OrderEvent>() {
            Ok(OrderEvent::Placed(placed)) => Some(Seed {
                started: FulfilmentStarted::of(&placed.details, deadline),
                cause: event.event_id,
            }),
            Ok(
                OrderEvent::Confirmed(_)
                | OrderEvent::Shipped(_)
                | OrderEvent::Completed(_)
                | OrderEvent::Cancelled(_)
                | OrderEvent::Rejected(_),
            ) => None,
            Err(error) => {
                error!(stream = %event.stream, %error, "a placed order cannot be read");
                None
            }
        }
    }

    /// Tells the process that its order was cancelled, however long the event store is away. A
    /// process that has not begun will meet the cancellation when it confirms the order.
    async fn request_cancellation(&self, order: OrderId, event: &Recorded) {
        let Ok(OrderEvent::Cancelled(cancelled)) = event.decode::<OrderEvent>() else { return };
        let command = FulfilmentCommand::RequestCancellation { reason: cancelled.reason };
        let because = Because {
            command_id: step_id(order, "process", "cancellation"),
            causation_id: event.event_id,
        };
        loop {
            match self.shared.steps.record(order, command.clone(), &because).await {
                Ok(_) => return,
                Err(Failure::Permanent(why)) => {
                    info!(order.id = %order, why, "a cancellation came before its process began");
                    return;
                }
                Err(failure) => {
                    warn!(order.id = %order, ?failure, "a cancellation has to wait to be recorded");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    /// Gives the process a driver, or wakes the one it has. Waits while too many are busy.
    async fn ensure_driven(&mut self, order: OrderId, seed: Option<Seed>, before: Position) {
        if let Some(waker) = self.wakers.all().get(&order) {
            waker.notify_one();
            return;
        }
        let Ok(permit) = self.shared.active.clone().acquire_owned().await else { return };
        let waker = Arc::new(Notify::new());
        self.wakers.all().insert(order, waker.clone());
        self.register.open(order, before);
        self.spawn(order, seed, waker, permit);
    }

    fn spawn(
        &self,
        order: OrderId,
        seed: Option<Seed>,
        waker: Arc<Notify>,
        permit: OwnedSemaphorePermit,
    ) {
        let driver = Driver::new(self.shared.clone(), order, waker, Some(permit));
        let (register, wakers) = (self.register.clone(), self.wakers.clone());
        let abandon = self.abandon.clone();
        self.drivers.spawn(async move {
            let driving = AssertUnwindSafe(driver.drive(seed)).catch_unwind();
            match abandon.run_until_cancelled(driving).await {
                Some(Ok(true)) => {
                    wakers.all().remove(&order);
                    register.close(order);
                }
                // It stays open, so that news of it or a restart gives it another driver.
                Some(Err(_panic)) => {
                    error!(order.id = %order, "the driver of a process has panicked");
                    wakers.all().remove(&order);
                }
                Some(Ok(false)) | None => {}
            }
        });
    }

    /// The more names a checkpoint has, the seldomer it is written.
    fn checkpoint_interval(&self) -> Duration {
        let names = u64::try_from(self.register.len()).unwrap_or(u64::MAX);
        Duration::from_secs((1 + names / 100).min(60))
    }

    async fn save(&mut self) {
        self.saved = Instant::now();
        if let Err(error) = self.checkpoints.save(self.register.checkpoint()).await {
            warn!(%error, "process managers cannot save their checkpoint; a restart would repeat more");
        }
    }

    async fn drain(&mut self) {
        self.drivers.close();
        if tokio::time::timeout(DRAIN, self.drivers.wait()).await.is_err() {
            // They are repeated after the restart; every step may be.
            self.abandon.cancel();
            self.drivers.wait().await;
        }
        self.save().await;
    }
}
