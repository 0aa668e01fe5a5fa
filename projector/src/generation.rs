//! The generations of every projection: created, given up, dropped. How one becomes what readers
//! see is not here (`promotion`).
//!
//! A generation is a schema with the projection's tables, a row in `orderstore.projections` and a
//! checkpoint per slice. It is building → live → previous (replaced, but kept up to date for a
//! rollback) → retired → dropped.

use std::time::Duration;

use journal::{Filter, Journal, Position};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, FromRow};
use tokio::time::timeout;

use crate::bookkeeping::{self, GenerationId};
use crate::database::{self, Trouble};
use crate::failure::Failure;
use crate::projections::Definition;
use crate::slice::Slice;
use crate::{Options, ProjectionName, opening, views};

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
    /// Whether it has the indexes that only readers need.
    pub(crate) indexed: bool,
    slices: i16,
}

impl Generation {
    /// Its slices.
    pub(crate) fn slices(&self) -> impl Iterator<Item = Slice> + use<> {
        let of = self.slices.unsigned_abs().max(1);
        (0..of).map(move |number| Slice { number, of })
    }
}

/// Sets up the bookkeeping, and a first generation of every projection that has none. Where this
/// build folds or stores a projection in a newer way than the live generation, a new one is begun
/// beside it. Doing it again, or twice at once, changes nothing.
pub(crate) async fn migrate(address: &PgConnectOptions) -> Result<(), Failure> {
    set_up(address, &Options::default(), Slices::AsTheyAre).await
}

/// The same, with generations as `options` want them.
pub(crate) async fn prepare(address: &PgConnectOptions, options: &Options) -> Result<(), Failure> {
    set_up(address, options, Slices::AsWanted).await
}

/// What is done to generations that nobody has written to yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slices {
    AsTheyAre,
    /// They are cut again if they have another number of slices than is wanted.
    AsWanted,
}

async fn set_up(
    address: &PgConnectOptions,
    options: &Options,
    slices: Slices,
) -> Result<(), Failure> {
    let mut connection = database::connect(address).await?;
    database::exclude_others(&mut connection, SETTING_UP).await?;
    let mut migrator = sqlx::migrate!();
    migrator.dangerous_set_table_name("orderstore.migrations");
    migrator.create_schema("orderstore");
    // Migrations only ever add, so that an older build works on what a newer one has set up: during
    // a deployment both run, and after one that is taken back only the older.
    migrator.set_ignore_missing(true);
    migrator.run_direct(None, &mut connection, false).await?;
    for definition in Definition::ALL {
        set_up_one(&mut connection, definition, options, slices).await?;
    }
    drop_retired(&mut connection).await?;
    Ok(connection.close().await?)
}

async fn set_up_one(
    connection: &mut PgConnection,
    definition: &Definition,
    options: &Options,
    slices: Slices,
) -> Result<(), Failure> {
    let all = generations(connection, definition.name).await?;
    let live = all.iter().find(|generation| generation.state == "live");
    if live.is_none() && !all.iter().any(|generation| generation.state == "building") {
        return create(connection, definition, options, State::Live).await.map(drop);
    }
    let wanted = options.slices;
    if let Some(live) = live
        && slices == Slices::AsWanted
        && wanted > 0
        && live.slices.unsigned_abs() != wanted
    {
        cut_again(connection, definition.name, live.number, wanted).await?;
    }
    if wants_build(connection, definition.name, options).await? {
        begin_rebuild(connection, definition, options).await?;
    }
    Ok(())
}

/// Whether there is something for [`prepare`] to do: a projection has no generation that readers see
/// or will, or this build folds it in a newer way than all its generations.
pub(crate) async fn is_unprepared(
    connection: &mut PgConnection,
    options: &Options,
) -> sqlx::Result<bool> {
    const NEWEST: &str = "select name, max(version) filter \
         (where state in ('building', 'live', 'previous') or rolled_back), \
         bool_or(state in ('building', 'live')) from orderstore.projections group by name";
    let all: Vec<(String, Option<i32>, bool)> =
        sqlx::query_as(NEWEST).fetch_all(connection).await?;
    Ok(ProjectionName::ALL.iter().any(|name| {
        let found = all.iter().find(|(found, _, _)| found == name.as_str());
        found.is_none_or(|(_, newest, has_any)| {
            !has_any || newest.is_some_and(|newest| newest < options.version_of(*name))
        })
    }))
}

