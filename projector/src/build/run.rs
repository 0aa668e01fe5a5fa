//! The bookkeeping of runs: who carries one out, how far it is, and what it came to; and what others
//! see of them and do about them (`oversight`).
//!
//! The statements on `orderstore.builds` and `orderstore.build_generations` are here and nowhere
//! else, but for what `plan` reads of them.

mod oversight;

use std::time::Duration;

use journal::Position;
use sqlx::Row;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

pub(crate) use self::oversight::{
    Unfinished, ask_again, ended, give_up, set_paused, take_out, unbuilt, unfinished,
};
use super::options::RebuildOptions;
use super::progress::Pace;
use crate::bookkeeping::{self, GenerationId};
use crate::code::codes;
use crate::failure::Failure;
use crate::{Options, ProjectionName};

codes! {
    /// What a run is at.
    Phase {
        /// The log is read, and its events dealt out to partitions.
        Scan = "scan",
        /// Partitions are folded, and their rows copied into the tables.
        Fold = "fold",
        /// Sums and keys are made.
        Finish = "finish",
        /// What happened meanwhile is folded, and the generations are compared, indexed and promoted.
        CatchUp = "catch-up",
        /// The generations are as far as the live ones, and wait for somebody to promote them.
        Ready = "ready",
        /// They are live.
        Done = "done",
        /// Another run, or none, does what was left of it.
        GivenUp = "given-up",
    }
}

/// A run: it fills some generations in one pass over the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) id: i64,
    /// The right to carry it out, until somebody else takes it.
    pub(crate) epoch: i64,
    pub(crate) phase: Phase,
    pub(crate) promote: bool,
    pub(crate) threshold: Option<u64>,
    pub(crate) partitions: u32,
    /// Where the scan ended: what rows there are, are of the events up to here.
    pub(crate) end: Option<Position>,
    pub(crate) parts: Vec<Part>,
}

/// A generation that a run fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) generation: GenerationId,
    pub(crate) version: i32,
    /// Whether all rows and keys are there.
    pub(crate) filled: bool,
    /// Whether nobody has promoted or dropped it yet.
    pub(crate) building: bool,
    /// Whether readers see it.
    pub(crate) live: bool,
}

/// What a run came to so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) scanned: Position,
    pub(crate) events: u64,
    pub(crate) event_bytes: u64,
    pub(crate) spilled_bytes: u64,
    pub(crate) rows: u64,
    pub(crate) row_bytes: u64,
    /// How long each phase took, or has taken so far.
    pub(crate) took: [Duration; 4],
    pub(crate) peak_rss_bytes: u64,
}

/// Begins a run that fills `generations`, held by `holder` from the first moment on.
pub(crate) async fn begin(
    connection: &mut PgConnection,
    generations: &[GenerationId],
    partitions: u32,
    options: &RebuildOptions,
    holder: Uuid,
) -> Result<i64, Failure> {
    const BEGIN: &str = "insert into orderstore.builds (holder, partitions, promote, threshold) \
         values ($1, $2, $3, $4) returning id";
    const PART: &str = "insert into orderstore.build_generations (projection, generation, build) \
         select *, $3 from unnest($1::text[], $2::bigint[])";
    let mut transaction = bookkeeping::durable(connection).await?;
    let id: i64 = sqlx::query_scalar(BEGIN)
        .bind(holder)
        .bind(i32::try_from(partitions).unwrap_or(i32::MAX))
        .bind(options.promote)
        .bind(kept_threshold(options))
        .fetch_one(&mut *transaction)
        .await?;
    sqlx::query(PART)
        .bind(generations.iter().map(|it| it.projection.as_str()).collect::<Vec<_>>())
        .bind(generations.iter().map(|it| it.number).collect::<Vec<_>>())
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(id)
}

fn kept_threshold(options: &RebuildOptions) -> Option<i64> {
    options.kept_threshold().map(|rows| i64::try_from(rows).unwrap_or(i64::MAX))
}

/// Whether this build can carry out the run `id`: it knows all that is left to build, in the same
/// version. Another build would fold it in another way, or not at all.
pub(crate) async fn is_ours(
    connection: &mut PgConnection,
    id: i64,
    options: &Options,
) -> sqlx::Result<bool> {
    const BUILDING: &str = "select p.name, p.version from orderstore.build_generations g \
         join orderstore.projections p on p.name = g.projection and p.generation = g.generation \
         where g.build = $1 and p.state = 'building'";
    let building: Vec<(String, i32)> =
        sqlx::query_as(BUILDING).bind(id).fetch_all(connection).await?;
    let is_ours = |(name, version): &(String, i32)| {
        let name = name.parse::<ProjectionName>();
        name.is_ok_and(|name| options.version_of(name) == *version)
    };
    Ok(building.iter().all(is_ours))
}

