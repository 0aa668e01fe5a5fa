//! One line of an order: what was bought, what it costs, and what became of its units.

use async_graphql::SimpleObject;
use domain::order::{self as domain_order, PlacedOrder};

use super::{LineKind, Money, small};
use crate::graphql::scalars::Decimal;

/// One line of an order.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct OrderLine {
    /// Its number, from 0: what mutations call `line`.
    index: i32,
    /// What.
    sku: String,
    /// Its name as the customer saw it; may be empty.
    title: String,
    /// Whether it takes something from a shelf.
    kind: LineKind,
    /// How many were bought.
    quantity: i32,
    /// Price of one unit before discounts.
    unit_price: Money,
    /// What was taken off this line.
    discounts: Vec<Discount>,
    /// The taxes on this line, after all discounts.
    taxes: Vec<Tax>,
    /// Unit price × quantity.
    subtotal: Money,
    /// Taken off the line itself.
    discount: Money,
    /// Its share of what was taken off the order as a whole.
    order_discount: Money,
    /// All its taxes.
    tax: Money,
    /// What the customer agreed to pay for it, after everything.
    total: Money,
    /// What the customer pays for one unit, rounded down; the first units cost one minor unit more
    /// where that does not add up to the total.
    unit_total: Money,
    /// Units given up before they left.
    cancelled: i32,
    /// Units set aside and still here, per location.
    allocated: Vec<UnitsAtLocation>,
    /// Units awaited.
    backordered: i32,
    /// Units that left.
    shipped: i32,
    /// Units that arrived.
    delivered: i32,
    /// Units that were asked to be sent back, without those that were declined.
    return_requested: i32,
    /// Units that were sent back and received.
    returned: i32,
    /// Units that were paid back.
    refunded: i32,
    /// Units that can still be paid back.
    refundable: i32,
}

/// Some units at one location.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct UnitsAtLocation {
    /// Where.
    location: String,
    /// How many.
    quantity: i32,
}

/// Something taken off a price.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Discount {
    /// Why, as the customer saw it.
    title: String,
    /// How much.
    amount: Money,
}

/// One tax on one line.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Tax {
    /// What it is called and who levies it.
    title: String,
    /// As a fraction: "0.200000" is 20 %.
    rate: Decimal,
    /// How much.
    amount: Money,
}

impl OrderLine {
    /// Line number `n` of `order`, from 0.
    pub(super) fn of(order: &PlacedOrder, n: usize) -> Option<Self> {
        let line = order.details.lines.get(n)?;
        let (prices, ledger) = (order.prices.lines.get(n)?, order.lines.get(n)?);
        let money = |minor| Money::from(order.money(minor));
        // What has not left is cancelled, not refunded.
        let sold = match line.kind {
            domain_order::LineKind::Goods => ledger.shipped,
            domain_order::LineKind::Charge => ledger.wanted(),
        };
        let allocated = ledger.allocated.iter().map(|(location, &units)| UnitsAtLocation {
            location: location.to_string(),
            quantity: small(units),
        });
        Some(Self {
            index: small(n),
            sku: line.sku.to_string(),
            title: line.title.clone(),
            kind: line.kind.into(),
            quantity: small(ledger.ordered),
            unit_price: line.unit_price.into(),
            discounts: line.discounts.iter().map(Into::into).collect(),
            taxes: line.taxes.iter().map(Into::into).collect(),
            subtotal: money(prices.subtotal),
            discount: money(prices.discount),
            order_discount: money(prices.order_discount),
            tax: money(prices.tax),
            total: money(prices.total),
            unit_total: money(prices.unit),
            cancelled: small(ledger.cancelled),
            allocated: allocated.collect(),
            backordered: small(ledger.backordered),
            shipped: small(ledger.shipped),
            delivered: small(ledger.delivered),
            return_requested: small(ledger.return_requested),
            returned: small(ledger.returned),
            refunded: small(ledger.refunded),
            refundable: small(sold.saturating_sub(ledger.refunded)),
        })
    }
}

impl From<&domain_order::Discount> for Discount {
    fn from(discount: &domain_order::Discount) -> Self {
        Self { title: discount.title.clone(), amount: discount.amount.into() }
    }
}

impl From<&domain_order::TaxLine> for Tax {
    fn from(tax: &domain_order::TaxLine) -> Self {
        let rate = format!("{}.{:06}", tax.rate_ppm / 1_000_000, tax.rate_ppm % 1_000_000);
        Self { title: tax.title.clone(), rate: Decimal(rate), amount: tax.amount.into() }
    }
}

/// Some units of one line.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct LineUnits {
    /// Which line of the order, from 0.
    line: i32,
    /// How many of its units.
    quantity: i32,
}

impl From<&domain_order::LineUnits> for LineUnits {
    fn from(units: &domain_order::LineUnits) -> Self {
        Self { line: small(units.line), quantity: small(units.quantity.get()) }
    }
}
