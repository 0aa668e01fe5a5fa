//! What the HTTP sides of gateway and carrier have in common: reading bodies, answering problems.

use axum::Json;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::books::NotChanged;
use crate::refusal::Refusal;

const LONGEST_KEY: usize = 200;

/// A request that gets a code and a message instead of what it asked for.
#[derive(Debug)]
pub(crate) enum Problem {
    Refused(Refusal),
    /// The body is not the JSON that was expected.
    Malformed(String),
    /// Not carried out, or cut off before the answer; the same request may be sent again.
    Unavailable(&'static str),
    /// Nothing was done, because it could not be written down.
    NotStored,
    NoSuchResource,
}

#[derive(Serialize)]
struct ProblemBody {
    code: &'static str,
    message: String,
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::Refused(refusal) => match refusal {
                Refusal::IdempotencyConflict
                | Refusal::KeyClosed
                | Refusal::NotAuthorised
                | Refusal::AuthorisationExpired
                | Refusal::AlreadyHandedOver
                | Refusal::ShipmentCancelled => StatusCode::CONFLICT,
                Refusal::UnknownPayment | Refusal::UnknownShipment => StatusCode::NOT_FOUND,
                Refusal::CaptureDeclined => StatusCode::PAYMENT_REQUIRED,
                Refusal::AmountTooLarge { .. }
                | Refusal::RefundRefused
                | Refusal::ChargedBack
                | Refusal::DestinationNotServed => StatusCode::UNPROCESSABLE_ENTITY,
                Refusal::InvalidRequest(_) => StatusCode::BAD_REQUEST,
            },
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotStored => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoSuchResource => StatusCode::NOT_FOUND,
        }
    }

    fn body(&self) -> ProblemBody {
        let (code, message) = match self {
            Self::Refused(refusal) => (refusal.code(), refusal.to_string()),
            Self::Malformed(why) => ("malformed_request", why.clone()),
            Self::Unavailable(why) => ("unavailable", (*why).to_owned()),
            Self::NotStored => {
                ("not_stored", "the ledger could not be written; nothing was done".to_owned())
            }
            Self::NoSuchResource => ("no_such_resource", "there is nothing here".to_owned()),
        };
        ProblemBody { code, message }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status(), Json(self.body())).into_response()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<NotChanged> for Problem {
    fn from(reason: NotChanged) -> Self {
        match reason {
            NotChanged::Refused(refusal) => Self::Refused(refusal),
            NotChanged::NotStored(error) => {
                tracing::error!(%error, "The partners' ledger could not be written");
                Self::NotStored
            }
        }
    }
}

/// Reads a JSON body whatever content type it claims.
pub(crate) fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::Malformed(error.to_string()))
}

pub(crate) fn check_key(key: &str) -> Result<(), Problem> {
    if key.len() > LONGEST_KEY {
        return Err(Refusal::InvalidRequest("a key has at most 200 bytes").into());
    }
    Ok(())
}

/// A new resource is 201, one that was there already 200.
pub(crate) fn created_or_ok(created: bool) -> StatusCode {
    if created { StatusCode::CREATED } else { StatusCode::OK }
}
