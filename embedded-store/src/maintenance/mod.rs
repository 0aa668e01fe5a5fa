//! What keeps a store healthy, apart from serving it: [`verify`], [`backup`], [`compact`], [`export`]
//! and [`import`]. All work on a data directory. The first two and the export may be used while a
//! server runs on it; the others want it for themselves, and a running server compacts itself when
//! it is asked to over the wire (`scavenge`).

mod backup;
mod compact;
mod error;
mod export;
mod import;
mod record;
pub(crate) mod scavenge;
mod verify;

use std::path::Path;

use rusqlite::Connection;

pub use self::backup::{Backup, backup};
pub use self::compact::{Compacted, compact};
pub use self::error::MaintenanceError;
pub use self::export::{Records, Selection, export};
pub use self::import::{Imported, import};
pub use self::record::{Malformed, Record};
pub use self::verify::{Depth, Problem, Verified, verify};
use crate::storage::Format;

/// How far something has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// How much of it.
    pub done: u64,
    /// Of how much, as far as is known.
    pub total: u64,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The file is checked; this takes one long step.
    File,
    /// The log is gone through, counted in positions.
    Events,
    /// Streams are gone through.
    Streams,
    /// Lines of a file are checked.
    Lines,
    /// The database is copied or written anew; this takes one long step.
    Copying,
}

/// A connection that reads the store in a directory, whether or not a server runs on it. Refused if
/// it would not see all that was committed.
fn reader(directory: &Path) -> Result<Connection, MaintenanceError> {
    crate::storage::examine(directory)?;
    let directory = directory.to_owned();
    match crate::storage::reader(&directory) {
        Ok((connection, Format::Current)) => Ok(connection),
        Ok((_, Format::Older)) => Err(MaintenanceError::OlderFormat { directory }),
        Ok((_, Format::Newer)) => Err(MaintenanceError::NewerFormat { directory }),
        Ok((_, Format::Missing)) => Err(MaintenanceError::Missing { directory }),
        Err(error) => Err(error.into()),
    }
}
