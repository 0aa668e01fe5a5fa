//! What can be read off an order: sums of money, units that can still be moved, what a location has
//! to send. Pure arithmetic over the document; the rules are in `decide`.

use std::collections::BTreeMap;

use super::details::{Handling, LineKind};
use super::state::{LineLedger, MovementStatus, PaymentBook, PlacedOrder, ShipmentStatus};
use super::terms::{LineUnits, RefundCause};
use crate::ids::{LocationCode, Sku};
use crate::money::Money;
use crate::quantity::Quantity;

impl LineLedger {
    /// Units set aside and still here, at all locations.
    pub fn allocated_units(&self) -> u32 {
        self.allocated.values().sum()
    }

    /// Units still wanted.
    pub const fn wanted(&self) -> u32 {
        self.ordered.saturating_sub(self.cancelled)
    }

    /// Units that have not left and are still wanted.
    pub const fn unshipped(&self) -> u32 {
        self.wanted().saturating_sub(self.shipped)
    }

    /// Units that left and were not asked to be sent back.
    pub const fn returnable(&self) -> u32 {
        self.shipped.saturating_sub(self.return_requested)
    }
}

impl PaymentBook {
    /// Held by the gateway, and not asked to be moved or let go.
    pub const fn held(&self) -> i64 {
        self.authorised
            .saturating_sub(self.captured)
            .saturating_sub(self.capturing)
            .saturating_sub(self.voided)
    }

    /// Came, and is not on its way back.
    pub const fn refundable(&self) -> i64 {
        let back = self.refunded.saturating_add(self.refunding).saturating_add(self.charged_back);
        let left = self.captured.saturating_sub(back);
        if left > 0 { left } else { 0 }
    }
}

