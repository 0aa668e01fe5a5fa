//! What each event does to the document. Total: what is in the log has happened.

mod moving;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::moving::{add_money, add_units};
use super::event::{OrderEvent, OrderPlaced};
use super::state::{
    Capture, Hold, LineLedger, MovementStatus, OrderState, OrderStatus, PlacedOrder, Remembered,
    ReturnBook, ReturnProgress, ShipmentStatus,
};

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
}
