//! Ids: new ones, and those that are derived so that a repetition gets the same one again.

use uuid::Uuid;

/// Everything this module derives, it derives below this id.
const NAMESPACE: Uuid = Uuid::from_u128(0x6b1d_2a0e_94c7_5f3b_8e21_7d40_c9a5_13f6);

/// A new id: unique, and in the order of time (UUID version 7, RFC 9562).
#[expect(clippy::disallowed_methods, reason = "this is the one home of new ids")]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// The id of the event that is number `index` (from 0) of what `command_id` led to when it was
/// decided in `attempt`.
///
/// Derived (UUID version 5): an append that is sent again because its answer got lost is the same
/// attempt, so the event store recognises it. A command that is *decided* again is another attempt.
/// Were its events known by the same ids, the store would answer an opening of a stream that has
/// long moved on as it answered then, and we would go on from a past that is over.
pub fn event_id(command_id: Uuid, attempt: Uuid, index: usize) -> Uuid {
    let mut name = [0_u8; 40];
    name[..16].copy_from_slice(command_id.as_bytes());
    name[16..32].copy_from_slice(attempt.as_bytes());
    name[32..].copy_from_slice(&(index as u64).to_be_bytes());
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
    fn another_command_attempt_or_index_is_another_id() {
        let (command, attempt) = (Uuid::from_u128(7), Uuid::from_u128(70));
        let first = event_id(command, attempt, 0);
        assert_eq!(first, event_id(command, attempt, 0));
        assert_ne!(first, event_id(Uuid::from_u128(8), attempt, 0));
        assert_ne!(first, event_id(command, Uuid::from_u128(71), 0));
        assert_ne!(first, event_id(command, attempt, 1));
    }

    #[test]
    fn new_ids_are_in_the_order_of_time() {
        let (first, second) = (new_id(), new_id());
        assert!(first < second);
    }
}
