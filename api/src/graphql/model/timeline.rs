//! Where an order stood after one of its events, as the schema shows it.

use async_graphql::SimpleObject;
use chrono::{DateTime, Utc};
use projector::read_model::OrderThen;
use uuid::Uuid;

use super::{
    Money, OrderFulfilmentStatus, OrderPaymentStatus, OrderReturnStatus, OrderStatus, small,
};
use crate::graphql::scalars::CountryCode;

/// An event of an order, and where the order stood right after it.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct OrderMoment {
    /// Number of the event, from 0: what `order(asOf:)` takes.
    revision: i32,
    /// Stored name of the event's type, such as `order-confirmed`.
    #[graphql(name = "type")]
    event_type: String,
    /// When it was recorded.
    at: DateTime<Utc>,
    /// Who wanted it: `client:…`, `user:…`, `process:…`.
    actor: String,
    /// The event or command that directly caused it.
    causation_id: Uuid,
    /// How far the order had come as a whole.
    status: OrderStatus,
    /// Where its money was.
    payment_status: OrderPaymentStatus,
    /// Where its goods were.
    fulfilment_status: OrderFulfilmentStatus,
    /// What had come back of it.
    return_status: OrderReturnStatus,
    /// What the customer had to pay for everything that was still wanted.
    total: Money,
    /// Had come to us in all.
    captured: Money,
    /// Had gone back.
    refunded: Money,
    /// Was still to be moved to us.
    outstanding: Money,
    /// Whose order it was, if that was known.
    customer: Option<String>,
    /// Country that the goods were to go to.
    country: CountryCode,
    /// Names of the holds in place.
    holds: Vec<String>,
    /// Words that it was sorted by.
    tags: Vec<String>,
    /// Whether it is the last that is known, and a later one could not be understood.
    quarantined: bool,
}

impl From<OrderThen> for OrderMoment {
    fn from(OrderThen { currency, then, quarantined, .. }: OrderThen) -> Self {
        let money = |minor| Money::from_minor(minor, &currency);
        Self {
            revision: small(then.revision),
            event_type: then.event_type,
            at: then.recorded_at,
            actor: then.actor,
            causation_id: then.causation_id,
            status: then.status.into(),
            payment_status: then.payment_status.into(),
            fulfilment_status: then.fulfilment_status.into(),
            return_status: then.return_status.into(),
            total: money(then.current_total_minor),
            captured: money(then.captured_minor),
            refunded: money(then.refunded_minor),
            outstanding: money(then.outstanding_minor),
            customer: then.customer,
            country: CountryCode(then.country),
            holds: then.holds.unwrap_or_default(),
            tags: then.tags.unwrap_or_default(),
            quarantined,
        }
    }
}
