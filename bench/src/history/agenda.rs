//! What is going to happen, and when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use chrono::{DateTime, Utc};
use domain::ids::{ProcessId, ShipmentId};

/// Something that is going to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// The next order is placed.
    Place,
    /// Goods of the article with this number come.
    Receive(usize),
    /// Something happens with the order with this number.
    With(u64, Turn),
}

/// Something that is going to happen with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    /// A process of the order goes on.
    Drive(ProcessId),
    /// The warehouse sends what it has.
    Ship,
    /// It has packed a shipment.
    Clear(ShipmentId),
    /// The customer cancels.
    Cancel,
    /// The customer wants to send something back.
    RequestReturn,
    /// Somebody lets them.
    ApproveReturn,
    /// It has come.
    ReceiveReturn,
    /// Somebody pays it back.
    RefundReturn,
    /// Nothing more is expected of it.
    CloseReturn,
    /// Somebody pays something back without wanting anything.
    Refund,
}

/// What is going to happen, the earliest first; of what happens at the same time, what was put down first.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    tasks: BinaryHeap<Reverse<(DateTime<Utc>, u64, Task)>>,
    put_down: u64,
}

impl Agenda {
    pub(super) fn put_down(&mut self, at: DateTime<Utc>, task: Task) {
        self.put_down += 1;
        self.tasks.push(Reverse((at, self.put_down, task)));
    }

    pub(super) fn next(&mut self) -> Option<(DateTime<Utc>, Task)> {
        self.tasks.pop().map(|Reverse((at, _, task))| (at, task))
    }
}
