//! A credit note: money given back for goods, as a document of its own.
//!
//! Shops that keep their books elsewhere issue credit notes that do not name the order they undo.
//! Such a note is neither an order nor a refund of a known payment, and is kept as what it is.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::decider::Decider;
use crate::ids::{Channel, CustomerRef, PartnerReference, Sku};
use crate::money::{Money, MoneyError};
use crate::order::LineKind;
use crate::quantity::Quantity;

/// The credit note aggregate; its id is a [`CreditNoteId`](crate::ids::CreditNoteId).
#[derive(Debug, Clone, Copy)]
pub struct CreditNote;

/// What can be wanted of a credit note.
#[derive(Debug, Clone, PartialEq)]
pub enum CreditNoteCommand {
    /// Issue it. No-op when the very same note was issued before.
    Issue {
        /// What it says.
        details: Arc<CreditNoteDetails>,
    },
}

/// What a credit note says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CreditNoteDetails {
    /// Its number in the books.
    pub number: PartnerReference,
    /// Where it comes from.
    pub channel: Channel,
    /// Who is credited, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerRef>,
    /// What is credited; quantities and prices are above zero as on an order.
    pub lines: Vec<CreditLine>,
    /// How much is credited: the sum over the lines.
    pub total: Money,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
}

/// One line of a credit note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CreditLine {
    /// What.
    pub sku: Sku,
    /// Its name as the customer saw it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Whether it takes something from a shelf.
    pub kind: LineKind,
    /// How many.
    pub quantity: Quantity,
    /// Credited for one unit.
    pub unit_price: Money,
}

impl CreditLine {
    /// Credited for the whole line.
    ///
    /// # Errors
    /// When it overflows.
    pub fn total(&self) -> Result<Money, MoneyError> {
        self.unit_price.times(self.quantity.get())
    }
}

/// What can have happened to a credit note. Stored: see `schemas`.
#[derive(Debug, Clone, PartialEq)]
pub enum CreditNoteEvent {
    /// It was issued.
    Issued(CreditNoteIssued),
}

/// A credit note was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CreditNoteIssued {
    /// What it says.
    pub details: Arc<CreditNoteDetails>,
}

/// A credit note, as later decisions need to know it.
#[derive(Debug, Clone, PartialEq)]
pub enum CreditNoteState {
    /// Nobody has issued it.
    NotIssued,
    /// It was issued.
    Issued(Arc<CreditNoteDetails>),
}

/// The rule that a credit note would have broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CreditNoteRejection {
    /// Another note was issued under this id before.
    #[error("another credit note was issued under this key before; use a new key for a new note")]
    IdempotencyConflict,
    /// A note has at least one line.
    #[error("a credit note needs at least one line")]
    NoLines,
    /// All prices are in one currency, and fit.
    #[error("line {line} cannot be added up")]
    Arithmetic {
        /// Which line, from 0.
        line: usize,
        /// What is wrong.
        #[source]
        source: MoneyError,
    },
    /// The total is the sum over the lines.
    #[error("the total is {declared}, but the lines add up to {computed}")]
    TotalMismatch {
        /// As given.
        declared: Money,
        /// As computed.
        computed: Money,
    },
}

impl Decider for CreditNote {
    type State = CreditNoteState;
    type Command = CreditNoteCommand;
    type Event = CreditNoteEvent;
    type Rejection = CreditNoteRejection;

    fn initial() -> CreditNoteState {
        CreditNoteState::NotIssued
    }

    fn evolve(_: CreditNoteState, event: &CreditNoteEvent) -> CreditNoteState {
        match event {
            CreditNoteEvent::Issued(issued) => CreditNoteState::Issued(issued.details.clone()),
        }
    }

    fn decide(
        state: &CreditNoteState,
        command: &CreditNoteCommand,
    ) -> Result<Vec<CreditNoteEvent>, CreditNoteRejection> {
        let CreditNoteCommand::Issue { details } = command;
        match state {
            CreditNoteState::Issued(issued) if issued == details => Ok(vec![]),
            CreditNoteState::Issued(_) => Err(CreditNoteRejection::IdempotencyConflict),
            CreditNoteState::NotIssued => {
                check_total(details)?;
                let issued = CreditNoteIssued { details: details.clone() };
                Ok(vec![CreditNoteEvent::Issued(issued)])
            }
        }
    }

    fn opens_stream(command: &CreditNoteCommand) -> bool {
        matches!(command, CreditNoteCommand::Issue { .. })
    }
}

fn check_total(details: &CreditNoteDetails) -> Result<(), CreditNoteRejection> {
    if details.lines.is_empty() {
        return Err(CreditNoteRejection::NoLines);
    }
    let mut computed = Money::zero(details.total.currency);
    for (line, content) in details.lines.iter().enumerate() {
        computed = content
            .total()
            .and_then(|total| computed.plus(total))
            .map_err(|source| CreditNoteRejection::Arithmetic { line, source })?;
    }
    if details.total != computed {
        let declared = details.total;
        return Err(CreditNoteRejection::TotalMismatch { declared, computed });
    }
    Ok(())
}
