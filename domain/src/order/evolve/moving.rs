//! What the larger events do to the document: goods and parcels on their way, refunds, what never left.

use std::collections::BTreeMap;

use crate::ids::{LocationCode, PaymentId, ReturnId, ShipmentId};
use crate::order::details::{Handling, LineKind};
use crate::order::event::{
    OrderRefundRequested, OrderReturnReceived, OrderShipmentDispatched, OrderShipmentRequested,
};
use crate::order::state::{
    LineLedger, MovementStatus, OrderStatus, Parcel, PaymentBook, PlacedOrder, Refund, Remembered,
    ReturnBook, ReturnProgress, ShipmentBook, ShipmentStatus,
};
use crate::order::terms::{Disposition, LineAllocation, LineUnits, ShippedBy};
use crate::shipment::BookedParcel;

impl PlacedOrder {
    pub(super) fn allocate(&mut self, found: &LineAllocation) {
        let Some(ledger) = self.lines.get_mut(found.line as usize) else { return };
        add_units(&mut ledger.backordered, found.backordered);
        for units in &found.units {
            add_units(
                ledger.allocated.entry(units.location.clone()).or_default(),
                units.quantity.get(),
            );
        }
    }

    pub(super) fn deallocate(&mut self, released: &LineAllocation) {
        let Some(ledger) = self.lines.get_mut(released.line as usize) else { return };
        ledger.backordered = ledger.backordered.saturating_sub(released.backordered);
        for units in &released.units {
            take(&mut ledger.allocated, &units.location, units.quantity.get());
        }
    }

    pub(super) fn request_refund(&mut self, requested: &OrderRefundRequested) {
        let amount = requested.amount.minor;
        self.on_payment(requested.payment, |book| add_money(&mut book.refunding, amount));
        self.count_refunded(&requested.lines);
        let refund = Refund {
            payment: requested.payment,
            amount,
            lines: requested.lines.clone(),
            cause: requested.cause,
            reason: requested.reason,
            note: requested.note.clone(),
            status: MovementStatus::Pending,
        };
        self.refunds.insert(requested.refund, refund);
    }

    pub(super) fn count_refunded(&mut self, lines: &[LineUnits]) {
        for units in lines {
            self.on_line(units, |ledger, units| add_units(&mut ledger.refunded, units));
        }
    }

    pub(super) fn request_shipment(&mut self, requested: &OrderShipmentRequested) {
        let parcels = match &requested.by {
            ShippedBy::Manual { parcels } => parcels.iter().map(Parcel::new).collect(),
            ShippedBy::Partner { .. } | ShippedBy::Elsewhere => vec![],
        };
        let status =
            if requested.cleared { ShipmentStatus::Cleared } else { ShipmentStatus::Requested };
        let book = ShipmentBook {
            location: requested.location.clone(),
            lines: requested.lines.clone(),
            by: requested.by.clone(),
            parcels,
            status,
            delivered_at: None,
        };
        self.shipments.insert(requested.shipment, book);
    }

    pub(super) fn dispatch(&mut self, dispatched: &OrderShipmentDispatched) {
        let Some(book) = self.shipments.get_mut(&dispatched.shipment) else { return };
        book.status = ShipmentStatus::Dispatched;
        if !dispatched.parcels.is_empty() {
            book.parcels = dispatched.parcels.iter().map(Parcel::new).collect();
        }
        let (location, lines) = (book.location.clone(), book.lines.clone());
        for units in lines {
            self.on_line(&units, |ledger, units| {
                take(&mut ledger.allocated, &location, units);
                add_units(&mut ledger.shipped, units);
            });
        }
    }

    pub(super) fn receive(&mut self, received: &OrderReturnReceived) {
        let moved = Remembered::Received(received.goods.clone());
        self.movements.insert(received.movement, moved);
        let came = received.goods.iter().filter(|it| it.disposition != Disposition::Missing);
        for goods in came {
            let units = goods.quantity.get();
            if let Some(ledger) = self.lines.get_mut(goods.line as usize) {
                add_units(&mut ledger.returned, units);
            }
        }
        self.on_return(received.return_id, |book| {
            book.status = ReturnProgress::Received;
            let goods = received.goods.iter();
            book.received.extend(goods.map(|it| (it.line, it.quantity.get(), it.disposition)));
        });
    }

