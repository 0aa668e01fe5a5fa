//! Inputs that several mutations share, and how they become the domain's words.

use std::collections::{BTreeSet, HashMap};

use async_graphql::InputObject;
use domain::ids::{IdempotencyKey, Sku, Tag};
use domain::money::{Currency, Money};
use domain::order::{Discount, Line, LineUnits, TaxLine};
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

/// One line of an order: what, how many, at which price, with what was taken off and the taxes.
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
    /// Price of one unit before discounts, not negative.
    pub(crate) unit_price: MoneyInput,
    /// What was taken off this line, at most 20.
    #[graphql(default)]
    pub(crate) discounts: Vec<DiscountInput>,
    /// The taxes on this line after all discounts, at most 20.
    #[graphql(default)]
    pub(crate) taxes: Vec<TaxInput>,
}

/// Something taken off a price.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct DiscountInput {
    /// Why, as the customer saw it: a code, a campaign. 1 to 200 characters.
    pub(crate) title: String,
    /// How much, above zero.
    pub(crate) amount: MoneyInput,
}

/// One tax on one line.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct TaxInput {
    /// What it is called and who levies it, such as "VAT GB". 1 to 200 characters.
    pub(crate) title: String,
    /// As a fraction with at most six decimal places: "0.2" is 20 %.
    pub(crate) rate: Decimal,
    /// How much, not negative.
    pub(crate) amount: MoneyInput,
}

/// Discounts or taxes in one place.
const MAX_PARTS: usize = 20;
/// Characters of the title of a discount or a tax.
const MAX_TITLE: usize = 200;

/// The lines of an order, with their discounts and taxes.
pub(crate) fn read_order_lines(
    lines: &[LineInput],
    currency: Currency,
    problems: &mut Problems,
) -> Vec<Line> {
    let read = |(n, line): (usize, &LineInput)| {
        let sku = problems.check(Sku::new(&line.sku), at!["lines", n, "sku"]);
        let quantity = problems.check(Quantity::new(line.quantity), at!["lines", n, "quantity"]);
        let unit_price = line.unit_price.read(currency, at!["lines", n, "unitPrice"], problems);
        let path = at!["lines", n, "discounts"];
        let discounts = read_discounts(&line.discounts, currency, &path, problems);
        let taxes = read_taxes(&line.taxes, currency, &at!["lines", n, "taxes"], problems);
        Some(Line {
            sku: sku?,
            title: line.title.clone(),
            kind: line.kind.into(),
            quantity: quantity?,
            unit_price: unit_price?,
            discounts,
            taxes,
        })
    };
    lines.iter().enumerate().filter_map(read).collect()
}

/// What was taken off, listed at `path`.
pub(crate) fn read_discounts(
    discounts: &[DiscountInput],
    currency: Currency,
    path: &[String],
    problems: &mut Problems,
) -> Vec<Discount> {
    problems.check(few(discounts.len()), path.to_vec());
    let read = |(n, discount): (usize, &DiscountInput)| {
        let inside = |field: &str| below(path, n, field);
        let title = problems.check(read_title(&discount.title), inside("title"));
        let amount = discount.amount.read(currency, inside("amount"), problems);
        Some(Discount { title: title?, amount: amount? })
    };
    discounts.iter().take(MAX_PARTS).enumerate().filter_map(read).collect()
}

fn read_taxes(
    taxes: &[TaxInput],
    currency: Currency,
    path: &[String],
    problems: &mut Problems,
) -> Vec<TaxLine> {
    problems.check(few(taxes.len()), path.to_vec());
    let read = |(n, tax): (usize, &TaxInput)| {
        let inside = |field: &str| below(path, n, field);
        let title = problems.check(read_title(&tax.title), inside("title"));
        let rate_ppm = problems.check(read_rate(&tax.rate.0), inside("rate"));
        let amount = tax.amount.read(currency, inside("amount"), problems);
        Some(TaxLine { title: title?, rate_ppm: rate_ppm?, amount: amount? })
    };
    taxes.iter().take(MAX_PARTS).enumerate().filter_map(read).collect()
}

