//! What each event does to the document. Total: what is in the log has happened.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::details::{Handling, LineKind};
use super::event::{
    OrderEvent, OrderPlaced, OrderRefundRequested, OrderReturnReceived, OrderShipmentDispatched,
    OrderShipmentRequested,
};
use super::state::{
    Capture, Hold, LineLedger, MovementStatus, OrderState, OrderStatus, Parcel, PaymentBook,
    PlacedOrder, Refund, Remembered, ReturnBook, ReturnProgress, ShipmentBook, ShipmentStatus,
};
use super::terms::{Disposition, LineAllocation, LineUnits, ShippedBy};
use crate::ids::{LocationCode, PaymentId, ReturnId, ShipmentId};
use crate::shipment::BookedParcel;

pub(super) fn evolve(state: OrderState, event: &OrderEvent) -> OrderState {
    match (state, event) {
        (OrderState::NotPlaced, OrderEvent::Placed(placed)) => {
            OrderState::Placed(Box::new(PlacedOrder::new(placed)))
        }
        // Cannot be: a stream starts with `Placed`. Total all the same.
        (OrderState::NotPlaced, _) => OrderState::NotPlaced,
        (OrderState::Placed(mut order), event) => {
            order.apply(event);
            OrderState::Placed(order)
        }
    }
}

impl PlacedOrder {
    /// The order right after it was placed.
    pub fn new(placed: &OrderPlaced) -> Self {
        let details = Arc::clone(&placed.details);
        let ledger = |line: &super::details::Line| LineLedger {
            ordered: line.quantity.get(),
            ..LineLedger::default()
        };
        Self {
            number: placed.number.clone(),
            prices: Arc::clone(&placed.prices),
            placed_at: placed.placed_at,
            status: OrderStatus::Pending,
            lines: details.lines.iter().map(ledger).collect(),
            customer: details.customer.clone(),
            contact: details.contact.clone(),
            shipping_address: details.shipping_address.clone(),
            billing_address: details.billing_address.clone(),
            country: details.country.clone(),
            note: details.note.clone(),
            tags: details.tags.clone(),
            holds: BTreeMap::new(),
            supply: BTreeMap::new(),
            allocated: false,
            payments: BTreeMap::new(),
            captures: BTreeMap::new(),
            refunds: BTreeMap::new(),
            chargebacks: BTreeMap::new(),
            shipments: BTreeMap::new(),
            returns: BTreeMap::new(),
            movements: BTreeMap::new(),
            details,
        }
    }

