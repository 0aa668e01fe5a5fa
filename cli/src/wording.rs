//! How values of the API are typed and read by people: enumerations as `partially-paid`, money as
//! `2.00 GBP`, times in UTC to the second. No command and no table is made here.

use std::fmt::{self, Display};
use std::str::FromStr;

use chrono::{DateTime, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::{Deserialize, Serialize};

/// An enumeration of the API.
pub(crate) struct Enumeration {
    /// Its name in the schema.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares it with the schema"))]
    name: &'static str,
    words: &'static [&'static str],
}

pub(crate) const ORDER_STATUS: Enumeration = Enumeration {
    name: "OrderStatus",
    words: &["pending", "confirmed", "completed", "cancelled", "rejected"],
};

pub(crate) const PAYMENT_STATUS: Enumeration = Enumeration {
    name: "OrderPaymentStatus",
    words: &[
        "not-required",
        "pending",
        "declined",
        "authorised",
        "partially-authorised",
        "expired",
        "partially-paid",
        "paid",
        "partially-refunded",
        "refunded",
        "voided",
        "charged-back",
    ],
};

pub(crate) const FULFILMENT_STATUS: Enumeration = Enumeration {
    name: "OrderFulfilmentStatus",
    words: &[
        "not-required",
        "unfulfilled",
        "on-hold",
        "backordered",
        "in-progress",
        "partially-shipped",
        "shipped",
        "partially-delivered",
        "delivered",
        "cancelled",
    ],
};

pub(crate) const RETURN_STATUS: Enumeration = Enumeration {
    name: "OrderReturnStatus",
    words: &["none", "requested", "in-progress", "partially-returned", "returned", "declined"],
};

pub(crate) const CANCEL_REASON: Enumeration = Enumeration {
    name: "CancelReason",
    words: &["customer", "staff", "fraud", "inventory", "other"],
};

pub(crate) const HOLD_REASON: Enumeration = Enumeration {
    name: "HoldReason",
    words: &["fraud", "address", "value", "inventory", "payment", "customer", "other"],
};

pub(crate) const REFUND_REASON: Enumeration = Enumeration {
    name: "RefundReason",
    words: &[
        "customer",
        "damaged",
        "wrong-item",
        "not-received",
        "late",
        "price",
        "fraud",
        "inventory",
        "other",
    ],
};

pub(crate) const ADJUST_REASON: Enumeration = Enumeration {
    name: "StockAdjustReason",
    words: &["found", "lost", "damaged", "stolen", "correction", "other"],
};

pub(crate) const STOCK_POLICY: Enumeration =
    Enumeration { name: "StockPolicy", words: &["untracked", "deny", "backorder"] };

/// Takes one of the words of an enumeration, as the API spells it.
pub(crate) fn one_of(
    enumeration: &'static Enumeration,
) -> impl TypedValueParser<Value = String> + use<> {
    let api_spells = |word: String| word.to_uppercase().replace('-', "_");
    PossibleValuesParser::new(enumeration.words).map(api_spells)
}

/// A word of an enumeration of the API, read by people.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Word(String);

impl Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_lowercase().replace('_', "-"))
    }
}

/// An amount, as the API answers it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Money {
    amount: String,
    currency_code: String,
}

impl Money {
    pub(crate) fn is_nothing(&self) -> bool {
        self.amount.chars().all(|digit| matches!(digit, '0' | '.'))
    }
}

impl Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency_code)
    }
}

/// Units of a line of an order: `0:2` is two of line 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineUnits {
    line: u32,
    quantity: u32,
}

impl Display for LineUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.quantity)
    }
}

impl FromStr for LineUnits {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "give the number of a line, from 0, and how many units of it, such as 0:2";
        let (line, quantity) = text.split_once(':').ok_or(wrong)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| wrong);
        Ok(Self { line: number(line)?, quantity: number(quantity)? })
    }
}

/// In UTC, to the second.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// What is there, one after the other; `-` if nothing is.
pub(crate) fn list<T: Display>(all: impl IntoIterator<Item = T>) -> String {
    let all: Vec<_> = all.into_iter().map(|one| one.to_string()).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

/// What may be there; nothing if it is not.
pub(crate) fn maybe<T: Display>(one: Option<T>) -> String {
    one.map(|one| one.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_an_option_are_those_of_the_schema() {
        let schema = api::sdl();
        for enumeration in [
            ORDER_STATUS,
            PAYMENT_STATUS,
            FULFILMENT_STATUS,
            RETURN_STATUS,
            CANCEL_REASON,
            HOLD_REASON,
            REFUND_REASON,
            ADJUST_REASON,
            STOCK_POLICY,
        ] {
            let opening = format!("\nenum {} {{\n", enumeration.name);
            let (_, rest) = schema.split_once(&opening).unwrap();
            let (body, _) = rest.split_once("\n}").unwrap();
            let is_word = |line: &&str| line.chars().all(|it| it.is_ascii_uppercase() || it == '_');
            let lines = body.lines().map(str::trim).filter(|line| !line.is_empty());
            let words: Vec<_> = lines.filter(is_word).map(|it| Word(it.to_owned())).collect();
            let words: Vec<_> = words.iter().map(ToString::to_string).collect();
            assert_eq!(words, enumeration.words, "{}", enumeration.name);
        }
    }

    #[test]
    fn units_of_a_line_are_typed_as_they_are_read() {
        assert_eq!("0:2".parse::<LineUnits>().unwrap().to_string(), "0:2");
        for wrong in ["", "2", "0:", ":2", "-1:2", "0:x", "0:1:2"] {
            assert!(wrong.parse::<LineUnits>().is_err(), "{wrong}");
        }
    }
}
