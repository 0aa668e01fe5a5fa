//! Writes the rows of one generation: a batch of events, one transaction, behind a fence.

use std::collections::VecDeque;
use std::time::Duration;

use futures::TryStreamExt;
use journal::{Journal, Position, Recorded};
use schemas::StreamName;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::bookkeeping::{self, GenerationId, Hold, Move, Seen};
use crate::database::{self, Trouble};
use crate::failure::{Failure, is_about_events};
use crate::fold::{self, Fold, Poisoned, Taken, Tally};
use crate::opening;
use crate::priority;
use crate::projection::{self, Projection, State, Unfoldable};
use crate::quarantine::{self, Attempt, Exceptions, HowMuch, try_some};
use crate::recent::Recent;
use crate::slice::Slice;

/// Longer than any batch should take. A connection whose other end has silently gone is given up.
const TRANSACTION_LIMIT: Duration = Duration::from_mins(2);

/// So many events of a quarantined stream are folded in one transaction, about.
const AT_ONCE: HowMuch = HowMuch::About(2_000);

/// When the event store has not given a quarantined stream, none is tried for so long.
const REST: Duration = Duration::from_secs(30);

/// The one who may write a slice of a generation, until somebody else takes over.
pub(crate) struct Writer<P: Projection> {
    pub(crate) connection: PgConnection,
    pub(crate) hold: Hold,
    pub(crate) journal: Journal,
    /// Whether the session lets others go first.
    yields: bool,
    /// Whether nobody sees the generation yet although it is the live one: the first, not complete.
    closed: bool,
    /// What happened and is not counted in the bookkeeping yet: the next step takes it along.
    uncounted: Tally,
    exceptions: Exceptions,
    /// What it has written last.
    recent: Recent<P::State>,
    /// Quarantined streams that this build has not tried yet.
    untried: VecDeque<StreamName>,
    /// Not before then.
    rest_until: Option<Instant>,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// All at once.
    Together,
    /// One by one, to find those that the database refuses.
    Apart,
}

impl<P: Projection> Writer<P> {
    /// Takes the right to write `slice` of `generation`; `None` if it may not be taken, because
    /// somebody holds it who has shown a sign of life within `patience`.
    pub(crate) async fn acquire(
        address: &PgConnectOptions,
        journal: Journal,
        generation: GenerationId,
        slice: Slice,
        holder: Uuid,
        patience: Duration,
    ) -> Result<Option<Self>, Failure> {
        let schema = generation.schema();
        let mut connection = database::connect_for_writing(address, &schema).await?;
        let acquired =
            bookkeeping::acquire(&mut connection, generation, slice, holder, patience).await?;
        let Some(hold) = acquired else { return Ok(None) };
        let yields = !hold.seen.live;
        if yields {
            priority::lower_session(address, &mut connection).await?;
        }
        let closed = opening::is_closed(&mut connection, generation).await?;
        let (exceptions, untried) = exceptions(&mut connection, &hold).await?;
        let uncounted = Tally::default();
        let rest_until = None;
        Ok(Some(Self {
            connection,
            hold,
            journal,
            yields,
            closed,
            uncounted,
            exceptions,
            recent: Recent::default(),
            untried,
            rest_until,
        }))
    }

    /// Has readers see the first generation if all of it is there. False as long as it waits for
    /// that; no other generation does.
    pub(crate) async fn open_if_complete(&mut self) -> Result<bool, Failure> {
        if self.closed {
            let opened = opening::open_if_complete(&mut self.connection, self.hold.generation);
            self.closed = !opened.await?;
        }
        Ok(!self.closed)
    }

