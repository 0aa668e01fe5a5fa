//! Why events could not be put aside or found again, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why events could not be put aside or found again.
#[derive(Debug, Error)]
pub(crate) enum SpillError {
    /// No room. Make some, or choose a directory on another disk, and go on.
    #[error(
        "the disk of {} is full: about {} MiB more are needed to put events aside; make room or choose another \
         directory",
        path.display(),
        needed.div_ceil(1 << 20)
    )]
    Full {
        /// What was written.
        path: PathBuf,
        /// Bytes, about.
        needed: u64,
    },
    /// A file or the directory cannot be used.
    #[error("{} cannot be used", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process puts events aside in the same directory.
    #[error("{} is in use by another process; wait for it or choose another directory", directory.display())]
    InUse {
        /// Where.
        directory: PathBuf,
    },
    /// There is no checkpoint. Begin anew.
    #[error("{} has nothing to go on with", directory.display())]
    NothingToResume {
        /// Where.
        directory: PathBuf,
    },
    /// What is there is less than the last checkpoint says, or damaged. Begin anew.
    #[error("{} is damaged: {reason}", path.display())]
    Torn {
        /// What.
        path: PathBuf,
        /// In which way.
        reason: String,
    },
    /// What is there belongs to something else. Begin anew if it is another build's, or else
    /// choose another directory.
    #[error("{} holds something else: {reason}", directory.display())]
    Foreign {
        /// Where.
        directory: PathBuf,
        /// What.
        reason: String,
    },
    /// So little memory is not enough.
    #[error("{budget} bytes of memory are not enough to put events aside; {needed} are needed")]
    SmallBudget {
        /// What there is.
        budget: usize,
        /// What there must be.
        needed: usize,
    },
}

impl SpillError {
    /// What an error at `path` means, where `needed` bytes were to be written.
    pub(in crate::build) fn of(path: &Path, needed: Option<u64>, source: io::Error) -> Self {
        let path = path.to_owned();
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        match needed {
            Some(needed) if full.contains(&source.kind()) => Self::Full { path, needed },
            Some(_) | None => Self::Io { path, source },
        }
    }

    pub(super) fn torn(path: &Path, reason: impl Into<String>) -> Self {
        Self::Torn { path: path.to_owned(), reason: reason.into() }
    }
}
