//! The row of an order: what it is found, sorted and summed up by.

use chrono::{DateTime, SubsecRound, Utc};
use domain::ids::SubjectId;
use domain::order::{
    self, FulfilmentStatus, OrderDetails, PaymentStatus, PlacedOrder, ReturnStatus,
};
use serde::Serialize;
use uuid::Uuid;

use super::Head;
use super::document::{Placing, Progress};
use crate::code::{Coded, Handling, OrderStatus};
use crate::table::{Fields as _, Table, TableRow, column, table};
use crate::value::{Document, put_field};

table! {
/// An order as it can be found and listed. Everything else is in its [document](super::OrderDocument).
pub struct OrderRow {
    /// The order's id.
    pub id: Uuid,
    /// What people call it; orders of the first days have no number.
    pub number: Option<String>,
    /// Where it comes from.
    pub channel: String,
    /// How the shop, the marketplace or the till knows it.
    pub external_reference: Option<String>,
    /// Whose order it is, if that is known.
    pub customer: Option<String>,
    /// The person whose sealed data are in its contact or shipping address.
    pub subject: Option<Uuid>,
    /// Where it goes: ISO 3166-1 alpha-2.
    pub country: String,
    /// ISO 4217 code of all its amounts.
    pub currency: String,
    /// What the customer agreed to pay when placing it, in minor units.
    pub total_minor: i64,
    /// What the customer has to pay for everything that is still wanted, in minor units.
    pub current_total_minor: i64,
    /// What came from the customer in all, in minor units.
    pub captured_minor: i64,
    /// What of that went back, in minor units; not what is still on its way.
    pub refunded_minor: i64,
    /// What has still to come, in minor units.
    pub outstanding_minor: i64,
    /// Who moves money and goods.
    pub handling: Handling,
    /// How far it has come as a whole.
    pub status: OrderStatus,
    /// Where its money is.
    #[sqlx(try_from = "Coded<PaymentStatus>")]
    pub payment_status: PaymentStatus,
    /// Where its goods are.
    #[sqlx(try_from = "Coded<FulfilmentStatus>")]
    pub fulfilment_status: FulfilmentStatus,
    /// What came back of it.
    #[sqlx(try_from = "Coded<ReturnStatus>")]
    pub return_status: ReturnStatus,
    /// Names of the holds in place, in the order of their bytes.
    pub holds: Vec<String>,
    /// Words that it is sorted by, in the order of their bytes.
    pub tags: Vec<String>,
    /// How likely it is fraud, as the caller sees it: 0 to 100.
    pub risk_score: Option<i16>,
    /// Number of its lines.
    pub line_count: i64,
    /// Sum of the quantities that were ordered, goods and charges.
    pub unit_count: i64,
    /// Why it was cancelled or rejected: JSON of `domain::order::CancelReason` (such as
    /// `"customer"`) or `domain::order::RejectReason` (such as `{"code":"unknown-sku","sku":"A"}`).
    pub reason: Option<String>,
    /// When the customer placed it, to the microsecond.
    pub placed_at: DateTime<Utc>,
    /// When it was recorded; long after `placed_at` for an imported order.
    pub recorded_at: DateTime<Utc>,
    /// When its last event was recorded.
    pub updated_at: DateTime<Utc>,
    /// Revision of the last event of its stream in this row.
    pub revision: i64,
    /// Whether a later event could not be understood: the row is right, but may be out of date.
    pub quarantined: bool,
}
}

/// An order as it is stored.
pub(super) struct Stored<'a> {
    pub(super) row: OrderRow,
    pub(super) placing: Placing,
    pub(super) progress: Progress<'a>,
}

