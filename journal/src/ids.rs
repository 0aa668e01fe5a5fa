//! Ids: new ones, and those that are derived so that a repetition gets the same one again.

use uuid::Uuid;

/// Everything this module derives, it derives below this id.
const NAMESPACE: Uuid = Uuid::from_u128(0x6b1d_2a0e_94c7_5f3b_8e21_7d40_c9a5_13f6);

/// A new id: unique, and in the order of time (UUID version 7, RFC 9562).
#[expect(clippy::disallowed_methods, reason = "this is the one home of new ids")]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// The id of the event that is number `index` (from 0) of what `command_id` led to.
///
/// Derived (UUID version 5), so that the event store recognises an append that is repeated because
/// its answer got lost. Type and data go in as well: two *different* events never share an id, so
/// a changed command under a reused command id cannot be mistaken for a repetition of the first.
pub fn event_id(command_id: Uuid, index: usize, event_type: &str, data: &[u8]) -> Uuid {
    let mut name = Vec::with_capacity(16 + 8 + event_type.len() + 1 + data.len());
    name.extend_from_slice(command_id.as_bytes());
    name.extend_from_slice(&(index as u64).to_be_bytes());
    name.extend_from_slice(event_type.as_bytes());
    name.push(0);
    name.extend_from_slice(data);
    Uuid::new_v5(&NAMESPACE, &name)
}

/// An id that follows from `parent` and `name`: the same two always give the same id.
///
/// For command ids of processes, idempotency keys of effects and ids of streams.
pub fn derived(parent: Uuid, name: &str) -> Uuid {
    Uuid::new_v5(&parent, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_event_of_the_same_command_has_the_same_id() {
        let command = Uuid::from_u128(7);
        assert_eq!(event_id(command, 0, "counted", b"{}"), event_id(command, 0, "counted", b"{}"));
    }

    #[test]
    fn another_command_index_type_or_content_is_another_id() {
        let command = Uuid::from_u128(7);
        let first = event_id(command, 0, "counted", b"{}");
        assert_ne!(first, event_id(Uuid::from_u128(8), 0, "counted", b"{}"));
        assert_ne!(first, event_id(command, 1, "counted", b"{}"));
        assert_ne!(first, event_id(command, 0, "reset", b"{}"));
        assert_ne!(first, event_id(command, 0, "counted", b"{\"by\":2}"));
    }

    #[test]
    fn new_ids_are_in_the_order_of_time() {
        let (first, second) = (new_id(), new_id());
        assert!(first < second);
    }
}
