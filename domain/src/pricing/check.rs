//! The arithmetic behind [`price`](super::price), one step after another.

use super::split::split;
use super::tax::tax_of;
use super::{Amount, LinePrices, PriceError, Prices};
use crate::money::{Money, MoneyError};
use crate::order::{Discount, Line, OrderDetails};

/// A line on its way to its total. Minor units.
struct Draft<'a> {
    number: usize,
    line: &'a Line,
    subtotal: i64,
    discount: i64,
}

impl Draft<'_> {
    const fn after_own_discounts(&self) -> i64 {
        self.subtotal - self.discount
    }
}

pub(super) fn price(details: &OrderDetails) -> Result<Prices, PriceError> {
    check_currencies(details)?;
    let drafts = details.lines.iter().enumerate().map(own_prices).collect::<Result<Vec<_>, _>>()?;
    let subtotal = sum(drafts.iter().map(|draft| draft.subtotal))?;
    let own_discount = sum(drafts.iter().map(|draft| draft.discount))?;

    let after_own = Money::new(subtotal - own_discount, details.currency);
    let order_discount = discount_of(&details.discounts, None, after_own)?;
    let weights: Vec<i64> = drafts.iter().map(Draft::after_own_discounts).collect();
    let lines = drafts
        .iter()
        .zip(split(order_discount, &weights))
        .map(|(draft, share)| freeze(draft, share, details.prices_include_tax))
        .collect::<Result<Vec<_>, _>>()?;

    let prices = Prices {
        subtotal,
        discount: own_discount + order_discount,
        tax: sum(lines.iter().map(|line| line.tax))?,
        total: sum(lines.iter().map(|line| line.total))?,
        lines,
    };
    check_total(details, prices.total)?;
    Ok(prices)
}

fn check_currencies(details: &OrderDetails) -> Result<(), PriceError> {
    let order = details.currency;
    if let Some((line, amount, money)) =
        amounts(details).find(|(_, _, money)| money.currency != order)
    {
        let found = money.currency;
        return Err(PriceError::CurrencyMismatch { line, amount, found, order });
    }
    if details.total.currency != order {
        return Err(PriceError::TotalCurrency);
    }
    Ok(())
}

/// Every amount of the order but its total, and whose it is.
fn amounts(details: &OrderDetails) -> impl Iterator<Item = (Option<usize>, Amount, Money)> {
    fn discounts(list: &[Discount]) -> impl Iterator<Item = (Amount, Money)> {
        list.iter().enumerate().map(|(index, taken)| (Amount::Discount(index), taken.amount))
    }
    let of_lines = details.lines.iter().enumerate().flat_map(|(number, line)| {
        let taxes = line.taxes.iter().enumerate();
        std::iter::once((Amount::UnitPrice, line.unit_price))
            .chain(discounts(&line.discounts))
            .chain(taxes.map(|(index, tax)| (Amount::Tax(index), tax.amount)))
            .map(move |(amount, money)| (Some(number), amount, money))
    });
    of_lines.chain(discounts(&details.discounts).map(|(amount, money)| (None, amount, money)))
}

fn own_prices((number, line): (usize, &Line)) -> Result<Draft<'_>, PriceError> {
    if line.unit_price.minor < 0 {
        return Err(PriceError::NegativePrice { line: number });
    }
    let subtotal =
        line.subtotal().map_err(|source| PriceError::Arithmetic { line: number, source })?;
    let discount = discount_of(&line.discounts, Some(number), subtotal)?;
    Ok(Draft { number, line, subtotal: subtotal.minor, discount })
}

/// The sum of `discounts`, which are taken off `of`: a line, or the order as a whole.
fn discount_of(discounts: &[Discount], line: Option<usize>, of: Money) -> Result<i64, PriceError> {
    if let Some(discount) = discounts.iter().position(|taken| !taken.amount.is_positive()) {
        return Err(PriceError::DiscountNotPositive { line, discount });
    }
    let all: i128 = discounts.iter().map(|taken| i128::from(taken.amount.minor)).sum();
    match i64::try_from(all) {
        Ok(all) if all <= of.minor => Ok(all),
        all => {
            // A sum beyond 64 bits is shown as the most that fits; it is too large in any case.
            let discount = Money::new(all.unwrap_or(i64::MAX), of.currency);
            Err(PriceError::DiscountTooLarge { line, discount, of })
        }
    }
}

/// The prices of a line that carries `order_discount`.
fn freeze(
    draft: &Draft<'_>,
    order_discount: i64,
    prices_include_tax: bool,
) -> Result<LinePrices, PriceError> {
    let taxed = draft.after_own_discounts() - order_discount;
    let tax = tax_of(draft.number, draft.line, taxed, prices_include_tax)?;
    let total = if prices_include_tax { Some(taxed) } else { taxed.checked_add(tax) };
    let total = total.ok_or_else(|| too_large(draft.number))?;
    let quantity = i64::from(draft.line.quantity);
    Ok(LinePrices {
        subtotal: draft.subtotal,
        discount: draft.discount,
        order_discount,
        tax,
        total,
        unit: total / quantity,
        // A remainder is smaller than the quantity, which fits.
        dearer_units: u32::try_from(total % quantity).unwrap_or_default(),
    })
}

/// The sum over all lines, in their order.
fn sum(amounts: impl Iterator<Item = i64>) -> Result<i64, PriceError> {
    amounts.enumerate().try_fold(0_i64, |sum, (line, amount)| {
        sum.checked_add(amount).ok_or_else(|| too_large(line))
    })
}

fn check_total(details: &OrderDetails, computed: i64) -> Result<(), PriceError> {
    let (declared, computed) = (details.total, Money::new(computed, details.currency));
    if declared != computed {
        return Err(PriceError::TotalMismatch { declared, computed });
    }
    Ok(())
}

/// What is wrong with `line` when the amounts up to it do not fit.
pub(super) const fn too_large(line: usize) -> PriceError {
    PriceError::Arithmetic { line, source: MoneyError::Overflow }
}
