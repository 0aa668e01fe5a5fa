//! What people do about streams that wait: try again, pass an event over, take that back.

use futures::future::BoxFuture;
use journal::Journal;
use schemas::StreamName;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::attempt::attempt;
use super::exceptions::Exceptions;
use crate::bookkeeping::{self, GenerationId};
use crate::database::{self, Trouble};
use crate::failure::Failure;
use crate::heal::{self, RebuiltStream};
use crate::projection::Projection;
use crate::projections::{With, with};
use crate::{Error, ProjectionName};

/// How often an intervention that met another one is tried again.
const TRIES: usize = 5;

/// Which streams to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All that wait.
    All,
    /// All that wait in one projection.
    Of(ProjectionName),
    /// One.
    One(ProjectionName, StreamName),
}

/// What came of trying a stream again in one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Which projection.
    pub projection: ProjectionName,
    /// Which of its generations.
    pub generation: i64,
    /// The stream.
    pub stream: StreamName,
    /// Events that are in its rows now and were not.
    pub applied: u64,
    /// Whether it is only noted, for whoever works on this generation to do: it is still being
    /// filled, or is of another version than this build.
    pub left_to_others: bool,
    /// Where and why it is stuck now; none if it goes on.
    pub stuck: Option<(u64, String)>,
}

