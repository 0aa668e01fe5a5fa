//! The goods of an order on their way: what each location has to do, what left, what came back.

use async_graphql::{ComplexObject, Context, Enum, Error, SimpleObject};
use chrono::{DateTime, Utc};
use domain::ids::{OrderId, ReturnId, ShipmentId};
use domain::order::{self as domain_order, Parcel, ReturnBook, ShipmentBook, ShippedBy};
use domain::personal::Sealed;
use uuid::Uuid;

use super::order_line::LineUnits;
use super::personal::{Note, note};
use super::{Disposition, ReturnReason, ReturnStatus, Shipment, ShipmentProgress, small};
use crate::graphql::loaders::Loaders;

/// What a carrier says of a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::shipment::TrackingStatus")]
pub(crate) enum TrackingStatus {
    /// Its label is printed.
    LabelPrinted,
    /// The carrier has it.
    PickedUp,
    /// It travels.
    InTransit,
    /// It comes today.
    OutForDelivery,
    /// Nobody was there to take it.
    AttemptedDelivery,
    /// It comes later than was said.
    Delayed,
    /// The customer has it.
    Delivered,
    /// It will not be delivered.
    Failed,
    /// The customer can fetch it.
    ReadyForPickup,
}

/// Who brings a shipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ShipmentBy {
    /// Our carrier, who is booked and asked.
    Partner,
    /// A carrier that we do not talk to; news of it is recorded by hand.
    Manual,
    /// Somebody brought it before the order came here.
    Elsewhere,
}

/// Goods of an order that leave one location together.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct OrderShipment {
    /// Its id: what mutations call `shipmentId`.
    id: Uuid,
    /// From where.
    location: String,
    /// How far it is.
    status: ShipmentProgress,
    /// Who brings it.
    by: ShipmentBy,
    /// What is in it.
    lines: Vec<LineUnits>,
    /// What it travels as, as far as that is known.
    parcels: Vec<ShipmentParcel>,
    /// When it arrived, by the carrier's clock.
    delivered_at: Option<DateTime<Utc>>,
    #[graphql(skip)]
    order: OrderId,
}

#[ComplexObject]
impl OrderShipment {
    /// What the carrier did with it, as far as the read model knows.
    async fn record(&self, ctx: &Context<'_>) -> Result<Option<Shipment>, Error> {
        let rows = Loaders::of(ctx).shipments(ctx, self.order.0).await?;
        Ok(rows.into_iter().find(|row| row.id == self.id).map(Into::into))
    }
}

impl OrderShipment {
    pub(super) fn new(order: OrderId, id: ShipmentId, book: &ShipmentBook) -> Self {
        let by = match &book.by {
            ShippedBy::Partner { .. } => ShipmentBy::Partner,
            ShippedBy::Manual { .. } => ShipmentBy::Manual,
            ShippedBy::Elsewhere => ShipmentBy::Elsewhere,
        };
        Self {
            id: id.0,
            location: book.location.to_string(),
            status: book.status.into(),
            by,
            lines: book.lines.iter().map(Into::into).collect(),
            parcels: book.parcels.iter().enumerate().map(Into::into).collect(),
            delivered_at: book.delivered_at,
            order,
        }
    }
}

/// One parcel of a shipment.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ShipmentParcel {
    /// Its number within the shipment, from 0: what `trackingRecord` calls `parcel`.
    index: i32,
    /// Name or code of the carrier.
    carrier: String,
    /// Under which the carrier can be asked.
    tracking_number: String,
    /// Where people can look.
    tracking_url: Option<String>,
    /// News of it, in the order in which it came.
    events: Vec<TrackingEvent>,
}

impl From<(usize, &Parcel)> for ShipmentParcel {
    fn from((index, parcel): (usize, &Parcel)) -> Self {
        let news = |&(status, at)| TrackingEvent { status: TrackingStatus::from(status), at };
        Self {
            index: small(index),
            carrier: parcel.booked.carrier.clone(),
            tracking_number: parcel.booked.tracking_number.to_string(),
            tracking_url: parcel.booked.tracking_url.clone(),
            events: parcel.news.iter().map(news).collect(),
        }
    }
}

/// News of a parcel.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct TrackingEvent {
    /// What.
    status: TrackingStatus,
    /// When, by the carrier's clock.
    at: DateTime<Utc>,
}

/// How far a location is with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::order::FulfilmentOrderStatus")]
pub(crate) enum FulfilmentOrderStatus {
    /// Something is here that is in no shipment.
    Open,
    /// A shipment is being prepared.
    InProgress,
    /// Nothing may leave because of a hold.
    OnHold,
    /// Everything has left.
    Closed,
}

/// What one location has to do for an order.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct FulfilmentOrder {
    /// Where.
    location: String,
    /// How far it is.
    status: FulfilmentOrderStatus,
    /// What.
    lines: Vec<FulfilmentLine>,
}

/// Units of one line at one location.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct FulfilmentLine {
    /// Which line of the order, from 0.
    line: i32,
    /// Still here.
    remaining: i32,
    /// Left from here.
    shipped: i32,
}

impl From<domain_order::FulfilmentOrder> for FulfilmentOrder {
    fn from(order: domain_order::FulfilmentOrder) -> Self {
        let line = |line: domain_order::FulfilmentLine| FulfilmentLine {
            line: small(line.line),
            remaining: small(line.remaining),
            shipped: small(line.shipped),
        };
        Self {
            location: order.location.to_string(),
            status: order.status.into(),
            lines: order.lines.into_iter().map(line).collect(),
        }
    }
}

/// Goods that a customer sends back.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct OrderReturn {
    /// Its id: what mutations call `returnId`.
    id: Uuid,
    /// How far it is.
    status: ReturnStatus,
    /// Why.
    reason: ReturnReason,
    /// What was asked to be sent back.
    lines: Vec<LineUnits>,
    /// What came, or did not.
    received: Vec<ReceivedUnits>,
    #[graphql(skip)]
    order: OrderId,
    #[graphql(skip)]
    sealed_note: Option<Sealed>,
}

/// Units that came back, or are known to be lost.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ReceivedUnits {
    /// Of which line of the order, from 0.
    line: i32,
    /// How many.
    quantity: i32,
    /// What became of them.
    disposition: Disposition,
}

impl OrderReturn {
    pub(super) fn new(order: OrderId, id: ReturnId, book: &ReturnBook) -> Self {
        let received = book.received.iter().map(|&(line, units, disposition)| ReceivedUnits {
            line: small(line),
            quantity: small(units),
            disposition: disposition.into(),
        });
        Self {
            id: id.0,
            status: book.status.into(),
            reason: book.reason.into(),
            lines: book.lines.iter().map(Into::into).collect(),
            received: received.collect(),
            order,
            sealed_note: book.note.clone(),
        }
    }
}

#[ComplexObject]
impl OrderReturn {
    /// In words; none without the scope `personal-data:read`.
    async fn note(&self, ctx: &Context<'_>) -> Result<Option<Note>, Error> {
        note(ctx, self.order, self.sealed_note.as_ref()).await
    }
}
