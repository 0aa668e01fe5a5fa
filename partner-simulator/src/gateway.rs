//! The payment gateway's HTTP side. Rules are in [`crate::payment`], test cards in [`crate::cards`].

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, body::Bytes};
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::answer::{Problem, check_key, created_or_ok, parse};
use crate::books::After;
use crate::cards::{Card, FLAKY_FAILURES, HOLD, SLOW};
use crate::clock::{later, now};
use crate::options::Options;
use crate::payment::{Account, Answer, Decision, Part, PaymentRequest, Standing, Verdict};
use crate::refusal::Refusal;
use crate::service::Partners;

/// Names the references of authorisations, so that a key always has the same one.
const REFERENCES: Uuid = Uuid::from_u128(0x6b0a_7c1e_52f4_4c57_9a0e_3f1d_8d2b_6e41);

/// Everything under one payment's key.
pub(crate) fn payment_routes() -> Router<Arc<Partners>> {
    Router::new()
        .route("/payments/{key}", get(show).put(authorise))
        .route("/payments/{key}/capture", post(capture))
        .route("/payments/{key}/refund", post(refund))
        .route("/payments/{key}/void", post(void))
        .route("/payments/{key}/chargeback", post(charge_back))
}

/// All payments, for reconciliation.
pub(crate) async fn list(State(partners): State<Arc<Partners>>) -> Json<PaymentList> {
    let (books, now) = (partners.books(), now());
    let payments =
        books.payments().map(|(key, account)| PaymentBody::of(key, account, now)).collect();
    Json(PaymentList { payments })
}

#[derive(Serialize)]
pub(crate) struct PaymentList {
    payments: Vec<PaymentBody>,
}

/// A payment as callers see it. Amounts are in minor units.
#[derive(Serialize)]
struct PaymentBody {
    key: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
    authorised: i64,
    capturing: i64,
    captured: i64,
    refunding: i64,
    refunded: i64,
    voided: i64,
    expired: i64,
    charged_back: i64,
    authorisations: u32,
    captures: usize,
    refunds: usize,
}

impl PaymentBody {
    fn of(key: &str, account: &Account, now: DateTime<Utc>) -> Self {
        let (request, reference, until) = match &account.standing {
            Standing::Authorised { request, reference, until, .. } => {
                (Some(request), Some(reference), *until)
            }
            Standing::Declined { request } => (Some(request), None, None),
            Standing::Unknown | Standing::Closed => (None, None, None),
        };
        let declined = matches!(account.standing, Standing::Declined { .. });
        Self {
            key: key.to_owned(),
            status: account.status(now),
            code: declined.then_some("card_declined"),
            message: declined.then_some("the card's bank declined"),
            reference: reference.cloned(),
            order: request.map(|request| request.order.clone()),
            currency: request.map(|request| request.currency.clone()),
            expires_at: until.filter(|_| !account.is_pending(now)),
            authorised: account.authorised(now),
            capturing: account.captures.pending(now),
            captured: account.captured(now),
            refunding: account.refunds.pending(now),
            refunded: account.refunds.done(now),
            voided: account.voided,
            expired: account.expired(now),
            charged_back: account.charged_back(),
            authorisations: account.authorisations(now),
            captures: account.captures.count(),
            refunds: account.refunds.count(),
        }
    }
}

async fn show(
    State(partners): State<Arc<Partners>>,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let account = partners.books().payment(&key);
    if !account.is_known() {
        return Err(Refusal::UnknownPayment.into());
    }
    Ok(Json(PaymentBody::of(&key, &account, now())).into_response())
}

async fn authorise(
    State(partners): State<Arc<Partners>>,
    Path(key): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    check_key(&key)?;
    let request: PaymentRequest = parse(&body)?;
    request.check()?;
    let card = Card::of(&request.token);

    let authorising = authorise_with(Arc::clone(&partners), key.clone(), request, card);
    let after = partners.to_the_end(authorising).await?;
    if card == Card::Timeout && after.changed {
        partners.pause(partners.options.hang).await?;
    }
    let now = now();
    let status = match after.now.standing {
        Standing::Declined { .. } => StatusCode::PAYMENT_REQUIRED,
        Standing::Authorised { .. } if after.now.is_pending(now) => StatusCode::ACCEPTED,
        Standing::Unknown | Standing::Authorised { .. } | Standing::Closed => {
            created_or_ok(after.changed)
        }
    };
    Ok((status, Json(PaymentBody::of(&key, &after.now, now))).into_response())
}

