//! Verifies read models: streams are folded again from the log, and the rows that come of it are
//! compared with those that are kept.
//!
//! Rows are exactly what the events up to the checkpoint make them; only after an intervention may
//! they be further. So what is expected of a stream does not depend on what its row claims, and an
//! event that never came is noticed like a value that was changed.
//!
//! In reading order: which streams are looked at (`candidates`), how one is folded again (`refold`),
//! where the expected rows are put (`scratch`), and a whole `run`.

mod candidates;
mod refold;
mod run;
mod scratch;

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use journal::Journal;
use serde::Serialize;
use sqlx::Connection;
use tokio::sync::watch;

use crate::bookkeeping::GenerationId;
use crate::compare::{TableComparison, as_text};
use crate::lifecycle::unfinished_phase;
use crate::projection::Projection;
use crate::projections::{With, with};
use crate::worker::Context;
use crate::{Error, Options, ProjectionName, another_log, database, generation};

use self::run::Run;

/// How read models are verified.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// How much is looked at.
    pub sample: Sample,
    /// Whether what is wrong is folded again.
    pub heal: bool,
    /// Which streams are in a sample: the same ones for the same seed.
    pub seed: i64,
    /// So many streams are looked at per projection, at most.
    pub limit: Option<u64>,
    /// A pause after each few hundred streams, so that others get their turn.
    pub rest: Duration,
    /// Told how far it is.
    pub progress: Option<watch::Sender<VerifyProgress>>,
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample {
    /// So many of the streams that have rows: 0.01 is one in a hundred.
    Share(f64),
    /// All streams of the log, all rows, and all sums.
    All,
}

impl Default for Sample {
    fn default() -> Self {
        Self::Share(0.01)
    }
}

impl Sample {
    fn share(self) -> f64 {
        match self {
            Self::Share(share) => share.clamp(0.0, 1.0),
            Self::All => 1.0,
        }
    }
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct VerifyProgress {
    /// Which projection it is at.
    pub projection: Option<ProjectionName>,
    /// Streams of it that have been looked at.
    pub streams: u64,
    /// About how many will be.
    pub of: u64,
    /// How many of them had drifted.
    pub drifted: u64,
}

/// What came of verifying a projection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Which projection.
    #[serde(serialize_with = "as_text")]
    pub projection: ProjectionName,
    /// Its live generation.
    pub generation: i64,
    /// Version of fold and tables.
    pub version: i32,
    /// Streams that were folded again.
    pub streams: u64,
    /// Streams whose first events are gone from the log, so that nobody can tell.
    pub unverifiable: u64,
    /// Streams whose rows were not what their events make them.
    pub drifted: u64,
    /// How many of them are right again.
    pub healed: u64,
    /// Some of the streams that had drifted.
    pub drifts: Vec<Drift>,
    /// How many more had drifted than are named.
    pub drifts_left_out: u64,
    /// What was wrong, by table: blue is what was kept, green what it should be.
    pub tables: Vec<TableComparison>,
    /// The same for tables that sum up over streams. Only looked at when everything is.
    pub sums: Vec<TableComparison>,
    /// Whether they are right again.
    pub sums_healed: bool,
    /// Why some of it could not be healed, although it should have been.
    pub not_healed: Option<String>,
}

/// A stream whose rows were not what its events make them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// Which stream.
    pub stream: String,
    /// The tables with wrong, missing or superfluous rows.
    pub tables: Vec<String>,
    /// What else is wrong.
    pub reason: Option<String>,
}

impl Verification {
    /// Whether nothing was wrong.
    pub fn is_clean(&self) -> bool {
        self.drifted == 0 && self.sums_differing() == 0
    }

    /// Rows of sums that were wrong.
    pub fn sums_differing(&self) -> u64 {
        self.sums.iter().map(TableComparison::differing).sum()
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { projection, generation, streams, unverifiable, drifted, healed, .. } = self;
        write!(f, "{projection}: {streams} streams of generation {generation} folded again, ")?;
        writeln!(f, "{drifted} had drifted, {healed} healed")?;
        if *unverifiable > 0 {
            writeln!(f, "  {unverifiable} streams have lost their first events")?;
        }
        for Drift { stream, tables, reason } in &self.drifts {
            write!(f, "  {stream}: {}", tables.join(", "))?;
            reason.as_ref().map_or(Ok(()), |reason| write!(f, " ({reason})"))?;
            writeln!(f)?;
        }
        if self.drifts_left_out > 0 {
            writeln!(f, "  … and {} more", self.drifts_left_out)?;
        }
        if self.sums_healed {
            writeln!(f, "  sums were wrong, and were added up again")?;
        }
        if let Some(why) = &self.not_healed {
            writeln!(f, "  not everything could be healed: {why}")?;
        }
        let tables = self.tables.iter().chain(&self.sums);
        tables.filter(|table| table.differing() > 0).try_for_each(|table| write!(f, "{table}"))
    }
}

/// Verifies the live generations of `names`, one after the other, while they go on moving, and
/// keeps the result in the database. The first that cannot be verified is the end of it.
///
/// # Errors
/// As [`verify_one`].
pub async fn verify(
    database_url: &str,
    journal: Journal,
    names: &[ProjectionName],
    options: VerifyOptions,
) -> Result<Vec<Verification>, Error> {
    let mut all = Vec::with_capacity(names.len());
    for &name in names {
        all.push(verify_one(database_url, journal.clone(), name, options.clone()).await?);
    }
    Ok(all)
}

/// Verifies the live generation of one projection.
///
/// # Errors
/// [`Error::OtherVersion`] when it is not of this build: only the build that made it can tell;
/// [`Error::StillBuilding`] when there is none yet, because the first one is being built;
/// [`Error::AnotherLog`] when the log ends before what the rows were made of, [`Error::UnrelatedLog`]
/// when it has none of their streams. When the database or the event store cannot be reached.
pub async fn verify_one(
    database_url: &str,
    journal: Journal,
    name: ProjectionName,
    options: VerifyOptions,
) -> Result<Verification, Error> {
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let context = Context::new(address, journal, Options::default());
    with(name, One { context, options }).await
}

struct One {
    context: Context,
    options: VerifyOptions,
}

impl With for One {
    type Output = BoxFuture<'static, Result<Verification, Error>>;

    fn with<P: Projection>(self) -> Self::Output {
        Box::pin(async move {
            let Self { context, options } = self;
            let mut connection = database::connect(&context.address).await?;
            let all = generation::generations(&mut connection, P::NAME).await?;
            let in_state = |state| all.iter().find(|generation| generation.state == state);
            let id = |number| GenerationId { projection: P::NAME, number };
            let live = in_state("live");
            if let (None, Some(first)) = (live, in_state("building"))
                && let Some(phase) = unfinished_phase(&mut connection, id(first.number)).await?
            {
                let generation = first.number;
                return Err(Error::StillBuilding { projection: P::NAME, generation, phase });
            }
            another_log::refuse(&mut connection, &context.journal, P::NAME).await?;
            connection.close().await?;
            let live = live.filter(|live| live.version == P::VERSION);
            let live = live.ok_or(Error::OtherVersion { projection: P::NAME })?;
            let id = id(live.number);
            let run = Run::<P>::begin(context, options, id).await;
            let verified = async { run?.carry_out().await }.await;
            verified.map_err(|failure| Error::of(P::NAME, failure))
        })
    }
}
