//! The four axes on which an order stands somewhere: as a whole, its money, its goods, what came
//! back. All but the first are read off the ledgers, never set.

use serde::{Deserialize, Serialize};

use super::state::{OrderStatus, PlacedOrder, ReturnProgress, ShipmentStatus};

/// Where the money of an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaymentStatus {
    /// There is nothing to pay.
    NotRequired,
    /// Nothing is held or paid yet.
    Pending,
    /// The gateway refused, and nothing else came.
    Declined,
    /// All that is to be paid is held or paid.
    Authorised,
    /// Less than that.
    PartiallyAuthorised,
    /// What was held is not held any longer, because too much time went by.
    Expired,
    /// Some of it has been paid, and some not.
    PartiallyPaid,
    /// All of it has been paid.
    Paid,
    /// Some of what was paid went back.
    PartiallyRefunded,
    /// All of what was paid went back.
    Refunded,
    /// What was held was let go and nothing was paid.
    Voided,
    /// The customer's bank took money back.
    ChargedBack,
}

/// Where the goods of an order are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FulfilmentStatus {
    /// There are no goods.
    NotRequired,
    /// Nothing has been done.
    Unfulfilled,
    /// Nothing leaves because of a hold.
    OnHold,
    /// Everything that has not left is awaited.
    Backordered,
    /// A shipment is being prepared, none has left.
    InProgress,
    /// Some goods have left.
    PartiallyShipped,
    /// All goods have left.
    Shipped,
    /// Some goods have arrived, all have left.
    PartiallyDelivered,
    /// All goods have arrived.
    Delivered,
    /// All goods were given up before they left.
    Cancelled,
}

/// What came back of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReturnStatus {
    /// Nothing, and nobody asked.
    None,
    /// Somebody has to decide.
    Requested,
    /// Goods are on their way back.
    InProgress,
    /// Some goods came back.
    PartiallyReturned,
    /// All goods that left came back.
    Returned,
    /// Whoever asked was refused.
    Declined,
}

macro_rules! codes {
    ($($axis:ident { $($variant:ident = $code:literal,)+ })+) => {$(
        impl $axis {
            /// Every value, in the order of the words above.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word it is stored under.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }
        }

        impl std::fmt::Display for $axis {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.code())
            }
        }
    )+};
}

codes! {
    PaymentStatus {
        NotRequired = "not-required",
        Pending = "pending",
        Declined = "declined",
        Authorised = "authorised",
        PartiallyAuthorised = "partially-authorised",
        Expired = "expired",
        PartiallyPaid = "partially-paid",
        Paid = "paid",
        PartiallyRefunded = "partially-refunded",
        Refunded = "refunded",
        Voided = "voided",
        ChargedBack = "charged-back",
    }
    FulfilmentStatus {
        NotRequired = "not-required",
        Unfulfilled = "unfulfilled",
        OnHold = "on-hold",
        Backordered = "backordered",
        InProgress = "in-progress",
        PartiallyShipped = "partially-shipped",
        Shipped = "shipped",
        PartiallyDelivered = "partially-delivered",
        Delivered = "delivered",
        Cancelled = "cancelled",
    }
    ReturnStatus {
        None = "none",
        Requested = "requested",
        InProgress = "in-progress",
        PartiallyReturned = "partially-returned",
        Returned = "returned",
        Declined = "declined",
    }
}

impl PlacedOrder {
    /// Where the money is.
    pub fn payment_status(&self) -> PaymentStatus {
        let books = || self.payments.values();
        let captured = self.captured();
        let back = books().map(|book| book.refunded).sum::<i64>();
        if books().any(|book| book.charged_back > 0) {
            return PaymentStatus::ChargedBack;
        }
        if captured > 0 {
            return match (back, self.outstanding()) {
                (back, _) if back >= captured => PaymentStatus::Refunded,
                (1.., _) => PaymentStatus::PartiallyRefunded,
                (_, 1..) => PaymentStatus::PartiallyPaid,
                _ => PaymentStatus::Paid,
            };
        }
        if self.details.total.minor == 0 {
            return PaymentStatus::NotRequired;
        }
        let held: i64 = self.held();
        match held {
            1.. if held >= self.total() => PaymentStatus::Authorised,
            1.. => PaymentStatus::PartiallyAuthorised,
            _ if books().any(|book| book.expired) => PaymentStatus::Expired,
            _ if books().any(|book| book.voided > 0) => PaymentStatus::Voided,
            _ if books().any(|book| book.declined.is_some()) => PaymentStatus::Declined,
            _ if self.total() == 0 => PaymentStatus::NotRequired,
            _ => PaymentStatus::Pending,
        }
    }

    /// Where the goods are.
    pub fn fulfilment_status(&self) -> FulfilmentStatus {
        let (mut wanted, mut cancelled, mut shipped, mut delivered, mut backordered) =
            (0, 0, 0, 0, 0);
        for ledger in self.goods_ledgers() {
            wanted += u64::from(ledger.ordered - ledger.cancelled.min(ledger.ordered));
            cancelled += u64::from(ledger.cancelled);
            shipped += u64::from(ledger.shipped);
            delivered += u64::from(ledger.delivered);
            backordered += u64::from(ledger.backordered);
        }
        if wanted == 0 {
            let none = if cancelled > 0 {
                FulfilmentStatus::Cancelled
            } else {
                FulfilmentStatus::NotRequired
            };
            return none;
        }
        if matches!(self.status, OrderStatus::Rejected(_) | OrderStatus::Cancelled(_)) {
            return FulfilmentStatus::Cancelled;
        }
        if shipped >= wanted {
            return match delivered {
                0 => FulfilmentStatus::Shipped,
                some if some < wanted => FulfilmentStatus::PartiallyDelivered,
                _ => FulfilmentStatus::Delivered,
            };
        }
        let preparing = self.shipments.values().any(|shipment| {
            matches!(shipment.status, ShipmentStatus::Requested | ShipmentStatus::Cleared)
        });
        if !self.holds.is_empty() {
            FulfilmentStatus::OnHold
        } else if shipped > 0 {
            FulfilmentStatus::PartiallyShipped
        } else if preparing {
            FulfilmentStatus::InProgress
        } else if backordered == wanted {
            FulfilmentStatus::Backordered
        } else {
            FulfilmentStatus::Unfulfilled
        }
    }

    /// What came back.
    pub fn return_status(&self) -> ReturnStatus {
        let any = |wanted: &[ReturnProgress]| {
            self.returns.values().any(|one| wanted.contains(&one.status))
        };
        let came_back: u32 = self.lines.iter().map(|ledger| ledger.returned).sum();
        let left: u32 = self.lines.iter().map(|ledger| ledger.shipped).sum();
        if any(&[ReturnProgress::Requested]) {
            ReturnStatus::Requested
        } else if any(&[ReturnProgress::Approved]) {
            ReturnStatus::InProgress
        } else if came_back > 0 && came_back >= left {
            ReturnStatus::Returned
        } else if came_back > 0 {
            ReturnStatus::PartiallyReturned
        } else if any(&[ReturnProgress::Declined]) {
            ReturnStatus::Declined
        } else {
            ReturnStatus::None
        }
    }
}
