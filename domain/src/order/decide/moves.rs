//! Which moves are open: asked of the rules themselves, by trying a command of each kind.

use chrono::DateTime;
use uuid::Uuid;

use super::{cancelling, decide, money, returning};
use crate::ids::{
    CaptureId, CustomerRef, HoldName, LocationCode, MovementId, OrderId, PartnerReference,
    PaymentId, PaymentToken, RefundId, ReturnId, ShipmentId, Tag,
};
use crate::order::command::{Action, OrderCommand, OrderEdit, RefundOf};
use crate::order::state::{OrderState, PlacedOrder, ReturnProgress, ShipmentStatus};
use crate::order::terms::{
    CancelReason, Disposition, HoldReason, LineUnits, ReceivedUnits, RefundReason, ReturnReason,
    ShippedBy,
};
use crate::quantity::Quantity;
use crate::shipment::TrackingStatus;

impl PlacedOrder {
    /// What somebody can do with the order now and would change something, of the things that people
    /// and their programs do; what processes record is not among them. The rules that decide are asked,
    /// so the answer cannot differ from them.
    pub fn available_actions(&self) -> Vec<Action> {
        let state = OrderState::Placed(Box::new(self.clone()));
        let open =
            |command: &OrderCommand| decide(&state, command).is_ok_and(|events| !events.is_empty());
        let mut actions: Vec<_> =
            self.trials().into_iter().filter(open).map(|command| command.action()).collect();
        actions.sort_unstable();
        actions.dedup();
        actions
    }

    /// One command of each kind that would be the likeliest to be allowed.
    fn trials(&self) -> Vec<OrderCommand> {
        let nobody = Uuid::nil();
        let (order, movement) = (OrderId(nobody), MovementId(nobody));
        let line = |units: fn(&Self, u32) -> u32| {
            (0_u32..).zip(&self.lines).map(|(line, _)| line).find(|&line| units(self, line) > 0)
        };
        let one = |line: u32| vec![LineUnits { line, quantity: Quantity::ONE }];
        let mut trials = vec![
            OrderCommand::Cancel { reason: CancelReason::Other, movement },
            OrderCommand::RequestCapture {
                capture: CaptureId(nobody),
                payment: None,
                amount: None,
                is_final: false,
            },
            OrderCommand::RequestRefund {
                refund: RefundId(nobody),
                payment: None,
                what: RefundOf::Amount(self.money(1)),
                return_id: None,
                reason: RefundReason::Other,
                note: None,
            },
        ];
        trials.extend(line(cancelling::cancellable).map(|line| OrderCommand::CancelLines {
            lines: one(line),
            reason: CancelReason::Other,
            movement,
            order,
        }));
        trials.extend(line(money::refundable_units).map(|line| OrderCommand::RequestRefund {
            refund: RefundId(nobody),
            payment: None,
            what: RefundOf::Lines(one(line)),
            return_id: None,
            reason: RefundReason::Other,
            note: None,
        }));
        let can_return = |order: &Self, line: u32| {
            order.lines.get(line as usize).map_or(0, super::super::state::LineLedger::returnable)
        };
        trials.extend(line(can_return).map(|line| OrderCommand::RequestReturn {
            return_id: ReturnId(nobody),
            lines: one(line),
            reason: ReturnReason::Other,
            note: None,
        }));
        trials.extend(self.to_be_shipped().into_keys().next().map(|location| {
            OrderCommand::RequestShipment {
                shipment: ShipmentId(nobody),
                location,
                lines: vec![],
                by: ShippedBy::Partner { parcels: 1 },
            }
        }));
        trials.extend(self.codes_tried());
        trials.extend(self.payments.keys().map(|&payment| OrderCommand::RequestVoid { payment }));
        trials.extend(self.payments.keys().filter_map(|&payment| self.chargeback(payment)));
        trials.extend(self.holds.keys().map(|hold| OrderCommand::ReleaseHold {
            hold: hold.clone(),
            movement,
            order,
        }));
        for (&shipment, book) in &self.shipments {
            trials.push(OrderCommand::ClearShipment { shipment });
            trials.push(OrderCommand::CancelShipment { shipment });
            if book.status == ShipmentStatus::Dispatched {
                let (status, at) = (TrackingStatus::InTransit, DateTime::UNIX_EPOCH);
                trials.push(OrderCommand::RecordTracking { shipment, parcel: 0, status, at });
            }
        }
        for (&return_id, book) in &self.returns {
            trials.push(OrderCommand::ApproveReturn { return_id });
            trials.push(OrderCommand::DeclineReturn { return_id, note: None });
            trials.push(OrderCommand::CloseReturn { return_id });
            let waits = book.lines.iter().find(|it| returning::expected(book, it.line) > 0);
            if let Some(units) = waits.filter(|_| book.status != ReturnProgress::Requested) {
                let (line, quantity) = (units.line, Quantity::ONE);
                let (disposition, location) = (Disposition::Restocked, LocationCode::default());
                let goods = vec![ReceivedUnits { line, quantity, disposition, location }];
                trials.push(OrderCommand::ReceiveReturn { return_id, goods, movement });
            }
        }
        trials
    }

    /// Trials that need a word of some kind; each of these words is one.
    fn codes_tried(&self) -> Vec<OrderCommand> {
        let payment = PaymentId(Uuid::nil());
        let mut trials = vec![];
        if let Ok(hold) = HoldName::new("trial") {
            trials.push(OrderCommand::Hold {
                hold,
                reason: HoldReason::Other,
                note: None,
                movement: MovementId(Uuid::nil()),
            });
        }
        if let (Ok(reference), 1..) = (PartnerReference::new("trial"), self.outstanding()) {
            let amount = self.money(1);
            trials.push(OrderCommand::RecordPayment { payment, amount, reference });
        }
        if let Ok(payment_token) = PaymentToken::new("trial") {
            trials.push(OrderCommand::RequestPayment { payment, payment_token, amount: None });
        }
        if let Ok(customer) = CustomerRef::new("trial") {
            trials.push(OrderCommand::AttachCustomer { customer });
        }
        if let Ok(tag) = Tag::new("orderstore.trial") {
            trials.push(OrderCommand::Edit(OrderEdit {
                contact: None,
                shipping_address: None,
                billing_address: None,
                note: None,
                add_tags: [tag].into(),
                remove_tags: [].into(),
                cancel: vec![],
                movement: MovementId(Uuid::nil()),
                order: OrderId(Uuid::nil()),
            }));
        }
        trials
    }

    fn chargeback(&self, payment: PaymentId) -> Option<OrderCommand> {
        let reference = PartnerReference::new("orderstore trial").ok()?;
        let (amount, reason) = (self.money(1), String::new());
        Some(OrderCommand::RecordChargeback { payment, amount, reference, reason })
    }
}
