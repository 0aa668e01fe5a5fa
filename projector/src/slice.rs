//! Slices of a generation: its streams are dealt out to so many workers, by a hash of their names.

use std::fmt;

use schemas::StreamName;
use twox_hash::XxHash3_64;

/// The hash of a stream's name that decides where the stream belongs. It must stay as it is: rows
/// that are there were written by whoever it named.
pub(crate) fn hash_of(stream: &str) -> u64 {
    XxHash3_64::oneshot(stream.as_bytes())
}

/// Which of `slices` slices `stream` belongs to, from 0.
///
/// # Panics
/// When there are none.
pub(crate) fn slice_of(stream: &str, slices: u16) -> u16 {
    let slice = hash_of(stream) % u64::from(slices);
    // Smaller than what it was divided by.
    u16::try_from(slice).unwrap_or(0)
}

/// One of the slices of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slice {
    /// From 0.
    pub(crate) number: u16,
    /// How many there are; at least one.
    pub(crate) of: u16,
}

impl Slice {
    /// The slice that has everything.
    pub(crate) const WHOLE: Self = Self { number: 0, of: 1 };

    /// Whether `stream` belongs to it.
    pub(crate) fn has(self, stream: &StreamName) -> bool {
        self.has_name(stream.as_str())
    }

    /// The same for what need not be a name of ours.
    pub(crate) fn has_name(self, stream: &str) -> bool {
        self.of == 1 || slice_of(stream, self.of) == self.number
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_stays_in_its_slice_for_ever() {
        // Written down, not calculated: databases rely on it.
        assert_eq!(hash_of("order-0"), 18_162_247_792_840_296_283);
        assert_eq!(hash_of(""), 0x2d06_8005_38d3_94c2);
    }

    #[test]
    fn every_stream_is_in_one_slice_and_every_slice_has_its_share() {
        let mut counts = [0; 4];
        for number in 0..1_000 {
            let stream: StreamName = format!("order-{number}").parse().unwrap_or_else(|_| panic!());
            let with_it = (0..4).filter(|&number| Slice { number, of: 4 }.has(&stream));
            let with_it: Vec<u16> = with_it.collect();
            assert_eq!(with_it.len(), 1, "{stream}");
            counts[usize::from(with_it[0])] += 1;
        }
        assert!(counts.iter().all(|count| (200..300).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_whole_has_everything() {
        let stream: StreamName = "order-7".parse().unwrap_or_else(|_| panic!());
        assert!(Slice::WHOLE.has(&stream));
        assert_eq!(slice_of("order-7", 1), 0);
    }
}
