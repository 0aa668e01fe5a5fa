//! What each row is: a line of an order, a line of a credit note, or no order, and then why.

use std::collections::BTreeMap;

use super::file::{Malformed, Row};

/// Codes that are part of a sale but take nothing from a shelf: postage, carriage, manual entries,
/// discounts, samples.
const CHARGES: [&str; 7] = ["POST", "DOT", "C2", "M", "D", "S", "PADS"];
/// Codes that are the shop's own bookkeeping: no customer bought or returned anything.
const BOOKKEEPING: [&str; 5] = ["AMAZONFEE", "BANK-CHARGES", "B", "CRUK", "ADJUST"];

/// The file, sorted.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    pub(crate) invoices: Vec<Document>,
    pub(crate) credit_notes: Vec<Document>,
    pub(crate) rejected: BTreeMap<Reason, Rejected>,
}

/// The rows of one invoice or credit note, in the order of the file.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) number: String,
    pub(crate) rows: Vec<Row>,
}

/// Why rows are no order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// The row cannot be read.
    Malformed,
    /// A fee or an adjustment of the shop's own books.
    Bookkeeping,
    /// Goods written off or counted anew: negative without being on a credit note.
    StockWriteOff,
    /// An invoice without a single price: stock moved, nothing sold.
    NothingSold,
    /// A positive quantity on a credit note: nothing is credited.
    NotCredited,
    /// The API refused the invoice or credit note.
    Refused,
}

impl Reason {
    /// For people.
    pub(crate) const fn explain(&self) -> &'static str {
        match self {
            Self::Malformed => "the row cannot be read",
            Self::Bookkeeping => "a fee or adjustment of the shop's own books, not sold to anyone",
            Self::StockWriteOff => {
                "a negative quantity that is on no credit note: stock written off"
            }
            Self::NothingSold => "an invoice without a price: stock moved, nothing sold",
            Self::NotCredited => "a positive quantity on a credit note: nothing is credited",
            Self::Refused => "refused by the order store",
        }
    }
}

/// How many rows were no order for one reason, what they sum up to, and the first few in words.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rejected {
    pub(crate) rows: u64,
    /// Minor units; what could not be read counts as nothing.
    pub(crate) gross: i128,
    pub(crate) examples: Vec<String>,
}

impl Rejected {
    pub(crate) fn add(&mut self, rows: u64, gross: i128, example: String) {
        self.rows += rows;
        self.gross += gross;
        if self.examples.len() < 3 {
            self.examples.push(example);
        }
    }
}

/// Whether a code takes nothing from a shelf.
pub(crate) fn is_charge(code: &str) -> bool {
    CHARGES.contains(&code)
}

/// Sorts rows into documents. Every row ends in exactly one place.
pub(crate) fn sort(rows: Vec<Row>, malformed: Vec<Malformed>) -> Sorted {
    let mut sorted = Sorted::default();
    for Malformed { line, reason } in malformed {
        sorted.reject(Reason::Malformed, 0, format!("line {line}: {reason}"));
    }
    let mut documents: Vec<Document> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for row in rows {
        if let Some(reason) = reason_against(&row) {
            sorted.reject_row(reason, &row);
            continue;
        }
        let place = *places.entry(row.invoice.clone()).or_insert_with(|| {
            documents.push(Document { number: row.invoice.clone(), rows: vec![] });
            documents.len() - 1
        });
        documents[place].rows.push(row);
    }
    for document in documents {
        if is_credit_note(&document.number) {
            sorted.credit_notes.push(document);
        } else if document.rows.iter().all(|row| row.unit_price.minor == 0) {
            for row in &document.rows {
                sorted.reject_row(Reason::NothingSold, row);
            }
        } else {
            sorted.invoices.push(document);
        }
    }
    sorted
}

impl Sorted {
    fn reject_row(&mut self, reason: Reason, row: &Row) {
        let example =
            format!("{} {} × {} at {}", row.invoice, row.quantity, row.sku, row.unit_price);
        self.reject(reason, row.gross(), example);
    }

    fn reject(&mut self, reason: Reason, gross: i128, example: String) {
        self.rejected.entry(reason).or_default().add(1, gross, example);
    }
}

fn is_credit_note(number: &str) -> bool {
    number.starts_with('C')
}

fn reason_against(row: &Row) -> Option<Reason> {
    if BOOKKEEPING.contains(&row.sku.as_str()) || row.unit_price.minor < 0 {
        return Some(Reason::Bookkeeping);
    }
    match (is_credit_note(&row.invoice), row.quantity > 0) {
        (false, false) => Some(Reason::StockWriteOff),
        (true, true) => Some(Reason::NotCredited),
        (false, true) | (true, false) => None,
    }
}
