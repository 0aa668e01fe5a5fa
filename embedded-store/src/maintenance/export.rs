//! The log as lines of JSON, read beside whoever uses the store.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;

use rusqlite::Connection;

use super::{MaintenanceError, Phase, Progress, Record, reader};
use crate::semantics::names;
use crate::storage;

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only those from this position on.
    pub from_position: u64,
    /// Only those of streams whose names begin with this, and of their metadata.
    pub stream_prefix: Option<String>,
}

impl Selection {
    /// Whether it takes events of this stream.
    pub fn takes(&self, stream: &str) -> bool {
        let Some(prefix) = &self.stream_prefix else { return true };
        stream.starts_with(prefix)
            || names::original_of(stream).is_some_and(|original| original.starts_with(prefix))
    }
}

/// The events of a log in order, as it was when this was opened. What was destroyed or removed is not
/// among them.
///
/// Until it is dropped, the write-ahead log of a running server cannot be emptied: it grows by what is
/// written.
#[derive(Debug)]
pub struct Records {
    connection: Connection,
    selection: Selection,
    page: VecDeque<Record>,
    /// Positions that are left, both inclusive.
    left: (u64, u64),
}

impl Records {
    /// Opens the store in a directory, whether or not a server runs on it.
    pub fn open(directory: &Path, selection: Selection) -> Result<Self, MaintenanceError> {
        let connection = reader(directory)?;
        // One for all pages: a delete between two of them would leave half of a stream. It begins with
        // the next statement and ends with the connection.
        connection.execute_batch("BEGIN")?;
        let last = storage::last_position(&connection)?;
        let left = (selection.from_position.max(1), last);
        Ok(Self { connection, selection, page: VecDeque::new(), left })
    }

    /// The newest position that will be reached.
    pub fn last_position(&self) -> u64 {
        self.left.1
    }

    fn read_page(&mut self) -> Result<(), MaintenanceError> {
        let selection = &self.selection;
        while self.page.is_empty() && self.left.0 <= self.left.1 {
            let wants = |stream: &str| selection.takes(stream);
            let (events, next) = storage::events(&self.connection, self.left, &wants)?;
            self.page.extend(events.iter().map(Record::from));
            self.left.0 = next.unwrap_or(self.left.1 + 1);
        }
        Ok(())
    }
}

impl Iterator for Records {
    type Item = Result<Record, MaintenanceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.read_page() {
            self.left = (1, 0);
            return Some(Err(error));
        }
        self.page.pop_front().map(Ok)
    }
}

/// Writes one line per event. How many there were.
pub fn export(
    directory: &Path,
    selection: Selection,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, MaintenanceError> {
    let records = Records::open(directory, selection)?;
    let total = records.last_position();
    let mut count = 0;
    for record in records {
        let record = record?;
        writeln!(out, "{}", record.to_line()).map_err(MaintenanceError::Lines)?;
        count += 1;
        if count % 1_000 == 0 {
            progress(Progress { phase: Phase::Events, done: record.position, total });
        }
    }
    out.flush().map_err(MaintenanceError::Lines)?;
    Ok(count)
}
