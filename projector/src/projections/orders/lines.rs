//! The lines of orders: what was bought, and what became of its units.

use domain::order::{self, PlacedOrder};
use uuid::Uuid;

use crate::code::LineKind;
use crate::table::table;

table! {
/// One line of an order.
pub struct LineRow {
    /// The order.
    pub order_id: Uuid,
    /// Number of the line, from 0, in the customer's order.
    pub line: i32,
    /// What.
    pub sku: String,
    /// Its name as the customer saw it; may be empty.
    pub title: String,
    /// Whether it takes something from a shelf.
    pub kind: LineKind,
    /// Units bought.
    pub quantity: i64,
    /// Price of one unit before discounts, in minor units of the order's currency.
    pub unit_price_minor: i64,
    /// What the customer agreed to pay for the line after everything, in minor units.
    pub total_minor: i64,
    /// What of that is for units that are still wanted, in minor units.
    pub current_total_minor: i64,
    /// Units given up before they left.
    pub cancelled: i64,
    /// Units set aside and still here.
    pub allocated: i64,
    /// Units awaited.
    pub backordered: i64,
    /// Units that left.
    pub shipped: i64,
    /// Units that arrived.
    pub delivered: i64,
    /// Units that were sent back and received.
    pub returned: i64,
    /// Units that were paid back.
    pub refunded: i64,
}
in order_lines, key 2, of order_id, once [sku, title, kind, quantity, unit_price_minor, total_minor]
}

/// What kind of line it is in the tables.
pub(crate) const fn kind_of(kind: order::LineKind) -> LineKind {
    match kind {
        order::LineKind::Goods => LineKind::Goods,
        order::LineKind::Charge => LineKind::Charge,
    }
}

/// The lines of `order`.
pub(super) fn all_of(order_id: Uuid, order: &PlacedOrder) -> impl Iterator<Item = LineRow> {
    let lines = (0..).zip(&order.details.lines).zip(&order.lines);
    lines.enumerate().map(move |(index, ((line, bought), ledger))| LineRow {
        order_id,
        line,
        sku: bought.sku.to_string(),
        title: bought.title.clone(),
        kind: kind_of(bought.kind),
        quantity: i64::from(bought.quantity),
        unit_price_minor: bought.unit_price.minor,
        total_minor: order.prices.lines.get(index).map_or(0, |prices| prices.total),
        current_total_minor: worth(order, index),
        cancelled: i64::from(ledger.cancelled),
        allocated: i64::from(ledger.allocated_units()),
        backordered: i64::from(ledger.backordered),
        shipped: i64::from(ledger.shipped),
        delivered: i64::from(ledger.delivered),
        returned: i64::from(ledger.returned),
        refunded: i64::from(ledger.refunded),
    })
}

/// What line `index` of `order` costs as far as it is still wanted.
pub(super) fn worth(order: &PlacedOrder, index: usize) -> i64 {
    let line = order.prices.lines.get(index).zip(order.lines.get(index));
    line.map_or(0, |(prices, ledger)| prices.value_of(0, ledger.wanted()))
}
