//! Inputs that several mutations share, and how they become the domain's words.

use std::collections::HashMap;

use async_graphql::InputObject;
use domain::ids::{IdempotencyKey, Sku};
use domain::money::{Currency, Money};
use domain::order::Line;
use domain::quantity::Quantity;

use super::model::LineKind;
use super::request::Caller;
use super::scalars::{CurrencyCode, Decimal};
use super::user_error::{Problems, UserError, at};

/// An amount of money.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct MoneyInput {
    /// As a decimal, such as "12.34", with no more places than the currency has.
    pub(crate) amount: Decimal,
    /// Of which currency. The one of the whole order or credit note when left out; any other is
    /// refused.
    pub(crate) currency_code: Option<CurrencyCode>,
}

impl MoneyInput {
    pub(crate) fn read(
        &self,
        currency: Currency,
        mut path: Vec<String>,
        problems: &mut Problems,
    ) -> Option<Money> {
        if let Some(given) = &self.currency_code
            && given.0 != currency.code()
        {
            let message = format!(
                "the amount is in `{}`, but everything here is in {currency}; one order has one currency",
                given.0
            );
            path.push("currencyCode".to_owned());
            problems.add(UserError::invalid(path, message));
            return None;
        }
        path.push("amount".to_owned());
        problems.check(Money::parse(&self.amount.0, currency), path)
    }
}

/// One line: what, how many, at which price.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct LineInput {
    /// Stock keeping unit: letters, digits and . _ - /
    pub(crate) sku: String,
    /// Its name as the customer saw it, at most 200 characters.
    #[graphql(default)]
    pub(crate) title: String,
    /// Whether it takes something from a shelf.
    #[graphql(default_with = "LineKind::Goods")]
    pub(crate) kind: LineKind,
    /// How many, from 1 to 10000000.
    pub(crate) quantity: i64,
    /// Price of one unit, not negative.
    pub(crate) unit_price: MoneyInput,
}

/// The lines of an order or a credit note.
pub(crate) fn read_lines(
    lines: &[LineInput],
    currency: Currency,
    problems: &mut Problems,
) -> Vec<Line> {
    let read = |(n, line): (usize, &LineInput)| {
        let sku = problems.check(Sku::new(&line.sku), at!["lines", n, "sku"]);
        let quantity = problems.check(Quantity::new(line.quantity), at!["lines", n, "quantity"]);
        let unit_price = line.unit_price.read(currency, at!["lines", n, "unitPrice"], problems);
        Some(Line {
            sku: sku?,
            title: line.title.clone(),
            kind: line.kind.into(),
            quantity: quantity?,
            unit_price: unit_price?,
        })
    };
    lines.iter().enumerate().filter_map(read).collect()
}

/// The key under which the caller may repeat the mutation: from the input, else from the HTTP
/// header `Idempotency-Key`.
pub(crate) fn read_key(
    given: Option<&str>,
    caller: &Caller,
    problems: &mut Problems,
) -> Option<IdempotencyKey> {
    let field = at!["idempotencyKey"];
    if let Some(key) = given.or(caller.idempotency_key.as_deref()) {
        return problems.check(IdempotencyKey::new(key), field);
    }
    let message = "an idempotency key is needed: here, or as the HTTP header Idempotency-Key; \
                   choose one per intention and repeat it on a retry";
    problems.add(UserError::invalid(field, message));
    None
}

/// Where each SKU stands first, and where it stands again.
pub(crate) fn repeated<'a>(skus: impl Iterator<Item = &'a str>) -> Vec<(usize, usize)> {
    let mut first = HashMap::new();
    let mut again = Vec::new();
    for (n, sku) in skus.enumerate() {
        match first.get(sku) {
            Some(&before) => again.push((before, n)),
            None => {
                first.insert(sku, n);
            }
        }
    }
    again
}
