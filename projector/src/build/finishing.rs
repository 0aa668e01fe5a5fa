//! Makes a generation, whose rows are there, one that workers can go on with: sums, keys, a checkpoint.
//!
//! All of it is one transaction: nobody ever finds half of it. What only readers need comes later
//! (`indexing`).

use futures::future::BoxFuture;
use journal::{Journal, Position};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::copying::{self, MARKS, Right};
use super::run;
use crate::bookkeeping::{self, GenerationId};
use crate::database::Trouble;
use crate::failure::Failure;
use crate::generation;
use crate::projection::Projection;
use crate::projections::{Definition, With};
use crate::quarantine::{self, Exceptions, attempt};
use crate::views;

/// Memory for building one index. Postgres takes it as it needs it.
const INDEX_MEMORY: &str = "96MB";

/// Makes the schema of `generation` what a run begins with: tables without keys and indexes.
pub(super) async fn prepare(
    connection: &mut PgConnection,
    right: Right,
    generation: GenerationId,
    definition: &Definition,
) -> Result<(), Failure> {
    let mut transaction = copying::begin(connection, right, generation).await?;
    let schema = generation.schema();
    // Names of schemas cannot be arguments. This one is made of our own name and a number.
    let anew = format!("drop schema if exists {schema} cascade; create schema {schema};");
    let closed = views::Closed::of(&mut transaction, generation).await?;
    sqlx::raw_sql(AssertSqlSafe(anew)).execute(&mut *transaction).await?;
    sqlx::raw_sql(definition.tables).execute(&mut *transaction).await?;
    closed.again(&mut transaction, definition.views).await?;
    sqlx::raw_sql(MARKS).execute(&mut *transaction).await?;
    quarantine::forget(&mut transaction, generation).await?;
    bookkeeping::begin_after(&mut transaction, generation, Position::START).await?;
    Ok(transaction.commit().await?)
}

/// The tables in the schema of `generation`, as they are written in statements.
async fn tables(
    connection: &mut PgConnection,
    generation: GenerationId,
) -> Result<Vec<String>, Failure> {
    const TABLES: &str = "select quote_ident(relname) from pg_class \
         where relnamespace = $1::text::regnamespace and relkind = 'r' order by relname";
    let tables = sqlx::query_scalar(TABLES).bind(generation.schema()).fetch_all(connection);
    Ok(tables.await?)
}

/// The partitions of `generation` that are in its tables; `None` if it was not prepared.
pub(super) async fn done(
    connection: &mut PgConnection,
    generation: GenerationId,
) -> Result<Option<Vec<u32>>, Failure> {
    const IS_PREPARED: &str = "select to_regclass($1 || '.build_partitions') is not null";
    let schema = generation.schema();
    let is_prepared: bool =
        sqlx::query_scalar(IS_PREPARED).bind(&schema).fetch_one(&mut *connection).await?;
    if !is_prepared {
        return Ok(None);
    }
    let done = AssertSqlSafe(format!("select partition from {schema}.build_partitions"));
    let done: Vec<i32> = sqlx::query_scalar(done).fetch_all(connection).await?;
    Ok(Some(done.into_iter().map(i32::unsigned_abs).collect()))
}

/// What came of finishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finished {
    /// The generation is like any other now.
    Filled { events: u64, rows: u64 },
    /// The same, but without any rows: they break a rule of the tables between streams, so all
    /// events have to be folded in the order in which they came.
    Emptied,
    /// Partitions are missing: a crash of Postgres has taken the latest ones with it.
    Incomplete,
}

/// Finishes one generation.
pub(super) struct Finish<'a> {
    pub(super) connection: &'a mut PgConnection,
    pub(super) right: Right,
    pub(super) generation: GenerationId,
    pub(super) partitions: u32,
    pub(super) end: Position,
    pub(super) journal: &'a Journal,
    pub(super) gentle: bool,
}

impl<'a> With for Finish<'a> {
    type Output = BoxFuture<'a, Result<Finished, Failure>>;

    fn with<P: Projection>(self) -> Self::Output {
        Box::pin(self.finish::<P>())
    }
}

