//! Words that commands, events and the document share: units, reasons, dispositions.
//!
//! These types are stored. A change of shape is a new version with an upcaster in `schemas`.

use serde::{Deserialize, Serialize};

use crate::ids::{LocationCode, Sku};
use crate::quantity::Quantity;
use crate::shipment::BookedParcel;
use crate::stock::LocatedUnits;

/// Some units of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LineUnits {
    /// Which line, from 0, in the customer's order.
    pub line: u32,
    /// How many of its units.
    pub quantity: Quantity,
}

/// What was found for a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LineAllocation {
    /// Which line, from 0.
    pub line: u32,
    /// Set aside, and where.
    pub units: Vec<LocatedUnits>,
    /// Not there yet.
    pub backordered: u32,
}

/// How far the stock of a SKU was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockRevision {
    /// Which SKU.
    pub sku: Sku,
    /// Revision of the last event of its stream.
    pub revision: u64,
}

/// Units that came back, or never will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReceivedUnits {
    /// Of which line, from 0.
    pub line: u32,
    /// How many.
    pub quantity: Quantity,
    /// What became of them.
    pub disposition: Disposition,
    /// Where.
    pub location: LocationCode,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }
    )+};
}

codes! {
    /// Why an order, or a part of it, was cancelled.
    CancelReason {
        /// The customer wanted it.
        Customer,
        /// Somebody of the shop wanted it.
        Staff,
        /// It looks like fraud.
        Fraud,
        /// There is not enough in stock.
        Inventory,
        /// The gateway declined the payment.
        PaymentDeclined,
        /// No payment was authorised before the deadline.
        PaymentTimedOut,
        /// None of these.
        Other,
    }

    /// Why an order is held.
    HoldReason {
        /// It has to be looked at for fraud.
        Fraud,
        /// The address is wrong or incomplete.
        Address,
        /// It is worth so much that somebody has to approve it.
        Value,
        /// Goods are missing.
        Inventory,
        /// Something about the payment.
        Payment,
        /// The customer asked to wait.
        Customer,
        /// None of these.
        Other,
    }

    /// What led to a refund.
    RefundCause {
        /// Units were cancelled that had been paid.
        Cancellation,
        /// Goods came back.
        Return,
        /// Neither: goodwill, a price correction.
        Goodwill,
    }

    /// Why money goes back.
    RefundReason {
        /// The customer changed their mind.
        Customer,
        /// The goods were damaged or faulty.
        Damaged,
        /// The wrong goods came.
        WrongItem,
        /// The goods never came.
        NotReceived,
        /// The goods came too late.
        Late,
        /// The price was wrong.
        Price,
        /// It was fraud.
        Fraud,
        /// The goods cannot be supplied.
        Inventory,
        /// None of these.
        Other,
    }

    /// Why goods come back.
    ReturnReason {
        /// Not wanted any more.
        Unwanted,
        /// It does not fit.
        Size,
        /// It is not as described.
        NotAsDescribed,
        /// It is damaged or faulty.
        Damaged,
        /// It is not what was ordered.
        WrongItem,
        /// It came too late.
        Late,
        /// None of these.
        Other,
    }

    /// What became of goods that a customer sent back.
    Disposition {
        /// On the shelf again.
        Restocked,
        /// They came, but cannot be sold again.
        WrittenOff,
        /// They did not come.
        Missing,
    }
}

/// Who brings a shipment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "carrier")]
pub enum ShippedBy {
    /// Our carrier, who is booked and asked.
    Partner {
        /// As how many parcels.
        parcels: u32,
    },
    /// A carrier that we do not talk to; news of it is recorded by hand.
    Manual {
        /// As what.
        parcels: Vec<BookedParcel>,
    },
    /// Somebody brought it before the order came here.
    Elsewhere,
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
