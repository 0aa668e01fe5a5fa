//! The steps of fulfilment, performed: each is idempotent, so it may be performed again whenever
//! nobody knows whether it was.

use std::time::Duration;

use domain::fulfilment::{
    Ending, Fulfilment, FulfilmentCommand, FulfilmentState, Progress, Refusal, Reservation, Step,
};
use domain::ids::{OrderId, PaymentId, ShipmentId, Sku, derive_uuid};
use domain::order::{Handling, Order, OrderCommand, OrderRejection, OrderStatus};
use domain::payment::{Payment, PaymentCommand};
use domain::shipment::{Shipment, ShipmentCommand};
use domain::stock::{Stock, StockCommand, StockRejection};
use futures::stream::{StreamExt, TryStreamExt, iter};
use journal::{Context, ExecuteError, Executed, Journal, Repository};
use uuid::Uuid;

use crate::outbound::{Authorisation, Carrier, PartnerError, PaymentGateway, Tracking};

/// Streams of one order that are written at the same time.
const SKUS_AT_ONCE: usize = 32;
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
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Performed {
    /// It is done.
    Done,
    /// It will never be done: the process has to turn round.
    Refused(Refusal),
    /// Nothing went wrong, but it takes more time. Ask again.
    NotYet,
}

/// Why a step was neither done nor refused.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// The event store is away: nothing can be recorded either.
    Shared { error: String, wait: Duration },
    /// A partner failed others so often that it is left alone.
    LeftAlone { error: String, wait: Duration },
    /// It went wrong and may go right next time.
    Transient(String),
    /// It went wrong and will again: an operator has to look.
    Permanent(String),
}

type Performance = Result<Performed, Failure>;

impl Steps {
    pub(crate) fn new(journal: &Journal, gateway: PaymentGateway, carrier: Carrier) -> Self {
        Self {
            orders: Repository::new(journal.clone(), CACHED_STREAMS),
            processes: Repository::new(journal.clone(), CACHED_STREAMS),
            stock: Repository::new(journal.clone(), CACHED_STREAMS),
            payments: Repository::new(journal.clone(), CACHED_STREAMS),
            shipments: Repository::new(journal.clone(), CACHED_STREAMS),
            gateway,
            carrier,
        }
    }

    pub(crate) async fn perform(
        &self,
        order: OrderId,
        process: &Progress,
        step: Step,
    ) -> Performance {
        let at = Place { order, process, step };
        match step {
            Step::ReserveStock => self.reserve_stock(at).await,
            Step::AuthorisePayment => self.authorise_payment(at).await,
            Step::ConfirmOrder => self.advance_order(at, OrderCommand::Confirm).await,
            Step::BookShipment => self.book_shipment(at).await,
            Step::ShipOrder => self.advance_order(at, OrderCommand::Ship).await,
            Step::HandOver => self.hand_over(at).await,
            Step::CapturePayment => self.capture_payment(at).await,
            Step::AwaitDelivery => self.await_delivery(at).await,
            Step::CompleteOrder => self.advance_order(at, OrderCommand::Complete).await,
            Step::CancelBooking => self.cancel_booking(at).await,
            Step::VoidPayment => self.void_payment(at).await,
            Step::ReleaseStock => self.release_stock(at).await,
            Step::CloseOrder => self.close_order(at).await,
        }
    }

    async fn reserve_stock(&self, at: Place<'_>) -> Performance {
        let all = &at.process.order.reservations;
        let tries: Vec<_> = all.iter().map(|wanted| self.reserve_sku(at, wanted)).collect();
        let refusals: Vec<_> = iter(tries).buffer_unordered(SKUS_AT_ONCE).try_collect().await?;
        // The same one whichever answered first, so that a repeat tells the same story.
        let first = refusals.into_iter().flatten().min_by_key(sku_of);
        Ok(first.map_or(Performed::Done, Performed::Refused))
    }

