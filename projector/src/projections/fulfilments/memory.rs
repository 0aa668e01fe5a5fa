//! What the fold has to remember of an unfinished process to go on with it: the domain's state, as
//! JSON in a column.
//!
//! Only this projection reads it. A changed shape is a new version of the projection.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::fulfilment::{Ending, FulfilmentStarted, Progress, Step, Trouble};
use domain::ids::PaymentToken;
use domain::order::{CancelReason, Handling, RejectReason};
use serde::{Deserialize, Serialize};

/// A process under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    order: Arc<FulfilmentStarted>,
    done: Vec<Step>,
    refused: Option<Step>,
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
            order: without_token(&progress.order),
            done: progress.done.clone(),
            refused: progress.refused,
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
            order: memory.order,
            done: memory.done,
            refused: memory.refused,
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

/// What is due never depends on the token, and what can charge a customer has no place in a table.
fn without_token(order: &Arc<FulfilmentStarted>) -> Arc<FulfilmentStarted> {
    const HIDDEN: &str = "hidden";
    match &order.handling {
        Handling::Partners { payment_token } if payment_token.as_str() != HIDDEN => {
            let Ok(payment_token) = PaymentToken::new(HIDDEN) else { return order.clone() };
            let handling = Handling::Partners { payment_token };
            Arc::new(FulfilmentStarted { handling, ..order.as_ref().clone() })
        }
        Handling::Partners { .. } | Handling::Elsewhere { .. } => order.clone(),
    }
}
