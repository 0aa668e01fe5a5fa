//! What is known about the projections in a database, from outside any worker; and setting it up.

use chrono::{DateTime, TimeDelta, Utc};
use const_format::concatcp;
use journal::{Journal, Position};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, FromRow};

use crate::code::codes;
use crate::fleet::IS_WORKED_ON;
use crate::lag::{self, Lag, Line};
use crate::verdict::{Noted, Verdict, verdicts};
use crate::{Error, Options, ProjectionName, database, generation};

codes! {
    /// What a generation is for.
    GenerationState {
        /// It is being built.
        Building = "building",
        /// Readers see it.
        Live = "live",
        /// It was replaced, and is kept up to date so that it can become live again.
        Previous = "previous",
        /// It was replaced, and will be dropped.
        Retired = "retired",
    }
}

/// One generation of a projection.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectionStatus {
    /// Which projection.
    pub projection: ProjectionName,
    /// Number of the generation, from 1.
    pub generation: i64,
    /// Version of fold and tables that it is built with.
    pub version: i32,
    /// What it is for.
    pub state: GenerationState,
    /// What is being done to it, in words, if it is being built.
    pub phase: Option<String>,
    /// Why building it rests, if it does, until somebody lets it go on.
    pub paused: Option<Paused>,
    /// Everything up to here is in its rows, in all its slices.
    pub position: Position,
    /// How far it is behind the end of the log: a distance in the log's own unit (bytes in
    /// EventStoreDB, events in the embedded store); 0 when nothing is left to do.
    pub behind: u64,
    /// Where the log ends, if that is before what its rows were made of
    /// ([`Error::AnotherLog`]).
    pub ahead_of_log: Option<Position>,
    /// What of the log is not in its rows yet. None where nobody is to fold it: the generation is
    /// being filled in bulk, or will be dropped.
    pub lag: Option<Lag>,
    /// How old its rows are. If events wait to be folded: how long ago the first of them was
    /// recorded. If none does: how long ago the worker that has been silent for the longest time
    /// last said so; what has happened since is not known.
    pub age: TimeDelta,
    /// Whether all its workers had nothing left to do when they were last seen.
    pub caught_up: bool,
    /// When the worker that has been silent for the longest time was last seen alive, by the
    /// database's clock.
    pub updated_at: DateTime<Utc>,
    /// Rows of its main table: an estimate of Postgres, exact after `analyze` of a table that does
    /// not change.
    pub rows: i64,
    /// Streams that it does not follow any more.
    pub quarantined: Vec<Quarantined>,
    /// How it compared with the one that was live, and why it is not live itself.
    pub verdict: Verdict,
    /// What has happened to it since it was created.
    pub counters: Counters,
    /// Its slices, in the order of their numbers.
    pub slices: Vec<SliceStatus>,
}

/// Why a generation is not built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// What went wrong, if that is why; nothing where somebody has paused it.
    pub error: Option<String>,
}

/// One slice of a generation.
#[derive(Debug, Clone, PartialEq)]
pub struct SliceStatus {
    /// Its number, from 0.
    pub slice: u16,
    /// Everything up to here is in its rows.
    pub position: Position,
    /// Whether its worker had nothing left to do when it was last seen.
    pub caught_up: bool,
    /// When its worker was last seen alive, by the database's clock.
    pub updated_at: DateTime<Utc>,
    /// Who works on it.
    pub worker: Option<WorkerSeen>,
    /// What has happened to it since it was created.
    pub counters: Counters,
}

/// A process that works on a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSeen {
    /// What it is called, and its number on the machine where it runs; unknown for a process that
    /// only rebuilds.
    pub process: Option<(String, u64)>,
    /// Since when it works on the slice.
    pub since: DateTime<Utc>,
}

/// What has happened since a generation was created. Survives restarts; a process that is killed
/// takes its last step's applied events and duplicates with it, but never a gap or a quarantine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events folded into rows by workers; a bulk build counts its own.
    pub events_applied: u64,
    /// Events that were in their rows already, and were dropped.
    pub duplicates_dropped: u64,
    /// Gaps found and filled. Must stay 0: each is a defect of the store or of the way from it.
    pub gaps_healed: u64,
    /// How often a stream was quarantined.
    pub streams_quarantined: u64,
}

