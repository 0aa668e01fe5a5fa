//! What can go wrong while read models are kept, and what to do about it. Readers have an
//! [error of their own](crate::read_model::Error).

use chrono::TimeDelta;
use journal::Position;
use schemas::StreamName;
use thiserror::Error;

use crate::database::DatabaseError;
use crate::failure::Failure;
use crate::{Comparison, ProjectionName};

/// Why read models could not be worked on.
#[derive(Debug, Error)]
pub enum Error {
    /// The database's address makes no sense. It may contain a password and is not repeated here.
    #[error("--database-url is not usable; it must read postgres://user:password@host:5432/name")]
    BadAddress,
    /// Postgres cannot be reached, or refuses.
    #[error("the database did not play along; is it running, and is --database-url right?")]
    Database(#[source] DatabaseError),
    /// The bookkeeping in the database is not what this build expects.
    #[error("the database could not be set up; was it set up by a newer orderstore?")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// The event store cannot be read.
    #[error("the event store did not play along")]
    EventStore(#[from] journal::Error),
    /// The database answers too slowly.
    #[error("the database did not answer in time; is it overloaded?")]
    TooSlow,
    /// Events could not be put aside, or rows not be written, while projections are rebuilt. The
    /// rebuild is paused.
    #[error("{0}; then go on with `orderstore projections resume`")]
    Disk(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A new generation is being built by another process.
    #[error(
        "{projection} is being built by another process; {}",
        if *paused {
            format!("it is paused, and goes on after `orderstore projections resume {projection}`")
        } else {
            format!("`orderstore projections status {projection} --watch` says how far it is")
        }
    )]
    BeingBuilt {
        /// Of what.
        projection: ProjectionName,
        /// Whether it stands still, as far as it is known.
        paused: bool,
    },
    /// What is live was built by a newer build, which this one would replace by something older.
    #[error("{projection} was built by a newer orderstore; rebuild it with that one")]
    NewerIsLive {
        /// Of what.
        projection: ProjectionName,
    },
    /// Another process has taken the generation over, finished or dropped it.
    #[error("another process has taken over building {projection}; look at the status")]
    TakenOver {
        /// Of what.
        projection: ProjectionName,
    },
    /// There is nothing to do about a stream.
    #[error(
        "{stream} does not wait in {projection}; `orderstore projections quarantine list` shows what does"
    )]
    NotQuarantined {
        /// In which projection.
        projection: ProjectionName,
        /// Which stream.
        stream: StreamName,
    },
    /// Only the event with which a stream is stuck can be skipped.
    #[error(
        "{projection} is stuck at event {} of {stream}, not at {asked}; look at that one with \
         `orderstore projections quarantine show {projection} {stream}`",
        list(revisions)
    )]
    StuckElsewhere {
        /// In which projection.
        projection: ProjectionName,
        /// Which stream.
        stream: StreamName,
        /// Which event was to be skipped.
        asked: u64,
        /// With which it is stuck, in each of its generations.
        revisions: Vec<i64>,
    },
    /// Readers see what an event has changed: its stream is not stuck with it where they look.
    #[error(
        "event {revision} of {stream} is in the rows that readers see of {projection}; nothing is stuck \
         there that could be skipped. The generation that is stuck is none they see: drop it, see \
         `orderstore projections status {projection}`"
    )]
    InLiveRows {
        /// In which projection.
        projection: ProjectionName,
        /// Which stream.
        stream: StreamName,
        /// Which event was to be skipped.
        revision: u64,
    },
    /// A generation that this build cannot write would go on with rows that are not what was decided.
    #[error(
        "generation {generation} of {projection} is of another version and is past event {revision} \
         of {stream}; this orderstore cannot fold it again. Drop it first, or wait until it is \
         dropped; if it is what readers see, do this with the orderstore that built it"
    )]
    PastElsewhere {
        /// In which projection.
        projection: ProjectionName,
        /// Which generation.
        generation: i64,
        /// Which stream.
        stream: StreamName,
        /// The event that the decision is about.
        revision: u64,
    },
    /// There is nothing to take back.
    #[error(
        "{projection} skips no event of {stream}; to fold its rows again: `orderstore projections rebuild --stream {stream}`"
    )]
    NotSkipped {
        /// In which projection.
        projection: ProjectionName,
        /// Which stream.
        stream: StreamName,
    },
    /// Skipping an event does not help.
    #[error(
        "skipping event {revision} of {stream} does not help {projection}: {error}; nothing was changed"
    )]
    SkippedInVain {
        /// In which projection.
        projection: ProjectionName,
        /// Which stream.
        stream: StreamName,
        /// Which event was to be skipped.
        revision: u64,
        /// Why the stream is stuck all the same.
        error: String,
    },
    /// No generation is being built.
    #[error(
        "no new generation of {projection} is there; build one with `orderstore projections rebuild \
         {projection}`"
    )]
    NothingToPromote {
        /// Of which projection.
        projection: ProjectionName,
    },
    /// A generation is not filled yet.
    #[error(
        "generation {generation} of {projection} is not built yet ({phase}); wait for it, or look at \
         `orderstore projections status`"
    )]
    StillBuilding {
        /// Of which projection.
        projection: ProjectionName,
        /// Which generation.
        generation: i64,
        /// What is being done to it.
        phase: String,
    },
    /// A generation is not as far as the live one, and did not get there in time.
    #[error(
        "generation {generation} of {projection} has not caught up: {} are not in it yet, the first \
         of them from {} ago; does a projector of its version run?",
        events_in_words(*events, *at_least),
        in_words(age)
    )]
    NotCaughtUp {
        /// Of which projection.
        projection: ProjectionName,
        /// Which generation.
        generation: i64,
        /// How many events are missing.
        events: u64,
        /// Whether it may be more.
        at_least: bool,
        /// How long ago the first of them was recorded.
        age: TimeDelta,
    },
    /// A generation differs too much from the live one.
    #[error(
        "{} rows of generation {} of {projection} differ from the live one, and {allowed} may{}; \
         look at them with `orderstore projections diff {projection}`, and have readers see it all \
         the same with `orderstore projections promote {projection} --max-differing {}`",
        comparison.differing_at_most(),
        comparison.green.generation,
        by_table(comparison),
        comparison.differing_at_most()
    )]
    TooDifferent {
        /// Of which projection.
        projection: ProjectionName,
        /// So many rows may differ.
        allowed: u64,
        /// How they differ.
        comparison: Box<Comparison>,
    },
    /// There is nothing to go back to.
    #[error("there is no earlier generation of {projection} any more; rebuild it instead")]
    NothingToRollBackTo {
        /// Of which projection.
        projection: ProjectionName,
    },
    /// Nobody has kept the earlier generation up to date.
    #[error(
        "generation {generation} of {projection} lacks {}, the first of them from {} ago: no \
         projector of its version runs, or it has not caught up. Start one, wait, or say that it may \
         be stale",
        events_in_words(*events, *at_least),
        in_words(age)
    )]
    Stale {
        /// Of which projection.
        projection: ProjectionName,
        /// Which generation.
        generation: i64,
        /// How many events are missing.
        events: u64,
        /// Whether it may be more.
        at_least: bool,
        /// How long ago the first of them was recorded.
        age: TimeDelta,
    },
    /// What readers see cannot be changed while somebody reads for so long.
    #[error(
        "somebody was reading or writing {projection} all the time; end long transactions on it, and \
         try again"
    )]
    ReadersInTheWay {
        /// Of which projection.
        projection: ProjectionName,
    },
    /// Somebody's view rests on one of ours that has to be made anew.
    #[error("{}; nothing was changed", crate::promotion::dependent_in_words(what))]
    ViewsInTheWay {
        /// Of which projection.
        projection: ProjectionName,
        /// What rests on what.
        what: String,
    },
    /// What readers see is not dropped.
    #[error("generation {generation} of {projection} is what readers see; it cannot be dropped")]
    IsLive {
        /// Of which projection.
        projection: ProjectionName,
        /// Which generation.
        generation: i64,
    },
    /// There is none with this number.
    #[error(
        "there is no generation {generation} of {projection}; `orderstore projections status` lists \
         those that are there"
    )]
    NoSuchGeneration {
        /// Of which projection.
        projection: ProjectionName,
        /// Which generation.
        generation: i64,
    },
    /// There is nothing beside what is live.
    #[error(
        "{projection} has only its live generation; there is nothing to compare it with before \
         `orderstore projections rebuild {projection} --no-promote`"
    )]
    NothingToCompare {
        /// Of which projection.
        projection: ProjectionName,
    },
    /// What is live was not made by this build.
    #[error(
        "the live generation of {projection} is not of this version; only the orderstore that made \
         it can verify it"
    )]
    OtherVersion {
        /// Of which projection.
        projection: ProjectionName,
    },
    /// The log ends before what the rows were made of.
    #[error(
        "the rows of {projection} were made of a log up to {rows}, and this one ends at {log}; nothing was \
         changed. Is --event-store right? If the log was restored from an older backup, make the rows \
         anew: `orderstore projections rebuild {projection}`"
    )]
    AnotherLog {
        /// Of which projection.
        projection: ProjectionName,
        /// How far its live rows are.
        rows: Position,
        /// Where the log ends.
        log: Position,
    },
    /// The log has nothing that the rows can have been made of.
    #[error(
        "the log has none of the {streams} streams that were looked for because {projection} has rows of \
         them; nothing was changed. Is --event-store right? If the log was replaced for good, make the \
         rows anew: `orderstore projections rebuild {projection}`"
    )]
    UnrelatedLog {
        /// Of which projection.
        projection: ProjectionName,
        /// How many were looked for.
        streams: usize,
    },
    /// No projection folds such a stream.
    #[error("no projection folds {stream}")]
    NoProjection {
        /// Which stream.
        stream: StreamName,
    },
    /// What the rows were made of is not in the log any more.
    #[error("the first events of {stream} are gone; its rows are left as they are")]
    BeginningGone {
        /// Which stream.
        stream: StreamName,
    },
}

