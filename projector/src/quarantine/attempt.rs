//! Tries a stream that is stuck again, from the event on with which it got stuck.

use std::marker::PhantomData;

use futures::TryStreamExt;
use journal::{EventStream, Journal, Recorded};
use schemas::StreamName;
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::exceptions::Exceptions;
use super::ledger;
use super::places::readable_from;
use crate::bookkeeping::GenerationId;
use crate::database::{Trouble, said};
use crate::failure::{Failure, is_about_events};
use crate::fold::{Fold, Poisoned, Taken, Tally};
use crate::projection::{self, Projection, State, Unfoldable, id_of};

/// So many events are folded at once. A stream may be long.
const AT_ONCE: usize = 500;

/// How much of a stream is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HowMuch {
    /// All of it, however long that takes.
    All,
    /// So many events or somewhat more. The rest waits: others want to get on, and a transaction
    /// must end in time.
    About(u64),
}

/// What came of trying a stream.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) tally: Tally,
    /// Where it is stuck now, if it is, or where the rest begins that waits.
    pub(crate) stuck: Option<Poisoned>,
    /// Whether more can be folded.
    pub(crate) unfinished: bool,
}

/// Folds what is left of `stream` into its rows, to its end or up to the event that is to blame,
/// however long it is, and ends its quarantine or begins it anew. Telling about it is up to the
/// caller.
///
/// Must be inside a transaction that may write `generation`, whose tables unqualified names stand
/// for. The rows may get ahead of the checkpoint; the events then come again as duplicates.
pub(crate) async fn attempt<P: Projection>(
    transaction: &mut PgConnection,
    journal: &Journal,
    generation: GenerationId,
    stream: &StreamName,
    exceptions: &Exceptions,
) -> Result<Attempt, Failure> {
    try_some::<P>(transaction, journal, generation, stream, exceptions, HowMuch::All).await
}

/// The same, but ends when as much as is wanted was folded: the stream is then still quarantined,
/// and there to be tried again.
pub(crate) async fn try_some<P: Projection>(
    transaction: &mut PgConnection,
    journal: &Journal,
    generation: GenerationId,
    stream: &StreamName,
    exceptions: &Exceptions,
    how_much: HowMuch,
) -> Result<Attempt, Failure> {
    let exceptions = Exceptions::only(exceptions.skipped.clone());
    let tail = Tail::<P>::of(stream, &exceptions, true);
    tail.attempt(transaction, journal, generation, how_much).await
}

/// Folds all that is left of `stream`, but leaves the tables that sum up over many streams to the
/// caller.
pub(crate) async fn attempt_rows<P: Projection>(
    transaction: &mut PgConnection,
    journal: &Journal,
    generation: GenerationId,
    stream: &StreamName,
    exceptions: &Exceptions,
) -> Result<Attempt, Failure> {
    let exceptions = Exceptions::only(exceptions.skipped.clone());
    let tail = Tail::<P>::of(stream, &exceptions, false);
    tail.attempt(transaction, journal, generation, HowMuch::All).await
}

/// The rest of a stream.
struct Tail<'a, P: Projection> {
    stream: &'a StreamName,
    exceptions: &'a Exceptions,
    tally: Tally,
    /// Whether sums over many streams move with the rows.
    settles: bool,
    _of: PhantomData<P>,
}

/// What became of some events in a row.
enum Folded {
    Through,
    Stuck(Poisoned),
    /// The database does not take what they were folded to.
    Refused(String),
}

impl<'a, P: Projection> Tail<'a, P> {
    fn of(stream: &'a StreamName, exceptions: &'a Exceptions, settles: bool) -> Self {
        Self { stream, exceptions, tally: Tally::default(), settles, _of: PhantomData }
    }

    async fn attempt(
        mut self,
        transaction: &mut PgConnection,
        journal: &Journal,
        generation: GenerationId,
        how_much: HowMuch,
    ) -> Result<Attempt, Failure> {
        let stuck = self.fold(transaction, journal, how_much).await?;
        let mut tally = self.tally;
        let unfinished = matches!(&stuck, Some(Poisoned { error: Unfoldable::NotYet, .. }));
        match &stuck {
            Some(poisoned) => {
                tally.quarantined += u64::from(!unfinished);
                ledger::begin(transaction, generation, std::slice::from_ref(poisoned)).await?;
            }
            None => ledger::end(transaction, generation, self.stream).await?,
        }
        if unfinished {
            ledger::leave(transaction, generation, self.stream).await?;
        }
        Ok(Attempt { tally, stuck, unfinished })
    }

