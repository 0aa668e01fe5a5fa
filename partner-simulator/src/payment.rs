//! The rules of one payment: what may follow what, and how much may move. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// What is asked of the gateway under a payment's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaymentRequest {
    pub(crate) order: String,
    /// In minor units of the currency.
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) token: String,
}

/// A part of an authorised amount to capture or refund, under a key of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    pub(crate) key: String,
    /// In minor units of the payment's currency.
    pub(crate) amount: i64,
}

/// What happened to a payment, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaymentEntry {
    Authorised { request: PaymentRequest, reference: String },
    Declined { request: PaymentRequest },
    Captured { key: String, amount: i64 },
    Refunded { key: String, amount: i64 },
    Voided { amount: i64 },
    Closed,
}

/// What the card's bank says when asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept { reference: String },
    Decline,
}

/// One payment, folded from its entries. The default is a key nobody has used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Payment {
    pub(crate) standing: Standing,
    pub(crate) authorised: i64,
    pub(crate) captured: i64,
    pub(crate) refunded: i64,
    pub(crate) voided: i64,
    /// How often an authorisation moved money: anything but 0 or 1 is a double charge.
    pub(crate) authorisations: u32,
    pub(crate) captures: BTreeMap<String, i64>,
    pub(crate) refunds: BTreeMap<String, i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    #[default]
    Unknown,
    Authorised {
        request: PaymentRequest,
        reference: String,
    },
    Declined {
        request: PaymentRequest,
    },
    Closed,
}

/// An entry to store, or nothing because it is in effect already.
pub(crate) type Decision = Result<Option<PaymentEntry>, Refusal>;

impl PaymentRequest {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.order.is_empty() || self.token.is_empty() {
            return Err(Refusal::InvalidRequest("order and token must not be empty"));
        }
        if self.currency.len() != 3 || !self.currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(Refusal::InvalidRequest(
                "currency must be a code of three capital letters",
            ));
        }
        check_amount(self.amount)
    }
}

impl Part {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.key.is_empty() {
            return Err(Refusal::InvalidRequest("key must not be empty"));
        }
        check_amount(self.amount)
    }
}

fn check_amount(amount: i64) -> Result<(), Refusal> {
    if amount > 0 { Ok(()) } else { Err(Refusal::InvalidRequest("amount must be positive")) }
}

impl Payment {
    pub(crate) fn is_known(&self) -> bool {
        self.standing != Standing::Unknown
    }

    /// The same request again changes nothing; the bank is asked only for a new key.
    pub(crate) fn authorise(&self, request: &PaymentRequest, verdict: Verdict) -> Decision {
        match &self.standing {
            Standing::Unknown => {
                let request = request.clone();
                Ok(Some(match verdict {
                    Verdict::Accept { reference } => {
                        PaymentEntry::Authorised { request, reference }
                    }
                    Verdict::Decline => PaymentEntry::Declined { request },
                }))
            }
            Standing::Authorised { request: first, .. } | Standing::Declined { request: first } => {
                if first == request {
                    Ok(None)
                } else {
                    Err(Refusal::IdempotencyConflict)
                }
            }
            Standing::Closed => Err(Refusal::KeyClosed),
        }
    }

    pub(crate) fn capture(&self, part: &Part) -> Decision {
        self.check_authorised()?;
        if already_moved(&self.captures, part)? {
            return Ok(None);
        }
        check_left(part.amount, self.left_to_capture())?;
        Ok(Some(PaymentEntry::Captured { key: part.key.clone(), amount: part.amount }))
    }

    pub(crate) fn refund(&self, part: &Part) -> Decision {
        self.check_authorised()?;
        if already_moved(&self.refunds, part)? {
            return Ok(None);
        }
        check_left(part.amount, self.captured - self.refunded)?;
        Ok(Some(PaymentEntry::Refunded { key: part.key.clone(), amount: part.amount }))
    }

