//! An order, as the schema shows it.

use std::sync::Arc;

use async_graphql::{Context, Enum, Error, Object, SimpleObject};
use chrono::{DateTime, Utc};
use domain::ids::OrderId;
use domain::order::{Handling, OrderDetails, OrderEvent, RejectReason};
use futures::TryStreamExt;
use journal::Executed;
use projector::read_model::OrderRow;
use schemas::stream_of;
use uuid::Uuid;

use super::{Line, Money, Payment, Process, ProcessStatus, Shipment, small};
use crate::graphql::error::{internal, store_error};
use crate::graphql::loaders::Loaders;
use crate::graphql::request::Services;
use crate::graphql::scalars::{BigInt, CountryCode, CurrencyCode};

/// How far an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::OrderStatus")]
pub(crate) enum OrderStatus {
    /// Accepted, nothing promised yet.
    Pending,
    /// Goods are reserved and payment is authorised: it will be delivered.
    Confirmed,
    /// On its way; it can no longer be cancelled.
    Shipped,
    /// Delivered.
    Completed,
    /// Given up.
    Cancelled,
    /// Refused, because it could not be supplied.
    Rejected,
}

impl From<&domain::order::OrderStatus> for OrderStatus {
    fn from(status: &domain::order::OrderStatus) -> Self {
        match status {
            domain::order::OrderStatus::Pending => Self::Pending,
            domain::order::OrderStatus::Confirmed => Self::Confirmed,
            domain::order::OrderStatus::Shipped => Self::Shipped,
            domain::order::OrderStatus::Completed => Self::Completed,
            domain::order::OrderStatus::Cancelled(_) => Self::Cancelled,
            domain::order::OrderStatus::Rejected(_) => Self::Rejected,
        }
    }
}

/// Why somebody cancels an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum CancelReason {
    /// The customer wants it.
    Customer,
    /// Somebody of the shop wants it.
    Staff,
    /// It looks like fraud.
    Fraud,
    /// None of these.
    Other,
}

impl From<CancelReason> for domain::order::CancelReason {
    fn from(reason: CancelReason) -> Self {
        match reason {
            CancelReason::Customer => Self::Customer,
            CancelReason::Staff => Self::Staff,
            CancelReason::Fraud => Self::Fraud,
            CancelReason::Other => Self::Other,
        }
    }
}

/// Why an order was cancelled or rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum OrderReasonCode {
    /// Cancelled: the customer wanted it.
    Customer,
    /// Cancelled: somebody of the shop wanted it.
    Staff,
    /// Cancelled: it looked like fraud.
    Fraud,
    /// Cancelled: the gateway declined the payment.
    PaymentDeclined,
    /// Cancelled: no payment was authorised before the deadline.
    PaymentTimedOut,
    /// Cancelled for none of these reasons.
    Other,
    /// Rejected: there was not enough of a SKU.
    InsufficientStock,
    /// Rejected: a SKU had never been received into stock.
    UnknownSku,
}

/// Why an order was cancelled or rejected, with the numbers that led to it.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct OrderReason {
    /// Why.
    code: OrderReasonCode,
    /// The SKU that was short or unknown.
    sku: Option<String>,
    /// Units wanted, over all lines.
    requested: Option<BigInt>,
    /// Units available when it was tried.
    available: Option<BigInt>,
}

impl From<domain::order::CancelReason> for OrderReason {
    fn from(reason: domain::order::CancelReason) -> Self {
        let code = match reason {
            domain::order::CancelReason::Customer => OrderReasonCode::Customer,
            domain::order::CancelReason::Staff => OrderReasonCode::Staff,
            domain::order::CancelReason::Fraud => OrderReasonCode::Fraud,
            domain::order::CancelReason::PaymentDeclined => OrderReasonCode::PaymentDeclined,
            domain::order::CancelReason::PaymentTimedOut => OrderReasonCode::PaymentTimedOut,
            domain::order::CancelReason::Other => OrderReasonCode::Other,
        };
        Self { code, sku: None, requested: None, available: None }
    }
}

impl From<RejectReason> for OrderReason {
    fn from(reason: RejectReason) -> Self {
        match reason {
            RejectReason::InsufficientStock { sku, requested, available } => Self {
                code: OrderReasonCode::InsufficientStock,
                sku: Some(sku.to_string()),
                requested: Some(requested.into()),
                available: Some(available.into()),
            },
            RejectReason::UnknownSku { sku } => Self {
                code: OrderReasonCode::UnknownSku,
                sku: Some(sku.to_string()),
                requested: None,
                available: None,
            },
        }
    }
}

/// Who moves the money and the goods of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum OrderHandling {
    /// Orderstore does, through payment gateway and carrier.
    Partners,
    /// Another system did, before the order came here.
    Elsewhere,
}

/// What can be done about an order as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum OrderAction {
    /// `orderCancel`
    Cancel,
    /// `fulfilmentResume`
    Resume,
}

