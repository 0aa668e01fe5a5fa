//! The file of everything that happened: one JSON object per line, only ever appended to.
//!
//! A line is handed to the system before a caller hears of it, so it survives the death of this
//! process. It is not forced to the disk: what a power cut does is not simulated.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::payment::PaymentEntry;
use crate::shipment::ShipmentEntry;

/// Why the simulator could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The ledger's folder or file could not be opened, read or repaired.
    #[error("could not open the partners' ledger {}", path.display())]
    Ledger {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },

    /// Another live simulator writes this ledger.
    #[error(
        "the partners' ledger {} is in use by another process: stop it, or choose another folder",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },

    /// A line that is not the last one cannot be understood.
    #[error(
        "line {line} of the partners' ledger {} is damaged: repair it, or remove the file to begin \
         with an empty one", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },

    /// The listener cannot tell its address.
    #[error("the listener for the simulated partners cannot be used")]
    Listener(#[source] io::Error),
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) at: DateTime<Utc>,
    pub(crate) fact: Fact,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fact {
    Payment { key: String, entry: PaymentEntry },
    Shipment { key: String, entry: ShipmentEntry },
}

/// Where lines go.
#[derive(Debug)]
pub(crate) enum Ledger {
    /// A locked file, and the length of its intact lines.
    File { file: File, length: u64 },
    /// Nowhere: the simulator has no folder.
    Forgetful,
    /// The simulator has stopped; the file is released for the next one.
    Closed,
}

impl Ledger {
    /// Opens the ledger in `folder`, creating both if missing, and hands its lines to `each` in
    /// order. A last line without an end was never answered for and is removed.
    pub(crate) fn open(folder: &Path, mut each: impl FnMut(Line)) -> Result<Self, Error> {
        fs::create_dir_all(folder)
            .map_err(|source| Error::Ledger { path: folder.to_owned(), source })?;
        let path = folder.join("partners.jsonl");
        let failed = |source| Error::Ledger { path: path.clone(), source };
        let file =
            OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { path }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }

        let mut length = 0;
        let mut reader = BufReader::new(&file);
        let mut text = Vec::new();
        for number in 1.. {
            text.clear();
            reader.read_until(b'\n', &mut text).map_err(failed)?;
            if text.last() != Some(&b'\n') {
                break;
            }
            let line = serde_json::from_slice(&text).map_err(|source| Error::Damaged {
                path: path.clone(),
                line: number,
                source,
            })?;
            each(line);
            length += text.len() as u64;
        }
        if !text.is_empty() {
            tracing::warn!(bytes = text.len(), "Dropping a torn last line of the partners' ledger");
            file.set_len(length).map_err(failed)?;
        }
        Ok(Self::File { file, length })
    }

    pub(crate) fn append(&mut self, line: &Line) -> io::Result<()> {
        match self {
            Self::Forgetful => Ok(()),
            Self::Closed => Err(io::Error::other("the simulator has stopped")),
            Self::File { file, length } => {
                let mut text = serde_json::to_vec(line)?;
                text.push(b'\n');
                if let Err(error) = file.write_all(&text) {
                    // Half a line must not run into the next one.
                    file.set_len(*length)?;
                    return Err(error);
                }
                *length += text.len() as u64;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &str) -> Line {
        let fact = Fact::Payment { key: key.into(), entry: PaymentEntry::Closed };
        Line { at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(), fact }
    }

    fn lines_in(folder: &Path) -> Vec<Line> {
        let mut lines = Vec::new();
        Ledger::open(folder, |line| lines.push(line)).unwrap();
        lines
    }

    fn write(folder: &Path, keys: &[&str]) {
        let mut ledger = Ledger::open(folder, |_| {}).unwrap();
        for key in keys {
            ledger.append(&line(key)).unwrap();
        }
    }

    #[test]
    fn lines_come_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["a", "b"]);
        write(folder.path(), &["c"]);
        assert_eq!(lines_in(folder.path()), ["a", "b", "c"].map(line));
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_the_next_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["a", "b"]);
        let path = folder.path().join("partners.jsonl");
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 3]).unwrap();

        write(folder.path(), &["c"]);
        assert_eq!(lines_in(folder.path()), ["a", "c"].map(line));
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["a"]);
        let path = folder.path().join("partners.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}nonsense\n{text}")).unwrap();

        let refusal = Ledger::open(folder.path(), |_| {}).unwrap_err();
        assert!(matches!(refusal, Error::Damaged { line: 2, .. }), "{refusal}");
    }

    #[test]
    fn a_ledger_has_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Ledger::open(folder.path(), |_| {}).unwrap();
        let refusal = Ledger::open(folder.path(), |_| {}).unwrap_err();
        assert!(matches!(refusal, Error::InUse { .. }), "{refusal}");
    }
}
