//! What can go wrong with keys, and what to do about it. No message holds a key or clear text.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::ids::SubjectId;
use thiserror::Error;

/// Why data were not sealed, opened or erased.
#[derive(Debug, Clone, Error)]
pub enum Error {
    /// The event store, where the keys are, did not play along. Erasing may be in effect all the
    /// same: repeat it.
    #[error("the keys of personal data cannot be reached")]
    Store(#[from] journal::Error),
    /// Others changed the same person's key in between, every time. Try again later.
    #[error("too many others work on the key of person {subject}; try again later")]
    Contended {
        /// Whose key.
        subject: SubjectId,
    },
    /// The person's key cannot be unwrapped. Give the master key that it was wrapped under.
    #[error(
        "the key of person {subject} was wrapped under master key {master_key_id}, which is not there; \
         add it to --master-key-file, below the first one"
    )]
    MasterKeyMissing {
        /// Whose key.
        subject: SubjectId,
        /// The id of the master key.
        master_key_id: String,
    },
    /// The person's key was changed, or belongs to somebody else.
    #[error("the key of person {subject} is damaged")]
    DamagedKey {
        /// Whose key.
        subject: SubjectId,
    },
    /// The data were changed, or were sealed for another place.
    #[error("personal data of {subject} are damaged, or do not belong to `{field}` of {stream}")]
    NotAuthentic {
        /// Whose data.
        subject: SubjectId,
        /// The stream that they were looked for in.
        stream: String,
        /// The field that they were looked for in.
        field: String,
    },
    /// The data were opened, and are not what was expected there.
    #[error("personal data of {subject} do not have the shape of `{field}`")]
    Shape {
        /// Whose data.
        subject: SubjectId,
        /// The field.
        field: String,
    },
}

impl Error {
    /// Whether the same call may well succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Contended { .. } => true,
            Self::MasterKeyMissing { .. }
            | Self::DamagedKey { .. }
            | Self::NotAuthentic { .. }
            | Self::Shape { .. } => false,
        }
    }
}

/// Why there are no master keys.
#[derive(Debug, Clone, Error)]
pub enum MasterKeyError {
    /// Nobody named one.
    #[error(
        "there is no master key for personal data: give --master-key-file or ORDERSTORE_MASTER_KEY \
         (`openssl rand -base64 32` makes one; keep it safe, what is sealed with it is lost with it)"
    )]
    NotGiven,
    /// The file cannot be read, or not be created.
    #[error("cannot read the master key in {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: Arc<std::io::Error>,
    },
    /// The file holds something else.
    #[error("{} holds no master key", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<MasterKeyError>,
    },
    /// There is nothing.
    #[error("the master key is empty")]
    Empty,
    /// One of the keys is none.
    #[error("master key {number} is not 32 bytes in base64")]
    NotAKey {
        /// Which one, from 1.
        number: usize,
    },
}

impl MasterKeyError {
    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source: Arc::new(source) }
    }
}
