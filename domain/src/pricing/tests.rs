mod properties;

use super::*;
use crate::ids::{Channel, CountryCode, PartnerReference, Sku};
use crate::money::{Currency, Money, MoneyError};
use crate::order::{Discount, Handling, Line, LineKind, Policies, TaxLine};
use crate::quantity::Quantity;

const MAX_RATE_PPM: u32 = 10_000_000;

fn gbp(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

fn off(minor: i64) -> Discount {
    Discount { title: "Spring".into(), amount: gbp(minor) }
}

fn tax(rate_ppm: u32, minor: i64) -> TaxLine {
    TaxLine { title: "VAT GB".into(), rate_ppm, amount: gbp(minor) }
}

fn line(quantity: i64, unit_price: i64) -> Line {
    Line {
        sku: Sku::new("MUG").unwrap(),
        title: "Mug".into(),
        kind: LineKind::Goods,
        quantity: Quantity::new(quantity).unwrap(),
        unit_price: gbp(unit_price),
        discounts: vec![],
        taxes: vec![],
    }
}

fn taxed(line: Line, taxes: impl Into<Vec<TaxLine>>) -> Line {
    Line { taxes: taxes.into(), ..line }
}

fn reduced(line: Line, discounts: impl Into<Vec<Discount>>) -> Line {
    Line { discounts: discounts.into(), ..line }
}

fn order(lines: impl Into<Vec<Line>>, total: i64) -> OrderDetails {
    OrderDetails {
        channel: Channel::new("web").unwrap(),
        external_reference: None,
        customer: None,
        contact: None,
        shipping_address: None,
        billing_address: None,
        country: CountryCode::new("GB").unwrap(),
        lines: lines.into(),
        discounts: vec![],
        prices_include_tax: false,
        currency: Currency::GBP,
        total: gbp(total),
        handling: Handling::Elsewhere { reference: PartnerReference::new("R-1").unwrap() },
        policies: Policies::default(),
        prefer_location: None,
        risk_score: None,
        tags: [].into(),
        note: None,
        metadata: [].into(),
    }
}

fn including_tax(order: OrderDetails) -> OrderDetails {
    OrderDetails { prices_include_tax: true, ..order }
}

fn refused(details: &OrderDetails) -> PriceError {
    price(details).unwrap_err()
}

#[test]
fn discounts_come_off_before_taxes_and_taxes_on_top() {
    let mugs = taxed(reduced(line(3, 1000), [off(300)]), [tax(200_000, 480)]);
    let postage = Line { kind: LineKind::Charge, ..taxed(line(1, 900), [tax(200_000, 160)]) };
    let details = OrderDetails { discounts: vec![off(400)], ..order([mugs, postage], 3840) };
    let mugs = LinePrices {
        subtotal: 3000,
        discount: 300,
        order_discount: 300,
        tax: 480,
        total: 2880,
        unit: 960,
        dearer_units: 0,
    };
    let postage = LinePrices {
        subtotal: 900,
        discount: 0,
        order_discount: 100,
        tax: 160,
        total: 960,
        unit: 960,
        dearer_units: 0,
    };
    assert_eq!(
        price(&details),
        Ok(Prices {
            lines: vec![mugs, postage],
            subtotal: 3900,
            discount: 700,
            tax: 640,
            total: 3840
        })
    );
}

#[test]
fn included_taxes_are_not_paid_twice() {
    let mugs = taxed(line(2, 1200), [tax(200_000, 400)]);
    let prices = price(&including_tax(order([mugs], 2400))).unwrap();
    assert_eq!((prices.tax, prices.total), (400, 2400));
}

#[test]
fn several_included_taxes_are_levied_on_what_is_left_without_all_of_them() {
    let mug = |gst, qst| taxed(line(1, 114_975), [tax(50_000, gst), tax(99_750, qst)]);
    assert!(price(&including_tax(order([mug(5000, 9975)], 114_975))).is_ok());
    let as_if_alone = 114_975 * 5 / 105;
    let error = refused(&including_tax(order([mug(as_if_alone, 9975)], 114_975)));
    assert_eq!(
        error,
        PriceError::TaxMismatch {
            line: 0,
            tax_index: 0,
            declared: gbp(5475),
            least: gbp(4999),
            most: gbp(5001)
        }
    );
}

#[test]
fn the_first_units_carry_what_does_not_divide() {
    let mugs = reduced(line(3, 500), [off(100)]);
    let prices = price(&order([mugs], 1400)).unwrap();
    let mugs = &prices.lines[0];
    assert_eq!((mugs.unit, mugs.dearer_units), (466, 2));
    assert_eq!([0, 1, 2].map(|first| mugs.value_of(first, 1)), [467, 467, 466]);
    assert_eq!((mugs.value_of(1, 2), mugs.value_of(0, 0), mugs.value_of(3, 0)), (933, 0, 0));
}

#[test]
fn an_absurd_piece_of_a_line_has_no_panic_in_it() {
    let prices = price(&order([line(1, i64::MAX)], i64::MAX)).unwrap();
    assert_eq!(prices.lines[0].value_of(0, u32::MAX), i64::MAX);
    assert_eq!(prices.lines[0].value_of(u32::MAX, u32::MAX), i64::MAX);
}

#[test]
fn free_goods_and_a_discount_of_everything_cost_nothing() {
    let free = taxed(line(2, 0), [tax(200_000, 0)]);
    let reduced_to_nothing = taxed(reduced(line(1, 500), [off(500)]), [tax(200_000, 0)]);
    assert_eq!(price(&order([free, reduced_to_nothing], 0)).map(|prices| prices.total), Ok(0));
    let details = OrderDetails { discounts: vec![off(500)], ..order([line(1, 500)], 0) };
    assert_eq!(price(&details).map(|prices| prices.total), Ok(0));
}

#[test]
fn a_negative_price_is_refused() {
    let details = order([line(1, 5), line(1, -5)], 0);
    assert_eq!(refused(&details), PriceError::NegativePrice { line: 1 });
}

#[test]
fn amounts_that_do_not_fit_are_refused() {
    let overflow = |line| PriceError::Arithmetic { line, source: MoneyError::Overflow };
    let dear = || line(1, i64::MAX);
    assert_eq!(refused(&order([line(2, i64::MAX)], 0)), overflow(0));
    assert_eq!(refused(&order([dear(), line(1, 1)], 0)), overflow(1));
    assert_eq!(refused(&order([taxed(dear(), [tax(200_000, i64::MAX / 5)])], 0)), overflow(0));
    let tenfold = || tax(MAX_RATE_PPM, i64::MAX / 10 * 10);
    let taxes = [tenfold(), tenfold()];
    assert_eq!(refused(&order([taxed(line(1, i64::MAX / 10), taxes)], 0)), overflow(0));
    let largest = order([taxed(line(1, i64::MAX / 4), [tax(2_000_000, i64::MAX / 2)])], 0);
    assert!(matches!(refused(&largest), PriceError::TotalMismatch { .. }));
}

#[test]
fn every_amount_is_in_the_currency_of_the_order() {
    let euro = Money::new(1, Currency::EUR);
    let in_euro = || Discount { amount: euro, ..off(1) };
    let (found, order_currency) = (Currency::EUR, Currency::GBP);
    let mismatch =
        |line, amount| PriceError::CurrencyMismatch { line, amount, found, order: order_currency };

    let priced = order([line(1, 5), Line { unit_price: euro, ..line(1, 1) }], 6);
    assert_eq!(refused(&priced), mismatch(Some(1), Amount::UnitPrice));
    let reduced_line = order([reduced(line(1, 5), [off(1), in_euro()])], 3);
    assert_eq!(refused(&reduced_line), mismatch(Some(0), Amount::Discount(1)));
    let taxed_line = taxed(line(1, 5), [TaxLine { amount: euro, ..tax(200_000, 1) }]);
    assert_eq!(refused(&order([taxed_line], 6)), mismatch(Some(0), Amount::Tax(0)));
    let reduced_order = OrderDetails { discounts: vec![in_euro()], ..order([line(1, 5)], 4) };
    assert_eq!(refused(&reduced_order), mismatch(None, Amount::Discount(0)));
    let total = OrderDetails { total: euro, ..order([line(1, 1)], 1) };
    assert_eq!(refused(&total), PriceError::TotalCurrency);
}

#[test]
fn a_discount_takes_something_off() {
    for nothing in [0, -1] {
        let error = refused(&order([reduced(line(1, 5), [off(1), off(nothing)])], 4));
        assert_eq!(error, PriceError::DiscountNotPositive { line: Some(0), discount: 1 });
        let details = OrderDetails { discounts: vec![off(nothing)], ..order([line(1, 5)], 5) };
        let error = refused(&details);
        assert_eq!(error, PriceError::DiscountNotPositive { line: None, discount: 0 });
    }
}

#[test]
fn no_more_is_taken_off_than_there_is() {
    let too_large = |line, discount, of| PriceError::DiscountTooLarge {
        line,
        discount: gbp(discount),
        of: gbp(of),
    };
    let error = refused(&order([reduced(line(2, 5), [off(6), off(5)])], 0));
    assert_eq!(error, too_large(Some(0), 11, 10));
    let beyond_64_bits = reduced(line(1, i64::MAX), [off(i64::MAX), off(i64::MAX)]);
    assert_eq!(refused(&order([beyond_64_bits], 0)), too_large(Some(0), i64::MAX, i64::MAX));

    let details = order([reduced(line(2, 5), [off(4)]), line(1, 3)], 0);
    let details = OrderDetails { discounts: vec![off(8), off(2)], ..details };
    assert_eq!(refused(&details), too_large(None, 10, 9));
}

#[test]
fn a_tax_is_not_negative_and_its_rate_not_absurd() {
    let error = refused(&order([taxed(line(1, 5), [tax(200_000, 1), tax(0, -1)])], 5));
    assert_eq!(error, PriceError::NegativeTax { line: 0, tax_index: 1 });

    assert!(price(&order([taxed(line(1, 5), [tax(MAX_RATE_PPM, 50)])], 55)).is_ok());
    let rate_ppm = MAX_RATE_PPM + 1;
    let error = refused(&order([taxed(line(1, 5), [tax(rate_ppm, 50)])], 55));
    let max = MAX_RATE_PPM;
    assert_eq!(error, PriceError::RateTooHigh { line: 0, tax_index: 0, rate_ppm, max });
}

#[test]
fn a_tax_may_be_off_by_one_minor_unit_for_each_unit() {
    // 20 % of 3 × 9.99 are 5.994.
    let with = |minor| order([taxed(line(3, 999), [tax(200_000, minor)])], 2997 + minor);
    for minor in 597..=602 {
        assert!(price(&with(minor)).is_ok(), "{minor}");
    }
    for minor in [0, 596, 603] {
        let (declared, least, most) = (gbp(minor), gbp(597), gbp(602));
        let mismatch = PriceError::TaxMismatch { line: 0, tax_index: 0, declared, least, most };
        assert_eq!(refused(&with(minor)), mismatch);
    }
}

#[test]
fn a_tax_on_nothing_and_one_of_nothing_per_cent_are_nothing() {
    for (unit_price, rate_ppm) in [(0, 200_000), (500, 0)] {
        let details = order([taxed(line(9, unit_price), [tax(rate_ppm, 1)])], 9 * unit_price + 1);
        assert!(matches!(refused(&details), PriceError::TaxMismatch { .. }), "{rate_ppm}");
    }
}

#[test]
fn units_that_cost_nothing_allow_no_rounding() {
    let mugs = reduced(line(1000, 1), [off(998)]);
    let error = refused(&order([taxed(mugs, [tax(200_000, 3)])], 5));
    let (declared, least, most) = (gbp(3), gbp(0), gbp(2));
    assert_eq!(error, PriceError::TaxMismatch { line: 0, tax_index: 0, declared, least, most });
}

#[test]
fn included_taxes_are_not_more_than_the_price() {
    let mug = taxed(line(1, 1), [tax(200_000, 1), tax(50_000, 1)]);
    let error = refused(&including_tax(order([mug], 1)));
    assert_eq!(error, PriceError::TaxTooLarge { line: 0, tax: gbp(2), of: gbp(1) });
}

#[test]
fn the_messages_say_which_line_and_how_much() {
    let discount = PriceError::DiscountTooLarge { line: None, discount: gbp(1000), of: gbp(900) };
    assert_eq!(
        discount.to_string(),
        "10.00 GBP cannot be taken off the order, which costs 9.00 GBP before that"
    );
    let (amount, found, order) = (Amount::Tax(1), Currency::EUR, Currency::GBP);
    let currency = PriceError::CurrencyMismatch { line: Some(2), amount, found, order };
    assert_eq!(currency.to_string(), "tax 1 of line 2 is in EUR, but the order is in GBP");
}

#[test]
fn equal_remainders_go_to_the_first() {
    assert_eq!(split(100, &[1, 1, 1]), [34, 33, 33]);
    assert_eq!(split(5, &[1, 2, 1]), [1, 3, 1]);
    assert_eq!(split(1, &[0, 0, 7]), [0, 0, 1]);
}

#[test]
fn nobody_gets_anything_when_all_weights_are_zero() {
    assert!(split(100, &[]).is_empty());
    assert_eq!(split(100, &[0, 0]), [0, 0]);
    assert_eq!(split(100, &[-5, 1]), [0, 100]);
}

#[test]
fn the_largest_amounts_and_weights_are_split() {
    assert_eq!(split(i64::MAX, &[i64::MAX, i64::MAX]), [i64::MAX / 2 + 1, i64::MAX / 2]);
    assert_eq!(split(i64::MIN, &[i64::MAX, i64::MAX]), [i64::MIN / 2, i64::MIN / 2]);
    assert_eq!(split(i64::MIN, &[3]), [i64::MIN]);
}