    /// Goes on in a session that does not let others go first, if readers see by now what is
    /// written: priorities can be lowered, but not raised again.
    ///
    /// # Errors
    /// [`Failure::Moved`] when the checkpoint is not where it was left.
    pub(crate) async fn stand_up(
        &mut self,
        address: &PgConnectOptions,
        holder: Uuid,
        patience: Duration,
    ) -> Result<(), Failure> {
        if !(self.yields && self.hold.seen.live) {
            return Ok(());
        }
        let Hold { generation, slice, .. } = self.hold;
        let journal = self.journal.clone();
        let again = Self::acquire(address, journal, generation, slice, holder, patience);
        let mut again = again.await?.ok_or(Failure::Lost)?;
        // The server may have died in between, and taken the latest commits with it: whoever reads the
        // log has to go back with the checkpoint.
        if again.hold.position != self.hold.position {
            return Err(Failure::Moved);
        }
        (again.uncounted, again.rest_until) = (self.uncounted, self.rest_until);
        let before = std::mem::replace(self, again);
        // The server notices by itself, too.
        drop(timeout(Duration::from_secs(1), before.connection.close()).await);
        Ok(())
    }

    /// Takes the slice again, whoever holds it now.
    #[cfg(test)]
    pub(crate) async fn take_over(&mut self, holder: Uuid) -> Result<(), Failure> {
        let Hold { generation, slice, .. } = self.hold;
        let patience = Duration::ZERO;
        let taken =
            bookkeeping::acquire(&mut self.connection, generation, slice, holder, patience).await?;
        self.hold = taken.ok_or(Failure::Lost)?;
        self.recent.clear();
        Ok(())
    }

    /// Folds `events`, which are of streams of this slice, and moves the checkpoint to `to`, in one
    /// transaction. What happened.
    pub(crate) async fn write(
        &mut self,
        events: &[Recorded],
        to: Position,
        caught_up: bool,
    ) -> Result<Tally, Failure> {
        let step = Move { to, caught_up, tally: self.uncounted };
        let tally = match self.transact(events, step, Manner::Together).await {
            Err(Failure::Database(error)) if Trouble::of(&error) == Trouble::Data => {
                tracing::warn!(
                    projection = %P::NAME, %error,
                    "a batch was refused; its rows are written one by one"
                );
                self.transact(events, step, Manner::Apart).await?
            }
            other => other?,
        };
        // What should not happen is counted in the same transaction. The rest may wait.
        self.uncounted = if is_remarkable(tally) { Tally::default() } else { tally };
        Ok(tally)
    }

    async fn transact(
        &mut self,
        events: &[Recorded],
        step: Move,
        manner: Manner,
    ) -> Result<Tally, Failure> {
        let Self { connection, hold, journal, exceptions, recent, .. } = self;
        let work = async {
            let mut transaction = connection.begin().await?;
            let seen = bookkeeping::advance(&mut transaction, hold, step).await?;
            let news = news(&mut transaction, hold, seen).await?;
            if news.is_some() {
                recent.clear();
            }
            let exceptions = news.as_ref().map_or(&*exceptions, |(exceptions, _)| exceptions);
            // Taken out, so that what comes to nothing is not kept.
            let (mut rows, unknown) = recent.take(fold::keys::<P>(events, exceptions));
            if !unknown.is_empty() {
                rows.extend(P::load(&mut transaction, &unknown).await?);
            }
            let mut fold = Fold::<P>::new(rows, exceptions);
            for event in events {
                take(&mut fold, event, journal).await?;
            }
            let refused = save(&mut transaction, &mut fold, manner).await?;
            quarantine::begin(&mut transaction, hold.generation, fold.poisoned()).await?;
            let written: Vec<_> = fold.take_written().collect();
            let (mut poisoned, mut tally) = fold.finish();
            let mut unfinished = vec![];
            for stream in refused {
                let generation = hold.generation;
                let at = &mut *transaction;
                let tried =
                    try_some::<P>(at, journal, generation, &stream, exceptions, AT_ONCE).await?;
                unfinished.extend(tried.unfinished.then_some(stream));
                tally.quarantined += tried.tally.quarantined;
                tell_of_stuck::<P>(&tried);
                poisoned.extend(tried.stuck);
            }
            if is_remarkable(tally) {
                bookkeeping::count(&mut transaction, hold, tally).await?;
            }
            transaction.commit().await?;
            recent.keep(written);
            Ok::<_, Failure>((poisoned, unfinished, tally, seen, news))
        };
        let (poisoned, unfinished, tally, seen, news) =
            timeout(TRANSACTION_LIMIT, work).await.map_err(|_| Failure::TooSlow)??;
        self.stepped(step.to, seen, news);
        self.exceptions.quarantined.extend(poisoned.into_iter().map(|poisoned| poisoned.stream));
        self.untried.extend(unfinished);
        Ok(tally)
    }

