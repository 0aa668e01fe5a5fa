//! A credit note, as the schema shows it.

use std::sync::Arc;

use async_graphql::{Context, Error, Object, SimpleObject};
use chrono::{DateTime, Utc};
use domain::credit_note::{CreditLine, CreditNoteDetails, CreditNoteState};
use domain::ids::CreditNoteId;
use journal::Executed;
use projector::read_model::{CreditLineRow, CreditNoteRow};
use uuid::Uuid;

use super::{LineKind, Money, small};
use crate::graphql::loaders::Loaders;

/// A credit note, as the log or the read model has it.
#[derive(Debug, Clone)]
pub(crate) struct CreditNote {
    id: Uuid,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Row(Box<CreditNoteRow>),
    Aggregate(Arc<CreditNoteDetails>),
}

impl From<CreditNoteRow> for CreditNote {
    fn from(row: CreditNoteRow) -> Self {
        Self { id: row.id, source: Source::Row(Box::new(row)) }
    }
}

impl CreditNote {
    /// The note as a command left it; `None` when there is none.
    pub(crate) fn executed(
        id: CreditNoteId,
        executed: &Executed<domain::credit_note::CreditNote>,
    ) -> Option<Self> {
        match &*executed.state {
            CreditNoteState::NotIssued => None,
            CreditNoteState::Issued(details) => {
                Some(Self { id: id.0, source: Source::Aggregate(details.clone()) })
            }
        }
    }
}

/// A credit note: money given back for goods, as a document of its own.
#[Object]
impl CreditNote {
    /// Its id.
    pub(crate) async fn id(&self) -> Uuid {
        self.id
    }

    /// Its number in the books.
    async fn number(&self) -> &str {
        match &self.source {
            Source::Row(row) => &row.number,
            Source::Aggregate(details) => details.number.as_str(),
        }
    }

    /// Where it comes from.
    async fn channel(&self) -> &str {
        match &self.source {
            Source::Row(row) => &row.channel,
            Source::Aggregate(details) => details.channel.as_str(),
        }
    }

    /// Who is credited, if that is known.
    async fn customer(&self) -> Option<&str> {
        match &self.source {
            Source::Row(row) => row.customer.as_deref(),
            Source::Aggregate(details) => {
                details.customer.as_ref().map(domain::ids::CustomerRef::as_str)
            }
        }
    }

    /// What is credited.
    #[graphql(complexity = "5 + child_complexity")]
    async fn lines(&self, ctx: &Context<'_>) -> Result<Vec<CreditNoteLine>, Error> {
        match &self.source {
            Source::Row(row) => {
                let rows = Loaders::of(ctx).credit_note_lines(ctx, self.id).await?;
                Ok(rows.into_iter().map(|line| CreditNoteLine::of(line, &row.currency)).collect())
            }
            Source::Aggregate(details) => Ok(details.lines.iter().map(Into::into).collect()),
        }
    }

    /// How much is credited: the sum over the lines, above zero.
    async fn total(&self) -> Money {
        match &self.source {
            Source::Row(row) => Money::from_minor(row.total_minor, &row.currency),
            Source::Aggregate(details) => details.total.into(),
        }
    }

    /// Whether a later event could not be understood: what is shown is right, but may be out of date.
    async fn quarantined(&self) -> bool {
        match &self.source {
            Source::Row(row) => row.quarantined,
            Source::Aggregate(_) => false,
        }
    }

    /// When it was issued.
    async fn issued_at(&self) -> DateTime<Utc> {
        match &self.source {
            Source::Row(row) => row.issued_at,
            Source::Aggregate(details) => details.issued_at,
        }
    }
}

/// One line of a credit note.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct CreditNoteLine {
    /// What.
    sku: String,
    /// Its name as the customer saw it; may be empty.
    title: String,
    /// Whether it takes something from a shelf.
    kind: LineKind,
    /// How many.
    quantity: i32,
    /// Credited for one unit.
    unit_price: Money,
    /// Credited for the whole line.
    total: Money,
}

impl CreditNoteLine {
    fn of(row: CreditLineRow, currency: &str) -> Self {
        let total_minor = row.unit_price_minor.saturating_mul(row.quantity);
        Self {
            sku: row.sku,
            title: row.title,
            kind: row.kind.into(),
            quantity: small(row.quantity),
            unit_price: Money::from_minor(row.unit_price_minor, currency),
            total: Money::from_minor(total_minor, currency),
        }
    }
}

impl From<&CreditLine> for CreditNoteLine {
    fn from(line: &CreditLine) -> Self {
        let units = line.quantity.get();
        let total_minor = line.unit_price.minor.saturating_mul(units.into());
        Self {
            sku: line.sku.to_string(),
            title: line.title.clone(),
            kind: line.kind.into(),
            quantity: small(units),
            unit_price: line.unit_price.into(),
            total: domain::money::Money::new(total_minor, line.unit_price.currency).into(),
        }
    }
}
