//! A shipment as later decisions need to know it, folded from its events.

use chrono::{DateTime, Utc};

use super::event::{BookedParcel, ShipmentEvent, ShipmentTracked, TrackingStatus};

/// How far a shipment and its parcels have come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShipmentState {
    /// How far it has come as a whole.
    pub stage: ShipmentStage,
    /// Its parcels, in the order of the booking; none before it is booked.
    pub parcels: Vec<Parcel>,
}

/// How far a shipment has come as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShipmentStage {
    /// Nobody has booked it.
    #[default]
    NotBooked,
    /// A carrier will come.
    Booked,
    /// The carrier has it.
    HandedOver,
    /// The customer has it.
    Delivered,
    /// The carrier will not come.
    Cancelled,
}

/// A parcel, and what the carrier said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// As it was booked.
    pub booked: BookedParcel,
    /// What the carrier said, and when it was so, in the order in which it was recorded.
    pub news: Vec<(TrackingStatus, DateTime<Utc>)>,
}

impl Parcel {
    fn new(booked: BookedParcel) -> Self {
        Self { booked, news: vec![] }
    }

    /// Since when the customer has it, if they do.
    pub fn delivered_at(&self) -> Option<DateTime<Utc>> {
        let delivered = |news: &&(TrackingStatus, _)| news.0 == TrackingStatus::Delivered;
        self.news.iter().find(delivered).map(|news| news.1)
    }
}

impl ShipmentState {
    /// The parcel with this number, counted from 0.
    pub fn parcel(&self, number: u32) -> Option<&Parcel> {
        usize::try_from(number).ok().and_then(|number| self.parcels.get(number))
    }
}

pub(super) fn evolve(mut state: ShipmentState, event: &ShipmentEvent) -> ShipmentState {
    match event {
        ShipmentEvent::Booked(booked) => {
            state.stage = ShipmentStage::Booked;
            state.parcels = booked.parcels.iter().cloned().map(Parcel::new).collect();
        }
        ShipmentEvent::HandedOver(_) => state.stage = ShipmentStage::HandedOver,
        ShipmentEvent::Tracked(tracked) => note(&mut state, tracked),
        ShipmentEvent::Delivered(_) => state.stage = ShipmentStage::Delivered,
        ShipmentEvent::Cancelled(_) => state.stage = ShipmentStage::Cancelled,
    }
    state
}

fn note(state: &mut ShipmentState, tracked: &ShipmentTracked) {
    let number = usize::try_from(tracked.parcel).ok();
    if let Some(parcel) = number.and_then(|number| state.parcels.get_mut(number)) {
        parcel.news.push((tracked.status, tracked.at));
    }
}