    /// Moves the order on by an event that is not its first.
    #[expect(clippy::too_many_lines, reason = "one arm per event, and nothing else")]
    pub fn apply(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Placed(_) => {}
            OrderEvent::Confirmed(_) => self.status = OrderStatus::Confirmed,
            OrderEvent::Shipped(_) => self.ship_everything(),
            OrderEvent::Completed(_) => self.complete(),
            OrderEvent::Cancelled(cancelled) => {
                self.give_up_the_rest();
                self.status = OrderStatus::Cancelled(cancelled.reason);
            }
            OrderEvent::Rejected(rejected) => {
                self.give_up_the_rest();
                self.status = OrderStatus::Rejected(rejected.reason.clone());
            }

            OrderEvent::Held(held) => {
                if let Some(movement) = held.movement {
                    self.movements.insert(movement, Remembered::Held(held.hold.clone()));
                }
                let (reason, automatic, note) = (held.reason, held.automatic, held.note.clone());
                self.holds.insert(held.hold.clone(), Hold { reason, automatic, note });
            }
            OrderEvent::HoldReleased(released) => {
                let done = Remembered::HoldReleased(released.hold.clone());
                self.movements.insert(released.movement, done);
                self.holds.remove(&released.hold);
            }

            OrderEvent::Allocated(allocated) => {
                self.allocated = true;
                for stock in &allocated.as_of {
                    self.supply.entry(stock.sku.clone()).or_default().as_of = stock.revision;
                }
                for found in &allocated.lines {
                    self.allocate(found);
                }
            }
            OrderEvent::BackorderFilled(filled) => {
                if let Some(sku) = self.sku(filled.line).cloned() {
                    self.supply.entry(sku).or_default().fills.insert(filled.stock_revision);
                }
                if let Some(ledger) = self.lines.get_mut(filled.line as usize) {
                    let units = filled.quantity.get();
                    ledger.backordered = ledger.backordered.saturating_sub(units);
                    add_units(ledger.allocated.entry(filled.location.clone()).or_default(), units);
                }
            }
            OrderEvent::LinesCancelled(cancelled) => {
                let moved = Remembered::Cancelled(cancelled.lines.clone());
                self.movements.insert(cancelled.movement, moved);
                for units in &cancelled.lines {
                    self.on_line(units, |ledger, units| add_units(&mut ledger.cancelled, units));
                }
                for released in &cancelled.released {
                    self.deallocate(released);
                }
            }

            OrderEvent::PaymentRequested(requested) => {
                let book = self.payments.entry(requested.payment).or_default();
                book.requested = requested.amount.minor;
            }
            OrderEvent::PaymentAuthorised(authorised) => {
                let book = self.payments.entry(authorised.payment).or_default();
                book.authorised = authorised.amount.minor;
                book.expires_at = authorised.expires_at;
                book.declined = None;
            }
            OrderEvent::PaymentDeclined(declined) => {
                let book = self.payments.entry(declined.payment).or_default();
                book.declined = Some(declined.code.clone());
            }
            OrderEvent::AuthorisationExpired(expired) => self.on_payment(expired.payment, |book| {
                book.let_go();
                book.expired = true;
            }),
            OrderEvent::PaymentReceived(received) => {
                let book = self.payments.entry(received.payment).or_default();
                book.authorised = received.amount.minor;
                book.captured = received.amount.minor;
                book.received_as = Some(received.reference.clone());
            }
            OrderEvent::CaptureRequested(requested) => {
                let (payment, amount) = (requested.payment, requested.amount.minor);
                self.on_payment(payment, |book| add_money(&mut book.capturing, amount));
                let (is_final, status) = (requested.is_final, MovementStatus::Pending);
                let capture = Capture { payment, amount, is_final, status };
                self.captures.insert(requested.capture, capture);
            }
            OrderEvent::PaymentCaptured(captured) => {
                let Some(capture) = self.captures.get_mut(&captured.capture) else { return };
                let pending = capture.status == MovementStatus::Pending;
                capture.status = MovementStatus::Done;
                let (payment, amount, is_final) =
                    (capture.payment, capture.amount, capture.is_final);
                self.on_payment(payment, |book| {
                    if pending {
                        add_money(&mut book.capturing, -amount);
                    }
                    add_money(&mut book.captured, amount);
                    if is_final {
                        book.let_go();
                    }
                });
            }
            OrderEvent::CaptureFailed(failed) => {
                let Some(capture) = self.captures.get_mut(&failed.capture) else { return };
                capture.status = MovementStatus::Failed(failed.code.clone());
                let (payment, amount) = (capture.payment, capture.amount);
                self.on_payment(payment, |book| {
                    add_money(&mut book.capturing, -amount);
                    if book.expired {
                        book.let_go();
                    }
                });
            }
            OrderEvent::VoidRequested(requested) => {
                self.on_payment(requested.payment, |book| book.voiding = true);
            }
            OrderEvent::PaymentVoided(voided) => self.on_payment(voided.payment, |book| {
                book.let_go();
                book.voiding = false;
            }),
            OrderEvent::RefundRequested(requested) => self.request_refund(requested),
            OrderEvent::RefundCompleted(completed) => {
                let Some(refund) = self.refunds.get_mut(&completed.refund) else { return };
                let pending = refund.status == MovementStatus::Pending;
                refund.status = MovementStatus::Done;
                let (payment, amount, lines) =
                    (refund.payment, refund.amount, refund.lines.clone());
                self.on_payment(payment, |book| {
                    if pending {
                        add_money(&mut book.refunding, -amount);
                    }
                    add_money(&mut book.refunded, amount);
                });
                if !pending {
                    self.count_refunded(&lines);
                }
            }
            OrderEvent::RefundFailed(failed) => {
                let Some(refund) = self.refunds.get_mut(&failed.refund) else { return };
                refund.status = MovementStatus::Failed(failed.code.clone());
                let (payment, amount, lines) =
                    (refund.payment, refund.amount, refund.lines.clone());
                self.on_payment(payment, |book| add_money(&mut book.refunding, -amount));
                for units in &lines {
                    self.on_line(units, |ledger, units| {
                        ledger.refunded = ledger.refunded.saturating_sub(units);
                    });
                }
            }
            OrderEvent::ChargedBack(back) => {
                let amount = back.amount.minor;
                self.on_payment(back.payment, |book| add_money(&mut book.charged_back, amount));
                self.chargebacks.insert(back.reference.to_string(), back.amount);
            }

            OrderEvent::ShipmentRequested(requested) => self.request_shipment(requested),
            OrderEvent::ShipmentCleared(cleared) => {
                self.on_shipment(cleared.shipment, |book| book.status = ShipmentStatus::Cleared);
            }
            OrderEvent::ShipmentDispatched(dispatched) => self.dispatch(dispatched),
            OrderEvent::ShipmentCancelled(cancelled) => {
                self.on_shipment(cancelled.shipment, |book| {
                    book.status = ShipmentStatus::Cancelled;
                });
            }
            OrderEvent::ShipmentTracked(tracked) => {
                let (parcel, news) = (tracked.parcel as usize, (tracked.status, tracked.at));
                self.on_shipment(tracked.shipment, |book| {
                    if let Some(parcel) = book.parcels.get_mut(parcel) {
                        parcel.news.push(news);
                    }
                });
            }
            OrderEvent::ShipmentDelivered(delivered) => {
                let Some(book) = self.shipments.get_mut(&delivered.shipment) else { return };
                book.status = ShipmentStatus::Delivered;
                book.delivered_at = Some(delivered.delivered_at);
                for units in book.lines.clone() {
                    self.on_line(&units, |ledger, units| add_units(&mut ledger.delivered, units));
                }
            }

            OrderEvent::ReturnRequested(requested) => {
                for units in &requested.lines {
                    self.on_line(units, |ledger, units| {
                        add_units(&mut ledger.return_requested, units);
                    });
                }
                let book = ReturnBook {
                    lines: requested.lines.clone(),
                    reason: requested.reason,
                    note: requested.note.clone(),
                    received: vec![],
                    status: ReturnProgress::Requested,
                };
                self.returns.insert(requested.return_id, book);
            }
            OrderEvent::ReturnApproved(approved) => {
                self.on_return(approved.return_id, |book| book.status = ReturnProgress::Approved);
            }
            OrderEvent::ReturnDeclined(declined) => {
                let Some(book) = self.returns.get_mut(&declined.return_id) else { return };
                book.status = ReturnProgress::Declined;
                for units in book.lines.clone() {
                    self.on_line(&units, |ledger, units| {
                        ledger.return_requested = ledger.return_requested.saturating_sub(units);
                    });
                }
            }
            OrderEvent::ReturnReceived(received) => self.receive(received),
            OrderEvent::ReturnClosed(closed) => {
                self.close_return(closed.return_id);
            }

            OrderEvent::CustomerAttached(attached) => {
                self.customer = Some(attached.customer.clone());
            }
            OrderEvent::ContactChanged(changed) => self.contact = Some(changed.contact.clone()),
            OrderEvent::ShippingAddressChanged(changed) => {
                self.shipping_address = Some(changed.address.clone());
                self.country = changed.country.clone();
            }
            OrderEvent::BillingAddressChanged(changed) => {
                self.billing_address = Some(changed.address.clone());
            }
            OrderEvent::NoteChanged(changed) => self.note.clone_from(&changed.note),
            OrderEvent::TagsChanged(changed) => {
                self.tags.extend(changed.added.iter().cloned());
                self.tags.retain(|tag| !changed.removed.contains(tag));
            }
        }
    }

    fn allocate(&mut self, found: &LineAllocation) {
        let Some(ledger) = self.lines.get_mut(found.line as usize) else { return };
        add_units(&mut ledger.backordered, found.backordered);
        for units in &found.units {
            add_units(
                ledger.allocated.entry(units.location.clone()).or_default(),
                units.quantity.get(),
            );
        }
    }

    fn deallocate(&mut self, released: &LineAllocation) {
        let Some(ledger) = self.lines.get_mut(released.line as usize) else { return };
        ledger.backordered = ledger.backordered.saturating_sub(released.backordered);
        for units in &released.units {
            take(&mut ledger.allocated, &units.location, units.quantity.get());
        }
    }

    fn request_refund(&mut self, requested: &OrderRefundRequested) {
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

    fn count_refunded(&mut self, lines: &[LineUnits]) {
        for units in lines {
            self.on_line(units, |ledger, units| add_units(&mut ledger.refunded, units));
        }
    }

    fn request_shipment(&mut self, requested: &OrderShipmentRequested) {
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

    fn dispatch(&mut self, dispatched: &OrderShipmentDispatched) {
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

    fn receive(&mut self, received: &OrderReturnReceived) {
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
    fn close_return(&mut self, return_id: ReturnId) {
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
    fn ship_everything(&mut self) {
        for (line, ledger) in self.details.lines.iter().zip(&mut self.lines) {
            if line.kind == LineKind::Goods {
                ledger.allocated.clear();
                ledger.shipped = ledger.wanted();
            }
        }
    }

    /// Of the days when an order was one shipment, this was the only word of its delivery and its
    /// payment.
    fn complete(&mut self) {
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
    fn give_up_the_rest(&mut self) {
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

    fn on_line(&mut self, units: &LineUnits, change: impl FnOnce(&mut LineLedger, u32)) {
        if let Some(ledger) = self.lines.get_mut(units.line as usize) {
            change(ledger, units.quantity.get());
        }
    }

    fn on_payment(&mut self, payment: PaymentId, change: impl FnOnce(&mut PaymentBook)) {
        if let Some(book) = self.payments.get_mut(&payment) {
            change(book);
        }
    }

    fn on_shipment(&mut self, shipment: ShipmentId, change: impl FnOnce(&mut ShipmentBook)) {
        if let Some(book) = self.shipments.get_mut(&shipment) {
            change(book);
        }
    }

    fn on_return(&mut self, return_id: ReturnId, change: impl FnOnce(&mut ReturnBook)) {
        if let Some(book) = self.returns.get_mut(&return_id) {
            change(book);
        }
    }
}

impl PaymentBook {
    /// What is held is not held any longer.
    fn let_go(&mut self) {
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

fn add_units(sum: &mut u32, units: u32) {
    *sum = sum.saturating_add(units);
}

fn add_money(sum: &mut i64, amount: i64) {
    *sum = sum.saturating_add(amount);
}
