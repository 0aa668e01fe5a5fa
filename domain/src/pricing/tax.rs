//! Whether the taxes of a line are what their rates say.

use super::PriceError;
use super::check::too_large;
use crate::money::Money;
use crate::order::{Line, TaxLine};

/// Parts per million of a whole.
const WHOLE_PPM: u32 = 1_000_000;

/// The highest rate of a tax: ten times the price.
pub(super) const MAX_RATE_PPM: u32 = 10 * WHOLE_PPM;

/// The sum of the taxes of `line`, which costs `taxed` after all discounts.
pub(super) fn tax_of(
    number: usize,
    line: &Line,
    taxed: i64,
    prices_include_tax: bool,
) -> Result<i64, PriceError> {
    let levy = Levy::of(line, taxed, prices_include_tax);
    let mut sum = 0_i64;
    for (tax_index, tax) in line.taxes.iter().enumerate() {
        levy.check(tax, number, tax_index)?;
        sum = sum.checked_add(tax.amount.minor).ok_or_else(|| too_large(number))?;
    }
    if prices_include_tax && sum > taxed {
        let money = |minor| Money::new(minor, line.unit_price.currency);
        return Err(PriceError::TaxTooLarge { line: number, tax: money(sum), of: money(taxed) });
    }
    Ok(sum)
}

/// What all taxes of a line are worked out from.
struct Levy {
    /// Minor units that the line costs after all discounts.
    taxed: i64,
    /// Parts per million that `taxed` is, counted in what the line costs without taxes.
    whole_ppm: i128,
    /// Minor units that a tax may be off, unless it comes to exactly nothing.
    tolerance: i64,
}

impl Levy {
    fn of(line: &Line, taxed: i64, prices_include_tax: bool) -> Self {
        let rates: i128 = line.taxes.iter().map(|tax| i128::from(tax.rate_ppm)).sum();
        Self {
            taxed,
            whole_ppm: i128::from(WHOLE_PPM) + if prices_include_tax { rates } else { 0 },
            // Rounded unit by unit, no unit is off by a whole minor unit, and one that costs
            // nothing is not off at all; at least `quantity − taxed` of them cost nothing.
            tolerance: taxed.min(line.quantity.into()),
        }
    }

    fn check(&self, tax: &TaxLine, line: usize, tax_index: usize) -> Result<(), PriceError> {
        let (rate_ppm, declared, max) = (tax.rate_ppm, tax.amount, MAX_RATE_PPM);
        if declared.minor < 0 {
            return Err(PriceError::NegativeTax { line, tax_index });
        }
        if rate_ppm > max {
            return Err(PriceError::RateTooHigh { line, tax_index, rate_ppm, max });
        }
        let (least, most) = self.bounds(rate_ppm);
        if !(least..=most).contains(&declared.minor.into()) {
            // Bounds that do not fit are those of a tax that could not be declared anyway.
            let money = |minor: i128| {
                Money::new(i64::try_from(minor).unwrap_or(i64::MAX), declared.currency)
            };
            let (least, most) = (money(least), money(most));
            return Err(PriceError::TaxMismatch { line, tax_index, declared, least, most });
        }
        Ok(())
    }

    /// The least and the most minor units that rounding can make of a tax of `rate_ppm`.
    fn bounds(&self, rate_ppm: u32) -> (i128, i128) {
        let exact = i128::from(self.taxed) * i128::from(rate_ppm);
        if exact == 0 {
            return (0, 0);
        }
        let (down, up) = (exact / self.whole_ppm, (exact + self.whole_ppm - 1) / self.whole_ppm);
        ((up - i128::from(self.tolerance)).max(0), down + i128::from(self.tolerance))
    }
}
