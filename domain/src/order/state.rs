//! How far an order has come, folded from its events.

use std::fmt;
use std::sync::Arc;

use super::event::{CancelReason, OrderDetails, OrderEvent, RejectReason};

/// An order as later decisions need to know it.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderState {
    /// Nobody has placed it.
    NotPlaced,
    /// It was placed.
    Placed {
        /// What was bought.
        details: Arc<OrderDetails>,
        /// How far it has come.
        status: OrderStatus,
    },
}

/// How far an order has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderStatus {
    /// Accepted, nothing promised yet.
    Pending,
    /// Reserved and authorised: it will be delivered.
    Confirmed,
    /// On its way.
    Shipped,
    /// Delivered.
    Completed,
    /// Given up.
    Cancelled(CancelReason),
    /// Refused.
    Rejected(RejectReason),
}

impl OrderStatus {
    /// Whether nothing more will happen.
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled(_) | Self::Rejected(_))
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Completed => "completed",
            Self::Cancelled(_) => "cancelled",
            Self::Rejected(_) => "rejected",
        })
    }
}

impl OrderState {
    /// How far the order has come; `None` when nobody has placed it.
    pub const fn status(&self) -> Option<&OrderStatus> {
        match self {
            Self::NotPlaced => None,
            Self::Placed { status, .. } => Some(status),
        }
    }
}

pub(super) fn evolve(state: OrderState, event: &OrderEvent) -> OrderState {
    let status = match event {
        OrderEvent::Placed(placed) => {
            let details = placed.details.clone();
            return OrderState::Placed { details, status: OrderStatus::Pending };
        }
        OrderEvent::Confirmed(_) => OrderStatus::Confirmed,
        OrderEvent::Shipped(_) => OrderStatus::Shipped,
        OrderEvent::Completed(_) => OrderStatus::Completed,
        OrderEvent::Cancelled(cancelled) => OrderStatus::Cancelled(cancelled.reason),
        OrderEvent::Rejected(rejected) => OrderStatus::Rejected(rejected.reason.clone()),
    };
    match state {
        // Cannot be: a stream starts with `Placed`. Total all the same.
        OrderState::NotPlaced => OrderState::NotPlaced,
        OrderState::Placed { details, .. } => OrderState::Placed { details, status },
    }
}
