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
    /// The payment of an order.
    PaymentId;
    /// The shipment of an order.
    ShipmentId;
    /// One receipt of goods into stock; repeating a receipt changes nothing.
    ReceiptId;
    /// One credit note.
    CreditNoteId;
}

impl OrderId {
    /// The order that `client` places on `channel` under `key`. The same three always name the
    /// same order, which is what makes placing idempotent without a table of seen keys.
    pub fn derive(client: &str, channel: &Channel, key: &IdempotencyKey) -> Self {
        Self(derive_uuid(&["order", client, channel.as_str(), key.as_str()]))
    }
}

impl PaymentId {
    /// The payment that belongs to `order`.
    pub fn of(order: OrderId) -> Self {
        Self(derive_uuid(&["payment", &order.to_string()]))
    }
}

impl ShipmentId {
    /// The shipment that belongs to `order`.
    pub fn of(order: OrderId) -> Self {
        Self(derive_uuid(&["shipment", &order.to_string()]))
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
    /// A partner's own reference: a gateway's payment id, a carrier's tracking number.
    PartnerReference, "a partner's reference", max 128, "printable ASCII",
        |c| c.is_ascii_graphic() || c == ' ';
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
