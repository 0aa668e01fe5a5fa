//! What is known about quarantined streams, for whoever has to decide what to do about them.

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use journal::{Journal, Recorded};
use schemas::{Metadata, StreamName};
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, FromRow};
use uuid::Uuid;

use crate::bookkeeping::GenerationId;
use crate::failure::is_about_events;
use crate::projection::Projection;
use crate::projections::{With, with};
use crate::{Error, ProjectionName, database};

/// So many streams are asked at once how long they are.
const ASKED_AT_ONCE: usize = 16;

/// A stream that a generation does not follow any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Which projection.
    pub projection: ProjectionName,
    /// Which of its generations.
    pub generation: i64,
    /// Whether readers see that generation.
    pub live: bool,
    /// The stream.
    pub stream: StreamName,
    /// Revision of the event that could not be folded.
    pub revision: i64,
    /// Type of that event, as stored; none if it cannot be read.
    pub event_type: Option<String>,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Why it could not be folded.
    pub error: String,
    /// The build that tried last.
    pub build: Option<String>,
    /// Later events of the stream, which wait; none if the stream cannot be read.
    pub waiting: Option<u64>,
}

/// Everything about one stream that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// In which generations it waits.
    pub waiting: Vec<Waiting>,
    /// The event that could not be folded; none if it cannot be read.
    pub event: Option<Event>,
    /// The row of the main table that readers see meanwhile; none if there is none.
    pub row: Option<Value>,
    /// Events of the stream that are skipped.
    pub skipped: Vec<SkippedEvent>,
}

/// An event that could not be folded.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: Uuid,
    /// Its type, as stored.
    pub event_type: String,
    /// Its revision.
    pub revision: u64,
    /// Its place in the log.
    pub position: journal::Position,
    /// Who, why and because of what.
    pub metadata: Metadata,
    /// What it says, if that is JSON. Personal data in it are sealed.
    pub data: Option<Value>,
    /// How many bytes that is.
    pub bytes: usize,
}

/// An event that is passed over.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct SkippedEvent {
    /// Its revision.
    pub revision: i64,
    /// Who decided it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// All streams that wait, those that have waited longest first.
///
/// # Errors
/// When the database cannot be reached or is not set up, or the event store cannot be reached.
pub async fn list(database_url: &str, journal: &Journal) -> Result<Vec<Waiting>, Error> {
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let mut connection = database::connect(&address).await?;
    let rows = rows(&mut connection, None).await?;
    connection.close().await?;
    lengths(rows, journal).await
}

/// Everything about `stream`, which waits in `projection`.
///
/// # Errors
/// [`Error::NotQuarantined`]; when the database or the event store cannot be reached.
pub async fn show(
    database_url: &str,
    journal: &Journal,
    projection: ProjectionName,
    stream: &StreamName,
) -> Result<Case, Error> {
    const SKIPPED: &str = "select revision, actor, reason, at from orderstore.skipped \
         where projection = $1 and stream = $2 order by revision";
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let mut connection = database::connect(&address).await?;
    let rows = rows(&mut connection, Some((projection, stream))).await?;
    let skipped: Vec<SkippedEvent> = sqlx::query_as(SKIPPED)
        .bind(projection.as_str())
        .bind(stream.as_str())
        .fetch_all(&mut connection)
        .await?;
    let waiting = lengths(rows, journal).await?;
    // What readers see is told about if they see it.
    let Some(first) = waiting.iter().find(|it| it.live).or(waiting.first()) else {
        return Err(Error::NotQuarantined { projection, stream: stream.clone() });
    };
    let generation = GenerationId { projection, number: first.generation };
    let row = with(projection, ReadRow { connection: &mut connection, generation, stream });
    let row = row.await?;
    let event = match u64::try_from(first.revision) {
        Ok(revision) => event(journal, stream, revision).await?,
        Err(_) => None,
    };
    connection.close().await?;
    Ok(Case { waiting, event, row, skipped })
}

