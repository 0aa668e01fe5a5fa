//! What becomes of orders, and how many of them.

use super::chance::Chance;

/// What becomes of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It arrives, is paid, and stays where it is.
    Delivered,
    /// The customer cancels it before it leaves.
    Cancelled,
    /// Its goods come back and are paid back.
    Returned,
    /// It arrives, and some money goes back although the goods do not.
    Refunded,
    /// The gateway declines its payment.
    Declined,
    /// It is held for somebody to look at it, and nobody ever does.
    Held,
}

impl Fate {
    /// 2 % are declined, 3 % cancelled, 1 % held, 3 % returned, 1 % refunded; the others arrive.
    pub(super) fn draw(chance: &mut Chance) -> Self {
        match chance.below(100) {
            0..2 => Self::Declined,
            2..5 => Self::Cancelled,
            5 => Self::Held,
            6..9 => Self::Returned,
            9 => Self::Refunded,
            _ => Self::Delivered,
        }
    }
}
