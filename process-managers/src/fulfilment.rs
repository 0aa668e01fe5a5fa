//! The steps of processes, performed: each is idempotent, so it may be performed again whenever
//! nobody knows whether it was.
//!
//! A step calls partners and executes commands on aggregates, in an order that a repeat can follow;
//! it computes no money and decides nothing about lines: it passes facts to the order, whose rules
//! are in `domain`. In reading order: `accepting` an order, `paying` for it, `delivering` a shipment,
//! `restocking` what goes back, and `failure`, how a step can go wrong.

mod accepting;
mod delivering;
mod failure;
mod paying;
mod restocking;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::fulfilment::{
    Fulfilment, FulfilmentCommand, FulfilmentState, Progress, Refusal, Step, Work,
};
use domain::ids::{OrderId, ProcessId, Sku, derive_uuid};
use domain::order::{
    CancelReason, Order, OrderCommand, OrderRejection, OrderState, OrderStatus, PlacedOrder,
};
use domain::payment::Payment;
use domain::shipment::Shipment;
use domain::stock::{Stock, StockCommand};
use futures::stream::{StreamExt, TryStreamExt, iter};
use journal::{Clock, Context, ExecuteError, Executed, Journal, Repository};
use keyring::Keyring;
use uuid::Uuid;

pub(crate) use self::failure::Failure;
use self::failure::{unavailable, unexpected};
use crate::outbound::{Carrier, PaymentGateway};

/// Streams of one order that are written at the same time.
const SKUS_AT_ONCE: usize = 32;
/// Why a process of the days when one process did everything is not taken further.
const FIRST_DAYS: &str = "an earlier version of orderstore began this process and has to end it; \
    stop this version, let that one run until it has no processes left, and start this one again";
/// States kept in memory, per kind of stream.
const CACHED_STREAMS: usize = 20_000;

/// Everything that a step may touch.
#[derive(Debug)]
pub(crate) struct Steps {
    pub(crate) orders: Repository<Order>,
    pub(crate) processes: Repository<Fulfilment>,
    stock: Repository<Stock>,
    payments: Repository<Payment>,
    shipments: Repository<Shipment>,
    gateway: PaymentGateway,
    carrier: Carrier,
    keyring: Keyring,
    clock: Arc<dyn Clock>,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Performed {
    /// It is done.
    Done,
    /// It will never be done: the process has to turn round.
    Refused(Refusal),
    /// Nothing went wrong, but a partner needs more time. Ask again.
    NotYet,
    /// Something has to become of the order first, and nobody has to be asked: wait for news of it
    /// (`news` says which), or for a time.
    Awaits(Option<DateTime<Utc>>),
}

type Performance = Result<Performed, Failure>;

impl Steps {
    pub(crate) fn new(
        journal: &Journal,
        keyring: Keyring,
        gateway: PaymentGateway,
        carrier: Carrier,
    ) -> Self {
        Self {
            orders: Repository::new(journal.clone(), CACHED_STREAMS),
            processes: Repository::new(journal.clone(), CACHED_STREAMS),
            stock: Repository::new(journal.clone(), CACHED_STREAMS),
            payments: Repository::new(journal.clone(), CACHED_STREAMS),
            shipments: Repository::new(journal.clone(), CACHED_STREAMS),
            gateway,
            carrier,
            keyring,
            clock: journal.clock().clone(),
        }
    }

    pub(crate) async fn perform(
        &self,
        process: ProcessId,
        progress: &Progress,
        step: Step,
    ) -> Performance {
        let order = progress.started.order_of(process);
        let at = Place { process, order, progress, step };
        if progress.started.order.is_none() && progress.ending.is_none() {
            return Err(Failure::Permanent(FIRST_DAYS.to_owned()));
        }
        match (step, progress.work()) {
            (Step::ReserveStock, Work::Acceptance(work)) => self.reserve_stock(at, work).await,
            (Step::CommitStock, Work::Acceptance(work)) => self.commit_stock(at, work).await,
            (Step::ConfirmOrder, Work::Acceptance(_)) => self.confirm_order(at).await,
            (Step::ReleaseStock, Work::Acceptance(work)) => self.release_stock(at, work).await,
            (Step::CloseOrder, Work::Acceptance(_)) => self.close_order(at).await,

            (Step::AuthorisePayment, Work::Acceptance(work)) => self.be_paid(at, work).await,
            (Step::AuthorisePayment, Work::Payment { payment, amount, payment_token }) => {
                self.be_paid_again(at, *payment, *amount, payment_token).await
            }
            (Step::WatchAuthorisation, _) => self.watch_authorisation(at).await,
            (Step::VoidPayment, _) => self.void_payment(at).await,
            (Step::CapturePayment, Work::Capture { capture, payment, amount, is_final }) => {
                self.capture(at, *capture, *payment, *amount, *is_final).await
            }
            (Step::RefundPayment, Work::Refund { refund, payment, amount }) => {
                self.refund(at, *refund, *payment, *amount).await
            }

            (Step::BookShipment, Work::Delivery(work)) => self.book_shipment(at, work).await,
            (Step::DispatchOrder, Work::Delivery(work)) => self.dispatch(at, work).await,
            (Step::HandOver, Work::Delivery(work)) => self.hand_over(at, work).await,
            (Step::AwaitDelivery, Work::Delivery(work)) => self.await_delivery(at, work).await,
            (Step::CancelBooking, Work::Delivery(work)) => self.cancel_booking(at, work).await,

            (Step::GiveBackStock, Work::Release { movement, released }) => {
                self.give_back_stock(at, *movement, released).await
            }
            (Step::RestockGoods, Work::Restock { movement, received }) => {
                self.restock_goods(at, *movement, received).await
            }
            (
                Step::RecordBackorder,
                Work::Backorder { sku, location, quantity, stock_revision },
            ) => self.record_backorder(at, sku, location, *quantity, *stock_revision).await,
            // The plan gives no work a step of another kind.
            (other, work) => {
                Err(Failure::Permanent(format!("{other} is no step of {}", work.kind())))
            }
        }
    }