async fn event(
    journal: &Journal,
    stream: &StreamName,
    revision: u64,
) -> Result<Option<Event>, Error> {
    match journal.read(stream, revision).try_next().await {
        Ok(event) => Ok(event.filter(|event| event.revision == revision).map(Event::from)),
        Err(error) if !is_about_events(&error) => Err(error.into()),
        // It is not ours, or gone. The error in the list says so.
        Err(_) => Ok(None),
    }
}

impl From<Recorded> for Event {
    fn from(event: Recorded) -> Self {
        Self {
            id: event.event_id,
            event_type: event.event_type,
            revision: event.revision,
            position: event.position,
            metadata: event.metadata,
            data: serde_json::from_slice(&event.data).ok(),
            bytes: event.data.len(),
        }
    }
}

#[derive(FromRow)]
struct Row {
    projection: String,
    generation: i64,
    state: String,
    stream: String,
    revision: i64,
    event_type: Option<String>,
    since: DateTime<Utc>,
    error: String,
    build: Option<String>,
}

impl Row {
    /// `None` for what belongs to a newer build.
    fn read(self) -> Option<Waiting> {
        Some(Waiting {
            projection: self.projection.parse().ok()?,
            generation: self.generation,
            live: self.state == "live",
            stream: self.stream.parse().ok()?,
            revision: self.revision,
            event_type: self.event_type,
            since: self.since,
            error: self.error,
            build: self.build,
            waiting: None,
        })
    }
}

async fn rows(
    connection: &mut PgConnection,
    one: Option<(ProjectionName, &StreamName)>,
) -> sqlx::Result<Vec<Waiting>> {
    const ROWS: &str = "select q.projection, q.generation, p.state, q.stream, q.revision, \
         q.event_type, q.since, q.error, q.build \
         from orderstore.quarantine q join orderstore.projections p \
         on p.name = q.projection and p.generation = q.generation \
         where p.state not in ('retired', 'dropped') \
         and ($1::text is null or q.projection = $1 and q.stream = $2) \
         order by q.since, q.projection, q.stream, q.generation";
    let rows: Vec<Row> = sqlx::query_as(ROWS)
        .bind(one.map(|(projection, _)| projection.as_str()))
        .bind(one.map(|(_, stream)| stream.as_str()))
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().filter_map(Row::read).collect())
}

/// How many events wait in each.
async fn lengths(rows: Vec<Waiting>, journal: &Journal) -> Result<Vec<Waiting>, Error> {
    let ask = async |mut row: Waiting| {
        row.waiting = match journal.read_last(&row.stream, 1).await {
            Ok(last) => last.last().map(|last| {
                last.revision.saturating_sub(u64::try_from(row.revision).unwrap_or(u64::MAX))
            }),
            Err(error) if !is_about_events(&error) => return Err(Error::from(error)),
            Err(_) => None,
        };
        Ok(row)
    };
    stream::iter(rows).map(ask).buffered(ASKED_AT_ONCE).try_collect().await
}

/// Reads the row of a stream, whatever it looks like.
struct ReadRow<'a> {
    connection: &'a mut PgConnection,
    generation: GenerationId,
    stream: &'a StreamName,
}

impl<'a> With for ReadRow<'a> {
    type Output = futures::future::BoxFuture<'a, Result<Option<Value>, Error>>;

    fn with<P: Projection>(self) -> Self::Output {
        let Self { connection, generation, stream } = self;
        Box::pin(async move {
            let Ok(_) = crate::projection::id_of::<P>(stream) else { return Ok(None) };
            let Some(table) = P::ROWS.first() else { return Ok(None) };
            let Some(key) = table.key_columns().next() else { return Ok(None) };
            // Built of names in our own code, and of a number.
            let row = format!(
                "select to_jsonb(t) from {}.{} t where t.{} = $1::{}",
                generation.schema(),
                table.name,
                key.name,
                key.of.sql
            );
            let row = sqlx::query_scalar(AssertSqlSafe(row)).bind(stream.id());
            Ok(row.fetch_optional(connection).await?)
        })
    }
}
