//! Writes the rows of one generation: a batch of events, one transaction, behind a fence.

use std::collections::HashSet;
use std::time::Duration;

use futures::TryStreamExt;
use journal::{Journal, Position, Recorded};
use schemas::StreamName;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::timeout;
use uuid::Uuid;

use crate::bookkeeping::{self, Claim, GenerationId, Hold, Move};
use crate::database::{self, Trouble};
use crate::failure::Failure;
use crate::fold::{self, Fold, Taken, Tally};
use crate::projection::{self, Projection, State, Unfoldable};

/// Longer than any batch should take. A connection whose other end has silently gone is given up.
const TRANSACTION_LIMIT: Duration = Duration::from_mins(2);

/// The one who may write a generation, until somebody else takes over.
pub(crate) struct Writer {
    pub(crate) connection: PgConnection,
    pub(crate) hold: Hold,
    /// Whether readers see what is written.
    pub(crate) live: bool,
    pub(crate) journal: Journal,
    quarantine: HashSet<StreamName>,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// All at once.
    Together,
    /// One by one, to find those that the database refuses.
    Apart,
}

impl Writer {
    /// Takes the right to write `generation`; `None` if it may not be taken.
    pub(crate) async fn acquire(
        address: &PgConnectOptions,
        journal: Journal,
        generation: GenerationId,
        live: bool,
        holder: Uuid,
        claim: Claim,
    ) -> Result<Option<Self>, Failure> {
        let schema = generation.schema();
        let mut connection = database::connect_for_writing(address, &schema).await?;
        let state = if live { "live" } else { "building" };
        let acquired =
            bookkeeping::acquire(&mut connection, generation, state, holder, claim).await?;
        let Some(hold) = acquired else { return Ok(None) };
        let quarantine = bookkeeping::quarantined(&mut connection, generation).await?;
        Ok(Some(Self { connection, hold, live, journal, quarantine }))
    }

    /// Folds `events` and moves the checkpoint to `to`, in one transaction. What happened.
    pub(crate) async fn write<P: Projection>(
        &mut self,
        events: &[Recorded],
        to: Position,
        caught_up: bool,
    ) -> Result<Tally, Failure> {
        let step = Move { to, caught_up, tell: self.live };
        match self.transact::<P>(events, step, Manner::Together).await {
            Err(Failure::Database(error)) if Trouble::of(&error) == Trouble::Data => {
                tracing::warn!(
                    projection = %P::NAME, %error,
                    "a batch was refused; its rows are written one by one"
                );
                self.transact::<P>(events, step, Manner::Apart).await
            }
            other => other,
        }
    }

    async fn transact<P: Projection>(
        &mut self,
        events: &[Recorded],
        step: Move,
        manner: Manner,
    ) -> Result<Tally, Failure> {
        let Self { connection, hold, journal, quarantine, .. } = self;
        let work = async {
            let mut transaction = connection.begin().await?;
            bookkeeping::advance(&mut transaction, hold, step).await?;
            let mut fold = Fold::<P>::new(
                P::load(&mut transaction, &fold::keys::<P>(events, quarantine)).await?,
                quarantine,
            );
            for event in events {
                take(&mut fold, event, journal).await?;
            }
            save(&mut transaction, &mut fold, manner).await?;
            let poisoned = fold.poisoned();
            bookkeeping::quarantine(&mut transaction, hold.generation, poisoned).await?;
            transaction.commit().await?;
            Ok::<_, Failure>(fold.finish())
        };
        let (poisoned, tally) =
            timeout(TRANSACTION_LIMIT, work).await.map_err(|_| Failure::TooSlow)??;
        self.hold.position = step.to;
        self.quarantine.extend(poisoned.into_iter().map(|poisoned| poisoned.stream));
        Ok(tally)
    }

    /// Moves the checkpoint past events that are not for this projection, or just shows a sign of
    /// life.
    pub(crate) async fn advance(&mut self, to: Position, caught_up: bool) -> Result<(), Failure> {
        let step = Move { to, caught_up, tell: self.live };
        let work = bookkeeping::advance(&mut self.connection, &self.hold, step);
        timeout(TRANSACTION_LIMIT, work).await.map_err(|_| Failure::TooSlow)??;
        self.hold.position = to;
        Ok(())
    }

