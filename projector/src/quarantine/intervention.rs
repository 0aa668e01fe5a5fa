//! What people do about streams that wait: try again, or pass an event over.

use futures::TryStreamExt;
use futures::future::BoxFuture;
use journal::Journal;
use schemas::StreamName;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::attempt::attempt;
use super::exceptions::Exceptions;
use super::ledger;
use super::places::{self, Place, places};
use crate::bookkeeping::{self, GenerationId};
use crate::database::{self, Trouble};
use crate::failure::Failure;
use crate::heal::{self, RebuiltStream, StreamOutcome};
use crate::projection::Projection;
use crate::projections::{With, with};
use crate::{Error, ProjectionName, another_log};

/// How often an intervention that met another one is tried again.
pub(super) const TRIES: usize = 5;

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

impl From<RebuiltStream> for Tried {
    fn from(rebuilt: RebuiltStream) -> Self {
        let RebuiltStream { projection, generation, stream, outcome } = rebuilt;
        let (applied, stuck) = match outcome {
            StreamOutcome::Rebuilt { events } => (events, None),
            StreamOutcome::Gone => (0, None),
            StreamOutcome::Quarantined { revision, error } => (0, Some((revision, error))),
        };
        Self { projection, generation, stream, applied, left_to_others: false, stuck }
    }
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
/// One that is not live and that this event did not stop is folded again without it.
///
/// # Errors
/// [`Error::NotQuarantined`], [`Error::StuckElsewhere`]; [`Error::InLiveRows`] where readers see
/// what the event has changed; [`Error::BeingBuilt`] while a generation is being filled,
/// [`Error::PastElsewhere`], [`Error::BeginningGone`] when not all generations could be made to pass
/// over it; when the database or the event store cannot be reached.
pub async fn skip(
    database_url: &str,
    journal: &Journal,
    projection: ProjectionName,
    stream: &StreamName,
    skip: Skip,
) -> Result<Vec<Tried>, Error> {
    intervene(database_url, journal, projection, stream, &Deed::Skip(skip)).await
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
    let mut connection = database::connect(&address).await?;
    another_log::refuse(&mut connection, journal, projection).await?;
    connection.close().await?;
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
pub(super) enum Stop {
    /// It makes no sense.
    Refusal(Error),
    Failure(Failure),
}

impl Stop {
    /// Whether it was somebody else's lock.
    pub(super) fn is_passing(&self) -> bool {
        let Self::Failure(failure) = self else { return false };
        failure.trouble() == Some(Trouble::Locked)
    }

    pub(super) fn into_error(self, projection: ProjectionName) -> Error {
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

impl Intervention<'_> {
    async fn act<P: Projection>(&self, connection: &mut PgConnection) -> Result<Vec<Tried>, Stop> {
        let mut transaction = bookkeeping::durable(connection).await?;
        bookkeeping::intervene(&mut transaction, P::NAME).await?;
        let places = places::<P>(&mut transaction, self.stream).await?;
        if places.iter().all(|place| place.stuck.is_none()) {
            let stream = self.stream.clone();
            return Err(Stop::Refusal(Error::NotQuarantined { projection: P::NAME, stream }));
        }
        let past = match self.deed {
            Deed::Retry => vec![],
            Deed::Skip(skip) => {
                self.note(&mut transaction, P::NAME, skip, &places).await?;
                self.past::<P>(&mut transaction, skip, &places).await?
            }
        };
        let exceptions = Exceptions::at_the_beginning(&mut transaction, P::NAME).await?;
        let mut all = Vec::with_capacity(places.len());
        for place in &places {
            if place.stuck.is_some() && !past.contains(&place.generation) {
                all.push(self.try_again::<P>(&mut transaction, place, &exceptions).await?);
            }
        }
        if !past.is_empty() {
            all.extend(self.fold_again::<P>(&mut transaction, &past).await?);
        }
        self.is_of_use(P::NAME, &all)?;
        transaction.commit().await?;
        Ok(all)
    }

    /// The generations with rows that an event to skip has changed: they must be folded again.
    async fn past<P: Projection>(
        &self,
        connection: &mut PgConnection,
        skip: &Skip,
        places: &[Place],
    ) -> Result<Vec<GenerationId>, Stop> {
        let (stream, revision) = (self.stream, skip.revision);
        if places::is_being_filled(&mut *connection, P::NAME).await? {
            return Err(Stop::Refusal(Error::BeingBuilt { projection: P::NAME, paused: false }));
        }
        let past = places::with_event::<P>(&mut *connection, stream, revision, places).await?;
        if past.iter().any(|place| place.live) {
            let (projection, stream) = (P::NAME, stream.clone());
            return Err(Stop::Refusal(Error::InLiveRows { projection, stream, revision }));
        }
        let elsewhere =
            places::past_elsewhere(connection, self.journal, stream, revision, places).await?;
        if let Some(error) = elsewhere {
            return Err(Stop::Refusal(error));
        }
        if !past.is_empty() && self.has_lost_its_beginning().await? {
            return Err(Stop::Refusal(Error::BeginningGone { stream: stream.clone() }));
        }
        Ok(past.into_iter().map(|place| place.generation).collect())
    }

    async fn has_lost_its_beginning(&self) -> Result<bool, Failure> {
        match self.journal.read(self.stream, 0).try_next().await {
            Ok(first) => Ok(first.is_some_and(|first| first.revision > 0)),
            Err(journal::Error::Foreign { revision, .. }) => Ok(revision > 0),
            Err(error) => Err(error.into()),
        }
    }

    /// Folds the stream again. What came of it in the generations `past`.
    async fn fold_again<P: Projection>(
        &self,
        connection: &mut PgConnection,
        past: &[GenerationId],
    ) -> Result<Vec<Tried>, Failure> {
        let streams = std::slice::from_ref(self.stream);
        let rebuilt = heal::heal_within::<P>(connection, self.journal, streams).await?;
        let here = rebuilt
            .into_iter()
            .filter(|it| past.iter().any(|generation| generation.number == it.generation));
        Ok(here.map(Tried::from).collect())
    }

    /// Notes that an event is passed over, if it is one with which the stream is stuck.
    async fn note(
        &self,
        connection: &mut PgConnection,
        projection: ProjectionName,
        skip: &Skip,
        places: &[Place],
    ) -> Result<(), Stop> {
        const NOTE: &str = "insert into orderstore.skipped \
             (projection, stream, revision, actor, reason) values ($1, $2, $3, $4, $5) \
             on conflict do nothing";
        let revisions: Vec<i64> = places.iter().filter_map(|place| place.stuck).collect();
        let is_asked = |revision: &&i64| u64::try_from(**revision) == Ok(skip.revision);
        let Some(revision) = revisions.iter().find(is_asked) else {
            return Err(Stop::Refusal(Error::StuckElsewhere {
                projection,
                stream: self.stream.clone(),
                asked: skip.revision,
                revisions,
            }));
        };
        sqlx::query(NOTE)
            .bind(projection.as_str())
            .bind(self.stream.as_str())
            .bind(revision)
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
        place: &Place,
        exceptions: &Exceptions,
    ) -> Result<Tried, Stop> {
        let generation = place.generation;
        let mut tried = Tried {
            projection: generation.projection,
            generation: generation.number,
            stream: self.stream.clone(),
            applied: 0,
            left_to_others: !place.writable,
            stuck: None,
        };
        if !place.writable {
            ledger::leave(connection, generation, self.stream).await?;
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
}