    async fn reserve_sku(
        &self,
        at: Place<'_>,
        wanted: &Reservation,
    ) -> Result<Option<Refusal>, Failure> {
        let Reservation { sku, quantity } = wanted;
        let command = StockCommand::Reserve { order: at.order, quantity: *quantity };
        match self.stock.execute(sku, command, at.context_of(sku.as_str())).await {
            Ok(_) => Ok(None),
            Err(ExecuteError::Rejected(rejection)) => refusal_of(sku, &rejection).map(Some),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn release_stock(&self, at: Place<'_>) -> Performance {
        self.for_each_sku(at, StockCommand::Release { order: at.order }).await
    }

    async fn for_each_sku(&self, at: Place<'_>, command: StockCommand) -> Performance {
        let all = &at.process.order.reservations;
        let tries: Vec<_> = all.iter().map(|it| self.settle_sku(at, &it.sku, &command)).collect();
        iter(tries).buffer_unordered(SKUS_AT_ONCE).try_collect::<()>().await?;
        Ok(Performed::Done)
    }

    async fn settle_sku(
        &self,
        at: Place<'_>,
        sku: &Sku,
        command: &StockCommand,
    ) -> Result<(), Failure> {
        let context = at.context_of(sku.as_str());
        self.stock.execute(sku, command.clone(), context).await.map(drop).map_err(unexpected)
    }

    async fn authorise_payment(&self, at: Place<'_>) -> Performance {
        let (order, amount) = (at.order, at.process.order.total);
        let token = match &at.process.order.handling {
            Handling::Partners { payment_token } => payment_token,
            Handling::Elsewhere { reference } => {
                let reference = reference.clone();
                let settled =
                    PaymentCommand::RecordSettlementElsewhere { order, amount, reference };
                return self.record_payment(at, settled).await;
            }
        };
        let authorised = self.gateway.authorise(order, amount, token).await.map_err(partner)?;
        match authorised {
            Authorisation::Authorised { reference } => {
                let record = PaymentCommand::RecordAuthorisation { order, amount, reference };
                self.record_payment(at, record).await
            }
            Authorisation::Declined { code } => {
                let record = PaymentCommand::RecordDecline { order, amount, code };
                self.record_payment(at, record).await?;
                Ok(Performed::Refused(Refusal::PaymentDeclined))
            }
        }
    }

    async fn capture_payment(&self, at: Place<'_>) -> Performance {
        let amount = at.process.order.total;
        self.gateway.capture(at.order, amount).await.map_err(partner)?;
        let capture = PaymentGateway::capture_key(at.order);
        self.record_payment(at, PaymentCommand::RecordCapture { capture, amount }).await
    }

    /// Also finds the payment that was authorised while nobody was left to record it.
    async fn void_payment(&self, at: Place<'_>) -> Performance {
        if !at.process.order.is_charged() {
            // Paid in another system: that system has to pay it back.
            return Ok(Performed::Done);
        }
        if let Some(reference) = self.gateway.void(at.order).await.map_err(partner)? {
            let (order, amount) = (at.order, at.process.order.total);
            let found = PaymentCommand::RecordAuthorisation { order, amount, reference };
            let context = at.context_of("authorisation");
            self.payments
                .execute(&PaymentId::of(order), found, context)
                .await
                .map_err(unexpected)?;
        }
        self.record_payment(at, PaymentCommand::RecordVoid).await
    }

    async fn record_payment(&self, at: Place<'_>, command: PaymentCommand) -> Performance {
        let id = PaymentId::of(at.order);
        self.payments.execute(&id, command, at.context()).await.map_err(unexpected)?;
        Ok(Performed::Done)
    }

    async fn book_shipment(&self, at: Place<'_>) -> Performance {
        let order = at.order;
        let country = &at.process.order.country;
        let tracking_number = self.carrier.book(order, country).await.map_err(partner)?;
        self.record_shipment(at, ShipmentCommand::RecordBooking { order, tracking_number }).await
    }

    async fn hand_over(&self, at: Place<'_>) -> Performance {
        if at.process.order.is_carried() {
            self.carrier.hand_over(at.order).await.map_err(partner)?;
            self.record_shipment(at, ShipmentCommand::RecordHandOver).await?;
        }
        self.for_each_sku(at, StockCommand::Ship { order: at.order }).await
    }

    async fn await_delivery(&self, at: Place<'_>) -> Performance {
        match self.carrier.track(at.order).await.map_err(partner)? {
            Tracking::OnItsWay => Ok(Performed::NotYet),
            Tracking::Delivered { at: delivered_at } => {
                self.record_shipment(at, ShipmentCommand::RecordDelivery { delivered_at }).await
            }
        }
    }

    async fn cancel_booking(&self, at: Place<'_>) -> Performance {
        self.carrier.cancel(at.order).await.map_err(partner)?;
        self.record_shipment(at, ShipmentCommand::RecordCancellation).await
    }

    async fn record_shipment(&self, at: Place<'_>, command: ShipmentCommand) -> Performance {
        let id = ShipmentId::of(at.order);
        self.shipments.execute(&id, command, at.context()).await.map_err(unexpected)?;
        Ok(Performed::Done)
    }

    /// Takes the order a step forward, unless it was cancelled: then the cancellation wins.
    async fn advance_order(&self, at: Place<'_>, command: OrderCommand) -> Performance {
        match self.orders.execute(&at.order, command, at.context()).await {
            Ok(_) => Ok(Performed::Done),
            Err(ExecuteError::Rejected(OrderRejection::InvalidTransition {
                status: OrderStatus::Cancelled(reason),
                ..
            })) => Ok(Performed::Refused(Refusal::OrderCancelled { reason })),
            Err(error) => Err(unexpected(error)),
        }
    }

    async fn close_order(&self, at: Place<'_>) -> Performance {
        let command = match at.process.ending.clone() {
            Some(Ending::Rejected(reason)) => OrderCommand::Reject { reason },
            Some(Ending::Cancelled(reason)) => OrderCommand::Cancel { reason },
            None => return Ok(Performed::Done),
        };
        self.orders.execute(&at.order, command, at.context()).await.map_err(unexpected)?;
        Ok(Performed::Done)
    }

    /// Records something about the process itself.
    pub(crate) async fn record(
        &self,
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
        self.processes.execute(&order, command, context).await.map_err(unexpected)
    }
}

const ACTOR: &str = "process:fulfilment";

/// Under which id something is recorded, and what caused it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Because {
    pub(crate) command_id: Uuid,
    pub(crate) causation_id: Uuid,
}

/// Id of what `order`'s process does at `step`; the same whenever it is repeated.
pub(crate) fn step_id(order: OrderId, step: &str, detail: &str) -> Uuid {
    derive_uuid(&["fulfilment", &order.to_string(), step, detail])
}

/// Where a process is.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    order: OrderId,
    process: &'a Progress,
    step: Step,
}

