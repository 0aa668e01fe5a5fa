//! What an import comes to, for people and for programs.

use std::collections::BTreeMap;

use domain::money::Currency;
use serde_json::{Value, json};

use super::read_back::{Imported, Order};
use crate::import::matching::{Credited, Returned};
use crate::import::sorting::{Document, Reason, Rejected};

/// What was imported. `gross + refunded + credited + rejected` is the sum over the file, as the rows
/// of all four are its rows.
#[derive(Debug, Default)]
pub(super) struct Totals {
    orders: u64,
    lines: u64,
    units: u64,
    gross: i128,
    refunded: Part,
    returns: u64,
    credited: Part,
    credit_notes: u64,
    rejected: BTreeMap<Reason, Rejected>,
    pub(super) imported: Imported,
}

/// Some rows and what they sum up to, in minor units.
#[derive(Debug, Default)]
struct Part {
    rows: u64,
    gross: i128,
}

impl Part {
    fn add(&mut self, rows: u64, gross: i128) {
        self.rows += rows;
        self.gross += gross;
    }
}

impl Totals {
    /// Before anything was written.
    pub(super) fn new(rejected: BTreeMap<Reason, Rejected>) -> Self {
        Self { rejected, ..Self::default() }
    }

    /// Whether nothing of the file is anything to us.
    pub(super) const fn is_nothing(&self) -> bool {
        self.orders + self.credit_notes == 0
    }

    pub(super) fn add_order(&mut self, id: String, document: &Document) {
        let (date, total) = (document.rows[0].date, gross(document));
        let (first, last) = self.imported.placed.unwrap_or((date, date));
        self.imported.placed = Some((first.min(date), last.max(date)));
        self.imported.orders.insert(id, Order { total, refunded: 0 });
        self.orders += 1;
        self.lines += document.rows.len() as u64;
        self.units += document.rows.iter().map(|row| row.quantity.unsigned_abs()).sum::<u64>();
        self.gross += total;
    }

    pub(super) fn add_return(&mut self, order: &str, returned: &Returned) {
        if let Some(order) = self.imported.orders.get_mut(order) {
            order.refunded -= returned.gross;
        }
        self.returns += 1;
        self.refunded.add(returned.rows, returned.gross);
    }

    pub(super) fn add_credit_note(&mut self, id: String, credited: &Credited) {
        let gross = gross(&credited.document);
        self.imported.credit_notes.insert(id, -gross);
        self.credit_notes += 1;
        self.credited.add(credited.rows, gross);
    }

    pub(super) fn refuse(&mut self, number: &str, rows: u64, gross: i128, why: &str) {
        let example = format!("{number}: {why}");
        self.rejected.entry(Reason::Refused).or_default().add(rows, gross, example);
    }

    pub(super) fn print(&self, currency: Currency) {
        let money = |minor| format!("{} {currency}", decimal(minor, currency));
        let Self { orders, lines, units, returns, credit_notes, .. } = self;
        eprintln!("{orders} orders, {lines} rows, {units} units, {}", money(self.gross));
        let Part { rows, gross } = self.refunded;
        eprintln!("{returns} returns of orders, refunded: {rows} rows, {}", money(gross));
        let Part { rows, gross } = self.credited;
        eprintln!(
            "{credit_notes} credit notes that undo no known order: {rows} rows, {}",
            money(gross)
        );
        for (reason, rejected) in &self.rejected {
            eprintln!("{} rows, {}: {}", rejected.rows, money(rejected.gross), reason.explain());
            for example in &rejected.examples {
                eprintln!("    {example}");
            }
        }
    }

    pub(super) fn as_json(&self, currency: Currency) -> Value {
        let rows: u64 = self.rejected.values().map(|it| it.rows).sum();
        let gross: i128 = self.rejected.values().map(|it| it.gross).sum();
        let part = |rows, gross| json!({ "rows": rows, "gross": decimal(gross, currency) });
        json!({
            "orders": self.orders,
            "lines": self.lines,
            "units": self.units,
            "gross": decimal(self.gross, currency),
            "returns": self.returns,
            "refunded": part(self.refunded.rows, self.refunded.gross),
            "creditNotes": self.credit_notes,
            "credited": part(self.credited.rows, self.credited.gross),
            "rejected": part(rows, gross),
        })
    }
}

/// What the rows of a document sum up to, in minor units.
pub(super) fn gross(document: &Document) -> i128 {
    document.rows.iter().map(crate::import::file::Row::gross).sum()
}

/// Minor units as a decimal.
pub(super) fn decimal(minor: i128, currency: Currency) -> String {
    let scale = 10_i128.pow(currency.exponent());
    let sign = if minor < 0 { "-" } else { "" };
    let (whole, fraction) = (minor.abs() / scale, minor.abs() % scale);
    match currency.exponent() as usize {
        0 => format!("{sign}{whole}"),
        width => format!("{sign}{whole}.{fraction:0width$}"),
    }
}
