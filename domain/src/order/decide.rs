//! The rule book of orders.

use super::command::OrderCommand;
use super::error::OrderRejection;
use super::event::{
    OrderCancelled, OrderCompleted, OrderConfirmed, OrderDetails, OrderEvent, OrderPlaced,
    OrderRejected, OrderShipped,
};
use super::state::{OrderState, OrderStatus};
use crate::money::Money;
use crate::quantity::Quantity;

/// Lines of one order. An order is one event, and an event is at most one MiB.
pub(super) const MAX_LINES: usize = 2_000;
/// Characters of a title.
pub(super) const MAX_TITLE: usize = 200;

type Decision = Result<Vec<OrderEvent>, OrderRejection>;

pub(super) fn decide(state: &OrderState, command: &OrderCommand) -> Decision {
    let (details, status) = match (state, command) {
        (OrderState::NotPlaced, OrderCommand::Place { details, placed_at }) => {
            check_lines(details)?;
            check_units(details)?;
            check_total(details)?;
            let placed = OrderPlaced { details: details.clone(), placed_at: *placed_at };
            return Ok(vec![OrderEvent::Placed(placed)]);
        }
        (OrderState::NotPlaced, _) => return Err(OrderRejection::NotFound),
        (OrderState::Placed { details, status }, _) => (details, status),
    };
    match command {
        OrderCommand::Place { details: again, .. } if again == details => Ok(vec![]),
        OrderCommand::Place { .. } => Err(OrderRejection::IdempotencyConflict),
        OrderCommand::Confirm => confirm(status),
        OrderCommand::Ship => ship(status),
        OrderCommand::Complete => complete(status),
        OrderCommand::Cancel { reason } => match status {
            OrderStatus::Pending | OrderStatus::Confirmed => {
                Ok(vec![OrderEvent::Cancelled(OrderCancelled { reason: *reason })])
            }
            OrderStatus::Cancelled(_) | OrderStatus::Rejected(_) => Ok(vec![]),
            OrderStatus::Shipped | OrderStatus::Completed => not_from(status, "cancelled"),
        },
        OrderCommand::Reject { reason } => match status {
            OrderStatus::Pending => {
                Ok(vec![OrderEvent::Rejected(OrderRejected { reason: reason.clone() })])
            }
            OrderStatus::Cancelled(_) | OrderStatus::Rejected(_) => Ok(vec![]),
            OrderStatus::Confirmed | OrderStatus::Shipped | OrderStatus::Completed => {
                not_from(status, "rejected")
            }
        },
    }
}

fn confirm(status: &OrderStatus) -> Decision {
    match status {
        OrderStatus::Pending => Ok(vec![OrderEvent::Confirmed(OrderConfirmed {})]),
        OrderStatus::Confirmed | OrderStatus::Shipped | OrderStatus::Completed => Ok(vec![]),
        OrderStatus::Cancelled(_) | OrderStatus::Rejected(_) => not_from(status, "confirmed"),
    }
}

fn ship(status: &OrderStatus) -> Decision {
    match status {
        OrderStatus::Confirmed => Ok(vec![OrderEvent::Shipped(OrderShipped {})]),
        OrderStatus::Shipped | OrderStatus::Completed => Ok(vec![]),
        OrderStatus::Pending | OrderStatus::Cancelled(_) | OrderStatus::Rejected(_) => {
            not_from(status, "shipped")
        }
    }
}

fn complete(status: &OrderStatus) -> Decision {
    match status {
        OrderStatus::Shipped => Ok(vec![OrderEvent::Completed(OrderCompleted {})]),
        OrderStatus::Completed => Ok(vec![]),
        OrderStatus::Pending
        | OrderStatus::Confirmed
        | OrderStatus::Cancelled(_)
        | OrderStatus::Rejected(_) => not_from(status, "completed"),
    }
}

fn not_from(status: &OrderStatus, wanted: &'static str) -> Decision {
    Err(OrderRejection::InvalidTransition { status: status.clone(), wanted })
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
        if content.unit_price.minor < 0 {
            return Err(OrderRejection::NegativePrice { line });
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

fn check_total(details: &OrderDetails) -> Result<(), OrderRejection> {
    let mut computed = Money::zero(details.currency);
    for (line, content) in details.lines.iter().enumerate() {
        computed = content
            .total()
            .and_then(|total| computed.plus(total))
            .map_err(|source| OrderRejection::Arithmetic { line, source })?;
    }
    let declared = details.total;
    if declared.currency != details.currency {
        return Err(OrderRejection::TotalCurrency);
    }
    if declared != computed {
        return Err(OrderRejection::TotalMismatch { declared, computed });
    }
    Ok(())
}