    async fn fold(
        &mut self,
        transaction: &mut PgConnection,
        journal: &Journal,
        how_much: HowMuch,
    ) -> Result<Option<Poisoned>, Failure> {
        let next = match self.states(transaction).await?.first() {
            Some(state) => state.revision().unsigned_abs() + 1,
            None => 0,
        };
        let skipped = &self.exceptions.skipped;
        let mut read = next;
        let mut events = journal.read(self.stream, next);
        loop {
            let (some, end) = portion(&mut events).await?;
            read = some.last().map_or(read, |last| last.revision + 1);
            if let Some(poisoned) = self.fold_portion(transaction, some).await? {
                return Ok(Some(poisoned));
            }
            match end {
                End::NotYet => {
                    if let HowMuch::About(enough) = how_much
                        && read - next >= enough
                    {
                        return self.wait_at(transaction, read, Unfoldable::NotYet).await.map(Some);
                    }
                }
                End::Reached => return Ok(None),
                End::Unreadable(_) if skipped.contains(self.stream, read) => {
                    read = skipped.next_kept(self.stream, read);
                    events = journal.read(self.stream, read);
                }
                // Whoever follows the log never hears of it before something comes after it.
                End::Unreadable(journal::Error::Foreign { .. })
                    if readable_from(journal, self.stream, read + 1).await?.is_none() =>
                {
                    return Ok(None);
                }
                End::Unreadable(error) => {
                    let error = Unfoldable::Unreadable { reason: error.to_string() };
                    return self.wait_at(transaction, read, error).await.map(Some);
                }
            }
        }
    }

    async fn wait_at(
        &mut self,
        transaction: &mut PgConnection,
        revision: u64,
        error: Unfoldable,
    ) -> Result<Poisoned, Failure> {
        self.mark(transaction).await?;
        Ok(Poisoned { stream: self.stream.clone(), revision, event_type: None, error })
    }

    /// Folds `events`. Where the database refuses, finds the event that is to blame: by halves,
    /// since it may be any of them.
    async fn fold_portion(
        &mut self,
        transaction: &mut PgConnection,
        events: Vec<Recorded>,
    ) -> Result<Option<Poisoned>, Failure> {
        let mut left = vec![&events[..]];
        while let Some(events) = left.pop() {
            match self.try_fold(transaction, events).await? {
                Folded::Through => {}
                Folded::Stuck(poisoned) => return Ok(Some(poisoned)),
                Folded::Refused(reason) => match events {
                    [] => return Err(Failure::Database(sqlx::Error::Protocol(reason))),
                    [event] => return self.refuse(transaction, event, reason).await.map(Some),
                    _ => {
                        let (first, second) = events.split_at(events.len() / 2);
                        left.extend([second, first]);
                    }
                },
            }
        }
        Ok(None)
    }

    async fn try_fold(
        &mut self,
        transaction: &mut PgConnection,
        events: &[Recorded],
    ) -> Result<Folded, Failure> {
        let mut savepoint = transaction.begin().await?;
        let states = self.states(&mut savepoint).await?;
        let mut fold = Fold::<P>::new(states, self.exceptions).quietly();
        fold.readmit();
        for event in events {
            if let Taken::Gap { from } = fold.take(event) {
                fold.poison(event, Unfoldable::Gone { from, to: event.revision - 1 });
            }
        }
        let changes = fold.changes();
        let written = if self.settles {
            projection::write::<P>(&mut savepoint, &changes).await
        } else {
            projection::write_rows::<P>(&mut savepoint, &changes).await
        };
        match written {
            Ok(_) => savepoint.commit().await?,
            Err(error) if Trouble::of(&error) == Trouble::Data => {
                savepoint.rollback().await?;
                return Ok(Folded::Refused(said(&error)));
            }
            Err(error) => return Err(error.into()),
        }
        let (mut poisoned, tally) = fold.finish();
        self.tally.applied += tally.applied;
        Ok(poisoned.pop().map_or(Folded::Through, Folded::Stuck))
    }

    /// The stream is stuck at `event`, which can be folded, but not be kept.
    async fn refuse(
        &mut self,
        transaction: &mut PgConnection,
        event: &Recorded,
        reason: String,
    ) -> Result<Poisoned, Failure> {
        self.mark(transaction).await?;
        let (stream, revision) = (self.stream.clone(), event.revision);
        let error = Unfoldable::Refused { reason };
        Ok(Poisoned { stream, revision, event_type: Some(event.event_type.clone()), error })
    }

    /// Marks the row, if there is one, as out of date.
    async fn mark(&self, transaction: &mut PgConnection) -> Result<(), Failure> {
        let before = self.states(transaction).await?;
        let mut now = before.clone();
        for (before, now) in before.iter().zip(&mut now) {
            *now.head().quarantined = true;
            let change = projection::Change { before: Some(before), now };
            projection::write::<P>(transaction, &[change]).await?;
        }
        Ok(())
    }

    async fn states(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<P::State>> {
        // A stream with a name that is not that of any aggregate has no row.
        let Ok(id) = id_of::<P>(self.stream) else { return Ok(vec![]) };
        P::load(connection, &[P::key(&id)]).await
    }
}

enum End {
    NotYet,
    Reached,
    /// What comes next is not ours, or the stream was deleted.
    Unreadable(journal::Error),
}

async fn portion(events: &mut EventStream) -> Result<(Vec<Recorded>, End), Failure> {
    let mut some = Vec::new();
    while some.len() < AT_ONCE {
        match events.try_next().await {
            Ok(Some(event)) => some.push(event),
            Ok(None) => return Ok((some, End::Reached)),
            Err(error) if !is_about_events(&error) => return Err(error.into()),
            Err(error) => return Ok((some, End::Unreadable(error))),
        }
    }
    Ok((some, End::NotYet))
}