impl Finish<'_> {
    async fn finish<P: Projection>(mut self) -> Result<Finished, Failure> {
        let finished = match self.fill::<P>().await {
            Err(Failure::Database(error)) if Trouble::of(&error) == Trouble::Data => {
                tracing::warn!(
                    projection = %P::NAME, %error,
                    "rows of different streams do not go together; all events are folded one after \
                     the other, to find the streams that are to blame"
                );
                self.empty::<P>().await?
            }
            other => other?,
        };
        if let Finished::Filled { .. } = finished {
            self.analyze().await?;
        }
        Ok(finished)
    }

    async fn fill<P: Projection>(&mut self) -> Result<Finished, Failure> {
        const SUMS: &str = "select count(*), coalesce(sum(events), 0)::bigint, \
             coalesce(sum(rows), 0)::bigint, coalesce(sum(row_bytes), 0)::bigint \
             from build_partitions";
        const REFUSED: &str = "select stream from build_refused order by stream";
        let Self { generation, end, journal, .. } = *self;
        let mut transaction = copying::begin(self.connection, self.right, generation).await?;
        let (done, events, rows, bytes): (i64, i64, i64, i64) =
            sqlx::query_as(SUMS).fetch_one(&mut *transaction).await?;
        if done < i64::from(self.partitions) {
            return Ok(Finished::Incomplete);
        }
        let refused: Vec<String> = sqlx::query_scalar(REFUSED).fetch_all(&mut *transaction).await?;
        settings(&mut transaction, self.gentle).await?;
        drop_marks(&mut transaction).await?;
        sqlx::raw_sql(P::DERIVED).execute(&mut *transaction).await?;
        sqlx::raw_sql(P::KEYS).execute(&mut *transaction).await?;
        let exceptions = Exceptions::at_the_beginning(&mut transaction, P::NAME).await?;
        for stream in refused.iter().filter_map(|name| name.parse().ok()) {
            attempt::<P>(&mut transaction, journal, generation, &stream, &exceptions).await?;
        }
        wait_for_locks(&mut transaction).await?;
        bookkeeping::begin_after(&mut transaction, generation, end).await?;
        generation::note_indexed(&mut transaction, generation, false).await?;
        run::fill(&mut transaction, generation, (events, rows, bytes)).await?;
        transaction.commit().await?;
        Ok(Finished::Filled { events: events.unsigned_abs(), rows: rows.unsigned_abs() })
    }

    async fn empty<P: Projection>(&mut self) -> Result<Finished, Failure> {
        let generation = self.generation;
        let mut transaction = copying::begin(self.connection, self.right, generation).await?;
        drop_marks(&mut transaction).await?;
        for table in tables(&mut transaction, generation).await? {
            let truncate = AssertSqlSafe(format!("truncate {table}"));
            sqlx::raw_sql(truncate).execute(&mut *transaction).await?;
        }
        sqlx::raw_sql(P::KEYS).execute(&mut *transaction).await?;
        wait_for_locks(&mut transaction).await?;
        quarantine::forget(&mut transaction, generation).await?;
        bookkeeping::begin_after(&mut transaction, generation, Position::START).await?;
        generation::note_indexed(&mut transaction, generation, false).await?;
        run::fill(&mut transaction, generation, (0, 0, 0)).await?;
        transaction.commit().await?;
        Ok(Finished::Emptied)
    }

    async fn analyze(&mut self) -> Result<(), Failure> {
        let schema = self.generation.schema();
        for table in tables(self.connection, self.generation).await? {
            let analyze = AssertSqlSafe(format!("analyze {schema}.{table}"));
            sqlx::raw_sql(analyze).execute(&mut *self.connection).await?;
        }
        Ok(())
    }
}

/// (Servers that help to build an index have the priority that they were born with: none are asked to
/// where others are to go first.)
pub(super) async fn settings(transaction: &mut PgConnection, gentle: bool) -> Result<(), Failure> {
    const SETTINGS: &str = "select set_config('maintenance_work_mem', $1, true), \
         set_config('work_mem', $1, true), set_config('synchronous_commit', 'on', true), \
         set_config('max_parallel_maintenance_workers', $2, true)";
    sqlx::query(SETTINGS)
        .bind(INDEX_MEMORY)
        .bind(if gentle { "0" } else { "2" })
        .execute(transaction)
        .await?;
    Ok(())
}

/// From here on locks are waited for however long: giving up would throw all indexes away.
pub(super) async fn wait_for_locks(transaction: &mut PgConnection) -> Result<(), Failure> {
    sqlx::query("set local lock_timeout = 0").execute(transaction).await?;
    Ok(())
}

async fn drop_marks(transaction: &mut PgConnection) -> Result<(), Failure> {
    sqlx::raw_sql("drop table build_partitions, build_refused").execute(transaction).await?;
    Ok(())
}
