//! The stock of a SKU, as the schema shows it.

use async_graphql::SimpleObject;
use chrono::{DateTime, Utc};
use domain::ids::Sku;
use journal::Executed;
use projector::read_model::StockRow;

use super::small;
use crate::graphql::scalars::BigInt;

/// The stock of one SKU.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Stock {
    /// Which SKU.
    sku: String,
    /// Units on the shelf, reserved or not.
    on_hand: BigInt,
    /// Units set aside for orders.
    reserved: BigInt,
    /// Units that can still be reserved.
    available: BigInt,
    /// When its last event was recorded; not known to a mutation.
    updated_at: Option<DateTime<Utc>>,
    /// Number of its last event, from 0.
    revision: i32,
    /// Whether a later event could not be understood: what is here is right, but may be out of date.
    quarantined: bool,
}

impl From<StockRow> for Stock {
    fn from(row: StockRow) -> Self {
        Self {
            available: row.available().into(),
            sku: row.sku,
            on_hand: row.on_hand.into(),
            reserved: row.reserved.into(),
            updated_at: Some(row.updated_at),
            revision: small(row.revision),
            quarantined: row.quarantined,
        }
    }
}

impl Stock {
    /// The stock as a command left it.
    pub(crate) fn executed(sku: &Sku, executed: &Executed<domain::stock::Stock>) -> Self {
        let state = &executed.state;
        Self {
            sku: sku.to_string(),
            on_hand: state.on_hand().into(),
            reserved: state.reserved().into(),
            available: state.available().into(),
            updated_at: None,
            revision: small(executed.revision),
            quarantined: false,
        }
    }
}