/// Whether this build folds `projection` in a newer way than all its generations, and nobody has
/// rolled that back.
async fn wants_build(
    connection: &mut PgConnection,
    projection: ProjectionName,
    options: &Options,
) -> sqlx::Result<bool> {
    const NEWEST: &str = "select max(version) from orderstore.projections where name = $1 \
         and (state in ('building', 'live', 'previous') or rolled_back)";
    let newest: Option<i32> =
        sqlx::query_scalar(NEWEST).bind(projection.as_str()).fetch_one(connection).await?;
    Ok(newest.is_some_and(|newest| newest < options.version_of(projection)))
}

/// Cuts a generation that nobody has ever written to into other slices.
async fn cut_again(
    connection: &mut PgConnection,
    projection: ProjectionName,
    number: i64,
    slices: u16,
) -> Result<(), Failure> {
    const UNTOUCHED: &str = "select coalesce(bool_and(epoch = 0 and holder is null), false) from \
         (select epoch, holder from orderstore.checkpoints \
          where projection = $1 and generation = $2 for update) c";
    const FORGET: &str =
        "delete from orderstore.checkpoints where projection = $1 and generation = $2";
    const CUT: &str =
        "update orderstore.projections set slices = $3 where name = $1 and generation = $2";
    let mut transaction = bookkeeping::durable(connection).await?;
    let name = projection.as_str();
    let untouched: bool =
        sqlx::query_scalar(UNTOUCHED).bind(name).bind(number).fetch_one(&mut *transaction).await?;
    if !untouched {
        return Ok(());
    }
    sqlx::query(FORGET).bind(name).bind(number).execute(&mut *transaction).await?;
    sqlx::query(CUT)
        .bind(name)
        .bind(number)
        .bind(signed(slices))
        .execute(&mut *transaction)
        .await?;
    checkpoints(&mut transaction, GenerationId { projection, number }, slices, true).await?;
    Ok(transaction.commit().await?)
}

fn signed(slices: u16) -> i16 {
    i16::try_from(slices).unwrap_or(i16::MAX)
}

/// Begins a new generation beside the live one. One that is being built is dropped. If readers see
/// none yet, it is the live one itself that is built.
pub(crate) async fn begin_rebuild(
    connection: &mut PgConnection,
    definition: &Definition,
    options: &Options,
) -> Result<GenerationId, Failure> {
    if let Some(first) = opening::build_first(connection, definition.name, options).await? {
        return Ok(first);
    }
    give_up(connection, definition.name).await?;
    drop_retired(connection).await?;
    create(connection, definition, options, State::Building).await
}

