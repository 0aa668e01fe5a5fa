//! What can be bought, where it is kept, and how often it is bought.

use std::collections::HashMap;

use anyhow::Context as _;
use domain::ids::{LocationCode, Sku};

use super::chance::Chance;

const MATERIALS: [&str; 8] =
    ["Oak", "Linen", "Stoneware", "Brushed Steel", "Merino", "Recycled Glass", "Walnut", "Enamel"];
const THINGS: [&str; 12] = [
    "Mug",
    "Table Lamp",
    "Throw Blanket",
    "Serving Board",
    "Wall Clock",
    "Storage Basket",
    "Desk Organiser",
    "Cushion Cover",
    "Saucepan 20 cm",
    "Picture Frame A4",
    "Water Carafe",
    "Door Mat",
];
/// How much more the best seller sells than the rest.
const SKEW: f64 = 2.0;
/// Goods of this many in a hundred are kept in the second place.
const ELSEWHERE: u32 = 12;

/// Something that can be bought.
#[derive(Debug, Clone)]
pub(super) struct Article {
    pub(super) sku: Sku,
    pub(super) title: String,
    /// In minor units, taxes included.
    pub(super) price: i64,
    pub(super) location: LocationCode,
}

/// Everything that can be bought.
#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) articles: Vec<Article>,
    numbers: HashMap<Sku, usize>,
}

impl Catalogue {
    pub(super) fn of(skus: usize, chance: &mut Chance) -> anyhow::Result<Self> {
        let articles = (0..skus.max(1))
            .map(|number| article(number, chance))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let numbers =
            articles.iter().enumerate().map(|(n, article)| (article.sku.clone(), n)).collect();
        Ok(Self { articles, numbers })
    }

    /// Which article has this SKU.
    pub(super) fn number(&self, sku: &Sku) -> anyhow::Result<usize> {
        self.numbers.get(sku).copied().context("an order has a SKU that nobody sells")
    }

    /// An article that somebody buys.
    pub(super) fn draw(&self, chance: &mut Chance) -> &Article {
        &self.articles[chance.long_tailed(self.articles.len(), SKEW)]
    }
}

fn article(number: usize, chance: &mut Chance) -> anyhow::Result<Article> {
    let (material, thing) = (chance.one_of(&MATERIALS), chance.one_of(&THINGS));
    let location = if chance.happens(ELSEWHERE) { "north" } else { LocationCode::MAIN };
    Ok(Article {
        sku: Sku::new(format!("{}-{number:05}", &thing[..3].to_uppercase()))?,
        title: format!("{material} {thing}"),
        price: chance.between(4, 150) * 100 + 95,
        location: LocationCode::new(location)?,
    })
}
