//! What can go wrong while read models are kept, and what to do about it. Readers have an
//! [error of their own](crate::read_model::Error).

use thiserror::Error;

use crate::ProjectionName;
use crate::failure::Failure;

/// Why read models could not be worked on.
#[derive(Debug, Error)]
pub enum Error {
    /// The database's address makes no sense. It may contain a password and is not repeated here.
    #[error("--database-url is not usable; it must read postgres://user:password@host:5432/name")]
    BadAddress,
    /// Postgres cannot be reached, or refuses.
    #[error("the database did not play along; is it running, and is --database-url right?")]
    Database(#[source] sqlx::Error),
    /// The bookkeeping in the database is not what this build expects.
    #[error("the database could not be set up; was it set up by a newer orderstore?")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// The event store cannot be read.
    #[error("the event store did not play along")]
    EventStore(#[from] journal::Error),
    /// The database answers too slowly.
    #[error("the database did not answer in time; is it overloaded?")]
    TooSlow,
    /// A new generation is being built by another process.
    #[error("{projection} is being built by another process; wait for it or stop it")]
    BeingBuilt {
        /// Of what.
        projection: ProjectionName,
    },
    /// What is live was built by a newer build, which this one would replace by something older.
    #[error("{projection} was built by a newer orderstore; rebuild it with that one")]
    NewerIsLive {
        /// Of what.
        projection: ProjectionName,
    },
    /// Another process has taken the generation over, finished or dropped it.
    #[error("another process has taken over building {projection}; look at the status")]
    TakenOver {
        /// Of what.
        projection: ProjectionName,
    },
}

impl Error {
    /// What a failure to work on `projection` means to whoever asked for it.
    pub(crate) fn of(projection: ProjectionName, failure: Failure) -> Self {
        match failure {
            Failure::Lost | Failure::Moved => Self::TakenOver { projection },
            Failure::Database(_)
            | Failure::Journal(_)
            | Failure::Migration(_)
            | Failure::Position
            | Failure::TooSlow => Self::from(failure),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Database(error) => Self::Database(error),
            Failure::Journal(error) => Self::EventStore(error),
            Failure::Migration(error) => Self::Migration(error),
            Failure::TooSlow => Self::TooSlow,
            Failure::Lost | Failure::Moved | Failure::Position => {
                Self::Database(sqlx::Error::Protocol(failure.to_string()))
            }
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}
