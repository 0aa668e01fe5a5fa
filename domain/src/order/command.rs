//! What somebody can want of an order.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::event::{CancelReason, OrderDetails, RejectReason};

/// Everything that somebody can want of an order.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderCommand {
    /// Accept the order. No-op when the very same order was placed before; the time of placing
    /// does not count, since a retry comes later.
    Place {
        /// What is bought.
        details: Arc<OrderDetails>,
        /// When the customer placed it.
        placed_at: DateTime<Utc>,
    },
    /// Promise delivery. No-op when that was promised before.
    Confirm,
    /// Let the goods leave. No-op when they have left.
    Ship,
    /// Close the order after delivery. No-op when it is closed.
    Complete,
    /// Give the order up, as long as the goods are here. No-op when it is cancelled or was
    /// rejected: nothing is left to give up.
    Cancel {
        /// Why.
        reason: CancelReason,
    },
    /// Refuse the order, because it cannot be supplied. No-op when it is rejected or cancelled.
    Reject {
        /// Why.
        reason: RejectReason,
    },
}