    /// The order of the process as it is now.
    async fn order_at(&self, at: Place<'_>) -> Result<Box<PlacedOrder>, Failure> {
        self.placed_order(at.order).await
    }

    async fn placed_order(&self, order: OrderId) -> Result<Box<PlacedOrder>, Failure> {
        match self.orders.load(&order).await {
            Ok(Some(loaded)) => match loaded.state.as_ref() {
                OrderState::Placed(order) => Ok(order.clone()),
                OrderState::NotPlaced => Err(Failure::Permanent(NO_ORDER.to_owned())),
            },
            Ok(None) => Err(Failure::Permanent(NO_ORDER.to_owned())),
            Err(error) => Err(unavailable::<OrderRejection>(error.into())),
        }
    }

    /// Tells the order something that it cannot refuse.
    async fn tell_order(&self, at: Place<'_>, command: OrderCommand) -> Result<(), Failure> {
        self.tell_order_also(at, command, "").await
    }

    /// The same, for one of several things that are told in one step.
    async fn tell_order_also(
        &self,
        at: Place<'_>,
        command: OrderCommand,
        detail: &str,
    ) -> Result<(), Failure> {
        let context = at.context_of(detail);
        self.orders.execute(&at.order, command, context).await.map(drop).map_err(unexpected)
    }

    /// Wants the same of several SKUs at the same time.
    async fn for_each_sku(
        &self,
        at: Place<'_>,
        commands: impl IntoIterator<Item = (Sku, StockCommand)>,
    ) -> Result<(), Failure> {
        let settle = |(sku, command): (Sku, StockCommand)| async move {
            let context = at.context_of(sku.as_str());
            self.stock.execute(&sku, command, context).await.map(drop).map_err(unexpected)
        };
        let tries: Vec<_> = commands.into_iter().map(settle).collect();
        iter(tries).buffer_unordered(SKUS_AT_ONCE).try_collect().await
    }

    /// Records something about the process itself.
    pub(crate) async fn record(
        &self,
        process: ProcessId,
        order: OrderId,
        command: FulfilmentCommand,
        because: &Because,
    ) -> Result<Executed<Fulfilment>, Failure> {
        let context = Context {
            command_id: because.command_id,
            correlation_id: order.0,
            causation_id: because.causation_id,
            actor: ACTOR.to_owned(),
            traceparent: None,
        };
        self.processes.execute(&process, command, context).await.map_err(unexpected)
    }
}

const ACTOR: &str = "process:fulfilment";
const NO_ORDER: &str = "the order of this process does not exist";

/// Under which id something is recorded, and what caused it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Because {
    pub(crate) command_id: Uuid,
    pub(crate) causation_id: Uuid,
}

/// Id of what `process` does at `step`; the same whenever it is repeated.
pub(crate) fn step_id(process: ProcessId, step: &str, detail: &str) -> Uuid {
    derive_uuid(&["fulfilment", &process.to_string(), step, detail])
}

/// Where a process is.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    process: ProcessId,
    order: OrderId,
    progress: &'a Progress,
    step: Step,
}

impl Place<'_> {
    fn context(&self) -> Context {
        self.context_of("")
    }

    /// The context of one of several commands of the step.
    fn context_of(&self, detail: &str) -> Context {
        // The record that made this step due.
        let before = self.progress.done.last().map_or("start", |step| step.name());
        Context {
            command_id: step_id(self.process, self.step.name(), detail),
            correlation_id: self.order.0,
            causation_id: step_id(self.process, before, "done"),
            actor: ACTOR.to_owned(),
            traceparent: None,
        }
    }
}

/// The process under way, if it is.
pub(crate) fn running(state: &FulfilmentState) -> Option<&Progress> {
    match state {
        FulfilmentState::Running(progress) => Some(progress),
        FulfilmentState::NotStarted | FulfilmentState::Finished(_) => None,
    }
}

/// What an order that is over means for work that it is still to be moved on by.
fn over(status: &OrderStatus) -> Option<Refusal> {
    match status {
        OrderStatus::Cancelled(reason) => Some(Refusal::OrderCancelled { reason: *reason }),
        OrderStatus::Rejected(_) => {
            Some(Refusal::OrderCancelled { reason: CancelReason::Inventory })
        }
        OrderStatus::Pending | OrderStatus::Confirmed | OrderStatus::Completed => None,
    }
}

/// What it means that the order refused a step: it has to be waited for, it is over, or (only a
/// person can tell why) it contradicts its process.
fn refused(error: ExecuteError<OrderRejection>) -> Performance {
    let ExecuteError::Rejected(rejection) = error else { return Err(unavailable(error)) };
    if let OrderRejection::OnHold { .. } | OrderRejection::Unfunded { .. } = rejection {
        return Ok(Performed::Awaits(None));
    }
    if let OrderRejection::InvalidTransition { status, .. } = &rejection
        && let Some(refusal) = over(status)
    {
        return Ok(Performed::Refused(refusal));
    }
    Err(Failure::Permanent(rejection.to_string()))
}