impl Place<'_> {
    fn context(&self) -> Context {
        self.context_of("")
    }

    /// The context of one of several commands of the step.
    fn context_of(&self, detail: &str) -> Context {
        // The record that made this step due.
        let before = self.process.done.last().map_or("start", |step| step.name());
        Context {
            command_id: step_id(self.order, self.step.name(), detail),
            correlation_id: self.order.0,
            causation_id: step_id(self.order, before, "done"),
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

fn refusal_of(sku: &Sku, rejection: &StockRejection) -> Result<Refusal, Failure> {
    let sku = sku.clone();
    match *rejection {
        StockRejection::UnknownSku => Ok(Refusal::UnknownSku { sku }),
        StockRejection::InsufficientStock { requested, available } => {
            Ok(Refusal::InsufficientStock { sku, requested, available })
        }
        StockRejection::ReservationConflict { .. }
        | StockRejection::ReservationReleased
        | StockRejection::ReceiptConflict { .. }
        | StockRejection::NothingReserved => Err(Failure::Permanent(format!("{sku}: {rejection}"))),
    }
}

fn sku_of(refusal: &Refusal) -> Option<Sku> {
    match refusal {
        Refusal::InsufficientStock { sku, .. } | Refusal::UnknownSku { sku } => Some(sku.clone()),
        Refusal::PaymentDeclined | Refusal::OrderCancelled { .. } => None,
    }
}

/// A rejection here means that an aggregate contradicts its process: only a person can tell why.
fn unexpected<R: std::error::Error + 'static>(error: ExecuteError<R>) -> Failure {
    match error {
        ExecuteError::Rejected(rejection) => Failure::Permanent(rejection.to_string()),
        other @ (ExecuteError::Store(_) | ExecuteError::Contended) => unavailable(other),
    }
}

fn unavailable<R: std::error::Error + 'static>(error: ExecuteError<R>) -> Failure {
    let wait = Duration::from_millis(500);
    match error {
        ExecuteError::Store(journal::Error::Unavailable { .. }) | ExecuteError::Contended => {
            Failure::Shared { error: error.to_string(), wait }
        }
        ExecuteError::Store(error) => Failure::Transient(error.to_string()),
        ExecuteError::Rejected(rejection) => Failure::Permanent(rejection.to_string()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err passes")]
fn partner(error: PartnerError) -> Failure {
    let text = error.to_string();
    match error {
        PartnerError::LeftAlone { wait, .. } => Failure::LeftAlone { error: text, wait },
        PartnerError::NoAnswer { .. } | PartnerError::InTrouble { .. } => Failure::Transient(text),
        PartnerError::Refused { .. } => Failure::Permanent(text),
    }
}
