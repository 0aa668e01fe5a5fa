//! The payment gateway: holds, moves and lets go of the customer's money.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::ids::{
    CaptureId, OrderId, PartnerReference, PaymentId, PaymentToken, RefundId, derive_uuid,
};
use domain::money::Money;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::http::{Partner, PartnerError};

/// The payment gateway, called as docs/partners.md says.
#[derive(Debug)]
pub(crate) struct PaymentGateway(Partner);

/// What came of asking the gateway to hold money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Authorisation {
    /// It holds the money, or held it: what is not captured by `expires_at` it holds no longer.
    Authorised {
        /// How it knows the payment.
        reference: PartnerReference,
        /// Until when, if it says so.
        expires_at: Option<DateTime<Utc>>,
    },
    /// It has not made up its mind. Asking again tells.
    Pending,
    /// It will not.
    Declined {
        /// Its code.
        code: String,
    },
}

/// What came of asking the gateway to move money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Movement {
    /// The money has moved.
    Done,
    /// It will move, or not. Asking again tells.
    Pending,
    /// It will not move, whoever asks again.
    Refused {
        /// The gateway's code.
        code: String,
    },
}

/// What came of asking the gateway to let go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    /// How it knows the payment, if it ever held money: somebody may have to record that first.
    pub(crate) reference: Option<PartnerReference>,
    /// Whether it has only taken on to let go. Asking again tells.
    pub(crate) pending: bool,
}

/// Answers to a capture that are final although the call made sense: what was held is not there any
/// more.
const NOT_CAPTURED: [&str; 4] =
    ["authorisation_expired", "charged_back", "amount_too_large", "not_authorised"];
/// The same for a refund. That there is less than was captured contradicts our own books.
const NOT_REFUNDED: [&str; 2] = ["refund_refused", "charged_back"];

#[derive(Debug, Deserialize)]
struct Answer {
    status: String,
    reference: Option<PartnerReference>,
    code: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    #[serde(flatten)]
    amounts: Amounts,
}

/// Minor units. A gateway without something leaves it out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Amounts {
    authorised: i64,
    captured: i64,
    capturing: i64,
    voided: i64,
    expired: i64,
    refunded: i64,
}

impl Amounts {
    /// What the gateway holds for us and does not move.
    const fn held(&self) -> i64 {
        self.authorised - self.captured - self.capturing - self.voided - self.expired
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

    /// Key of `payment` of `order`. The payment that an order is placed with has had this key ever
    /// since it was the only one: another would charge twice across an upgrade.
    fn key(payment: PaymentId, order: OrderId) -> Uuid {
        if payment == PaymentId::of(order) {
            return derive_uuid(&["gateway-payment", &order.to_string()]);
        }
        derive_uuid(&["gateway-payment", "by-id", &payment.to_string()])
    }

    /// Has the gateway hold `amount`. Safe to repeat. When no answer comes, the gateway is asked
    /// what it knows.
    pub(crate) async fn authorise(
        &self,
        payment: PaymentId,
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
        let path = format!("/payments/{}", Self::key(payment, order));
        match self.0.call(Method::PUT, &path, Some(body)).await {
            Ok(answer) => self.understand(&answer),
            Err(PartnerError::Refused { status: 402, code, .. }) => {
                Ok(Authorisation::Declined { code })
            }
            Err(unknown @ PartnerError::NoAnswer { .. }) => {
                self.fetch(payment, order).await?.ok_or(unknown)
            }
            Err(error) => Err(error),
        }
    }

    /// What the gateway knows of `payment` of `order`; `None` when it knows nothing.
    pub(crate) async fn fetch(
        &self,
        payment: PaymentId,
        order: OrderId,
    ) -> Result<Option<Authorisation>, PartnerError> {
        let path = format!("/payments/{}", Self::key(payment, order));
        match self.0.call(Method::GET, &path, None).await {
            Ok(answer) => self.understand(&answer).map(Some),
            Err(PartnerError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has the gateway move `amount` to us, and let go of the rest if that `is_final`. Safe to
    /// repeat.
    pub(crate) async fn capture(
        &self,
        payment: PaymentId,
        order: OrderId,
        capture: CaptureId,
        amount: Money,
        is_final: bool,
    ) -> Result<Movement, PartnerError> {
        let path = format!("/payments/{}/capture", Self::key(payment, order));
        let mut body = json!({ "key": capture, "amount": amount.minor });
        if is_final {
            body["final"] = json!(true);
        }
        self.move_money(&path, body, amount, |amounts| amounts.captured, &NOT_CAPTURED).await
    }

    /// Has the gateway move `amount` back to the customer. Safe to repeat.
    pub(crate) async fn refund(
        &self,
        payment: PaymentId,
        order: OrderId,
        refund: RefundId,
        amount: Money,
    ) -> Result<Movement, PartnerError> {
        let path = format!("/payments/{}/refund", Self::key(payment, order));
        let body = json!({ "key": refund, "amount": amount.minor });
        self.move_money(&path, body, amount, |amounts| amounts.refunded, &NOT_REFUNDED).await
    }

    async fn move_money(
        &self,
        path: &str,
        body: Value,
        amount: Money,
        moved: fn(&Amounts) -> i64,
        refusals: &[&str],
    ) -> Result<Movement, PartnerError> {
        match self.0.ask::<Answer>(Method::POST, path, Some(body)).await {
            Ok(answer) if answer.pending => Ok(Movement::Pending),
            Ok(answer) if moved(&answer.body.amounts) < amount.minor => {
                Err(self.0.unconvincing("less money has moved than was asked for"))
            }
            Ok(_) => Ok(Movement::Done),
            Err(PartnerError::Refused { status, code, .. })
                if status == 402 || refusals.contains(&code.as_str()) =>
            {
                Ok(Movement::Refused { code })
            }
            Err(error) => Err(error),
        }
    }

    /// Has the gateway let go of what it holds. Safe to repeat, and safe when it holds nothing:
    /// it then refuses an authorisation that comes late.
    pub(crate) async fn void(
        &self,
        payment: PaymentId,
        order: OrderId,
    ) -> Result<Release, PartnerError> {
        let path = format!("/payments/{}/void", Self::key(payment, order));
        let answer = self.0.ask::<Answer>(Method::POST, &path, None).await?;
        let (pending, body) = (answer.pending, answer.body);
        if body.amounts.held() > 0 && !pending {
            return Err(self.0.unconvincing("money is still held after the void"));
        }
        Ok(Release { reference: body.reference, pending })
    }

    fn understand(&self, answer: &Answer) -> Result<Authorisation, PartnerError> {
        match (answer.status.as_str(), answer.reference.clone()) {
            ("pending", _) => Ok(Authorisation::Pending),
            ("declined", _) => {
                let code = answer.code.clone().unwrap_or_else(|| "declined".to_owned());
                Ok(Authorisation::Declined { code })
            }
            ("authorised" | "captured" | "expired", Some(reference)) => {
                Ok(Authorisation::Authorised { reference, expires_at: answer.expires_at })
            }
            _ => Err(self.0.unconvincing("the payment is neither held nor declined")),
        }
    }
}
