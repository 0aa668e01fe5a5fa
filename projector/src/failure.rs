//! Why a worker could not go on, and what it does about it. Never the end of a worker.

use thiserror::Error;

use crate::build::spill::SpillError;
use crate::database::{Trouble, said};

/// Whether an error met while events are read is about what is stored, which stays so until
/// somebody does something about that event. Anything else is about the event store, or about what
/// it lets us do: no stream is to blame for it.
pub(crate) const fn is_about_events(error: &journal::Error) -> bool {
    match error {
        journal::Error::Undecodable { .. }
        | journal::Error::Foreign { .. }
        | journal::Error::StreamDeleted { .. } => true,
        journal::Error::Unavailable { .. }
        | journal::Error::AccessDenied { .. }
        | journal::Error::Refused { .. }
        | journal::Error::Conflict { .. }
        | journal::Error::TooLarge { .. }
        | journal::Error::BadAddress { .. }
        | journal::Error::SnapshotFolder { .. }
        | journal::Error::Tls
        | journal::Error::GivenUp => false,
    }
}

/// Why a step of a worker was not taken.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// Somebody else has taken over the generation, or it is gone: stand down.
    #[error("another projector has taken over")]
    Lost,
    /// The checkpoint is not where we left it (the server lost its last moments in a crash): begin
    /// again from where it is.
    #[error("the checkpoint has moved")]
    Moved,
    /// Postgres did not play along.
    #[error("the database did not play along: {}", said(.0))]
    Database(sqlx::Error),
    /// The event store did not play along.
    #[error("the event store did not play along")]
    Journal(#[from] journal::Error),
    /// Setting up or changing the bookkeeping failed.
    #[error("the bookkeeping could not be set up")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A position does not fit into the database.
    #[error("a position of the event store does not fit into the database")]
    Position,
    /// A transaction took too long.
    #[error("the database did not answer in time")]
    TooSlow,
    /// Events could not be put aside.
    #[error(transparent)]
    Spill(#[from] SpillError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl Failure {
    /// What kind of trouble with the database it is, if it is one.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Database(error) => Some(Trouble::of(error)),
            Self::Migration(sqlx::migrate::MigrateError::Execute(error)) => {
                Some(Trouble::of(error))
            }
            Self::Migration(_)
            | Self::Lost
            | Self::Moved
            | Self::Journal(_)
            | Self::Position
            | Self::TooSlow
            | Self::Spill(_) => None,
        }
    }

    /// The whole story in one line, for logs and for status.
    pub(crate) fn story(&self) -> String {
        let mut story = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            story = format!("{story}: {cause}");
            source = cause.source();
        }
        story
    }
}
