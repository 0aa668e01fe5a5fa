//! All payments and shipments, and the one way to change them: decide, store, then apply.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};

use crate::ledger::{Error, Fact, Ledger, Line};
use crate::payment::{self, Account};
use crate::refusal::Refusal;
use crate::shipment::{self, Shipment};

#[derive(Debug)]
pub(crate) struct Books {
    payments: BTreeMap<String, Account>,
    shipments: BTreeMap<String, Shipment>,
    ledger: Ledger,
}

/// Why nothing changed.
#[derive(Debug)]
pub(crate) enum NotChanged {
    Refused(Refusal),
    /// The ledger could not be written, so nothing happened.
    NotStored(io::Error),
}

/// What a payment or shipment is like after a request, and whether the request changed it.
#[derive(Debug)]
pub(crate) struct After<T> {
    pub(crate) now: T,
    pub(crate) changed: bool,
}

impl Books {
    /// The books as the ledger in `folder` tells them; without a folder, empty ones.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self, Error> {
        let mut books = Self {
            payments: BTreeMap::new(),
            shipments: BTreeMap::new(),
            ledger: Ledger::Forgetful,
        };
        if let Some(folder) = folder {
            books.ledger = Ledger::open(folder, |line| books.apply(line))?;
        }
        Ok(books)
    }

    /// Releases the ledger; every later change is refused.
    pub(crate) fn close(&mut self) {
        self.ledger = Ledger::Closed;
    }

    pub(crate) fn payments(&self) -> impl Iterator<Item = (&String, &Account)> {
        self.payments.iter()
    }

    pub(crate) fn shipments(&self) -> impl Iterator<Item = (&String, &Shipment)> {
        self.shipments.iter()
    }

    /// An unused key gives a payment that is not known.
    pub(crate) fn payment(&self, key: &str) -> Account {
        self.payments.get(key).cloned().unwrap_or_default()
    }

    /// An unused key gives a shipment that is not known.
    pub(crate) fn shipment(&self, key: &str) -> Shipment {
        self.shipments.get(key).cloned().unwrap_or_default()
    }

    pub(crate) fn change_payment(
        &mut self,
        key: &str,
        at: DateTime<Utc>,
        decide: impl FnOnce(&Account) -> payment::Decision,
    ) -> Result<After<Account>, NotChanged> {
        let decision = decide(&self.payment(key)).map_err(NotChanged::Refused)?;
        let fact = decision.map(|entry| Fact::Payment { key: key.to_owned(), entry });
        let changed = self.store(at, fact)?;
        Ok(After { now: self.payment(key), changed })
    }

    pub(crate) fn change_shipment(
        &mut self,
        key: &str,
        at: DateTime<Utc>,
        decide: impl FnOnce(&Shipment) -> shipment::Decision,
    ) -> Result<After<Shipment>, NotChanged> {
        let decision = decide(&self.shipment(key)).map_err(NotChanged::Refused)?;
        let fact = decision.map(|entry| Fact::Shipment { key: key.to_owned(), entry });
        let changed = self.store(at, fact)?;
        Ok(After { now: self.shipment(key), changed })
    }

    fn store(&mut self, at: DateTime<Utc>, fact: Option<Fact>) -> Result<bool, NotChanged> {
        let Some(fact) = fact else { return Ok(false) };
        let line = Line { at, fact };
        self.ledger.append(&line).map_err(NotChanged::NotStored)?;
        self.apply(line);
        Ok(true)
    }

    fn apply(&mut self, line: Line) {
        match line.fact {
            Fact::Payment { key, entry } => self.payments.entry(key).or_default().apply(entry),
            Fact::Shipment { key, entry } => {
                self.shipments.entry(key).or_default().apply(entry, line.at);
            }
        }
    }
}
