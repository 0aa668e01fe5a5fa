//! Placing: what an order must be like to be accepted.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Decision;
use crate::ids::{HoldName, OrderNumber};
use crate::order::details::OrderDetails;
use crate::order::error::OrderRejection;
use crate::order::event::{OrderEvent, OrderHeld, OrderPlaced};
use crate::order::terms::HoldReason;
use crate::pricing;
use crate::quantity::Quantity;

/// Lines of one order. An order is one event, and an event is at most one MiB.
const MAX_LINES: usize = 2_000;
/// Characters of a title.
const MAX_TITLE: usize = 200;

/// An order is accepted when its lines can be told apart from nonsense and its prices add up. Prices
/// are frozen here and never computed again.
pub(super) fn place(
    details: &Arc<OrderDetails>,
    number: Option<&OrderNumber>,
    holds: &[(HoldName, HoldReason)],
    placed_at: DateTime<Utc>,
) -> Decision {
    check_lines(details)?;
    check_units(details)?;
    let placed = OrderPlaced {
        number: number.cloned(),
        details: Arc::clone(details),
        prices: Arc::new(pricing::price(details)?),
        placed_at,
    };
    let mut events = vec![OrderEvent::Placed(placed)];
    for (hold, reason) in holds {
        let (hold, reason) = (hold.clone(), *reason);
        events.push(OrderEvent::Held(OrderHeld {
            hold,
            reason,
            automatic: true,
            movement: None,
            note: None,
        }));
    }
    Ok(events)
}

fn check_lines(details: &OrderDetails) -> Result<(), OrderRejection> {
    let lines = details.lines.len();
    if lines == 0 {
        return Err(OrderRejection::NoLines);
    }
    if lines > MAX_LINES {
        return Err(OrderRejection::TooManyLines { lines, max: MAX_LINES });
    }
    for (line, content) in details.lines.iter().enumerate() {
        let length = content.title.chars().count();
        if length > MAX_TITLE {
            return Err(OrderRejection::TitleTooLong { line, length, max: MAX_TITLE });
        }
    }
    Ok(())
}

fn check_units(details: &OrderDetails) -> Result<(), OrderRejection> {
    let max = Quantity::MAX;
    match details.goods().into_iter().find(|&(_, units)| units > u64::from(max)) {
        Some((sku, units)) => Err(OrderRejection::TooManyUnits { sku: sku.clone(), units, max }),
        None => Ok(()),
    }
}
