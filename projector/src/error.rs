//! What can go wrong while read models are kept, and what to do about it. Readers have an
//! [error of their own](crate::read_model::Error).

use thiserror::Error;

/// Why read models could not be worked on.
#[derive(Debug, Error)]
pub enum Error {
    /// The database's address makes no sense. It may contain a password and is not repeated here.
    #[error("--database-url is not usable; it must read postgres://user:password@host:5432/name")]
    BadAddress,
}
