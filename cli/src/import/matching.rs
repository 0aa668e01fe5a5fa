//! Which rows of credit notes undo which lines of orders.
//!
//! A credit note of a shop's books does not name the order that it undoes. It can be told where the
//! same customer bought the same article at the same price before: then its units are taken back from
//! that order, from the latest such order first, and never more than it still has. What is left of a
//! row, or of a note, stays a credit note.

use std::collections::{BTreeMap, HashMap};

use domain::ids::Sku;

use super::file::Row;
use super::sorting::Document;

/// What becomes of credit notes. No unit and no penny of them is in it twice, and none is missing.
#[derive(Debug, Default)]
pub(crate) struct Matched {
    /// In the order of the notes' dates.
    pub(crate) returned: Vec<Returned>,
    pub(crate) credited: Vec<Credited>,
}

/// What one credit note takes back from one order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Returned {
    /// Number of the credit note.
    pub(crate) note: String,
    /// Number of the order's invoice.
    pub(crate) invoice: String,
    /// Units by line of the order, from 0.
    pub(crate) lines: BTreeMap<usize, i64>,
    /// Rows of the note that begin here; a row that is spread over several orders counts once.
    pub(crate) rows: u64,
    /// Minor units, not above zero.
    pub(crate) gross: i128,
}

/// What is left of a credit note that no order was found for.
#[derive(Debug, Clone)]
pub(crate) struct Credited {
    pub(crate) document: Document,
    /// Rows that no order was found for at all.
    pub(crate) rows: u64,
}

/// What has to agree: customer, article, price.
type Sale = (String, Sku, i64);

/// Units of one line of an order that have not come back.
struct Sold<'a> {
    invoice: &'a str,
    line: usize,
    left: i64,
}

/// Finds the orders that `notes` undo.
pub(crate) fn undo(mut orders: Vec<&Document>, mut notes: Vec<Document>) -> Matched {
    let when = |document: &Document| (document.rows[0].date, document.number.clone());
    notes.sort_by_key(when);
    orders.sort_by_key(|order| when(order));
    let mut orders = orders.into_iter().peekable();
    // What was sold so far, the latest last.
    let mut sold: HashMap<Sale, Vec<Sold>> = HashMap::new();
    let mut matched = Matched::default();
    for note in notes {
        let date = note.rows[0].date;
        while let Some(order) = orders.next_if(|order| order.rows[0].date <= date) {
            remember(&mut sold, order);
        }
        undo_one(&mut sold, note, &mut matched);
    }
    matched
}

fn remember<'a>(sold: &mut HashMap<Sale, Vec<Sold<'a>>>, order: &'a Document) {
    let Some(customer) = &order.rows[0].customer else { return };
    // Backwards, so that of two equal lines the first is found first.
    for (line, row) in order.rows.iter().enumerate().rev() {
        let sale = (customer.clone(), row.sku.clone(), row.unit_price.minor);
        let line = Sold { invoice: &order.number, line, left: row.quantity };
        sold.entry(sale).or_default().push(line);
    }
}

fn undo_one(sold: &mut HashMap<Sale, Vec<Sold>>, note: Document, matched: &mut Matched) {
    let customer = note.rows[0].customer.clone();
    let (mut returned, mut rest) = (BTreeMap::<String, Returned>::new(), vec![]);
    let mut untouched = 0;
    for row in note.rows {
        let (units, mut left) = (-row.quantity, -row.quantity);
        let sale = customer.clone().map(|it| (it, row.sku.clone(), row.unit_price.minor));
        let lines = sale.and_then(|sale| sold.get_mut(&sale));
        for (invoice, line, taken) in lines.into_iter().flat_map(|lines| take(lines, units)) {
            let from = returned.entry(invoice.clone()).or_insert_with(|| Returned {
                note: note.number.clone(),
                invoice,
                lines: BTreeMap::new(),
                rows: 0,
                gross: 0,
            });
            from.rows += u64::from(left == units);
            from.gross -= i128::from(taken) * i128::from(row.unit_price.minor);
            *from.lines.entry(line).or_default() += taken;
            left -= taken;
        }
        untouched += u64::from(left == units);
        if left > 0 {
            rest.push(Row { quantity: -left, ..row });
        }
    }
    matched.returned.extend(returned.into_values());
    if !rest.is_empty() {
        let document = Document { number: note.number, rows: rest };
        matched.credited.push(Credited { document, rows: untouched });
    }
}

/// Takes up to `units` from the latest lines first: invoice, line and units of each.
fn take(lines: &mut Vec<Sold>, units: i64) -> Vec<(String, usize, i64)> {
    let (mut wanted, mut taken) = (units, vec![]);
    while wanted > 0
        && let Some(latest) = lines.last_mut()
    {
        let some = wanted.min(latest.left);
        taken.push((latest.invoice.to_owned(), latest.line, some));
        wanted -= some;
        latest.left -= some;
        if latest.left == 0 {
            lines.pop();
        }
    }
    taken
}