    /// Releases what is not captured. On an unused key there is nothing to release, but an
    /// authorisation may be on its way: the key is closed so that it comes too late.
    pub(crate) fn void(&self) -> Option<PaymentEntry> {
        match &self.standing {
            Standing::Unknown => Some(PaymentEntry::Closed),
            Standing::Authorised { .. } => match self.left_to_capture() {
                0 => None,
                amount => Some(PaymentEntry::Voided { amount }),
            },
            Standing::Declined { .. } | Standing::Closed => None,
        }
    }

    pub(crate) fn apply(&mut self, entry: PaymentEntry) {
        match entry {
            PaymentEntry::Authorised { request, reference } => {
                self.authorised += request.amount;
                self.authorisations += 1;
                self.standing = Standing::Authorised { request, reference };
            }
            PaymentEntry::Declined { request } => self.standing = Standing::Declined { request },
            PaymentEntry::Captured { key, amount } => {
                self.captured += amount;
                self.captures.insert(key, amount);
            }
            PaymentEntry::Refunded { key, amount } => {
                self.refunded += amount;
                self.refunds.insert(key, amount);
            }
            PaymentEntry::Voided { amount } => self.voided += amount,
            PaymentEntry::Closed => self.standing = Standing::Closed,
        }
    }

    /// One word for people; programs look at the amounts.
    pub(crate) fn status(&self) -> &'static str {
        match &self.standing {
            Standing::Unknown => "unknown",
            Standing::Declined { .. } => "declined",
            Standing::Closed => "closed",
            Standing::Authorised { .. } if self.left_to_capture() > 0 => "authorised",
            Standing::Authorised { .. } if self.captured > 0 => "captured",
            Standing::Authorised { .. } => "voided",
        }
    }

    fn left_to_capture(&self) -> i64 {
        self.authorised - self.captured - self.voided
    }

    fn check_authorised(&self) -> Result<(), Refusal> {
        match &self.standing {
            Standing::Authorised { .. } => Ok(()),
            Standing::Unknown => Err(Refusal::UnknownPayment),
            Standing::Declined { .. } | Standing::Closed => Err(Refusal::NotAuthorised),
        }
    }
}

fn already_moved(moved: &BTreeMap<String, i64>, part: &Part) -> Result<bool, Refusal> {
    match moved.get(&part.key) {
        None => Ok(false),
        Some(amount) if *amount == part.amount => Ok(true),
        Some(_) => Err(Refusal::IdempotencyConflict),
    }
}

