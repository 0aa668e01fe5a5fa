//! What was bought and agreed, frozen when an order is placed.
//!
//! These types are stored. A change of shape is a new version with an upcaster in `schemas`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{
    Channel, CountryCode, CustomerRef, ExternalReference, LocationCode, PartnerReference,
    PaymentToken, Sku, Tag,
};
use crate::money::{Currency, Money, MoneyError};
use crate::personal::Sealed;
use crate::quantity::Quantity;
use crate::stock::Acceptance;

/// What the customer bought and agreed to pay, frozen when the order is placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderDetails {
    /// Where it comes from.
    pub channel: Channel,
    /// How the shop, the marketplace or the till knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_reference: Option<ExternalReference>,
    /// Who ordered, if that is known; nobody for a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerRef>,
    /// How to reach who ordered: a sealed [`Contact`](crate::personal::Contact).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Sealed>,
    /// Where the goods go: a sealed [`PostalAddress`](crate::personal::PostalAddress).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Sealed>,
    /// Where the invoice goes, if elsewhere: a sealed [`PostalAddress`](crate::personal::PostalAddress).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<Sealed>,
    /// Country that the goods go to.
    pub country: CountryCode,
    /// What was bought, in the caller's order. One SKU may stand on several lines.
    pub lines: Vec<Line>,
    /// What was taken off the order as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<Discount>,
    /// Whether the lines' unit prices include the taxes; if not, taxes come on top.
    #[serde(default)]
    pub prices_include_tax: bool,
    /// The one currency of the order.
    pub currency: Currency,
    /// What the customer agreed to pay.
    pub total: Money,
    /// Who moves money and goods.
    pub handling: Handling,
    /// How the order is to be handled where shops differ.
    #[serde(default)]
    pub policies: Policies,
    /// Goods are taken from here first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer_location: Option<LocationCode>,
    /// How likely it is fraud, as the caller sees it: 0 (not at all) to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_score: Option<u8>,
    /// Words that orders are sorted by.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<Tag>,
    /// What the customer wanted to say: sealed text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Sealed>,
    /// What the caller wants back unchanged. Never personal data.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
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
    /// Price of one unit before discounts.
    pub unit_price: Money,
    /// What was taken off this line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<Discount>,
    /// The taxes on this line, after all discounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<TaxLine>,
}

impl Line {
    /// Price of the whole line before discounts.
    ///
    /// # Errors
    /// When it overflows.
    pub fn subtotal(&self) -> Result<Money, MoneyError> {
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

/// Something taken off a price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Discount {
    /// Why, as the customer saw it: a code, a campaign.
    pub title: String,
    /// How much, above zero.
    pub amount: Money,
}

/// One tax on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TaxLine {
    /// What it is called and who levies it, such as `VAT GB` or `NY state`.
    pub title: String,
    /// Parts per million: 200 000 is 20 %.
    pub rate_ppm: u32,
    /// How much, not below zero.
    pub amount: Money,
}

/// Who moves the money and the goods of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "by")]
pub enum Handling {
    /// We do: the payment gateway is charged and the carrier is booked.
    Partners {
        /// What the gateway charges; nothing for an order that is paid in another way (bank
        /// transfer, cash) and marked as paid by hand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payment_token: Option<PaymentToken>,
    },
    /// Somebody did, before the order came here (an import of history). Stock is still taken and
    /// money still accounted for, but no gateway and no carrier is called.
    Elsewhere {
        /// How the other system knows it.
        reference: PartnerReference,
    },
}

/// How an order is to be handled where shops differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Policies {
    /// What happens when not everything is in stock.
    pub acceptance: Acceptance,
    /// When the money is moved.
    pub capture: CapturePolicy,
    /// Who says when goods leave.
    pub dispatch: DispatchPolicy,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            acceptance: Acceptance::AllOrNothing,
            capture: CapturePolicy::OnShip,
            dispatch: DispatchPolicy::Automatic,
        }
    }
}

/// When the money of an order is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CapturePolicy {
    /// For each shipment when it leaves.
    OnShip,
    /// All of it when the order is confirmed.
    AtOnce,
    /// When somebody says so.
    Manual,
}

/// Who says when the goods of an order leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DispatchPolicy {
    /// One shipment per location as soon as goods are allocated there.
    Automatic,
    /// The warehouse, shipment by shipment.
    Manual,
}
