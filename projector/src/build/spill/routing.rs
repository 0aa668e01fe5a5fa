//! Which partition a stream belongs to.
//!
//! It rests on the same hash of the stream's name as its slice, modulo the number of partitions.
//! **This is stable for ever**: files of earlier builds rely on it. If there are as many partitions
//! as slices or a multiple of that, each partition belongs to one slice.

use crate::slice::hash_of;

/// No more partitions than this: each may have a file open.
pub(crate) const MOST_PARTITIONS: usize = 512;
/// What events take when they are grouped to be folded, compared with their bytes, in quarters.
const QUARTERS: u64 = 6;

/// The partition of `stream` among `count`. Stable for ever.
///
/// # Panics
/// When `count` is 0.
pub(crate) fn partition_of(stream: &str, count: usize) -> usize {
    let rest = hash_of(stream) % count as u64;
    #[expect(clippy::cast_possible_truncation, reason = "less than `count`")]
    return rest as usize;
}

/// What `bytes` of events take when they are grouped to be folded.
pub(crate) fn folded_bytes(bytes: u64) -> u64 {
    bytes.saturating_mul(QUARTERS) / 4
}

/// How many partitions to make of `expected_bytes` of events, so that `at_once` of them can be
/// folded at the same time within `budget_bytes`. A power of two.
pub(crate) fn partitions_for(expected_bytes: u64, budget_bytes: usize, at_once: usize) -> usize {
    let budget = (budget_bytes as u64).max(1);
    let needed = expected_bytes.saturating_mul(QUARTERS).saturating_mul(at_once as u64);
    let count = needed.div_ceil(4).div_ceil(budget);
    let count = usize::try_from(count).unwrap_or(MOST_PARTITIONS);
    // Fewer than can be folded at once would leave somebody idle.
    count.max(at_once).clamp(1, MOST_PARTITIONS).next_power_of_two()
}
