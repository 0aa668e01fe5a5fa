//! Where an order stood after each of its events: what a list of orders as of some time is made of.
//!
//! Rows are only ever added. A draft holds those that are new since it was loaded.

use chrono::{DateTime, Utc};
use domain::order::{FulfilmentStatus, PaymentStatus, PlacedOrder, ReturnStatus};
use journal::Recorded;
use uuid::Uuid;

use super::row::{gone_back, status_of};
use crate::code::{Coded, OrderStatus};
use crate::table::table;

table! {
/// An event of an order, and where the order stood right after it.
pub struct TimelineRow {
    /// The order.
    pub order_id: Uuid,
    /// Number of the event, from 0.
    pub revision: i64,
    /// Stored name of its type, such as `order-confirmed`.
    pub event_type: String,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// Who wanted it: `client:…`, `user:…`, `process:…`.
    pub actor: String,
    /// The event or command that directly caused it.
    pub causation_id: Uuid,
    /// How far the order had come as a whole.
    pub status: OrderStatus,
    /// Where its money was.
    #[sqlx(try_from = "Coded<PaymentStatus>")]
    pub payment_status: PaymentStatus,
    /// Where its goods were.
    #[sqlx(try_from = "Coded<FulfilmentStatus>")]
    pub fulfilment_status: FulfilmentStatus,
    /// What had come back of it.
    #[sqlx(try_from = "Coded<ReturnStatus>")]
    pub return_status: ReturnStatus,
    /// What the customer had to pay for everything that was still wanted, in minor units.
    pub current_total_minor: i64,
    /// What had come from the customer in all, in minor units.
    pub captured_minor: i64,
    /// What of that had gone back, in minor units.
    pub refunded_minor: i64,
    /// What had still to come, in minor units.
    pub outstanding_minor: i64,
    /// Whose order it was, if that was known.
    pub customer: Option<String>,
    /// Where it was to go: ISO 3166-1 alpha-2.
    pub country: String,
    /// Names of the holds in place, in the order of their bytes; none at all if there were none.
    pub holds: Option<Vec<String>>,
    /// Words that it was sorted by, in the order of their bytes; none at all if there were none.
    pub tags: Option<Vec<String>>,
}
in order_timeline, key 2, of order_id, once [event_type, recorded_at, actor, causation_id, status,
    payment_status, fulfilment_status, return_status, current_total_minor, captured_minor,
    refunded_minor, outstanding_minor, customer, country, holds, tags]
}

impl TimelineRow {
    /// Where `order` stands after `recorded`, its last event.
    pub(super) fn after(recorded: &Recorded, order_id: Uuid, order: &PlacedOrder) -> Self {
        let metadata = &recorded.metadata;
        Self {
            order_id,
            revision: recorded.revision.cast_signed(),
            event_type: recorded.event_type.clone(),
            recorded_at: metadata.recorded_at,
            actor: metadata.actor.clone(),
            causation_id: metadata.causation_id,
            status: status_of(&order.status),
            payment_status: order.payment_status(),
            fulfilment_status: order.fulfilment_status(),
            return_status: order.return_status(),
            current_total_minor: order.total(),
            captured_minor: order.captured(),
            refunded_minor: gone_back(order),
            outstanding_minor: order.outstanding(),
            customer: order.customer.as_ref().map(ToString::to_string),
            country: order.country.to_string(),
            holds: some(order.holds.keys()),
            tags: some(order.tags.iter()),
        }
    }
}

/// The names, if there are any: most rows have none, and an absent value takes no room.
fn some<T: ToString>(names: impl ExactSizeIterator<Item = T>) -> Option<Vec<String>> {
    (names.len() > 0).then(|| names.map(|name| name.to_string()).collect())
}
