//! What holds for every order that a caller has priced with care.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A line as a shop thinks of it; discounts in parts per thousand of what there is.
#[derive(Debug, Clone)]
struct Wanted {
    unit_price: i64,
    quantity: i64,
    discounts: Vec<i64>,
    rates_ppm: Vec<u32>,
    rounding: Rounding,
}

/// How a shop rounds a tax.
#[derive(Debug, Clone, Copy)]
enum Rounding {
    LineDown,
    LineHalfUp,
    LineUp,
    UnitHalfUp,
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let rounding = prop_oneof![
        Just(Rounding::LineDown),
        Just(Rounding::LineHalfUp),
        Just(Rounding::LineUp),
        Just(Rounding::UnitHalfUp),
    ];
    let (discounts, rates) = (vec(1_i64..500, 0..3), vec(0_u32..300_000, 0..3));
    (0_i64..1_000_000, 1_i64..40, discounts, rates, rounding).prop_map(
        |(unit_price, quantity, discounts, rates_ppm, rounding)| Wanted {
            unit_price,
            quantity,
            discounts,
            rates_ppm,
            rounding,
        },
    )
}

fn currency() -> impl Strategy<Value = Currency> {
    prop_oneof![Just(Currency::GBP), Just(Currency::JPY), Just("KWD".parse().unwrap())]
}

/// Discounts of so many parts per thousand each, one after the other, without those of nothing.
fn discounts(mut of: i64, per_mille: &[i64], currency: Currency) -> Vec<Discount> {
    let amounts = per_mille.iter().map(|part| {
        let amount = of * part / 1000;
        of -= amount;
        Discount { title: "Spring".into(), amount: Money::new(amount, currency) }
    });
    amounts.filter(|taken| taken.amount.is_positive()).collect()
}

fn sum_of(discounts: &[Discount]) -> i64 {
    discounts.iter().map(|taken| taken.amount.minor).sum()
}

/// The tax of `rate` on `taxed`, `whole` of which are 100 %.
fn round(taxed: i64, rate: i64, whole: i64, quantity: i64, rounding: Rounding) -> i64 {
    let half_up = |taxed: i64| (2 * taxed * rate + whole) / (2 * whole);
    match rounding {
        Rounding::LineDown => taxed * rate / whole,
        Rounding::LineHalfUp => half_up(taxed),
        Rounding::LineUp => (taxed * rate + whole - 1) / whole,
        Rounding::UnitHalfUp => {
            let (unit, dearer) = (taxed / quantity, taxed % quantity);
            dearer * half_up(unit + 1) + (quantity - dearer) * half_up(unit)
        }
    }
}

/// The order of a caller who does the sums right.
fn priced(
    currency: Currency,
    prices_include_tax: bool,
    wanted: &[Wanted],
    off_the_order: &[i64],
) -> OrderDetails {
    let money = |minor| Money::new(minor, currency);
    let mut lines: Vec<Line> = wanted
        .iter()
        .map(|wanted| Line {
            unit_price: money(wanted.unit_price),
            discounts: discounts(wanted.unit_price * wanted.quantity, &wanted.discounts, currency),
            ..line(wanted.quantity, 0)
        })
        .collect();
    let left: Vec<i64> =
        lines.iter().map(|line| line.subtotal().unwrap().minor - sum_of(&line.discounts)).collect();
    let off_the_order = discounts(left.iter().sum(), off_the_order, currency);
    let mut total = 0;
    let shares = split(sum_of(&off_the_order), &left);
    for (((line, wanted), left), share) in lines.iter_mut().zip(wanted).zip(left).zip(shares) {
        let taxed = left - share;
        let rates: u32 = wanted.rates_ppm.iter().sum();
        let whole = 1_000_000 + if prices_include_tax { i64::from(rates) } else { 0 };
        let mut levied = 0;
        for rate_ppm in &wanted.rates_ppm {
            let tax = round(taxed, (*rate_ppm).into(), whole, wanted.quantity, wanted.rounding);
            // Several taxes that are all rounded up can be more than a price of one minor unit.
            let tax = if prices_include_tax { tax.min(taxed - levied) } else { tax };
            levied += tax;
            let (rate_ppm, amount) = (*rate_ppm, money(tax));
            line.taxes.push(TaxLine { title: "VAT".into(), rate_ppm, amount });
        }
        total += taxed + if prices_include_tax { 0 } else { levied };
    }
    OrderDetails {
        currency,
        prices_include_tax,
        discounts: off_the_order,
        total: money(total),
        ..order(lines, 0)
    }
}

prop_compose! {
    fn consistent()(
        currency in currency(),
        prices_include_tax in any::<bool>(),
        wanted in vec(wanted(), 1..8),
        off_the_order in vec(1_i64..500, 0..3),
    ) -> OrderDetails {
        priced(currency, prices_include_tax, &wanted, &off_the_order)
    }
}