async fn authorise_with(
    partners: Arc<Partners>,
    key: String,
    request: PaymentRequest,
    card: Card,
) -> Result<After<Account>, Problem> {
    partners.pause(partners.options.payment_delay).await?;
    // A key that is known gets its answer, whatever the card would do to a new one.
    if !partners.books().payment(&key).is_known() {
        if card == Card::Slow {
            partners.pause(SLOW).await?;
        }
        if card == Card::Flaky && partners.count_failure(&key) <= FLAKY_FAILURES {
            return Err(Problem::Unavailable("the bank does not answer"));
        }
    }
    let now = now();
    let verdict = verdict_of(card, &key, &partners.options, now);
    let after = partners
        .books()
        .change_payment(&key, now, |account| account.authorise(&request, verdict))?;
    partners.forget_failures(&key);
    Ok(after)
}

fn verdict_of(card: Card, key: &str, options: &Options, now: DateTime<Utc>) -> Verdict {
    if card == Card::Declined {
        return Verdict::Decline;
    }
    let until = if card == Card::Expiring { later(now, options.expiry) } else { now + HOLD };
    let from = (card == Card::Pending).then(|| later(now, options.pending));
    Verdict::Accept { reference: reference_for(key), from, until: Some(until) }
}

async fn capture(
    State(partners): State<Arc<Partners>>,
    Path(key): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let part = parse_part(&key, &body)?;
    let (id, pending) = (part.key.clone(), partners.options.pending);
    let decide = move |account: &Account, now| {
        let card = Card::of(account.token());
        let answer = if card == Card::CaptureFails {
            Answer::Never(Refusal::CaptureDeclined)
        } else if card == Card::CapturePending {
            Answer::From(later(now, pending))
        } else {
            Answer::Now
        };
        account.capture(&part, answer, now)
    };
    change(&partners, key, decide, move |account, now| account.captures.is_pending(&id, now)).await
}

async fn refund(
    State(partners): State<Arc<Partners>>,
    Path(key): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let part = parse_return(&key, &body)?;
    let (id, pending) = (part.key.clone(), partners.options.pending);
    let decide = move |account: &Account, now| {
        let card = Card::of(account.token());
        let answer = if card == Card::RefundFails {
            Answer::Never(Refusal::RefundRefused)
        } else if card == Card::RefundPending {
            Answer::From(later(now, pending))
        } else {
            Answer::Now
        };
        account.refund(&part, answer, now)
    };
    change(&partners, key, decide, move |account, now| account.refunds.is_pending(&id, now)).await
}

async fn void(
    State(partners): State<Arc<Partners>>,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    check_key(&key)?;
    change(&partners, key, |account, now| Ok(account.void(now)), |_, _| false).await
}

/// What the customer's bank does, for trying out what happens then.
async fn charge_back(
    State(partners): State<Arc<Partners>>,
    Path(key): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let part = parse_return(&key, &body)?;
    let decide = move |account: &Account, now| account.charge_back(&part, now);
    change(&partners, key, decide, |_, _| false).await
}

fn parse_part(key: &str, body: &Bytes) -> Result<Part, Problem> {
    check_key(key)?;
    let part: Part = parse(body)?;
    check_key(&part.key)?;
    part.check()?;
    Ok(part)
}

/// Money that goes back.
fn parse_return(key: &str, body: &Bytes) -> Result<Part, Problem> {
    let part = parse_part(key, body)?;
    if part.is_final {
        return Err(Refusal::InvalidRequest("only a capture can be final").into());
    }
    Ok(part)
}

async fn change(
    partners: &Arc<Partners>,
    key: String,
    decide: impl FnOnce(&Account, DateTime<Utc>) -> Decision + Send + 'static,
    is_pending: impl FnOnce(&Account, DateTime<Utc>) -> bool + Send + 'static,
) -> Result<Response, Problem> {
    let shared = Arc::clone(partners);
    let changing = async move {
        shared.pause(shared.options.payment_delay).await?;
        let now = now();
        let after = shared.books().change_payment(&key, now, |account| decide(account, now))?.now;
        let status = if is_pending(&after, now) { StatusCode::ACCEPTED } else { StatusCode::OK };
        Ok((status, Json(PaymentBody::of(&key, &after, now))).into_response())
    };
    partners.to_the_end(changing).await
}

fn reference_for(key: &str) -> String {
    format!("auth_{}", Uuid::new_v5(&REFERENCES, key.as_bytes()).simple())
}
