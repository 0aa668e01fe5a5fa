//! Lines of JSON into a store that no server uses. All lines are checked before the first is written;
//! from then on only the disk can be in the way, and an import that was interrupted goes on when it is
//! repeated, for what stands in the store already is recognised.

use std::io::{self, BufRead, Read as _};
use std::path::Path;

use super::{MaintenanceError, Malformed, Phase, Progress, Record};
use crate::storage::{self, Importer, Judged};

/// Longest line that is read.
const LINE: u64 = 256 * 1024 * 1024;

/// Lines between two reports.
const REPORTED: u64 = 10_000;

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Events that were written.
    pub written: u64,
    /// Events that were in the store already.
    pub known: u64,
}

/// Brings the lines that `open` gives, twice, into the store in a directory, which is created if it
/// is missing.
///
/// An event keeps its position and its time unless the store already has later ones; in an empty
/// store, all do.
pub fn import(
    directory: &Path,
    open: &mut dyn FnMut() -> io::Result<Box<dyn BufRead>>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Imported, MaintenanceError> {
    let offline = storage::open_offline(directory)?;
    let mut imported = Imported::default();
    let mut checking = Importer::begin(&offline)?;
    let mut total = 0;
    each_line(open, &mut |line, record| {
        let judged = checking.judge(record)?;
        total = line;
        match judged {
            Judged::New => imported.written += 1,
            Judged::Known => imported.known += 1,
            Judged::Conflict(what) => {
                return Err(MaintenanceError::Line { line, what: Malformed::Conflict(what) });
            }
        }
        if line % REPORTED == 0 {
            progress(Progress { phase: Phase::Lines, done: line, total: 0 });
        }
        Ok(())
    })?;
    let mut writing = Importer::begin(&offline)?;
    each_line(open, &mut |line, record| {
        writing.write(record)?;
        if line % REPORTED == 0 {
            progress(Progress { phase: Phase::Events, done: line, total });
        }
        Ok(())
    })?;
    writing.finish()?;
    Ok(imported)
}

fn each_line(
    open: &mut dyn FnMut() -> io::Result<Box<dyn BufRead>>,
    act: &mut dyn FnMut(u64, &Record) -> Result<(), MaintenanceError>,
) -> Result<(), MaintenanceError> {
    let mut lines = open().map_err(MaintenanceError::Lines)?;
    let (mut line, mut position, mut text) = (0, 0, Vec::new());
    loop {
        text.clear();
        let read = lines.by_ref().take(LINE).read_until(b'\n', &mut text);
        if read.map_err(MaintenanceError::Lines)? == 0 {
            return Ok(());
        }
        line += 1;
        let failed = |what| MaintenanceError::Line { line, what };
        let text = std::str::from_utf8(&text)
            .map_err(|_| failed(Malformed::Json("it is not UTF-8".to_owned())))?;
        let record = Record::from_line(text.trim_end_matches(['\n', '\r'])).map_err(failed)?;
        if record.position <= position {
            let reason = "is not larger than that of the line before";
            return Err(failed(Malformed::Field { field: "position", reason }));
        }
        position = record.position;
        act(line, &record)?;
    }
}
