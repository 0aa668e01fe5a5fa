//! The rules of one payment: what may follow what, and how much may move. Pure: the time comes in.
//!
//! What takes time is fixed when it begins ("authorised from then on", "refunded from then on"), so a
//! restart or a change of the options changes nothing that was promised.

mod account;
mod entry;
#[cfg(test)]
mod tests;

pub(crate) use account::{Account, Standing};
pub(crate) use entry::{Part, PaymentEntry, PaymentRequest};

use chrono::{DateTime, Utc};

use crate::refusal::Refusal;

/// What the card's bank says when asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It holds the money, perhaps only from a later time on, and perhaps only until another.
    Accept {
        reference: String,
        from: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
    },
    Decline,
}

/// What the card's bank says of a capture or a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Now,
    /// Not before then.
    From(DateTime<Utc>),
    Never(Refusal),
}

/// An entry to store, or nothing because it is in effect already.
pub(crate) type Decision = Result<Option<PaymentEntry>, Refusal>;

impl Account {
    /// The same request again changes nothing; the bank is asked only for a new key.
    pub(crate) fn authorise(&self, request: &PaymentRequest, verdict: Verdict) -> Decision {
        match &self.standing {
            Standing::Unknown => {
                let request = request.clone();
                Ok(Some(match verdict {
                    Verdict::Accept { reference, from, until } => {
                        PaymentEntry::Authorised { request, reference, from, until }
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

    pub(crate) fn capture(&self, part: &Part, answer: Answer, now: DateTime<Utc>) -> Decision {
        self.check_authorised(now)?;
        if self.captures.knows(part)? {
            return Ok(None);
        }
        if self.is_expired(now) {
            return Err(Refusal::AuthorisationExpired);
        }
        let left = self.left_to_capture(now);
        check_left(part.amount, left)?;
        let done_at = when(answer)?;
        let (key, amount) = (part.key.clone(), part.amount);
        let released = if part.is_final { left - amount } else { 0 };
        Ok(Some(PaymentEntry::Captured { key, amount, done_at, released }))
    }

    pub(crate) fn refund(&self, part: &Part, answer: Answer, now: DateTime<Utc>) -> Decision {
        self.check_authorised(now)?;
        if self.refunds.knows(part)? {
            return Ok(None);
        }
        check_left(part.amount, self.captured(now) - self.refunds.total())?;
        if part.amount > self.captured(now) - self.refunds.total() - self.charged_back() {
            return Err(Refusal::ChargedBack);
        }
        let done_at = when(answer)?;
        Ok(Some(PaymentEntry::Refunded { key: part.key.clone(), amount: part.amount, done_at }))
    }

    /// Releases what is not captured. On an unused key, and on one whose authorisation is pending,
    /// there is nothing to release: the key is closed so that the authorisation comes too late.
    pub(crate) fn void(&self, now: DateTime<Utc>) -> Option<PaymentEntry> {
        match &self.standing {
            Standing::Unknown => Some(PaymentEntry::Closed),
            Standing::Authorised { .. } if self.is_pending(now) => Some(PaymentEntry::Closed),
            Standing::Authorised { .. } => match self.left_to_capture(now) {
                0 => None,
                amount => Some(PaymentEntry::Voided { amount }),
            },
            Standing::Declined { .. } | Standing::Closed => None,
        }
    }

    /// The customer's bank takes money back, whatever anybody thinks of it.
    pub(crate) fn charge_back(&self, part: &Part, now: DateTime<Utc>) -> Decision {
        self.check_authorised(now)?;
        if self.chargebacks.knows(part)? {
            return Ok(None);
        }
        check_left(part.amount, self.captured(now) - self.charged_back())?;
        Ok(Some(PaymentEntry::ChargedBack { key: part.key.clone(), amount: part.amount }))
    }

    fn check_authorised(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        match &self.standing {
            Standing::Authorised { .. } if self.is_pending(now) => Err(Refusal::NotAuthorised),
            Standing::Authorised { .. } => Ok(()),
            Standing::Unknown => Err(Refusal::UnknownPayment),
            Standing::Declined { .. } | Standing::Closed => Err(Refusal::NotAuthorised),
        }
    }
}

fn when(answer: Answer) -> Result<Option<DateTime<Utc>>, Refusal> {
    match answer {
        Answer::Now => Ok(None),
        Answer::From(then) => Ok(Some(then)),
        Answer::Never(refusal) => Err(refusal),
    }
}

fn check_left(asked: i64, left: i64) -> Result<(), Refusal> {
    if asked <= left { Ok(()) } else { Err(Refusal::AmountTooLarge { asked, left }) }
}
