//! Identifiers and codes. Each parses once, at the edge, and is trusted afterwards.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// Namespace of every id that orderstore derives (RFC 9562 §5.5). Never changes: ids in the log
/// depend on it.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f72_6465_7273_746f_7265_0000_0000_0001);

/// A version 5 UUID over `parts`, which are kept apart so that `("a", "bc")` and `("ab", "c")` differ.
pub fn derive_uuid(parts: &[&str]) -> Uuid {
    let mut name = Vec::with_capacity(64);
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Uuid::new_v5(&NAMESPACE, &name)
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

uuid_ids! {
    /// One order. Derived, so that placing twice meets the first order: [`OrderId::derive`].
    OrderId;
    /// One payment of an order; an order may have several.
    PaymentId;
    /// One shipment of an order: parcels that leave one location together.
    ShipmentId;
    /// One capture of a payment.
    CaptureId;
    /// One refund of an order's money.
    RefundId;
    /// One return of goods by the customer.
    ReturnId;
    /// One receipt of goods into stock; repeating a receipt changes nothing.
    ReceiptId;
    /// One correction, count, return and so on of goods in stock; repeating it changes nothing.
    MovementId;
    /// One credit note.
    CreditNoteId;
    /// One process: acceptance of an order (then it is the order's id), a delivery (the shipment's),
    /// a refund (the refund's), and so on.
    ProcessId;
    /// A person whose data are sealed under one key of their own: [`SubjectId::of_customer`].
    SubjectId;
    /// What one channel knows one order by: [`ReferenceId::of`].
    ReferenceId;
}

impl ReferenceId {
    /// The one of `reference` on `channel`.
    pub fn of(channel: &Channel, reference: &ExternalReference) -> Self {
        Self(derive_uuid(&["reference", channel.as_str(), reference.as_str()]))
    }
}

impl OrderId {
    /// The order that `client` places on `channel` under `key`. The same three always name the
    /// same order, which is what makes placing idempotent without a table of seen keys.
    pub fn derive(client: &str, channel: &Channel, key: &IdempotencyKey) -> Self {
        Self(derive_uuid(&["order", client, channel.as_str(), key.as_str()]))
    }
}

impl PaymentId {
    /// What stands for the payment of an order of the days when orders did not say how they were
    /// paid: its first one, [`PaymentId::of`].
    pub const OF_THE_FIRST_DAYS: Self = Self(Uuid::nil());

    /// The payment that `order` was placed with.
    pub fn of(order: OrderId) -> Self {
        Self(derive_uuid(&["payment", &order.to_string()]))
    }
}

impl ShipmentId {
    /// The one shipment of an order of the days when an order had one.
    pub fn of(order: OrderId) -> Self {
        Self(derive_uuid(&["shipment", &order.to_string()]))
    }
}

macro_rules! parts_of_orders {
    ($($name:ident $kind:literal;)+) => {$(
        impl $name {
            /// The one of `order` that is known by `key`: the same two always name the same one.
            pub fn derive(order: OrderId, key: &str) -> Self {
                Self(derive_uuid(&[$kind, &order.to_string(), key]))
            }
        }
    )+};
}

parts_of_orders! {
    PaymentId "order-payment";
    ShipmentId "order-shipment";
    CaptureId "order-capture";
    RefundId "order-refund";
    ReturnId "order-return";
    MovementId "order-movement";
}

impl SubjectId {
    /// The person whom other systems know as `customer`.
    pub fn of_customer(customer: &CustomerRef) -> Self {
        Self(derive_uuid(&["subject", "customer", customer.as_str()]))
    }

    /// The person who placed `order` as a guest.
    pub fn of_guest(order: OrderId) -> Self {
        Self(derive_uuid(&["subject", "order", &order.to_string()]))
    }
}

macro_rules! processes_of {
    ($($id:ident)+) => {$(
        impl From<$id> for ProcessId {
            fn from(id: $id) -> Self {
                Self(id.0)
            }
        }
    )+};
}
processes_of!(OrderId ShipmentId CaptureId RefundId PaymentId MovementId);

impl MovementId {
    /// The correction or count of `sku` that `client` reports under `key`.
    pub fn of_client(client: &str, sku: &Sku, key: &IdempotencyKey) -> Self {
        Self(derive_uuid(&["movement", client, sku.as_str(), key.as_str()]))
    }
}

impl ReceiptId {
    /// The receipt of `sku` that `client` reports under `key`.
    pub fn derive(client: &str, sku: &Sku, key: &IdempotencyKey) -> Self {
        Self(derive_uuid(&["receipt", client, sku.as_str(), key.as_str()]))
    }
}

impl CreditNoteId {
    /// The credit note that `client` issues on `channel` under `key`.
    pub fn derive(client: &str, channel: &Channel, key: &IdempotencyKey) -> Self {
        Self(derive_uuid(&["credit-note", client, channel.as_str(), key.as_str()]))
    }
}

/// Why a text is not one of our codes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidCode {
    /// Nothing, or only white space.
    #[error("{what} must not be empty")]
    Empty {
        /// Which code.
        what: &'static str,
    },
    /// Longer than allowed.
    #[error("{what} has {length} characters, at most {max} are allowed")]
    TooLong {
        /// Which code.
        what: &'static str,
        /// Characters found.
        length: usize,
        /// Characters allowed.
        max: usize,
    },
    /// A character that the code does not allow.
    #[error("{what} contains {character:?}; allowed are {allowed}")]
    Character {
        /// Which code.
        what: &'static str,
        /// The first one that is not allowed.
        character: char,
        /// What is.
        allowed: &'static str,
    },
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident, $what:literal, max $max:literal, $allowed:literal, $allows:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(try_from = "String", into = "String")]
        #[cfg_attr(feature = "schema", schemars(with = "String"))]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Parses the code.
            ///
            /// # Errors
            /// When it is empty, too long, or has a character that is not allowed.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidCode> {
                let allows: fn(char) -> bool = $allows;
                check(text.as_ref(), $what, $max, $allowed, allows).map(|text| Self(text.into()))
            }

            /// The code as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidCode;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(code: $name) -> Self {
                code.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

