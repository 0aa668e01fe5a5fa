//! How far a projection is, as the schema shows it.

use std::collections::HashMap;

use async_graphql::{Enum, SimpleObject};
use chrono::{DateTime, Utc};
use projector::read_model::{
    Freshness, LastComparison, ProjectionName, SliceState, Verdict, Verified,
};

use super::small;
use crate::graphql::scalars::BigInt;
use crate::lag::Lags;

/// How far a projection is: how fresh the answers are that come from it.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Projection {
    /// Its name.
    name: String,
    /// Everything up to here can be read: a position as mutations return it. None before its first
    /// build is done.
    position: Option<String>,
    /// When its worker was last seen alive, by the database's clock.
    updated_at: Option<DateTime<Utc>>,
    /// Whether nothing was left to do then.
    caught_up: bool,
    /// Its tables: those that are read, those that are being built beside them, and those that were
    /// read before and can be again.
    generations: Vec<ProjectionGeneration>,
}

/// What the tables of a generation are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projector::read_model::GenerationState")]
pub(crate) enum GenerationState {
    /// They are being built.
    Building,
    /// They are read.
    Live,
    /// They were read before, and are kept up to date so that they can be again.
    Previous,
    /// They will be dropped.
    Retired,
}

/// One set of tables of a projection.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ProjectionGeneration {
    /// Its number, from 1.
    generation: i32,
    /// Version of fold and tables.
    version: i32,
    /// What it is for.
    state: GenerationState,
    /// What is being done to it, while it is being filled in bulk: `scan`, `fold`, `finish`,
    /// `catch-up`.
    phase: Option<String>,
    /// Streams that it does not follow because of an event that it cannot fold.
    quarantined_streams: i32,
    /// What came of folding its streams again and comparing their rows; none if nobody has.
    verified: Option<ProjectionVerified>,
    /// How it compared with the one that was read, when it was to be read instead of that the last
    /// time; none if it was not compared.
    compared: Option<ProjectionCompared>,
    /// Why it is not read although it is built; none if nothing has kept it from that.
    refusal: Option<ProjectionRefusal>,
    /// Its slices: each has its part of the streams.
    slices: Vec<ProjectionSlice>,
}

/// How a generation compared with the one that was read then.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ProjectionCompared {
    /// The number of that one.
    with: i32,
    /// When.
    at: DateTime<Utc>,
    /// How many rows there were, on the side that had more.
    rows: BigInt,
    /// How many of them differed.
    differing: BigInt,
    /// Streams that never stood at the same event on both sides.
    not_compared: BigInt,
}

/// Why a generation is not read.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ProjectionRefusal {
    /// Since when.
    at: DateTime<Utc>,
    /// In words, with what to do about it.
    reason: String,
}

/// What came of verifying a generation.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ProjectionVerified {
    /// How many seconds ago.
    seconds_ago: i32,
    /// Streams that were folded again then.
    streams: BigInt,
    /// Streams whose rows were wrong and that nobody has healed.
    drifted: BigInt,
    /// Rows of sums that are wrong; none if nobody looked.
    sums_differing: Option<BigInt>,
}

/// A part of the streams of a generation.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ProjectionSlice {
    /// Its number, from 0.
    slice: i32,
    /// Everything up to here is in its rows.
    position: String,
    /// Whether somebody works on it.
    held: bool,
    /// When its worker was last seen alive, by the database's clock.
    updated_at: DateTime<Utc>,
    /// Whether nothing was left to do then.
    caught_up: bool,
    /// How long ago the first event was recorded that it has not come to yet; 0 at the end of the log.
    /// None while it is being built, and when the event store does not say.
    lag_milliseconds: Option<i32>,
    /// Distance to the end of the log in its own unit: events in the embedded store, bytes in
    /// EventStoreDB. None as above.
    lag_positions: Option<BigInt>,
    /// Events that were folded since it was created.
    events_applied: BigInt,
    /// Events that came again and were dropped.
    duplicates_dropped: BigInt,
    /// Gaps that were filled from their streams. Anything but 0 means that events were skipped.
    gaps_healed: BigInt,
    /// How often a stream was quarantined since it was created.
    streams_quarantined: BigInt,
}

impl Projection {
    pub(crate) fn new(
        name: ProjectionName,
        freshness: Option<Freshness>,
        slices: &[SliceState],
        verdicts: &HashMap<(ProjectionName, i64), Verdict>,
        lags: Option<&Lags>,
    ) -> Self {
        let of_it: Vec<_> = slices.iter().filter(|slice| slice.projection == name).collect();
        let generations = of_it.chunk_by(|one, other| one.generation == other.generation);
        Self {
            name: name.as_str().to_owned(),
            position: freshness.map(|freshness| freshness.position.to_string()),
            updated_at: freshness.map(|freshness| freshness.updated_at),
            caught_up: freshness.is_some_and(|freshness| freshness.caught_up),
            generations: generations
                .map(|it| {
                    let verdict = verdicts.get(&(name, it[0].generation)).cloned();
                    ProjectionGeneration::new(it, verdict.unwrap_or_default(), lags)
                })
                .collect(),
        }
    }
}

impl ProjectionGeneration {
    /// The generation that all of `slices` are of; there is at least one.
    fn new(slices: &[&SliceState], verdict: Verdict, lags: Option<&Lags>) -> Self {
        let first = slices[0];
        let Verdict { compared, refusal } = verdict;
        Self {
            generation: small(first.generation),
            version: first.version,
            state: first.state.into(),
            phase: first.phase.clone(),
            quarantined_streams: small(first.quarantined),
            verified: first.verified.map(ProjectionVerified::new),
            compared: compared.map(ProjectionCompared::new),
            refusal: refusal.map(|it| ProjectionRefusal { at: it.at, reason: it.why }),
            slices: slices.iter().map(|slice| ProjectionSlice::new(slice, lags)).collect(),
        }
    }
}

impl ProjectionCompared {
    fn new(comparison: LastComparison) -> Self {
        let LastComparison { with, at, found } = comparison;
        let number = |number: u64| number.cast_signed().into();
        Self {
            with: small(with),
            at,
            rows: number(found.rows),
            differing: number(found.differing),
            not_compared: number(found.not_compared),
        }
    }
}

impl ProjectionVerified {
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds are enough")]
    fn new(verified: Verified) -> Self {
        Self {
            seconds_ago: small(verified.seconds_ago as i64),
            streams: verified.streams.into(),
            drifted: verified.drifted.into(),
            sums_differing: verified.sums_differing.map(Into::into),
        }
    }
}

impl ProjectionSlice {
    fn new(slice: &SliceState, lags: Option<&Lags>) -> Self {
        let lag = lags.filter(|_| slice.is_followed());
        Self {
            slice: i32::from(slice.slice),
            position: slice.position.to_string(),
            held: slice.held,
            updated_at: slice.updated_at,
            caught_up: slice.caught_up,
            lag_milliseconds: lag.map(|lags| small(lags.milliseconds(slice))),
            events_applied: slice.tally.events_applied.into(),
            duplicates_dropped: slice.tally.duplicates_dropped.into(),
            lag_positions: lag.map(|lags| lags.positions(slice).cast_signed().into()),
            gaps_healed: slice.tally.gaps_healed.into(),
            streams_quarantined: slice.tally.streams_quarantined.into(),
        }
    }
}
