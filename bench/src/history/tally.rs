//! What a history amounts to, counted by who told it: read models of it have to agree.

use domain::order::{FulfilmentStatus, OrderStatus, PaymentStatus, PlacedOrder, ReturnStatus};
use serde::{Deserialize, Serialize};

/// What a history amounts to. Money is in minor units, of whatever currency.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tally {
    /// Events in the log.
    pub(crate) events: u64,
    /// Bytes of their data and metadata.
    pub(crate) bytes: u64,
    /// Streams that they stand in.
    pub(crate) streams: u64,
    /// Orders that were placed.
    pub(crate) orders: u64,
    /// Lines that they had, charges included.
    pub(crate) lines: u64,
    /// Orders of guests.
    pub(crate) guests: u64,
    /// Different customers.
    pub(crate) customers: u64,
    /// Orders that are complete.
    pub(crate) completed: u64,
    /// Orders that were given up, for whatever reason.
    pub(crate) cancelled: u64,
    /// Orders that are held.
    pub(crate) held: u64,
    /// Orders whose payment was declined.
    pub(crate) declined: u64,
    /// Orders of which everything was delivered.
    pub(crate) delivered: u64,
    /// Orders of which something came back.
    pub(crate) returned: u64,
    /// Shipments that have left.
    pub(crate) shipments: u64,
    /// Units that have left.
    pub(crate) shipped_units: u64,
    /// What all orders cost.
    pub(crate) total: i64,
    /// Money that came.
    pub(crate) captured: i64,
    /// Money that went back.
    pub(crate) refunded: i64,
}

impl Tally {
    /// Counts an order with which nothing happens any more.
    pub(super) fn count(&mut self, order: &PlacedOrder) {
        self.orders += 1;
        self.lines += order.lines.len() as u64;
        self.guests += u64::from(order.customer.is_none());
        self.completed += u64::from(order.status == OrderStatus::Completed);
        self.cancelled += u64::from(matches!(order.status, OrderStatus::Cancelled(_)));
        self.held += u64::from(!order.holds.is_empty());
        self.declined += u64::from(order.payment_status() == PaymentStatus::Declined);
        self.delivered += u64::from(order.fulfilment_status() == FulfilmentStatus::Delivered);
        self.returned += u64::from(order.return_status() != ReturnStatus::None);
        let left = order.shipments.values().filter(|it| !it.parcels.is_empty()).count();
        self.shipments += left as u64;
        self.shipped_units += order.shipped();
        self.total += order.details.total.minor;
        self.captured += order.captured();
        self.refunded += order.payments.values().map(|book| book.refunded).sum::<i64>();
    }
}
