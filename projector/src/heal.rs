//! Folds single streams again, into rows that are wrong or that nobody trusts any more.

use futures::TryStreamExt;
use futures::future::BoxFuture;
use journal::Journal;
use schemas::{Aggregate, StreamName};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use crate::bookkeeping::{self, GenerationId};
use crate::compare::layout::Owner;
use crate::compare::sums;
use crate::database::Trouble;
use crate::failure::Failure;
use crate::projection::{Change, Projection, id_of};
use crate::projections::{With, with};
use crate::quarantine::{self, Exceptions};
use crate::worker::Context;
use crate::{Error, Options, ProjectionName, another_log, database};

/// How often it is tried when somebody else holds a lock.
const TRIES: u32 = 5;

/// A stream whose rows were folded again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuiltStream {
    /// By which projection.
    pub projection: ProjectionName,
    /// In which of its generations.
    pub generation: i64,
    /// Which stream.
    pub stream: StreamName,
    /// What came of it.
    pub outcome: StreamOutcome,
}

/// What came of folding a stream again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamOutcome {
    /// Its rows are what its events make them.
    Rebuilt {
        /// How many events that are.
        events: u64,
    },
    /// There is no such stream any more, and so it has no rows.
    Gone,
    /// It is quarantined: an event cannot be folded.
    Quarantined {
        /// Revision of that event.
        revision: u64,
        /// Why.
        error: String,
    },
}

/// Deletes the rows of one stream and folds them again, in every projection that folds it: in the
/// live generation and in those beside it that this build can write. Readers see the old rows until
/// the new ones are there, and live work waits meanwhile. Sums over many streams move by what the
/// rows said before and say now; only where that cannot be told are they worked out again.
///
/// # Errors
/// [`Error::NoProjection`] when no projection folds such streams, [`Error::BeginningGone`] when the
/// rows could not be made again, [`Error::AnotherLog`] or [`Error::UnrelatedLog`] when the log is not
/// the one that they were made of.
pub async fn rebuild_stream(
    database_url: &str,
    journal: Journal,
    stream: &StreamName,
) -> Result<Vec<RebuiltStream>, Error> {
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let context = Context::new(address, journal, Options::default());
    let (mut rebuilt, mut known) = (vec![], false);
    for name in ProjectionName::ALL {
        let one = One { context: context.clone(), stream: stream.clone() };
        if let Some(here) = with(name, one).await? {
            known = true;
            rebuilt.extend(here);
        }
    }
    if known { Ok(rebuilt) } else { Err(Error::NoProjection { stream: stream.clone() }) }
}

/// One stream in one projection, if that folds it.
struct One {
    context: Context,
    stream: StreamName,
}

impl With for One {
    type Output = BoxFuture<'static, Result<Option<Vec<RebuiltStream>>, Error>>;

    fn with<P: Projection>(self) -> Self::Output {
        Box::pin(async move {
            let Self { context, stream } = self;
            if P::Source::CATEGORY != stream.category() {
                return Ok(None);
            }
            let mut connection = database::connect(&context.address).await?;
            another_log::refuse(&mut connection, &context.journal, P::NAME).await?;
            connection.close().await?;
            let first = context.journal.read(&stream, 0).try_next().await?;
            if first.is_some_and(|first| first.revision > 0) {
                return Err(Error::BeginningGone { stream });
            }
            let streams = std::slice::from_ref(&stream);
            let rebuilt = heal::<P>(&context, streams).await;
            rebuilt.map(Some).map_err(|failure| Error::of(P::NAME, failure))
        })
    }
}

/// Folds `streams` again in all generations that this build can write, in one transaction. Live
/// work waits for its end, so there should not be many. Sums move by the difference; they are worked
/// out again, from all rows, where no streams are named.
pub(crate) async fn heal<P: Projection>(
    context: &Context,
    streams: &[StreamName],
) -> Result<Vec<RebuiltStream>, Failure> {
    let mut tries = 1;
    loop {
        match try_to_heal::<P>(context, streams).await {
            Err(Failure::Database(error))
                if Trouble::of(&error) == Trouble::Locked && tries < TRIES =>
            {
                tries += 1;
            }
            other => return other,
        }
    }
}

async fn try_to_heal<P: Projection>(
    context: &Context,
    streams: &[StreamName],
) -> Result<Vec<RebuiltStream>, Failure> {
    let mut connection = database::connect_for_writing(&context.address, "pg_catalog").await?;
    let mut transaction = bookkeeping::durable(&mut connection).await?;
    bookkeeping::intervene(&mut transaction, P::NAME).await?;
    let rebuilt = heal_within::<P>(&mut transaction, &context.journal, streams).await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(rebuilt)
}

/// The same, in a transaction that [`intervene`](bookkeeping::intervene)s already.
pub(crate) async fn heal_within<P: Projection>(
    transaction: &mut PgConnection,
    journal: &Journal,
    streams: &[StreamName],
) -> Result<Vec<RebuiltStream>, Failure> {
    let exceptions = Exceptions::at_the_beginning(&mut *transaction, P::NAME).await?;
    let mut rebuilt = vec![];
    for generation in writable::<P>(&mut *transaction).await? {
        let schema = generation.schema();
        sqlx::query("select set_config('search_path', $1, true)")
            .bind(&schema)
            .execute(&mut *transaction)
            .await?;
        let mut sums_follow = !streams.is_empty();
        for stream in streams {
            let Refolded { outcome, settled } =
                refold::<P>(&mut *transaction, journal, generation, stream, &exceptions).await?;
            sums_follow &= settled;
            let (projection, generation, stream) = (P::NAME, generation.number, stream.clone());
            rebuilt.push(RebuiltStream { projection, generation, stream, outcome });
        }
        let repaired =
            if sums_follow { 0 } else { sums::repair::<P>(&mut *transaction, &schema).await? };
        tracing::info!(
            projection = %P::NAME, generation = generation.number, streams = streams.len(),
            sums = repaired, "streams were folded again"
        );
    }
    Ok(rebuilt)
}

