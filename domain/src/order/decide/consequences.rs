//! What always follows: money that is too much goes back, money that is not needed is let go, goods
//! that may leave are sent, an order with nothing left to do is closed.

use std::cmp::min;

use super::Story;
use crate::ids::{CaptureId, OrderId, PaymentId, RefundId, ShipmentId, derive_uuid};
use crate::order::details::{CapturePolicy, DispatchPolicy, LineKind};
use crate::order::error::OrderRejection;
use crate::order::event::{
    OrderCancelled, OrderCaptureRequested, OrderCompleted, OrderEvent, OrderRefundRequested,
    OrderShipmentRequested, OrderVoidRequested,
};
use crate::order::state::{OrderStatus, PlacedOrder};
use crate::order::terms::{CancelReason, LineUnits, RefundCause, RefundReason, ShippedBy};

impl Story {
    /// Money of an order is settled: what was paid for units that were given up goes back, and what
    /// is held for nothing is let go.
    pub(super) fn settle(&mut self, because: CancelReason) {
        self.give_back_what_is_too_much(because);
        self.let_go_of_what_is_not_needed();
    }

    /// Waits for money that is on its way: if it does not come, less is too much.
    fn give_back_what_is_too_much(&mut self, because: CancelReason) {
        if self.order.is_capturing() {
            return;
        }
        // The latest payment first: the first one is the longest known and the likeliest to be kept.
        let payments: Vec<PaymentId> = self.order.payments.keys().rev().copied().collect();
        for payment in payments {
            let can_go_back = self.order.payments[&payment].refundable();
            let amount = min(self.order.overpaid(), can_go_back);
            if amount > 0 {
                let event = OrderRefundRequested {
                    refund: next_refund(&self.order, payment),
                    payment,
                    amount: self.order.money(amount),
                    lines: vec![],
                    cause: RefundCause::Cancellation,
                    reason: refund_reason(because),
                    note: None,
                };
                self.tell(OrderEvent::RefundRequested(event));
            }
        }
    }

    /// The latest payment is let go first, as long as what the others hold is enough.
    fn let_go_of_what_is_not_needed(&mut self) {
        let payments: Vec<PaymentId> = self.order.payments.keys().rev().copied().collect();
        for payment in payments {
            let book = &self.order.payments[&payment];
            // While a capture is on its way the gateway may be about to let go of the rest by itself.
            let idle = book.held() > 0 && book.capturing == 0 && !book.voiding;
            if idle && self.order.held() - book.held() >= self.order.outstanding() {
                self.tell(OrderEvent::VoidRequested(OrderVoidRequested { payment }));
            }
        }
    }

    /// Where the shop charges at once, or nothing will ever leave, confirming moves the money.
    pub(super) fn capture_at_once(&mut self) {
        let at_once = match self.order.details.policies.capture {
            CapturePolicy::AtOnce => true,
            CapturePolicy::OnShip => self.order.unshipped() == 0,
            CapturePolicy::Manual => false,
        };
        if at_once {
            self.capture(self.order.outstanding(), true, "at-once");
        }
    }

    /// Asks for `amount` from the payments that hold money, the first one first.
    pub(super) fn capture(&mut self, amount: i64, is_final: bool, name: &str) {
        let mut left = amount;
        let payments: Vec<PaymentId> = self.order.payments.keys().copied().collect();
        for payment in payments {
            let part = min(left, self.order.payments[&payment].held());
            if part > 0 {
                left -= part;
                let name = derive_uuid(&["capture", &payment.to_string(), name]);
                let capture = CaptureId(name);
                let amount = self.order.money(part);
                // A final capture lets go of the rest, which another one on its way may need.
                let is_final = is_final && self.order.payments[&payment].capturing == 0;
                let event = OrderCaptureRequested { capture, payment, amount, is_final };
                self.tell(OrderEvent::CaptureRequested(event));
            }
        }
    }

    /// What a shipment is worth is captured when it leaves, with the charges of the order when it is
    /// the first, and whatever is still to be paid when it is the last. Where the shop charges at
    /// once and that has failed, everything is tried again.
    pub(super) fn capture_for_shipment(&mut self, shipment: ShipmentId, before: &PlacedOrder) {
        let is_last = self.order.unshipped() == 0;
        let worth = match before.details.policies.capture {
            CapturePolicy::OnShip if !is_last => worth(shipment, before),
            CapturePolicy::OnShip | CapturePolicy::AtOnce => i64::MAX,
            CapturePolicy::Manual => return,
        };
        let amount = min(worth, self.order.outstanding());
        self.capture(amount, is_last, &shipment.to_string());
    }