fn events_in_words(events: u64, at_least: bool) -> String {
    let or_more = if at_least { " or more" } else { "" };
    if events == 1 && !at_least {
        "1 event".to_owned()
    } else {
        format!("{events}{or_more} events")
    }
}

fn in_words(age: &TimeDelta) -> String {
    let milliseconds = age.num_milliseconds().max(0);
    if milliseconds < 10_000 {
        return format!("{milliseconds} ms");
    }
    format!("{} s", milliseconds / 1_000)
}

fn by_table(comparison: &Comparison) -> String {
    let tables = comparison.tables.iter().filter(|it| it.added + it.removed + it.changed > 0);
    let tables = tables.map(|it| {
        let (table, added, removed, changed) = (&it.table, it.added, it.removed, it.changed);
        format!("{table}: {added} added, {removed} removed, {changed} changed")
    });
    let lacking = comparison.lacking();
    let lacking = lacking.iter().map(|what| format!("only one of them has {what}"));
    let not_compared = match comparison.not_compared {
        0 => None,
        streams => Some(format!("{streams} streams could not be compared")),
    };
    let tables: Vec<_> = tables.into_iter().chain(lacking).chain(not_compared).collect();
    if tables.is_empty() { String::new() } else { format!(" ({})", tables.join("; ")) }
}

fn list(revisions: &[i64]) -> String {
    let mut revisions: Vec<_> = revisions.iter().map(i64::to_string).collect();
    revisions.dedup();
    revisions.join(" or ")
}

impl Error {
    /// What a failure to work on `projection` means to whoever asked for it.
    pub(crate) fn of(projection: ProjectionName, failure: Failure) -> Self {
        match failure {
            Failure::Lost | Failure::Moved => Self::TakenOver { projection },
            Failure::Database(_)
            | Failure::Journal(_)
            | Failure::Migration(_)
            | Failure::Position
            | Failure::TooSlow
            | Failure::Spill(_) => Self::from(failure),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Database(error) => Self::Database(DatabaseError::by(error)),
            Failure::Journal(error) => Self::EventStore(error),
            Failure::Migration(error) => Self::Migration(error),
            Failure::TooSlow => Self::TooSlow,
            Failure::Spill(error) => Self::Disk(Box::new(error)),
            Failure::Lost | Failure::Moved | Failure::Position => {
                Self::Database(DatabaseError::by(sqlx::Error::Protocol(failure.to_string())))
            }
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(DatabaseError::by(error))
    }
}
