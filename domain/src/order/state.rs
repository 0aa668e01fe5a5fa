//! An order as it is: the document that decisions, answers and read models share.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::details::OrderDetails;
use super::terms::{
    CancelReason, Disposition, HoldReason, LineUnits, ReceivedUnits, RefundCause, RefundReason,
    RejectReason, ReturnReason, ShippedBy,
};
use crate::ids::{
    CaptureId, CountryCode, CustomerRef, HoldName, LocationCode, MovementId, OrderNumber,
    PartnerReference, PaymentId, RefundId, ReturnId, ShipmentId, Sku, Tag,
};
use crate::money::Money;
use crate::personal::Sealed;
use crate::pricing::Prices;
use crate::shipment::{BookedParcel, TrackingStatus};

/// An order, folded from its events.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderState {
    /// Nobody has placed it.
    NotPlaced,
    /// It was placed.
    Placed(Box<PlacedOrder>),
}

/// An order that was placed. Serialisable, because read models keep it as a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacedOrder {
    /// What people call it.
    pub number: Option<OrderNumber>,
    /// What was bought.
    pub details: Arc<OrderDetails>,
    /// What each line and unit costs.
    pub prices: Arc<Prices>,
    /// When the customer placed it.
    pub placed_at: DateTime<Utc>,
    /// How far it has come as a whole.
    pub status: OrderStatus,
    /// What became of the units of each line, in the order of lines.
    pub lines: Vec<LineLedger>,
    /// Whose order it is.
    pub customer: Option<CustomerRef>,
    /// How to reach who ordered.
    pub contact: Option<Sealed>,
    /// Where the goods go.
    pub shipping_address: Option<Sealed>,
    /// Where the invoice goes.
    pub billing_address: Option<Sealed>,
    /// Country that the goods go to.
    pub country: CountryCode,
    /// The note.
    pub note: Option<Sealed>,
    /// Words that it is sorted by.
    pub tags: BTreeSet<Tag>,
    /// Nothing leaves while there is one.
    pub holds: BTreeMap<HoldName, Hold>,
    /// What the stock of each SKU is known to have done for the order; empty until it was asked.
    pub supply: BTreeMap<Sku, Supply>,
    /// Whether stock was asked.
    pub allocated: bool,
    /// Its payments.
    pub payments: BTreeMap<PaymentId, PaymentBook>,
    /// Money moved to us, or on its way.
    pub captures: BTreeMap<CaptureId, Capture>,
    /// Money moved back, or on its way.
    pub refunds: BTreeMap<RefundId, Refund>,
    /// Charge-backs that are known, by the gateway's reference.
    pub chargebacks: BTreeMap<String, Money>,
    /// Its shipments.
    pub shipments: BTreeMap<ShipmentId, ShipmentBook>,
    /// Its returns.
    pub returns: BTreeMap<ReturnId, ReturnBook>,
    /// Cancellations, receipts of returns and holds that are known, so that repeating one changes
    /// nothing, however late.
    pub movements: BTreeMap<MovementId, Remembered>,
}

/// What was done under an id, to tell its repetition from something else under the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remembered {
    /// These units were given up.
    Cancelled(Vec<LineUnits>),
    /// These came back.
    Received(Vec<ReceivedUnits>),
    /// The order was held.
    Held(HoldName),
    /// A hold was released.
    HoldReleased(HoldName),
}

/// How far an order has come as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderStatus {
    /// Accepted, nothing promised yet.
    Pending,
    /// Reserved and authorised: it will be delivered.
    Confirmed,
    /// Delivered, as far as it was not cancelled.
    Completed,
    /// Given up as a whole.
    Cancelled(CancelReason),
    /// Refused.
    Rejected(RejectReason),
}

/// What became of the units of one line.
///
/// `cancelled + allocated + backordered + shipped ≤ ordered`, `delivered ≤ shipped`,
/// `returned ≤ shipped`, `refunded ≤ ordered − cancelled`. For a charge only `ordered`, `cancelled` and
/// `refunded` move.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LineLedger {
    /// Units bought.
    pub ordered: u32,
    /// Given up before they left.
    pub cancelled: u32,
    /// Set aside and still here, per location; in a shipment that has not left or in none.
    pub allocated: BTreeMap<LocationCode, u32>,
    /// Awaited.
    pub backordered: u32,
    /// Left.
    pub shipped: u32,
    /// Arrived.
    pub delivered: u32,
    /// Asked to be sent back, not counting what was declined.
    pub return_requested: u32,
    /// Sent back and received.
    pub returned: u32,
    /// Paid back as units (refunds by amount do not count).
    pub refunded: u32,
}

/// What the stock of one SKU is known to have done for an order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Supply {
    /// Revision up to which everything is counted.
    pub as_of: u64,
    /// Revisions after that which are counted: backorders that were filled.
    pub fills: BTreeSet<u64>,
}

/// A hold in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Why.
    pub reason: HoldReason,
    /// Whether a rule did it.
    pub automatic: bool,
    /// In words.
    pub note: Option<Sealed>,
}