    /// Remembers what a transaction that has been committed has come to.
    fn stepped(&mut self, to: Position, seen: Seen, news: Option<News>) {
        self.hold.position = to;
        self.hold.seen.live = seen.live;
        if let Some((exceptions, untried)) = news {
            self.hold.seen.interventions = seen.interventions;
            self.exceptions = exceptions;
            self.untried = untried;
        }
        self.uncounted = Tally::default();
    }

    /// Moves the checkpoint past events that are not for this projection, or just shows a sign of
    /// life.
    pub(crate) async fn advance(&mut self, to: Position, caught_up: bool) -> Result<(), Failure> {
        let step = Move { to, caught_up, tally: self.uncounted };
        let work = async {
            let seen = bookkeeping::advance(&mut self.connection, &self.hold, step).await?;
            let news = news(&mut self.connection, &self.hold, seen).await?;
            Ok::<_, Failure>((seen, news))
        };
        let (seen, news) =
            timeout(TRANSACTION_LIMIT, work).await.map_err(|_| Failure::TooSlow)??;
        if news.is_some() {
            self.recent.clear();
        }
        self.stepped(to, seen, news);
        Ok(())
    }

    /// Whether there are quarantined streams that this build has not tried yet.
    pub(crate) fn has_untried(&self) -> bool {
        !self.untried.is_empty()
    }

    /// Tries quarantined streams that this build has not tried yet, as many as it can in about the
    /// time of `limit`. There may be thousands, and live work must not wait for them.
    pub(crate) async fn retry_untried(
        &mut self,
        limit: Duration,
        caught_up: bool,
    ) -> Result<Tally, Failure> {
        let until = Instant::now() + limit;
        let mut tally = Tally::default();
        if self.rest_until.is_some_and(|it| Instant::now() < it) {
            return Ok(tally);
        }
        while let Some(stream) = self.untried.front().cloned() {
            let one = match self.retry(&stream, caught_up).await {
                // Otherwise somebody has intervened, and there are others to try.
                Ok(one) => one,
                Err(Failure::Journal(error)) => {
                    // Live work goes on, and the next time another stream is tried first.
                    tracing::warn!(projection = %P::NAME, %stream, %error, "cannot be tried now");
                    self.untried.rotate_left(1);
                    self.rest_until = Some(Instant::now() + REST);
                    break;
                }
                Err(other) => return Err(other),
            };
            let Some(one) = one else { continue };
            tell_of_stuck::<P>(&one);
            self.untried.pop_front();
            tally.applied += one.tally.applied;
            if one.unfinished {
                self.untried.push_back(stream);
            } else if one.stuck.is_none() {
                tracing::info!(projection = %P::NAME, %stream, "a quarantined stream is readmitted");
                self.exceptions.quarantined.remove(&stream);
            }
            if Instant::now() >= until {
                break;
            }
        }
        Ok(tally)
    }

    async fn retry(
        &mut self,
        stream: &StreamName,
        caught_up: bool,
    ) -> Result<Option<Attempt>, Failure> {
        let Self { connection, hold, journal, exceptions, untried, recent, .. } = self;
        // It is written past them.
        recent.clear();
        let work = async {
            let mut transaction = connection.begin().await?;
            let tally = Tally::default();
            let step = Move { to: hold.position, caught_up, tally };
            let seen = bookkeeping::advance(&mut transaction, hold, step).await?;
            if let Some(news) = news(&mut transaction, hold, seen).await? {
                transaction.commit().await?;
                (*exceptions, *untried) = news;
                hold.seen = seen;
                return Ok(None);
            }
            let generation = hold.generation;
            let at = &mut *transaction;
            let tried = try_some::<P>(at, journal, generation, stream, exceptions, AT_ONCE).await?;
            bookkeeping::count(&mut transaction, hold, tried.tally).await?;
            transaction.commit().await?;
            Ok(Some(tried))
        };
        timeout(TRANSACTION_LIMIT, work).await.map_err(|_| Failure::TooSlow)?
    }

