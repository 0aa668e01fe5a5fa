//! One payment, folded from its entries: where its money is at a given time.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::entry::{Part, PaymentEntry, PaymentRequest};
use crate::refusal::Refusal;

/// One payment. The default is a key nobody has used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) standing: Standing,
    pub(crate) voided: i64,
    pub(crate) captures: Moves,
    pub(crate) refunds: Moves,
    pub(crate) chargebacks: Moves,
    /// How often an authorisation moved money: anything but 0 or 1 is a double charge.
    authorisations: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    #[default]
    Unknown,
    Authorised {
        request: PaymentRequest,
        reference: String,
        /// Pending before then.
        from: Option<DateTime<Utc>>,
        /// Expired from then on.
        until: Option<DateTime<Utc>>,
    },
    Declined {
        request: PaymentRequest,
    },
    Closed,
}

/// Captures, refunds or charge-backs by their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Moves(BTreeMap<String, Move>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Move {
    amount: i64,
    /// Pending before then.
    done_at: Option<DateTime<Utc>>,
}

impl Move {
    fn is_pending(&self, now: DateTime<Utc>) -> bool {
        self.done_at.is_some_and(|then| now < then)
    }
}

impl Moves {
    /// Whether `part` is known; a key never comes with two amounts.
    pub(super) fn knows(&self, part: &Part) -> Result<bool, Refusal> {
        match self.0.get(&part.key) {
            None => Ok(false),
            Some(known) if known.amount == part.amount => Ok(true),
            Some(_) => Err(Refusal::IdempotencyConflict),
        }
    }

    /// How many there are, pending or not.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether the one under `key` is still to come.
    pub(crate) fn is_pending(&self, key: &str, now: DateTime<Utc>) -> bool {
        self.0.get(key).is_some_and(|it| it.is_pending(now))
    }

    /// Pending or not.
    pub(super) fn total(&self) -> i64 {
        self.0.values().map(|it| it.amount).sum()
    }

    pub(crate) fn pending(&self, now: DateTime<Utc>) -> i64 {
        self.0.values().filter(|it| it.is_pending(now)).map(|it| it.amount).sum()
    }

    pub(crate) fn done(&self, now: DateTime<Utc>) -> i64 {
        self.total() - self.pending(now)
    }

    fn add(&mut self, key: String, amount: i64, done_at: Option<DateTime<Utc>>) {
        self.0.insert(key, Move { amount, done_at });
    }
}

impl Account {
    pub(crate) fn is_known(&self) -> bool {
        self.standing != Standing::Unknown
    }

    /// The card, if one was given.
    pub(crate) fn token(&self) -> &str {
        match &self.standing {
            Standing::Authorised { request, .. } | Standing::Declined { request } => &request.token,
            Standing::Unknown | Standing::Closed => "",
        }
    }

    pub(crate) fn is_pending(&self, now: DateTime<Utc>) -> bool {
        match &self.standing {
            Standing::Authorised { from: Some(from), .. } => now < *from,
            Standing::Authorised { from: None, .. }
            | Standing::Unknown
            | Standing::Declined { .. }
            | Standing::Closed => false,
        }
    }

    pub(super) fn is_expired(&self, now: DateTime<Utc>) -> bool {
        match &self.standing {
            Standing::Authorised { until: Some(until), .. } => *until <= now,
            Standing::Authorised { until: None, .. }
            | Standing::Unknown
            | Standing::Declined { .. }
            | Standing::Closed => false,
        }
    }

    pub(crate) fn authorised(&self, now: DateTime<Utc>) -> i64 {
        match &self.standing {
            Standing::Authorised { request, .. } if !self.is_pending(now) => request.amount,
            Standing::Authorised { .. }
            | Standing::Unknown
            | Standing::Declined { .. }
            | Standing::Closed => 0,
        }
    }

    pub(crate) fn authorisations(&self, now: DateTime<Utc>) -> u32 {
        if self.is_pending(now) { 0 } else { self.authorisations }
    }

    pub(crate) fn captured(&self, now: DateTime<Utc>) -> i64 {
        self.captures.done(now)
    }

    pub(crate) fn charged_back(&self) -> i64 {
        self.chargebacks.total()
    }

    /// Let go because time ran out.
    pub(crate) fn expired(&self, now: DateTime<Utc>) -> i64 {
        if self.is_expired(now) { self.unmoved(now) } else { 0 }
    }

    pub(super) fn left_to_capture(&self, now: DateTime<Utc>) -> i64 {
        if self.is_expired(now) { 0 } else { self.unmoved(now) }
    }

    fn unmoved(&self, now: DateTime<Utc>) -> i64 {
        self.authorised(now) - self.captures.total() - self.voided
    }

    /// One word for people; programs look at the amounts.
    pub(crate) fn status(&self, now: DateTime<Utc>) -> &'static str {
        match &self.standing {
            Standing::Unknown => "unknown",
            Standing::Declined { .. } => "declined",
            Standing::Closed => "closed",
            Standing::Authorised { .. } if self.is_pending(now) => "pending",
            Standing::Authorised { .. } if self.left_to_capture(now) > 0 => "authorised",
            Standing::Authorised { .. } if self.captures.total() > 0 => "captured",
            Standing::Authorised { .. } if self.expired(now) > 0 => "expired",
            Standing::Authorised { .. } => "voided",
        }
    }

    pub(crate) fn apply(&mut self, entry: PaymentEntry) {
        match entry {
            PaymentEntry::Authorised { request, reference, from, until } => {
                self.authorisations += 1;
                self.standing = Standing::Authorised { request, reference, from, until };
            }
            PaymentEntry::Declined { request } => self.standing = Standing::Declined { request },
            PaymentEntry::Captured { key, amount, done_at, released } => {
                self.captures.add(key, amount, done_at);
                self.voided += released;
            }
            PaymentEntry::Refunded { key, amount, done_at } => {
                self.refunds.add(key, amount, done_at);
            }
            PaymentEntry::Voided { amount } => self.voided += amount,
            PaymentEntry::ChargedBack { key, amount } => self.chargebacks.add(key, amount, None),
            PaymentEntry::Closed => {
                self.authorisations = 0;
                self.standing = Standing::Closed;
            }
        }
    }
}