codes! {
    /// Stock keeping unit: 1 to 64 characters, letters, digits and `. _ - /`.
    Sku, "a SKU", max 64, "letters, digits and . _ - /",
        |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    /// Where an order comes from: a shop, a marketplace, a till. 1 to 32 characters.
    Channel, "a channel", max 32, "letters, digits and . _ -",
        |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    /// The customer's id in the system that knows the person; never a name or an e-mail address.
    CustomerRef, "a customer reference", max 64, "letters, digits and . _ -",
        |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    /// Chosen by the caller, one per intention, repeated on a retry. 1 to 255 characters.
    IdempotencyKey, "an idempotency key", max 255, "printable ASCII without spaces",
        |c| c.is_ascii_graphic();
    /// ISO 3166-1 alpha-2 country code, as printed on a parcel.
    CountryCode, "a country code", max 2, "two capital letters",
        |c| c.is_ascii_uppercase();
    /// What the payment gateway knows the means of payment by. Never a card number.
    PaymentToken, "a payment token", max 128, "letters, digits and . _ -",
        |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    /// A place that keeps goods: a warehouse, a shop. 1 to 32 characters.
    LocationCode, "a location", max 32, "letters, digits and . _ -",
        |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    /// The number of an order that people read out to each other.
    OrderNumber, "an order number", max 32, "letters, digits and . _ -",
        |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    /// A series of numbers, of which each is given out once.
    NumberSeries, "a number series", max 32, "letters, digits and . _ -",
        |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    /// How another system knows an order; unique per channel.
    ExternalReference, "an external reference", max 128, "printable ASCII without spaces",
        |c| c.is_ascii_graphic();
    /// Name of a hold, such as `fraud-review`. An order has each at most once.
    HoldName, "the name of a hold", max 32, "small letters, digits and -",
        |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    /// A word that orders are sorted by. 1 to 40 characters.
    Tag, "a tag", max 40, "letters, digits and . _ - :",
        |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
    /// A partner's own reference: a gateway's payment id, a carrier's tracking number.
    PartnerReference, "a partner's reference", max 128, "printable ASCII",
        |c| c.is_ascii_graphic() || c == ' ';
}

impl NumberSeries {
    /// The one series that all orders are numbered in.
    pub fn orders() -> Self {
        Self("orders".into())
    }
}

impl LocationCode {
    /// Where goods are that nobody named a location for.
    pub const MAIN: &'static str = "main";
}

impl Default for LocationCode {
    fn default() -> Self {
        Self(Self::MAIN.into())
    }
}

fn check<'a>(
    text: &'a str,
    what: &'static str,
    max: usize,
    allowed: &'static str,
    allows: fn(char) -> bool,
) -> Result<&'a str, InvalidCode> {
    if text.trim().is_empty() {
        return Err(InvalidCode::Empty { what });
    }
    let length = text.chars().count();
    if length > max {
        return Err(InvalidCode::TooLong { what, length, max });
    }
    match text.chars().find(|&c| !allows(c)) {
        Some(character) => Err(InvalidCode::Character { what, character, allowed }),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_names_the_same_order_and_another_client_another() {
        let channel = Channel::new("web").unwrap();
        let key = IdempotencyKey::new("k-1").unwrap();
        assert_eq!(OrderId::derive("a", &channel, &key), OrderId::derive("a", &channel, &key));
        assert_ne!(OrderId::derive("a", &channel, &key), OrderId::derive("b", &channel, &key));
    }

    #[test]
    fn derived_parts_are_kept_apart() {
        assert_ne!(derive_uuid(&["a", "bc"]), derive_uuid(&["ab", "c"]));
    }

    #[test]
    fn a_code_says_what_is_wrong_with_it() {
        assert_eq!(Sku::new(" ").unwrap_err().to_string(), "a SKU must not be empty");
        assert_eq!(
            Sku::new("MUG 1").unwrap_err().to_string(),
            "a SKU contains ' '; allowed are letters, digits and . _ - /"
        );
        assert!(matches!(Sku::new("x".repeat(65)), Err(InvalidCode::TooLong { length: 65, .. })));
    }
}