    /// Gives the right to write back.
    pub(crate) async fn release(mut self) {
        let released = bookkeeping::release(&mut self.connection, &self.hold, self.uncounted);
        if let Ok(Err(error)) = timeout(Duration::from_secs(5), released).await {
            tracing::debug!(%error, "could not give a generation back; it will be taken over");
        }
        // The server notices by itself, too.
        drop(timeout(Duration::from_secs(5), self.connection.close()).await);
    }
}

fn tell_of_stuck<P: Projection>(attempt: &Attempt) {
    let Attempt {
        stuck: Some(Poisoned { stream, revision, error, .. }), unfinished: false, ..
    } = attempt
    else {
        return;
    };
    tracing::error!(
        projection = %P::NAME, %stream, revision, %error,
        "an event cannot be folded; its stream is quarantined, and others go on"
    );
}

/// What a writer works with, as it is now: exceptions, and streams of the slice that are untried.
type News = (Exceptions, VecDeque<StreamName>);

/// What there is besides events, if somebody has intervened since `hold` was last looked at.
async fn news(
    connection: &mut PgConnection,
    hold: &Hold,
    seen: Seen,
) -> Result<Option<News>, Failure> {
    if seen.interventions == hold.seen.interventions {
        return Ok(None);
    }
    exceptions(connection, hold).await.map(Some)
}

async fn exceptions(connection: &mut PgConnection, hold: &Hold) -> Result<News, Failure> {
    let exceptions = Exceptions::load(connection, hold.generation, hold.slice).await?;
    let untried = quarantine::untried(connection, hold.generation).await?;
    Ok((exceptions, untried.into_iter().filter(|stream| hold.slice.has(stream)).collect()))
}

/// Whether something has happened that should not.
fn is_remarkable(tally: Tally) -> bool {
    tally.gaps_healed > 0 || tally.quarantined > 0
}

/// Folds one event, after those of its stream that are missing before it, if any are.
pub(crate) async fn take<P: Projection>(
    fold: &mut Fold<'_, P>,
    event: &Recorded,
    journal: &Journal,
) -> Result<(), Failure> {
    let Taken::Gap { from } = fold.take(event) else { return Ok(()) };
    let (stream, to) = (&event.stream, event.revision);
    tracing::error!(
        projection = %P::NAME, %stream, from, to,
        "events were skipped; they are read from their stream now"
    );
    let mut missing = journal.read(stream, from);
    loop {
        match missing.try_next().await {
            Ok(Some(missing)) if missing.revision < to => {
                if fold.take(&missing) != Taken::Done {
                    break;
                }
            }
            Ok(Some(_) | None) => break,
            Err(error) if !is_about_events(&error) => return Err(error.into()),
            Err(error) => {
                fold.unreadable(event, &error);
                return Ok(());
            }
        }
    }
    match fold.take(event) {
        Taken::Done => fold.healed(),
        Taken::Gap { from } => {
            fold.poison(event, Unfoldable::Gone { from, to: to - 1 });
        }
    }
    Ok(())
}

/// Writes what was folded. The streams whose rows were refused, if they were written apart: their
/// events are left out.
async fn save<P: Projection>(
    connection: &mut PgConnection,
    fold: &mut Fold<'_, P>,
    manner: Manner,
) -> Result<Vec<StreamName>, Failure> {
    let changes = fold.changes();
    if changes.is_empty() {
        return Ok(vec![]);
    }
    if manner == Manner::Together {
        let bytes = projection::write::<P>(connection, &changes).await?;
        fold.written(bytes);
        return Ok(vec![]);
    }
    let mut refused = vec![];
    for change in changes {
        let mut savepoint = connection.begin().await?;
        let key = change.now.key();
        match projection::write::<P>(&mut savepoint, &[change]).await {
            Ok(_) => savepoint.commit().await?,
            Err(error) if Trouble::of(&error) == Trouble::Data => {
                savepoint.rollback().await?;
                refused.push(key);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(refused.iter().filter_map(|key| fold.take_back(key)).collect())
}
