//! What is known about the projections in a database, from outside any worker; and setting it up.

use chrono::{DateTime, Utc};
use journal::{Journal, Position};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, FromRow};

use crate::code::codes;
use crate::{Error, ProjectionName, database, generation};

codes! {
    /// What a generation is for.
    GenerationState {
        /// It is being built.
        Building = "building",
        /// Readers see it.
        Live = "live",
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
    /// Everything up to here is in its rows.
    pub position: Position,
    /// How far it is behind the end of the log: a distance in the log's own unit (bytes in
    /// EventStoreDB, events in the embedded store); 0 when nothing is left to do.
    pub behind: u64,
    /// Whether its worker had nothing left to do when it was last seen.
    pub caught_up: bool,
    /// When its worker was last seen alive, by the database's clock.
    pub updated_at: DateTime<Utc>,
    /// Rows of its main table, about.
    pub rows: i64,
    /// Streams that it does not follow any more.
    pub quarantined: Vec<Quarantined>,
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
    const STATUS: &str = "select p.name, p.generation, p.version, p.state, \
         c.commit_position, c.prepare_position, c.caught_up, c.updated_at, \
         coalesce(s.n_live_tup, 0) as rows \
         from orderstore.projections p join orderstore.checkpoints c \
         on c.projection = p.name and c.generation = p.generation and c.slice = 0 \
         left join pg_stat_user_tables s \
         on s.schemaname = p.name || '_g' || p.generation and s.relname = p.name \
         order by p.name, p.generation";
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let head = journal.head().await?;
    let mut connection = database::connect(&address).await?;
    let rows: Vec<Row> = sqlx::query_as(STATUS).fetch_all(&mut connection).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        // A projection that this build does not know belongs to a newer one.
        let Ok(projection) = row.name.parse() else { continue };
        let position = Position::from_signed(row.commit_position, row.prepare_position)
            .unwrap_or(Position::START);
        let quarantined = quarantined(&mut connection, &row).await?;
        all.push(ProjectionStatus {
            projection,
            generation: row.generation,
            version: row.version,
            state: row.state,
            position,
            behind: head.commit.saturating_sub(position.commit),
            caught_up: row.caught_up,
            updated_at: row.updated_at,
            rows: row.rows,
            quarantined,
        });
    }
    connection.close().await?;
    Ok(all)
}

#[derive(FromRow)]
struct Row {
    name: String,
    generation: i64,
    version: i32,
    state: GenerationState,
    commit_position: i64,
    prepare_position: i64,
    caught_up: bool,
    updated_at: DateTime<Utc>,
    rows: i64,
}

async fn quarantined(connection: &mut PgConnection, row: &Row) -> sqlx::Result<Vec<Quarantined>> {
    const QUARANTINED: &str = "select stream, revision, error, since from orderstore.quarantine \
         where projection = $1 and generation = $2 order by stream";
    sqlx::query_as(QUARANTINED).bind(&row.name).bind(row.generation).fetch_all(connection).await
}
