//! The steps of processes, as process managers perform them with partners who always answer; those of
//! deliveries are in `delivering`.

use chrono::TimeDelta;
use domain::fulfilment::{
    AcceptanceWork, Ending, Goods, LocatedGoods, Refusal, ReleasedGoods, Work, goods_released,
    goods_restocked,
};
use domain::ids::{CaptureId, MovementId, PartnerReference, PaymentId, RefundId, derive_uuid};
use domain::money::Money;
use domain::order::{
    Handling, LineAllocation, OrderCommand, OrderRejection, ReceivedUnits, SkuAllocation,
};
use domain::payment::{Payment, PaymentCommand};
use domain::stock::{StockCommand, StockRejection};

use super::log::Stream;
use super::open::Open;
use super::process::{Performance, Performed, Place, over};
use super::shop::Shop;

/// How much longer than an order may wait for its payment its goods stay set aside.
const GRACE: TimeDelta = TimeDelta::minutes(15);
/// How long the gateway holds money.
const HELD_FOR: TimeDelta = TimeDelta::days(7);
/// The token that the gateway declines.
const DECLINED: &str = "tok_declined";

// ── Accepting ────────────────────────────────────────────────────────────────────────────────────

impl Shop {
    pub(super) fn reserve_stock(
        &mut self,
        order: &mut Open,
        at: Place<'_>,
        work: &AcceptanceWork,
    ) -> Performance {
        let (mut goods, mut refusal) = (vec![], None);
        for Goods { sku, quantity } in &work.reservations {
            let command = StockCommand::Reserve {
                order: at.order,
                quantity: *quantity,
                acceptance: work.acceptance,
                prefer: work.prefer_location.clone(),
                now: self.log.now,
                expires_at: work.payment_deadline.map(|deadline| deadline + GRACE),
            };
            match self.want_of_stock(sku, &command, at.context_of(sku.as_str()))? {
                Ok(stock) => {
                    let found = stock.state.allocation_of(at.order);
                    goods.push(SkuAllocation {
                        sku: sku.clone(),
                        units: found.map(|it| it.allocations.clone()).unwrap_or_default(),
                        backordered: found.map_or(0, |it| it.backordered),
                        as_of: stock.revision(),
                    });
                }
                Err(StockRejection::InsufficientStock { requested, available }) => {
                    let sku = sku.clone();
                    refusal = Some(Refusal::InsufficientStock { sku, requested, available });
                }
                Err(rejection) => return Err(rejection.into()),
            }
        }
        if let Some(refusal) = refusal {
            return Ok(Performed::Refused(refusal));
        }
        let command = OrderCommand::RecordAllocation { goods };
        self.tell(order, &command, at.context_of("order"))?;
        Ok(Performed::Done)
    }

    pub(super) fn authorise(
        &mut self,
        order: &mut Open,
        at: Place<'_>,
        work: &AcceptanceWork,
    ) -> Performance {
        let placed = order.placed()?;
        if let Some(refusal) = over(&placed.status) {
            return Ok(Performed::Refused(refusal));
        }
        let amount = placed.money(placed.outstanding() - placed.held());
        let Handling::Partners { payment_token: Some(token) } = &work.handling else {
            anyhow::bail!("order {} is not paid by card", at.order)
        };
        let (payment, id) = (PaymentId::of(at.order), at.order);
        if token.as_str() == DECLINED {
            let code = "card_declined".to_owned();
            let declined = PaymentCommand::RecordDecline { order: id, amount, code: code.clone() };
            self.note_payment(order, at, payment, &declined)?;
            let declined = OrderCommand::RecordDecline { payment, code };
            self.tell(order, &declined, at.context())?;
            return Ok(Performed::Refused(Refusal::PaymentDeclined));
        }
        let reference = derive_uuid(&["bench", "authorisation", &payment.to_string()]);
        let reference = PartnerReference::new(format!("auth_{}", reference.simple()))?;
        let expires_at = Some(self.log.now + HELD_FOR);
        let held = PaymentCommand::RecordAuthorisation { order: id, amount, reference, expires_at };
        self.note_payment(order, at, payment, &held)?;
        let held = OrderCommand::RecordAuthorisation { payment, amount, expires_at };
        self.tell(order, &held, at.context())?;
        Ok(Performed::Done)
    }

    pub(super) fn commit_stock(
        &mut self,
        order: &mut Open,
        at: Place<'_>,
        work: &AcceptanceWork,
    ) -> Performance {
        if let Some(refusal) = over(&order.placed()?.status) {
            return Ok(Performed::Refused(refusal));
        }
        if self.shape.commits() {
            let commit = StockCommand::Commit { order: at.order };
            for Goods { sku, .. } in &work.reservations {
                self.want_of_stock(sku, &commit, at.context_of(sku.as_str()))??;
            }
        }
        Ok(Performed::Done)
    }

    pub(super) fn confirm_order(&mut self, order: &mut Open, at: Place<'_>) -> Performance {
        let command = OrderCommand::Confirm { order: at.order };
        match self.try_to_tell(order, &command, at.context())? {
            Ok(()) => Ok(Performed::Done),
            Err(OrderRejection::OnHold { .. } | OrderRejection::Unfunded { .. }) => {
                // While the order is held nobody else looks after its payment.
                let left = self.watch(order, at)?;
                Ok(Performed::Awaits(left))
            }
            Err(OrderRejection::InvalidTransition { status, .. }) if over(&status).is_some() => {
                Ok(over(&status).map_or(Performed::Done, Performed::Refused))
            }
            Err(rejection) => Err(rejection.into()),
        }
    }