/// Retires the generation of `projection` that is being built, if one is. Its workers find out at
/// their next step.
pub(crate) async fn give_up(
    connection: &mut PgConnection,
    projection: ProjectionName,
) -> Result<(), Failure> {
    const BUILDING: &str = "select generation from orderstore.projections \
         where name = $1 and state = 'building' for update";
    let mut transaction = connection.begin().await?;
    let building: Option<i64> = sqlx::query_scalar(BUILDING)
        .bind(projection.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
    if let Some(number) = building {
        retire(&mut transaction, GenerationId { projection, number }).await?;
    }
    Ok(transaction.commit().await?)
}

/// Nobody works on `generation` any more, and it is dropped when nobody reads it either.
pub(crate) async fn retire(
    transaction: &mut PgConnection,
    generation: GenerationId,
) -> Result<(), Failure> {
    const RETIRE: &str = "update orderstore.projections set state = 'retired', since = now() \
         where name = $1 and generation = $2 and state in ('building', 'previous')";
    const END_EPOCHS: &str = "update orderstore.checkpoints \
         set epoch = epoch + 1, holder = null, session = null, live = false \
         where projection = $1 and generation = $2";
    for statement in [RETIRE, END_EPOCHS] {
        sqlx::query(statement)
            .bind(generation.projection.as_str())
            .bind(generation.number)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(())
}

/// Retires what was replaced so long ago that nobody will want it back.
pub(crate) async fn retire_previous(
    connection: &mut PgConnection,
    after: Duration,
) -> Result<(), Failure> {
    const OVER: &str = "select name, generation from orderstore.projections \
         where state = 'previous' and since < clock_timestamp() - make_interval(secs => $1) \
         for update skip locked";
    let mut transaction = connection.begin().await?;
    let over: Vec<(String, i64)> =
        sqlx::query_as(OVER).bind(after.as_secs_f64()).fetch_all(&mut *transaction).await?;
    for (name, number) in over {
        let Ok(projection) = name.parse() else { continue };
        retire(&mut transaction, GenerationId { projection, number }).await?;
        tracing::info!(%projection, generation = number, "nobody can roll back to it any more");
    }
    Ok(transaction.commit().await?)
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

/// Notes whether `generation` has the indexes that only readers need.
pub(crate) async fn note_indexed(
    connection: &mut PgConnection,
    generation: GenerationId,
    indexed: bool,
) -> sqlx::Result<()> {
    const NOTE: &str = "update orderstore.projections set indexed = $3 \
         where name = $1 and generation = $2";
    sqlx::query(NOTE)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .bind(indexed)
        .execute(connection)
        .await
        .map(drop)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Building,
    Live,
}

async fn create(
    connection: &mut PgConnection,
    definition: &Definition,
    options: &Options,
    state: State,
) -> Result<GenerationId, Failure> {
    // Unless it is said otherwise, it is cut like the one that it is to replace.
    const CREATE: &str = "insert into orderstore.projections \
         (name, generation, version, state, slices, views, opened) \
         select $1, coalesce(max(generation), 0) + 1, $2, $3, \
         coalesce(nullif($4, 0), max(slices) filter (where state = 'live'), 1::smallint), $5, $6 \
         from orderstore.projections where name = $1 returning generation, slices";
    let mut transaction = bookkeeping::durable(connection).await?;
    let (number, slices): (i64, i16) = sqlx::query_as(CREATE)
        .bind(definition.name.as_str())
        .bind(options.version_of(definition.name))
        .bind(if state == State::Live { "live" } else { "building" })
        .bind(signed(options.slices))
        .bind(definition.views)
        .bind(state == State::Building)
        .fetch_one(&mut *transaction)
        .await?;
    let generation = GenerationId { projection: definition.name, number };
    let (slices, live) = (slices.unsigned_abs(), state == State::Live);
    checkpoints(&mut transaction, generation, slices, live).await?;
    let schema = generation.schema();
    // Names of schemas cannot be arguments. This one is made of our own name and a number.
    let create_schema = AssertSqlSafe(format!("create schema {schema}"));
    sqlx::raw_sql(create_schema).execute(&mut *transaction).await?;
    sqlx::query("select set_config('search_path', $1, true)")
        .bind(&schema)
        .execute(&mut *transaction)
        .await?;
    for part in [definition.tables, definition.keys, definition.indexes] {
        sqlx::raw_sql(part).execute(&mut *transaction).await?;
    }
    if state == State::Live {
        let closed = AssertSqlSafe(views::closed(definition.views));
        sqlx::raw_sql(closed).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    tracing::info!(projection = %definition.name, generation = number, ?state, "created a generation");
    Ok(generation)
}

async fn checkpoints(
    connection: &mut PgConnection,
    generation: GenerationId,
    slices: u16,
    live: bool,
) -> sqlx::Result<()> {
    const CHECKPOINTS: &str = "insert into orderstore.checkpoints \
         (projection, generation, slice, live) \
         select $1, $2, slice, $4 from generate_series(0, $3 - 1) as slice";
    sqlx::query(CHECKPOINTS)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .bind(i32::from(slices))
        .bind(live)
        .execute(connection)
        .await
        .map(drop)
}

/// All generations of `projection`, the latest first.
pub(crate) async fn generations(
    connection: &mut PgConnection,
    projection: ProjectionName,
) -> sqlx::Result<Vec<Generation>> {
    const GENERATIONS: &str = "select p.generation as number, p.version, p.state, \
         p.indexed, p.slices \
         from orderstore.projections p where p.name = $1 and p.state <> 'dropped' \
         order by p.generation desc";
    sqlx::query_as(GENERATIONS).bind(projection.as_str()).fetch_all(connection).await
}

/// One of them.
///
/// # Errors
/// [`Failure::Lost`] when it is not there any more.
pub(crate) async fn one(
    connection: &mut PgConnection,
    generation: GenerationId,
) -> Result<Generation, Failure> {
    let all = generations(connection, generation.projection).await?;
    all.into_iter().find(|it| it.number == generation.number).ok_or(Failure::Lost)
}

/// Whether the log has nothing of `category` after `from` and up to `to`, of those streams that
/// `which` lets pass. When it takes too long to find out, no; nor when the log cannot be read up to
/// `to`: a node of the store that lags behind ends its log early, and nobody knows what comes then.
pub(crate) async fn is_quiet(
    journal: &Journal,
    category: &str,
    from: Position,
    to: Position,
    which: impl Fn(&schemas::StreamName) -> bool,
) -> Result<bool, journal::Error> {
    if from >= to {
        return Ok(true);
    }
    let look = async {
        let mut scan = journal.scan(Filter::categories(&[category]), from);
        while let Some(batch) = scan.next().await? {
            let mut events = batch.events.into_iter().take_while(|event| event.position <= to);
            if events.any(|event| journal.recorded(event).is_some_and(|it| which(&it.stream))) {
                return Ok(false);
            }
            if batch.position >= to {
                return Ok(true);
            }
        }
        Ok(false)
    };
    timeout(QUIET_LIMIT, look).await.unwrap_or(Ok(false))
}

/// Drops what was retired. What readers still use stays until the next time.
pub(crate) async fn drop_retired(connection: &mut PgConnection) -> Result<(), Failure> {
    const RETIRED: &str =
        "select name, generation from orderstore.projections where state = 'retired'";
    let retired: Vec<(String, i64)> = sqlx::query_as(RETIRED).fetch_all(&mut *connection).await?;
    for (name, number) in retired {
        // A projection that this build does not know may belong to a newer one: leave it.
        let Ok(projection) = name.parse() else { continue };
        if let Err(failure) = drop_one(connection, GenerationId { projection, number }).await {
            // It is in nobody's way, and the next time it may work.
            let error = failure.story();
            tracing::warn!(%projection, generation = number, error, "a generation cannot be dropped");
        }
    }
    Ok(())
}

/// Drops a retired generation; false if somebody still uses it.
pub(crate) async fn drop_one(
    connection: &mut PgConnection,
    generation: GenerationId,
) -> Result<bool, Failure> {
    let GenerationId { projection, number } = generation;
    match try_drop(connection, generation).await {
        Ok(()) => tracing::info!(%projection, generation = number, "dropped a generation"),
        Err(error) if Trouble::of(&error) == Trouble::Locked => {
            tracing::info!(%projection, generation = number, "a retired generation is still used");
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(true)
}

async fn try_drop(connection: &mut PgConnection, generation: GenerationId) -> sqlx::Result<()> {
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
        let done = sqlx::query(statement)
            .bind(generation.projection.as_str())
            .bind(generation.number)
            .execute(&mut *transaction)
            .await?;
        if statement == END && done.rows_affected() == 0 {
            // Somebody else was quicker.
            return Ok(());
        }
    }
    let schema = generation.schema();
    let drop_schema = AssertSqlSafe(format!("drop schema if exists {schema} cascade"));
    sqlx::raw_sql(drop_schema).execute(&mut *transaction).await?;
    transaction.commit().await
}
