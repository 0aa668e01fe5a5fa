//! Whether a log can be the one that rows were made of. Whoever compares rows with a log, or makes
//! them anew from it, asks first: to a log that lacks their events all rows look superfluous.

use journal::{Journal, Position};
use schemas::StreamName;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use crate::bookkeeping::GenerationId;
use crate::failure::{Failure, is_about_events};
use crate::projections::Definition;
use crate::{Error, ProjectionName};

/// The streams of so many rows are looked for, of the first and of the last by their keys. In the
/// right log the first one is found.
const AT_EITHER_END: u32 = 8;
/// Fewer rows than these prove nothing: somebody may have written them.
const FEWEST: usize = 3;

/// # Errors
/// [`Error::AnotherLog`] when the live rows of `projection` are further than the log goes,
/// [`Error::UnrelatedLog`] when it has none of the streams that they are of.
pub(crate) async fn refuse(
    connection: &mut PgConnection,
    journal: &Journal,
    projection: ProjectionName,
) -> Result<(), Error> {
    const FURTHEST: &str = "select p.generation, c.commit_position, c.prepare_position \
         from orderstore.checkpoints c join orderstore.projections p \
         on p.name = c.projection and p.generation = c.generation \
         where p.name = $1 and p.state = 'live' order by 2 desc, 3 desc limit 1";
    let furthest: Option<(i64, i64, i64)> =
        sqlx::query_as(FURTHEST).bind(projection.as_str()).fetch_optional(&mut *connection).await?;
    let Some((number, commit, prepare)) = furthest else { return Ok(()) };
    let rows = Position::from_signed(commit, prepare).ok_or(Failure::Position)?;
    let log = journal.head().await?;
    if log < rows {
        return Err(Error::AnotherLog { projection, rows, log });
    }
    let streams = some_streams(connection, GenerationId { projection, number }).await?;
    if streams.len() >= FEWEST && !has_one_of(journal, &streams).await? {
        return Err(Error::UnrelatedLog { projection, streams: streams.len() });
    }
    Ok(())
}

async fn some_streams(
    connection: &mut PgConnection,
    generation: GenerationId,
) -> sqlx::Result<Vec<StreamName>> {
    let (table, schema) = (Definition::of_name(generation.projection).main, generation.schema());
    let category = generation.projection.category();
    let end = |direction| {
        format!(
            "(select {0} as owner from {schema}.{1} order by {0} {direction} limit {AT_EITHER_END})",
            table.owner, table.name
        )
    };
    let some = format!("select owner::text from ({} union {}) s", end("asc"), end("desc"));
    let owners: Vec<String> = sqlx::query_scalar(AssertSqlSafe(some)).fetch_all(connection).await?;
    Ok(owners.into_iter().map(|owner| StreamName::new(category, owner)).collect())
}

async fn has_one_of(journal: &Journal, streams: &[StreamName]) -> Result<bool, journal::Error> {
    for stream in streams {
        match journal.read_last(stream, 1).await {
            Ok(last) if last.is_empty() => {}
            Ok(_) => return Ok(true),
            // It knows of it.
            Err(error) if is_about_events(&error) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