/// Tries streams that wait again, each in a transaction of its own. What came of each.
///
/// # Errors
/// [`Error::NotQuarantined`] if one was named that does not wait; when the database or the event
/// store cannot be reached. Those that were tried before stay as they are then.
pub async fn retry(
    database_url: &str,
    journal: &Journal,
    which: &Which,
) -> Result<Vec<Tried>, Error> {
    let mut all = vec![];
    if let Which::One(projection, stream) = which {
        return intervene(database_url, journal, *projection, stream, &Deed::Retry).await;
    }
    for (projection, stream) in waiting(database_url, which).await? {
        match intervene(database_url, journal, projection, &stream, &Deed::Retry).await {
            Ok(tried) => all.extend(tried),
            // Somebody else has done it meanwhile.
            Err(Error::NotQuarantined { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// Passes over the event with which `stream` got stuck, as if it had changed nothing, and goes on
/// after it. Every generation of `projection` does so from now on, those that are built later too.
///
/// # Errors
/// [`Error::NotQuarantined`], [`Error::StuckElsewhere`]; when the database or the event store cannot
/// be reached.
pub async fn skip(
    database_url: &str,
    journal: &Journal,
    projection: ProjectionName,
    stream: &StreamName,
    skip: Skip,
) -> Result<Vec<Tried>, Error> {
    intervene(database_url, journal, projection, stream, &Deed::Skip(skip)).await
}

/// Takes back that events of `stream` are skipped, and folds it from its beginning. What came of
/// that in each generation: it may be stuck again.
///
/// # Errors
/// [`Error::NotSkipped`]; [`Error::BeingBuilt`] while a generation is being filled, which skips the
/// events already; when the database or the event store cannot be reached.
pub async fn unskip(
    database_url: &str,
    journal: &Journal,
    projection: ProjectionName,
    stream: &StreamName,
) -> Result<Vec<RebuiltStream>, Error> {
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let mut tries = 1;
    loop {
        let unskip = Unskip { address: &address, journal, stream };
        match with(projection, unskip).await {
            Err(stop) if stop.is_passing() && tries < TRIES => tries += 1,
            other => return other.map_err(|stop| stop.into_error(projection)),
        }
    }
}

/// An event to pass over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// Its revision.
    pub revision: u64,
    /// Who decided it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

enum Deed {
    Retry,
    Skip(Skip),
}

async fn waiting(
    database_url: &str,
    which: &Which,
) -> Result<Vec<(ProjectionName, StreamName)>, Error> {
    const WAITING: &str = "select projection, stream from orderstore.quarantine \
         where $1::text is null or projection = $1 \
         group by projection, stream order by min(since), projection, stream";
    let of = match which {
        Which::All => None,
        Which::Of(projection) | Which::One(projection, _) => Some(projection.as_str()),
    };
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let mut connection = database::connect(&address).await?;
    let rows: Vec<(String, String)> =
        sqlx::query_as(WAITING).bind(of).fetch_all(&mut connection).await?;
    connection.close().await?;
    let known = |(name, stream): (String, String)| Some((name.parse().ok()?, stream.parse().ok()?));
    Ok(rows.into_iter().filter_map(known).collect())
}

async fn intervene(
    database_url: &str,
    journal: &Journal,
    projection: ProjectionName,
    stream: &StreamName,
    deed: &Deed,
) -> Result<Vec<Tried>, Error> {
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let mut tries = 1;
    loop {
        let intervention = Intervention { address: &address, journal, stream, deed };
        match with(projection, intervention).await {
            Err(stop) if stop.is_passing() && tries < TRIES => tries += 1,
            other => return other.map_err(|stop| stop.into_error(projection)),
        }
    }
}

/// Why an intervention did not happen.
enum Stop {
    /// It makes no sense.
    Refusal(Error),
    Failure(Failure),
}

impl Stop {
    /// Whether it was somebody else's lock.
    fn is_passing(&self) -> bool {
        let Self::Failure(failure) = self else { return false };
        failure.trouble() == Some(Trouble::Locked)
    }

    fn into_error(self, projection: ProjectionName) -> Error {
        match self {
            Self::Refusal(error) => error,
            Self::Failure(failure) => Error::of(projection, failure),
        }
    }
}

impl<F: Into<Failure>> From<F> for Stop {
    fn from(failure: F) -> Self {
        Self::Failure(failure.into())
    }
}

/// A deed on one stream, in all generations of a projection at once.
struct Intervention<'a> {
    address: &'a PgConnectOptions,
    journal: &'a Journal,
    stream: &'a StreamName,
    deed: &'a Deed,
}

impl<'a> With for Intervention<'a> {
    type Output = BoxFuture<'a, Result<Vec<Tried>, Stop>>;

    fn with<P: Projection>(self) -> Self::Output {
        Box::pin(async move {
            let mut connection = database::connect_for_writing(self.address, "pg_catalog").await?;
            let done = self.act::<P>(&mut connection).await?;
            connection.close().await?;
            Ok(done)
        })
    }
}

/// A generation in which the stream is stuck.
struct Stuck {
    generation: GenerationId,
    /// Whether its tables are complete, and as this build has them.
    writable: bool,
    revision: i64,
}

impl Intervention<'_> {
    async fn act<P: Projection>(&self, connection: &mut PgConnection) -> Result<Vec<Tried>, Stop> {
        let mut transaction = bookkeeping::durable(connection).await?;
        bookkeeping::intervene(&mut transaction, P::NAME).await?;
        let stuck = self.stuck::<P>(&mut transaction).await?;
        if stuck.is_empty() {
            let stream = self.stream.clone();
            return Err(Stop::Refusal(Error::NotQuarantined { projection: P::NAME, stream }));
        }
        if let Deed::Skip(skip) = self.deed {
            self.note(&mut transaction, P::NAME, skip, &stuck).await?;
        }
        let exceptions = Exceptions::at_the_beginning(&mut transaction, P::NAME).await?;
        let mut all = Vec::with_capacity(stuck.len());
        for one in stuck {
            all.push(self.try_again::<P>(&mut transaction, &one, &exceptions).await?);
        }
        self.is_of_use(P::NAME, &all)?;
        transaction.commit().await?;
        Ok(all)
    }

    async fn stuck<P: Projection>(
        &self,
        connection: &mut PgConnection,
    ) -> sqlx::Result<Vec<Stuck>> {
        const STUCK: &str = "select q.generation, q.revision from orderstore.quarantine q join orderstore.projections p \
             on p.name = q.projection and p.generation = q.generation \
             where q.projection = $1 and q.stream = $2 and p.state not in ('retired', 'dropped') \
             order by q.generation";
        let writable = heal::writable::<P>(&mut *connection).await?;
        let rows: Vec<(i64, i64)> = sqlx::query_as(STUCK)
            .bind(P::NAME.as_str())
            .bind(self.stream.as_str())
            .fetch_all(connection)
            .await?;
        let stuck = |(number, revision)| {
            let generation = GenerationId { projection: P::NAME, number };
            Stuck { generation, writable: writable.contains(&generation), revision }
        };
        Ok(rows.into_iter().map(stuck).collect())
    }

    /// Notes that an event is passed over, if it is one with which the stream is stuck.
    async fn note(
        &self,
        connection: &mut PgConnection,
        projection: ProjectionName,
        skip: &Skip,
        stuck: &[Stuck],
    ) -> Result<(), Stop> {
        const NOTE: &str = "insert into orderstore.skipped \
             (projection, stream, revision, actor, reason) values ($1, $2, $3, $4, $5) \
             on conflict do nothing";
        let is_asked = |one: &&Stuck| u64::try_from(one.revision) == Ok(skip.revision);
        let Some(one) = stuck.iter().find(is_asked) else {
            return Err(Stop::Refusal(Error::StuckElsewhere {
                projection,
                stream: self.stream.clone(),
                asked: skip.revision,
                revisions: stuck.iter().map(|one| one.revision).collect(),
            }));
        };
        sqlx::query(NOTE)
            .bind(projection.as_str())
            .bind(self.stream.as_str())
            .bind(one.revision)
            .bind(&skip.actor)
            .bind(&skip.reason)
            .execute(connection)
            .await?;
        Ok(())
    }

    /// An event that is skipped and stays in the way is not what is wrong with the stream.
    fn is_of_use(&self, projection: ProjectionName, all: &[Tried]) -> Result<(), Stop> {
        let Deed::Skip(skip) = self.deed else { return Ok(()) };
        let stuck = all.iter().filter_map(|tried| tried.stuck.as_ref());
        match stuck.into_iter().find(|(revision, _)| *revision == skip.revision) {
            None => Ok(()),
            Some((revision, error)) => Err(Stop::Refusal(Error::SkippedInVain {
                projection,
                stream: self.stream.clone(),
                revision: *revision,
                error: error.clone(),
            })),
        }
    }

    async fn try_again<P: Projection>(
        &self,
        connection: &mut PgConnection,
        stuck: &Stuck,
        exceptions: &Exceptions,
    ) -> Result<Tried, Stop> {
        let generation = stuck.generation;
        let mut tried = Tried {
            projection: generation.projection,
            generation: generation.number,
            stream: self.stream.clone(),
            applied: 0,
            left_to_others: !stuck.writable,
            stuck: None,
        };
        if !stuck.writable {
            self.leave_to_others(connection, generation).await?;
            return Ok(tried);
        }
        sqlx::query("select set_config('search_path', $1, true)")
            .bind(generation.schema())
            .execute(&mut *connection)
            .await?;
        let outcome =
            attempt::<P>(connection, self.journal, generation, self.stream, exceptions).await?;
        tried.applied = outcome.tally.applied;
        tried.stuck = outcome.stuck.map(|stuck| (stuck.revision, stuck.error.to_string()));
        Ok(tried)
    }

    /// Whoever works on `generation` tries the stream as soon as it can.
    async fn leave_to_others(
        &self,
        connection: &mut PgConnection,
        generation: GenerationId,
    ) -> sqlx::Result<()> {
        const UNTRIED: &str = "update orderstore.quarantine set build = null \
             where projection = $1 and generation = $2 and stream = $3";
        sqlx::query(UNTRIED)
            .bind(generation.projection.as_str())
            .bind(generation.number)
            .bind(self.stream.as_str())
            .execute(connection)
            .await
            .map(drop)
    }
}

/// The way back from skipped events, in all generations of a projection at once.
struct Unskip<'a> {
    address: &'a PgConnectOptions,
    journal: &'a Journal,
    stream: &'a StreamName,
}

impl<'a> With for Unskip<'a> {
    type Output = BoxFuture<'a, Result<Vec<RebuiltStream>, Stop>>;

    fn with<P: Projection>(self) -> Self::Output {
        const FORGET: &str = "delete from orderstore.skipped where projection = $1 and stream = $2";
        const BEING_FILLED: &str = "select exists (select from orderstore.build_generations b \
             join orderstore.projections p on p.name = b.projection and p.generation = b.generation \
             where b.projection = $1 and not b.filled and p.state = 'building')";
        Box::pin(async move {
            let projection = P::NAME;
            let mut connection = database::connect_for_writing(self.address, "pg_catalog").await?;
            let mut transaction = bookkeeping::durable(&mut connection).await?;
            bookkeeping::intervene(&mut transaction, projection).await?;
            let being_filled: bool = sqlx::query_scalar(BEING_FILLED)
                .bind(projection.as_str())
                .fetch_one(&mut *transaction)
                .await?;
            if being_filled {
                return Err(Stop::Refusal(Error::BeingBuilt { projection }));
            }
            let forgotten = sqlx::query(FORGET)
                .bind(projection.as_str())
                .bind(self.stream.as_str())
                .execute(&mut *transaction)
                .await?;
            let stream = self.stream.clone();
            if forgotten.rows_affected() == 0 {
                return Err(Stop::Refusal(Error::NotSkipped { projection, stream }));
            }
            let rebuilt = heal::heal_within::<P>(&mut transaction, self.journal, &[stream]).await?;
            transaction.commit().await?;
            connection.close().await?;
            Ok(rebuilt)
        })
    }
}