/// An order, as the log or the read model has it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    id: Uuid,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Row(Box<OrderRow>),
    Aggregate {
        details: Arc<OrderDetails>,
        status: domain::order::OrderStatus,
        revision: u64,
        /// Known when the very command placed the order.
        placed_at: Option<DateTime<Utc>>,
    },
}

impl From<OrderRow> for Order {
    fn from(row: OrderRow) -> Self {
        Self { id: row.id, source: Source::Row(Box::new(row)) }
    }
}

impl Order {
    /// The order as a command left it; `None` when there is none.
    pub(crate) fn executed(id: OrderId, executed: &Executed<domain::order::Order>) -> Option<Self> {
        let placed_at = executed.events.iter().find_map(|event| match event {
            OrderEvent::Placed(placed) => Some(placed.placed_at),
            OrderEvent::Confirmed(_)
            | OrderEvent::Shipped(_)
            | OrderEvent::Completed(_)
            | OrderEvent::Cancelled(_)
            | OrderEvent::Rejected(_) => None,
        });
        match &*executed.state {
            domain::order::OrderState::NotPlaced => None,
            domain::order::OrderState::Placed { details, status } => Some(Self {
                id: id.0,
                source: Source::Aggregate {
                    details: details.clone(),
                    status: status.clone(),
                    revision: executed.revision,
                    placed_at,
                },
            }),
        }
    }

    fn current_status(&self) -> OrderStatus {
        match &self.source {
            Source::Row(row) => row.status.into(),
            Source::Aggregate { status, .. } => status.into(),
        }
    }
}

/// An order. A mutation answers with the order as it is in the log, a query with the order as the
/// read model has it.
#[Object]
impl Order {
    /// Its id.
    pub(crate) async fn id(&self) -> Uuid {
        self.id
    }

    /// How far it has come.
    async fn status(&self) -> OrderStatus {
        self.current_status()
    }

    /// Why it was cancelled or rejected, if it was.
    async fn reason(&self) -> Option<OrderReason> {
        match &self.source {
            Source::Row(row) => row.reason.as_deref().and_then(read_reason),
            Source::Aggregate { status, .. } => match status {
                domain::order::OrderStatus::Cancelled(reason) => Some((*reason).into()),
                domain::order::OrderStatus::Rejected(reason) => Some(reason.clone().into()),
                domain::order::OrderStatus::Pending
                | domain::order::OrderStatus::Confirmed
                | domain::order::OrderStatus::Shipped
                | domain::order::OrderStatus::Completed => None,
            },
        }
    }

    /// Where it comes from: a shop, a marketplace, a till.
    async fn channel(&self) -> &str {
        match &self.source {
            Source::Row(row) => &row.channel,
            Source::Aggregate { details, .. } => details.channel.as_str(),
        }
    }

    /// The customer's id in the system that knows the person, if that is known.
    async fn customer(&self) -> Option<&str> {
        match &self.source {
            Source::Row(row) => row.customer.as_deref(),
            Source::Aggregate { details, .. } => {
                details.customer.as_ref().map(domain::ids::CustomerRef::as_str)
            }
        }
    }

    /// Where it goes.
    async fn country(&self) -> CountryCode {
        CountryCode(match &self.source {
            Source::Row(row) => row.country.clone(),
            Source::Aggregate { details, .. } => details.country.to_string(),
        })
    }

    /// The one currency of the order.
    async fn currency_code(&self) -> CurrencyCode {
        CurrencyCode(match &self.source {
            Source::Row(row) => row.currency.clone(),
            Source::Aggregate { details, .. } => details.currency.code().to_owned(),
        })
    }

    /// What the customer agreed to pay: the sum over the lines.
    async fn total(&self) -> Money {
        match &self.source {
            Source::Row(row) => Money::from_minor(row.total_minor, &row.currency),
            Source::Aggregate { details, .. } => details.total.into(),
        }
    }

    /// Who moves its money and its goods.
    async fn handling(&self) -> OrderHandling {
        match &self.source {
            Source::Row(row) => match row.handling {
                projector::read_model::Handling::Partners => OrderHandling::Partners,
                projector::read_model::Handling::Elsewhere => OrderHandling::Elsewhere,
            },
            Source::Aggregate { details, .. } => match details.handling {
                Handling::Partners { .. } => OrderHandling::Partners,
                Handling::Elsewhere { .. } => OrderHandling::Elsewhere,
            },
        }
    }

    /// How the other system knows an order that was handled elsewhere.
    async fn reference(&self) -> Option<&str> {
        match &self.source {
            Source::Row(row) => row.reference.as_deref(),
            Source::Aggregate { details, .. } => match &details.handling {
                Handling::Elsewhere { reference } => Some(reference.as_str()),
                Handling::Partners { .. } => None,
            },
        }
    }

    /// What was bought, in the customer's order.
    #[graphql(complexity = "5 + child_complexity")]
    async fn lines(&self, ctx: &Context<'_>) -> Result<Vec<Line>, Error> {
        match &self.source {
            Source::Row(row) => {
                let rows = Loaders::of(ctx).order_lines(ctx, self.id).await?;
                Ok(rows.into_iter().map(|line| Line::of_order(line, &row.currency)).collect())
            }
            Source::Aggregate { details, .. } => Ok(details.lines.iter().map(Into::into).collect()),
        }
    }