impl TableRow for Stored<'_> {
    const TABLE: Table = Table {
        name: "orders",
        columns: &[
            OrderRow::COLUMNS,
            &[column::<Document<()>>("details"), column::<Document<()>>("progress")],
        ],
        key: 1,
        owner: "id",
        once: &[
            "number",
            "channel",
            "external_reference",
            "currency",
            "total_minor",
            "handling",
            "risk_score",
            "line_count",
            "unit_count",
            "placed_at",
            "recorded_at",
            "details",
        ],
    };

    fn put(&self, bytes: &mut Vec<u8>) {
        self.row.put(bytes);
        put_field(&Document(&self.placing), bytes);
        put_field(&Document(&self.progress), bytes);
    }
}

impl OrderRow {
    /// The row of `order`.
    pub(super) fn of(head: &Head, order: &PlacedOrder) -> Self {
        let details = &order.details;
        Self {
            id: head.id,
            number: order.number.as_ref().map(ToString::to_string),
            channel: details.channel.to_string(),
            external_reference: details.external_reference.as_ref().map(ToString::to_string),
            customer: order.customer.as_ref().map(ToString::to_string),
            subject: subject_of(order).map(|subject| subject.0),
            country: order.country.to_string(),
            currency: details.currency.code().to_owned(),
            total_minor: details.total.minor,
            current_total_minor: order.total(),
            captured_minor: order.captured(),
            refunded_minor: gone_back(order),
            outstanding_minor: order.outstanding(),
            handling: match details.handling {
                order::Handling::Partners { .. } => Handling::Partners,
                order::Handling::Elsewhere { .. } => Handling::Elsewhere,
            },
            status: status_of(&order.status),
            payment_status: order.payment_status(),
            fulfilment_status: order.fulfilment_status(),
            return_status: order.return_status(),
            holds: order.holds.keys().map(ToString::to_string).collect(),
            tags: order.tags.iter().map(ToString::to_string).collect(),
            risk_score: details.risk_score.map(i16::from),
            line_count: count(details.lines.len()),
            unit_count: unit_count(details),
            reason: reason_of(&order.status),
            // To what the column keeps, so that what is compared here and there is the same.
            placed_at: order.placed_at.trunc_subsecs(6),
            recorded_at: head.recorded_at,
            updated_at: head.updated_at,
            revision: head.revision,
            quarantined: head.quarantined,
        }
    }

    /// Whether nothing leaves and nothing is charged for now.
    pub fn is_on_hold(&self) -> bool {
        !self.holds.is_empty()
    }
}

fn subject_of(order: &PlacedOrder) -> Option<SubjectId> {
    let sealed = order.contact.as_ref().or(order.shipping_address.as_ref());
    sealed.map(|sealed| sealed.subject)
}

/// What went back to the customer.
pub(super) fn gone_back(order: &PlacedOrder) -> i64 {
    order.payments.values().map(|book| book.refunded).sum()
}

fn unit_count(details: &OrderDetails) -> i64 {
    details.lines.iter().map(|line| i64::from(line.quantity)).sum()
}

/// A length as a number of the database. No order has so many lines that it would not fit.
fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

pub(super) const fn status_of(status: &order::OrderStatus) -> OrderStatus {
    match status {
        order::OrderStatus::Pending => OrderStatus::Pending,
        order::OrderStatus::Confirmed => OrderStatus::Confirmed,
        order::OrderStatus::Completed => OrderStatus::Completed,
        order::OrderStatus::Cancelled(_) => OrderStatus::Cancelled,
        order::OrderStatus::Rejected(_) => OrderStatus::Rejected,
    }
}

fn reason_of(status: &order::OrderStatus) -> Option<String> {
    match status {
        order::OrderStatus::Pending
        | order::OrderStatus::Confirmed
        | order::OrderStatus::Completed => None,
        order::OrderStatus::Cancelled(reason) => Some(json(reason)),
        order::OrderStatus::Rejected(reason) => Some(json(reason)),
    }
}

#[expect(clippy::expect_used, reason = "reasons are plain data with string keys: they serialise")]
fn json(reason: &impl Serialize) -> String {
    serde_json::to_string(reason).expect("reasons serialise")
}
