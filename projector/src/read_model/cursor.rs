//! Where a page ended: the sort key and the id of its last row, as one opaque text.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use thiserror::Error;
use uuid::Uuid;

use super::{
    CreditNoteRow, CustomerRow, CustomerSort, Error, FulfilmentOrderRow, OrderRow, OrderSort,
    OrderThen, ProcessRow, ReturnRow,
};

/// The place of one row in one sorting. The next page begins right behind it, whatever has been
/// inserted before it meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    list: List,
    key: i64,
    id: Uuid,
}

/// What a cursor belongs to. The numbers are in cursors that clients keep: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    OrdersByPlacedAt = 1,
    OrdersByUpdatedAt = 2,
    OrdersByTotal = 3,
    Processes = 4,
    CreditNotes = 5,
    CustomersByLastOrder = 6,
    CustomersBySpent = 7,
    FulfilmentOrders = 8,
    Returns = 9,
    ProcessesByDeadline = 10,
}

/// A text that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("this is not a cursor that was handed out here")]
pub struct NotACursor;

const BYTES: usize = 1 + 8 + 16;

impl Cursor {
    /// The place of `order` in a list sorted by `sort`.
    pub fn of_order(order: &OrderRow, sort: OrderSort) -> Self {
        let key = match sort {
            OrderSort::PlacedAt => order.placed_at.timestamp_micros(),
            OrderSort::UpdatedAt => order.updated_at.timestamp_micros(),
            OrderSort::Total => order.total_minor,
        };
        Self { list: sort.list(), key, id: order.id }
    }

    /// The place of `order` in a list of orders as of some time, sorted by `sort`.
    pub fn of_order_then(order: &OrderThen, sort: OrderSort) -> Self {
        let key = match sort {
            OrderSort::PlacedAt => order.placed_at.timestamp_micros(),
            OrderSort::UpdatedAt => order.then.recorded_at.timestamp_micros(),
            OrderSort::Total => order.total_minor,
        };
        Self { list: sort.list(), key, id: order.id }
    }

    /// The place of `one` in the list of returns.
    pub fn of_return(one: &ReturnRow) -> Self {
        Self { list: List::Returns, key: one.requested_at.timestamp_micros(), id: one.id }
    }

    /// The place of `process` in the list of processes by their next deadlines; none for one that
    /// has no deadline, and so no place there.
    pub fn of_process_by_deadline(process: &ProcessRow) -> Option<Self> {
        let key = process.next_deadline_at?.timestamp_micros();
        Some(Self { list: List::ProcessesByDeadline, key, id: process.id })
    }

    /// The place of `customer` in a list sorted by `sort`.
    pub fn of_customer(customer: &CustomerRow, sort: CustomerSort) -> Self {
        let key = match sort {
            CustomerSort::LastOrderAt => customer.last_order_at.timestamp_micros(),
            CustomerSort::Spent => customer.spent_minor,
        };
        Self { list: sort.list(), key, id: customer.id }
    }

    /// The place of `work` in the list of what locations have to do.
    pub fn of_fulfilment_order(work: &FulfilmentOrderRow) -> Self {
        let key = work.placed_at.timestamp_micros();
        Self { list: List::FulfilmentOrders, key, id: work.id }
    }

    /// The place of `process` in the list of processes.
    pub fn of_process(process: &ProcessRow) -> Self {
        let key = process.started_at.timestamp_micros();
        Self { list: List::Processes, key, id: process.id }
    }

    /// The place of `note` in the list of credit notes.
    pub fn of_credit_note(note: &CreditNoteRow) -> Self {
        Self { list: List::CreditNotes, key: note.issued_at.timestamp_micros(), id: note.id }
    }

    /// Key and id, if the cursor belongs to `list`.
    pub(super) fn within(self, list: List) -> Result<(i64, Uuid), Error> {
        if self.list == list { Ok((self.key, self.id)) } else { Err(Error::ForeignCursor) }
    }

    /// Time and id, if the cursor belongs to `list`.
    pub(super) fn time_within(self, list: List) -> Result<(DateTime<Utc>, Uuid), Error> {
        let (key, id) = self.within(list)?;
        let time = DateTime::from_timestamp_micros(key).ok_or(Error::ForeignCursor)?;
        Ok((time, id))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; BYTES];
        bytes[0] = self.list as u8;
        bytes[1..9].copy_from_slice(&self.key.to_be_bytes());
        bytes[9..].copy_from_slice(self.id.as_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotACursor)?;
        let [list, rest @ ..] = <[u8; BYTES]>::try_from(bytes).map_err(|_| NotACursor)?;
        let list = match list {
            1 => List::OrdersByPlacedAt,
            2 => List::OrdersByUpdatedAt,
            3 => List::OrdersByTotal,
            4 => List::Processes,
            5 => List::CreditNotes,
            6 => List::CustomersByLastOrder,
            7 => List::CustomersBySpent,
            8 => List::FulfilmentOrders,
            9 => List::Returns,
            10 => List::ProcessesByDeadline,
            _ => return Err(NotACursor),
        };
        let (key, id) = rest.split_at(8);
        let key = i64::from_be_bytes(key.try_into().map_err(|_| NotACursor)?);
        let id = Uuid::from_slice(id).map_err(|_| NotACursor)?;
        Ok(Self { list, key, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTS: [List; 10] = [
        List::OrdersByPlacedAt,
        List::OrdersByUpdatedAt,
        List::OrdersByTotal,
        List::Processes,
        List::CreditNotes,
        List::CustomersByLastOrder,
        List::CustomersBySpent,
        List::FulfilmentOrders,
        List::Returns,
        List::ProcessesByDeadline,
    ];

    #[test]
    fn a_cursor_survives_being_handed_out() {
        for list in LISTS {
            for key in [i64::MIN, -1, 0, 1_700_000_000_000_000, i64::MAX] {
                let cursor = Cursor { list, key, id: Uuid::from_u128(7) };
                assert_eq!(cursor.to_string().parse(), Ok(cursor));
            }
        }
    }

    #[test]
    fn anything_else_is_no_cursor() {
        for text in ["", "AA", "not a cursor", &"A".repeat(34), &"_".repeat(34)] {
            assert_eq!(text.parse::<Cursor>(), Err(NotACursor), "{text}");
        }
    }

    #[test]
    fn a_cursor_of_one_list_is_refused_by_another() {
        let cursor = Cursor { list: List::Processes, key: 0, id: Uuid::nil() };
        assert!(cursor.within(List::Processes).is_ok());
        assert!(matches!(cursor.within(List::CreditNotes), Err(Error::ForeignCursor)));
    }
}
