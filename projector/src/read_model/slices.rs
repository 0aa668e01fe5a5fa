//! How far each slice of each generation is, and what has happened to it: for whoever watches over
//! projections rather than reads them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use const_format::concatcp;
use journal::Position;
use sqlx::FromRow;

use super::{Error, ProjectionName, Reader};
use crate::Options;
use crate::fleet::IS_WORKED_ON;
use crate::status::GenerationState;
use crate::verdict::{self, Verdict};

/// A slice of a generation.
#[derive(Debug, Clone, PartialEq)]
pub struct SliceState {
    /// Which projection.
    pub projection: ProjectionName,
    /// Number of the generation, from 1.
    pub generation: i64,
    /// Version of fold and tables that it is built with.
    pub version: i32,
    /// What it is for.
    pub state: GenerationState,
    /// What is being done to the generation, while it is being filled in bulk.
    pub phase: Option<String>,
    /// Which slice, from 0.
    pub slice: i16,
    /// Everything up to here is in its rows.
    pub position: Position,
    /// When its worker was last seen alive, by the database's clock.
    pub updated_at: DateTime<Utc>,
    /// Whether its worker had nothing left to do when it was last seen.
    pub caught_up: bool,
    /// Whether somebody works on it.
    pub held: bool,
    /// Seconds since its worker was last seen alive.
    pub seen_seconds_ago: f64,
    /// What has happened to it since it was created.
    pub tally: SliceTally,
    /// Streams that its generation does not follow any more.
    pub quarantined: i64,
    /// What came of verifying the generation the last time, if it ever was.
    pub verified: Option<Verified>,
}

/// What has happened to a slice since it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct SliceTally {
    /// Events that were folded.
    pub events_applied: i64,
    /// Events that came again and were dropped.
    pub duplicates_dropped: i64,
    /// Gaps that were filled from the streams: always 0, unless events were skipped.
    pub gaps_healed: i64,
    /// Streams that were quarantined.
    pub streams_quarantined: i64,
}

/// What came of verifying a generation.
#[derive(Debug, Clone, Copy, PartialEq, FromRow)]
pub struct Verified {
    /// Seconds since then.
    pub seconds_ago: f64,
    /// Streams that were folded again.
    pub streams: i64,
    /// Streams whose rows were not what their events make them, and that nobody has healed: found
    /// when everything was looked at, or in samples since then.
    pub drifted: i64,
    /// Rows of sums that are wrong, if anybody looked.
    pub sums_differing: Option<i64>,
}

#[derive(FromRow)]
struct Row {
    name: String,
    generation: i64,
    version: i32,
    state: GenerationState,
    phase: Option<String>,
    slice: i16,
    commit_position: i64,
    prepare_position: i64,
    updated_at: DateTime<Utc>,
    caught_up: bool,
    held: bool,
    seen_seconds_ago: f64,
    #[sqlx(flatten)]
    tally: SliceTally,
    quarantined: i64,
    verified_seconds_ago: Option<f64>,
    streams: Option<i64>,
    drifted: Option<i64>,
    sums_differing: Option<i64>,
}

const SLICES: &str = concatcp!(
    "select p.name, p.generation, p.version, p.state, c.slice, \
     (select b.phase from orderstore.build_generations g join orderstore.builds b on b.id = g.build \
      where g.projection = p.name and g.generation = p.generation and p.state = 'building' \
      and b.ended_at is null) as phase, \
     c.commit_position, c.prepare_position, c.updated_at, c.caught_up, \
     ",
    IS_WORKED_ON,
    " as held, \
     extract(epoch from clock_timestamp() - c.updated_at)::float8 as seen_seconds_ago, \
     c.events_applied, c.duplicates_dropped, c.gaps_healed, c.streams_quarantined, \
     (select count(*) from orderstore.quarantine q \
      where q.projection = p.name and q.generation = p.generation) as quarantined, \
     extract(epoch from clock_timestamp() - v.at)::float8 as verified_seconds_ago, \
     v.streams, v.drifted, v.sums_differing \
     from orderstore.projections p \
     join orderstore.checkpoints c on c.projection = p.name and c.generation = p.generation \
     left join lateral (select max(l.at) as at, \
         (array_agg(l.streams order by l.at desc))[1] as streams, \
         max(l.drifted - l.healed) as drifted, max(l.sums_differing) as sums_differing \
         from orderstore.verifications l \
         where l.projection = p.name and l.generation = p.generation) v on true \
     where p.state in ('building', 'live', 'previous') \
     order by p.name, p.generation, c.slice"
);

impl Reader {
    /// Every slice of every generation that is kept up to date.
    ///
    /// # Errors
    /// [`Error::NotReady`] when nothing has been set up yet.
    pub async fn slices(&self) -> Result<Vec<SliceState>, Error> {
        let silent = Options::default().take_over_after.as_secs_f64();
        let rows: Vec<Row> = sqlx::query_as(SLICES).bind(silent).fetch_all(&self.pool).await?;
        // A projection that this build does not know belongs to a newer one.
        Ok(rows.into_iter().filter_map(SliceState::of).collect())
    }

    /// How generations compared with the one that was live then, and why those are not live that
    /// could be: by projection and number.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database cannot be reached.
    pub async fn verdicts(&self) -> Result<HashMap<(ProjectionName, i64), Verdict>, Error> {
        let noted = verdict::verdicts(&self.pool).await?;
        let known = noted.iter().filter_map(|it| Some((it.generation()?, it.verdict())));
        Ok(known.collect())
    }
}

impl SliceState {
    /// Whether somebody is to keep it up to date, so that being behind means something.
    pub fn is_followed(&self) -> bool {
        match self.state {
            GenerationState::Live | GenerationState::Previous => true,
            GenerationState::Building | GenerationState::Retired => false,
        }
    }

    fn of(row: Row) -> Option<Self> {
        let position = Position::from_signed(row.commit_position, row.prepare_position);
        let verified = row.verified_seconds_ago.map(|seconds_ago| Verified {
            seconds_ago,
            streams: row.streams.unwrap_or(0),
            drifted: row.drifted.unwrap_or(0),
            sums_differing: row.sums_differing,
        });
        Some(Self {
            projection: row.name.parse().ok()?,
            generation: row.generation,
            version: row.version,
            state: row.state,
            phase: row.phase,
            slice: row.slice,
            position: position.unwrap_or(Position::START),
            updated_at: row.updated_at,
            caught_up: row.caught_up,
            held: row.held,
            seen_seconds_ago: row.seen_seconds_ago,
            tally: row.tally,
            quarantined: row.quarantined,
            verified,
        })
    }
}
