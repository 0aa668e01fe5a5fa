//! An order with which something is still going to happen, and what people do with it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use domain::fulfilment::{Fulfilment, FulfilmentCommand, FulfilmentStarted, asked_for};
use domain::ids::{MovementId, OrderId, PaymentId, ProcessId, RefundId, ReturnId, ShipmentId};
use domain::money::Money;
use domain::order::{
    CancelReason, DispatchPolicy, Disposition, LineUnits, Order, OrderCommand, OrderEvent,
    OrderState, OrderStatus, PlacedOrder, ReceivedUnits, RefundOf, RefundReason, ReturnReason,
    ShippedBy,
};
use domain::payment::Payment;
use domain::quantity::Quantity;
use domain::shipment::{Shipment, TrackingStatus};
use journal::Context;
use uuid::Uuid;

use super::agenda::Turn;
use super::fate::Fate;
use super::log::Stream;
use super::shop::{STAFF, Shop, by};

/// Under which name the customer sends something back.
const RETURN: &str = "return";
/// How long an order waits for its payment.
const PAYMENT_WINDOW: TimeDelta = TimeDelta::minutes(30);
/// How long the process managers take to hear of an event.
const ROUTING: TimeDelta = TimeDelta::milliseconds(2);

/// An order with which something is still going to happen.
pub(super) struct Open {
    pub(super) number: u64,
    pub(super) stream: Stream<Order>,
    pub(super) payments: BTreeMap<PaymentId, Stream<Payment>>,
    pub(super) shipments: BTreeMap<ShipmentId, Stream<Shipment>>,
    pub(super) processes: BTreeMap<ProcessId, Stream<Fulfilment>>,
    /// What a process begins with that has not begun, and the event that it begins because of.
    pub(super) seeds: BTreeMap<ProcessId, (FulfilmentStarted, Uuid)>,
    /// Processes that wait for news of the order.
    pub(super) waiting: BTreeSet<ProcessId>,
    /// What the carrier is going to tell of a shipment, and when.
    pub(super) news: BTreeMap<ShipmentId, Vec<(TrackingStatus, DateTime<Utc>)>>,
    /// So many times something is going to happen.
    pub(super) turns: u32,
    fate: Fate,
}

impl Open {
    pub(super) fn new(number: u64, id: OrderId, fate: Fate) -> Self {
        Self {
            number,
            fate,
            stream: Stream::new(id),
            payments: BTreeMap::new(),
            shipments: BTreeMap::new(),
            processes: BTreeMap::new(),
            seeds: BTreeMap::new(),
            waiting: BTreeSet::new(),
            news: BTreeMap::new(),
            turns: 0,
        }
    }

    pub(super) const fn id(&self) -> OrderId {
        self.stream.id
    }

    pub(super) fn placed(&self) -> anyhow::Result<&PlacedOrder> {
        match &self.stream.state {
            OrderState::Placed(order) => Ok(order),
            OrderState::NotPlaced => anyhow::bail!("order {} was never placed", self.id()),
        }
    }

    fn return_id(&self) -> ReturnId {
        ReturnId::derive(self.id(), RETURN)
    }

    /// What the customer sends back: all units of the first goods.
    fn sent_back(&self) -> anyhow::Result<Vec<LineUnits>> {
        let order = self.placed()?;
        let goods = (0_u32..).zip(&order.lines).find(|(line, _)| order.is_goods(*line));
        let units = goods.and_then(|(line, ledger)| {
            let quantity = Quantity::new(ledger.returnable().into()).ok()?;
            Some(LineUnits { line, quantity })
        });
        Ok(units.into_iter().collect())
    }
}

// ── What follows from what happens to an order ───────────────────────────────────────────────────

impl Shop {
    /// Something is wanted of an order, or told to it. What it asks for begins, and what waits for
    /// news of it wakes up.
    pub(super) fn tell(
        &mut self,
        order: &mut Open,
        command: &OrderCommand,
        context: Context,
    ) -> anyhow::Result<()> {
        match self.try_to_tell(order, command, context)? {
            Ok(()) => Ok(()),
            Err(rejection) => Err(rejection.into()),
        }
    }

