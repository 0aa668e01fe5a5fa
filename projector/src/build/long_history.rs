//! Rows of history that wait in files for their partition to be folded to its end: a stream may have
//! millions of them, and memory has no room for all.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnection;
use tokio::io::AsyncReadExt;

use super::spill::{Partitions, SpillError};
use crate::failure::Failure;
use crate::table::{CHUNK, Copy, Rows, Table};

/// Rows of the tables of one projection, of one partition.
#[derive(Debug, Default)]
pub(super) struct LongHistory {
    tables: Vec<Waiting>,
}

/// Rows of one table.
#[derive(Debug)]
struct Waiting {
    table: Table,
    /// As `COPY` wants them, one after the other.
    file: File,
    /// Where the file is.
    directory: PathBuf,
    rows: usize,
    bytes: usize,
}

impl LongHistory {
    /// Adds `rows`, which `partition` is folded to, behind those that are there. Blocks.
    pub(super) fn put(
        &mut self,
        rows: Rows,
        partitions: &Partitions,
        partition: u32,
    ) -> Result<(), SpillError> {
        for rows in rows.into_tables() {
            let found = self.tables.iter().position(|it| it.table.name == rows.table.name);
            let at = if let Some(at) = found {
                at
            } else {
                let file = partitions.file_for_rows(partition as usize)?;
                let directory = partitions.directory().to_owned();
                let table = rows.table;
                self.tables.push(Waiting { table, file, directory, rows: 0, bytes: 0 });
                self.tables.len() - 1
            };
            let waiting = &mut self.tables[at];
            let bytes = rows.bytes();
            let written = waiting.file.write_all(bytes);
            written.map_err(|error| wrong(&waiting.directory, bytes.len(), error))?;
            waiting.rows += rows.len();
            waiting.bytes += bytes.len();
        }
        Ok(())
    }

    /// How many rows there are, and how many bytes they take.
    pub(super) fn size(&self) -> (usize, usize) {
        self.tables.iter().fold((0, 0), |sum, it| (sum.0 + it.rows, sum.1 + it.bytes))
    }

    /// Copies the rows into their tables, where none of them may be.
    pub(super) async fn copy(self, connection: &mut PgConnection) -> Result<(), Failure> {
        let mut chunk = vec![0; if self.tables.is_empty() { 0 } else { CHUNK }];
        for Waiting { table, mut file, directory, .. } in self.tables {
            let wrong = |error| wrong(&directory, 0, error);
            file.rewind().map_err(wrong)?;
            let mut file = tokio::fs::File::from_std(file);
            let mut copy = Copy::into(&table, connection).await?;
            loop {
                let read = file.read(&mut chunk).await.map_err(wrong)?;
                if read == 0 {
                    break;
                }
                copy.send(&chunk[..read]).await?;
            }
            copy.finish().await?;
        }
        Ok(())
    }
}

fn wrong(directory: &Path, needed: usize, error: std::io::Error) -> SpillError {
    SpillError::of(directory, Some(needed as u64), error)
}
