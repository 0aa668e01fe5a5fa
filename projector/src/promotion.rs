//! Which generation readers see: promotion of one that is built, and the way back.
//!
//! Readers see the live generation through views, so it is replaced by changing views. Both
//! generations stand still for that moment, and the one that comes is at least as far as the one
//! that goes: nobody who has seen an event stops seeing it. Workers of either go on afterwards.

use std::time::Duration;

use journal::{Journal, Position};
use schemas::Aggregate;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use crate::bookkeeping::{self, CHANNEL, GenerationId, Lock};
use crate::calls;
use crate::database::{self, Trouble};
use crate::failure::Failure;
use crate::generation::{self, is_quiet};
use crate::projection::Projection;
use crate::projections::{With, with};
use crate::slice::Slice;
use crate::views;

/// A waiting promotion makes others wait behind it, so it does not wait for long.
const LOCK_LIMIT: &str = "set local lock_timeout = '200ms'";

/// So long readers wait at most, whether the change succeeds or not.
const CHANGE_LIMIT: Duration = Duration::from_millis(200);

/// So long the live generation stands still at most until the other one has caught up with it.
const STANDSTILL: Duration = Duration::from_millis(150);

/// So long it may come near the live one before that, while both go on.
const APPROACH: Duration = Duration::from_secs(2);

/// How often it is looked whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What may be different after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// A generation that was built becomes live.
    Forward,
    /// The one before becomes live again.
    Back,
    /// The same, even if readers then miss what they have seen already.
    BackToStale,
}

/// What came of trying to change what readers see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Readers see the other generation, this one is kept for the way back.
    Done {
        /// The generation that was live before.
        previous: Option<i64>,
    },
    /// The other one is not as far yet.
    Behind,
    /// Readers, or whoever writes, were in the middle of something.
    InTheWay,
    /// Something rests on a view that has to be dropped.
    Dependent {
        /// In the words of Postgres.
        what: String,
    },
}

/// Says that something rests on a view that has to be dropped.
pub(crate) fn dependent_in_words(what: &str) -> String {
    format!(
        "its views have other columns than those that readers see now, which cannot be dropped: {what}; \
         drop what rests on them, promote, and make it again"
    )
}

/// Makes `incoming` the live generation. Nothing has changed unless the answer says that it is done.
///
/// Readers that are in the middle of a statement finish it on the old generation; all later ones
/// see the new one. No reader waits longer than a fifth of a second for it; workers of either
/// generation wait for as long as it is tried, about half a second.
///
/// # Errors
/// [`Failure::Lost`] when `incoming` is not what it was any more.
pub(crate) async fn change(
    address: &PgConnectOptions,
    journal: &Journal,
    incoming: GenerationId,
    way: Way,
) -> Result<Change, Failure> {
    let mut connection = database::connect(address).await?;
    let mut beside = database::connect(address).await?;
    if way != Way::BackToStale {
        // So that the live one need not stand still for long.
        approach(&mut beside, incoming).await?;
    }
    let changed = try_change(&mut connection, &mut beside, journal, incoming, way).await;
    let changed = match changed {
        Err(Failure::Database(error)) => match views::dependent(&error) {
            Some(what) => Change::Dependent { what },
            None if Trouble::of(&error) == Trouble::Locked => Change::InTheWay,
            None => return Err(error.into()),
        },
        other => other?,
    };
    if changed == Change::InTheWay {
        // It may still be in the middle of a statement.
        drop(connection);
        return Ok(changed);
    }
    connection.close().await?;
    beside.close().await?;
    Ok(changed)
}

