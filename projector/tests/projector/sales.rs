//! Sales per day and SKU, against sums over all orders at once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use domain::order::{LineKind as Kind, PlacedOrder};
use projector::read_model::{
    Error, LineKind, Reader, SalesByDay, SalesByDayQuery, SalesGroup, SalesPlace,
};
use projector::{ProjectionName, Rebuild};

use crate::lives::Life;
use crate::orders::{interleaved, lived};
use crate::world::World;

const ORDERS: ProjectionName = ProjectionName::Orders;
const EVERYTHING: [SalesGroup; 3] = [SalesGroup::Day, SalesGroup::Sku, SalesGroup::Channel];

type Place = (Option<NaiveDate>, Option<String>, Option<String>, String);

/// What was sold, worked out from all orders at once.
fn sales_of(orders: &[PlacedOrder], query: &SalesByDayQuery) -> Vec<SalesByDay> {
    let by = |group| query.group_by.contains(&group);
    let mut all: BTreeMap<Place, SalesByDay> = BTreeMap::new();
    for order in orders {
        let day = order.placed_at.date_naive();
        let mut counted = BTreeSet::new();
        for (n, (line, ledger)) in order.details.lines.iter().zip(&order.lines).enumerate() {
            let kind = match line.kind {
                Kind::Goods => LineKind::Goods,
                Kind::Charge => LineKind::Charge,
            };
            let (sku, channel) = (line.sku.to_string(), order.details.channel.to_string());
            let passes = query.kind.is_none_or(|wanted| wanted == kind)
                && query.sku.as_ref().is_none_or(|wanted| *wanted == sku)
                && query.channel.as_ref().is_none_or(|wanted| *wanted == channel)
                && query.from.is_none_or(|from| day >= from)
                && query.to.is_none_or(|to| day <= to);
            if !passes {
                continue;
            }
            let first = counted.insert((sku.clone(), kind));
            let place = SalesPlace {
                day: by(SalesGroup::Day).then_some(day),
                sku: by(SalesGroup::Sku).then_some(sku),
                channel: by(SalesGroup::Channel).then_some(channel),
                currency: order.details.currency.to_string(),
            };
            let key = (place.day, place.sku.clone(), place.channel.clone(), place.currency.clone());
            let sums = all.entry(key).or_insert_with(|| SalesByDay {
                place,
                orders: 0,
                units: 0,
                gross_minor: 0,
                cancelled_units: 0,
                cancelled_minor: 0,
                returned_units: 0,
                refunded_units: 0,
            });
            let prices = &order.prices.lines[n];
            sums.orders += i64::from(first);
            sums.units += i64::from(line.quantity);
            sums.gross_minor += prices.total;
            sums.cancelled_units += i64::from(ledger.cancelled);
            sums.cancelled_minor += prices.total - prices.value_of(0, ledger.wanted());
            sums.returned_units += i64::from(ledger.returned);
            sums.refunded_units += i64::from(ledger.refunded);
        }
    }
    all.into_values().collect()
}

/// All there is, page by page.
async fn sales(reader: &Reader, query: &SalesByDayQuery) -> Vec<SalesByDay> {
    let mut query = query.clone();
    let mut all = vec![];
    loop {
        let page = reader.sales_by_day(&query).await.unwrap();
        assert!(page.len() <= query.limit as usize);
        let Some(last) = page.last() else { return all };
        query.after = Some(last.place.clone());
        all.extend(page);
    }
}

fn queries() -> Vec<SalesByDayQuery> {
    let default = SalesByDayQuery::default;
    let some = |name: &str| Some(name.to_owned());
    let day = |day| NaiveDate::from_ymd_opt(2010, 12, day);
    let groups = [
        vec![],
        vec![SalesGroup::Day],
        vec![SalesGroup::Channel, SalesGroup::Sku],
        EVERYTHING.to_vec(),
    ];
    let mut all: Vec<_> = groups
        .into_iter()
        .flat_map(|group_by| {
            [None, Some(LineKind::Goods), Some(LineKind::Charge)].map(|kind| SalesByDayQuery {
                group_by: group_by.clone(),
                kind,
                limit: 3,
                ..default()
            })
        })
        .collect();
    all.push(SalesByDayQuery { sku: some("SKU-2"), ..default() });
    all.push(SalesByDayQuery { channel: some("till"), from: day(1), to: day(1), ..default() });
    all.push(SalesByDayQuery { from: day(2), ..default() });
    all
}

async fn rows(world: &World) -> Vec<String> {
    let dump = world.dump().await;
    dump.into_iter().filter(|row| row.starts_with("sales_by_day ")).collect()
}

#[tokio::test]
async fn sales_add_up_whatever_order_events_come_in() {
    let lives: Vec<_> = (0..60).map(Life::of).collect();
    let orders: Vec<_> = lives.iter().map(Life::order).collect();
    let mut dumps = vec![];
    for seed in 4..=5 {
        let world = World::open().await;
        interleaved(&world, &lives, seed).await;
        for query in queries() {
            assert_eq!(
                sales(&world.reader(), &query).await,
                sales_of(&orders, &query),
                "{query:?}"
            );
        }
        dumps.push(rows(&world).await);

        let rebuild =
            Rebuild::start(&world.url, world.journal.clone(), &[ORDERS], World::options()).await;
        rebuild.unwrap().finish().await.unwrap();
        dumps.push(rows(&world).await);
    }
    assert!(dumps.iter().all(|dump| *dump == dumps[0] && dump.len() > 20), "the same bytes");
}

#[tokio::test]
async fn the_lives_say_something_about_every_sum() {
    let (_world, reader, _) = lived(60).await;
    let all = SalesByDayQuery { group_by: vec![], kind: None, ..SalesByDayQuery::default() };
    let totals = sales(&reader, &all).await;
    assert_eq!(totals.len(), 2, "pounds and euros");
    for total in totals {
        assert!(total.cancelled_units > 0 && total.cancelled_minor > 0, "{total:?}");
        assert!(total.returned_units > 0 && total.refunded_units > 0, "{total:?}");
    }
}

#[tokio::test]
async fn a_place_in_another_summing_up_is_refused() {
    let (_world, reader, _) = lived(5).await;
    let by_sku = SalesByDayQuery { group_by: vec![SalesGroup::Sku], ..SalesByDayQuery::default() };
    let first = reader.sales_by_day(&by_sku).await.unwrap();
    let after = Some(first[0].place.clone());
    let refused =
        reader.sales_by_day(&SalesByDayQuery { after, ..SalesByDayQuery::default() }).await;
    assert!(matches!(refused, Err(Error::ForeignCursor)), "{refused:?}");
}