/// A stream with an event that could not be folded.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Quarantined {
    /// Name of the stream.
    pub stream: String,
    /// Revision of the event.
    pub revision: i64,
    /// Why it could not be folded.
    pub error: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// Sets the database up: bookkeeping, a first generation of every projection that has none, and a
/// new generation, to be built by the next [`Projector`](crate::Projector), where this build folds
/// in a newer way. Doing it again, or several times at once, changes nothing.
///
/// # Errors
/// When the database cannot be reached, or was set up by a newer build.
pub async fn migrate(database_url: &str) -> Result<(), Error> {
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    generation::migrate(&address).await.map_err(Error::from)
}

/// Every generation of every projection.
///
/// # Errors
/// When the database cannot be reached or is not set up, or the event store cannot be reached.
pub async fn status(database_url: &str, journal: &Journal) -> Result<Vec<ProjectionStatus>, Error> {
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let head = journal.head().await?;
    let mut connection = database::connect(&address).await?;
    let silent = Options::default().take_over_after.as_secs_f64();
    let rows: Vec<Row> = sqlx::query_as(STATUS).bind(silent).fetch_all(&mut connection).await?;
    let verdicts = verdicts(&mut connection).await?;
    let mut all = vec![];
    for of_one in rows.chunk_by(Row::is_of_the_same_as) {
        let Some(first) = of_one.first() else { continue };
        // A projection that this build does not know belongs to a newer one.
        let Ok(projection) = first.name.parse() else { continue };
        let quarantined = quarantined(&mut connection, first).await?;
        let verdict =
            verdicts.iter().find(|it| it.generation() == Some((projection, first.generation)));
        let verdict = verdict.map(Noted::verdict).unwrap_or_default();
        all.push(ProjectionStatus {
            quarantined,
            verdict,
            ..put_together(projection, of_one, first, head)
        });
    }
    connection.close().await?;
    // Asked again, because rows move on while they are looked at.
    if all.iter().any(|one| one.position > head) {
        let head = journal.head().await?;
        for one in &mut all {
            one.ahead_of_log = (one.position > head).then_some(head);
        }
    }
    add_lags(journal, head, &mut all).await?;
    Ok(all)
}

const STATUS: &str = concatcp!(
    "select p.name, p.generation, p.version, p.state, c.slice, \
     c.commit_position, c.prepare_position, c.caught_up, c.updated_at, \
     clock_timestamp() as now, ",
    IS_WORKED_ON,
    " as is_held, \
     coalesce(c.held_since, c.updated_at) as held_since, w.name as worker, w.pid, \
     c.events_applied, c.duplicates_dropped, c.gaps_healed, c.streams_quarantined, \
     case when p.state = 'building' then coalesce(r.phase, 'waiting') end as phase, \
     case when p.state = 'building' and r.paused then coalesce(r.error, '') end as paused, \
     coalesce(b.filled, false) as filled, \
     coalesce(nullif(s.n_live_tup, 0), greatest(t.reltuples, 0)::bigint, 0) as rows \
     from orderstore.projections p join orderstore.checkpoints c \
     on c.projection = p.name and c.generation = p.generation \
     left join orderstore.build_generations b \
     on b.projection = p.name and b.generation = p.generation \
     left join orderstore.builds r on r.id = b.build \
     left join orderstore.workers w \
     on w.holder = case when b.filled or b.filled is null then c.holder else r.holder end \
     left join pg_namespace n on n.nspname = p.name || '_g' || p.generation \
     left join pg_class t on t.relnamespace = n.oid and t.relname = p.name and t.relkind = 'r' \
     left join pg_stat_user_tables s on s.relid = t.oid \
     order by p.name, p.generation, c.slice"
);

#[derive(FromRow)]
struct Row {
    name: String,
    generation: i64,
    version: i32,
    state: GenerationState,
    slice: i16,
    commit_position: i64,
    prepare_position: i64,
    caught_up: bool,
    updated_at: DateTime<Utc>,
    now: DateTime<Utc>,
    is_held: bool,
    held_since: DateTime<Utc>,
    worker: Option<String>,
    pid: Option<i64>,
    events_applied: i64,
    duplicates_dropped: i64,
    gaps_healed: i64,
    streams_quarantined: i64,
    phase: Option<String>,
    /// Why; nothing if somebody wanted it.
    paused: Option<String>,
    filled: bool,
    rows: i64,
}

