//! Enums that are kept as short texts in the tables.

use domain::order;

use crate::value::{CODE, ColumnType, Value};

/// A closed set of codes: an enum, its texts, and its way into and out of a `text` column.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code as it stands in the tables.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl $crate::value::Value for $name {
            const TYPE: $crate::value::ColumnType = $crate::value::CODE;

            fn put(&self, bytes: &mut Vec<u8>) -> bool {
                $crate::value::Value::put(&self.as_str(), bytes)
            }
        }

        impl sqlx::Type<sqlx::Postgres> for $name {
            fn type_info() -> sqlx::postgres::PgTypeInfo {
                <str as sqlx::Type<sqlx::Postgres>>::type_info()
            }

            fn compatible(ty: &sqlx::postgres::PgTypeInfo) -> bool {
                <str as sqlx::Type<sqlx::Postgres>>::compatible(ty)
            }
        }

        impl sqlx::postgres::PgHasArrayType for $name {
            fn array_type_info() -> sqlx::postgres::PgTypeInfo {
                <&str as sqlx::postgres::PgHasArrayType>::array_type_info()
            }

            fn array_compatible(ty: &sqlx::postgres::PgTypeInfo) -> bool {
                <&str as sqlx::postgres::PgHasArrayType>::array_compatible(ty)
            }
        }

        impl<'q> sqlx::Encode<'q, sqlx::Postgres> for $name {
            fn encode_by_ref(
                &self,
                buffer: &mut sqlx::postgres::PgArgumentBuffer,
            ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
                <&str as sqlx::Encode<'_, sqlx::Postgres>>::encode_by_ref(&self.as_str(), buffer)
            }
        }

        impl<'r> sqlx::Decode<'r, sqlx::Postgres> for $name {
            fn decode(
                value: sqlx::postgres::PgValueRef<'r>,
            ) -> Result<Self, sqlx::error::BoxDynError> {
                let text = <&str as sqlx::Decode<'_, sqlx::Postgres>>::decode(value)?;
                let found = Self::ALL.iter().copied().find(|code| code.as_str() == text);
                found.ok_or_else(|| {
                    format!(concat!("`{}` is no ", stringify!($name)), text).into()
                })
            }
        }
    )+};
}

pub(crate) use codes;

/// One of the domain's own codes: an axis that an order is found by.
pub(crate) trait Code: Copy + 'static {
    /// Every value.
    const ALL: &'static [Self];
    /// The code as it stands in the tables.
    fn text(self) -> &'static str;
}

/// A [`Code`] on its way out of a `text` column.
pub(crate) struct Coded<T>(T);

impl<T: Code> sqlx::Type<sqlx::Postgres> for Coded<T> {
    fn type_info() -> sqlx::postgres::PgTypeInfo {
        <str as sqlx::Type<sqlx::Postgres>>::type_info()
    }

    fn compatible(ty: &sqlx::postgres::PgTypeInfo) -> bool {
        <str as sqlx::Type<sqlx::Postgres>>::compatible(ty)
    }
}

impl<'r, T: Code> sqlx::Decode<'r, sqlx::Postgres> for Coded<T> {
    fn decode(value: sqlx::postgres::PgValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
        let text = <&str as sqlx::Decode<'_, sqlx::Postgres>>::decode(value)?;
        let found = T::ALL.iter().copied().find(|code| code.text() == text);
        found
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no {}", std::any::type_name::<T>()).into())
    }
}

macro_rules! domain_codes {
    ($($name:ty: $all:expr, $text:expr;)+) => {$(
        impl Code for $name {
            const ALL: &'static [Self] = $all;

            fn text(self) -> &'static str {
                let text: fn(Self) -> &'static str = $text;
                text(self)
            }
        }

        impl Value for $name {
            const TYPE: ColumnType = CODE;

            fn put(&self, bytes: &mut Vec<u8>) -> bool {
                self.text().put(bytes)
            }
        }

        impl From<Coded<$name>> for $name {
            fn from(coded: Coded<$name>) -> Self {
                coded.0
            }
        }
    )+};
}

domain_codes! {
    order::PaymentStatus: order::PaymentStatus::ALL, Self::code;
    order::FulfilmentStatus: order::FulfilmentStatus::ALL, Self::code;
    order::ReturnStatus: order::ReturnStatus::ALL, Self::code;
    order::FulfilmentOrderStatus: order::FulfilmentOrderStatus::ALL, Self::code;
    order::ReturnProgress: &[
        Self::Requested,
        Self::Approved,
        Self::Declined,
        Self::Received,
        Self::Closed,
    ], Self::code;
    order::ReturnReason: &[
        Self::Unwanted,
        Self::Size,
        Self::NotAsDescribed,
        Self::Damaged,
        Self::WrongItem,
        Self::Late,
        Self::Other,
    ], return_reason;
}

/// The word that events have for it.
const fn return_reason(reason: order::ReturnReason) -> &'static str {
    match reason {
        order::ReturnReason::Unwanted => "unwanted",
        order::ReturnReason::Size => "size",
        order::ReturnReason::NotAsDescribed => "not-as-described",
        order::ReturnReason::Damaged => "damaged",
        order::ReturnReason::WrongItem => "wrong-item",
        order::ReturnReason::Late => "late",
        order::ReturnReason::Other => "other",
    }
}