fn check_left(asked: i64, left: i64) -> Result<(), Refusal> {
    if asked <= left { Ok(()) } else { Err(Refusal::AmountTooLarge { asked, left }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(amount: i64) -> PaymentRequest {
        PaymentRequest {
            order: "order-1".into(),
            amount,
            currency: "EUR".into(),
            token: "tok_ok".into(),
        }
    }

    fn part(key: &str, amount: i64) -> Part {
        Part { key: key.into(), amount }
    }

    fn accept() -> Verdict {
        Verdict::Accept { reference: "ref".into() }
    }

    fn decided(payment: &mut Payment, decision: Decision) {
        if let Some(entry) = decision.unwrap() {
            payment.apply(entry);
        }
    }

    fn authorised(amount: i64) -> Payment {
        let mut payment = Payment::default();
        let decision = payment.authorise(&request(amount), accept());
        decided(&mut payment, decision);
        payment
    }

    fn captured(authorised_amount: i64, amount: i64) -> Payment {
        let mut payment = authorised(authorised_amount);
        let decision = payment.capture(&part("c", amount));
        decided(&mut payment, decision);
        payment
    }

    fn voided(mut payment: Payment) -> Payment {
        if let Some(entry) = payment.void() {
            payment.apply(entry);
        }
        payment
    }

    #[test]
    fn the_same_request_is_authorised_once() {
        let payment = authorised(100);
        assert_eq!(payment.authorise(&request(100), accept()), Ok(None));
        assert_eq!((payment.authorised, payment.authorisations), (100, 1));
    }

    #[test]
    fn another_request_under_the_same_key_is_a_conflict() {
        let conflict = Err(Refusal::IdempotencyConflict);
        assert_eq!(authorised(100).authorise(&request(101), accept()), conflict);
    }

    #[test]
    fn a_declined_payment_stays_declined() {
        let mut payment = Payment::default();
        let decision = payment.authorise(&request(100), Verdict::Decline);
        decided(&mut payment, decision);
        assert_eq!(payment.authorise(&request(100), accept()), Ok(None));
        assert_eq!((payment.status(), payment.authorised), ("declined", 0));
        assert_eq!(payment.capture(&part("c", 1)), Err(Refusal::NotAuthorised));
        assert_eq!(payment.void(), None);
    }

    #[test]
    fn captures_never_exceed_the_authorisation() {
        let payment = captured(100, 60);
        let too_much = Err(Refusal::AmountTooLarge { asked: 41, left: 40 });
        assert_eq!(payment.capture(&part("d", 41)), too_much);
        assert!(matches!(payment.capture(&part("d", 40)), Ok(Some(_))));
    }

    #[test]
    fn a_capture_key_moves_money_once() {
        let payment = captured(100, 30);
        assert_eq!(payment.capture(&part("c", 30)), Ok(None));
        assert_eq!(payment.capture(&part("c", 31)), Err(Refusal::IdempotencyConflict));
    }

    #[test]
    fn a_repeated_capture_is_recognised_even_when_nothing_is_left() {
        assert_eq!(captured(100, 100).capture(&part("c", 100)), Ok(None));
    }

    #[test]
    fn refunds_never_exceed_the_captures() {
        let mut payment = captured(100, 60);
        let decision = payment.refund(&part("r", 50));
        decided(&mut payment, decision);
        assert_eq!(payment.refund(&part("r", 50)), Ok(None));
        let too_much = Err(Refusal::AmountTooLarge { asked: 11, left: 10 });
        assert_eq!(payment.refund(&part("s", 11)), too_much);
    }

    #[test]
    fn a_void_releases_only_what_is_not_captured() {
        let payment = voided(captured(100, 60));
        assert_eq!((payment.captured, payment.voided, payment.status()), (60, 40, "captured"));
        assert_eq!(payment.void(), None);
        let nothing_left = Err(Refusal::AmountTooLarge { asked: 1, left: 0 });
        assert_eq!(payment.capture(&part("d", 1)), nothing_left);
        assert_eq!(voided(authorised(100)).status(), "voided");
    }

    #[test]
    fn a_void_before_the_authorisation_closes_the_key() {
        let payment = voided(Payment::default());
        assert_eq!(payment.status(), "closed");
        assert_eq!(payment.authorise(&request(100), accept()), Err(Refusal::KeyClosed));
        assert_eq!(payment.void(), None);
        assert_eq!(payment.capture(&part("c", 1)), Err(Refusal::NotAuthorised));
    }

    #[test]
    fn nothing_moves_on_an_unknown_payment() {
        let unknown = Err(Refusal::UnknownPayment);
        assert_eq!(Payment::default().capture(&part("c", 1)), unknown);
        assert_eq!(Payment::default().refund(&part("r", 1)), unknown);
    }

    #[test]
    fn only_positive_amounts_of_a_currency_are_asked_for() {
        assert_eq!(request(1).check(), Ok(()));
        assert!(request(0).check().is_err());
        assert!(request(-1).check().is_err());
        assert!(PaymentRequest { currency: "eur".into(), ..request(1) }.check().is_err());
        assert!(PaymentRequest { order: String::new(), ..request(1) }.check().is_err());
        assert!(part("c", 0).check().is_err());
        assert!(part("", 1).check().is_err());
    }
}
