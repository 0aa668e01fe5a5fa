//! What can have happened to a fulfilment process. Stored: see `schemas`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::plan::Step;
use crate::ids::{CountryCode, Sku};
use crate::money::Money;
use crate::order::{CancelReason, Handling, OrderDetails};
use crate::quantity::Quantity;

/// Everything that can have happened to a fulfilment process.
#[derive(Debug, Clone, PartialEq)]
pub enum FulfilmentEvent {
    /// It began.
    Started(FulfilmentStarted),
    /// The order is to be given up.
    CancellationRequested(FulfilmentCancellationRequested),
    /// A step is done.
    StepCompleted(FulfilmentStepCompleted),
    /// A step was refused for good.
    StepRefused(FulfilmentStepRefused),
    /// A try of a step failed and will be repeated.
    StepFailed(FulfilmentStepFailed),
    /// A step waits for an operator.
    StepParked(FulfilmentStepParked),
    /// An operator wants it tried again.
    StepResumed(FulfilmentStepResumed),
    /// Nothing is left to do.
    Finished(FulfilmentFinished),
}

/// The process began. Carries what its steps need, so that it never reads the order again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FulfilmentStarted {
    /// Goods to set aside, one entry per SKU, in the order of SKUs.
    pub reservations: Vec<Reservation>,
    /// What is to be paid.
    pub total: Money,
    /// Where the goods go.
    pub country: CountryCode,
    /// Who moves money and goods.
    pub handling: Handling,
    /// When an order that is not paid by then is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_deadline: Option<DateTime<Utc>>,
}

impl FulfilmentStarted {
    /// What has to be done for an order. The deadline counts only where our gateway is to be paid.
    pub fn of(order: &OrderDetails, payment_deadline: DateTime<Utc>) -> Self {
        let reservation = |(sku, units): (&Sku, u64)| Reservation {
            sku: sku.clone(),
            quantity: Quantity::nearest(units),
        };
        let mut started = Self {
            reservations: order.goods().into_iter().map(reservation).collect(),
            total: order.total,
            country: order.country.clone(),
            handling: order.handling.clone(),
            payment_deadline: None,
        };
        started.payment_deadline = started.is_charged().then_some(payment_deadline);
        started
    }

    /// Whether our gateway charges the customer.
    pub fn is_charged(&self) -> bool {
        self.total.is_positive() && matches!(self.handling, Handling::Partners { .. })
    }

    /// Whether our carrier brings the goods.
    pub fn is_carried(&self) -> bool {
        !self.reservations.is_empty() && matches!(self.handling, Handling::Partners { .. })
    }
}

/// Goods of one SKU to set aside, over all lines of the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// Which goods.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
}

/// The order is to be given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FulfilmentCancellationRequested {
    /// Why.
    pub reason: CancelReason,
}

/// A step is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FulfilmentStepCompleted {
    /// Which one.
    pub step: Step,
}

/// A step was refused for good: the process turns round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FulfilmentStepRefused {
    /// Which one.
    pub step: Step,
    /// Why.
    pub refusal: Refusal,
}

/// A try of a step failed and will be repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FulfilmentStepFailed {
    /// Which one.
    pub step: Step,
    /// Tries so far.
    pub attempt: u32,
    /// What went wrong, for an operator.
    pub error: String,
    /// When the next try is due.
    pub retry_at: DateTime<Utc>,
}

/// A step failed too often and waits for an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FulfilmentStepParked {
    /// Which one.
    pub step: Step,
    /// What went wrong last.
    pub error: String,
}

/// An operator wants a parked step tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FulfilmentStepResumed {
    /// Which one.
    pub step: Step,
}

/// Nothing is left to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FulfilmentFinished {
    /// How it ended.
    pub outcome: Outcome,
}

/// How a fulfilment process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The customer has the goods and we have the money.
    Fulfilled,
    /// Given up; everything is undone.
    Cancelled,
    /// Could not be supplied; everything is undone.
    Rejected,
}

/// Why a step was refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum Refusal {
    /// There is not enough of a SKU.
    InsufficientStock {
        /// Of which one.
        sku: Sku,
        /// Units wanted.
        requested: u64,
        /// Units available.
        available: u64,
    },
    /// The SKU has never been received into stock.
    UnknownSku {
        /// Which one.
        sku: Sku,
    },
    /// The gateway declined.
    PaymentDeclined,
    /// The order was cancelled before the step could be taken.
    OrderCancelled {
        /// Why.
        reason: CancelReason,
    },
}
