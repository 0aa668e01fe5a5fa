//! What people do about whole generations: promote one, roll it back, drop one.

use std::time::Duration;

use chrono::TimeDelta;
use journal::{Journal, Position};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::{Instant, sleep};

use crate::bookkeeping::{self, FLEET, GenerationId, Lock};
use crate::compare::{Sums, compare};
use crate::generation::Generation;
use crate::lag::{self, Lag, Line};
use crate::promotion::{self, Change, Way};
use crate::worker::Context;
use crate::{Comparison, Error, Options, ProjectionName, database, generation, verdict};

/// So long it is tried again while readers are in the way, or the other generation catches up.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long is waited in between: readers wait while it is tried.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);
const MOST_BETWEEN_TRIES: Duration = Duration::from_secs(4);

/// How often it is looked how far the other generation is.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// How a generation that was built is promoted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PromoteOptions {
    /// So many rows may differ from the live generation; streams that cannot be compared count as
    /// well. If it is not given: none of a generation of the same version, any number of a new
    /// version, whose rows are meant to be others.
    pub max_differing: Option<u64>,
}

/// How readers are given back what they saw before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RollbackOptions {
    /// Whether readers may miss what has happened since the generation was last kept up to date.
    pub allow_stale: bool,
}

/// What readers see now.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// Of which projection.
    pub projection: ProjectionName,
    /// The generation that is live now.
    pub generation: i64,
    /// The one that was live before. It can become live again for a while.
    pub previous: Option<i64>,
    /// How they differ, if they were compared.
    pub comparison: Option<Comparison>,
}

/// What became of a generation that was to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It is gone.
    Gone,
    /// Somebody was still reading it. It is dropped when that has ended.
    Later,
}

/// Has readers see the generation of `projection` that is built and has caught up.
///
/// # Errors
/// [`Error::NothingToPromote`], [`Error::StillBuilding`], [`Error::NotCaughtUp`],
/// [`Error::TooDifferent`], [`Error::ReadersInTheWay`], [`Error::ViewsInTheWay`]: nothing has
/// changed then.
pub async fn promote(
    database_url: &str,
    journal: &Journal,
    projection: ProjectionName,
    options: PromoteOptions,
) -> Result<Changed, Error> {
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let mut connection = database::connect(&address).await?;
    let all = generation::generations(&mut connection, projection).await?;
    let building = in_state(&all, "building").ok_or(Error::NothingToPromote { projection })?;
    let id = GenerationId { projection, number: building.number };
    if let Some(phase) = unfinished_phase(&mut connection, id).await? {
        return Err(Error::StillBuilding { projection, generation: id.number, phase });
    }
    let comparison = match in_state(&all, "live") {
        Some(live) => {
            let same = live.version == building.version;
            let allowed = options.max_differing.unwrap_or(if same { 0 } else { u64::MAX });
            until_caught_up(&mut connection, journal, id).await?;
            let blue = GenerationId { projection, number: live.number };
            let comparison = compared(&address, journal, blue, id).await?;
            verdict::note_comparison(&mut connection, &comparison).await;
            if comparison.differing_at_most() > allowed {
                let comparison = Box::new(comparison);
                let refusal = Error::TooDifferent { projection, allowed, comparison };
                return Err(noted(&mut connection, id, refusal).await);
            }
            Some(comparison)
        }
        None => None,
    };
    let previous = match change(&address, &mut connection, journal, id, Way::Forward).await {
        Err(
            refusal @ (Error::ViewsInTheWay { .. }
            | Error::ReadersInTheWay { .. }
            | Error::NotCaughtUp { .. }),
        ) => return Err(noted(&mut connection, id, refusal).await),
        other => other?,
    };
    connection.close().await?;
    Ok(Changed { projection, generation: id.number, previous, comparison })
}

/// `refusal`, which is in the status from now on.
async fn noted(connection: &mut PgConnection, of: GenerationId, refusal: Error) -> Error {
    verdict::note_refusal(connection, of, &refusal.to_string()).await;
    refusal
}

fn in_state<'a>(all: &'a [Generation], state: &str) -> Option<&'a Generation> {
    all.iter().find(|generation| generation.state == state)
}

/// What is still being done to a generation, if it is not filled, or has not all its indexes.
pub(crate) async fn unfinished_phase(
    connection: &mut PgConnection,
    id: GenerationId,
) -> Result<Option<String>, Error> {
    const PHASE: &str = "select case when not coalesce(g.filled and p.indexed, false) \
             then coalesce(b.phase, 'waiting') end \
         from orderstore.projections p \
         left join orderstore.build_generations g \
         on g.projection = p.name and g.generation = p.generation \
         left join orderstore.builds b on b.id = g.build \
         where p.name = $1 and p.generation = $2";
    let phase = sqlx::query_scalar(PHASE).bind(id.projection.as_str()).bind(id.number);
    Ok(phase.fetch_optional(connection).await?.flatten())
}

