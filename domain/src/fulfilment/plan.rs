//! The steps of each kind of process, their order and what undoes them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::work::{AcceptanceWork, Kind, Work};
use crate::order::ShippedBy;
use crate::stock::Acceptance;

/// Something a process does, forward or to undo it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Sets every SKU of the order aside and tells the order what was found.
    ReserveStock,
    /// Has the gateway hold what is to be paid, or waits until it is paid by hand.
    AuthorisePayment,
    /// Makes what was set aside permanent.
    CommitStock,
    /// Promises delivery.
    ConfirmOrder,
    /// Waits until the gateway holds nothing any more, and says so when time ran out.
    WatchAuthorisation,
    /// Has the carrier come.
    BookShipment,
    /// Closes a shipment to cancellation: its goods leave.
    DispatchOrder,
    /// Of the days when an order was one shipment: closed the order to cancellation.
    ShipOrder,
    /// Gives the goods to the carrier and takes them off the shelf.
    HandOver,
    /// Has the gateway move money to us.
    CapturePayment,
    /// Asks the carrier until it has delivered, and tells the order its news.
    AwaitDelivery,
    /// Of the days when an order was one shipment: closed the order.
    CompleteOrder,
    /// Has the gateway move money back.
    RefundPayment,
    /// Gives back the stock of cancelled units.
    GiveBackStock,
    /// Puts goods that came back onto the shelf.
    RestockGoods,
    /// Tells the order that goods have come that it awaited.
    RecordBackorder,
    /// Undoes [`Step::BookShipment`].
    CancelBooking,
    /// Has the gateway let go of what it holds. Undoes [`Step::AuthorisePayment`].
    VoidPayment,
    /// Undoes [`Step::ReserveStock`], also where it got only half way.
    ReleaseStock,
    /// Tells the order that it is rejected or cancelled; the last step when an order is given up.
    CloseOrder,
}

impl Step {
    /// The name it is stored and shown under.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReserveStock => "reserve-stock",
            Self::AuthorisePayment => "authorise-payment",
            Self::CommitStock => "commit-stock",
            Self::ConfirmOrder => "confirm-order",
            Self::WatchAuthorisation => "watch-authorisation",
            Self::BookShipment => "book-shipment",
            Self::DispatchOrder => "dispatch-order",
            Self::ShipOrder => "ship-order",
            Self::HandOver => "hand-over",
            Self::CapturePayment => "capture-payment",
            Self::AwaitDelivery => "await-delivery",
            Self::CompleteOrder => "complete-order",
            Self::RefundPayment => "refund-payment",
            Self::GiveBackStock => "give-back-stock",
            Self::RestockGoods => "restock-goods",
            Self::RecordBackorder => "record-backorder",
            Self::CancelBooking => "cancel-booking",
            Self::VoidPayment => "void-payment",
            Self::ReleaseStock => "release-stock",
            Self::CloseOrder => "close-order",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a step is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compensation {
    /// By this step.
    By(Step),
    /// By what undoes the steps before it: it needs nothing of its own.
    Implied,
    /// Not at all: from here on the process only goes forward. Where something is to be undone
    /// later, the order asks for it, and another process does it.
    Irrevocable,
}

/// One row of a table of steps.
#[derive(Debug, Clone, Copy)]
pub struct StepPlan {
    /// What is done.
    pub step: Step,
    /// What undoes it.
    pub undone_by: Compensation,
    /// Whether this work needs it.
    pub applies: fn(&Work) -> bool,
}

/// The steps of a kind of process in their order. See the [module](super) for what each is for.
pub const fn steps_of(kind: Kind) -> &'static [StepPlan] {
    match kind {
        Kind::Acceptance => &ACCEPTANCE,
        Kind::Payment => &PAYMENT,
        Kind::Delivery => &DELIVERY,
        Kind::Capture => &CAPTURE,
        Kind::Void => &VOID,
        Kind::Refund => &REFUND,
        Kind::Release => &RELEASE,
        Kind::Restock => &RESTOCK,
        Kind::Backorder => &BACKORDER,
    }
}

const ACCEPTANCE: [StepPlan; 5] = [
    row(Step::ReserveStock, Compensation::By(Step::ReleaseStock), reserves),
    row(Step::AuthorisePayment, Compensation::By(Step::VoidPayment), is_paid),
    row(Step::CommitStock, Compensation::Implied, may_lose_goods),
    row(Step::ConfirmOrder, Compensation::Irrevocable, always),
    row(Step::WatchAuthorisation, Compensation::Irrevocable, is_charged),
];

const PAYMENT: [StepPlan; 2] = [
    row(Step::AuthorisePayment, Compensation::By(Step::VoidPayment), always),
    row(Step::WatchAuthorisation, Compensation::Irrevocable, always),
];

const DELIVERY: [StepPlan; 4] = [
    row(Step::BookShipment, Compensation::By(Step::CancelBooking), is_carried),
    row(Step::DispatchOrder, Compensation::Irrevocable, always),
    row(Step::HandOver, Compensation::Irrevocable, always),
    row(Step::AwaitDelivery, Compensation::Irrevocable, always),
];

const CAPTURE: [StepPlan; 1] = [row(Step::CapturePayment, Compensation::Irrevocable, always)];
const VOID: [StepPlan; 1] = [row(Step::VoidPayment, Compensation::Irrevocable, always)];
const REFUND: [StepPlan; 1] = [row(Step::RefundPayment, Compensation::Irrevocable, always)];
const RELEASE: [StepPlan; 1] = [row(Step::GiveBackStock, Compensation::Irrevocable, always)];
const RESTOCK: [StepPlan; 1] = [row(Step::RestockGoods, Compensation::Irrevocable, always)];

const BACKORDER: [StepPlan; 1] = [row(Step::RecordBackorder, Compensation::Irrevocable, always)];

const fn row(step: Step, undone_by: Compensation, applies: fn(&Work) -> bool) -> StepPlan {
    StepPlan { step, undone_by, applies }
}

fn always(_: &Work) -> bool {
    true
}

fn reserves(work: &Work) -> bool {
    work.acceptance().is_some_and(|work| !work.reservations.is_empty())
}

/// Whether what was set aside is given back by itself after a time, or may be more than the order was
/// told of.
fn may_lose_goods(work: &Work) -> bool {
    let for_a_time = |work: &AcceptanceWork| {
        work.payment_deadline.is_some() || work.acceptance == Acceptance::Partial
    };
    reserves(work) && work.acceptance().is_some_and(for_a_time)
}

fn is_paid(work: &Work) -> bool {
    work.acceptance().is_some_and(|work| work.total.is_positive())
}

fn is_charged(work: &Work) -> bool {
    work.acceptance().is_some_and(AcceptanceWork::is_charged)
}

fn is_carried(work: &Work) -> bool {
    work.delivery().is_some_and(|work| matches!(work.by, ShippedBy::Partner { .. }))
}