    /// Tries every quarantined stream again, from the event on that could not be folded.
    pub(crate) async fn retry_quarantined<P: Projection>(&mut self) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        for stream in self.quarantine.clone() {
            let one = self.retry::<P>(&stream, Manner::Together).await;
            let one = match one {
                Err(Failure::Database(error)) if Trouble::of(&error) == Trouble::Data => {
                    self.retry::<P>(&stream, Manner::Apart).await?
                }
                other => other?,
            };
            tally.applied += one.applied;
            if one.quarantined == 0 {
                tracing::info!(projection = %P::NAME, %stream, "a quarantined stream is readmitted");
                self.quarantine.remove(&stream);
            }
        }
        Ok(tally)
    }

    async fn retry<P: Projection>(
        &mut self,
        stream: &StreamName,
        manner: Manner,
    ) -> Result<Tally, Failure> {
        let Self { connection, hold, live, journal, .. } = self;
        let mut transaction = connection.begin().await?;
        let step = Move { to: hold.position, caught_up: false, tell: *live };
        bookkeeping::advance(&mut transaction, hold, step).await?;
        let none = HashSet::new();
        let keys: Vec<_> =
            crate::projection::id_of::<P>(stream).iter().map(|id| P::key(id)).collect();
        let states = P::load(&mut transaction, &keys).await?;
        let next = states.first().map_or(0, |state| state.revision().unsigned_abs() + 1);
        let mut fold = Fold::<P>::new(states, &none);
        fold.readmit();
        let mut events = journal.read(stream, next);
        loop {
            match events.try_next().await {
                Ok(Some(event)) => take(&mut fold, &event, journal).await?,
                Ok(None) => break,
                Err(error) if error.is_transient() => return Err(error.into()),
                // It cannot be read by this build either: leave it as it is.
                Err(_) => return Ok(Tally { quarantined: 1, ..Tally::default() }),
            }
        }
        save(&mut transaction, &mut fold, manner).await?;
        if fold.poisoned().is_empty() {
            bookkeeping::readmit(&mut transaction, hold.generation, stream).await?;
        }
        bookkeeping::quarantine(&mut transaction, hold.generation, fold.poisoned()).await?;
        transaction.commit().await?;
        Ok(fold.finish().1)
    }

    /// Gives the right to write back.
    pub(crate) async fn release(mut self) {
        let released = bookkeeping::release(&mut self.connection, &self.hold);
        if let Ok(Err(error)) = timeout(Duration::from_secs(5), released).await {
            tracing::debug!(%error, "could not give a generation back; it will be taken over");
        }
        // The server notices by itself, too.
        drop(timeout(Duration::from_secs(5), self.connection.close()).await);
    }
}

/// Folds one event, after those of its stream that are missing before it, if any are.
async fn take<P: Projection>(
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
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => {
                fold.poison(event, Unfoldable::Unreadable { reason: error.to_string() });
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

async fn save<P: Projection>(
    connection: &mut PgConnection,
    fold: &mut Fold<'_, P>,
    manner: Manner,
) -> Result<(), Failure> {
    let changes = fold.changes();
    if changes.is_empty() {
        return Ok(());
    }
    if manner == Manner::Together {
        return Ok(projection::write::<P>(connection, &changes).await?);
    }
    let mut refused = vec![];
    for change in changes {
        let mut savepoint = connection.begin().await?;
        let key = change.now.key();
        match projection::write::<P>(&mut savepoint, &[change]).await {
            Ok(()) => savepoint.commit().await?,
            Err(error) if Trouble::of(&error) == Trouble::Data => {
                savepoint.rollback().await?;
                refused.push((key, error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    for (key, reason) in refused {
        if let Some(change) = fold.refuse(&key, reason) {
            projection::write::<P>(connection, &[change]).await?;
        }
    }
    Ok(())
}
