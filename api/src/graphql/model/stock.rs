//! The stock of a SKU, as the schema shows it: what is there, where, and how it came about.

use async_graphql::{ComplexObject, Context, Enum, Error, SimpleObject};
use chrono::{DateTime, Utc};
use domain::ids::Sku;
use journal::Executed;
use projector::read_model::{StockLocationRow, StockMovementRow, StockRow};
use uuid::Uuid;

use super::small;
use crate::graphql::loaders::Loaders;
use crate::graphql::scalars::BigInt;

/// What happens when more of a SKU is wanted than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::StockPolicy")]
pub(crate) enum StockPolicy {
    /// Nobody counts: there is always enough.
    Untracked,
    /// It is refused.
    Deny,
    /// It is promised, and supplied as soon as goods come in, the oldest promise first.
    Backorder,
}

impl From<StockPolicy> for domain::stock::StockPolicy {
    fn from(policy: StockPolicy) -> Self {
        match policy {
            StockPolicy::Untracked => Self::Untracked,
            StockPolicy::Deny => Self::Deny,
            StockPolicy::Backorder => Self::Backorder,
        }
    }
}

impl From<domain::stock::StockPolicy> for StockPolicy {
    fn from(policy: domain::stock::StockPolicy) -> Self {
        match policy {
            domain::stock::StockPolicy::Untracked => Self::Untracked,
            domain::stock::StockPolicy::Deny => Self::Deny,
            domain::stock::StockPolicy::Backorder => Self::Backorder,
        }
    }
}

/// Whether enough of a SKU is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::StockLevel")]
pub(crate) enum StockLevel {
    /// It is, or nobody counts.
    Enough,
    /// Some is, but no more than `lowStockAt`.
    Low,
    /// None is.
    Out,
}

/// Why the number on hand was corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum StockAdjustReason {
    /// Turned up.
    Found,
    /// Cannot be found.
    Lost,
    /// Cannot be sold any more.
    Damaged,
    /// Was taken.
    Stolen,
    /// The number was wrong.
    Correction,
    /// Anything else.
    Other,
}

impl From<StockAdjustReason> for domain::stock::AdjustReason {
    fn from(reason: StockAdjustReason) -> Self {
        match reason {
            StockAdjustReason::Found => Self::Found,
            StockAdjustReason::Lost => Self::Lost,
            StockAdjustReason::Damaged => Self::Damaged,
            StockAdjustReason::Stolen => Self::Stolen,
            StockAdjustReason::Correction => Self::Correction,
            StockAdjustReason::Other => Self::Other,
        }
    }
}

impl StockAdjustReason {
    /// The reason as the read model has it.
    fn read(name: &str) -> Self {
        match name {
            "found" => Self::Found,
            "lost" => Self::Lost,
            "damaged" => Self::Damaged,
            "stolen" => Self::Stolen,
            "correction" => Self::Correction,
            _ => Self::Other,
        }
    }
}

/// The stock of one SKU.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Stock {
    /// Which SKU.
    sku: String,
    /// Units on the shelves of all locations, reserved or not.
    on_hand: BigInt,
    /// Units set aside for orders.
    reserved: BigInt,
    /// Units that can still be reserved; none while orders await goods.
    available: BigInt,
    /// Units promised to orders that are still awaited.
    backordered: BigInt,
    /// What happens when more is wanted than there is.
    policy: StockPolicy,
    /// A warning is wanted when so many units, or fewer, are available.
    low_stock_at: Option<BigInt>,
    /// Whether enough is available.
    level: StockLevel,
    /// When its last event was recorded; not known to a mutation.
    updated_at: Option<DateTime<Utc>>,
    /// Number of its last event, from 0.
    revision: i32,
    /// Whether a later event could not be understood: what is here is right, but may be out of date.
    quarantined: bool,
    /// As a mutation knows them.
    #[graphql(skip)]
    known_locations: Option<Vec<StockLocation>>,
}

