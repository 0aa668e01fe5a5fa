//! Money: integer minor units of one currency. Never a float, never a silent overflow.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An ISO 4217 currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
pub struct Currency(iso_currency::Currency);

/// A text that is no currency we can account in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not an ISO 4217 currency code with a minor unit, such as GBP, EUR or JPY")]
pub struct UnknownCurrency(pub String);

impl Currency {
    /// Pound sterling.
    pub const GBP: Self = Self(iso_currency::Currency::GBP);
    /// Euro.
    pub const EUR: Self = Self(iso_currency::Currency::EUR);
    /// Japanese yen, which has no minor unit.
    pub const JPY: Self = Self(iso_currency::Currency::JPY);

    /// The three-letter code.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Digits after the decimal point: 2 for GBP, 0 for JPY, 3 for KWD.
    pub fn exponent(self) -> u32 {
        // Currencies without an exponent are refused when they are parsed.
        self.0.exponent().map_or(0, u32::from)
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        iso_currency::Currency::from_code(code)
            .filter(|currency| currency.exponent().is_some())
            .map(Self)
            .ok_or_else(|| UnknownCurrency(code.to_owned()))
    }
}

impl TryFrom<String> for Currency {
    type Error = UnknownCurrency;

    fn try_from(code: String) -> Result<Self, Self::Error> {
        code.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount of money in minor units (pence, cents), possibly negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Money {
    /// Minor units: 1234 is 12.34 GBP, 1234 JPY or 1.234 KWD.
    pub minor: i64,
    /// Of which currency.
    pub currency: Currency,
}

/// Why two amounts have no sum, or a text no amount.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MoneyError {
    /// Amounts of two currencies have no sum.
    #[error("{left} and {right} cannot be added: an order has one currency")]
    MixedCurrencies {
        /// One currency.
        left: Currency,
        /// The other.
        right: Currency,
    },
    /// The result does not fit into 64 bits of minor units.
    #[error("the amount is too large")]
    Overflow,
    /// The text is no decimal number.
    #[error("`{0}` is not a decimal amount such as 12.34")]
    NotANumber(String),
    /// More digits after the point than the currency has.
    #[error("`{amount}` has more than {exponent} decimal places, which {currency} does not have")]
    TooPrecise {
        /// As given.
        amount: String,
        /// Of the currency.
        exponent: u32,
        /// Which one.
        currency: Currency,
    },
}

impl Money {
    /// `minor` units of `currency`.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in `currency`.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// Reads a decimal such as `12.34` or `-0.5`; never through a float.
    ///
    /// # Errors
    /// When it is no number, more precise than the currency, or too large.
    pub fn parse(amount: &str, currency: Currency) -> Result<Self, MoneyError> {
        let not_a_number = || MoneyError::NotANumber(amount.to_owned());
        let (negative, digits) = match amount.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, amount),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || digits.ends_with('.')
        {
            return Err(not_a_number());
        }
        let exponent = currency.exponent();
        let significant = fraction.trim_end_matches('0');
        if significant.len() > exponent as usize {
            return Err(MoneyError::TooPrecise { amount: amount.to_owned(), exponent, currency });
        }
        let scale = 10_i64.pow(exponent);
        let whole: i64 = whole.parse().map_err(|_| MoneyError::Overflow)?;
        let padded = format!("{significant:0<width$}", width = exponent as usize);
        let fraction: i64 =
            if padded.is_empty() { 0 } else { padded.parse().map_err(|_| not_a_number())? };
        let minor = whole
            .checked_mul(scale)
            .and_then(|minor| minor.checked_add(fraction))
            .ok_or(MoneyError::Overflow)?;
        Ok(Self::new(if negative { -minor } else { minor }, currency))
    }

    /// The sum of both.
    ///
    /// # Errors
    /// When the currencies differ or the sum overflows.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(minor, self.currency))
    }

    /// What is left after taking `other` away.
    ///
    /// # Errors
    /// When the currencies differ or the difference overflows.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_sub(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(minor, self.currency))
    }

    /// `count` times the amount.
    ///
    /// # Errors
    /// When the product overflows.
    pub fn times(self, count: u32) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(i64::from(count)).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(minor, self.currency))
    }

    /// Whether this is more than nothing.
    pub const fn is_positive(self) -> bool {
        self.minor > 0
    }

    /// The amount as a decimal without the currency: `12.34`.
    pub fn decimal(self) -> String {
        let exponent = self.currency.exponent();
        if exponent == 0 {
            return self.minor.to_string();
        }
        let scale = 10_u64.pow(exponent);
        let (whole, fraction) =
            (self.minor.unsigned_abs() / scale, self.minor.unsigned_abs() % scale);
        let sign = if self.minor < 0 { "-" } else { "" };
        format!("{sign}{whole}.{fraction:0width$}", width = exponent as usize)
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(MoneyError::MixedCurrencies { left: self.currency, right: other.currency })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_follow_the_currency() {
        let kwd: Currency = "KWD".parse().unwrap();
        assert_eq!(Money::parse("12.3", Currency::GBP), Ok(Money::new(1230, Currency::GBP)));
        assert_eq!(Money::parse("1200", Currency::JPY), Ok(Money::new(1200, Currency::JPY)));
        assert_eq!(Money::parse("-1.234", kwd), Ok(Money::new(-1234, kwd)));
        assert_eq!(Money::new(-5, Currency::GBP).to_string(), "-0.05 GBP");
        assert_eq!(Money::new(7, Currency::JPY).to_string(), "7 JPY");
    }

    #[test]
    fn an_amount_is_never_rounded() {
        let refused = Money::parse("1.005", Currency::GBP);
        assert!(matches!(refused, Err(MoneyError::TooPrecise { exponent: 2, .. })));
        assert_eq!(Money::parse("1.500", Currency::GBP), Ok(Money::new(150, Currency::GBP)));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", ".", "1.", ".5", "1e3", "+1", "--1", "1,5", " 1", "NaN"] {
            assert!(Money::parse(text, Currency::EUR).is_err(), "{text}");
        }
        assert_eq!(Money::parse("99999999999999999999", Currency::EUR), Err(MoneyError::Overflow));
    }

    #[test]
    fn currencies_do_not_mix() {
        let sum = Money::new(1, Currency::GBP).plus(Money::new(1, Currency::EUR));
        assert!(matches!(sum, Err(MoneyError::MixedCurrencies { .. })));
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(minor in -1_000_000_000_000_i64..1_000_000_000_000) {
            for currency in [Currency::GBP, Currency::JPY, "KWD".parse().unwrap()] {
                let money = Money::new(minor, currency);
                prop_assert_eq!(Money::parse(&money.decimal(), currency), Ok(money));
            }
        }
    }
}
