//! Who may write which slice of which generation, and how far it is.
//!
//! The statements that move `orderstore.checkpoints` are here and nowhere else. Which generations
//! there are is not here (`generation`), nor which of their streams are quarantined (`quarantine`).

use std::time::Duration;

use journal::Position;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::ProjectionName;
use crate::failure::Failure;
use crate::fold::Tally;
use crate::slice::Slice;

/// The channel on which it is told that a slice of a live generation has moved.
pub(crate) const CHANNEL: &str = "orderstore_checkpoint";

/// What is sent over [`CHANNEL`].
pub(crate) fn payload(generation: GenerationId, slice: Slice, position: Position) -> String {
    format!("{} {} {slice} {position}", generation.projection, generation.number)
}

/// The channel on which it is told that processes came or went, or gave work back.
pub(crate) const FLEET: &str = "orderstore_fleet";

/// A generation of a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GenerationId {
    pub(crate) projection: ProjectionName,
    pub(crate) number: i64,
}

impl GenerationId {
    /// The schema that its tables are in: lower case letters, `_` and digits.
    pub(crate) fn schema(self) -> String {
        format!("{}_g{}", self.projection, self.number)
    }
}

/// The right to write a slice of a generation, until somebody else takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) generation: GenerationId,
    pub(crate) slice: Slice,
    pub(crate) epoch: i64,
    /// Everything up to here is in the rows.
    pub(crate) position: Position,
    /// What has changed since by others is not known yet.
    pub(crate) seen: Seen,
}

/// What others may change about a slice while somebody holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// How often somebody else has written its rows or changed its quarantine.
    pub(crate) interventions: i64,
    /// Whether its generation is what readers see.
    pub(crate) live: bool,
}

/// Takes the right to write `slice` of `generation`; `None` if it is not there any more, or if
/// somebody else holds it who has shown a sign of life within `patience`, with a session that is
/// still there.
pub(crate) async fn acquire(
    connection: &mut PgConnection,
    generation: GenerationId,
    slice: Slice,
    holder: Uuid,
    patience: Duration,
) -> Result<Option<Hold>, Failure> {
    const ACQUIRE: &str = "update orderstore.checkpoints c \
         set epoch = c.epoch + 1, holder = $4, session = pg_backend_pid(), \
         held_since = case when c.holder = $4 then coalesce(c.held_since, clock_timestamp()) \
         else clock_timestamp() end, \
         updated_at = clock_timestamp() \
         from orderstore.projections p \
         where c.projection = $1 and c.generation = $2 and c.slice = $3 \
         and p.name = c.projection and p.generation = c.generation \
         and p.state in ('building', 'live', 'previous') \
         and (c.holder is null or c.holder = $4 \
              or c.updated_at < clock_timestamp() - make_interval(secs => $5) \
              or not exists (select from pg_stat_activity a where a.pid = c.session) \
                 and c.session is not null) \
         returning c.epoch, c.commit_position, c.prepare_position, c.interventions, c.live";
    let mut transaction = durable(connection).await?;
    let taken: Option<(i64, i64, i64, i64, bool)> = sqlx::query_as(ACQUIRE)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .bind(number_of(slice))
        .bind(holder)
        .bind(patience.as_secs_f64())
        .fetch_optional(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let Some((epoch, commit, prepare, interventions, live)) = taken else { return Ok(None) };
    let position = Position::from_signed(commit, prepare).ok_or(Failure::Position)?;
    let seen = Seen { interventions, live };
    Ok(Some(Hold { generation, slice, epoch, position, seen }))
}

fn number_of(slice: Slice) -> i16 {
    // The database takes no more than fit.
    i16::try_from(slice.number).unwrap_or(i16::MAX)
}

/// A transaction that is on disk when it is committed: an epoch must never be handed out twice,
/// and a promotion must not be undone by a crash.
pub(crate) async fn durable(
    connection: &mut PgConnection,
) -> sqlx::Result<sqlx::Transaction<'_, sqlx::Postgres>> {
    let mut transaction = sqlx::Connection::begin(connection).await?;
    sqlx::query("set local synchronous_commit = on").execute(&mut *transaction).await?;
    Ok(transaction)
}