fn few(count: usize) -> Result<(), String> {
    if count <= MAX_PARTS {
        return Ok(());
    }
    Err(format!("{count} were given, at most {MAX_PARTS} are allowed"))
}

fn below(path: &[String], n: usize, field: &str) -> Vec<String> {
    [path, &[n.to_string(), field.to_owned()]].concat()
}

fn read_title(text: &str) -> Result<String, String> {
    read_text(text, "a title", MAX_TITLE)
}

/// A text of 1 to `max` characters that Postgres can keep.
pub(crate) fn read_text(text: &str, what: &str, max: usize) -> Result<String, String> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        return Err(format!("{what} must not be empty; leave it out instead"));
    }
    if length > max {
        return Err(format!("{what} has {length} characters, at most {max} are allowed"));
    }
    if text.contains('\0') {
        return Err(format!("{what} must not contain a zero character"));
    }
    Ok(text.to_owned())
}

/// Parts per million of a fraction such as `0.2`, never through a float.
fn read_rate(text: &str) -> Result<u32, String> {
    let wrong =
        || format!("`{text}` is not a fraction such as 0.2, with at most six decimal places");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = if fraction.len() > 1 { fraction.trim_end_matches('0') } else { fraction };
    let padded = format!("{fraction:0<6}");
    if !digits(whole) || !digits(&padded) || padded.len() > 6 || text.ends_with('.') {
        return Err(wrong());
    }
    format!("{whole}{padded}").parse().map_err(|_| wrong())
}

/// Some units of one line of an order.
#[derive(Debug, Clone, Copy, InputObject)]
pub(crate) struct LineUnitsInput {
    /// Which line of the order, from 0.
    pub(crate) line: i32,
    /// How many of its units, from 1.
    pub(crate) quantity: i64,
}

impl LineUnitsInput {
    /// All of `given`, which stand at `field`; each line once.
    pub(crate) fn read_all(given: &[Self], field: &str, problems: &mut Problems) -> Vec<LineUnits> {
        let names: Vec<String> = given.iter().map(|units| units.line.to_string()).collect();
        for (before, number) in repeated(names.iter().map(String::as_str)) {
            let message = format!("this line stands on item {before} as well; add the units up");
            problems.add(UserError::invalid(at![field, number, "line"], message));
        }
        let read = |(n, units): (usize, &Self)| {
            let line = problems.check(read_line(units.line), at![field, n, "line"]);
            let quantity = problems.check(Quantity::new(units.quantity), at![field, n, "quantity"]);
            Some(LineUnits { line: line?, quantity: quantity? })
        };
        given.iter().enumerate().filter_map(read).collect()
    }
}

/// The number of a line or a parcel.
pub(crate) fn read_line(number: i32) -> Result<u32, &'static str> {
    u32::try_from(number).map_err(|_| "these are counted from 0")
}

/// Tags in one place.
const MAX_TAGS: usize = 50;

/// Words that orders are sorted by, at `field`.
pub(crate) fn read_tags(tags: &[String], field: &str, problems: &mut Problems) -> BTreeSet<Tag> {
    if tags.len() > MAX_TAGS {
        let message = format!("{} tags were given, at most {MAX_TAGS} are allowed", tags.len());
        problems.add(UserError::invalid(at![field], message));
        return BTreeSet::new();
    }
    let read = |(n, tag): (usize, &String)| problems.check(Tag::new(tag), at![field, n]);
    tags.iter().enumerate().filter_map(read).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_to_the_millionth_and_no_further() {
        for (text, ppm) in [("0.2", 200_000), ("0", 0), ("1", 1_000_000), ("0.088750", 88_750)] {
            assert_eq!(read_rate(text), Ok(ppm), "{text}");
        }
        for text in ["", ".", ".2", "0.", "-0.1", "0.1234567", "20%", "1e1", "0,2"] {
            assert!(read_rate(text).is_err(), "{text}");
        }
    }
}
