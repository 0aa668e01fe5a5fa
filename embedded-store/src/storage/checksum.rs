//! The checksum of an event: written with it, checked whenever the whole of it is read. It covers
//! everything that identifies the event and everything it says, so that neither a flipped bit nor a
//! row in the wrong place passes for an event.

use std::sync::Arc;

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Error};
use twox_hash::XxHash3_64;

/// What a row of the log holds, as it lies on the disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) position: i64,
    pub(crate) stream: &'a [u8],
    pub(crate) revision: i64,
    pub(crate) id: &'a [u8],
    /// As bytes: on a damaged disk it need not be text.
    pub(crate) kind: &'a [u8],
    pub(crate) is_json: bool,
    /// Negative once what the event said was destroyed.
    pub(crate) created: i64,
    pub(crate) metadata: &'a [u8],
    pub(crate) data: &'a [u8],
}

/// Always eight bytes on the disk, so that a row keeps its size when it is overwritten in place.
pub(crate) type Checksum = [u8; 8];

/// Bytes that XXH3 takes in one go, without setting up anything.
const AT_ONCE: usize = 240;

/// Bytes of numbers and of the lengths of what follows them.
const NUMBERS: usize = 41;

impl Parts<'_> {
    /// XXH3 with 64 bits: one over the data, one over everything else. This is computed for every
    /// event that is read, so what is short is put together first.
    pub(crate) fn checksum(&self) -> Checksum {
        let others = [self.id, self.stream, self.kind, self.metadata];
        let mut head = [0_u8; AT_ONCE];
        self.write_numbers(&mut head, others);
        let size = NUMBERS + others.iter().map(|part| part.len()).sum::<usize>();
        let identity = if size <= AT_ONCE {
            let mut end = NUMBERS;
            for part in others {
                head[end..end + part.len()].copy_from_slice(part);
                end += part.len();
            }
            XxHash3_64::oneshot(&head[..end])
        } else {
            let numbers = XxHash3_64::oneshot(&head[..NUMBERS]);
            others.into_iter().fold(numbers, XxHash3_64::oneshot_with_seed)
        };
        (identity.rotate_left(32) ^ XxHash3_64::oneshot(self.data)).to_le_bytes()
    }

    /// With the lengths, so that a byte that moves from one part to the next is noticed.
    fn write_numbers(&self, head: &mut [u8; AT_ONCE], others: [&[u8]; 4]) {
        head[..8].copy_from_slice(&self.position.to_le_bytes());
        head[8..16].copy_from_slice(&self.revision.to_le_bytes());
        head[16..24].copy_from_slice(&self.created.to_le_bytes());
        head[24] = u8::from(self.is_json);
        for (place, part) in head[25..NUMBERS].chunks_exact_mut(4).zip(others) {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            place.copy_from_slice(&length.to_le_bytes());
        }
    }
}

/// An event that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "event {revision} of stream '{stream}', at position {position} of the log, is damaged on the disk: it does not \
     match its checksum. Find out what else is with `orderstore event-store verify`, and restore a \
     backup"
)]
pub(crate) struct Damaged {
    pub(crate) stream: Arc<str>,
    pub(crate) revision: u64,
    pub(crate) position: u64,
}

impl From<Damaged> for Error {
    fn from(damaged: Damaged) -> Self {
        Self::FromSqlConversionFailure(0, Type::Blob, Box::new(damaged))
    }
}

/// The damaged event that an error is about, if it is about one.
pub(crate) fn damaged(error: &Error) -> Option<&Damaged> {
    let Error::FromSqlConversionFailure(_, _, cause) = error else { return None };
    cause.downcast_ref()
}

/// Lets statements compute checksums:
/// `event_checksum(position, stream's name, revision, id, kind, is_json, created, metadata, data)`.
/// It never fails: the checksum of what cannot be an event, which only a damaged disk holds, is empty
/// and matches none.
pub(crate) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("event_checksum", 9, flags, |arguments| {
        let bytes = |index| -> rusqlite::Result<&[u8]> {
            match arguments.get_raw(index) {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(bytes),
                other @ (ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_)) => {
                    Err(Error::InvalidFunctionParameterType(index, other.data_type()))
                }
            }
        };
        let parts = || -> rusqlite::Result<Parts<'_>> {
            Ok(Parts {
                position: arguments.get(0)?,
                stream: bytes(1)?,
                revision: arguments.get(2)?,
                id: bytes(3)?,
                kind: bytes(4)?,
                is_json: arguments.get(5)?,
                created: arguments.get(6)?,
                metadata: bytes(7)?,
                data: bytes(8)?,
            })
        };
        Ok(parts().map_or_else(|_| Vec::new(), |parts| parts.checksum().to_vec()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: Parts<'_> = Parts {
        position: 7,
        stream: b"order-1",
        revision: 3,
        id: &[9; 16],
        kind: b"Placed",
        is_json: true,
        created: 1_000,
        metadata: b"{}",
        data: b"{\"number\":1}",
    };

    #[test]
    fn every_part_of_an_event_counts() {
        let others = [
            Parts { position: 8, ..PARTS },
            Parts { stream: b"order-2", ..PARTS },
            Parts { revision: 4, ..PARTS },
            Parts { id: &[8; 16], ..PARTS },
            Parts { kind: b"Paid", ..PARTS },
            Parts { is_json: false, ..PARTS },
            Parts { created: -1_000, ..PARTS },
            Parts { metadata: b"[]", ..PARTS },
            Parts { data: b"{\"number\":2}", ..PARTS },
        ];
        for other in others {
            assert_ne!(other.checksum(), PARTS.checksum(), "{other:?}");
            // The same where the parts are too long to be put together.
            let (long, metadata) = ([7; 300], other.metadata);
            let padded: Vec<u8> = long.iter().chain(metadata).copied().collect();
            let other = Parts { metadata: &padded, ..other };
            let padded: Vec<u8> = long.iter().chain(PARTS.metadata).copied().collect();
            assert_ne!(other.checksum(), Parts { metadata: &padded, ..PARTS }.checksum());
        }
    }

    #[test]
    fn bytes_that_move_from_one_part_to_the_next_are_noticed() {
        let moved = Parts { metadata: b"{}{", data: b"\"number\":1}", ..PARTS };
        assert_ne!(moved.checksum(), PARTS.checksum());
        let moved = Parts { stream: b"order-", kind: b"1Placed", ..PARTS };
        assert_ne!(moved.checksum(), PARTS.checksum());
        let empty = Parts { metadata: b"", data: b"", ..PARTS };
        let zero = Parts { metadata: b"\0", data: b"", ..PARTS };
        assert_ne!(empty.checksum(), zero.checksum());
    }

    #[test]
    fn the_checksum_of_a_format_never_changes() {
        // What is on the disk must stay readable.
        let number = |parts: Parts<'_>| u64::from_le_bytes(parts.checksum());
        assert_eq!(number(PARTS), 6_419_819_246_926_599_967);
        assert_eq!(number(Parts { metadata: &[7; 300], ..PARTS }), 13_281_573_032_376_915_752);
        assert_eq!(number(Parts { data: &[7; 5_000], ..PARTS }), 8_563_549_550_148_255_001);
    }

    #[test]
    fn statements_compute_the_same() {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        let computed: Vec<u8> = connection
            .query_row(
                "SELECT event_checksum(7, 'order-1', 3, ?1, 'Placed', 1, 1000, ?2, ?3)",
                (PARTS.id, PARTS.metadata, PARTS.data),
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(computed, PARTS.checksum());
    }
}
