//! What a projection is: one family of tables, folded from one category of streams.

use std::hash::Hash;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use journal::Recorded;
use schemas::{Aggregate, ParseId, StoredEvent, StreamName, Undecodable, id_in};
use sqlx::postgres::PgConnection;
use thiserror::Error;

use crate::ProjectionName;
use crate::table::{Rows, Table};

/// A family of tables and the fold that fills it: one state per stream, kept as rows of its tables.
///
/// The fold is pure and depends on nothing but the events: replaying them gives the same bytes.
/// Whoever changes it, or the tables, raises [`Projection::VERSION`]: the next start then builds a
/// new generation beside the live one.
pub(crate) trait Projection: Send + Sync + 'static {
    /// What it is called. Its main table is called the same.
    const NAME: ProjectionName;
    /// Raised whenever the fold or the tables change.
    const VERSION: i32;
    /// Creates its tables, with unqualified names, and without keys and indexes.
    const TABLES: &'static str;
    /// Creates keys, whatever else has to be unique, and the indexes that the fold itself needs. Runs
    /// after `TABLES`, or once a generation has been filled in bulk.
    const KEYS: &'static str;
    /// Creates the indexes that only readers need. A generation that is built in bulk gets them last,
    /// shortly before it is shown to readers: every event costs about half as much without them.
    const INDEXES: &'static str = "";
    /// Fills the tables that sum up over many streams from the others. Only run while they are
    /// empty; a live generation keeps them by [`Projection::settle`], with the same result.
    const DERIVED: &'static str = "";
    /// Points the readers' views at the tables that unqualified names stand for.
    const VIEWS: &'static str;
    /// The tables that [`Projection::rows`] fills, the main one first.
    const ROWS: &'static [Table];
    /// Whose events it folds.
    type Source: Aggregate<Id: ParseId>;
    /// What is kept per stream.
    type State: State;

    /// The key of the state of stream `id`.
    fn key(id: &<Self::Source as Aggregate>::Id) -> <Self::State as State>::Key;

    /// The state after the first event of a stream.
    fn begin(
        id: &<Self::Source as Aggregate>::Id,
        event: &EventOf<Self>,
        recorded: &Recorded,
    ) -> Result<Self::State, Unfoldable>;

    /// Moves the state on by a later event. After an error it is as it was.
    fn evolve(
        state: &mut Self::State,
        event: &EventOf<Self>,
        recorded: &Recorded,
    ) -> Result<(), Unfoldable>;

    /// The states with these keys, as far as there are any. Rows that are only ever added (history)
    /// need not come back with them.
    fn load<'a>(
        connection: &'a mut PgConnection,
        keys: &'a [<Self::State as State>::Key],
    ) -> BoxFuture<'a, sqlx::Result<Vec<Self::State>>>;

    /// The rows that `state` is kept as. Of history, those that were added since it was loaded.
    fn rows(state: &Self::State, rows: &mut Rows);

    /// Those of history alone.
    fn history(_state: &Self::State, _rows: &mut Rows) {}

    /// Brings tables that sum up over many streams up to `changes`, whose own rows are written
    /// already.
    fn settle<'a>(
        _connection: &'a mut PgConnection,
        _changes: &'a [Change<'a, Self::State>],
    ) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A state that is to be written.
pub(crate) struct Change<'a, S> {
    /// As it is in the tables, if it is.
    pub(crate) before: Option<&'a S>,
    /// As it is now.
    pub(crate) now: &'a S,
}

/// Writes `changes`, which are of different streams, in a few statements per table. How many bytes the
/// rows of each take.
pub(crate) async fn write<P: Projection>(
    connection: &mut PgConnection,
    changes: &[Change<'_, P::State>],
) -> sqlx::Result<Vec<usize>> {
    let bytes = write_rows::<P>(connection, changes).await?;
    P::settle(connection, changes).await?;
    Ok(bytes)
}

/// The same without the tables that sum up over many streams.
pub(crate) async fn write_rows<P: Projection>(
    connection: &mut PgConnection,
    changes: &[Change<'_, P::State>],
) -> sqlx::Result<Vec<usize>> {
    let (mut before, mut now) = (Rows::default(), Rows::default());
    let mut bytes = Vec::with_capacity(changes.len());
    for change in changes {
        if let Some(state) = change.before {
            P::rows(state, &mut before);
        }
        let (_, others) = now.size();
        P::rows(change.now, &mut now);
        bytes.push(now.size().1 - others);
    }
    before.replace_with(&now, connection).await?;
    Ok(bytes)
}

/// The events that a projection folds.
pub(crate) type EventOf<P> = <<P as Projection>::Source as domain::Decider>::Event;

/// What is kept of a stream.
pub(crate) trait State: Clone + Send + Sync + 'static {
    /// Identifies the stream, and the row of the main table.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;

    /// Which stream it is of.
    fn key(&self) -> Self::Key;
    /// Its bookkeeping.
    fn head(&mut self) -> Head<'_>;
    /// Revision of the last event in it.
    fn revision(&self) -> i64;
    /// How many rows of history it holds, about.
    fn history(&self) -> usize {
        0
    }
    /// Makes it as it would be loaded: without the history that has been added to the tables.
    fn forget_history(&mut self) {}
}

/// The bookkeeping columns of a main table.
pub(crate) struct Head<'a> {
    pub(crate) revision: &'a mut i64,
    pub(crate) updated_at: &'a mut DateTime<Utc>,
    pub(crate) quarantined: &'a mut bool,
}

