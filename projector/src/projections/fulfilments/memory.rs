//! What the fold has to remember of an unfinished process to go on with it: the domain's state, as
//! JSON in a column.
//!
//! Only this projection reads it. A changed shape is a new version of the projection.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::fulfilment::{Ending, FulfilmentStarted, Progress, Step, Trouble, Work};
use domain::ids::PaymentToken;
use domain::order::{CancelReason, Handling, RejectReason};
use serde::{Deserialize, Serialize};

/// A process under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    started: Arc<FulfilmentStarted>,
    done: Vec<Step>,
    declined: Option<Step>,
    ending: Option<EndingMemory>,
    trouble: Option<TroubleMemory>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum EndingMemory {
    Cancelled(CancelReason),
    Rejected(RejectReason),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TroubleMemory {
    step: Step,
    attempts: u32,
    error: String,
    retry_at: Option<DateTime<Utc>>,
}

impl From<&Progress> for Memory {
    fn from(progress: &Progress) -> Self {
        Self {
            started: without_token(&progress.started),
            done: progress.done.clone(),
            declined: progress.declined,
            ending: progress.ending.clone().map(|ending| match ending {
                Ending::Cancelled(reason) => EndingMemory::Cancelled(reason),
                Ending::Rejected(reason) => EndingMemory::Rejected(reason),
            }),
            trouble: progress.trouble.clone().map(|trouble| {
                let Trouble { step, attempts, error, retry_at } = trouble;
                TroubleMemory { step, attempts, error, retry_at }
            }),
        }
    }
}

impl From<Memory> for Progress {
    fn from(memory: Memory) -> Self {
        Self {
            started: memory.started,
            done: memory.done,
            declined: memory.declined,
            ending: memory.ending.map(|ending| match ending {
                EndingMemory::Cancelled(reason) => Ending::Cancelled(reason),
                EndingMemory::Rejected(reason) => Ending::Rejected(reason),
            }),
            trouble: memory.trouble.map(|trouble| {
                let TroubleMemory { step, attempts, error, retry_at } = trouble;
                Trouble { step, attempts, error, retry_at }
            }),
        }
    }
}

/// What is due never depends on which token it is, and what can charge a customer has no place in a
/// table.
fn without_token(started: &Arc<FulfilmentStarted>) -> Arc<FulfilmentStarted> {
    let Ok(hidden) = PaymentToken::new("hidden") else { return started.clone() };
    let mut copy = started.as_ref().clone();
    let token = match &mut copy.work {
        Work::Acceptance(work) => match &mut work.handling {
            Handling::Partners { payment_token } => payment_token.as_mut(),
            Handling::Elsewhere { .. } => None,
        },
        Work::Payment { payment_token, .. } => Some(payment_token),
        Work::Delivery(_)
        | Work::Capture { .. }
        | Work::Void { .. }
        | Work::Refund { .. }
        | Work::Release { .. }
        | Work::Restock { .. }
        | Work::Backorder { .. } => None,
    };
    match token {
        Some(token) if *token != hidden => {
            *token = hidden;
            Arc::new(copy)
        }
        Some(_) | None => started.clone(),
    }
}
