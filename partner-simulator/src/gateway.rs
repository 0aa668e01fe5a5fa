//! The payment gateway's HTTP side. Rules are in [`crate::payment`], test cards in [`crate::cards`].

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, body::Bytes};
use serde::Serialize;
use uuid::Uuid;

use crate::answer::{Problem, check_key, created_or_ok, parse};
use crate::books::After;
use crate::cards::{Card, FLAKY_FAILURES, SLOW};
use crate::clock::now;
use crate::payment::{Decision, Part, Payment, PaymentRequest, Standing, Verdict};
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
}

/// All payments, for reconciliation.
pub(crate) async fn list(State(partners): State<Arc<Partners>>) -> Json<PaymentList> {
    let books = partners.books();
    let payments = books.payments().map(|(key, payment)| PaymentBody::of(key, payment)).collect();
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
    authorised: i64,
    captured: i64,
    refunded: i64,
    voided: i64,
    authorisations: u32,
    captures: usize,
    refunds: usize,
}

impl PaymentBody {
    fn of(key: &str, payment: &Payment) -> Self {
        let (request, reference) = match &payment.standing {
            Standing::Authorised { request, reference } => (Some(request), Some(reference)),
            Standing::Declined { request } => (Some(request), None),
            Standing::Unknown | Standing::Closed => (None, None),
        };
        let declined = matches!(payment.standing, Standing::Declined { .. });
        Self {
            key: key.to_owned(),
            status: payment.status(),
            code: declined.then_some("card_declined"),
            message: declined.then_some("the card's bank declined"),
            reference: reference.cloned(),
            order: request.map(|request| request.order.clone()),
            currency: request.map(|request| request.currency.clone()),
            authorised: payment.authorised,
            captured: payment.captured,
            refunded: payment.refunded,
            voided: payment.voided,
            authorisations: payment.authorisations,
            captures: payment.captures.len(),
            refunds: payment.refunds.len(),
        }
    }
}

async fn show(
    State(partners): State<Arc<Partners>>,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let payment = partners.books().payment(&key);
    if !payment.is_known() {
        return Err(Refusal::UnknownPayment.into());
    }
    Ok(Json(PaymentBody::of(&key, &payment)).into_response())
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
    let status = match after.now.standing {
        Standing::Declined { .. } => StatusCode::PAYMENT_REQUIRED,
        Standing::Unknown | Standing::Authorised { .. } | Standing::Closed => {
            created_or_ok(after.changed)
        }
    };
    Ok((status, Json(PaymentBody::of(&key, &after.now))).into_response())
}

async fn authorise_with(
    partners: Arc<Partners>,
    key: String,
    request: PaymentRequest,
    card: Card,
) -> Result<After<Payment>, Problem> {
    partners.pause(partners.options.payment_delay).await?;
    // A key that is known gets its answer, whatever the card would do to a new one.
    if !partners.books().payment(&key).is_known() {
        match card {
            Card::Slow => partners.pause(SLOW).await?,
            Card::Flaky if partners.count_failure(&key) <= FLAKY_FAILURES => {
                return Err(Problem::Unavailable("the bank does not answer"));
            }
            Card::Flaky | Card::Good | Card::Declined | Card::Timeout => {}
        }
    }
    let verdict = if card == Card::Declined {
        Verdict::Decline
    } else {
        Verdict::Accept { reference: reference_for(&key) }
    };
    let after = partners
        .books()
        .change_payment(&key, now(), |payment| payment.authorise(&request, verdict))?;
    partners.forget_failures(&key);
    Ok(after)
}

async fn capture(
    State(partners): State<Arc<Partners>>,
    Path(key): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let part = parse_part(&key, &body)?;
    change(&partners, key, move |payment| payment.capture(&part)).await
}

async fn refund(
    State(partners): State<Arc<Partners>>,
    Path(key): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let part = parse_part(&key, &body)?;
    change(&partners, key, move |payment| payment.refund(&part)).await
}

async fn void(
    State(partners): State<Arc<Partners>>,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    check_key(&key)?;
    change(&partners, key, |payment| Ok(payment.void())).await
}

fn parse_part(key: &str, body: &Bytes) -> Result<Part, Problem> {
    check_key(key)?;
    let part: Part = parse(body)?;
    check_key(&part.key)?;
    part.check()?;
    Ok(part)
}

async fn change(
    partners: &Arc<Partners>,
    key: String,
    decide: impl FnOnce(&Payment) -> Decision + Send + 'static,
) -> Result<Response, Problem> {
    let shared = Arc::clone(partners);
    let changing = async move {
        shared.pause(shared.options.payment_delay).await?;
        let after = shared.books().change_payment(&key, now(), decide)?;
        Ok(Json(PaymentBody::of(&key, &after.now)).into_response())
    };
    partners.to_the_end(changing).await
}

fn reference_for(key: &str) -> String {
    format!("auth_{}", Uuid::new_v5(&REFERENCES, key.as_bytes()).simple())
}
