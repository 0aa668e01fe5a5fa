//! The generations of every projection: created, promoted, dropped.
//!
//! A generation is a schema with the projection's tables, a row in `orderstore.projections` and a
//! checkpoint. Readers see the live one through views, so a promotion is a change of views.

use std::time::Duration;

use futures::TryStreamExt;
use journal::{Journal, Position};
use schemas::Aggregate;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, FromRow};
use tokio::time::timeout;
use uuid::Uuid;

use crate::ProjectionName;
use crate::bookkeeping::{self, GenerationId, Move};
use crate::database::{self, Trouble};
use crate::failure::Failure;
use crate::projection::Projection;
use crate::projections::Definition;
use crate::writer::Writer;

/// Held while the bookkeeping is set up, so that two processes do not do it at once. A number of
/// ours, like the one that the migrations use.
const SETTING_UP: i64 = 0x6f72_6465_7273_746f;

/// How long it takes at most to find out that the log has nothing more for a projection.
const QUIET_LIMIT: Duration = Duration::from_secs(2);

/// One generation, as it is kept.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub(crate) struct Generation {
    pub(crate) number: i64,
    pub(crate) version: i32,
    pub(crate) state: String,
}

/// Sets up the bookkeeping, and a first generation of every projection that has none. Where this
/// build folds or stores a projection in a newer way than the live generation, a new one is begun
/// beside it. Doing it again, or twice at once, changes nothing.
pub(crate) async fn migrate(address: &PgConnectOptions) -> Result<(), Failure> {
    let mut connection = database::connect(address).await?;
    // Released when the session ends, however that happens.
    sqlx::query("select pg_advisory_lock($1)").bind(SETTING_UP).execute(&mut connection).await?;
    let mut migrator = sqlx::migrate!();
    migrator.dangerous_set_table_name("orderstore.migrations");
    migrator.create_schema("orderstore");
    migrator.run_direct(None, &mut connection, false).await?;
    for definition in Definition::ALL {
        set_up(&mut connection, definition).await?;
    }
    drop_retired(&mut connection).await?;
    Ok(connection.close().await?)
}

async fn set_up(connection: &mut PgConnection, definition: &Definition) -> Result<(), Failure> {
    let all = generations(connection, definition.name).await?;
    let Some(live) = all.iter().find(|generation| generation.state == "live") else {
        return create(connection, definition, State::Live, None).await.map(drop);
    };
    let building = all.iter().find(|generation| generation.state == "building");
    if live.version >= definition.version {
        return Ok(());
    }
    match building {
        Some(building) if building.version >= definition.version => Ok(()),
        Some(_) => begin_rebuild(connection, definition, None).await.map(drop),
        None => create(connection, definition, State::Building, None).await.map(drop),
    }
}

/// Begins a new generation beside the live one, held by `holder` from the first moment on. One that
/// is being built is dropped.
pub(crate) async fn begin_rebuild(
    connection: &mut PgConnection,
    definition: &Definition,
    holder: Option<Uuid>,
) -> Result<GenerationId, Failure> {
    give_up(connection, definition.name).await?;
    drop_retired(connection).await?;
    create(connection, definition, State::Building, holder).await
}

/// Retires the generation of `projection` that is being built, if one is. Its worker finds out at
/// its next step.
pub(crate) async fn give_up(
    connection: &mut PgConnection,
    projection: ProjectionName,
) -> Result<(), Failure> {
    const RETIRE: &str = "with given_up as (update orderstore.projections \
         set state = 'retired', since = now() where name = $1 and state = 'building' \
         returning name, generation) \
         update orderstore.checkpoints c set epoch = epoch + 1, holder = null \
         from given_up g where c.projection = g.name and c.generation = g.generation";
    sqlx::query(RETIRE).bind(projection.as_str()).execute(connection).await?;
    Ok(())
}

