//! Copies what a partition was folded to into the tables: one transaction per projection, with the
//! mark that it is done.
//!
//! The marks are in a table of the generation's own schema. Commits do not wait for the disk: a
//! crash of Postgres takes the last marks with it, and the rows, and they are made again.

use std::time::Duration;

use schemas::StreamName;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, PgTransaction};
use tokio::time::{sleep, timeout};

use super::folding::Folded;
use super::run;
use crate::bookkeeping::GenerationId;
use crate::database::{self, Trouble};
use crate::failure::Failure;
use crate::priority;
use crate::quarantine;
use crate::table::Rows;

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

/// How often it is looked whether a session that takes long is still there.
const LOOK: Duration = Duration::from_secs(10);

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
    // A long statement would go on although nobody waits for it. Not every system can tell.
    let checked = "select set_config('client_connection_check_interval', '10s', false)";
    let _ = sqlx::query(checked).execute(&mut connection).await;
    if gentle {
        priority::lower_session(address, &mut connection).await?;
    }
    Ok(connection)
}

/// Does `work`, which is done in the session `pid`, for as long as the server knows that session:
/// after a fail-over nobody may ever say that the answer will not come.
pub(super) async fn while_alive<T>(
    address: &PgConnectOptions,
    pid: i32,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        done = work => done,
        () = gone(address, pid) => Err(Failure::TooSlow),
    }
}

/// Waits until the server can be reached and does not know the session `pid`.
async fn gone(address: &PgConnectOptions, pid: i32) {
    const IS_KNOWN: &str = "select exists (select from pg_stat_activity where pid = $1)";
    let is_known = async || -> sqlx::Result<bool> {
        let mut connection = database::connect(address).await?;
        let is_known = sqlx::query_scalar(IS_KNOWN).bind(pid).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(is_known)
    };
    loop {
        sleep(LOOK).await;
        if let Ok(Ok(false)) = timeout(LOOK, is_known()).await {
            return;
        }
    }
}

/// The number by which the server knows a session.
pub(super) async fn pid_of(connection: &mut PgConnection) -> Result<i32, Failure> {
    Ok(sqlx::query_scalar("select pg_backend_pid()").fetch_one(connection).await?)
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
    let apart = folded.streams.iter().map(|(_, rows)| rows.size());
    let sizes = apart.chain([folded.long.size()]);
    let size = sizes.fold(folded.rows.size(), |sum, size| (sum.0 + size.0, sum.1 + size.1));
    let (rows, bytes) = (size.0 as u64, size.1 as u64);
    if !mark(&mut transaction, partition, &folded, rows, bytes).await? {
        return Ok(Copied::Before);
    }
    let mut poisoned = folded.poisoned;
    for rows in folded.rows.into_tables() {
        rows.copy(&mut transaction).await?;
    }
    folded.long.copy(&mut transaction).await?;
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