#[ComplexObject]
impl Stock {
    /// What each location has, by its code.
    #[graphql(complexity = "5 + child_complexity")]
    async fn locations(&self, ctx: &Context<'_>) -> Result<Vec<StockLocation>, Error> {
        if let Some(known) = &self.known_locations {
            return Ok(known.clone());
        }
        let rows = Loaders::of(ctx).stock_locations(ctx, &self.sku).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

/// The stock of a SKU at one location.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct StockLocation {
    /// Where: a warehouse, a shop.
    location: String,
    /// Units there, reserved or not.
    on_hand: BigInt,
    /// Units set aside for orders there.
    reserved: BigInt,
    /// Units there that nobody has reserved.
    free: BigInt,
}

impl From<StockLocationRow> for StockLocation {
    fn from(row: StockLocationRow) -> Self {
        Self {
            free: row.free().into(),
            location: row.location,
            on_hand: row.on_hand.into(),
            reserved: row.reserved.into(),
        }
    }
}

impl From<StockRow> for Stock {
    fn from(row: StockRow) -> Self {
        Self {
            sku: row.sku,
            on_hand: row.on_hand.into(),
            reserved: row.reserved.into(),
            available: row.available.into(),
            backordered: row.backordered.into(),
            policy: row.policy.into(),
            low_stock_at: row.low_stock_at.map(Into::into),
            level: row.level.into(),
            updated_at: Some(row.updated_at),
            revision: small(row.revision),
            quarantined: row.quarantined,
            known_locations: None,
        }
    }
}

impl Stock {
    /// The stock as a command left it.
    pub(crate) fn executed(sku: &Sku, executed: &Executed<domain::stock::Stock>) -> Self {
        let state = &executed.state;
        let level = match (state.is_out(), state.is_low()) {
            (true, _) => StockLevel::Out,
            (false, true) => StockLevel::Low,
            (false, false) => StockLevel::Enough,
        };
        let locations = state.locations().map(|(location, shelf)| StockLocation {
            location: location.to_string(),
            on_hand: shelf.on_hand.into(),
            reserved: shelf.reserved.into(),
            free: shelf.free().into(),
        });
        Self {
            sku: sku.to_string(),
            on_hand: state.on_hand().into(),
            reserved: state.reserved().into(),
            available: state.available().into(),
            backordered: state.backordered().into(),
            policy: state.policy().into(),
            low_stock_at: state.low_stock_at().map(Into::into),
            level,
            updated_at: None,
            revision: small(executed.revision),
            quarantined: false,
            known_locations: Some(locations.collect()),
        }
    }
}

/// What moved units of a SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::MovementKind")]
pub(crate) enum StockMovementKind {
    /// Goods came in: `stockReceive`.
    Received,
    /// What is on hand was corrected: `stockAdjust`.
    Adjusted,
    /// What is on hand was counted: `stockSet`.
    Counted,
    /// An order had units set aside or promised.
    Reserved,
    /// An order gave units back.
    Released,
    /// The time of a reservation was over.
    Expired,
    /// Units that an order awaited were set aside.
    BackorderFilled,
    /// Units left for an order.
    Shipped,
    /// Units of an order came back.
    Restocked,
}

/// Units of a SKU that moved, at one location.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct StockMovement {
    /// What moved them.
    kind: StockMovementKind,
    /// Where; nowhere for units that are only promised.
    location: Option<String>,
    /// Units that came onto the shelf, or left it when negative.
    on_hand_delta: BigInt,
    /// Units that were set aside, or given back when negative.
    reserved_delta: BigInt,
    /// Units that are awaited, or not any longer when negative.
    backordered_delta: BigInt,
    /// Of which order.
    order_id: Option<Uuid>,
    /// The receipt, the correction, the count, the shipment or the return.
    reference: Option<Uuid>,
    /// Why what is on hand was corrected.
    reason: Option<StockAdjustReason>,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// Who wanted it: `client:…`, `user:…`, `process:…`.
    actor: String,
    /// Number of its event in the history of the SKU, from 0. Movements of one event share it.
    revision: i32,
}

impl From<StockMovementRow> for StockMovement {
    fn from(row: StockMovementRow) -> Self {
        Self {
            kind: row.kind.into(),
            location: row.location,
            on_hand_delta: row.on_hand.into(),
            reserved_delta: row.reserved.into(),
            backordered_delta: row.backordered.into(),
            order_id: row.order_id,
            reference: row.reference,
            reason: row.reason.as_deref().map(StockAdjustReason::read),
            recorded_at: row.recorded_at,
            actor: row.actor,
            revision: small(row.revision),
        }
    }
}
