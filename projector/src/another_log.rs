//! Whether a log can be the one that rows were made of. Whoever compares rows with a log, or makes
//! them anew from it, asks first: to a log that lacks their events all rows look superfluous.

use journal::{Journal, Position};
use sqlx::postgres::PgConnection;

use crate::failure::Failure;
use crate::{Error, ProjectionName};

/// # Errors
/// [`Error::AnotherLog`] when the live rows of `projection` are further than the log goes.
pub(crate) async fn refuse(
    connection: &mut PgConnection,
    journal: &Journal,
    projection: ProjectionName,
) -> Result<(), Error> {
    const FURTHEST: &str = "select c.commit_position, c.prepare_position \
         from orderstore.checkpoints c join orderstore.projections p \
         on p.name = c.projection and p.generation = c.generation \
         where p.name = $1 and p.state = 'live' order by 1 desc, 2 desc limit 1";
    let furthest: Option<(i64, i64)> =
        sqlx::query_as(FURTHEST).bind(projection.as_str()).fetch_optional(connection).await?;
    let Some((commit, prepare)) = furthest else { return Ok(()) };
    let rows = Position::from_signed(commit, prepare).ok_or(Failure::Position)?;
    let log = journal.head().await?;
    if log < rows { Err(Error::AnotherLog { projection, rows, log }) } else { Ok(()) }
}
