//! How readers come to see the first generation of a projection: never before it is complete.
//!
//! It is created together with its views, which refuse to be read at first: whoever sets a database
//! up has everything there to hand out rights to. What comes then depends on the log. Of one with
//! nothing in it the tables are complete already. One with next to nothing is folded in a moment by
//! ordinary workers, the last of which to catch up opens the views. Any other is what builds are for:
//! they fill the generation in bulk and have readers see it at the end.

use journal::{Filter, Journal, Position};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::bookkeeping::{self, GenerationId, Lock};
use crate::failure::Failure;
use crate::{Options, ProjectionName, views};

/// A log with no more events than a worker folds in a moment …
const FEW: usize = 1_000;
/// … among so many that are looked through, is not worth a build.
const LOOKED_THROUGH: usize = 10_000;

/// What is to be done for first generations that nobody sees yet.
#[derive(Debug, Default)]
pub(crate) struct Openings {
    /// Whether there is something to build.
    pub(crate) to_build: bool,
    /// Those that workers fold.
    pub(crate) to_fold: Vec<GenerationId>,
}

/// How much the log has for a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Nothing,
    /// Next to nothing.
    Little,
    Much,
}

/// Opens all first generations that nobody sees yet and for which there is nothing in the log; the
/// others are built or folded first.
///
/// # Errors
/// [`Failure::Journal`] while it cannot be found out how long the log is.
pub(crate) async fn open_or_build(
    connection: &mut PgConnection,
    journal: &Journal,
    options: &Options,
) -> Result<Openings, Failure> {
    let mut openings = Openings::default();
    let closed = closed(connection, options).await?;
    if closed.is_empty() {
        return Ok(openings);
    }
    let length = length(journal, &closed).await?;
    for generation in closed {
        match length {
            Length::Nothing => open(connection, generation).await?,
            Length::Much if leave_to_builds(connection, generation).await? => {
                openings.to_build = true;
            }
            // Of much, where somebody has written to it or another one is being built: readers see
            // this one until then.
            Length::Little | Length::Much => openings.to_fold.push(generation),
        }
    }
    Ok(openings)
}

/// Whether nobody sees `generation` although it is the live one.
pub(crate) async fn is_closed(
    connection: &mut PgConnection,
    generation: GenerationId,
) -> sqlx::Result<bool> {
    const IS_CLOSED: &str = "select exists (select from orderstore.projections \
         where name = $1 and generation = $2 and state = 'live' and not opened)";
    sqlx::query_scalar(IS_CLOSED)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .fetch_one(connection)
        .await
}

/// Has readers see `generation` if workers have brought all of it to the end of the log. Whether
/// they do now.
pub(crate) async fn open_if_complete(
    connection: &mut PgConnection,
    generation: GenerationId,
) -> Result<bool, Failure> {
    if !is_closed(connection, generation).await? {
        return Ok(true);
    }
    let slices = bookkeeping::positions(connection, generation, Lock::None).await?;
    let is_complete = slices.iter().all(|slice| slice.caught_up);
    if is_complete {
        open(connection, generation).await?;
    }
    Ok(is_complete)
}

/// The live generations that nobody sees yet, and that this build may work on.
async fn closed(
    connection: &mut PgConnection,
    options: &Options,
) -> sqlx::Result<Vec<GenerationId>> {
    const CLOSED: &str = "select name, generation, version from orderstore.projections \
         where state = 'live' and not opened order by name";
    let closed: Vec<(String, i64, i32)> = sqlx::query_as(CLOSED).fetch_all(connection).await?;
    let ours = |(name, number, version): (String, i64, i32)| {
        let projection: ProjectionName = name.parse().ok()?;
        let is_ours = options.version_of(projection) == version;
        is_ours.then_some(GenerationId { projection, number })
    };
    Ok(closed.into_iter().filter_map(ours).collect())
}

/// How much the log has for these generations together.
async fn length(journal: &Journal, closed: &[GenerationId]) -> Result<Length, Failure> {
    let categories: Vec<_> = closed.iter().map(|it| it.projection.category()).collect();
    let mut scan = journal.scan(Filter::categories(&categories), Position::START);
    let (mut events, mut looked_through) = (0, 0);
    while let Some(batch) = scan.next().await? {
        events += batch.events.len();
        looked_through += batch.examined;
        if events > FEW || looked_through > LOOKED_THROUGH {
            return Ok(Length::Much);
        }
    }
    Ok(if events == 0 { Length::Nothing } else { Length::Little })
}

/// Has builds fill the live generation of `projection`, if nobody sees it yet and nobody has written
/// to it.
pub(crate) async fn build_first(
    connection: &mut PgConnection,
    projection: ProjectionName,
    options: &Options,
) -> Result<Option<GenerationId>, Failure> {
    let closed = closed(connection, options).await?;
    let Some(first) = closed.into_iter().find(|it| it.projection == projection) else {
        return Ok(None);
    };
    Ok(leave_to_builds(connection, first).await?.then_some(first))
}

/// Has builds fill `generation`; false if it is not untouched, or another one is being built.
async fn leave_to_builds(
    connection: &mut PgConnection,
    generation: GenerationId,
) -> Result<bool, Failure> {
    const LEAVE: &str = "update orderstore.projections p set state = 'building', \
         since = clock_timestamp() \
         where p.name = $1 and p.generation = $2 and p.state = 'live' and not p.opened \
         and not exists (select from orderstore.projections other \
             where other.name = p.name and other.state = 'building') \
         and not exists (select from orderstore.checkpoints c \
             where c.projection = p.name and c.generation = p.generation \
             and (c.epoch > 0 or c.holder is not null))";
    const NOT_LIVE: &str =
        "update orderstore.checkpoints set live = false where projection = $1 and generation = $2";
    let mut transaction = bookkeeping::durable(connection).await?;
    let (name, number) = (generation.projection.as_str(), generation.number);
    let left = sqlx::query(LEAVE).bind(name).bind(number).execute(&mut *transaction).await?;
    if left.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(NOT_LIVE).bind(name).bind(number).execute(&mut *transaction).await?;
    transaction.commit().await?;
    tracing::info!(
        projection = name,
        "there is a log already: the first generation is built from it"
    );
    Ok(true)
}

/// Has readers see `generation` from now on, if it is still the live one.
async fn open(connection: &mut PgConnection, generation: GenerationId) -> Result<(), Failure> {
    const OPEN: &str = "update orderstore.projections set opened = true \
         where name = $1 and generation = $2 and state = 'live' and not opened";
    let mut transaction = connection.begin().await?;
    let opened = sqlx::query(OPEN)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .execute(&mut *transaction)
        .await?;
    if opened.rows_affected() > 0 {
        views::point(&mut transaction, None, generation).await?;
    }
    Ok(transaction.commit().await?)
}