    /// Its payment, as far as the read model knows; none when no money was asked for so far.
    async fn payment(&self, ctx: &Context<'_>) -> Result<Option<Payment>, Error> {
        Ok(Loaders::of(ctx).payment(ctx, self.id).await?.map(Into::into))
    }

    /// Its shipment, as far as the read model knows; none when no carrier was asked for so far.
    async fn shipment(&self, ctx: &Context<'_>) -> Result<Option<Shipment>, Error> {
        Ok(Loaders::of(ctx).shipment(ctx, self.id).await?.map(Into::into))
    }

    /// Its fulfilment process, as far as the read model knows; none when it has not begun.
    async fn process(&self, ctx: &Context<'_>) -> Result<Option<Process>, Error> {
        Ok(Loaders::of(ctx).process(ctx, self.id).await?.map(Into::into))
    }

    /// When the customer placed it.
    async fn placed_at(&self, ctx: &Context<'_>) -> Result<DateTime<Utc>, Error> {
        match &self.source {
            Source::Row(row) => Ok(row.placed_at),
            Source::Aggregate { placed_at: Some(placed_at), .. } => Ok(*placed_at),
            Source::Aggregate { placed_at: None, .. } => placed_at_in_log(ctx, self.id).await,
        }
    }

    /// When its last event was recorded.
    async fn updated_at(&self, ctx: &Context<'_>) -> Result<DateTime<Utc>, Error> {
        match &self.source {
            Source::Row(row) => Ok(row.updated_at),
            Source::Aggregate { revision, .. } => recorded_at_in_log(ctx, self.id, *revision).await,
        }
    }

    /// Number of its last event, from 0: grows by one with every change.
    async fn revision(&self) -> i32 {
        match &self.source {
            Source::Row(row) => small(row.revision),
            Source::Aggregate { revision, .. } => small(*revision),
        }
    }

    /// Whether a later event could not be understood: what is here is right, but may be out of date.
    async fn quarantined(&self) -> bool {
        match &self.source {
            Source::Row(row) => row.quarantined,
            Source::Aggregate { .. } => false,
        }
    }

    /// What can be done about it as it is now; for a mutation's answer without what depends on its
    /// process, which the read model may not know of yet.
    async fn available_actions(&self, ctx: &Context<'_>) -> Result<Vec<OrderAction>, Error> {
        let mut actions = match self.current_status() {
            OrderStatus::Pending | OrderStatus::Confirmed => vec![OrderAction::Cancel],
            OrderStatus::Shipped
            | OrderStatus::Completed
            | OrderStatus::Cancelled
            | OrderStatus::Rejected => vec![],
        };
        let process = match &self.source {
            Source::Row(_) => Loaders::of(ctx).process(ctx, self.id).await?,
            Source::Aggregate { .. } => None,
        };
        if process.is_some_and(|row| ProcessStatus::from(row.status) == ProcessStatus::Parked) {
            actions.push(OrderAction::Resume);
        }
        Ok(actions)
    }
}

/// Cancelled orders keep a plain text, rejected ones an object; both are the domain's own JSON.
fn read_reason(json: &str) -> Option<OrderReason> {
    if json.starts_with('{') {
        return serde_json::from_str::<RejectReason>(json).ok().map(Into::into);
    }
    serde_json::from_str::<domain::order::CancelReason>(json).ok().map(Into::into)
}

/// A command that changed nothing, or something else, does not know when the order was placed.
async fn placed_at_in_log(ctx: &Context<'_>, id: Uuid) -> Result<DateTime<Utc>, Error> {
    let event = event_in_log(ctx, id, 0).await?;
    let event = event.decode().map_err(|error| internal(ctx, &error))?;
    match event {
        OrderEvent::Placed(placed) => Ok(placed.placed_at),
        OrderEvent::Confirmed(_)
        | OrderEvent::Shipped(_)
        | OrderEvent::Completed(_)
        | OrderEvent::Cancelled(_)
        | OrderEvent::Rejected(_) => Err(internal(ctx, &NotAnOrder(id))),
    }
}

async fn recorded_at_in_log(
    ctx: &Context<'_>,
    id: Uuid,
    revision: u64,
) -> Result<DateTime<Utc>, Error> {
    Ok(event_in_log(ctx, id, revision).await?.metadata.recorded_at)
}

async fn event_in_log(
    ctx: &Context<'_>,
    id: Uuid,
    revision: u64,
) -> Result<journal::Recorded, Error> {
    let stream = stream_of::<domain::order::Order>(&OrderId(id));
    let mut events = Services::of(ctx).journal.read(&stream, revision);
    match events.try_next().await {
        Ok(Some(event)) => Ok(event),
        Ok(None) => Err(internal(ctx, &NotAnOrder(id))),
        Err(error) => Err(store_error(ctx, &error)),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the stream of order {0} does not begin with an order being placed")]
struct NotAnOrder(Uuid);
