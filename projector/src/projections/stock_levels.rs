//! What is on hand, set aside and awaited, per SKU and per location, and how it came about.

mod fold;
mod tables;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use domain::ids::Sku;
use domain::stock::{Stock, StockEvent};
use futures::future::BoxFuture;
use journal::Recorded;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::ProjectionName;
use crate::code::{MovementKind, StockLevel, StockPolicy};
use crate::projection::{Projection, Unfoldable, state};
use crate::table::{Rows, Table, TableRow, table};

table! {
/// The stock of one SKU, at all its locations together.
pub struct StockRow {
    /// Which SKU.
    pub sku: String,
    /// Units on the shelves, set aside or not.
    pub on_hand: i64,
    /// Units set aside for orders.
    pub reserved: i64,
    /// Units that can still be set aside; none while orders await goods.
    pub available: i64,
    /// Units promised to orders that are still awaited.
    pub backordered: i64,
    /// What happens when more is wanted than there is.
    pub policy: StockPolicy,
    /// A warning is wanted when so many units, or fewer, are available.
    pub low_stock_at: Option<i64>,
    /// Whether enough is available.
    pub level: StockLevel,
    /// When its last event was recorded.
    pub updated_at: DateTime<Utc>,
    /// Revision of the last event of its stream in this row.
    pub revision: i64,
    /// Whether a later event could not be understood: the row is right, but may be out of date.
    pub quarantined: bool,
}
in stock_levels, key 1, of sku, once []
}

table! {
/// The stock of one SKU at one location.
pub struct StockLocationRow {
    /// Which SKU.
    pub sku: String,
    /// Where.
    pub location: String,
    /// Units there, set aside or not.
    pub on_hand: i64,
    /// Units set aside for orders there.
    pub reserved: i64,
}
in stock_locations, key 2, of sku, once []
}

impl StockLocationRow {
    /// Units there that nobody has set aside.
    pub const fn free(&self) -> i64 {
        let free = self.on_hand - self.reserved;
        if free < 0 { 0 } else { free }
    }
}

table! {
/// Units of a SKU that moved, at one location.
pub struct StockMovementRow {
    /// Which SKU.
    pub sku: String,
    /// Revision of the event that moved them.
    pub revision: i64,
    /// Number of this part of the event, from 0: an event may be about several locations.
    pub part: i32,
    /// Where; nowhere for units that are only promised.
    pub location: Option<String>,
    /// What moved them.
    pub kind: MovementKind,
    /// Units that came onto the shelf, or left it when negative.
    pub on_hand: i64,
    /// Units that were set aside, or given back when negative.
    pub reserved: i64,
    /// Units that are awaited, or not any longer when negative.
    pub backordered: i64,
    /// Of which order.
    pub order_id: Option<Uuid>,
    /// The receipt, the correction, the count, the shipment or the return.
    pub reference: Option<Uuid>,
    /// Why what is on hand was corrected: JSON name of `domain::stock::AdjustReason`, such as
    /// `damaged`.
    pub reason: Option<String>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// Who wanted it: `client:…`, `user:…`, `process:…`.
    pub actor: String,
}
in stock_movements, key 3, of sku, once [location, kind, on_hand, reserved, backordered, order_id,
    reference, reason, recorded_at, actor]
}

/// The projection.
pub(crate) struct StockLevels;

/// A SKU with its locations, and its movements that are not in the table yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    pub(crate) stock: StockRow,
    /// By their codes.
    pub(crate) locations: Vec<StockLocationRow>,
    pub(crate) movements: Vec<StockMovementRow>,
}
state!(Draft, sku: String, in stock, added movements);

impl Projection for StockLevels {
    const NAME: ProjectionName = ProjectionName::StockLevels;
    const VERSION: i32 = 2;
    const TABLES: &'static str = tables::TABLES;
    const KEYS: &'static str = tables::KEYS;
    const INDEXES: &'static str = tables::INDEXES;
    const VIEWS: &'static str = tables::VIEWS;
    const ROWS: &'static [Table] =
        &[StockRow::TABLE, StockLocationRow::TABLE, StockMovementRow::TABLE];
    type Source = Stock;
    type State = Draft;

    fn key(id: &Sku) -> String {
        id.to_string()
    }

    fn begin(id: &Sku, event: &StockEvent, recorded: &Recorded) -> Result<Draft, Unfoldable> {
        let mut draft = Draft::empty(id, recorded);
        Self::evolve(&mut draft, event, recorded)?;
        Ok(draft)
    }

    fn evolve(
        draft: &mut Draft,
        event: &StockEvent,
        recorded: &Recorded,
    ) -> Result<(), Unfoldable> {
        fold::evolve(draft, event, recorded)
    }

    fn load<'a>(
        connection: &'a mut PgConnection,
        keys: &'a [String],
    ) -> BoxFuture<'a, sqlx::Result<Vec<Draft>>> {
        Box::pin(tables::load(connection, keys))
    }

    fn rows(draft: &Draft, rows: &mut Rows) {
        rows.put(&draft.stock);
        for location in &draft.locations {
            rows.put(location);
        }
        Self::history(draft, rows);
    }

    fn history(draft: &Draft, rows: &mut Rows) {
        for movement in &draft.movements {
            rows.put(movement);
        }
    }
}

impl Draft {
    fn empty(sku: &Sku, recorded: &Recorded) -> Self {
        let stock = StockRow {
            sku: sku.to_string(),
            on_hand: 0,
            reserved: 0,
            available: 0,
            backordered: 0,
            policy: StockPolicy::Deny,
            low_stock_at: None,
            level: StockLevel::Out,
            updated_at: recorded.metadata.recorded_at,
            revision: 0,
            quarantined: false,
        };
        Self { stock, locations: vec![], movements: vec![] }
    }
}
