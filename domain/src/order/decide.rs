//! The rule book of orders, one chapter per matter.
//!
//! Every rule is told as a [`Story`]: what happens first, then what follows from it. What always
//! follows (money that is too much goes back, money that is not needed is let go, goods that may
//! leave are sent, an order with nothing left to do is closed) is in `consequences`.

mod cancelling;
mod consequences;
mod editing;
mod money;
mod moves;
mod placing;
mod returning;
mod shipping;
mod supplying;

use super::command::OrderCommand;
use super::error::OrderRejection;
use super::event::OrderEvent;
use super::state::{OrderState, OrderStatus, PlacedOrder};

type Decision = Result<Vec<OrderEvent>, OrderRejection>;

#[expect(clippy::too_many_lines, reason = "the table of contents of the rule book")]
pub(super) fn decide(state: &OrderState, command: &OrderCommand) -> Decision {
    let order = match (state, command) {
        (OrderState::NotPlaced, OrderCommand::Place { details, number, holds, placed_at }) => {
            return placing::place(details, number.as_ref(), holds, *placed_at);
        }
        (OrderState::NotPlaced, _) => return Err(OrderRejection::NotFound),
        (OrderState::Placed(order), _) => order.as_ref(),
    };
    match command {
        OrderCommand::Place { details, .. } if *details == order.details => Ok(vec![]),
        OrderCommand::Place { .. } => Err(OrderRejection::IdempotencyConflict),

        OrderCommand::RecordAllocation { goods } => supplying::record_allocation(order, goods),
        OrderCommand::RecordBackorderFilled {
            order: id,
            sku,
            location,
            quantity,
            stock_revision,
        } => supplying::record_backorder_filled(
            order,
            *id,
            sku,
            location,
            *quantity,
            *stock_revision,
        ),
        OrderCommand::Confirm { order: id } => supplying::confirm(order, *id),
        OrderCommand::Reject { reason } => supplying::reject(order, reason),
        OrderCommand::Hold { hold, reason, note, movement } => {
            supplying::hold(order, hold, *reason, note.as_ref(), *movement)
        }
        OrderCommand::ReleaseHold { hold, movement, order: id } => {
            supplying::release_hold(order, hold, *movement, *id)
        }

        OrderCommand::Cancel { reason, movement } => cancelling::cancel(order, *reason, *movement),
        OrderCommand::CancelLines { lines, reason, movement, order: id } => {
            cancelling::cancel_lines(order, lines, *reason, *movement, *id)
        }

        OrderCommand::RequestPayment { payment, payment_token, amount } => {
            money::request_payment(order, *payment, payment_token, *amount)
        }
        OrderCommand::RecordAuthorisation { payment, amount, expires_at } => {
            money::record_authorisation(order, *payment, *amount, *expires_at)
        }
        OrderCommand::RecordDecline { payment, code } => {
            Ok(money::record_decline(order, *payment, code))
        }
        OrderCommand::RecordExpiry { payment } => money::record_expiry(order, *payment),
        OrderCommand::RecordPayment { payment, amount, reference } => {
            money::record_payment(order, *payment, *amount, reference)
        }
        OrderCommand::RequestCapture { capture, payment, amount, is_final } => {
            money::request_capture(order, *capture, *payment, *amount, *is_final)
        }
        OrderCommand::RecordCapture { capture } => money::record_capture(order, *capture),
        OrderCommand::RecordCaptureFailure { capture, code } => {
            money::record_capture_failure(order, *capture, code)
        }
        OrderCommand::RequestVoid { payment } => money::request_void(order, *payment),
        OrderCommand::RecordVoid { payment } => Ok(money::record_void(order, *payment)),
        OrderCommand::RequestRefund { refund, payment, what, return_id, reason, note } => {
            let wanted = money::WantedRefund {
                refund: *refund,
                payment: *payment,
                what,
                return_id: *return_id,
                reason: *reason,
                note: note.as_ref(),
            };
            money::request_refund(order, &wanted)
        }
        OrderCommand::RecordRefund { refund } => money::record_refund(order, *refund),
        OrderCommand::RecordRefundFailure { refund, code } => {
            money::record_refund_failure(order, *refund, code)
        }
        OrderCommand::RecordChargeback { payment, amount, reference, reason } => {
            money::record_chargeback(order, *payment, *amount, reference, reason)
        }

        OrderCommand::RequestShipment { shipment, location, lines, by } => {
            shipping::request(order, *shipment, location, lines, by)
        }
        OrderCommand::ClearShipment { shipment } => shipping::clear(order, *shipment),
        OrderCommand::CancelShipment { shipment } => shipping::cancel(order, *shipment),
        OrderCommand::RecordDispatch { shipment, parcels } => {
            shipping::dispatch(order, *shipment, parcels)
        }
        OrderCommand::RecordTracking { shipment, parcel, status, at } => {
            shipping::track(order, *shipment, *parcel, *status, *at)
        }
        OrderCommand::RecordDelivery { shipment, delivered_at } => {
            shipping::deliver(order, *shipment, *delivered_at)
        }

        OrderCommand::RequestReturn { return_id, lines, reason, note } => {
            returning::request(order, *return_id, lines, *reason, note.as_ref())
        }
        OrderCommand::ApproveReturn { return_id } => returning::approve(order, *return_id),
        OrderCommand::DeclineReturn { return_id, note } => {
            returning::decline(order, *return_id, note.as_ref())
        }
        OrderCommand::ReceiveReturn { return_id, goods, movement } => {
            returning::receive(order, *return_id, goods, *movement)
        }
        OrderCommand::CloseReturn { return_id } => returning::close(order, *return_id),

        OrderCommand::Edit(edit) => editing::edit(order, edit),
        OrderCommand::AttachCustomer { customer } => editing::attach_customer(order, customer),
    }
}

/// What happens to an order in one decision: each event moves the order on before the next is told.
struct Story {
    order: PlacedOrder,
    events: Vec<OrderEvent>,
}

impl Story {
    fn of(order: &PlacedOrder) -> Self {
        Self { order: order.clone(), events: vec![] }
    }

    fn tell(&mut self, event: OrderEvent) {
        self.order.apply(&event);
        self.events.push(event);
    }
}

impl PlacedOrder {
    /// Refuses what an order that is over does not allow.
    fn must_be_open(&self, command: super::Action) -> Result<(), OrderRejection> {
        match self.status {
            OrderStatus::Pending | OrderStatus::Confirmed => Ok(()),
            OrderStatus::Completed | OrderStatus::Cancelled(_) | OrderStatus::Rejected(_) => {
                Err(self.not_now(command))
            }
        }
    }

    fn must_not_be_held(&self) -> Result<(), OrderRejection> {
        if self.holds.is_empty() {
            return Ok(());
        }
        Err(OrderRejection::OnHold { holds: self.holds.keys().cloned().collect() })
    }

    fn not_now(&self, action: super::Action) -> OrderRejection {
        OrderRejection::InvalidTransition { status: self.status.clone(), action }
    }
}