impl Row {
    fn is_of_the_same_as(&self, other: &Self) -> bool {
        (&self.name, self.generation) == (&other.name, other.generation)
    }

    fn slice(&self) -> SliceStatus {
        let position = Position::from_signed(self.commit_position, self.prepare_position)
            .unwrap_or(Position::START);
        let process = self.worker.clone().zip(self.pid.map(i64::unsigned_abs));
        let worker = self.is_held.then_some(WorkerSeen { process, since: self.held_since });
        SliceStatus {
            slice: self.slice.unsigned_abs(),
            position,
            caught_up: self.caught_up,
            updated_at: self.updated_at,
            worker,
            counters: Counters {
                events_applied: self.events_applied.unsigned_abs(),
                duplicates_dropped: self.duplicates_dropped.unsigned_abs(),
                gaps_healed: self.gaps_healed.unsigned_abs(),
                streams_quarantined: self.streams_quarantined.unsigned_abs(),
            },
        }
    }

    /// Whether workers are to fold what happens.
    fn is_fed(&self) -> bool {
        match self.state {
            GenerationState::Live | GenerationState::Previous => true,
            GenerationState::Building => self.filled,
            GenerationState::Retired => false,
        }
    }
}

fn put_together(
    projection: ProjectionName,
    rows: &[Row],
    first: &Row,
    head: Position,
) -> ProjectionStatus {
    let slices: Vec<SliceStatus> = rows.iter().map(Row::slice).collect();
    let position = slices.iter().map(|slice| slice.position).min().unwrap_or_default();
    let updated_at = slices.iter().map(|slice| slice.updated_at).min().unwrap_or(first.updated_at);
    let mut counters = Counters::default();
    for slice in &slices {
        counters.events_applied += slice.counters.events_applied;
        counters.duplicates_dropped += slice.counters.duplicates_dropped;
        counters.gaps_healed += slice.counters.gaps_healed;
        counters.streams_quarantined += slice.counters.streams_quarantined;
    }
    ProjectionStatus {
        projection,
        generation: first.generation,
        version: first.version,
        state: first.state,
        phase: first.phase.clone(),
        paused: first
            .paused
            .clone()
            .map(|error| Paused { error: (!error.is_empty()).then_some(error) }),
        position,
        ahead_of_log: None,
        behind: head.commit.saturating_sub(position.commit),
        lag: first.is_fed().then(Lag::default),
        age: (first.now - updated_at).max(TimeDelta::zero()),
        caught_up: slices.iter().all(|slice| slice.caught_up),
        updated_at,
        rows: first.rows,
        quarantined: vec![],
        verdict: Verdict::default(),
        counters,
        slices,
    }
}

/// Counts what is not folded yet, for all generations at once.
async fn add_lags(
    journal: &Journal,
    head: Position,
    all: &mut [ProjectionStatus],
) -> Result<(), Error> {
    let mut fed: Vec<_> = all.iter_mut().filter(|status| status.lag.is_some()).collect();
    let line = |status: &&mut ProjectionStatus| Line {
        category: lag::category_of(status.projection),
        positions: status.slices.iter().map(|slice| slice.position).collect(),
    };
    let lines: Vec<Line> = fed.iter().map(line).collect();
    let now = journal.clock().now();
    for (status, lag) in fed.iter_mut().zip(lag::lags(journal, &lines, head).await?) {
        status.lag = Some(lag);
        if let Some(oldest) = lag.oldest {
            status.age = (now - oldest).max(TimeDelta::zero());
        }
    }
    Ok(())
}

async fn quarantined(connection: &mut PgConnection, row: &Row) -> sqlx::Result<Vec<Quarantined>> {
    const QUARANTINED: &str = "select stream, revision, error, since from orderstore.quarantine \
         where projection = $1 and generation = $2 order by stream";
    sqlx::query_as(QUARANTINED).bind(&row.name).bind(row.generation).fetch_all(connection).await
}