    /// Where nobody has to say so, everything that is set aside leaves: one shipment per location.
    pub(super) fn send_what_may_leave(&mut self, id: OrderId) {
        let order = &self.order;
        let may = order.status == OrderStatus::Confirmed
            && order.holds.is_empty()
            && order.details.policies.dispatch == DispatchPolicy::Automatic;
        if !may {
            return;
        }
        let by = if order.has_partners() {
            ShippedBy::Partner { parcels: 1 }
        } else {
            ShippedBy::Elsewhere
        };
        for (location, lines) in order.to_be_shipped() {
            let key = format!("automatic {} {location}", self.order.shipments.len());
            let shipment = ShipmentId::derive(id, &key);
            let by = by.clone();
            let event = OrderShipmentRequested { shipment, location, lines, by, cleared: true };
            self.tell(OrderEvent::ShipmentRequested(event));
        }
    }

    /// An order of which everything was given up before anything left is cancelled.
    pub(super) fn close_if_nothing_is_left(&mut self, reason: CancelReason) {
        let open = matches!(self.order.status, OrderStatus::Pending | OrderStatus::Confirmed);
        let has_goods = self.order.details.lines.iter().any(|line| line.kind == LineKind::Goods);
        if open && has_goods && self.order.unshipped() == 0 && self.order.shipped() == 0 {
            self.tell(OrderEvent::Cancelled(OrderCancelled { reason }));
        }
    }

    /// An order is complete when everything that is still wanted has arrived and is paid.
    pub(super) fn close_if_done(&mut self) {
        let order = &self.order;
        let arrived =
            order.goods_ledgers().all(|it| it.unshipped() == 0 && it.delivered >= it.shipped);
        let paid = order.outstanding() == 0 && order.payments.values().all(|it| it.capturing == 0);
        if order.status == OrderStatus::Confirmed && arrived && paid {
            self.tell(OrderEvent::Completed(OrderCompleted {}));
        }
    }
}

impl PlacedOrder {
    /// Goods do not leave, and delivery is not promised, before their money is held or paid.
    pub(super) fn must_be_funded(&self) -> Result<(), OrderRejection> {
        let (outstanding, held) = (self.outstanding(), self.held());
        if outstanding <= held {
            return Ok(());
        }
        let (outstanding, held) = (self.money(outstanding), self.money(held));
        Err(OrderRejection::Unfunded { outstanding, held })
    }
}

/// What the goods of a shipment cost that is about to leave, with all charges if it is the first.
fn worth(shipment: ShipmentId, before: &PlacedOrder) -> i64 {
    let Some(book) = before.shipments.get(&shipment) else { return 0 };
    let value = |units: &LineUnits| {
        let line = units.line as usize;
        let (prices, ledger) = (before.prices.lines.get(line)?, before.lines.get(line)?);
        Some(prices.value_of(ledger.shipped, units.quantity.get()))
    };
    let goods: i64 = book.lines.iter().filter_map(value).sum();
    if before.shipped() > 0 { goods } else { goods + charges(before) }
}

fn charges(order: &PlacedOrder) -> i64 {
    let lines = order.details.lines.iter().zip(order.prices.lines.iter().zip(&order.lines));
    lines
        .filter(|(line, _)| line.kind == LineKind::Charge)
        .map(|(_, (prices, ledger))| prices.value_of(0, ledger.wanted()))
        .sum()
}

/// The same when the decision is repeated, another one after it.
fn next_refund(order: &PlacedOrder, payment: PaymentId) -> RefundId {
    let number = order.refunds.len().to_string();
    RefundId(derive_uuid(&["settlement", &payment.to_string(), &number]))
}

const fn refund_reason(because: CancelReason) -> RefundReason {
    match because {
        CancelReason::Customer => RefundReason::Customer,
        CancelReason::Fraud => RefundReason::Fraud,
        CancelReason::Inventory => RefundReason::Inventory,
        CancelReason::Staff
        | CancelReason::PaymentDeclined
        | CancelReason::PaymentTimedOut
        | CancelReason::Other => RefundReason::Other,
    }
}