impl PlacedOrder {
    /// An amount in the order's currency.
    pub fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.details.currency)
    }

    /// The current total: what the customer has to pay for everything that is still wanted.
    pub fn total(&self) -> i64 {
        let lines = self.prices.lines.iter().zip(&self.lines);
        lines.map(|(prices, ledger)| prices.value_of(0, ledger.wanted())).sum()
    }

    /// Came from customers in all.
    pub fn captured(&self) -> i64 {
        self.payments.values().map(|book| book.captured).sum()
    }

    /// Held by gateways, and neither on its way to us nor about to be let go.
    pub fn held(&self) -> i64 {
        self.payments.values().filter(|book| !book.voiding).map(PaymentBook::held).sum()
    }

    /// Asked of gateways that have not answered yet, besides the payment it was placed with.
    pub(super) fn asked_for(&self) -> i64 {
        let open = self.payments.values().filter(|it| it.authorised == 0 && it.declined.is_none());
        open.map(|book| book.requested).sum()
    }

    /// Whether some money is on its way to us.
    pub(super) fn is_capturing(&self) -> bool {
        self.payments.values().any(|book| book.capturing > 0)
    }

    /// Went back, or is on its way.
    pub fn refunded(&self) -> i64 {
        self.payments.values().map(|book| book.refunded + book.refunding).sum()
    }

    /// Can still go back.
    pub fn refundable(&self) -> i64 {
        self.payments.values().map(PaymentBook::refundable).sum()
    }

    /// Still to be moved to us: the current total less what came or is on its way. What went back
    /// because units were cancelled counts as never paid; other refunds do not make anybody owe again.
    pub fn outstanding(&self) -> i64 {
        (self.total() - self.paid()).max(0)
    }

    /// Came, or is on its way, for more than is still wanted, and has not been taken back by a bank.
    pub(super) fn overpaid(&self) -> i64 {
        let taken_back: i64 = self.payments.values().map(|book| book.charged_back).sum();
        (self.paid() - self.total() - taken_back).max(0)
    }

    fn paid(&self) -> i64 {
        let moved: i64 = self.payments.values().map(|book| book.captured + book.capturing).sum();
        let given_up = self.refunds.values().filter(|refund| {
            refund.cause == RefundCause::Cancellation
                && !matches!(refund.status, MovementStatus::Failed(_))
        });
        moved - given_up.map(|refund| refund.amount).sum::<i64>()
    }

    /// Ledgers of lines that take something from a shelf.
    pub fn goods_ledgers(&self) -> impl Iterator<Item = &LineLedger> {
        let lines = self.details.lines.iter().zip(&self.lines);
        lines.filter(|(line, _)| line.kind == LineKind::Goods).map(|(_, ledger)| ledger)
    }

    /// Whether line number `line` takes something from a shelf.
    pub fn is_goods(&self, line: u32) -> bool {
        self.details.lines.get(line as usize).is_some_and(|line| line.kind == LineKind::Goods)
    }

    /// The SKU of a line.
    pub fn sku(&self, line: u32) -> Option<&Sku> {
        self.details.lines.get(line as usize).map(|line| &line.sku)
    }

    /// Numbers of the lines with `sku`, from 0.
    pub fn lines_of<'a>(&'a self, sku: &'a Sku) -> impl Iterator<Item = u32> + 'a {
        let lines = (0_u32..).zip(&self.details.lines);
        lines
            .filter(move |(_, line)| line.kind == LineKind::Goods && line.sku == *sku)
            .map(|(n, _)| n)
    }

    /// Units of goods that are still wanted and have not left.
    pub fn unshipped(&self) -> u64 {
        self.goods_ledgers().map(|ledger| u64::from(ledger.unshipped())).sum()
    }

    /// Units of goods that left.
    pub fn shipped(&self) -> u64 {
        self.goods_ledgers().map(|ledger| u64::from(ledger.shipped)).sum()
    }

    /// Units of `line` at `location` that are in no shipment that is still to leave.
    pub fn free_at(&self, line: u32, location: &LocationCode) -> u32 {
        let there = self.lines.get(line as usize).and_then(|ledger| ledger.allocated.get(location));
        there.copied().unwrap_or(0).saturating_sub(self.planned_at(line, location))
    }

    /// Units of `line` at `location` in shipments that are still to leave.
    fn planned_at(&self, line: u32, location: &LocationCode) -> u32 {
        self.waiting_shipments()
            .filter(|shipment| shipment.location == *location)
            .flat_map(|shipment| &shipment.lines)
            .filter(|units| units.line == line)
            .map(|units| units.quantity.get())
            .sum()
    }

    /// Shipments that are still to leave.
    pub fn waiting_shipments(&self) -> impl Iterator<Item = &super::state::ShipmentBook> {
        self.shipments.values().filter(|shipment| shipment.status.is_waiting())
    }

    /// Everything allocated that is in no shipment, per location.
    pub fn to_be_shipped(&self) -> BTreeMap<LocationCode, Vec<LineUnits>> {
        let mut places: BTreeMap<LocationCode, Vec<LineUnits>> = BTreeMap::new();
        for (line, ledger) in (0_u32..).zip(&self.lines) {
            for location in ledger.allocated.keys() {
                if let Ok(quantity) = Quantity::new(self.free_at(line, location).into()) {
                    places.entry(location.clone()).or_default().push(LineUnits { line, quantity });
                }
            }
        }
        places
    }

    /// Whether our partners move money and goods.
    pub fn has_partners(&self) -> bool {
        matches!(self.details.handling, Handling::Partners { .. })
    }

    /// What each location has to do for the order.
    pub fn fulfilment_orders(&self) -> Vec<FulfilmentOrder> {
        let mut places: BTreeMap<LocationCode, BTreeMap<u32, (u32, u32)>> = BTreeMap::new();
        for (line, ledger) in (0_u32..).zip(&self.lines) {
            for (location, &here) in &ledger.allocated {
                places.entry(location.clone()).or_default().entry(line).or_default().0 += here;
            }
        }
        let gone =
            |status| matches!(status, ShipmentStatus::Dispatched | ShipmentStatus::Delivered);
        for shipment in self.shipments.values().filter(|shipment| gone(shipment.status)) {
            let lines = places.entry(shipment.location.clone()).or_default();
            for units in &shipment.lines {
                lines.entry(units.line).or_default().1 += units.quantity.get();
            }
        }
        let planned = |location: &LocationCode| {
            self.waiting_shipments().any(|shipment| shipment.location == *location)
        };
        let order = |(location, lines): (LocationCode, BTreeMap<u32, (u32, u32)>)| {
            let lines: Vec<_> = lines
                .into_iter()
                .filter(|(_, (remaining, shipped))| remaining + shipped > 0)
                .map(|(line, (remaining, shipped))| FulfilmentLine { line, remaining, shipped })
                .collect();
            let status = match lines.iter().map(|line| line.remaining).sum::<u32>() {
                0 => FulfilmentOrderStatus::Closed,
                _ if !self.holds.is_empty() => FulfilmentOrderStatus::OnHold,
                _ if planned(&location) => FulfilmentOrderStatus::InProgress,
                _ => FulfilmentOrderStatus::Open,
            };
            FulfilmentOrder { location, status, lines }
        };
        places.into_iter().map(order).filter(|order| !order.lines.is_empty()).collect()
    }
}

impl ShipmentStatus {
    /// Whether it is still to leave.
    pub const fn is_waiting(self) -> bool {
        matches!(self, Self::Requested | Self::Cleared)
    }
}

/// What one location has to do for an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FulfilmentOrder {
    /// Where.
    pub location: LocationCode,
    /// How far it is.
    pub status: FulfilmentOrderStatus,
    /// What.
    pub lines: Vec<FulfilmentLine>,
}

/// Units of one line at one location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FulfilmentLine {
    /// Which line, from 0.
    pub line: u32,
    /// Still here.
    pub remaining: u32,
    /// Left from here.
    pub shipped: u32,
}

/// How far a location is with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FulfilmentOrderStatus {
    /// Something is here that nobody has planned.
    Open,
    /// A shipment is being prepared.
    InProgress,
    /// Nothing may leave because of a hold.
    OnHold,
    /// Everything has left.
    Closed,
}

impl FulfilmentOrderStatus {
    /// Every value.
    pub const ALL: &[Self] = &[Self::Open, Self::InProgress, Self::OnHold, Self::Closed];

    /// The word it is stored under.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::InProgress => "in-progress",
            Self::OnHold => "on-hold",
            Self::Closed => "closed",
        }
    }
}