codes! {
    /// How far an order has come as a whole.
    OrderStatus {
        /// Accepted, nothing promised yet.
        Pending = "pending",
        /// Goods are reserved and payment is authorised.
        Confirmed = "confirmed",
        /// Delivered, as far as it was not cancelled.
        Completed = "completed",
        /// Given up as a whole.
        Cancelled = "cancelled",
        /// Refused.
        Rejected = "rejected",
    }
    /// Who moves the money and the goods of an order.
    Handling {
        /// We do, through gateway and carrier.
        Partners = "partners",
        /// Another system did.
        Elsewhere = "elsewhere",
    }
    /// Whether a line takes something from a shelf.
    LineKind {
        /// It does.
        Goods = "goods",
        /// It does not: postage, a fee, a service.
        Charge = "charge",
    }
    /// Who took the money of a payment.
    PaymentSource {
        /// A gateway, for us.
        Gateway = "gateway",
        /// Another system.
        Elsewhere = "elsewhere",
        /// Somebody who says so: a bank transfer, cash.
        Manual = "manual",
    }
    /// How far a payment has come.
    PaymentStatus {
        /// The gateway thinks about it.
        Pending = "pending",
        /// The gateway refused.
        Declined = "declined",
        /// Money is held, or on its way to us.
        Authorised = "authorised",
        /// Too much time went by; nothing came to us.
        Expired = "expired",
        /// Money came to us, and some of it is still here.
        Captured = "captured",
        /// All that was held was let go; nothing came to us.
        Voided = "voided",
        /// All that came to us went back.
        Refunded = "refunded",
        /// All that came to us went back, and the customer's bank took some of it.
        ChargedBack = "charged-back",
    }
    /// How far a shipment has come.
    ShipmentStatus {
        /// A carrier will come.
        Booked = "booked",
        /// The carrier has it.
        HandedOver = "handed-over",
        /// The customer has it.
        Delivered = "delivered",
        /// The carrier will not come.
        Cancelled = "cancelled",
    }
    /// What a process does.
    ProcessKind {
        /// Has an order's goods set aside and its money held, and promises delivery.
        Acceptance = "acceptance",
        /// Has money held by another payment.
        Payment = "payment",
        /// Brings a shipment to the customer.
        Delivery = "delivery",
        /// Moves money to us.
        Capture = "capture",
        /// Lets go of held money.
        Void = "void",
        /// Moves money back to the customer.
        Refund = "refund",
        /// Gives back the stock of cancelled units.
        Release = "release",
        /// Puts goods that came back onto the shelf.
        Restock = "restock",
        /// Tells an order that goods have come that it awaited.
        Backorder = "backorder",
    }
    /// What a process is doing.
    ProcessStatus {
        /// Its step is due now.
        Running = "running",
        /// Its step failed and is due again at a later time.
        Waiting = "waiting",
        /// Its step failed too often and waits for an operator.
        Parked = "parked",
        /// Nothing is left to do.
        Finished = "finished",
    }
    /// How a process ended.
    ProcessOutcome {
        /// What it was to do is done, or a partner refused it for good and the order says so.
        Fulfilled = "fulfilled",
        /// Given up; everything is undone.
        Cancelled = "cancelled",
        /// The order could not be supplied; everything is undone.
        Rejected = "rejected",
    }
    /// What happens when more of a SKU is wanted than there is.
    StockPolicy {
        /// Nobody counts: there is always enough.
        Untracked = "untracked",
        /// It is refused.
        Deny = "deny",
        /// It is promised, and supplied as soon as goods come in.
        Backorder = "backorder",
    }
    /// Whether enough of a SKU is available.
    StockLevel {
        /// It is, or nobody counts.
        Enough = "enough",
        /// Some is, but no more than somebody wants to be warned of.
        Low = "low",
        /// None is.
        Out = "out",
    }
    /// What moved units.
    MovementKind {
        /// Goods came in.
        Received = "received",
        /// What is on hand was corrected.
        Adjusted = "adjusted",
        /// What is on hand was counted.
        Counted = "counted",
        /// An order had units set aside or promised.
        Reserved = "reserved",
        /// An order gave units back.
        Released = "released",
        /// The time of a reservation was over.
        Expired = "expired",
        /// Units that an order awaited were set aside.
        BackorderFilled = "backorder-filled",
        /// Units left for an order.
        Shipped = "shipped",
        /// Units of an order came back.
        Restocked = "restocked",
    }
}

impl From<domain::fulfilment::Kind> for ProcessKind {
    fn from(kind: domain::fulfilment::Kind) -> Self {
        use domain::fulfilment::Kind;
        match kind {
            Kind::Acceptance => Self::Acceptance,
            Kind::Payment => Self::Payment,
            Kind::Delivery => Self::Delivery,
            Kind::Capture => Self::Capture,
            Kind::Void => Self::Void,
            Kind::Refund => Self::Refund,
            Kind::Release => Self::Release,
            Kind::Restock => Self::Restock,
            Kind::Backorder => Self::Backorder,
        }
    }
}