    /// The same, where the order may refuse.
    pub(super) fn try_to_tell(
        &mut self,
        order: &mut Open,
        command: &OrderCommand,
        context: Context,
    ) -> anyhow::Result<Result<(), domain::order::OrderRejection>> {
        let decided = match self.log.execute(&mut order.stream, command, context) {
            Ok(decided) => decided,
            Err(rejection) => return Ok(Err(rejection)),
        };
        for (event, revision, id) in decided.each() {
            self.hear(order, event, revision, id)?;
        }
        if !decided.events.is_empty() {
            for process in std::mem::take(&mut order.waiting) {
                self.put_down(order, ROUTING, Turn::Drive(process));
            }
        }
        Ok(Ok(()))
    }

    fn hear(
        &mut self,
        order: &mut Open,
        event: &OrderEvent,
        revision: u64,
        id: Uuid,
    ) -> anyhow::Result<()> {
        let deadline = self.log.now + PAYMENT_WINDOW;
        if let Some((process, started)) = asked_for(order.id(), event, revision, deadline)
            && !order.processes.contains_key(&process)
        {
            order.seeds.insert(process, (started, id));
            order.processes.insert(process, Stream::new(process));
            self.put_down(order, ROUTING, Turn::Drive(process));
        }
        if let OrderEvent::Cancelled(cancelled) = event {
            self.call_off(order, order.id().into(), cancelled.reason, id)?;
        }
        if let OrderEvent::ShipmentCancelled(cancelled) = event {
            self.call_off(order, cancelled.shipment.into(), CancelReason::Other, id)?;
        }
        self.people_react(order, event)
    }

    /// Tells a process that what it works for is given up.
    fn call_off(
        &mut self,
        order: &mut Open,
        process: ProcessId,
        reason: CancelReason,
        cause: Uuid,
    ) -> anyhow::Result<()> {
        let (id, command) = (order.id(), FulfilmentCommand::RequestCancellation { reason });
        let context = super::process::because(id, process, ("process", "cancellation"), cause);
        if let Some(stream) = order.processes.get_mut(&process)
            && !order.seeds.contains_key(&process)
        {
            let decided = self.log.execute(stream, &command, context)?;
            if !decided.events.is_empty() {
                order.waiting.remove(&process);
                self.put_down(order, ROUTING, Turn::Drive(process));
            }
        }
        Ok(())
    }

    fn people_react(&mut self, order: &mut Open, event: &OrderEvent) -> anyhow::Result<()> {
        let by_hand = order.placed()?.details.policies.dispatch == DispatchPolicy::Manual;
        // Who cancels does so before the warehouse has packed; half of them before it has begun.
        let cancels = order.fate == Fate::Cancelled;
        if matches!(event, OrderEvent::Confirmed(_)) && by_hand {
            let (soon, late) = (TimeDelta::minutes(3), TimeDelta::minutes(9));
            if !cancels {
                let after = self.chance.wait(TimeDelta::hours(2), TimeDelta::hours(30));
                self.put_down(order, after, Turn::Ship);
            } else if self.chance.happens(50) {
                let after = self.chance.wait(soon, late);
                self.put_down(order, after, Turn::Ship);
            }
        }
        if let OrderEvent::ShipmentRequested(requested) = event
            && !requested.cleared
            && !cancels
        {
            let after = self.chance.wait(TimeDelta::minutes(20), TimeDelta::hours(12));
            self.put_down(order, after, Turn::Clear(requested.shipment));
        }
        if matches!(event, OrderEvent::Completed(_)) {
            let after = self.chance.wait(TimeDelta::days(2), TimeDelta::days(20));
            match order.fate {
                Fate::Returned => self.put_down(order, after, Turn::RequestReturn),
                Fate::Refunded => self.put_down(order, after, Turn::Refund),
                Fate::Delivered | Fate::Cancelled | Fate::Declined | Fate::Held => {}
            }
        }
        Ok(())
    }
}

// ── What people do ───────────────────────────────────────────────────────────────────────────────

