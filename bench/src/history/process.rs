//! Processes, driven as process managers drive them: what is due is done, what came of it is recorded.
//! Partners are played here; what they take stands in `pace`.

use chrono::TimeDelta;
use domain::fulfilment::{
    FulfilmentCommand, FulfilmentState, Phase, Progress, Refusal, Step, Work, phase,
};
use domain::ids::{OrderId, ProcessId, derive_uuid};
use domain::order::{CancelReason, OrderStatus};
use journal::Context;
use uuid::Uuid;

use super::agenda::Turn;
use super::open::Open;
use super::shop::Shop;

/// Who does what processes do.
pub(super) const ACTOR: &str = "process:fulfilment";

/// What came of a step.
pub(super) enum Performed {
    Done,
    Refused(Refusal),
    /// Look again after so long.
    NotYet(TimeDelta),
    /// Something has to become of the order first; look again after so long in any case, if it is said.
    Awaits(Option<TimeDelta>),
}

pub(super) type Performance = anyhow::Result<Performed>;

/// Where a process is.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) process: ProcessId,
    pub(super) order: OrderId,
    pub(super) progress: &'a Progress,
    pub(super) step: Step,
}

impl Place<'_> {
    pub(super) fn context(&self) -> Context {
        self.context_of("")
    }

    /// The context of one of several commands of the step.
    pub(super) fn context_of(&self, detail: &str) -> Context {
        let before = self.progress.done.last().map_or("start", |step| step.name());
        let cause = step_id(self.process, before, "done");
        because(self.order, self.process, (self.step.name(), detail), cause)
    }
}

/// The context of what a process does at a step.
pub(super) fn because(
    order: OrderId,
    process: ProcessId,
    (step, detail): (&str, &str),
    causation_id: Uuid,
) -> Context {
    Context {
        command_id: step_id(process, step, detail),
        correlation_id: order.0,
        causation_id,
        actor: ACTOR.to_owned(),
        traceparent: None,
    }
}

fn step_id(process: ProcessId, step: &str, detail: &str) -> Uuid {
    derive_uuid(&["fulfilment", &process.to_string(), step, detail])
}

/// What an order that is over means for its processes.
pub(super) fn over(status: &OrderStatus) -> Option<Refusal> {
    match status {
        OrderStatus::Cancelled(reason) => Some(Refusal::OrderCancelled { reason: *reason }),
        OrderStatus::Rejected(_) => {
            Some(Refusal::OrderCancelled { reason: CancelReason::Inventory })
        }
        OrderStatus::Pending | OrderStatus::Confirmed | OrderStatus::Completed => None,
    }
}

impl Shop {
    /// Takes a process one step further, if there is one to take.
    pub(super) fn drive(&mut self, order: &mut Open, process: ProcessId) -> anyhow::Result<()> {
        if let Some((started, cause)) = order.seeds.remove(&process) {
            let context = because(order.id(), process, ("start", "done"), cause);
            self.record(order, process, &FulfilmentCommand::Start(started), context)?;
            self.go_on(order, process);
            return Ok(());
        }
        let Some(stream) = order.processes.get(&process) else { return Ok(()) };
        let FulfilmentState::Running(progress) = &stream.state else { return Ok(()) };
        let progress = progress.clone();
        let step = match phase(&stream.state) {
            Phase::Due(step) => step,
            Phase::Finished(_) => return Ok(()),
            phase @ (Phase::NotStarted | Phase::Waiting { .. } | Phase::Parked(_)) => {
                anyhow::bail!("process {process} of order {} is {phase:?}", order.id())
            }
        };
        let at = Place { process, order: order.id(), progress: &progress, step };
        order.waiting.remove(&process);
        let (command, detail) = match self.perform(order, at)? {
            Performed::Done => (FulfilmentCommand::Complete { step }, "done"),
            Performed::Refused(refusal) => (FulfilmentCommand::Refuse { step, refusal }, "refused"),
            Performed::NotYet(after) => {
                self.put_down(order, after, Turn::Drive(process));
                return Ok(());
            }
            Performed::Awaits(after) => {
                order.waiting.insert(process);
                if let Some(after) = after {
                    self.put_down(order, after, Turn::Drive(process));
                }
                return Ok(());
            }
        };
        let cause = step_id(process, step.name(), "");
        let context = because(order.id(), process, (step.name(), detail), cause);
        self.record(order, process, &command, context)?;
        self.go_on(order, process);
        Ok(())
    }

