//! How the stock of a SKU looks: in all, by location, and what moved it.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::output::{say, say_table, table, to_the_right};
use crate::wording::{Word, maybe, time};

/// What a row of a table of stocks needs.
pub(super) const STOCK_ROW: &str =
    "sku onHand reserved available backordered level policy lowStockAt";

/// The stock of a SKU. Numbers come as text, for they may be large.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shelf {
    sku: String,
    on_hand: String,
    reserved: String,
    available: String,
    backordered: String,
    level: Word,
    policy: Word,
    low_stock_at: Option<String>,
    /// Only if they were asked for.
    #[serde(default)]
    locations: Vec<Place>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    location: String,
    on_hand: String,
    reserved: String,
    free: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Movement {
    recorded_at: DateTime<Utc>,
    kind: Word,
    location: Option<String>,
    on_hand_delta: String,
    reserved_delta: String,
    backordered_delta: String,
    order_id: Option<String>,
    reason: Option<Word>,
    actor: String,
}

pub(super) fn say_stocks(stocks: &[Shelf]) {
    let mut table = table(&[
        "SKU",
        "ON HAND",
        "RESERVED",
        "AVAILABLE",
        "BACKORDERED",
        "LEVEL",
        "POLICY",
        "LOW AT",
    ]);
    for stock in stocks {
        table.add_row([
            stock.sku.clone(),
            stock.on_hand.clone(),
            stock.reserved.clone(),
            stock.available.clone(),
            stock.backordered.clone(),
            stock.level.to_string(),
            stock.policy.to_string(),
            maybe(stock.low_stock_at.as_ref()),
        ]);
    }
    to_the_right(&mut table, [1, 2, 3, 4, 7]);
    say_table(&table);
}

pub(super) fn say_locations(stock: &Shelf) {
    if stock.locations.is_empty() {
        return;
    }
    let mut table = table(&["LOCATION", "ON HAND", "RESERVED", "FREE"]);
    for Place { location, on_hand, reserved, free } in &stock.locations {
        table.add_row([location, on_hand, reserved, free]);
    }
    to_the_right(&mut table, [1, 2, 3]);
    say("");
    say_table(&table);
}

pub(super) fn say_movements(movements: &[Movement]) {
    if movements.is_empty() {
        return;
    }
    let mut table = table(&[
        "TIME",
        "MOVEMENT",
        "LOCATION",
        "ON HAND",
        "RESERVED",
        "BACKORDERED",
        "ACTOR",
        "ORDER",
    ]);
    for movement in movements {
        let Movement { kind, reason, .. } = movement;
        let reason = reason.as_ref().map(|reason| format!(" ({reason})"));
        table.add_row([
            time(movement.recorded_at),
            format!("{kind}{}", maybe(reason)),
            maybe(movement.location.as_ref()),
            signed(&movement.on_hand_delta),
            signed(&movement.reserved_delta),
            signed(&movement.backordered_delta),
            movement.actor.clone(),
            maybe(movement.order_id.as_ref()),
        ]);
    }
    to_the_right(&mut table, [3, 4, 5]);
    say("");
    say_table(&table);
}

/// A difference, with its sign; nothing if there is none.
fn signed(delta: &str) -> String {
    match delta {
        "0" => String::new(),
        less if less.starts_with('-') => less.to_owned(),
        more => format!("+{more}"),
    }
}
