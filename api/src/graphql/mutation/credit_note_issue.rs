//! `creditNoteIssue`.

use std::sync::Arc;

use async_graphql::{Context, Error, InputObject, Object, SimpleObject};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use domain::credit_note::{CreditLine, CreditNoteCommand, CreditNoteDetails, CreditNoteRejection};
use domain::ids::{Channel, CreditNoteId, CustomerRef, IdempotencyKey, PartnerReference, Sku};
use domain::money::Currency;
use domain::quantity::Quantity;

use crate::graphql::error::rejection;
use crate::graphql::input::{MoneyInput, read_key};
use crate::graphql::model::{CreditNote, LineKind};
use crate::graphql::request::{Caller, Services};
use crate::graphql::user_error::{Problems, UserError, at};

#[derive(Default)]
pub(crate) struct CreditNoteIssue;

/// A credit note to be issued. It names no order: see `orderCancel` for one that is still here.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct CreditNoteIssueInput {
    /// Chosen by the caller, one per credit note, repeated on a retry. The HTTP header
    /// Idempotency-Key when left out.
    idempotency_key: Option<String>,
    /// Its number in the books.
    number: String,
    /// Where it comes from: a shop, a marketplace, a till.
    #[graphql(default_with = "\"web\".to_owned()")]
    channel: String,
    /// Who is credited: the customer's id in the system that knows the person.
    customer: Option<String>,
    /// What is credited; quantities are above zero, as on an order.
    lines: Vec<CreditNoteLineInput>,
    /// How much is credited: must be the sum over the lines. Its currency is needed, and is the one
    /// currency of the credit note.
    total: MoneyInput,
    /// When it was issued.
    issued_at: DateTime<Utc>,
}

/// One line of a credit note: what, how many, at which price.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct CreditNoteLineInput {
    /// Stock keeping unit: letters, digits and . _ - /
    sku: String,
    /// Its name as the customer saw it.
    #[graphql(default)]
    title: String,
    /// Whether it takes something from a shelf.
    #[graphql(default_with = "LineKind::Goods")]
    kind: LineKind,
    /// How many, from 1 to 10000000.
    quantity: i64,
    /// Credited for one unit.
    unit_price: MoneyInput,
}

/// What became of `creditNoteIssue`.
#[derive(Default, SimpleObject)]
pub(crate) struct CreditNoteIssuePayload {
    /// The credit note; none when there are user errors.
    credit_note: Option<CreditNote>,
    /// Queries that take this as `atLeast` see it.
    position: Option<String>,
    /// Whether this very credit note was issued before, under the same key.
    replayed: bool,
    /// What is wrong with the input; nothing was issued.
    user_errors: Vec<UserError>,
}

#[Object]
impl CreditNoteIssue {
    /// Issues a credit note. Needs the scope `credit-notes:write`.
    async fn credit_note_issue(
        &self,
        ctx: &Context<'_>,
        input: CreditNoteIssueInput,
    ) -> Result<CreditNoteIssuePayload, Error> {
        let (caller, services) = (Caller::of(ctx), Services::of(ctx));
        let (key, details) = match read(&input, caller) {
            Ok(wanted) => wanted,
            Err(errors) => return Ok(refused(errors)),
        };
        let id = CreditNoteId::derive(caller.actor(), &details.channel, &key);
        let command_id = caller.command_id(&["creditNoteIssue", &id.to_string(), key.as_str()]);
        let context = caller.context(command_id, id.0);
        let command = CreditNoteCommand::Issue { details: Arc::new(details) };
        match services.credit_notes.execute(&id, command, context).await {
            Ok(executed) => Ok(CreditNoteIssuePayload {
                credit_note: CreditNote::executed(id, &executed),
                position: Some(executed.position.to_string()),
                replayed: executed.replayed,
                user_errors: vec![],
            }),
            Err(cause) => Ok(refused(vec![user_error(&rejection(ctx, cause)?)])),
        }
    }
}

fn refused(user_errors: Vec<UserError>) -> CreditNoteIssuePayload {
    CreditNoteIssuePayload { user_errors, ..CreditNoteIssuePayload::default() }
}

fn read(
    input: &CreditNoteIssueInput,
    caller: &Caller,
) -> Result<(IdempotencyKey, CreditNoteDetails), Vec<UserError>> {
    let mut problems = Problems::default();
    let p = &mut problems;
    let key = read_key(input.idempotency_key.as_deref(), caller, p);
    let number = p.check(PartnerReference::new(&input.number), at!["number"]);
    let channel = p.check(Channel::new(&input.channel), at!["channel"]);
    let customer = input.customer.as_ref().map(|id| p.check(CustomerRef::new(id), at!["customer"]));
    // What is kept everywhere is microseconds.
    let issued_at = input.issued_at.duration_trunc(TimeDelta::microseconds(1));
    let issued_at = p.check(issued_at, at!["issuedAt"]);
    let currency = p.check(read_currency(&input.total), at!["total", "currencyCode"]);
    let money = currency.map(|currency| {
        let lines = read_credit_lines(&input.lines, currency, p);
        (lines, input.total.read(currency, at!["total"], p))
    });
    let read = || {
        let (lines, total) = money?;
        let details = CreditNoteDetails {
            number: number?,
            channel: channel?,
            customer: customer.flatten(),
            lines,
            total: total?,
            issued_at: issued_at?,
        };
        Some((key?, details))
    };
    match (read(), problems.into_errors()) {
        (Some(wanted), errors) if errors.is_empty() => Ok(wanted),
        (_, errors) => Err(errors),
    }
}

fn read_credit_lines(
    lines: &[CreditNoteLineInput],
    currency: Currency,
    problems: &mut Problems,
) -> Vec<CreditLine> {
    let read = |(n, line): (usize, &CreditNoteLineInput)| {
        let sku = problems.check(Sku::new(&line.sku), at!["lines", n, "sku"]);
        let quantity = problems.check(Quantity::new(line.quantity), at!["lines", n, "quantity"]);
        let unit_price = line.unit_price.read(currency, at!["lines", n, "unitPrice"], problems);
        Some(CreditLine {
            sku: sku?,
            title: line.title.clone(),
            kind: line.kind.into(),
            quantity: quantity?,
            unit_price: unit_price?,
        })
    };
    lines.iter().enumerate().filter_map(read).collect()
}

fn read_currency(total: &MoneyInput) -> Result<Currency, String> {
    let Some(code) = &total.currency_code else {
        return Err("the currency of the credit note is needed, such as GBP".to_owned());
    };
    code.0.parse::<Currency>().map_err(|error| error.to_string())
}

/// The rule that was broken, in the words of the input.
fn user_error(broken: &CreditNoteRejection) -> UserError {
    match broken {
        CreditNoteRejection::IdempotencyConflict => {
            UserError::conflict(at!["idempotencyKey"], broken)
        }
        CreditNoteRejection::NoLines => UserError::invalid(at!["lines"], broken),
        CreditNoteRejection::Arithmetic { line, source } => {
            UserError::invalid(at!["lines", line, "unitPrice", "amount"], source)
        }
        CreditNoteRejection::TotalMismatch { declared, computed } => {
            UserError::mismatch(at!["total", "amount"], broken, *declared, *computed)
        }
    }
}
