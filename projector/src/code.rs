//! Enums that are kept as short texts in the tables.

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

codes! {
    /// How far an order has come.
    OrderStatus {
        /// Accepted, nothing promised yet.
        Pending = "pending",
        /// Goods are reserved and payment is authorised.
        Confirmed = "confirmed",
        /// On its way.
        Shipped = "shipped",
        /// Delivered.
        Completed = "completed",
        /// Given up.
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
    /// How far a payment has come.
    PaymentStatus {
        /// The gateway refused.
        Declined = "declined",
        /// Money is held.
        Authorised = "authorised",
        /// Money came to us, and some of it is still here.
        Captured = "captured",
        /// All that was held was let go; nothing came to us.
        Voided = "voided",
        /// All that came to us went back.
        Refunded = "refunded",
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
    /// What a fulfilment process is doing.
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
    /// How a fulfilment process ended.
    ProcessOutcome {
        /// The customer has the goods and we have the money.
        Fulfilled = "fulfilled",
        /// Given up; everything is undone.
        Cancelled = "cancelled",
        /// Could not be supplied; everything is undone.
        Rejected = "rejected",
    }
}
