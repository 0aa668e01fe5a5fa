//! Shipping: what leaves from where, what travels, what has arrived.

use chrono::{DateTime, Utc};

use super::{Decision, Story};
use crate::ids::{LocationCode, ShipmentId};
use crate::order::command::Action;
use crate::order::error::OrderRejection;
use crate::order::event::{
    OrderEvent, OrderShipmentCancelled, OrderShipmentCleared, OrderShipmentDelivered,
    OrderShipmentDispatched, OrderShipmentRequested, OrderShipmentTracked,
};
use crate::order::state::{OrderStatus, PlacedOrder, ShipmentBook, ShipmentStatus};
use crate::order::terms::{LineUnits, ShippedBy};
use crate::shipment::{BookedParcel, TrackingStatus};

/// Only what is set aside at a location, and in no other shipment, can leave from there.
pub(super) fn request(
    order: &PlacedOrder,
    shipment: ShipmentId,
    location: &LocationCode,
    lines: &[LineUnits],
    by: &ShippedBy,
) -> Decision {
    if let Some(known) = order.shipments.get(&shipment) {
        let same = known.location == *location && (lines.is_empty() || known.lines == lines);
        return if same { Ok(vec![]) } else { Err(OrderRejection::KeyReused) };
    }
    if order.status != OrderStatus::Confirmed {
        return Err(order.not_now(Action::Ship));
    }
    order.must_not_be_held()?;
    let lines = match lines {
        [] => order.to_be_shipped().remove(location).ok_or(OrderRejection::NothingToDo)?,
        some => some.to_vec(),
    };
    for (n, units) in lines.iter().enumerate() {
        let twice = lines[..n].iter().any(|before| before.line == units.line);
        let available = if twice { 0 } else { order.free_at(units.line, location) };
        let (line, requested) = (units.line, units.quantity.get());
        if requested > available {
            let location = location.clone();
            return Err(OrderRejection::NotAllocated { line, location, requested, available });
        }
    }
    let (location, by) = (location.clone(), by.clone());
    let event = OrderShipmentRequested { shipment, location, lines, by, cleared: false };
    Ok(vec![OrderEvent::ShipmentRequested(event)])
}

pub(super) fn clear(order: &PlacedOrder, shipment: ShipmentId) -> Decision {
    match order.shipment(shipment)?.status {
        ShipmentStatus::Requested => {
            Ok(vec![OrderEvent::ShipmentCleared(OrderShipmentCleared { shipment })])
        }
        ShipmentStatus::Cleared | ShipmentStatus::Dispatched | ShipmentStatus::Delivered => {
            Ok(vec![])
        }
        status @ ShipmentStatus::Cancelled => Err(OrderRejection::ShipmentStatus { status }),
    }
}

/// A shipment can be taken back until it leaves. Its goods stay set aside.
pub(super) fn cancel(order: &PlacedOrder, shipment: ShipmentId) -> Decision {
    match order.shipment(shipment)?.status {
        ShipmentStatus::Requested | ShipmentStatus::Cleared => {
            Ok(vec![OrderEvent::ShipmentCancelled(OrderShipmentCancelled { shipment })])
        }
        ShipmentStatus::Cancelled => Ok(vec![]),
        status @ (ShipmentStatus::Dispatched | ShipmentStatus::Delivered) => {
            Err(OrderRejection::ShipmentStatus { status })
        }
    }
}

/// The point of no return: from here on the goods cannot be cancelled, and are paid for.
pub(super) fn dispatch(
    order: &PlacedOrder,
    shipment: ShipmentId,
    parcels: &[BookedParcel],
) -> Decision {
    match order.shipment(shipment)?.status {
        ShipmentStatus::Cleared => {}
        ShipmentStatus::Dispatched | ShipmentStatus::Delivered => return Ok(vec![]),
        status @ (ShipmentStatus::Requested | ShipmentStatus::Cancelled) => {
            return Err(OrderRejection::ShipmentStatus { status });
        }
    }
    order.must_not_be_held()?;
    order.must_be_funded()?;
    let mut story = Story::of(order);
    let parcels = parcels.to_vec();
    let event = OrderShipmentDispatched { shipment, parcels };
    story.tell(OrderEvent::ShipmentDispatched(event));
    story.capture_for_shipment(shipment, order);
    Ok(story.events)
}

/// News of a parcel counts once. When the last parcel has arrived the shipment has.
pub(super) fn track(
    order: &PlacedOrder,
    shipment: ShipmentId,
    parcel: u32,
    status: TrackingStatus,
    at: DateTime<Utc>,
) -> Decision {
    let book = order.shipment(shipment)?;
    must_have_left(book)?;
    let parcels = book.parcels.len();
    let known =
        book.parcels.get(parcel as usize).ok_or(OrderRejection::NoSuchParcel { parcels })?;
    if known.news.contains(&(status, at)) {
        return Ok(vec![]);
    }
    let mut story = Story::of(order);
    let tracked = OrderShipmentTracked { shipment, parcel, status, at };
    story.tell(OrderEvent::ShipmentTracked(tracked));
    story.deliver_if_all_parcels_have_arrived(shipment);
    story.close_if_done();
    Ok(story.events)
}

pub(super) fn deliver(
    order: &PlacedOrder,
    shipment: ShipmentId,
    delivered_at: DateTime<Utc>,
) -> Decision {
    let book = order.shipment(shipment)?;
    if book.status == ShipmentStatus::Delivered {
        return Ok(vec![]);
    }
    must_have_left(book)?;
    let mut story = Story::of(order);
    let delivered = OrderShipmentDelivered { shipment, delivered_at };
    story.tell(OrderEvent::ShipmentDelivered(delivered));
    story.close_if_done();
    Ok(story.events)
}

fn must_have_left(book: &ShipmentBook) -> Result<(), OrderRejection> {
    match book.status {
        ShipmentStatus::Dispatched | ShipmentStatus::Delivered => Ok(()),
        status @ (ShipmentStatus::Requested
        | ShipmentStatus::Cleared
        | ShipmentStatus::Cancelled) => Err(OrderRejection::ShipmentStatus { status }),
    }
}

impl Story {
    fn deliver_if_all_parcels_have_arrived(&mut self, shipment: ShipmentId) {
        let Some(book) = self.order.shipments.get(&shipment) else { return };
        let arrived = |news: &[(TrackingStatus, DateTime<Utc>)]| {
            let delivered = news.iter().filter(|it| it.0 == TrackingStatus::Delivered);
            delivered.map(|it| it.1).max()
        };
        let all: Option<Vec<_>> = book.parcels.iter().map(|parcel| arrived(&parcel.news)).collect();
        let last = all.and_then(|times| times.into_iter().max());
        if let Some(delivered_at) = last.filter(|_| book.status == ShipmentStatus::Dispatched) {
            let delivered = OrderShipmentDelivered { shipment, delivered_at };
            self.tell(OrderEvent::ShipmentDelivered(delivered));
        }
    }
}

impl PlacedOrder {
    fn shipment(&self, shipment: ShipmentId) -> Result<&ShipmentBook, OrderRejection> {
        self.shipments.get(&shipment).ok_or(OrderRejection::NoSuchShipment { shipment })
    }
}
