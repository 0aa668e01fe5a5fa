//! The steps, their order and what undoes them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::event::FulfilmentStarted;

/// Something the process does, forward or to undo it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Sets every SKU of the order aside.
    ReserveStock,
    /// Has the gateway hold the total.
    AuthorisePayment,
    /// Promises delivery.
    ConfirmOrder,
    /// Has the carrier come.
    BookShipment,
    /// Closes the order to cancellation.
    ShipOrder,
    /// Gives the goods to the carrier and takes them off the shelf.
    HandOver,
    /// Has the gateway move the money.
    CapturePayment,
    /// Asks the carrier until it has delivered.
    AwaitDelivery,
    /// Closes the order.
    CompleteOrder,
    /// Undoes [`Step::BookShipment`].
    CancelBooking,
    /// Undoes [`Step::AuthorisePayment`].
    VoidPayment,
    /// Undoes [`Step::ReserveStock`], also where it got only half way.
    ReleaseStock,
    /// Tells the order that it is rejected or cancelled; the last step of every unwinding.
    CloseOrder,
}

impl Step {
    /// The name it is stored and shown under.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReserveStock => "reserve-stock",
            Self::AuthorisePayment => "authorise-payment",
            Self::ConfirmOrder => "confirm-order",
            Self::BookShipment => "book-shipment",
            Self::ShipOrder => "ship-order",
            Self::HandOver => "hand-over",
            Self::CapturePayment => "capture-payment",
            Self::AwaitDelivery => "await-delivery",
            Self::CompleteOrder => "complete-order",
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
    /// By closing the order, which every unwinding ends with.
    ByClosing,
    /// Not at all: from here on the process only goes forward.
    Irrevocable,
}

/// One row of the table of steps.
#[derive(Debug, Clone, Copy)]
pub struct StepPlan {
    /// What is done.
    pub step: Step,
    /// What undoes it.
    pub undone_by: Compensation,
    /// Whether an order needs it.
    pub applies: fn(&FulfilmentStarted) -> bool,
}

/// The steps in their order. See the [module](super) for what each is for.
pub const STEPS: [StepPlan; 9] = [
    row(Step::ReserveStock, Compensation::By(Step::ReleaseStock), |order| {
        !order.reservations.is_empty()
    }),
    row(Step::AuthorisePayment, Compensation::By(Step::VoidPayment), |order| {
        order.total.is_positive()
    }),
    row(Step::ConfirmOrder, Compensation::ByClosing, |_| true),
    row(Step::BookShipment, Compensation::By(Step::CancelBooking), FulfilmentStarted::is_carried),
    row(Step::ShipOrder, Compensation::Irrevocable, |_| true),
    row(Step::HandOver, Compensation::Irrevocable, |order| !order.reservations.is_empty()),
    row(Step::CapturePayment, Compensation::Irrevocable, FulfilmentStarted::is_charged),
    row(Step::AwaitDelivery, Compensation::Irrevocable, FulfilmentStarted::is_carried),
    row(Step::CompleteOrder, Compensation::Irrevocable, |_| true),
];

const fn row(
    step: Step,
    undone_by: Compensation,
    applies: fn(&FulfilmentStarted) -> bool,
) -> StepPlan {
    StepPlan { step, undone_by, applies }
}