async fn try_change(
    connection: &mut PgConnection,
    beside: &mut PgConnection,
    journal: &Journal,
    incoming: GenerationId,
    way: Way,
) -> Result<Change, Failure> {
    const STATE: &str = "select generation from orderstore.projections \
         where name = $1 and state = $2 and (indexed or state <> 'building') for update";
    let name = incoming.projection.as_str();
    let mut transaction = bookkeeping::durable(connection).await?;
    let session: i32 =
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *transaction).await?;
    sqlx::query(LOCK_LIMIT).execute(&mut *transaction).await?;
    let comes_from = if way == Way::Forward { "building" } else { "previous" };
    let outgoing: Option<i64> =
        sqlx::query_scalar(STATE).bind(name).bind("live").fetch_optional(&mut *transaction).await?;
    let candidate: Option<i64> = sqlx::query_scalar(STATE)
        .bind(name)
        .bind(comes_from)
        .fetch_optional(&mut *transaction)
        .await?;
    if candidate != Some(incoming.number) {
        return Err(Failure::Lost);
    }
    let outgoing = outgoing.map(|number| GenerationId { number, ..incoming });
    let mut reached = Position::START;
    if let Some(outgoing) = outgoing {
        // From here on it stands still.
        let all = bookkeeping::positions(&mut transaction, outgoing, Lock::UntilTheEnd).await?;
        reached = all.iter().map(|it| it.position).max().unwrap_or_default();
    }
    if !has_caught_up(beside, journal, incoming, reached, way).await? {
        return Ok(Change::Behind);
    }
    let changing = make_live(&mut transaction, outgoing, incoming, reached, way);
    let Ok(changed) = timeout(CHANGE_LIMIT, changing).await else {
        // Its locks must go at once, not when the server finds out that nobody waits for it.
        let cancel = sqlx::query("select pg_cancel_backend($1)").bind(session);
        cancel.execute(beside).await?;
        return Ok(Change::InTheWay);
    };
    changed?;
    transaction.commit().await?;
    tracing::info!(
        projection = name,
        generation = incoming.number,
        ?way,
        "readers see another generation"
    );
    Ok(Change::Done { previous: outgoing.map(|outgoing| outgoing.number) })
}

