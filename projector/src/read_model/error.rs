//! Why a read gave no answer, and what a reader can do about it.

use thiserror::Error;

/// Why a read gave no answer.
#[derive(Debug, Error)]
pub enum Error {
    /// The database's address makes no sense. It may contain a password and is not repeated here.
    #[error("--database-url is not usable; it must read postgres://user:password@host:5432/name")]
    BadAddress,
    /// Postgres cannot be reached or does not take part right now. Orders are accepted and
    /// fulfilled all the same; try again later.
    #[error("the read models are not available right now; try again later")]
    Unavailable(#[source] sqlx::Error),
    /// The tables that this build reads are not there: nobody has migrated this database yet, or
    /// their new generation is still being built. Try again later.
    #[error("the read models are still being built; try again later")]
    NotReady(#[source] sqlx::Error),
    /// The cursor was handed out for another list or another sorting.
    #[error("this cursor belongs to another list or another sorting")]
    ForeignCursor,
    /// Orders of the past cannot be found by this.
    #[error("orders as of some time cannot be found by `{0}`; leave out one of the two")]
    NotInThePast(&'static str),
    /// Finding orders as they were took too long: too many had to be looked at.
    #[error(
        "too many orders would have to be looked at as they were then; ask for fewer, such as those \
         of a customer, or those placed in a shorter time"
    )]
    TooBroad,
    /// Postgres refused. A defect, here or there.
    #[error("the read models could not be read")]
    Failed(#[source] sqlx::Error),
}

impl Error {
    /// Whether the same read may well succeed later without anybody changing anything.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::NotReady(_) => true,
            Self::BadAddress
            | Self::ForeignCursor
            | Self::NotInThePast(_)
            | Self::TooBroad
            | Self::Failed(_) => false,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use crate::database::Trouble;
        match Trouble::of(&error) {
            Trouble::Unreachable => Self::Unavailable(error),
            Trouble::NoSuchTable => Self::NotReady(error),
            Trouble::Data | Trouble::Locked | Trouble::Other => Self::Failed(error),
        }
    }
}
