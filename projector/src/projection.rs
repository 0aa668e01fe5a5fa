//! What a projection is: one family of tables, folded from one category of streams.

use std::hash::Hash;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use journal::Recorded;
use schemas::{Aggregate, ParseId, StoredEvent, StreamName, Undecodable, id_in, stream_of};
use sqlx::postgres::PgConnection;
use thiserror::Error;

use crate::ProjectionName;

/// A family of tables and the fold that fills it: one row of its main table per stream.
///
/// The fold is pure and depends on nothing but the events: replaying them gives the same bytes.
/// Whoever changes it, or the tables, raises [`Projection::VERSION`]: the next start then builds a
/// new generation beside the live one.
pub(crate) trait Projection: Send + Sync + 'static {
    /// What it is called. Its main table is called the same.
    const NAME: ProjectionName;
    /// Raised whenever the fold or the tables change.
    const VERSION: i32;
    /// Creates its tables and indexes, with unqualified names.
    const TABLES: &'static str;
    /// Points the readers' views at the tables that unqualified names stand for.
    const VIEWS: &'static str;
    /// Whose events it folds.
    type Source: Aggregate<Id: ParseId>;
    /// What is kept per stream.
    type Row: Row;

    /// The key of the row of stream `id`.
    fn key(id: &<Self::Source as Aggregate>::Id) -> <Self::Row as Row>::Key;

    /// The row after the first event of a stream.
    fn begin(
        id: &<Self::Source as Aggregate>::Id,
        event: &EventOf<Self>,
        recorded: &Recorded,
    ) -> Result<Self::Row, Unfoldable>;

    /// Moves the row on by a later event. After an error the row is as it was.
    fn evolve(
        row: &mut Self::Row,
        event: &EventOf<Self>,
        recorded: &Recorded,
    ) -> Result<(), Unfoldable>;

    /// The rows with these keys, as far as there are any.
    fn load<'a>(
        connection: &'a mut PgConnection,
        keys: &'a [<Self::Row as Row>::Key],
    ) -> BoxFuture<'a, sqlx::Result<Vec<Self::Row>>>;

    /// Inserts or updates all of `rows` (which have different keys) in a few statements.
    fn save<'a>(
        connection: &'a mut PgConnection,
        rows: &'a [&'a Self::Row],
    ) -> BoxFuture<'a, sqlx::Result<()>>;
}

/// The events that a projection folds.
pub(crate) type EventOf<P> = <<P as Projection>::Source as domain::Decider>::Event;

/// What every row knows besides what it says.
pub(crate) trait Row: Clone + Send + Sync + 'static {
    /// Identifies the row, and with it the stream.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;

    /// The row's key.
    fn key(&self) -> Self::Key;
    /// Its bookkeeping.
    fn head(&mut self) -> Head<'_>;
    /// Revision of the last event in it.
    fn revision(&self) -> i64;
}

/// The bookkeeping columns of a row.
pub(crate) struct Head<'a> {
    pub(crate) revision: &'a mut i64,
    pub(crate) updated_at: &'a mut DateTime<Utc>,
    pub(crate) quarantined: &'a mut bool,
}

/// Makes a struct with the fields `revision`, `updated_at` and `quarantined` (perhaps inside
/// another field) a [`Row`].
macro_rules! row {
    ($row:ty, $key:ident: $key_type:ty $(, in $inner:ident)?) => {
        impl $crate::projection::Row for $row {
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
        }
    };
}
pub(crate) use row;

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
        .filter(|id| stream_of::<P::Source>(id) == *stream)
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

/// One column of `rows`, as an array for `unnest`.
pub(crate) fn column<'r, R, T>(rows: &[&'r R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(|row| value(row)).collect()
}