    fn record(
        &mut self,
        order: &mut Open,
        process: ProcessId,
        command: &FulfilmentCommand,
        context: Context,
    ) -> anyhow::Result<()> {
        if let Some(stream) = order.processes.get_mut(&process) {
            self.log.execute(stream, command, context)?;
        }
        Ok(())
    }

    /// The next step is taken after what it takes.
    fn go_on(&mut self, order: &mut Open, process: ProcessId) {
        let Some(stream) = order.processes.get(&process) else { return };
        if let Phase::Due(step) = phase(&stream.state) {
            let (shortest, longest) = pace(step);
            let after = self.chance.wait(shortest, longest);
            self.put_down(order, after, Turn::Drive(process));
        }
    }

    fn perform(&mut self, order: &mut Open, at: Place<'_>) -> Performance {
        match (at.step, at.progress.work()) {
            (Step::ReserveStock, Work::Acceptance(work)) => self.reserve_stock(order, at, work),
            (Step::AuthorisePayment, Work::Acceptance(work)) => self.authorise(order, at, work),
            (Step::CommitStock, Work::Acceptance(work)) => self.commit_stock(order, at, work),
            (Step::ConfirmOrder, Work::Acceptance(_)) => self.confirm_order(order, at),
            (Step::WatchAuthorisation, Work::Acceptance(_)) => self.watch_authorisation(order, at),
            (Step::ReleaseStock, Work::Acceptance(work)) => self.release_stock(at, work),
            (Step::CloseOrder, Work::Acceptance(_)) => self.close_order(order, at),

            (Step::BookShipment, Work::Delivery(work)) => self.book_shipment(order, at, work),
            (Step::DispatchOrder, Work::Delivery(work)) => self.dispatch(order, at, work),
            (Step::HandOver, Work::Delivery(work)) => self.hand_over(order, at, work),
            (Step::AwaitDelivery, Work::Delivery(work)) => self.await_delivery(order, at, work),
            (Step::CancelBooking, Work::Delivery(work)) => self.cancel_booking(order, at, work),

            (Step::CapturePayment, Work::Capture { capture, payment, amount, is_final }) => {
                self.capture(order, at, (*capture, *payment), *amount, *is_final)
            }
            (Step::VoidPayment, work) => self.void_payment(order, at, work),
            (Step::RefundPayment, Work::Refund { refund, payment, amount }) => {
                self.move_back(order, at, (*refund, *payment), *amount)
            }
            (Step::GiveBackStock, Work::Release { movement, released }) => {
                self.give_back_stock(order, at, *movement, released)
            }
            (Step::RestockGoods, Work::Restock { movement, received }) => {
                self.restock_goods(order, at, *movement, received)
            }
            (step, work) => anyhow::bail!("nobody plays {step} of {}", work.kind()),
        }
    }
}

/// What a step takes, at least and at most: those of partners take seconds or minutes.
const fn pace(step: Step) -> (TimeDelta, TimeDelta) {
    match step {
        Step::AuthorisePayment | Step::CapturePayment | Step::RefundPayment | Step::VoidPayment => {
            (TimeDelta::milliseconds(80), TimeDelta::seconds(20))
        }
        Step::BookShipment | Step::HandOver | Step::CancelBooking => {
            (TimeDelta::milliseconds(300), TimeDelta::minutes(45))
        }
        Step::ReserveStock
        | Step::CommitStock
        | Step::ConfirmOrder
        | Step::WatchAuthorisation
        | Step::DispatchOrder
        | Step::ShipOrder
        | Step::AwaitDelivery
        | Step::CompleteOrder
        | Step::GiveBackStock
        | Step::RestockGoods
        | Step::RecordBackorder
        | Step::ReleaseStock
        | Step::CloseOrder => (TimeDelta::milliseconds(2), TimeDelta::milliseconds(40)),
    }
}
