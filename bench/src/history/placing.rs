//! What customers order.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{Channel, CountryCode, PaymentToken, Sku, SubjectId, Tag};
use domain::money::{Currency, Money};
use domain::order::{
    CapturePolicy, Discount, DispatchPolicy, Handling, Line, LineKind, OrderDetails, Policies,
    TaxLine,
};
use domain::quantity::Quantity;

use super::catalogue::{Article, Catalogue};
use super::chance::Chance;
use super::fate::Fate;
use super::people::{Buyer, sealed};

/// Where people live: country, currency, tax, and how many of a hundred do.
const MARKETS: [Market; 3] = [
    Market { country: "GB", currency: Currency::GBP, tax: "VAT GB", ppm: 200_000, share: 60 },
    Market { country: "DE", currency: Currency::EUR, tax: "MwSt DE", ppm: 190_000, share: 25 },
    Market { country: "FR", currency: Currency::EUR, tax: "TVA FR", ppm: 200_000, share: 15 },
];
/// What postage costs, in minor units.
const POSTAGE: i64 = 495;
/// From so much on, goods are sent free of charge.
const FREE_FROM: i64 = 10_000;
/// One whole, in parts per million.
const WHOLE_PPM: i64 = 1_000_000;

struct Market {
    country: &'static str,
    currency: Currency,
    tax: &'static str,
    ppm: u32,
    share: usize,
}

/// Where an order comes from.
pub(super) fn channel(chance: &mut Chance) -> anyhow::Result<Channel> {
    Ok(Channel::new(if chance.happens(25) { "marketplace" } else { "web" })?)
}

/// An order as the API takes it: prices that add up, personal data sealed.
pub(super) fn draw(
    catalogue: &Catalogue,
    channel: Channel,
    buyer: &Buyer,
    fate: Fate,
    chance: &mut Chance,
) -> anyhow::Result<OrderDetails> {
    let market = market(chance);
    let lines = lines(catalogue, market, chance)?;
    let total = lines.iter().map(cost).sum();
    let token = if fate == Fate::Declined { "tok_declined" } else { "tok_ok" };
    let subject = buyer.subject;
    let tags =
        if chance.happens(10) { BTreeSet::from([Tag::new("gift")?]) } else { BTreeSet::new() };
    Ok(OrderDetails {
        channel,
        external_reference: None,
        customer: buyer.customer.clone(),
        contact: Some(sealed(subject, chance.between(90, 130), chance)),
        shipping_address: Some(sealed(subject, chance.between(110, 170), chance)),
        billing_address: sealed_for(20, subject, (110, 170), chance),
        country: CountryCode::new(market.country)?,
        lines,
        discounts: vec![],
        prices_include_tax: true,
        currency: market.currency,
        total: Money::new(total, market.currency),
        handling: Handling::Partners { payment_token: Some(PaymentToken::new(token)?) },
        policies: policies(fate, chance),
        prefer_location: None,
        risk_score: Some(u8::try_from(chance.below(40)).unwrap_or_default()),
        tags,
        note: sealed_for(10, subject, (20, 200), chance),
        metadata: BTreeMap::from([("cart".to_owned(), chance.id().to_string())]),
    })
}

fn sealed_for(
    percent: u32,
    subject: SubjectId,
    (shortest, longest): (i64, i64),
    chance: &mut Chance,
) -> Option<domain::personal::Sealed> {
    let length = chance.between(shortest, longest);
    chance.happens(percent).then(|| sealed(subject, length, chance))
}

fn market(chance: &mut Chance) -> &'static Market {
    let mut drawn = chance.below(100);
    for market in &MARKETS {
        if drawn < market.share {
            return market;
        }
        drawn -= market.share;
    }
    &MARKETS[0]
}

/// Half of all orders are sent by hand of the warehouse. Who cancels must be faster than that.
fn policies(fate: Fate, chance: &mut Chance) -> Policies {
    let by_hand = chance.happens(50) || fate == Fate::Cancelled;
    let at_once = chance.happens(10);
    Policies {
        dispatch: if by_hand { DispatchPolicy::Manual } else { DispatchPolicy::Automatic },
        capture: if at_once { CapturePolicy::AtOnce } else { CapturePolicy::OnShip },
        ..Policies::default()
    }
}

/// One to five lines of goods, mostly one or two, and postage unless it is free.
fn lines(catalogue: &Catalogue, market: &Market, chance: &mut Chance) -> anyhow::Result<Vec<Line>> {
    let count = match chance.below(100) {
        0..50 => 1,
        50..77 => 2,
        77..90 => 3,
        90..97 => 4,
        _ => 5,
    };
    let mut lines: Vec<Line> = vec![];
    while lines.len() < count {
        let article = catalogue.draw(chance);
        // Whoever wants more of the same, orders more units of it.
        if lines.iter().all(|line| line.sku != article.sku) || catalogue.articles.len() < count {
            lines.push(goods(article, market, chance)?);
        }
    }
    if lines.iter().map(cost).sum::<i64>() < FREE_FROM {
        let mut postage = Line {
            sku: Sku::new("POSTAGE")?,
            title: "Postage".to_owned(),
            kind: LineKind::Charge,
            quantity: Quantity::ONE,
            unit_price: Money::new(POSTAGE, market.currency),
            discounts: vec![],
            taxes: vec![],
        };
        postage.taxes.push(tax(&postage, market));
        lines.push(postage);
    }
    Ok(lines)
}

fn goods(article: &Article, market: &Market, chance: &mut Chance) -> anyhow::Result<Line> {
    let quantity = if chance.happens(75) { 1 } else { chance.between(2, 6) };
    let mut line = Line {
        sku: article.sku.clone(),
        title: article.title.clone(),
        kind: LineKind::Goods,
        quantity: Quantity::new(quantity)?,
        unit_price: Money::new(article.price, market.currency),
        discounts: vec![],
        taxes: vec![],
    };
    if chance.happens(15) {
        let amount = Money::new(quantity * article.price / 10, market.currency);
        line.discounts.push(Discount { title: "SAVE10".to_owned(), amount });
    }
    line.taxes.push(tax(&line, market));
    Ok(line)
}

/// What a line costs.
fn cost(line: &Line) -> i64 {
    let off: i64 = line.discounts.iter().map(|discount| discount.amount.minor).sum();
    line.unit_price.minor * i64::from(line.quantity.get()) - off
}

/// The tax that is in what a line costs, to the nearest minor unit.
fn tax(line: &Line, market: &Market) -> TaxLine {
    let rate = i64::from(market.ppm);
    let whole = WHOLE_PPM + rate;
    let amount = (cost(line) * rate + whole / 2) / whole;
    TaxLine {
        title: market.tax.to_owned(),
        rate_ppm: market.ppm,
        amount: Money::new(amount, market.currency),
    }
}
