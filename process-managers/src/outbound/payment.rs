//! The payment gateway: holds, moves and lets go of the customer's money.

use std::time::Duration;

use domain::ids::{OrderId, PartnerReference, PaymentToken, derive_uuid};
use domain::money::Money;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::http::{Partner, PartnerError};

/// The payment gateway, called as docs/partners.md says.
#[derive(Debug)]
pub(crate) struct PaymentGateway(Partner);

/// What came of asking the gateway to hold money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Authorisation {
    /// It holds the money.
    Authorised {
        /// How it knows the payment.
        reference: PartnerReference,
    },
    /// It will not.
    Declined {
        /// Its code.
        code: String,
    },
}

#[derive(Debug, Deserialize)]
struct Answer {
    status: String,
    reference: Option<PartnerReference>,
    code: Option<String>,
    #[serde(default)]
    authorised: i64,
    #[serde(default)]
    captured: i64,
    #[serde(default)]
    voided: i64,
}

impl Answer {
    /// Minor units that the gateway holds for us.
    const fn held(&self) -> i64 {
        self.authorised - self.captured - self.voided
    }
}

impl PaymentGateway {
    /// The gateway at `base_url`, which may take `timeout` for an answer.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub(crate) fn new(base_url: &str, timeout: Duration) -> reqwest::Result<Self> {
        Partner::new("the payment gateway", base_url, timeout).map(Self)
    }

    /// Key of the one payment of `order`.
    pub(crate) fn key(order: OrderId) -> Uuid {
        derive_uuid(&["gateway-payment", &order.to_string()])
    }

    /// Key of the one capture of the payment of `order`.
    pub(crate) fn capture_key(order: OrderId) -> Uuid {
        derive_uuid(&["gateway-capture", &order.to_string()])
    }

    /// Has the gateway hold `amount`. Safe to repeat. When no answer comes, the gateway is asked
    /// what it knows.
    pub(crate) async fn authorise(
        &self,
        order: OrderId,
        amount: Money,
        token: &PaymentToken,
    ) -> Result<Authorisation, PartnerError> {
        let body = json!({
            "order": order,
            "amount": amount.minor,
            "currency": amount.currency,
            "token": token.as_str(),
        });
        let path = format!("/payments/{}", Self::key(order));
        match self.0.call(Method::PUT, &path, Some(body)).await {
            Ok(answer) => self.understand(&answer),
            Err(PartnerError::Refused { status: 402, code, .. }) => {
                Ok(Authorisation::Declined { code })
            }
            Err(unknown @ PartnerError::NoAnswer { .. }) => match self.fetch(order).await? {
                Some(authorisation) => Ok(authorisation),
                None => Err(unknown),
            },
            Err(error) => Err(error),
        }
    }

    /// What the gateway knows of the payment of `order`; `None` when it knows of none.
    pub(crate) async fn fetch(
        &self,
        order: OrderId,
    ) -> Result<Option<Authorisation>, PartnerError> {
        let path = format!("/payments/{}", Self::key(order));
        match self.0.call(Method::GET, &path, None).await {
            Ok(answer) => self.understand(&answer).map(Some),
            Err(PartnerError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has the gateway move `amount` to us. Safe to repeat.
    pub(crate) async fn capture(&self, order: OrderId, amount: Money) -> Result<(), PartnerError> {
        let path = format!("/payments/{}/capture", Self::key(order));
        let body = json!({ "key": Self::capture_key(order), "amount": amount.minor });
        let answer: Answer = self.0.call(Method::POST, &path, Some(body)).await?;
        if answer.captured < amount.minor {
            return Err(self.0.unconvincing("less was captured than was asked for"));
        }
        Ok(())
    }

    /// Has the gateway let go of what it holds. Safe to repeat, and safe when it holds nothing:
    /// it then refuses an authorisation that comes late. Answers how the gateway knows the
    /// payment, if there was one.
    pub(crate) async fn void(
        &self,
        order: OrderId,
    ) -> Result<Option<PartnerReference>, PartnerError> {
        let path = format!("/payments/{}/void", Self::key(order));
        let answer: Answer = self.0.call(Method::POST, &path, None).await?;
        if answer.held() > 0 {
            return Err(self.0.unconvincing("money is still held after the void"));
        }
        Ok(answer.reference)
    }

    fn understand(&self, answer: &Answer) -> Result<Authorisation, PartnerError> {
        if answer.status == "declined" {
            let code = answer.code.clone().unwrap_or_else(|| "declined".to_owned());
            return Ok(Authorisation::Declined { code });
        }
        let holds = matches!(answer.status.as_str(), "authorised" | "captured");
        match answer.reference.clone().filter(|_| holds) {
            Some(reference) => Ok(Authorisation::Authorised { reference }),
            None => Err(self.0.unconvincing("the payment is neither held nor declined")),
        }
    }
}
