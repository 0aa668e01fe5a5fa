//! Who may write which generation, how far it is, and which of its streams are quarantined.
//!
//! The statements on `orderstore.checkpoints` and `orderstore.quarantine` are here and nowhere
//! else. Which generations there are is not here (`generation`).

use std::collections::HashSet;
use std::time::Duration;

use journal::Position;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::ProjectionName;
use crate::failure::Failure;
use crate::fold::Poisoned;
use schemas::StreamName;

/// The channel on which it is told that a live generation has moved.
pub(crate) const CHANNEL: &str = "orderstore_checkpoint";

/// What is sent over [`CHANNEL`].
pub(crate) fn payload(projection: ProjectionName, position: Position) -> String {
    format!("{projection} {position}")
}

/// The channel on which somebody who waits for a projection, whose name is sent, says so.
pub(crate) const WANTED: &str = "orderstore_wanted";

/// A generation of a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// The right to write a generation, until somebody else takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) generation: GenerationId,
    pub(crate) epoch: i64,
    /// Everything up to here is in the rows.
    pub(crate) position: Position,
}

/// Whose right to write may be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Anybody's: a new process takes over from those before it.
    TakeOver,
    /// Nobody's who has shown a sign of life within this time.
    UnlessAlive(Duration),
}

/// Takes the right to write `generation` if it is in `state`; `None` if it is not, or if the
/// holder is alive.
pub(crate) async fn acquire(
    connection: &mut PgConnection,
    generation: GenerationId,
    state: &str,
    holder: Uuid,
    claim: Claim,
) -> Result<Option<Hold>, Failure> {
    const ACQUIRE: &str = "update orderstore.checkpoints c \
         set epoch = c.epoch + 1, holder = $4, updated_at = clock_timestamp() \
         from orderstore.projections p \
         where c.projection = $1 and c.generation = $2 and c.slice = 0 \
         and p.name = c.projection and p.generation = c.generation and p.state = $3 \
         and ($5::float8 is null or c.holder is null or c.holder = $4 \
              or c.updated_at < clock_timestamp() - make_interval(secs => $5)) \
         returning c.epoch, c.commit_position, c.prepare_position";
    let patience = match claim {
        Claim::TakeOver => None,
        Claim::UnlessAlive(within) => Some(within.as_secs_f64()),
    };
    let mut transaction = durable(connection).await?;
    let taken: Option<(i64, i64, i64)> = sqlx::query_as(ACQUIRE)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .bind(state)
        .bind(holder)
        .bind(patience)
        .fetch_optional(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let Some((epoch, commit, prepare)) = taken else { return Ok(None) };
    let position = Position::from_signed(commit, prepare).ok_or(Failure::Position)?;
    Ok(Some(Hold { generation, epoch, position }))
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
    /// Whether readers are told.
    pub(crate) tell: bool,
}

/// Moves the checkpoint, if it is where `hold` says and the epoch is still ours. Locks it until
/// the end of the transaction, so nobody else writes the generation meanwhile.
///
/// # Errors
/// [`Failure::Lost`] when somebody else has taken over: nothing may be written.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    hold: &Hold,
    step: Move,
) -> Result<(), Failure> {
    const ADVANCE: &str = "update orderstore.checkpoints \
         set commit_position = $6, prepare_position = $7, caught_up = $8, \
         updated_at = clock_timestamp() \
         where projection = $1 and generation = $2 and slice = 0 and epoch = $3 \
         and commit_position = $4 and prepare_position = $5";
    const ADVANCE_AND_TELL: &str = "with moved as (update orderstore.checkpoints \
         set commit_position = $6, prepare_position = $7, caught_up = $8, \
         updated_at = clock_timestamp() \
         where projection = $1 and generation = $2 and slice = 0 and epoch = $3 \
         and commit_position = $4 and prepare_position = $5 returning true) \
         select pg_notify($9, $10) from moved";
    let GenerationId { projection, number } = hold.generation;
    let old = hold.position.to_signed().ok_or(Failure::Position)?;
    let new = step.to.to_signed().ok_or(Failure::Position)?;
    let tell = step.tell && step.to != hold.position;
    let statement = sqlx::query(if tell { ADVANCE_AND_TELL } else { ADVANCE })
        .bind(projection.as_str())
        .bind(number)
        .bind(hold.epoch)
        .bind(old.0)
        .bind(old.1)
        .bind(new.0)
        .bind(new.1)
        .bind(step.caught_up);
    let statement =
        if tell { statement.bind(CHANNEL).bind(payload(projection, step.to)) } else { statement };
    let moved = statement.execute(&mut *connection).await?.rows_affected() == 1;
    if moved { Ok(()) } else { Err(why_not(connection, hold).await?) }
}