/// One payment as the order knows it, in minor units of the order's currency.
///
/// `captured + capturing + voided ≤ authorised`, `refunded + refunding + charged_back ≤ captured` (a bank may
/// take back what was already refunded: then the last is broken, and shown).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentBook {
    /// Asked for by a later payment; what the first one asks for is the total.
    pub requested: i64,
    /// Held at first, or received.
    pub authorised: i64,
    /// On its way to us.
    pub capturing: i64,
    /// Came to us.
    pub captured: i64,
    /// Let go, by us or by time.
    pub voided: i64,
    /// On its way back.
    pub refunding: i64,
    /// Went back.
    pub refunded: i64,
    /// Taken back by the bank.
    pub charged_back: i64,
    /// Whether letting go was asked for.
    pub voiding: bool,
    /// Whether the gateway let go by itself.
    pub expired: bool,
    /// Until when the gateway holds the money.
    pub expires_at: Option<DateTime<Utc>>,
    /// The gateway's code when it declined.
    pub declined: Option<String>,
    /// How others know it, if no gateway of ours does.
    pub received_as: Option<PartnerReference>,
}

/// A movement of money to us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capture {
    /// From which payment.
    pub payment: PaymentId,
    /// How much.
    pub amount: i64,
    /// Whether the gateway may let go of the rest.
    pub is_final: bool,
    /// How far it is.
    pub status: MovementStatus,
}

/// How far a movement of money is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MovementStatus {
    /// Asked for; perhaps for hours.
    Pending,
    /// Done.
    Done,
    /// Refused, with the gateway's code.
    Failed(String),
}

/// A movement of money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    /// From which payment.
    pub payment: PaymentId,
    /// How much.
    pub amount: i64,
    /// For which units.
    pub lines: Vec<LineUnits>,
    /// What led to it.
    pub cause: RefundCause,
    /// Why.
    pub reason: RefundReason,
    /// In words.
    pub note: Option<Sealed>,
    /// How far it is.
    pub status: MovementStatus,
}

/// A shipment as the order knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShipmentBook {
    /// From where.
    pub location: LocationCode,
    /// What is in it.
    pub lines: Vec<LineUnits>,
    /// Who brings it.
    pub by: ShippedBy,
    /// What it travels as, as far as that is known.
    pub parcels: Vec<Parcel>,
    /// How far it is.
    pub status: ShipmentStatus,
    /// When it arrived.
    pub delivered_at: Option<DateTime<Utc>>,
}

/// How far a shipment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShipmentStatus {
    /// It waits for the warehouse.
    Requested,
    /// It may leave.
    Cleared,
    /// It is on its way.
    Dispatched,
    /// It arrived.
    Delivered,
    /// It never left.
    Cancelled,
}

/// One parcel of a shipment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parcel {
    /// Who carries it, and under which number.
    #[serde(flatten)]
    pub booked: BookedParcel,
    /// News of it, in the order in which it came.
    pub news: Vec<(TrackingStatus, DateTime<Utc>)>,
}

/// A return as the order knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnBook {
    /// What was asked to be sent back.
    pub lines: Vec<LineUnits>,
    /// Why.
    pub reason: ReturnReason,
    /// In words.
    pub note: Option<Sealed>,
    /// What came, or did not: line, units, what became of them.
    pub received: Vec<(u32, u32, Disposition)>,
    /// How far it is.
    pub status: ReturnProgress,
}

/// How far one return is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReturnProgress {
    /// Somebody has to decide.
    Requested,
    /// It may come.
    Approved,
    /// It may not come.
    Declined,
    /// Some of it came.
    Received,
    /// Nothing more is expected.
    Closed,
}

impl OrderState {
    /// How far the order has come as a whole; `None` when nobody has placed it.
    pub fn status(&self) -> Option<&OrderStatus> {
        self.placed().map(|order| &order.status)
    }

    /// The order, if somebody has placed it.
    pub fn placed(&self) -> Option<&PlacedOrder> {
        match self {
            Self::NotPlaced => None,
            Self::Placed(order) => Some(order),
        }
    }
}

impl OrderStatus {
    /// Whether it will never be anything else.
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled(_) | Self::Rejected(_))
    }

    /// The word it is stored under.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Completed => "completed",
            Self::Cancelled(_) => "cancelled",
            Self::Rejected(_) => "rejected",
        }
    }
}

macro_rules! shown {
    ($($name:ident { $($variant:ident = $word:literal,)+ })+) => {$(
        impl $name {
            /// The word it is shown under.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.code())
            }
        }
    )+};
}

shown! {
    ShipmentStatus {
        Requested = "requested",
        Cleared = "cleared",
        Dispatched = "dispatched",
        Delivered = "delivered",
        Cancelled = "cancelled",
    }
    ReturnProgress {
        Requested = "requested",
        Approved = "approved",
        Declined = "declined",
        Received = "received",
        Closed = "closed",
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