/// Waits until `generation` has caught up: what it has not folded yet is no difference.
async fn until_caught_up(
    connection: &mut PgConnection,
    journal: &Journal,
    generation: GenerationId,
) -> Result<(), Error> {
    let until = Instant::now() + PATIENCE;
    loop {
        let all = bookkeeping::positions(connection, generation, Lock::None).await;
        let all = all.map_err(|failure| Error::of(generation.projection, failure))?;
        if all.iter().all(|slice| slice.caught_up) {
            return Ok(());
        }
        // Nobody works on it, so it will not get any further.
        if !is_held(connection, generation).await? || Instant::now() >= until {
            let lag = lag_of(connection, journal, generation).await?;
            return Err(not_caught_up(journal, generation, lag));
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

async fn compared(
    address: &PgConnectOptions,
    journal: &Journal,
    blue: GenerationId,
    green: GenerationId,
) -> Result<Comparison, Error> {
    let context = Context::new(address.clone(), journal.clone(), Options::default());
    let projection = green.projection;
    let comparison = compare(&context, projection, blue, green, Sums::OfGreen).await;
    comparison.map_err(|failure| Error::of(projection, failure))
}

/// Has readers see the generation of `projection` again that was live before the last promotion.
/// It has been kept up to date by those who work on its version, so nobody misses anything.
///
/// # Errors
/// [`Error::NothingToRollBackTo`]; [`Error::Stale`] where nobody has kept it up to date and that is
/// not allowed; [`Error::ReadersInTheWay`], [`Error::ViewsInTheWay`]. Nothing has changed then.
pub async fn rollback(
    database_url: &str,
    journal: &Journal,
    projection: ProjectionName,
    options: RollbackOptions,
) -> Result<Changed, Error> {
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let mut connection = database::connect(&address).await?;
    let all = generation::generations(&mut connection, projection).await?;
    let previous = in_state(&all, "previous").ok_or(Error::NothingToRollBackTo { projection })?;
    let id = GenerationId { projection, number: previous.number };
    let way = if options.allow_stale { Way::BackToStale } else { Way::Back };
    let previous = match change(&address, &mut connection, journal, id, way).await {
        Err(Error::NotCaughtUp { events, at_least, age, .. }) => {
            let generation = id.number;
            return Err(Error::Stale { projection, generation, events, at_least, age });
        }
        other => other?,
    };
    connection.close().await?;
    Ok(Changed { projection, generation: id.number, previous, comparison: None })
}

/// Drops a generation that is not live, and whatever is being built in it.
///
/// # Errors
/// [`Error::IsLive`], [`Error::NoSuchGeneration`].
pub async fn drop_generation(
    database_url: &str,
    projection: ProjectionName,
    number: i64,
) -> Result<Dropped, Error> {
    const STATE: &str = "select state from orderstore.projections \
         where name = $1 and generation = $2 for update";
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let mut connection = database::connect(&address).await?;
    let mut transaction = connection.begin().await?;
    let state: Option<String> = sqlx::query_scalar(STATE)
        .bind(projection.as_str())
        .bind(number)
        .fetch_optional(&mut *transaction)
        .await?;
    let id = GenerationId { projection, number };
    match state.as_deref() {
        None | Some("dropped") => {
            return Err(Error::NoSuchGeneration { projection, generation: number });
        }
        Some("live") => return Err(Error::IsLive { projection, generation: number }),
        Some(_) => generation::retire(&mut transaction, id).await?,
    }
    transaction.commit().await?;
    let gone = generation::drop_one(&mut connection, id).await?;
    connection.close().await?;
    Ok(if gone { Dropped::Gone } else { Dropped::Later })
}

/// Changes what readers see, if need be after a few tries: the generation that was live before.
async fn change(
    address: &PgConnectOptions,
    connection: &mut PgConnection,
    journal: &Journal,
    incoming: GenerationId,
    way: Way,
) -> Result<Option<i64>, Error> {
    let projection = incoming.projection;
    let until = Instant::now() + PATIENCE;
    let mut pause = BETWEEN_TRIES;
    loop {
        let changed = promotion::change(address, journal, incoming, way).await;
        let behind = match changed.map_err(|failure| Error::of(projection, failure))? {
            Change::Done { previous } => {
                sqlx::query("select pg_notify($1, '')").bind(FLEET).execute(connection).await?;
                return Ok(previous);
            }
            Change::Behind => true,
            Change::InTheWay => false,
            Change::Dependent { what } => return Err(Error::ViewsInTheWay { projection, what }),
        };
        if !behind {
            pause = (pause * 2).min(MOST_BETWEEN_TRIES);
        }
        // Nobody works on it, so it will not get any further.
        let hopeless = behind && !is_held(connection, incoming).await?;
        if hopeless || Instant::now() >= until {
            return Err(if behind {
                let lag = lag_of(connection, journal, incoming).await?;
                not_caught_up(journal, incoming, lag)
            } else {
                Error::ReadersInTheWay { projection }
            });
        }
        sleep(if behind { BETWEEN_TRIES } else { pause }).await;
    }
}

fn not_caught_up(journal: &Journal, id: GenerationId, lag: Lag) -> Error {
    let now = journal.clock().now();
    Error::NotCaughtUp {
        projection: id.projection,
        generation: id.number,
        events: lag.events,
        at_least: lag.at_least,
        age: lag.oldest.map_or(TimeDelta::zero(), |oldest| now - oldest),
    }
}

/// Whether somebody who is alive works on all slices of `generation`.
async fn is_held(connection: &mut PgConnection, generation: GenerationId) -> sqlx::Result<bool> {
    const HELD: &str = "select coalesce(bool_and(holder is not null \
         and updated_at >= clock_timestamp() - make_interval(secs => $3)), false) \
         from orderstore.checkpoints where projection = $1 and generation = $2";
    sqlx::query_scalar(HELD)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .bind(Options::default().take_over_after.as_secs_f64())
        .fetch_one(connection)
        .await
}

/// How far `generation` is behind the end of the log.
async fn lag_of(
    connection: &mut PgConnection,
    journal: &Journal,
    generation: GenerationId,
) -> Result<Lag, Error> {
    let reached = bookkeeping::positions(connection, generation, Lock::None).await?;
    let positions: Vec<Position> = reached.iter().map(|it| it.position).collect();
    let line = Line { category: lag::category_of(generation.projection), positions };
    let head = journal.head().await?;
    Ok(lag::lags(journal, &[line], head).await?.pop().unwrap_or_default())
}
