//! Who has to hear what: which news of an order a step may be waiting for, and the bells that tell
//! the drivers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::fulfilment::Step;
use domain::ids::{OrderId, ProcessId};
use tokio::sync::Notify;

/// Events of an order that `step` may be waiting for. Whoever waits looks at the order again, so too
/// many cost work and too few cost orders.
const fn awaited_by(step: Step) -> &'static [&'static str] {
    match step {
        Step::AuthorisePayment => &[
            "order-payment-received",
            "order-payment-authorised",
            "order-lines-cancelled",
            "order-cancelled",
            "order-rejected",
        ],
        Step::ConfirmOrder => &[
            "order-hold-released",
            "order-payment-received",
            "order-payment-authorised",
            "order-lines-cancelled",
            "order-cancelled",
            "order-rejected",
        ],
        Step::WatchAuthorisation => {
            &["order-payment-captured", "order-payment-voided", "order-authorisation-expired"]
        }
        Step::BookShipment | Step::DispatchOrder => &[
            "order-hold-released",
            "order-shipment-cleared",
            "order-shipment-cancelled",
            "order-payment-received",
            "order-payment-authorised",
            "order-lines-cancelled",
        ],
        Step::AwaitDelivery => &["order-shipment-delivered"],
        Step::RecordBackorder => &["order-allocated", "order-cancelled", "order-rejected"],
        Step::ReserveStock
        | Step::CommitStock
        | Step::ShipOrder
        | Step::HandOver
        | Step::CapturePayment
        | Step::CompleteOrder
        | Step::RefundPayment
        | Step::GiveBackStock
        | Step::RestockGoods
        | Step::CancelBooking
        | Step::VoidPayment
        | Step::ReleaseStock
        | Step::CloseOrder => &[],
    }
}

/// Wakes one driver.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    bell: Notify,
    step: Mutex<Option<Step>>,
}

impl Bell {
    /// Rings: somebody wrote to the process. Heard also by a driver that only waits later.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Rings if the step that is being taken may be waiting for this.
    fn ring_for(&self, event_type: &str) {
        let step = *self.step.lock().unwrap_or_else(PoisonError::into_inner);
        if step.is_some_and(|step| awaited_by(step).contains(&event_type)) {
            self.ring();
        }
    }

    /// Says which step is going to be taken. To be said before the step looks at the order: news
    /// that come after that look are then rung for.
    pub(crate) fn listen_for(&self, step: Step) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
    }

    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }
}

/// The drivers at work, and for which orders.
#[derive(Debug, Default)]
pub(crate) struct Roster(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    drivers: HashMap<ProcessId, (Arc<Bell>, Option<OrderId>)>,
    of_order: HashMap<OrderId, Vec<ProcessId>>,
}

impl Roster {
    /// Rings for the driver of `process`; false when it has none.
    pub(crate) fn ring(&self, process: ProcessId) -> bool {
        self.entries().drivers.get(&process).inspect(|(bell, _)| bell.ring()).is_some()
    }

    /// Rings for those drivers of `order` whose step may be waiting for an event of this type.
    pub(crate) fn tell(&self, order: OrderId, event_type: &str) {
        let entries = self.entries();
        let processes = entries.of_order.get(&order).into_iter().flatten();
        for (bell, _) in processes.filter_map(|process| entries.drivers.get(process)) {
            bell.ring_for(event_type);
        }
    }

    /// Notes that `process` gets a driver, which will hear this bell.
    pub(crate) fn begin(&self, process: ProcessId) -> Arc<Bell> {
        let bell = Arc::new(Bell::default());
        self.entries().drivers.insert(process, (bell.clone(), None));
        bell
    }

    /// Notes for which order a driver works. To be noted before it looks at the order.
    pub(crate) fn works_for(&self, process: ProcessId, order: OrderId) {
        let mut entries = self.entries();
        if let Some((_, known)) = entries.drivers.get_mut(&process)
            && known.is_none()
        {
            *known = Some(order);
            entries.of_order.entry(order).or_default().push(process);
        }
    }

    /// Notes that `process` has no driver any more.
    pub(crate) fn end(&self, process: ProcessId) {
        let mut entries = self.entries();
        let Some((_, Some(order))) = entries.drivers.remove(&process) else { return };
        if let Some(processes) = entries.of_order.get_mut(&order) {
            processes.retain(|other| *other != process);
            if processes.is_empty() {
                entries.of_order.remove(&order);
            }
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use domain::fulfilment::{Kind, steps_of};
    use futures::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    const ORDER: OrderId = OrderId(Uuid::from_u128(1));
    const PROCESS: ProcessId = ProcessId(Uuid::from_u128(2));

    fn is_rung(bell: &Bell) -> bool {
        bell.rung().now_or_never().is_some()
    }

    #[test]
    fn only_events_that_exist_are_awaited() {
        for plan in steps_of(Kind::Acceptance).iter().chain(steps_of(Kind::Delivery)) {
            for awaited in awaited_by(plan.step) {
                let exists = schemas::EVENT_TYPES.iter().any(|row| row.name == *awaited);
                assert!(exists, "{} awaits {awaited}", plan.step);
            }
        }
    }

    #[test]
    fn a_driver_hears_what_its_step_may_be_waiting_for_and_nothing_else() {
        let roster = Roster::default();
        let bell = roster.begin(PROCESS);
        roster.works_for(PROCESS, ORDER);
        bell.listen_for(Step::ConfirmOrder);
        roster.tell(ORDER, "order-tags-changed");
        assert!(!is_rung(&bell));
        roster.tell(OrderId(Uuid::from_u128(9)), "order-hold-released");
        assert!(!is_rung(&bell), "of another order");
        roster.tell(ORDER, "order-hold-released");
        assert!(is_rung(&bell), "heard although nobody was waiting yet");
    }

    #[test]
    fn who_has_no_driver_any_more_is_forgotten() {
        let roster = Roster::default();
        let bell = roster.begin(PROCESS);
        roster.works_for(PROCESS, ORDER);
        assert!(roster.ring(PROCESS) && is_rung(&bell));
        roster.end(PROCESS);
        assert!(!roster.ring(PROCESS));
        assert!(roster.entries().of_order.is_empty());
    }
}
