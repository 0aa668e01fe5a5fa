//! Scalars of the schema. Numbers that may not fit into 53 bits travel as text.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

macro_rules! text_scalars {
    ($($(#[$doc:meta])* $name:ident, $expected:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) String);

        $(#[$doc])*
        #[Scalar]
        impl ScalarType for $name {
            fn parse(value: Value) -> InputValueResult<Self> {
                match value {
                    Value::String(text) => Ok(Self(text)),
                    _ => Err(InputValueError::custom($expected)),
                }
            }

            fn to_value(&self) -> Value {
                Value::String(self.0.clone())
            }
        }
    )+};
}

text_scalars! {
    /// An exact decimal number as text, such as "12.34". Never a float.
    Decimal, "a Decimal is written as text, such as \"12.34\"";
    /// ISO 4217 currency code, such as "GBP".
    CurrencyCode, "a CurrencyCode is three letters as text, such as \"GBP\"";
    /// ISO 3166-1 alpha-2 country code, such as "GB".
    CountryCode, "a CountryCode is two letters as text, such as \"GB\"";
    /// A whole number of up to 64 bits, as text, such as "9007199254740993".
    BigInt, "a BigInt is a whole number as text, such as \"42\"";
}

impl From<u64> for BigInt {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl From<i64> for BigInt {
    fn from(number: i64) -> Self {
        Self(number.to_string())
    }
}
