//! The way of the parcels: what happens to each of them, and when.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::Shipment;

/// Something that happened to a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct News {
    pub(crate) status: &'static str,
    pub(crate) at: DateTime<Utc>,
}

impl Shipment {
    /// What has happened to each parcel by now. The parcels arrive one after the other, the last one
    /// when the shipment does.
    pub(crate) fn news(&self, now: DateTime<Utc>) -> Vec<Vec<News>> {
        let Some(booking) = self.booking() else { return vec![] };
        let label = News { status: "label_printed", at: booking.booked_at };
        let parcels = booking.tracking_numbers.len();
        let route = |number: usize| match self {
            Self::HandedOver { handed_over_at, delivered_at, .. } => {
                let transit = share(*delivered_at - *handed_over_at, number + 1, parcels);
                way(*handed_over_at, transit)
            }
            Self::Unknown | Self::Booked(_) | Self::Cancelled(_) | Self::Closed => vec![],
        };
        let so_far = |number| {
            let all = [label].into_iter().chain(route(number));
            all.filter(|news| news.at <= now).collect()
        };
        (0..parcels).map(so_far).collect()
    }
}

fn way(handed_over_at: DateTime<Utc>, transit: TimeDelta) -> Vec<News> {
    let after = |quarters| handed_over_at + share(transit, quarters, 4);
    vec![
        News { status: "picked_up", at: handed_over_at },
        News { status: "in_transit", at: after(1) },
        News { status: "out_for_delivery", at: after(3) },
        News { status: "delivered", at: after(4) },
    ]
}

/// `part` of `whole` of a time; all of it exactly.
fn share(time: TimeDelta, part: usize, whole: usize) -> TimeDelta {
    let (part, whole) = (i32::try_from(part), i32::try_from(whole));
    match (part, whole) {
        (Ok(part), Ok(whole)) if part < whole => time / whole * part,
        _ => time,
    }
}