/// The generations whose tables are complete and as this build has them.
pub(crate) async fn writable<P: Projection>(
    connection: &mut PgConnection,
) -> sqlx::Result<Vec<GenerationId>> {
    const WRITABLE: &str = "select p.generation from orderstore.projections p \
         where p.name = $1 and p.version = $2 and p.state in ('building', 'live', 'previous') \
         and not exists (select from orderstore.build_generations b \
             where b.projection = p.name and b.generation = p.generation and not b.filled) \
         order by p.generation";
    let numbers: Vec<i64> = sqlx::query_scalar(WRITABLE)
        .bind(P::NAME.as_str())
        .bind(P::VERSION)
        .fetch_all(connection)
        .await?;
    let generation = |number| GenerationId { projection: P::NAME, number };
    Ok(numbers.into_iter().map(generation).collect())
}

/// A stream that was folded again in one generation.
struct Refolded {
    outcome: StreamOutcome,
    /// Whether the sums have moved with its rows.
    settled: bool,
}

/// Deletes the rows of `stream` and folds it from its beginning to its end. What of it is after the
/// checkpoint comes again, as duplicates.
async fn refold<P: Projection>(
    transaction: &mut PgConnection,
    journal: &Journal,
    generation: GenerationId,
    stream: &StreamName,
    exceptions: &Exceptions,
) -> Result<Refolded, Failure> {
    let before = kept::<P>(&mut *transaction, stream).await?;
    delete::<P>(&mut *transaction, generation, stream).await?;
    let attempt =
        quarantine::attempt_rows::<P>(transaction, journal, generation, stream, exceptions).await?;
    let now = kept::<P>(&mut *transaction, stream).await?;
    let settled = settle::<P>(&mut *transaction, &before, &now).await?;
    let outcome = match attempt.stuck {
        Some(stuck) => {
            StreamOutcome::Quarantined { revision: stuck.revision, error: stuck.error.to_string() }
        }
        None if attempt.tally.applied == 0 => StreamOutcome::Gone,
        None => StreamOutcome::Rebuilt { events: attempt.tally.applied },
    };
    Ok(Refolded { outcome, settled })
}

/// What is kept of a stream.
enum Kept<S> {
    Nothing,
    State(S),
    /// Nobody can read it.
    Unreadable,
}

async fn kept<P: Projection>(
    transaction: &mut PgConnection,
    stream: &StreamName,
) -> sqlx::Result<Kept<P::State>> {
    // A name that is not that of any aggregate has no state.
    let Ok(id) = id_of::<P>(stream) else { return Ok(Kept::Nothing) };
    match P::load(transaction, &[P::key(&id)]).await {
        Ok(mut states) => Ok(states.pop().map_or(Kept::Nothing, Kept::State)),
        Err(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => Ok(Kept::Unreadable),
        Err(error) => Err(error),
    }
}

/// Deletes whatever rows have `stream` as their owner.
async fn delete<P: Projection>(
    transaction: &mut PgConnection,
    generation: GenerationId,
    stream: &StreamName,
) -> sqlx::Result<()> {
    let is_known = id_of::<P>(stream).is_ok();
    for table in P::ROWS {
        let Owner { column, of } = Owner::of(table);
        // A name that no aggregate has may be another way to write the id of one that is there.
        let same = if is_known {
            format!("{column} = $1::text::{of}")
        } else {
            format!("{column}::text = $1::text")
        };
        let schema = generation.schema();
        let delete = AssertSqlSafe(format!("delete from {schema}.{} where {same}", table.name));
        sqlx::query(delete).bind(stream.id()).execute(&mut *transaction).await?;
    }
    Ok(())
}

/// Moves the sums by what the rows of a stream said before and say now. Whether that could be told:
/// of rows that were gone, or that nobody can read, it is not known what was counted.
async fn settle<P: Projection>(
    transaction: &mut PgConnection,
    before: &Kept<P::State>,
    now: &Kept<P::State>,
) -> Result<bool, Failure> {
    let (before, now) = match (before, now) {
        _ if P::DERIVED.is_empty() => return Ok(true),
        (Kept::Nothing, Kept::Nothing) => return Ok(true),
        (Kept::State(before), Kept::State(now)) => (before, now),
        (Kept::Nothing | Kept::Unreadable, _) | (_, Kept::Nothing | Kept::Unreadable) => {
            return Ok(false);
        }
    };
    let mut savepoint = transaction.begin().await?;
    match P::settle(&mut savepoint, &[Change { before: Some(before), now }]).await {
        Ok(()) => savepoint.commit().await?,
        // Sums that were wrong already need not allow it.
        Err(error) if Trouble::of(&error) == Trouble::Data => {
            savepoint.rollback().await?;
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(true)
}
