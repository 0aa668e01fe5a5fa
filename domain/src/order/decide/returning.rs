//! Returning: goods come back. Money is another decision, see `money`.

use std::collections::BTreeMap;

use super::Decision;
use crate::ids::{MovementId, ReturnId};
use crate::order::error::OrderRejection;
use crate::order::event::{
    OrderEvent, OrderReturnApproved, OrderReturnClosed, OrderReturnDeclined, OrderReturnReceived,
    OrderReturnRequested,
};
use crate::order::state::{LineLedger, PlacedOrder, Remembered, ReturnBook, ReturnProgress};
use crate::order::terms::{LineUnits, ReceivedUnits, ReturnReason};
use crate::personal::Sealed;

/// Goods that left can be asked back once.
pub(super) fn request(
    order: &PlacedOrder,
    return_id: ReturnId,
    lines: &[LineUnits],
    reason: ReturnReason,
    note: Option<&Sealed>,
) -> Decision {
    if let Some(known) = order.returns.get(&return_id) {
        return if known.lines == lines { Ok(vec![]) } else { Err(OrderRejection::KeyReused) };
    }
    if lines.is_empty() {
        return Err(OrderRejection::NothingToDo);
    }
    let mut asked: BTreeMap<u32, u32> = BTreeMap::new();
    for units in lines {
        let line = units.line;
        let before = asked.entry(line).or_default();
        let returnable = order
            .lines
            .get(line as usize)
            .filter(|_| order.is_goods(line))
            .map(LineLedger::returnable);
        let available = returnable.unwrap_or(0).saturating_sub(*before);
        let requested = units.quantity.get();
        if requested > available {
            return Err(OrderRejection::NotSoMany { line, requested, available });
        }
        *before += requested;
    }
    let (lines, note) = (lines.to_vec(), note.cloned());
    let event = OrderReturnRequested { return_id, lines, reason, note };
    Ok(vec![OrderEvent::ReturnRequested(event)])
}

pub(super) fn approve(order: &PlacedOrder, return_id: ReturnId) -> Decision {
    match order.return_book(return_id)?.status {
        ReturnProgress::Requested => {
            Ok(vec![OrderEvent::ReturnApproved(OrderReturnApproved { return_id })])
        }
        ReturnProgress::Approved | ReturnProgress::Received | ReturnProgress::Closed => Ok(vec![]),
        status @ ReturnProgress::Declined => Err(OrderRejection::ReturnStatus { status }),
    }
}

pub(super) fn decline(order: &PlacedOrder, return_id: ReturnId, note: Option<&Sealed>) -> Decision {
    match order.return_book(return_id)?.status {
        ReturnProgress::Requested => {
            let note = note.cloned();
            Ok(vec![OrderEvent::ReturnDeclined(OrderReturnDeclined { return_id, note })])
        }
        ReturnProgress::Declined => Ok(vec![]),
        status @ (ReturnProgress::Approved | ReturnProgress::Received | ReturnProgress::Closed) => {
            Err(OrderRejection::ReturnStatus { status })
        }
    }
}

/// Not more comes back than was asked for; what is known to be missing counts.
pub(super) fn receive(
    order: &PlacedOrder,
    return_id: ReturnId,
    goods: &[ReceivedUnits],
    movement: MovementId,
) -> Decision {
    match order.movements.get(&movement) {
        None => {}
        Some(Remembered::Received(known)) if known == goods => return Ok(vec![]),
        Some(_) => return Err(OrderRejection::KeyReused),
    }
    let book = order.return_book(return_id)?;
    match book.status {
        ReturnProgress::Approved | ReturnProgress::Received => {}
        status
        @ (ReturnProgress::Requested | ReturnProgress::Declined | ReturnProgress::Closed) => {
            return Err(OrderRejection::ReturnStatus { status });
        }
    }
    if goods.is_empty() {
        return Err(OrderRejection::NothingToDo);
    }
    let mut came: BTreeMap<u32, u32> = BTreeMap::new();
    for units in goods {
        let line = units.line;
        let before = came.entry(line).or_default();
        let available = expected(book, line).saturating_sub(*before);
        let requested = units.quantity.get();
        if requested > available {
            return Err(OrderRejection::NotSoMany { line, requested, available });
        }
        *before += requested;
    }
    let goods = goods.to_vec();
    let event = OrderReturnReceived { return_id, goods, movement };
    Ok(vec![OrderEvent::ReturnReceived(event)])
}

pub(super) fn close(order: &PlacedOrder, return_id: ReturnId) -> Decision {
    match order.return_book(return_id)?.status {
        ReturnProgress::Approved | ReturnProgress::Received => {
            Ok(vec![OrderEvent::ReturnClosed(OrderReturnClosed { return_id })])
        }
        ReturnProgress::Closed => Ok(vec![]),
        status @ (ReturnProgress::Requested | ReturnProgress::Declined) => {
            Err(OrderRejection::ReturnStatus { status })
        }
    }
}

/// Units of a line that are still to come.
pub(super) fn expected(book: &ReturnBook, line: u32) -> u32 {
    let asked = book.lines.iter().filter(|it| it.line == line).map(|it| it.quantity.get());
    let known = book.received.iter().filter(|it| it.0 == line).map(|it| it.1);
    asked.sum::<u32>().saturating_sub(known.sum())
}

impl PlacedOrder {
    fn return_book(&self, return_id: ReturnId) -> Result<&ReturnBook, OrderRejection> {
        self.returns.get(&return_id).ok_or(OrderRejection::NoSuchReturn { return_id })
    }
}
