//! What can have happened to an order.
//!
//! These types are stored. A change of shape is a new version with an upcaster in `schemas`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{Channel, CountryCode, CustomerRef, PartnerReference, PaymentToken, Sku};
use crate::money::{Currency, Money, MoneyError};
use crate::quantity::Quantity;

/// Everything that can have happened to an order.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderEvent {
    /// Accepted; from here on nothing about it is lost.
    Placed(OrderPlaced),
    /// Its goods are reserved and its payment is authorised.
    Confirmed(OrderConfirmed),
    /// Its goods have left; it can no longer be cancelled.
    Shipped(OrderShipped),
    /// Everything has been delivered.
    Completed(OrderCompleted),
    /// Given up on request, or because it could not be paid.
    Cancelled(OrderCancelled),
    /// Refused, because it could not be supplied.
    Rejected(OrderRejected),
}

/// What the customer bought and agreed to pay, frozen when the order is placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderDetails {
    /// Where it comes from.
    pub channel: Channel,
    /// Who ordered, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerRef>,
    /// Where it goes.
    pub country: CountryCode,
    /// What was bought, in the caller's order. One SKU may stand on several lines.
    pub lines: Vec<Line>,
    /// The one currency of the order.
    pub currency: Currency,
    /// What the customer agreed to pay: the sum over the lines.
    pub total: Money,
    /// Who moves money and goods.
    pub handling: Handling,
}

impl OrderDetails {
    /// Whether we move the money and the goods ourselves, with our partners.
    pub const fn needs_partners(&self) -> bool {
        matches!(self.handling, Handling::Partners { .. })
    }

    /// The goods of the order, one entry per SKU over all its lines, in the order of SKUs.
    pub fn goods(&self) -> BTreeMap<&Sku, u64> {
        let mut goods = BTreeMap::new();
        for line in self.lines.iter().filter(|line| line.kind == LineKind::Goods) {
            *goods.entry(&line.sku).or_default() += u64::from(line.quantity.get());
        }
        goods
    }
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// What.
    pub sku: Sku,
    /// Its name as the customer saw it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Whether it takes something from a shelf.
    pub kind: LineKind,
    /// How many.
    pub quantity: Quantity,
    /// Price of one unit.
    pub unit_price: Money,
}

impl Line {
    /// Price of the whole line.
    ///
    /// # Errors
    /// When it overflows.
    pub fn total(&self) -> Result<Money, MoneyError> {
        self.unit_price.times(self.quantity.get())
    }
}

/// Whether a line takes something from a shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LineKind {
    /// Goods: stock is reserved and shipped.
    Goods,
    /// Postage, a fee, a service: part of the price, but nothing is reserved or shipped.
    Charge,
}

/// Who moves the money and the goods of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "by")]
pub enum Handling {
    /// We do: the payment gateway is charged and the carrier is booked.
    Partners {
        /// What the gateway charges.
        payment_token: PaymentToken,
    },
    /// Somebody did, before the order came here (an import of history). Stock is still taken and
    /// money still accounted for, but no gateway and no carrier is called.
    Elsewhere {
        /// How the other system knows it.
        reference: PartnerReference,
    },
}

/// An order was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderPlaced {
    /// What was bought. Shared, because states and read models keep it.
    pub details: std::sync::Arc<OrderDetails>,
    /// When the customer placed it; long before it was recorded if it was imported.
    pub placed_at: DateTime<Utc>,
}

/// Goods are reserved and payment is authorised: we will deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderConfirmed {}

/// The goods leave for the customer: the point of no return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderShipped {}

/// Everything was delivered and paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderCompleted {}

/// The order was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderCancelled {
    /// Why.
    pub reason: CancelReason,
}

/// The order was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderRejected {
    /// Why.
    pub reason: RejectReason,
}

/// Why an order was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CancelReason {
    /// The customer wanted it.
    Customer,
    /// Somebody of the shop wanted it.
    Staff,
    /// It looks like fraud.
    Fraud,
    /// The gateway declined the payment.
    PaymentDeclined,
    /// No payment was authorised before the deadline.
    PaymentTimedOut,
    /// None of these.
    Other,
}

/// Why an order was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "code")]
pub enum RejectReason {
    /// There was not enough of a SKU.
    InsufficientStock {
        /// Of which one.
        sku: Sku,
        /// Units wanted, over all lines.
        requested: u64,
        /// Units available when it was tried.
        available: u64,
    },
    /// The SKU has never been received into stock.
    UnknownSku {
        /// Which one.
        sku: Sku,
    },
}