/// How a checkpoint is moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Move {
    pub(crate) to: Position,
    pub(crate) caught_up: bool,
    /// What has happened and is not counted yet.
    pub(crate) tally: Tally,
}

/// Moves the checkpoint, if it is where `hold` says and the epoch is still ours, and tells readers
/// if they see it. Locks it until the end of the transaction, so nobody else writes the slice
/// meanwhile. Unqualified names stand for the tables of its generation from here to the end of the
/// transaction, whatever the session had in mind. What others have changed about it.
///
/// # Errors
/// [`Failure::Lost`] when somebody else has taken over: nothing may be written.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    hold: &Hold,
    step: Move,
) -> Result<Seen, Failure> {
    const ADVANCE: &str = "with moved as (update orderstore.checkpoints \
         set commit_position = $7, prepare_position = $8, caught_up = $9, \
         updated_at = clock_timestamp(), events_applied = events_applied + $10, \
         duplicates_dropped = duplicates_dropped + $11, gaps_healed = gaps_healed + $12, \
         streams_quarantined = streams_quarantined + $13 \
         where projection = $1 and generation = $2 and slice = $3 and epoch = $4 \
         and commit_position = $5 and prepare_position = $6 \
         returning interventions, live) \
         select interventions, live, set_config('search_path', $16, true), \
         case when live and $14::text is not null then pg_notify($15, $14)::text end from moved";
    let GenerationId { projection, number } = hold.generation;
    let old = hold.position.to_signed().ok_or(Failure::Position)?;
    let new = step.to.to_signed().ok_or(Failure::Position)?;
    let news = (step.to != hold.position).then(|| payload(hold.generation, hold.slice, step.to));
    let moved: Option<(i64, bool, String, Option<String>)> = sqlx::query_as(ADVANCE)
        .bind(projection.as_str())
        .bind(number)
        .bind(number_of(hold.slice))
        .bind(hold.epoch)
        .bind(old.0)
        .bind(old.1)
        .bind(new.0)
        .bind(new.1)
        .bind(step.caught_up)
        .bind(signed(step.tally.applied))
        .bind(signed(step.tally.duplicates))
        .bind(signed(step.tally.gaps_healed))
        .bind(signed(step.tally.quarantined))
        .bind(news)
        .bind(CHANNEL)
        .bind(hold.generation.schema())
        .fetch_optional(&mut *connection)
        .await?;
    match moved {
        Some((interventions, live, _, _)) => Ok(Seen { interventions, live }),
        None => Err(why_not(connection, hold).await?),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Why the checkpoint could not be moved.
async fn why_not(connection: &mut PgConnection, hold: &Hold) -> Result<Failure, Failure> {
    const EPOCH: &str = "select epoch from orderstore.checkpoints \
         where projection = $1 and generation = $2 and slice = $3";
    let epoch: Option<i64> = sqlx::query_scalar(EPOCH)
        .bind(hold.generation.projection.as_str())
        .bind(hold.generation.number)
        .bind(number_of(hold.slice))
        .fetch_optional(connection)
        .await?;
    Ok(if epoch == Some(hold.epoch) { Failure::Moved } else { Failure::Lost })
}

/// Counts what must not get lost, in the transaction in which it happened, after [`advance`].
pub(crate) async fn count(
    connection: &mut PgConnection,
    hold: &Hold,
    tally: Tally,
) -> sqlx::Result<()> {
    const COUNT: &str = "update orderstore.checkpoints \
         set events_applied = events_applied + $5, duplicates_dropped = duplicates_dropped + $6, \
         gaps_healed = gaps_healed + $7, streams_quarantined = streams_quarantined + $8 \
         where projection = $1 and generation = $2 and slice = $3 and epoch = $4";
    sqlx::query(COUNT)
        .bind(hold.generation.projection.as_str())
        .bind(hold.generation.number)
        .bind(number_of(hold.slice))
        .bind(hold.epoch)
        .bind(signed(tally.applied))
        .bind(signed(tally.duplicates))
        .bind(signed(tally.gaps_healed))
        .bind(signed(tally.quarantined))
        .execute(connection)
        .await
        .map(drop)
}

/// Gives the right to write back, so that the next one need not wait.
pub(crate) async fn release(
    connection: &mut PgConnection,
    hold: &Hold,
    uncounted: Tally,
) -> sqlx::Result<()> {
    const RELEASE: &str = "with released as (update orderstore.checkpoints \
         set holder = null, session = null, held_since = null \
         where projection = $1 and generation = $2 and slice = $3 and epoch = $4 returning true) \
         select pg_notify($5, $1) from released";
    count(connection, hold, uncounted).await?;
    sqlx::query(RELEASE)
        .bind(hold.generation.projection.as_str())
        .bind(hold.generation.number)
        .bind(number_of(hold.slice))
        .bind(hold.epoch)
        .bind(FLEET)
        .execute(connection)
        .await
        .map(drop)
}

/// Lets the transaction that `connection` is in write rows and quarantine of all generations of
/// `projection`: whoever holds their slices waits for its end, and then looks again at what is
/// quarantined.
pub(crate) async fn intervene(
    connection: &mut PgConnection,
    projection: ProjectionName,
) -> sqlx::Result<()> {
    // Locked in one order, so that two of us do not wait for each other.
    const INTERVENE: &str = "with locked as (select generation, slice from orderstore.checkpoints \
         where projection = $1 order by generation, slice for update) \
         update orderstore.checkpoints c set interventions = interventions + 1 from locked l \
         where c.projection = $1 and c.generation = l.generation and c.slice = l.slice";
    sqlx::query(INTERVENE).bind(projection.as_str()).execute(connection).await.map(drop)
}

/// How far every slice of `generation` is, in the order of their numbers; locked until the end of
/// the transaction if that is wanted.
pub(crate) async fn positions(
    connection: &mut PgConnection,
    generation: GenerationId,
    lock: Lock,
) -> Result<Vec<Reached>, Failure> {
    const POSITIONS: &str = "select commit_position, prepare_position, caught_up \
         from orderstore.checkpoints where projection = $1 and generation = $2 order by slice";
    const LOCKED: &str = "select commit_position, prepare_position, caught_up \
         from orderstore.checkpoints where projection = $1 and generation = $2 order by slice \
         for update";
    let statement = match lock {
        Lock::None => POSITIONS,
        Lock::UntilTheEnd => LOCKED,
    };
    let rows: Vec<(i64, i64, bool)> = sqlx::query_as(statement)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .fetch_all(connection)
        .await?;
    let reached = |(commit, prepare, caught_up)| {
        let position = Position::from_signed(commit, prepare).ok_or(Failure::Position)?;
        Ok(Reached { position, caught_up })
    };
    rows.into_iter().map(reached).collect()
}

/// Whether checkpoints that are read may move on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// They may.
    None,
    /// Not before the transaction has ended.
    UntilTheEnd,
}

/// How far a slice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) position: Position,
    /// Whether nothing was left to do when its holder last wrote.
    pub(crate) caught_up: bool,
}

/// Sets how far `generation` is, all of its slices, and ends the right of whoever writes it. For
/// whoever has filled or emptied its tables.
pub(crate) async fn begin_after(
    connection: &mut PgConnection,
    generation: GenerationId,
    position: Position,
) -> Result<(), Failure> {
    const BEGIN: &str = "update orderstore.checkpoints set epoch = epoch + 1, holder = null, \
         commit_position = $3, prepare_position = $4, caught_up = false, \
         updated_at = clock_timestamp() where projection = $1 and generation = $2";
    let (commit, prepare) = position.to_signed().ok_or(Failure::Position)?;
    sqlx::query(BEGIN)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .bind(commit)
        .bind(prepare)
        .execute(connection)
        .await?;
    Ok(())
}