/// Why the checkpoint could not be moved.
async fn why_not(connection: &mut PgConnection, hold: &Hold) -> Result<Failure, Failure> {
    const EPOCH: &str = "select epoch from orderstore.checkpoints \
         where projection = $1 and generation = $2 and slice = 0";
    let epoch: Option<i64> = sqlx::query_scalar(EPOCH)
        .bind(hold.generation.projection.as_str())
        .bind(hold.generation.number)
        .fetch_optional(connection)
        .await?;
    Ok(if epoch == Some(hold.epoch) { Failure::Moved } else { Failure::Lost })
}

/// Gives the right to write back, so that the next one need not wait.
pub(crate) async fn release(connection: &mut PgConnection, hold: &Hold) -> sqlx::Result<()> {
    const RELEASE: &str = "update orderstore.checkpoints set holder = null \
         where projection = $1 and generation = $2 and slice = 0 and epoch = $3";
    sqlx::query(RELEASE)
        .bind(hold.generation.projection.as_str())
        .bind(hold.generation.number)
        .bind(hold.epoch)
        .execute(connection)
        .await
        .map(drop)
}

/// The streams of `generation` that are quarantined.
pub(crate) async fn quarantined(
    connection: &mut PgConnection,
    generation: GenerationId,
) -> sqlx::Result<HashSet<StreamName>> {
    const QUARANTINED: &str =
        "select stream from orderstore.quarantine where projection = $1 and generation = $2";
    let names: Vec<String> = sqlx::query_scalar(QUARANTINED)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .fetch_all(connection)
        .await?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// Notes that streams of `generation` are quarantined from now on; again, if they were before.
pub(crate) async fn quarantine(
    connection: &mut PgConnection,
    generation: GenerationId,
    poisoned: &[Poisoned],
) -> Result<(), Failure> {
    const QUARANTINE: &str = "insert into orderstore.quarantine \
         (projection, generation, stream, revision, error) \
         select $1, $2, * from unnest($3::text[], $4::bigint[], $5::text[]) \
         on conflict (projection, generation, stream) \
         do update set revision = excluded.revision, error = excluded.error";
    if poisoned.is_empty() {
        return Ok(());
    }
    let streams: Vec<&str> = poisoned.iter().map(|poisoned| poisoned.stream.as_str()).collect();
    let revisions: Vec<i64> = poisoned
        .iter()
        .map(|poisoned| i64::try_from(poisoned.revision).unwrap_or(i64::MAX))
        .collect();
    // The one character that Postgres does not take, and which may be what is wrong.
    let errors: Vec<String> =
        poisoned.iter().map(|poisoned| poisoned.error.to_string().replace('\0', "␀")).collect();
    sqlx::query(QUARANTINE)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .bind(streams)
        .bind(revisions)
        .bind(errors)
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends the quarantine of `stream`.
pub(crate) async fn readmit(
    connection: &mut PgConnection,
    generation: GenerationId,
    stream: &StreamName,
) -> sqlx::Result<()> {
    const READMIT: &str = "delete from orderstore.quarantine \
         where projection = $1 and generation = $2 and stream = $3";
    sqlx::query(READMIT)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .bind(stream.as_str())
        .execute(connection)
        .await
        .map(drop)
}
