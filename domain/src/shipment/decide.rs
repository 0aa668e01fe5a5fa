//! The rule book of shipments.

use chrono::{DateTime, Utc};

use super::command::ShipmentCommand;
use super::error::ShipmentRejection;
use super::event::{
    BookedParcel, ShipmentBooked, ShipmentCancelled, ShipmentDelivered, ShipmentEvent,
    ShipmentHandedOver, ShipmentTracked, TrackingStatus,
};
use super::state::{ShipmentStage, ShipmentState};

/// Parcels of one shipment. A booking is one event, and an event is at most one MiB.
pub(super) const MAX_PARCELS: usize = 500;
/// Characters of a carrier's name.
pub(super) const MAX_CARRIER: usize = 64;
/// Characters of a note.
pub(super) const MAX_NOTE: usize = 200;

type Decision = Result<Vec<ShipmentEvent>, ShipmentRejection>;

pub(super) fn decide(state: &ShipmentState, command: &ShipmentCommand) -> Decision {
    match command {
        ShipmentCommand::RecordBooking { order, location, parcels } => {
            let (order, location, parcels) = (*order, location.clone(), parcels.clone());
            book(state, ShipmentBooked { order, location, parcels })
        }
        ShipmentCommand::RecordHandOver { at } => hand_over(state, *at),
        ShipmentCommand::RecordTracking { parcel, status, at, note } => {
            let (parcel, status, at, note) = (*parcel, *status, *at, note.clone());
            track(state, ShipmentTracked { parcel, status, at, note })
        }
        ShipmentCommand::RecordDelivery { delivered_at } => deliver(state, *delivered_at),
        ShipmentCommand::RecordCancellation => cancel(state),
    }
}

fn book(state: &ShipmentState, booking: ShipmentBooked) -> Decision {
    match state.stage {
        ShipmentStage::NotBooked => {
            check_parcels(&booking.parcels)?;
            Ok(vec![ShipmentEvent::Booked(booking)])
        }
        ShipmentStage::Booked | ShipmentStage::HandedOver | ShipmentStage::Delivered
            if is_booked(state, &booking.parcels) =>
        {
            Ok(vec![])
        }
        ShipmentStage::Booked
        | ShipmentStage::HandedOver
        | ShipmentStage::Delivered
        | ShipmentStage::Cancelled => Err(ShipmentRejection::OtherBooking),
    }
}

/// Whether these parcels are the ones that were booked: they have the same tracking numbers.
fn is_booked(state: &ShipmentState, parcels: &[BookedParcel]) -> bool {
    let booked = state.parcels.iter().map(|parcel| &parcel.booked.tracking_number);
    booked.eq(parcels.iter().map(|parcel| &parcel.tracking_number))
}

fn hand_over(state: &ShipmentState, at: DateTime<Utc>) -> Decision {
    match state.stage {
        ShipmentStage::Booked => {
            Ok(vec![ShipmentEvent::HandedOver(ShipmentHandedOver { at: Some(at) })])
        }
        ShipmentStage::HandedOver | ShipmentStage::Delivered => Ok(vec![]),
        ShipmentStage::NotBooked | ShipmentStage::Cancelled => {
            Err(ShipmentRejection::NotWithCarrier)
        }
    }
}

/// When the last parcel arrives, the shipment has arrived.
fn track(state: &ShipmentState, news: ShipmentTracked) -> Decision {
    match state.stage {
        ShipmentStage::NotBooked | ShipmentStage::Cancelled => {
            return Err(ShipmentRejection::NotWithCarrier);
        }
        ShipmentStage::Booked if news.status == TrackingStatus::Delivered => {
            return Err(ShipmentRejection::NotWithCarrier);
        }
        ShipmentStage::Booked | ShipmentStage::HandedOver | ShipmentStage::Delivered => {}
    }
    check_note(&news)?;
    let parcels = state.parcels.len();
    let parcel = state
        .parcel(news.parcel)
        .ok_or(ShipmentRejection::NoSuchParcel { parcel: news.parcel, parcels })?;
    if parcel.news.contains(&(news.status, news.at)) {
        return Ok(vec![]);
    }
    let arrived = arrived_with(state, &news);
    let mut events = vec![ShipmentEvent::Tracked(news)];
    if let Some(delivered_at) = arrived.filter(|_| state.stage == ShipmentStage::HandedOver) {
        events.push(ShipmentEvent::Delivered(ShipmentDelivered { delivered_at }));
    }
    Ok(events)
}

/// When the last parcel arrived, if all have with this news.
fn arrived_with(state: &ShipmentState, news: &ShipmentTracked) -> Option<DateTime<Utc>> {
    if news.status != TrackingStatus::Delivered {
        return None;
    }
    let arrived = (0..).zip(&state.parcels).map(|(number, parcel)| {
        let now = (number == news.parcel).then_some(news.at);
        parcel.delivered_at().or(now)
    });
    arrived.collect::<Option<Vec<_>>>()?.into_iter().max()
}

fn deliver(state: &ShipmentState, delivered_at: DateTime<Utc>) -> Decision {
    match state.stage {
        ShipmentStage::HandedOver => {
            Ok(vec![ShipmentEvent::Delivered(ShipmentDelivered { delivered_at })])
        }
        ShipmentStage::Delivered => Ok(vec![]),
        ShipmentStage::NotBooked | ShipmentStage::Booked | ShipmentStage::Cancelled => {
            Err(ShipmentRejection::NotWithCarrier)
        }
    }
}

fn cancel(state: &ShipmentState) -> Decision {
    match state.stage {
        ShipmentStage::Booked => Ok(vec![ShipmentEvent::Cancelled(ShipmentCancelled {})]),
        ShipmentStage::NotBooked | ShipmentStage::Cancelled => Ok(vec![]),
        ShipmentStage::HandedOver | ShipmentStage::Delivered => {
            Err(ShipmentRejection::AlreadyHandedOver)
        }
    }
}

fn check_parcels(parcels: &[BookedParcel]) -> Result<(), ShipmentRejection> {
    if parcels.is_empty() || parcels.len() > MAX_PARCELS {
        let parcels = parcels.len();
        return Err(ShipmentRejection::ParcelCount { parcels, max: MAX_PARCELS });
    }
    for (number, parcel) in parcels.iter().enumerate() {
        let length = parcel.carrier.trim().chars().count();
        if length == 0 || length > MAX_CARRIER {
            return Err(ShipmentRejection::CarrierName { length, max: MAX_CARRIER });
        }
        if parcel.tracking_url.as_deref().is_some_and(|url| !BookedParcel::can_follow(url)) {
            return Err(ShipmentRejection::TrackingUrl { parcel: number });
        }
    }
    Ok(())
}

fn check_note(news: &ShipmentTracked) -> Result<(), ShipmentRejection> {
    let length = news.note.as_deref().unwrap_or_default().chars().count();
    if length > MAX_NOTE {
        return Err(ShipmentRejection::NoteTooLong { length, max: MAX_NOTE });
    }
    Ok(())
}
