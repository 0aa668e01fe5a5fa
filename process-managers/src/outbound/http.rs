//! One JSON call to a partner: bounded in time, through its circuit breaker, failures sorted.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use super::breaker::Breaker;

/// Why a partner did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum PartnerError {
    /// It failed too often in a row and is left alone for a while.
    #[error("{partner} failed too often in a row and is left alone for {} ms", wait.as_millis())]
    LeftAlone {
        /// Which partner.
        partner: &'static str,
        /// For how long.
        wait: Duration,
    },
    /// It did not answer in time, or the connection broke: what it did is unknown.
    #[error("{partner} gave no answer ({reason}); what it did is unknown")]
    NoAnswer {
        /// Which partner.
        partner: &'static str,
        /// What was seen.
        reason: String,
    },
    /// It is in trouble of its own; the same call may succeed later.
    #[error("{partner} answered {status}: {reason}")]
    InTrouble {
        /// Which partner.
        partner: &'static str,
        /// HTTP status.
        status: u16,
        /// Its words.
        reason: String,
    },
    /// It refused the call as such; repeating it will not help.
    #[error("{partner} refused the call with {status} {code}: {reason}")]
    Refused {
        /// Which partner.
        partner: &'static str,
        /// HTTP status.
        status: u16,
        /// Its code, such as `idempotency_conflict`.
        code: String,
        /// Its words.
        reason: String,
    },
}

/// A partner that is called over HTTP with JSON.
#[derive(Debug)]
pub(super) struct Partner {
    name: &'static str,
    base_url: String,
    client: reqwest::Client,
    breaker: Breaker,
    knows_people: bool,
}

/// In place of the words of a partner who knows people.
const NOT_KEPT: &str = "its words are not kept, because they may repeat an address";
/// Bytes of a partner's code.
const LONGEST_CODE: usize = 64;

/// What a partner answered to a call that it did not refuse.
#[derive(Debug)]
pub(super) struct Answer<T> {
    /// Whether it has only taken on to do what it was asked for.
    pub(super) pending: bool,
    /// Its words.
    pub(super) body: T,
}

impl Partner {
    pub(super) fn new(
        name: &'static str,
        base_url: &str,
        timeout: Duration,
    ) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            // A redirected PUT or POST would arrive as a GET, and look as if it had worked.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("orderstore/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let base_url = base_url.trim_end_matches('/').to_owned();
        Ok(Self { name, base_url, client, breaker: Breaker::default(), knows_people: false })
    }

    /// One who is told names and addresses. What is said about a failure is recorded in clear, and
    /// such a partner may repeat them, so of its answers only the code is kept.
    pub(super) fn who_knows_people(self) -> Self {
        Self { knows_people: true, ..self }
    }

    fn words(&self, words: impl Into<String>) -> String {
        if self.knows_people { NOT_KEPT.to_owned() } else { words.into() }
    }

    /// Calls `path`. An answer below 300 is read as `T`.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, PartnerError> {
        self.ask(method, path, body).await.map(|answer| answer.body)
    }

    /// The same, for what a partner may take on now and do later.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer<T>, PartnerError> {
        if let Some(wait) = self.breaker.refuses_for() {
            return Err(PartnerError::LeftAlone { partner: self.name, wait });
        }
        let outcome = self.try_call(method, path, body).await;
        let healthy =
            !matches!(outcome, Err(PartnerError::NoAnswer { .. } | PartnerError::InTrouble { .. }));
        self.breaker.record(healthy);
        outcome
    }

    async fn try_call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer<T>, PartnerError> {
        let mut request = self.client.request(method, format!("{}{path}", self.base_url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(|error| self.no_answer(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.no_answer(&error))?;
        if status.is_success() {
            let body = serde_json::from_slice(&bytes).map_err(|error| PartnerError::InTrouble {
                partner: self.name,
                status: status.as_u16(),
                reason: format!("an answer that cannot be read: {}", self.words(error.to_string())),
            })?;
            return Ok(Answer { pending: status == StatusCode::ACCEPTED, body });
        }
        Err(self.failure(status, &bytes))
    }

    /// An answer that says success, but does not show it.
    pub(super) fn unconvincing(&self, what: &str) -> PartnerError {
        PartnerError::Refused {
            partner: self.name,
            status: StatusCode::OK.as_u16(),
            code: "unconvincing_answer".to_owned(),
            reason: what.to_owned(),
        }
    }

    fn failure(&self, status: StatusCode, bytes: &[u8]) -> PartnerError {
        let answer: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let (partner, reason) = (self.name, self.words(text("message")));
        let may_pass = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT;
        let status = status.as_u16();
        if may_pass {
            return PartnerError::InTrouble { partner, status, reason };
        }
        let telling = |code: &String| !self.knows_people || is_code(code);
        let code = Some(text("code")).filter(telling).unwrap_or_default();
        PartnerError::Refused { partner, status, code, reason }
    }

    fn no_answer(&self, error: &reqwest::Error) -> PartnerError {
        let reason = if error.is_timeout() {
            "timed out".to_owned()
        } else if error.is_connect() {
            "cannot be connected to".to_owned()
        } else {
            "connection broke".to_owned()
        };
        PartnerError::NoAnswer { partner: self.name, reason }
    }
}

/// Whether it is a word for programs, and not a sentence.
fn is_code(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.len() <= LONGEST_CODE && text.chars().all(allowed)
}
