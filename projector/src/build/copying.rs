//! Copies what a partition was folded to into the tables: one transaction per projection, with the
//! mark that it is done.
//!
//! The marks are in a table of the generation's own schema. Commits do not wait for the disk: a
//! crash of Postgres takes the last marks with it, and the rows, and they are made again.

use schemas::StreamName;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, PgTransaction};

use super::folding::Folded;
use super::priority;
use super::run;
use crate::bookkeeping::GenerationId;
use crate::database::{self, Trouble};
use crate::failure::Failure;
use crate::quarantine;
use crate::table::{Rows, TableRows};

/// The marks, and streams with rows that the database refused.
pub(super) const MARKS: &str = "
    create table build_partitions (
        partition integer primary key,
        events bigint not null,
        gaps_healed bigint not null,
        quarantined bigint not null,
        rows bigint not null,
        row_bytes bigint not null
    );
    create table build_refused (stream text collate \"C\" primary key);
";

/// So much is sent at once.
const CHUNK: usize = 1 << 20;

/// What stands in front of all rows: a signature, no flags, no extension (PostgreSQL
/// documentation, "COPY", "Binary Format").
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What stands behind them.
const TAIL: &[u8] = &(-1_i16).to_be_bytes();

/// The right to write the generations of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Right {
    pub(super) run: i64,
    pub(super) epoch: i64,
}

/// What became of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copied {
    /// So many rows, of so many bytes, are in the tables now.
    Now { rows: u64, bytes: u64 },
    /// It was there before.
    Before,
    /// The database refuses one of the rows.
    Refused,
}

/// A session that copies.
pub(super) async fn connect(
    address: &PgConnectOptions,
    gentle: bool,
) -> Result<PgConnection, Failure> {
    let mut connection = database::connect_for_writing(address, "pg_catalog").await?;
    if gentle {
        priority::lower_session(address, &mut connection).await?;
    }
    Ok(connection)
}

/// Copies `folded`, which is of `partition`, into `generation`.
pub(super) async fn copy(
    connection: &mut PgConnection,
    right: Right,
    generation: GenerationId,
    partition: u32,
    folded: Folded,
) -> Result<Copied, Failure> {
    match try_copy(connection, right, generation, partition, folded).await {
        Err(Failure::Database(error)) if Trouble::of(&error) == Trouble::Data => {
            let projection = generation.projection;
            tracing::warn!(
                %projection, partition, %error,
                "a row was refused; the streams of its partition are written one by one"
            );
            Ok(Copied::Refused)
        }
        other => other,
    }
}

async fn try_copy(
    connection: &mut PgConnection,
    right: Right,
    generation: GenerationId,
    partition: u32,
    folded: Folded,
) -> Result<Copied, Failure> {
    let mut transaction = begin(connection, right, generation).await?;
    let sizes = folded.streams.iter().map(|(_, rows)| rows.size());
    let size = sizes.fold(folded.rows.size(), |sum, size| (sum.0 + size.0, sum.1 + size.1));
    let (rows, bytes) = (size.0 as u64, size.1 as u64);
    if !mark(&mut transaction, partition, &folded, rows, bytes).await? {
        return Ok(Copied::Before);
    }
    let mut poisoned = folded.poisoned;
    for rows in folded.rows.into_tables() {
        copy_into(&mut transaction, rows).await?;
    }
    for (stream, rows) in folded.streams {
        if !write_apart(&mut transaction, &stream, &rows).await? {
            // It is tried event by event once there are keys and indexes.
            poisoned.retain(|poisoned| poisoned.stream != stream);
        }
    }
    quarantine::begin(&mut transaction, generation, &poisoned).await?;
    transaction.commit().await?;
    Ok(Copied::Now { rows, bytes })
}

/// A transaction that writes `generation`, whose tables unqualified names stand for in it.
pub(super) async fn begin(
    connection: &mut PgConnection,
    right: Right,
    generation: GenerationId,
) -> Result<PgTransaction<'_>, Failure> {
    let mut transaction = connection.begin().await?;
    run::fence(&mut transaction, right.run, right.epoch).await?;
    sqlx::query("select set_config('search_path', $1, true)")
        .bind(generation.schema())
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}

/// Whether the partition was not there yet.
async fn mark(
    transaction: &mut PgConnection,
    partition: u32,
    folded: &Folded,
    rows: u64,
    bytes: u64,
) -> Result<bool, Failure> {
    const MARK: &str = "insert into build_partitions \
         (partition, events, gaps_healed, quarantined, rows, row_bytes) \
         values ($1, $2, $3, $4, $5, $6) on conflict do nothing";
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let marked = sqlx::query(MARK)
        .bind(i32::try_from(partition).unwrap_or(i32::MAX))
        .bind(number(folded.tally.applied))
        .bind(number(folded.tally.gaps_healed))
        .bind(number(folded.tally.quarantined))
        .bind(number(rows))
        .bind(number(bytes))
        .execute(transaction)
        .await?;
    Ok(marked.rows_affected() == 1)
}

async fn copy_into(connection: &mut PgConnection, rows: TableRows) -> sqlx::Result<()> {
    let statement = rows.table.copy();
    let mut copy = connection.copy_in_raw(&statement).await?;
    let bytes = rows.into_bytes();
    copy.send(HEAD).await?;
    for chunk in bytes.chunks(CHUNK) {
        copy.send(chunk).await?;
    }
    copy.send(TAIL).await?;
    copy.finish().await.map(drop)
}

/// Whether the database takes the rows of `stream`.
async fn write_apart(
    transaction: &mut PgConnection,
    stream: &StreamName,
    rows: &Rows,
) -> Result<bool, Failure> {
    const REFUSED: &str = "insert into build_refused (stream) values ($1) on conflict do nothing";
    let mut savepoint = transaction.begin().await?;
    match Rows::default().replace_with(rows, &mut savepoint).await {
        Ok(()) => {
            savepoint.commit().await?;
            Ok(true)
        }
        Err(error) if Trouble::of(&error) == Trouble::Data => {
            savepoint.rollback().await?;
            sqlx::query(REFUSED).bind(stream.as_str()).execute(transaction).await?;
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
