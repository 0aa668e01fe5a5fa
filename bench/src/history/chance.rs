//! Everything that is left to chance, from one seed.

use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use uuid::Uuid;

/// The one source of chance: the same seed tells the same history.
#[derive(Debug)]
pub(super) struct Chance(StdRng);

impl Chance {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Whether something happens that happens to `percent` of a hundred.
    pub(super) fn happens(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    /// A number from 0 up to `end`, each as likely as any other.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end.max(1))
    }

    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0.random_range(low..=high)
    }

    pub(super) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// A number below `end`, where small ones come often and large ones seldom: few customers order a
    /// lot, and few goods are ordered most. The larger the `skew`, the more so.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index that need not be exact"
    )]
    pub(super) fn long_tailed(&mut self, end: usize, skew: f64) -> usize {
        let share: f64 = self.0.random();
        ((share.powf(skew) * end as f64) as usize).min(end.saturating_sub(1))
    }

    /// How long it is until something happens that happens once in `mean` on average, and at any time.
    pub(super) fn until_next(&mut self, mean: TimeDelta) -> TimeDelta {
        let share: f64 = self.0.random_range(f64::EPSILON..1.0);
        times(mean, -share.ln())
    }

    /// A time between two others, each magnitude as likely as any other: mostly short.
    pub(super) fn wait(&mut self, shortest: TimeDelta, longest: TimeDelta) -> TimeDelta {
        let magnitudes = seconds(longest) / seconds(shortest);
        let share: f64 = self.0.random();
        times(shortest, magnitudes.powf(share))
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    pub(super) fn id(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.0.random()).into_uuid()
    }
}

/// `time`, so many times.
#[expect(clippy::cast_possible_truncation, reason = "microseconds of a year fit many times over")]
pub(super) fn times(time: TimeDelta, factor: f64) -> TimeDelta {
    TimeDelta::microseconds((seconds(time) * factor * 1e6) as i64)
}

#[expect(clippy::cast_precision_loss, reason = "less than a millisecond in a year")]
fn seconds(time: TimeDelta) -> f64 {
    time.num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6
}