impl Shop {
    /// Something happens with an order.
    pub(super) fn turn(&mut self, order: &mut Open, turn: Turn) -> anyhow::Result<()> {
        let (id, return_id) = (order.id(), order.return_id());
        match turn {
            Turn::Drive(process) => self.drive(order, process),
            Turn::Ship => self.ship(order),
            Turn::Clear(shipment) => {
                let name = format!("fulfilmentClear {shipment}");
                self.want(order, &name, &OrderCommand::ClearShipment { shipment })
            }
            Turn::Cancel => {
                if order.placed()?.status != OrderStatus::Confirmed {
                    return Ok(());
                }
                let movement = MovementId::derive(id, "orderCancel");
                let reason = CancelReason::Customer;
                self.want(order, "orderCancel", &OrderCommand::Cancel { reason, movement })
            }
            Turn::RequestReturn => {
                let (lines, reason) = (order.sent_back()?, ReturnReason::Unwanted);
                let command = OrderCommand::RequestReturn { return_id, lines, reason, note: None };
                self.want(order, "returnRequest", &command)?;
                self.later(order, 60, Turn::ApproveReturn);
                Ok(())
            }
            Turn::ApproveReturn => {
                self.want(order, "returnApprove", &OrderCommand::ApproveReturn { return_id })?;
                self.later(order, 60 * 24 * 6, Turn::ReceiveReturn);
                Ok(())
            }
            Turn::ReceiveReturn => self.receive_return(order),
            Turn::RefundReturn => {
                let what = RefundOf::Lines(order.placed()?.returns[&return_id].lines.clone());
                self.refund(order, what, Some(return_id))?;
                self.later(order, 60, Turn::CloseReturn);
                Ok(())
            }
            Turn::CloseReturn => {
                self.want(order, "returnClose", &OrderCommand::CloseReturn { return_id })
            }
            Turn::Refund => {
                let placed = order.placed()?;
                let amount = Money::new(placed.captured() / 10 + 1, placed.details.currency);
                self.refund(order, RefundOf::Amount(amount), None)
            }
        }
    }

    fn want(&mut self, order: &mut Open, what: &str, it: &OrderCommand) -> anyhow::Result<()> {
        let id = order.id();
        self.tell(order, it, by(STAFF, &[what, &id.to_string()], id.0))
    }

    fn later(&mut self, order: &mut Open, minutes: i64, turn: Turn) {
        let after = self.chance.wait(TimeDelta::minutes(5), TimeDelta::minutes(minutes));
        self.put_down(order, after, turn);
    }

    /// One shipment per location, of everything that is set aside there.
    fn ship(&mut self, order: &mut Open) -> anyhow::Result<()> {
        let locations: Vec<_> = order.placed()?.to_be_shipped().into_keys().collect();
        for location in locations {
            let name = format!("fulfilmentCreate {location}");
            let shipment = ShipmentId::derive(order.id(), &name);
            let (lines, by) = (vec![], ShippedBy::Partner { parcels: 1 });
            let command = OrderCommand::RequestShipment { shipment, location, lines, by };
            self.want(order, &name, &command)?;
        }
        Ok(())
    }

    fn receive_return(&mut self, order: &mut Open) -> anyhow::Result<()> {
        let return_id = order.return_id();
        let book = &order.placed()?.returns[&return_id];
        let mut goods = vec![];
        for units in &book.lines {
            let sku = order.placed()?.sku(units.line);
            let number = sku.map_or(Ok(0), |sku| self.catalogue.number(sku))?;
            let disposition = if self.chance.happens(85) {
                Disposition::Restocked
            } else {
                Disposition::WrittenOff
            };
            let location = self.catalogue.articles[number].location.clone();
            let LineUnits { line, quantity } = *units;
            goods.push(ReceivedUnits { line, quantity, disposition, location });
        }
        let movement = MovementId::derive(order.id(), "returnReceive");
        let command = OrderCommand::ReceiveReturn { return_id, goods, movement };
        self.want(order, "returnReceive", &command)?;
        self.later(order, 60 * 24, Turn::RefundReturn);
        Ok(())
    }

    fn refund(
        &mut self,
        order: &mut Open,
        what: RefundOf,
        return_id: Option<ReturnId>,
    ) -> anyhow::Result<()> {
        let command = OrderCommand::RequestRefund {
            refund: RefundId::derive(order.id(), "refundCreate"),
            payment: None,
            what,
            return_id,
            reason: RefundReason::Customer,
            note: None,
        };
        self.want(order, "refundCreate", &command)
    }
}