/// Takes the right to carry out the run `id` from a holder who has shown no sign of life for a
/// while, after whatever is being written under it; `None` if it may not be taken, or not by this
/// build.
pub(crate) async fn acquire(
    connection: &mut PgConnection,
    id: i64,
    holder: Uuid,
    options: &Options,
) -> Result<Option<Run>, Failure> {
    // Whoever writes shares the lock on this row until the end of the transaction.
    const LOCK: &str = "select from orderstore.builds where id = $1 \
         and phase not in ('ready', 'done', 'given-up') \
         and (holder is null or holder = $2 \
              or updated_at < clock_timestamp() - make_interval(secs => $3)) for update";
    const ACQUIRE: &str = "update orderstore.builds \
         set epoch = epoch + 1, holder = $2, updated_at = clock_timestamp() where id = $1";
    let mut transaction = bookkeeping::durable(connection).await?;
    sqlx::query("set local lock_timeout = '5s'").execute(&mut *transaction).await?;
    let free = sqlx::query(LOCK)
        .bind(id)
        .bind(holder)
        .bind(options.take_over_after.as_secs_f64())
        .fetch_optional(&mut *transaction)
        .await?;
    if free.is_none() || !is_ours(&mut transaction, id, options).await? {
        return Ok(None);
    }
    sqlx::query(ACQUIRE).bind(id).bind(holder).execute(&mut *transaction).await?;
    let run = load(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(Some(run))
}

/// The run as it is now.
///
/// # Errors
/// [`Failure::Lost`] when somebody else has taken over.
pub(crate) async fn read(
    connection: &mut PgConnection,
    id: i64,
    epoch: i64,
) -> Result<Run, Failure> {
    let run = load(connection, id).await?;
    if run.epoch == epoch { Ok(run) } else { Err(Failure::Lost) }
}

async fn load(connection: &mut PgConnection, id: i64) -> Result<Run, Failure> {
    const RUN: &str = "select epoch, phase, promote, threshold, partitions, \
         end_commit_position, end_prepare_position from orderstore.builds where id = $1";
    const PARTS: &str = "select g.projection, g.generation, p.version, g.filled, \
         p.state = 'building', p.state = 'live' from orderstore.build_generations g \
         join orderstore.projections p on p.name = g.projection and p.generation = g.generation \
         where g.build = $1 order by g.projection";
    type RunRow = (i64, Phase, bool, Option<i64>, i32, Option<i64>, Option<i64>);
    let (epoch, phase, promote, threshold, partitions, commit, prepare): RunRow =
        sqlx::query_as(RUN).bind(id).fetch_one(&mut *connection).await?;
    let parts: Vec<(String, i64, i32, bool, bool, bool)> =
        sqlx::query_as(PARTS).bind(id).fetch_all(&mut *connection).await?;
    let part = |(name, number, version, filled, building, live): (String, _, _, _, _, _)| {
        let generation = GenerationId { projection: name.parse().ok()?, number };
        Some(Part { generation, version, filled, building, live })
    };
    let end = commit.zip(prepare).map(|(commit, prepare)| Position::from_signed(commit, prepare));
    Ok(Run {
        id,
        epoch,
        phase,
        promote,
        threshold: threshold.map(i64::unsigned_abs),
        partitions: partitions.unsigned_abs().max(1),
        end: end.map(|end| end.ok_or(Failure::Position)).transpose()?,
        parts: parts.into_iter().filter_map(part).collect(),
    })
}

/// Makes sure that the run is still ours until the end of the transaction. Several transactions
/// may do so at once.
///
/// # Errors
/// [`Failure::Lost`] when somebody else has taken over: nothing may be written.
pub(crate) async fn fence(
    connection: &mut PgConnection,
    id: i64,
    epoch: i64,
) -> Result<(), Failure> {
    const FENCE: &str = "select from orderstore.builds where id = $1 and epoch = $2 for key share";
    let ours = sqlx::query(FENCE).bind(id).bind(epoch).fetch_optional(connection).await?;
    ours.map(drop).ok_or(Failure::Lost)
}

/// Shows a sign of life, and how far the run is. Whether it is paused.
///
/// # Errors
/// [`Failure::Lost`] when somebody else has taken over.
pub(crate) async fn beat(
    connection: &mut PgConnection,
    id: i64,
    epoch: i64,
    figures: &Figures,
    error: Option<&str>,
) -> Result<bool, Failure> {
    const BEAT: &str = "update orderstore.builds set updated_at = clock_timestamp(), \
         commit_position = $3, prepare_position = $4, events = $5, event_bytes = $6, \
         spilled_bytes = $7, rows = $8, row_bytes = $9, scan_ms = $10, fold_ms = $11, \
         finish_ms = $12, catch_up_ms = $13, peak_rss_bytes = $14, error = $15 \
         where id = $1 and epoch = $2 returning paused";
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (commit, prepare) = figures.scanned.to_signed().ok_or(Failure::Position)?;
    let mut query = sqlx::query_scalar(BEAT).bind(id).bind(epoch).bind(commit).bind(prepare);
    for sum in [
        figures.events,
        figures.event_bytes,
        figures.spilled_bytes,
        figures.rows,
        figures.row_bytes,
    ] {
        query = query.bind(number(sum));
    }
    for took in figures.took {
        query = query.bind(i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
    }
    let query = query.bind(number(figures.peak_rss_bytes)).bind(error);
    query.fetch_optional(connection).await?.ok_or(Failure::Lost)
}

/// What the run came to in earlier processes.
pub(crate) async fn figures(connection: &mut PgConnection, id: i64) -> Result<Figures, Failure> {
    const FIGURES: &str = "select commit_position, prepare_position, events, event_bytes, \
         spilled_bytes, rows, row_bytes, scan_ms, fold_ms, finish_ms, catch_up_ms, \
         peak_rss_bytes from orderstore.builds where id = $1";
    let row = sqlx::query(FIGURES).bind(id).fetch_one(connection).await?;
    let number = |at: usize| row.try_get::<i64, _>(at).map(i64::unsigned_abs);
    let took = |at: usize| number(at).map(Duration::from_millis);
    let scanned = Position::from_signed(row.try_get(0)?, row.try_get(1)?);
    Ok(Figures {
        scanned: scanned.ok_or(Failure::Position)?,
        events: number(2)?,
        event_bytes: number(3)?,
        spilled_bytes: number(4)?,
        rows: number(5)?,
        row_bytes: number(6)?,
        took: [took(7)?, took(8)?, took(9)?, took(10)?],
        peak_rss_bytes: number(11)?,
    })
}

/// Moves the run on to `phase`; from the end of the scan on, `end` is where that was.
pub(crate) async fn enter(
    connection: &mut PgConnection,
    run: &Run,
    phase: Phase,
    end: Option<Position>,
) -> Result<(), Failure> {
    const ENTER: &str = "update orderstore.builds set phase = $3, updated_at = clock_timestamp(), \
         end_commit_position = $4, end_prepare_position = $5, \
         ended_at = case when $3 in ('done', 'ready') then clock_timestamp() end, \
         holder = case when $3 in ('done', 'ready') then null else holder end \
         where id = $1 and epoch = $2";
    let end = end.map(|end| end.to_signed().ok_or(Failure::Position)).transpose()?;
    let mut transaction = bookkeeping::durable(connection).await?;
    let entered = sqlx::query(ENTER)
        .bind(run.id)
        .bind(run.epoch)
        .bind(phase)
        .bind(end.map(|(commit, _)| commit))
        .bind(end.map(|(_, prepare)| prepare))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    if entered.rows_affected() == 1 { Ok(()) } else { Err(Failure::Lost) }
}

/// When the run began, in microseconds, and how long things took in the latest run of the same
/// projections that came to its end.
pub(crate) async fn begun_and_pace(
    connection: &mut PgConnection,
    id: i64,
) -> Result<(i64, Pace), Failure> {
    const BEGUN: &str = "select (extract(epoch from started_at) * 1000000)::bigint \
         from orderstore.builds where id = $1";
    const PACE: &str = "with of_each as (select build, array_agg(projection order by projection) \
             as projections from orderstore.build_generations group by build) \
         select b.fold_ms::float8 / b.scan_ms, b.finish_ms::float8 / b.fold_ms, \
         b.catch_up_ms::float8 / b.fold_ms from orderstore.builds b \
         join of_each it on it.build = b.id \
         join of_each this on this.build = $1 and this.projections = it.projections \
         where b.phase in ('ready', 'done') and b.scan_ms >= 1000 and b.fold_ms > 0 \
         order by b.id desc limit 1";
    let begun = sqlx::query_scalar(BEGUN).bind(id).fetch_one(&mut *connection).await?;
    let pace: Option<(f64, f64, f64)> =
        sqlx::query_as(PACE).bind(id).fetch_optional(connection).await?;
    let pace = pace.map(|(fold_per_scan, finish_per_fold, catch_up_per_fold)| Pace {
        fold_per_scan,
        finish_per_fold,
        catch_up_per_fold,
    });
    Ok((begun, pace.unwrap_or_default()))
}

/// Pauses the run because of an error that somebody has to do something about.
pub(crate) async fn pause(
    connection: &mut PgConnection,
    id: i64,
    epoch: i64,
    error: &str,
) -> sqlx::Result<()> {
    const PAUSE: &str = "update orderstore.builds set paused = true, error = $3 \
         where id = $1 and epoch = $2";
    sqlx::query(PAUSE).bind(id).bind(epoch).bind(error).execute(connection).await.map(drop)
}

/// Notes that `generation` is filled: from now on workers may go on with it.
pub(crate) async fn fill(
    connection: &mut PgConnection,
    generation: GenerationId,
    (events, rows, row_bytes): (i64, i64, i64),
) -> Result<(), Failure> {
    const FILL: &str = "update orderstore.build_generations \
         set filled = true, events = $3, rows = $4, row_bytes = $5 \
         where projection = $1 and generation = $2";
    sqlx::query(FILL)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .bind(events)
        .bind(rows)
        .bind(row_bytes)
        .execute(connection)
        .await?;
    Ok(())
}

/// Gives the right to carry it out back, so that the next one need not wait.
pub(crate) async fn release(
    connection: &mut PgConnection,
    id: i64,
    epoch: i64,
) -> sqlx::Result<()> {
    const RELEASE: &str = "update orderstore.builds set holder = null where id = $1 and epoch = $2";
    sqlx::query(RELEASE).bind(id).bind(epoch).execute(connection).await.map(drop)
}
