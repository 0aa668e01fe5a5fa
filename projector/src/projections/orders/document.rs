//! The whole order as two pieces of JSON: what was said when it was placed, and what became of it.
//!
//! Together they give the domain's document again, exactly. They are apart because the first is the
//! larger one and never changes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::ids::{
    CaptureId, CountryCode, CustomerRef, HoldName, MovementId, OrderNumber, PaymentId, RefundId,
    ReturnId, ShipmentId, Sku, Tag,
};
use domain::money::Money;
use domain::order::{
    Capture, Hold, LineLedger, OrderDetails, OrderStatus, PaymentBook, PlacedOrder, Refund,
    Remembered, ReturnBook, ShipmentBook, Supply,
};
use domain::personal::Sealed;
use domain::pricing::Prices;
use serde::{Deserialize, Serialize};

/// What was said when the order was placed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Placing {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<OrderNumber>,
    details: Arc<OrderDetails>,
    prices: Arc<Prices>,
    placed_at: DateTime<Utc>,
}

/// What became of the order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progress<'a> {
    status: Cow<'a, OrderStatus>,
    lines: Cow<'a, [LineLedger]>,
    customer: Cow<'a, Option<CustomerRef>>,
    contact: Cow<'a, Option<Sealed>>,
    shipping_address: Cow<'a, Option<Sealed>>,
    billing_address: Cow<'a, Option<Sealed>>,
    country: Cow<'a, CountryCode>,
    note: Cow<'a, Option<Sealed>>,
    tags: Cow<'a, BTreeSet<Tag>>,
    holds: Cow<'a, BTreeMap<HoldName, Hold>>,
    supply: Cow<'a, BTreeMap<Sku, Supply>>,
    allocated: bool,
    payments: Cow<'a, BTreeMap<PaymentId, PaymentBook>>,
    captures: Cow<'a, BTreeMap<CaptureId, Capture>>,
    refunds: Cow<'a, BTreeMap<RefundId, Refund>>,
    chargebacks: Cow<'a, BTreeMap<String, Money>>,
    shipments: Cow<'a, BTreeMap<ShipmentId, ShipmentBook>>,
    returns: Cow<'a, BTreeMap<ReturnId, ReturnBook>>,
    movements: Cow<'a, BTreeMap<MovementId, Remembered>>,
}

/// Both pieces of `order`.
pub(crate) fn split(order: &PlacedOrder) -> (Placing, Progress<'_>) {
    // Every field by name: one that is added has to find its piece.
    let PlacedOrder {
        number,
        details,
        prices,
        placed_at,
        status,
        lines,
        customer,
        contact,
        shipping_address,
        billing_address,
        country,
        note,
        tags,
        holds,
        supply,
        allocated,
        payments,
        captures,
        refunds,
        chargebacks,
        shipments,
        returns,
        movements,
    } = order;
    let placing = Placing {
        number: number.clone(),
        details: Arc::clone(details),
        prices: Arc::clone(prices),
        placed_at: *placed_at,
    };
    let progress = Progress {
        status: Cow::Borrowed(status),
        lines: Cow::Borrowed(lines),
        customer: Cow::Borrowed(customer),
        contact: Cow::Borrowed(contact),
        shipping_address: Cow::Borrowed(shipping_address),
        billing_address: Cow::Borrowed(billing_address),
        country: Cow::Borrowed(country),
        note: Cow::Borrowed(note),
        tags: Cow::Borrowed(tags),
        holds: Cow::Borrowed(holds),
        supply: Cow::Borrowed(supply),
        allocated: *allocated,
        payments: Cow::Borrowed(payments),
        captures: Cow::Borrowed(captures),
        refunds: Cow::Borrowed(refunds),
        chargebacks: Cow::Borrowed(chargebacks),
        shipments: Cow::Borrowed(shipments),
        returns: Cow::Borrowed(returns),
        movements: Cow::Borrowed(movements),
    };
    (placing, progress)
}

/// The order that was [`split`] into these.
pub(crate) fn join(placing: Placing, progress: Progress<'static>) -> PlacedOrder {
    PlacedOrder {
        number: placing.number,
        details: placing.details,
        prices: placing.prices,
        placed_at: placing.placed_at,
        status: progress.status.into_owned(),
        lines: progress.lines.into_owned(),
        customer: progress.customer.into_owned(),
        contact: progress.contact.into_owned(),
        shipping_address: progress.shipping_address.into_owned(),
        billing_address: progress.billing_address.into_owned(),
        country: progress.country.into_owned(),
        note: progress.note.into_owned(),
        tags: progress.tags.into_owned(),
        holds: progress.holds.into_owned(),
        supply: progress.supply.into_owned(),
        allocated: progress.allocated,
        payments: progress.payments.into_owned(),
        captures: progress.captures.into_owned(),
        refunds: progress.refunds.into_owned(),
        chargebacks: progress.chargebacks.into_owned(),
        shipments: progress.shipments.into_owned(),
        returns: progress.returns.into_owned(),
        movements: progress.movements.into_owned(),
    }
}
