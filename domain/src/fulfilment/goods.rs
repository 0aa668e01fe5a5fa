//! What lines are about: stock knows of SKUs, not of lines.

use std::collections::BTreeMap;

use super::work::Goods;
use crate::ids::{LocationCode, Sku};
use crate::order::{Disposition, LineAllocation, LineKind, LineUnits, OrderDetails, ReceivedUnits};
use crate::quantity::Quantity;
use crate::stock::LocatedUnits;

/// Units of one SKU that an order gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasedGoods {
    /// Which goods.
    pub sku: Sku,
    /// All of them.
    pub quantity: Quantity,
    /// Where they were set aside, each location once; the rest was awaited.
    pub set_aside: Vec<LocatedUnits>,
}

/// Units of one SKU at one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedGoods {
    /// Which goods.
    pub sku: Sku,
    /// Where, and how many.
    pub units: LocatedUnits,
}

/// The goods among `lines` of an order, one entry per SKU, in the order of SKUs.
pub fn goods_of(details: &OrderDetails, lines: &[LineUnits]) -> Vec<Goods> {
    let mut goods = BTreeMap::<&Sku, u64>::new();
    for units in lines {
        if let Some(sku) = sku_of(details, units.line) {
            *goods.entry(sku).or_default() += u64::from(units.quantity);
        }
    }
    let entry =
        |(sku, units): (&Sku, u64)| Goods { sku: sku.clone(), quantity: Quantity::nearest(units) };
    goods.into_iter().map(entry).collect()
}

/// What `released` is, one entry per SKU, in the order of SKUs.
pub fn goods_released(details: &OrderDetails, released: &[LineAllocation]) -> Vec<ReleasedGoods> {
    let mut goods = BTreeMap::<&Sku, (BTreeMap<&LocationCode, u64>, u64)>::new();
    for found in released {
        let Some(sku) = sku_of(details, found.line) else { continue };
        let (places, awaited) = goods.entry(sku).or_default();
        *awaited += u64::from(found.backordered);
        for units in &found.units {
            *places.entry(&units.location).or_default() += u64::from(units.quantity);
        }
    }
    let entry = |(sku, (places, awaited)): (&Sku, (BTreeMap<&LocationCode, u64>, u64))| {
        let quantity = Quantity::nearest(places.values().sum::<u64>() + awaited);
        ReleasedGoods {
            sku: sku.clone(),
            quantity,
            set_aside: places.into_iter().map(located).collect(),
        }
    };
    goods.into_iter().map(entry).collect()
}

/// What of `received` goes back onto which shelf, one entry per SKU and location, in their order.
pub fn goods_restocked(details: &OrderDetails, received: &[ReceivedUnits]) -> Vec<LocatedGoods> {
    let mut goods = BTreeMap::<(&Sku, &LocationCode), u64>::new();
    for units in received.iter().filter(|it| it.disposition == Disposition::Restocked) {
        if let Some(sku) = sku_of(details, units.line) {
            *goods.entry((sku, &units.location)).or_default() += u64::from(units.quantity);
        }
    }
    let entry = |((sku, location), units): ((&Sku, &LocationCode), u64)| LocatedGoods {
        sku: sku.clone(),
        units: located((location, units)),
    };
    goods.into_iter().map(entry).collect()
}

fn located((location, units): (&LocationCode, u64)) -> LocatedUnits {
    LocatedUnits { location: location.clone(), quantity: Quantity::nearest(units) }
}

fn sku_of(details: &OrderDetails, line: u32) -> Option<&Sku> {
    let line = details.lines.get(usize::try_from(line).ok()?)?;
    (line.kind == LineKind::Goods).then_some(&line.sku)
}