/// Whether somebody is building a generation of `projection`, and was alive within `patience`.
pub(crate) async fn is_being_built(
    connection: &mut PgConnection,
    projection: ProjectionName,
    patience: Duration,
) -> sqlx::Result<bool> {
    const BUILT: &str = "select exists (select from orderstore.projections p \
         join orderstore.checkpoints c on c.projection = p.name and c.generation = p.generation \
         where p.name = $1 and p.state = 'building' and c.holder is not null \
         and c.updated_at >= clock_timestamp() - make_interval(secs => $2))";
    sqlx::query_scalar(BUILT)
        .bind(projection.as_str())
        .bind(patience.as_secs_f64())
        .fetch_one(connection)
        .await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Building,
    Live,
}

async fn create(
    connection: &mut PgConnection,
    definition: &Definition,
    state: State,
    holder: Option<Uuid>,
) -> Result<GenerationId, Failure> {
    const CREATE: &str = "insert into orderstore.projections (name, generation, version, state) \
         select $1, coalesce(max(generation), 0) + 1, $2, $3 \
         from orderstore.projections where name = $1 returning generation";
    const CHECKPOINT: &str =
        "insert into orderstore.checkpoints (projection, generation, holder) values ($1, $2, $3)";
    let mut transaction = bookkeeping::durable(connection).await?;
    let number: i64 = sqlx::query_scalar(CREATE)
        .bind(definition.name.as_str())
        .bind(definition.version)
        .bind(if state == State::Live { "live" } else { "building" })
        .fetch_one(&mut *transaction)
        .await?;
    let generation = GenerationId { projection: definition.name, number };
    sqlx::query(CHECKPOINT)
        .bind(definition.name.as_str())
        .bind(number)
        .bind(holder)
        .execute(&mut *transaction)
        .await?;
    let schema = generation.schema();
    // Names of schemas cannot be arguments. This one is made of our own name and a number.
    let create_schema = AssertSqlSafe(format!("create schema {schema}"));
    sqlx::raw_sql(create_schema).execute(&mut *transaction).await?;
    sqlx::query("select set_config('search_path', $1, true)")
        .bind(&schema)
        .execute(&mut *transaction)
        .await?;
    sqlx::raw_sql(definition.tables).execute(&mut *transaction).await?;
    sqlx::raw_sql(definition.indexes).execute(&mut *transaction).await?;
    if state == State::Live {
        sqlx::raw_sql(definition.views).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    tracing::info!(projection = %definition.name, generation = number, ?state, "created a generation");
    Ok(generation)
}

/// All generations of `projection`, the latest first.
pub(crate) async fn generations(
    connection: &mut PgConnection,
    projection: ProjectionName,
) -> sqlx::Result<Vec<Generation>> {
    const GENERATIONS: &str = "select p.generation as number, p.version, p.state \
         from orderstore.projections p where p.name = $1 and p.state <> 'dropped' order by p.generation desc";
    sqlx::query_as(GENERATIONS).bind(projection.as_str()).fetch_all(connection).await
}

/// Makes the generation of `writer` the live one, if it is as far as the live one is; false if it
/// is not, or if readers keep it from happening right now.
///
/// Readers that are in the middle of a statement finish it on the old generation; all later ones
/// see the new one.
pub(crate) async fn promote<P: Projection>(writer: &mut Writer) -> Result<bool, Failure> {
    match try_promote::<P>(writer).await {
        Err(Failure::Database(error)) if Trouble::of(&error) == Trouble::Locked => Ok(false),
        other => other,
    }
}

async fn try_promote<P: Projection>(writer: &mut Writer) -> Result<bool, Failure> {
    const LIVE: &str = "select c.generation, c.commit_position, c.prepare_position \
         from orderstore.checkpoints c join orderstore.projections p \
         on p.name = c.projection and p.generation = c.generation \
         where p.name = $1 and p.state = 'live' and c.slice = 0 for update of c";
    const RETIRE: &str = "update orderstore.projections set state = 'retired', since = now() \
         where name = $1 and generation = $2";
    const END_EPOCH: &str = "update orderstore.checkpoints set epoch = epoch + 1, holder = null \
         where projection = $1 and generation = $2";
    const GO_LIVE: &str = "update orderstore.projections set state = 'live', since = now() \
         where name = $1 and generation = $2 and state = 'building'";
    let Writer { connection, hold, journal, live, .. } = writer;
    let name = P::NAME.as_str();
    let mut transaction = bookkeeping::durable(connection).await?;
    // A waiting promotion makes new readers wait behind it, so it does not wait for long.
    sqlx::query("set local lock_timeout = '200ms'").execute(&mut *transaction).await?;
    let old: Option<(i64, i64, i64)> =
        sqlx::query_as(LIVE).bind(name).fetch_optional(&mut *transaction).await?;
    let mut to = hold.position;
    if let Some((generation, commit, prepare)) = old {
        let reached = Position::from_signed(commit, prepare).ok_or(Failure::Position)?;
        // Readers never go back: whoever saw an event through the old generation sees it through
        // the new one.
        if reached > to {
            if !is_quiet(journal, P::Source::CATEGORY, to, reached).await? {
                return Ok(false);
            }
            to = reached;
        }
        sqlx::query(RETIRE).bind(name).bind(generation).execute(&mut *transaction).await?;
        sqlx::query(END_EPOCH).bind(name).bind(generation).execute(&mut *transaction).await?;
    }
    let step = Move { to, caught_up: true, tell: true };
    bookkeeping::advance(&mut transaction, hold, step).await?;
    sqlx::raw_sql(P::VIEWS).execute(&mut *transaction).await?;
    let promoted =
        sqlx::query(GO_LIVE).bind(name).bind(hold.generation.number).execute(&mut *transaction);
    if promoted.await?.rows_affected() != 1 {
        return Err(Failure::Lost);
    }
    transaction.commit().await?;
    hold.position = to;
    *live = true;
    tracing::info!(projection = name, generation = hold.generation.number, "promoted a generation");
    Ok(true)
}

/// Whether the log has nothing of `category` after `from` and up to `to`. When it takes too long
/// to find out, no.
pub(crate) async fn is_quiet(
    journal: &Journal,
    category: &str,
    from: Position,
    to: Position,
) -> Result<bool, journal::Error> {
    let look = async {
        let mut events = journal.read_all(from);
        while let Some(event) = events.try_next().await? {
            if event.position > to {
                break;
            }
            if event.stream.category() == category {
                return Ok(false);
            }
        }
        Ok(true)
    };
    timeout(QUIET_LIMIT, look).await.unwrap_or(Ok(false))
}

/// Drops what was replaced. What readers still use stays until the next time.
pub(crate) async fn drop_retired(connection: &mut PgConnection) -> Result<(), Failure> {
    const RETIRED: &str =
        "select name, generation from orderstore.projections where state = 'retired'";
    let retired: Vec<(String, i64)> = sqlx::query_as(RETIRED).fetch_all(&mut *connection).await?;
    for (name, number) in retired {
        // A projection that this build does not know may belong to a newer one: leave it.
        let Ok(projection) = name.parse() else { continue };
        let generation = GenerationId { projection, number };
        match drop_generation(connection, generation).await {
            Ok(()) => tracing::info!(%projection, generation = number, "dropped a generation"),
            Err(error) if Trouble::of(&error) == Trouble::Locked => {
                tracing::info!(%projection, generation = number, "a retired generation is still used");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn drop_generation(
    connection: &mut PgConnection,
    generation: GenerationId,
) -> sqlx::Result<()> {
    // The row stays, so that its number is never given to another generation: a worker that has
    // missed the end of the old one must not take the new one for it.
    const END: &str = "update orderstore.projections set state = 'dropped', since = now() \
         where name = $1 and generation = $2 and state = 'retired'";
    const FORGET: [&str; 2] = [
        "delete from orderstore.checkpoints where projection = $1 and generation = $2",
        "delete from orderstore.quarantine where projection = $1 and generation = $2",
    ];
    let mut transaction = connection.begin().await?;
    sqlx::query("set local lock_timeout = '500ms'").execute(&mut *transaction).await?;
    for statement in [END, FORGET[0], FORGET[1]] {
        sqlx::query(statement)
            .bind(generation.projection.as_str())
            .bind(generation.number)
            .execute(&mut *transaction)
            .await?;
    }
    let schema = generation.schema();
    let drop_schema = AssertSqlSafe(format!("drop schema if exists {schema} cascade"));
    sqlx::raw_sql(drop_schema).execute(&mut *transaction).await?;
    transaction.commit().await
}