proptest! {
    #[test]
    fn what_a_careful_caller_priced_is_frozen_as_it_is(details in consistent()) {
        let prices = price(&details).unwrap();
        prop_assert_eq!(prices.total, details.total.minor);
        prop_assert_eq!(prices.lines.len(), details.lines.len());
        let sum = |amount: fn(&LinePrices) -> i64| prices.lines.iter().map(amount).sum::<i64>();
        prop_assert_eq!(sum(|line| line.total), prices.total);
        prop_assert_eq!(sum(|line| line.subtotal), prices.subtotal);
        prop_assert_eq!(sum(|line| line.discount + line.order_discount), prices.discount);
        prop_assert_eq!(sum(|line| line.order_discount), sum_of(&details.discounts));
        prop_assert_eq!(sum(|line| line.tax), prices.tax);
        let on_top = if details.prices_include_tax { 0 } else { prices.tax };
        prop_assert_eq!(prices.subtotal - prices.discount + on_top, prices.total);
    }

    #[test]
    fn all_units_together_cost_what_the_line_costs(details in consistent()) {
        let prices = price(&details).unwrap();
        for (line, prices) in details.lines.iter().zip(&prices.lines) {
            let quantity = line.quantity.get();
            let units: i64 = (0..quantity).map(|unit| prices.value_of(unit, 1)).sum();
            prop_assert_eq!(units, prices.total);
            prop_assert_eq!(prices.value_of(0, quantity), prices.total);
            let dearest = prices.value_of(0, 1);
            prop_assert!((0..=1).contains(&(dearest - prices.value_of(quantity - 1, 1))));
        }
    }

    #[test]
    fn a_line_given_back_in_pieces_is_given_back_whole(
        details in consistent(),
        pieces in vec(1_u32..12, 40),
    ) {
        let prices = price(&details).unwrap();
        for (line, prices) in details.lines.iter().zip(&prices.lines) {
            let (mut returned, mut refunded) = (0, 0);
            for piece in &pieces {
                let piece = (*piece).min(line.quantity.get() - returned);
                refunded += prices.value_of(returned, piece);
                returned += piece;
            }
            prop_assert_eq!((returned, refunded), (line.quantity.get(), prices.total));
        }
    }

    #[test]
    fn a_total_that_is_off_by_one_minor_unit_is_refused(details in consistent()) {
        for off in [-1, 1] {
            let computed = details.total;
            let declared = Money::new(computed.minor + off, computed.currency);
            let wrong = OrderDetails { total: declared, ..details.clone() };
            prop_assert_eq!(price(&wrong), Err(PriceError::TotalMismatch { declared, computed }));
        }
    }

    #[test]
    fn shares_add_up_and_are_the_exact_proportion_rounded(
        amount in any::<i64>(),
        weights in vec(prop_oneof![Just(0), 0_i64..10, 0_i64..=i64::MAX], 1..20),
    ) {
        let all: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        prop_assume!(all > 0);
        let shares = split(amount, &weights);
        prop_assert_eq!(shares.iter().map(|share| i128::from(*share)).sum::<i128>(), amount.into());
        for (share, weight) in shares.iter().zip(&weights) {
            let exact = i128::from(amount) * i128::from(*weight);
            let (floor, rest) = (exact.div_euclid(all), exact.rem_euclid(all));
            let ceiling = floor + i128::from(rest > 0);
            prop_assert!((floor..=ceiling).contains(&i128::from(*share)));
        }
    }

    #[test]
    fn who_lost_more_by_rounding_down_is_never_passed_over(
        amount in 0_i64..10_000,
        weights in vec(0_i64..100, 1..12),
    ) {
        let all: i64 = weights.iter().sum();
        prop_assume!(all > 0);
        let shares = split(amount, &weights);
        let lost = |index: usize| amount * weights[index] % all;
        let won = |index: usize| shares[index] > amount * weights[index] / all;
        for (one, other) in (0..shares.len()).flat_map(|i| (0..shares.len()).map(move |j| (i, j))) {
            if won(one) && !won(other) {
                prop_assert!((lost(one), other) >= (lost(other), one));
            }
        }
    }

    #[test]
    fn no_numbers_are_too_wild_to_be_answered(
        unit_price in any::<i64>(),
        quantity in 1_i64..=i64::from(Quantity::MAX),
        discount in any::<i64>(),
        rate_ppm in any::<u32>(),
        amount in any::<i64>(),
        total in any::<i64>(),
        prices_include_tax in any::<bool>(),
    ) {
        let wild = reduced(line(quantity, unit_price), [off(discount)]);
        let wild = taxed(wild, [tax(rate_ppm, amount)]);
        let details = OrderDetails {
            discounts: vec![off(discount)],
            prices_include_tax,
            ..order([line(1, 1), wild.clone(), wild], total)
        };
        let _ = price(&details);
    }
}