    /// What was asked back and never came may be asked back again.
    pub(super) fn close_return(&mut self, return_id: ReturnId) {
        let Some(book) = self.returns.get_mut(&return_id) else { return };
        book.status = ReturnProgress::Closed;
        let came = |line| {
            let of_line = book.received.iter().filter(|(at, _, _)| *at == line);
            of_line.filter(|it| it.2 != Disposition::Missing).map(|it| it.1).sum::<u32>()
        };
        let missing: Vec<_> = book
            .lines
            .iter()
            .map(|units| (units.line, units.quantity.get().saturating_sub(came(units.line))))
            .collect();
        for (line, units) in missing {
            if let Some(ledger) = self.lines.get_mut(line as usize) {
                ledger.return_requested = ledger.return_requested.saturating_sub(units);
            }
        }
    }

    /// Of the days when an order was one shipment.
    pub(super) fn ship_everything(&mut self) {
        for (line, ledger) in self.details.lines.iter().zip(&mut self.lines) {
            if line.kind == LineKind::Goods {
                ledger.allocated.clear();
                ledger.shipped = ledger.wanted();
            }
        }
    }

    /// Of the days when an order was one shipment, this was the only word of its delivery and its
    /// payment.
    pub(super) fn complete(&mut self) {
        self.status = OrderStatus::Completed;
        if self.shipments.is_empty() {
            for ledger in &mut self.lines {
                ledger.delivered = ledger.shipped;
            }
        }
        let total = self.total();
        if self.payments.is_empty() && total > 0 {
            let received_as = match &self.details.handling {
                Handling::Partners { .. } => None,
                Handling::Elsewhere { reference } => Some(reference.clone()),
            };
            let (authorised, captured) = (total, total);
            let book = PaymentBook { authorised, captured, received_as, ..PaymentBook::default() };
            self.payments.insert(PaymentId::OF_THE_FIRST_DAYS, book);
        }
    }

    /// Nothing that has not left is wanted any more; where nothing left, charges neither.
    pub(super) fn give_up_the_rest(&mut self) {
        let nothing_left = self.shipped() == 0;
        for (line, ledger) in self.details.lines.iter().zip(&mut self.lines) {
            match line.kind {
                LineKind::Goods => {
                    ledger.cancelled = ledger.ordered.saturating_sub(ledger.shipped);
                    ledger.allocated.clear();
                    ledger.backordered = 0;
                }
                LineKind::Charge if nothing_left => {
                    ledger.cancelled = ledger.ordered.saturating_sub(ledger.refunded);
                }
                LineKind::Charge => {}
            }
        }
    }

    pub(super) fn on_line(&mut self, units: &LineUnits, change: impl FnOnce(&mut LineLedger, u32)) {
        if let Some(ledger) = self.lines.get_mut(units.line as usize) {
            change(ledger, units.quantity.get());
        }
    }

    pub(super) fn on_payment(&mut self, payment: PaymentId, change: impl FnOnce(&mut PaymentBook)) {
        if let Some(book) = self.payments.get_mut(&payment) {
            change(book);
        }
    }

    pub(super) fn on_shipment(
        &mut self,
        shipment: ShipmentId,
        change: impl FnOnce(&mut ShipmentBook),
    ) {
        if let Some(book) = self.shipments.get_mut(&shipment) {
            change(book);
        }
    }

    pub(super) fn on_return(&mut self, return_id: ReturnId, change: impl FnOnce(&mut ReturnBook)) {
        if let Some(book) = self.returns.get_mut(&return_id) {
            change(book);
        }
    }
}

impl PaymentBook {
    /// What is held is not held any longer.
    pub(super) fn let_go(&mut self) {
        let held = self.held();
        add_money(&mut self.voided, held);
    }
}

impl Parcel {
    fn new(booked: &BookedParcel) -> Self {
        Self { booked: booked.clone(), news: vec![] }
    }
}

fn take(units: &mut BTreeMap<LocationCode, u32>, location: &LocationCode, count: u32) {
    if let Some(here) = units.get_mut(location) {
        *here = here.saturating_sub(count);
        if *here == 0 {
            units.remove(location);
        }
    }
}

// What is in the log is folded whatever it says: a nonsensical number must not stop anybody.

pub(super) fn add_units(sum: &mut u32, units: u32) {
    *sum = sum.saturating_add(units);
}

pub(super) fn add_money(sum: &mut i64, amount: i64) {
    *sum = sum.saturating_add(amount);
}