/// Makes a struct with the fields `revision`, `updated_at` and `quarantined` (perhaps inside
/// another field) a [`State`]. After `added`: the list of rows of history that are not in the tables.
macro_rules! state {
    ($state:ty, $key:ident: $key_type:ty $(, in $inner:ident)? $(, added $history:ident)?) => {
        impl $crate::projection::State for $state {
            type Key = $key_type;

            fn key(&self) -> Self::Key {
                self$(.$inner)?.$key.clone()
            }

            fn head(&mut self) -> $crate::projection::Head<'_> {
                $crate::projection::Head {
                    revision: &mut self$(.$inner)?.revision,
                    updated_at: &mut self$(.$inner)?.updated_at,
                    quarantined: &mut self$(.$inner)?.quarantined,
                }
            }

            fn revision(&self) -> i64 {
                self$(.$inner)?.revision
            }

            $(fn history(&self) -> usize {
                self.$history.len()
            }

            fn forget_history(&mut self) {
                self.$history.clear();
            })?
        }
    };
}
pub(crate) use state;

/// Why an event cannot be folded. Its stream is quarantined.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Unfoldable {
    /// This build does not know it.
    #[error("{0}")]
    Undecodable(#[from] Undecodable),
    /// The stream's name does not name an aggregate.
    #[error("the name of the stream is not that of any {category}")]
    StreamName {
        /// Of the stream.
        category: &'static str,
    },
    /// Streams begin otherwise.
    #[error("a stream does not begin with `{event_type}`")]
    NotFirst {
        /// As stored.
        event_type: String,
    },
    /// Streams have only one of these.
    #[error("`{event_type}` does not come twice")]
    Repeated {
        /// As stored.
        event_type: String,
    },
    /// A sum does not fit into its column.
    #[error("a number became too large")]
    TooLarge,
    /// Postgres does not take the row.
    #[error("the database refuses the row: {reason}")]
    Refused {
        /// Its words.
        reason: String,
    },
    /// Events before it are missing, and not in the stream either.
    #[error("events {from} to {to} of the stream are gone")]
    Gone {
        /// First missing revision.
        from: u64,
        /// Last missing revision.
        to: u64,
    },
    /// The event can be folded, but there was much before it.
    #[error("the stream is long; what is left of it is folded bit by bit")]
    NotYet,
    /// The stream itself cannot be read.
    #[error("the stream cannot be read: {reason}")]
    Unreadable {
        /// What the journal says.
        reason: String,
    },
}

impl Unfoldable {
    pub(crate) fn not_first(recorded: &Recorded) -> Self {
        Self::NotFirst { event_type: recorded.event_type.clone() }
    }

    pub(crate) fn repeated(recorded: &Recorded) -> Self {
        Self::Repeated { event_type: recorded.event_type.clone() }
    }
}

/// The id in the name of a stream, if the name is exactly what that id makes it: a UUID can be
/// written in several ways, and two streams must not share a row.
pub(crate) fn id_of<P: Projection>(
    stream: &StreamName,
) -> Result<<P::Source as Aggregate>::Id, Unfoldable> {
    id_in::<P::Source>(stream)
        .filter(|id| stream.is_of(P::Source::CATEGORY, id))
        .ok_or(Unfoldable::StreamName { category: P::Source::CATEGORY })
}

/// The event, if this build can read it.
pub(crate) fn decoded<P: Projection>(recorded: &Recorded) -> Result<EventOf<P>, Unfoldable>
where
    EventOf<P>: StoredEvent,
{
    Ok(recorded.decode()?)
}

/// `sum + by`, if it fits.
pub(crate) fn plus(sum: i64, by: i64) -> Result<i64, Unfoldable> {
    sum.checked_add(by).ok_or(Unfoldable::TooLarge)
}
