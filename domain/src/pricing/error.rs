//! What can be wrong with the prices of an order.

use std::fmt;

use thiserror::Error;

use crate::money::{Currency, Money, MoneyError};

/// The rule that the prices of an order break. Lines, discounts and taxes are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PriceError {
    /// A price is not below zero.
    #[error("the unit price of line {line} is negative")]
    NegativePrice {
        /// Which line.
        line: usize,
    },
    /// All amounts fit.
    #[error("line {line} cannot be added up")]
    Arithmetic {
        /// Which line.
        line: usize,
        /// What is wrong.
        #[source]
        source: MoneyError,
    },
    /// All amounts are in the order's currency.
    #[error("{amount} of {} is in {found}, but the order is in {order}", Place(*.line))]
    CurrencyMismatch {
        /// Which line; none for a discount on the order as a whole.
        line: Option<usize>,
        /// Which of its amounts.
        amount: Amount,
        /// The currency it is in.
        found: Currency,
        /// The order's currency.
        order: Currency,
    },
    /// A discount takes something off.
    #[error("discount {discount} of {} must be above zero", Place(*.line))]
    DiscountNotPositive {
        /// Which line; none for the order as a whole.
        line: Option<usize>,
        /// Which of its discounts.
        discount: usize,
    },
    /// Not more is taken off than there is.
    #[error("{discount} cannot be taken off {}, which costs {of} before that", Place(*.line))]
    DiscountTooLarge {
        /// Which line; none for the order as a whole.
        line: Option<usize>,
        /// All that was to be taken off it.
        discount: Money,
        /// What it costs: the line before discounts, the order after those of its lines.
        of: Money,
    },
    /// A tax is not below zero.
    #[error("tax {tax_index} of line {line} is negative")]
    NegativeTax {
        /// Which line.
        line: usize,
        /// Which of its taxes.
        tax_index: usize,
    },
    /// A rate is not absurd.
    #[error(
        "tax {tax_index} of line {line} has a rate of {rate_ppm} ppm, at most {max} are allowed"
    )]
    RateTooHigh {
        /// Which line.
        line: usize,
        /// Which of its taxes.
        tax_index: usize,
        /// Parts per million given.
        rate_ppm: u32,
        /// Parts per million allowed.
        max: u32,
    },
    /// A tax is what its rate says, but for rounding.
    #[error("tax {tax_index} of line {line} is {declared}, but its rate gives {least} to {most}")]
    TaxMismatch {
        /// Which line.
        line: usize,
        /// Which of its taxes.
        tax_index: usize,
        /// As given.
        declared: Money,
        /// The least that rounding can make of it.
        least: Money,
        /// The most that rounding can make of it.
        most: Money,
    },
    /// Taxes that a price includes are not more than the price.
    #[error("the taxes of line {line} are {tax}, but are to be included in {of}")]
    TaxTooLarge {
        /// Which line.
        line: usize,
        /// All its taxes.
        tax: Money,
        /// What the customer pays for it.
        of: Money,
    },
    /// The total is in the order's currency.
    #[error("the total is not in the order's currency")]
    TotalCurrency,
    /// The total is the sum over the lines.
    #[error("the total is {declared}, but the lines add up to {computed}")]
    TotalMismatch {
        /// As given.
        declared: Money,
        /// As computed.
        computed: Money,
    },
}

/// An amount among those of an order. Discounts and taxes are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// The price of one unit.
    UnitPrice,
    /// A discount.
    Discount(usize),
    /// A tax.
    Tax(usize),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnitPrice => f.write_str("the unit price"),
            Self::Discount(index) => write!(f, "discount {index}"),
            Self::Tax(index) => write!(f, "tax {index}"),
        }
    }
}

/// A line, or the order as a whole, in a message.
struct Place(Option<usize>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(line) => write!(f, "line {line}"),
            None => f.write_str("the order"),
        }
    }
}
