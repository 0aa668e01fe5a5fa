//! Routes the log: what asks for a process gives it a driver, what a driver waits for wakes it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use domain::fulfilment::{
    Fulfilment, FulfilmentCommand, FulfilmentStarted, asked_by_stock, asked_for,
};
use domain::ids::{OrderId, ProcessId};
use domain::order::{CancelReason, Order, OrderEvent};
use domain::stock::{Stock, StockEvent};
use futures::FutureExt as _;
use journal::{Delivery, Recorded, Subscription};
use schemas::id_in;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::checkpoint::{CheckpointStream, Register};
use crate::driver::{Driver, Driving, Seed};
use crate::fulfilment::{Because, Failure, running, step_id};
use crate::news::{Bell, Roster};

/// Deliveries handled between two looks at the clock.
const BATCH: usize = 512;
/// How long running steps may take to end when we stop.
const DRAIN: Duration = Duration::from_secs(3);

/// What reads the log, and the drivers that it has spawned.
pub(crate) struct Inbox {
    shared: Arc<Driving>,
    register: Arc<Register>,
    roster: Arc<Roster>,
    drivers: TaskTracker,
    /// Cancelled when steps that are still running are to be left where they are.
    abandon: CancellationToken,
    checkpoints: CheckpointStream,
    saved: Instant,
}

impl Inbox {
    pub(crate) fn new(
        shared: Arc<Driving>,
        register: Register,
        checkpoints: CheckpointStream,
    ) -> Self {
        Self {
            shared,
            register: Arc::new(register),
            roster: Arc::default(),
            drivers: TaskTracker::new(),
            abandon: CancellationToken::new(),
            checkpoints,
            saved: Instant::now(),
        }
    }

    pub(crate) async fn route(&mut self, mut subscription: Subscription) {
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
        if let Some(order) = id_in::<Order>(&event.stream) {
            self.hear_of_order(order, event).await;
            self.roster.tell(order, &event.event_type);
        } else if event.event_type == "stock-backorder-filled" {
            self.hear_of_backorder(event).await;
        } else if event.event_type == "fulfilment-step-resumed"
            && let Some(process) = id_in::<Fulfilment>(&event.stream)
        {
            self.ensure_driven(process, None).await;
        }
    }

    async fn hear_of_order(&mut self, order: OrderId, event: &Recorded) {
        match event.event_type.as_str() {
            "order-placed"
            | "order-payment-requested"
            | "order-shipment-requested"
            | "order-capture-requested"
            | "order-void-requested"
            | "order-refund-requested"
            | "order-lines-cancelled"
            | "order-return-received" => match event.decode::<OrderEvent>() {
                Ok(asking) => {
                    let deadline = self.shared.payment_deadline();
                    let asked = asked_for(order, &asking, event.revision, deadline);
                    self.begin(asked, event).await;
                }
                // Its driver keeps trying to read the order, visibly, and no order is dropped.
                Err(_) if event.event_type == "order-placed" => {
                    self.ensure_driven(order.into(), None).await;
                }
                Err(error) => self.wait_for_a_build_that_reads(event, &error),
            },
            "order-cancelled" => {
                let Ok(OrderEvent::Cancelled(cancelled)) = event.decode::<OrderEvent>() else {
                    return;
                };
                self.request_cancellation(order.into(), order, cancelled.reason, event).await;
            }
            "order-shipment-cancelled" => {
                let Ok(OrderEvent::ShipmentCancelled(cancelled)) = event.decode::<OrderEvent>()
                else {
                    return;
                };
                let (process, reason) = (cancelled.shipment.into(), CancelReason::Other);
                self.request_cancellation(process, order, reason, event).await;
            }
            _ => {}
        }
    }

    async fn hear_of_backorder(&mut self, event: &Recorded) {
        let Some(sku) = id_in::<Stock>(&event.stream) else { return };
        match event.decode::<StockEvent>() {
            Ok(StockEvent::BackorderFilled(filled)) => {
                let asked = asked_by_stock(sku, &filled, event.revision);
                self.begin(Some(asked), event).await;
            }
            Ok(_) => {}
            Err(error) => self.wait_for_a_build_that_reads(event, &error),
        }
    }

    async fn begin(&mut self, asked: Option<(ProcessId, FulfilmentStarted)>, event: &Recorded) {
        if let Some((process, started)) = asked {
            self.ensure_driven(process, Some(Seed { started, cause: event.event_id })).await;
        }
    }

    /// Never goes past an event that asks for something which cannot be read: a later build, started
    /// from the checkpoint, meets it again.
    fn wait_for_a_build_that_reads(&self, event: &Recorded, error: &schemas::Undecodable) {
        error!(stream = %event.stream, revision = event.revision, %error, "what an event asks for cannot be read and is not done");
        self.register.open(ProcessId(event.event_id), self.register.routed());
    }

    /// Tells a process that what it works for was given up, however long the event store is away. One
    /// that has not begun will meet that in the order.
    async fn request_cancellation(
        &mut self,
        process: ProcessId,
        order: OrderId,
        reason: CancelReason,
        event: &Recorded,
    ) {
        let command = FulfilmentCommand::RequestCancellation { reason };
        let because = Because {
            command_id: step_id(process, "process", "cancellation"),
            causation_id: event.event_id,
        };
        loop {
            match self.shared.steps.record(process, order, command.clone(), &because).await {
                Ok(executed) if running(&executed.state).is_some() => {
                    return self.ensure_driven(process, None).await;
                }
                Ok(_) => return,
                Err(Failure::Permanent(why)) => {
                    info!(process.id = %process, order.id = %order, why, "a cancellation came before its process began");
                    return;
                }
                Err(failure) => {
                    warn!(process.id = %process, order.id = %order, ?failure, "a cancellation has to wait to be recorded");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    /// Gives the process a driver, or wakes the one it has. Waits while too many are busy.
    pub(crate) async fn ensure_driven(&mut self, process: ProcessId, seed: Option<Seed>) {
        if self.roster.ring(process) {
            return;
        }
        let Ok(permit) = self.shared.active.clone().acquire_owned().await else { return };
        let bell = self.roster.begin(process);
        self.register.open(process, self.register.routed());
        self.spawn(process, seed, bell, permit);
    }

    fn spawn(
        &self,
        process: ProcessId,
        seed: Option<Seed>,
        bell: Arc<Bell>,
        permit: OwnedSemaphorePermit,
    ) {
        let order = seed.as_ref().and_then(|seed| seed.started.order);
        let driver = Driver {
            shared: self.shared.clone(),
            process,
            order: order.unwrap_or(OrderId(process.0)),
            bell,
            roster: self.roster.clone(),
            register: self.register.clone(),
            permit: Some(permit),
            asked: 0,
        };
        let (register, roster) = (self.register.clone(), self.roster.clone());
        let abandon = self.abandon.clone();
        self.drivers.spawn(async move {
            let driving = AssertUnwindSafe(driver.drive(seed)).catch_unwind();
            match abandon.run_until_cancelled(driving).await {
                Some(Ok(true)) => {
                    roster.end(process);
                    register.close(process);
                }
                // It stays open, so that news of it or a restart gives it another driver.
                Some(Err(_panic)) => {
                    error!(process.id = %process, "the driver of a process has panicked");
                    roster.end(process);
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

    pub(crate) async fn drain(&mut self) {
        self.drivers.close();
        if tokio::time::timeout(DRAIN, self.drivers.wait()).await.is_err() {
            // They are repeated after the restart; every step may be.
            self.abandon.cancel();
            self.drivers.wait().await;
        }
        self.save().await;
    }
}