    pub(super) fn watch_authorisation(&mut self, order: &mut Open, at: Place<'_>) -> Performance {
        Ok(match self.watch(order, at)? {
            None => Performed::Done,
            Some(left) => Performed::Awaits(Some(left)),
        })
    }

    /// How long money is still held. Says that time ran out when it has.
    fn watch(&mut self, order: &mut Open, at: Place<'_>) -> anyhow::Result<Option<TimeDelta>> {
        let payment = PaymentId::of(at.order);
        let Some(book) = order.placed()?.payments.get(&payment) else { return Ok(None) };
        let held = book.authorised - book.captured - book.voided;
        let Some(end) = book.expires_at.filter(|_| held > 0) else { return Ok(None) };
        if end > self.log.now {
            return Ok(Some(end - self.log.now));
        }
        let stream = payment_of(order, payment);
        self.log.execute(stream, &PaymentCommand::RecordExpiry, at.context_of("expiry"))?;
        self.tell(order, &OrderCommand::RecordExpiry { payment }, at.context_of("expiry"))?;
        Ok(None)
    }

    pub(super) fn release_stock(&mut self, at: Place<'_>, work: &AcceptanceWork) -> Performance {
        let release = StockCommand::Release { order: at.order };
        for Goods { sku, .. } in &work.reservations {
            self.want_of_stock(sku, &release, at.context_of(sku.as_str()))??;
        }
        Ok(Performed::Done)
    }

    pub(super) fn close_order(&mut self, order: &mut Open, at: Place<'_>) -> Performance {
        let command = match at.progress.ending.clone() {
            Some(Ending::Rejected(reason)) => OrderCommand::Reject { reason },
            Some(Ending::Cancelled(reason)) => {
                let movement = MovementId::derive(at.order, "given-up");
                OrderCommand::Cancel { reason, movement }
            }
            None => return Ok(Performed::Done),
        };
        self.tell(order, &command, at.context())?;
        Ok(Performed::Done)
    }
}

// ── Money ────────────────────────────────────────────────────────────────────────────────────────

impl Shop {
    pub(super) fn capture(
        &mut self,
        order: &mut Open,
        at: Place<'_>,
        (capture, payment): (CaptureId, PaymentId),
        amount: Money,
        is_final: bool,
    ) -> Performance {
        let came = PaymentCommand::RecordCapture { capture, amount, is_final };
        self.note_payment(order, at, payment, &came)?;
        self.tell(order, &OrderCommand::RecordCapture { capture }, at.context())?;
        Ok(Performed::Done)
    }

    pub(super) fn move_back(
        &mut self,
        order: &mut Open,
        at: Place<'_>,
        (refund, payment): (RefundId, PaymentId),
        amount: Money,
    ) -> Performance {
        let went = PaymentCommand::RecordRefund { refund, amount };
        self.note_payment(order, at, payment, &went)?;
        self.tell(order, &OrderCommand::RecordRefund { refund }, at.context())?;
        Ok(Performed::Done)
    }

    pub(super) fn void_payment(
        &mut self,
        order: &mut Open,
        at: Place<'_>,
        work: &Work,
    ) -> Performance {
        let payment = match work {
            Work::Void { payment } => *payment,
            Work::Acceptance(_)
            | Work::Payment { .. }
            | Work::Delivery(_)
            | Work::Capture { .. }
            | Work::Refund { .. }
            | Work::Release { .. }
            | Work::Restock { .. }
            | Work::Backorder { .. } => PaymentId::of(at.order),
        };
        self.note_payment(order, at, payment, &PaymentCommand::RecordVoid)?;
        self.tell(order, &OrderCommand::RecordVoid { payment }, at.context())?;
        Ok(Performed::Done)
    }

    fn note_payment(
        &mut self,
        order: &mut Open,
        at: Place<'_>,
        payment: PaymentId,
        command: &PaymentCommand,
    ) -> anyhow::Result<()> {
        self.log.execute(payment_of(order, payment), command, at.context())?;
        Ok(())
    }
}

fn payment_of(order: &mut Open, payment: PaymentId) -> &mut Stream<Payment> {
    order.payments.entry(payment).or_insert_with(|| Stream::new(payment))
}

// ── Goods that come back ─────────────────────────────────────────────────────────────────────────

impl Shop {
    pub(super) fn give_back_stock(
        &mut self,
        order: &mut Open,
        at: Place<'_>,
        movement: MovementId,
        released: &[LineAllocation],
    ) -> Performance {
        for goods in goods_released(&order.placed()?.details, released) {
            let ReleasedGoods { sku, quantity, set_aside } = goods;
            let order = at.order;
            let command = StockCommand::ReleaseUnits { order, movement, quantity, set_aside };
            self.want_of_stock(&sku, &command, at.context_of(sku.as_str()))??;
        }
        Ok(Performed::Done)
    }

    pub(super) fn restock_goods(
        &mut self,
        order: &mut Open,
        at: Place<'_>,
        movement: MovementId,
        received: &[ReceivedUnits],
    ) -> Performance {
        for LocatedGoods { sku, units } in goods_restocked(&order.placed()?.details, received) {
            let (location, quantity) = (units.location, units.quantity);
            let parts = ["restocking", &movement.to_string(), sku.as_str(), location.as_str()];
            let id = derive_uuid(&parts);
            let context = at.context_of(&format!("{sku} {location}"));
            let (movement, order) = (MovementId(id), at.order);
            let command = StockCommand::Restock { movement, order, location, quantity };
            self.want_of_stock(&sku, &command, context)??;
        }
        Ok(Performed::Done)
    }
}
