//! What can have happened to a process. Stored: see `schemas`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::plan::Step;
use super::work::Work;
use crate::ids::{OrderId, ProcessId, Sku};
use crate::order::CancelReason;

/// Everything that can have happened to a process.
#[derive(Debug, Clone, PartialEq)]
pub enum FulfilmentEvent {
    /// It began.
    Started(FulfilmentStarted),
    /// What it works for is given up.
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

/// The process began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FulfilmentStarted {
    /// For which order; the one that has the process's own id, if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// What it is to do.
    pub work: Work,
}

impl FulfilmentStarted {
    /// The order that `process` works for.
    pub fn order_of(&self, process: ProcessId) -> OrderId {
        self.order.unwrap_or(OrderId(process.0))
    }
}

/// What the process works for, an order or a shipment, is given up.
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

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// What it was to do is done, or was answered for good where a partner had to answer: a capture
    /// or a refund that the gateway refused stands in the order.
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
    /// What had been set aside was given back before the payment came: its time was over.
    ReservationExpired {
        /// Of which SKU.
        sku: Sku,
    },
    /// The order was cancelled before the step could be taken.
    OrderCancelled {
        /// Why.
        reason: CancelReason,
    },
    /// The shipment was cancelled before it could leave.
    ShipmentCancelled,
}