/// All that has to change at once.
async fn make_live(
    transaction: &mut PgConnection,
    outgoing: Option<GenerationId>,
    incoming: GenerationId,
    reached: Position,
    way: Way,
) -> Result<(), Failure> {
    const PREVIOUS: &str = "select generation from orderstore.projections \
         where name = $1 and state = 'previous' for update";
    bookkeeping::positions(&mut *transaction, incoming, Lock::UntilTheEnd).await?;
    if way != Way::BackToStale {
        raise(&mut *transaction, incoming, reached).await?;
    }
    let previous: Option<i64> = sqlx::query_scalar(PREVIOUS)
        .bind(incoming.projection.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
    if let Some(number) = previous.filter(|number| *number != incoming.number) {
        generation::retire(&mut *transaction, GenerationId { number, ..incoming }).await?;
    }
    exchange(&mut *transaction, outgoing, incoming, way).await?;
    views::point(&mut *transaction, outgoing, incoming).await?;
    tell(transaction, incoming).await
}

/// Has `generation` hurry to where the live one is now, if that is another one. Whether it comes there
/// is to be found out afterwards.
pub(crate) async fn approach(
    connection: &mut PgConnection,
    generation: GenerationId,
) -> Result<(), Failure> {
    const LIVE: &str = "select generation from orderstore.projections \
         where name = $1 and state = 'live'";
    let live = sqlx::query_scalar(LIVE).bind(generation.projection.as_str());
    let Some(number) = live.fetch_optional(&mut *connection).await? else { return Ok(()) };
    let live = GenerationId { number, ..generation };
    let all = bookkeeping::positions(connection, live, Lock::None).await?;
    let reached = all.iter().map(|it| it.position).max().unwrap_or_default();
    timeout(APPROACH, arrives(connection, generation, reached)).await.unwrap_or(Ok(false)).map(drop)
}

/// Waits until `generation`, whose workers go on meanwhile, is as far as `reached`; not for long.
async fn has_caught_up(
    connection: &mut PgConnection,
    journal: &Journal,
    generation: GenerationId,
    reached: Position,
    way: Way,
) -> Result<bool, Failure> {
    if way == Way::BackToStale {
        return Ok(true);
    }
    let all = bookkeeping::positions(connection, generation, Lock::None).await?;
    let Some(from) = all.iter().map(|it| it.position).min() else { return Err(Failure::Lost) };
    if way == Way::Forward && !all.iter().all(|it| it.caught_up) {
        return Ok(false);
    }
    let arriving = arrives(connection, generation, reached);
    // It may be behind only because nobody has told it that there is nothing for it.
    let quiet = async {
        let looking = NothingBetween { journal, from, to: reached };
        if !with(generation.projection, looking).await.unwrap_or(false) {
            std::future::pending::<()>().await;
        }
    };
    let waiting = async {
        tokio::select! {
            biased;
            arrived = arriving => arrived,
            () = quiet => Ok(true),
        }
    };
    timeout(STANDSTILL, waiting).await.unwrap_or(Ok(false))
}

/// Returns once `generation` is as far as `reached`.
async fn arrives(
    connection: &mut PgConnection,
    generation: GenerationId,
    reached: Position,
) -> Result<bool, Failure> {
    let mut asked = None;
    loop {
        let all = bookkeeping::positions(connection, generation, Lock::None).await?;
        if all.iter().all(|it| it.position >= reached) {
            return Ok(true);
        }
        if asked.is_none_or(|asked: Instant| asked.elapsed() > 10 * LOOK_AGAIN) {
            calls::hurry(connection, generation.projection).await?;
            asked = Some(Instant::now());
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Whether the log has nothing for a projection between two positions.
struct NothingBetween<'a> {
    journal: &'a Journal,
    from: Position,
    to: Position,
}

impl<'a> With for NothingBetween<'a> {
    type Output = futures::future::BoxFuture<'a, Result<bool, journal::Error>>;

    fn with<P: Projection>(self) -> Self::Output {
        Box::pin(is_quiet(self.journal, P::Source::CATEGORY, self.from, self.to, |_| true))
    }
}

/// Moves checkpoints that are behind `to` there, where it is known that nothing is between.
async fn raise(
    transaction: &mut PgConnection,
    generation: GenerationId,
    to: Position,
) -> Result<(), Failure> {
    const RAISE: &str = "update orderstore.checkpoints \
         set commit_position = $3, prepare_position = $4 where projection = $1 and generation = $2 \
         and (commit_position, prepare_position) < ($3, $4)";
    let (commit, prepare) = to.to_signed().ok_or(Failure::Position)?;
    sqlx::query(RAISE)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .bind(commit)
        .bind(prepare)
        .execute(transaction)
        .await?;
    Ok(())
}

/// Exchanges the states of two generations.
async fn exchange(
    transaction: &mut PgConnection,
    outgoing: Option<GenerationId>,
    incoming: GenerationId,
    way: Way,
) -> Result<(), Failure> {
    const CHANGE: &str = "update orderstore.projections \
         set state = $3, since = clock_timestamp(), rolled_back = $4, \
         opened = opened or $3 = 'live' \
         where name = $1 and generation = $2 and state in ('building', 'live', 'previous', 'retired')";
    const LIVE: &str = "update orderstore.checkpoints set live = generation = $2 \
         where projection = $1 and live is distinct from (generation = $2)";
    let name = incoming.projection.as_str();
    let is_back = way != Way::Forward;
    // There is one live generation and one previous one at every moment, at most.
    let steps = [
        outgoing.map(|it| (it.number, "retired", false)),
        Some((incoming.number, "live", false)),
        outgoing.map(|it| (it.number, "previous", is_back)),
    ];
    for (number, state, rolled_back) in steps.into_iter().flatten() {
        let changed = sqlx::query(CHANGE)
            .bind(name)
            .bind(number)
            .bind(state)
            .bind(rolled_back)
            .execute(&mut *transaction)
            .await?;
        if changed.rows_affected() != 1 {
            return Err(Failure::Lost);
        }
    }
    sqlx::query(LIVE).bind(name).bind(incoming.number).execute(transaction).await?;
    Ok(())
}

/// Tells readers how far what they see now is.
async fn tell(transaction: &mut PgConnection, generation: GenerationId) -> Result<(), Failure> {
    let all = bookkeeping::positions(transaction, generation, Lock::None).await?;
    let of = u16::try_from(all.len()).unwrap_or(u16::MAX);
    for (number, reached) in (0..).zip(all) {
        let news = bookkeeping::payload(generation, Slice { number, of }, reached.position);
        let telling = sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(news);
        telling.execute(&mut *transaction).await?;
    }
    Ok(())
}
