//! What a rebuild will take, before it is begun.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use journal::{Journal, Position};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, FromRow};

use super::options::RebuildOptions;
use super::run::Phase;
use crate::{Error, ProjectionName, database};

/// Bytes of an event, about, where nothing better is known.
const EVENT_BYTES: u64 = 900;
/// What events become when they are put aside.
const COMPRESSED_TO: u64 = 4;

/// What a rebuild will take.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Where the log ends: all up to there will be read.
    pub head: Position,
    /// Events that will be folded, as far as earlier rebuilds tell.
    pub events: Option<u64>,
    /// What will be read, in bytes, about.
    pub event_bytes: u64,
    /// What there is to rebuild.
    pub projections: Vec<PlannedProjection>,
    /// Room on the disk of Postgres for tables and indexes beside the live ones.
    pub database_bytes: u64,
    /// Room on the disk for events that do not fit into memory, at most.
    pub spill_bytes: u64,
    /// Where they go to.
    pub spill_dir: PathBuf,
    /// What is free there, where the system tells.
    pub spill_dir_free_bytes: Option<u64>,
    /// How long it will take, by the latest rebuild that came to its end; not known before that.
    pub seconds: Option<f64>,
    /// What else goes on.
    pub busy: Vec<Busy>,
}

/// What is there of a projection now.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedProjection {
    /// Which one.
    pub projection: ProjectionName,
    /// The live generation.
    pub generation: i64,
    /// Its version.
    pub version: i32,
    /// The version that will be built.
    pub new_version: i32,
    /// Rows in all its tables, about.
    pub rows: u64,
    /// Bytes of its tables.
    pub table_bytes: u64,
    /// Bytes of its indexes.
    pub index_bytes: u64,
}

/// Something that goes on at the same time.
#[derive(Debug, Clone, PartialEq)]
pub enum Busy {
    /// A process keeps a live generation up to date. A rebuild slows down when that suffers.
    LiveWorker {
        /// Of which projection.
        projection: ProjectionName,
    },
    /// Another rebuild.
    Rebuild {
        /// Number of the run.
        run: i64,
        /// What it is at.
        phase: Phase,
        /// Whether it is paused.
        paused: bool,
        /// Whether its process is alive.
        alive: bool,
        /// What it builds.
        projections: Vec<ProjectionName>,
    },
    /// A transaction that has been open for a long time. One that has read read models keeps a
    /// new generation from being promoted, and an old one from being dropped.
    LongTransaction {
        /// Its server process.
        pid: i32,
        /// What it calls itself.
        application: String,
        /// Since when.
        since: DateTime<Utc>,
    },
}

/// What a rebuild of `projections` will take.
///
/// # Errors
/// When the database cannot be reached or is not set up, or the event store cannot be reached.
pub async fn plan(
    database_url: &str,
    journal: &Journal,
    projections: &[ProjectionName],
    options: &RebuildOptions,
) -> Result<Plan, Error> {
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let head = journal.head().await?;
    let mut connection = database::connect(&address).await?;
    let mut planned = vec![];
    for &name in projections {
        planned.extend(tables_of(&mut connection, name, options).await?);
    }
    let earlier = earlier(&mut connection, projections).await?;
    let busy = busy(&mut connection, options.worker.take_over_after).await?;
    connection.close().await?;
    let estimate = earlier.map(|earlier| earlier.at(head));
    let event_bytes = estimate
        .as_ref()
        .map_or_else(|| head.commit.saturating_mul(EVENT_BYTES), |estimate| estimate.bytes);
    let memory = options.memory_bytes as u64;
    let compressed = event_bytes / COMPRESSED_TO;
    Ok(Plan {
        head,
        events: estimate.as_ref().map(|estimate| estimate.events),
        event_bytes,
        database_bytes: planned.iter().map(|it| it.table_bytes + it.index_bytes).sum(),
        projections: planned,
        spill_bytes: if compressed > memory { compressed } else { 0 },
        spill_dir: options.spill_dir.clone(),
        spill_dir_free_bytes: free_bytes(&options.spill_dir),
        seconds: estimate.map(|estimate| estimate.seconds),
        busy,
    })
}

fn free_bytes(directory: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(directory).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

async fn tables_of(
    connection: &mut PgConnection,
    projection: ProjectionName,
    options: &RebuildOptions,
) -> Result<Option<PlannedProjection>, Error> {
    const LIVE: &str = "select generation, version from orderstore.projections \
         where name = $1 and state = 'live'";
    const SIZES: &str = "select coalesce(sum(greatest(reltuples, 0)), 0)::bigint, \
         coalesce(sum(pg_table_size(oid)), 0)::bigint, \
         coalesce(sum(pg_indexes_size(oid)), 0)::bigint from pg_class \
         where relnamespace = to_regnamespace($1) and relkind = 'r'";
    let live: Option<(i64, i32)> =
        sqlx::query_as(LIVE).bind(projection.as_str()).fetch_optional(&mut *connection).await?;
    let Some((generation, version)) = live else { return Ok(None) };
    let (rows, tables, indexes): (i64, i64, i64) = sqlx::query_as(SIZES)
        .bind(format!("{projection}_g{generation}"))
        .fetch_one(connection)
        .await?;
    Ok(Some(PlannedProjection {
        projection,
        generation,
        version,
        new_version: options.worker.version_of(projection),
        rows: rows.unsigned_abs(),
        table_bytes: tables.unsigned_abs(),
        index_bytes: indexes.unsigned_abs(),
    }))
}

/// The latest run of the same projections that came to its end; if there is none, their share of
/// the latest run of these and others.
#[derive(Debug, Clone, FromRow)]
struct Earlier {
    end: i64,
    events: i64,
    event_bytes: i64,
    milliseconds: i64,
}

struct Estimate {
    events: u64,
    bytes: u64,
    seconds: f64,
}

impl Earlier {
    /// What it would come to with a log that ends at `head`.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    fn at(&self, head: Position) -> Estimate {
        let times = head.commit as f64 / self.end.max(1) as f64;
        let scaled = |number: i64| (number as f64 * times) as u64;
        Estimate {
            events: scaled(self.events),
            bytes: scaled(self.event_bytes),
            seconds: Duration::from_millis(scaled(self.milliseconds)).as_secs_f64(),
        }
    }
}

async fn earlier(
    connection: &mut PgConnection,
    projections: &[ProjectionName],
) -> Result<Option<Earlier>, Error> {
    const EARLIER: &str = "select b.end_commit_position as end, \
         (b.events * share)::bigint as events, (b.event_bytes * share)::bigint as event_bytes, \
         ((b.scan_ms + b.fold_ms + b.finish_ms + b.catch_up_ms) * share)::bigint as milliseconds \
         from orderstore.builds b, lateral (select count(*) as built, \
             count(*) filter (where g.projection = any($1)) as wanted, \
             sum(g.events) filter (where g.projection = any($1)) / nullif(sum(g.events), 0) as share \
             from orderstore.build_generations g where g.build = b.id) parts \
         where b.phase in ('ready', 'done') and b.events > 0 \
         and b.end_commit_position > 0 and b.event_bytes > 0 \
         and wanted = cardinality($1::text[]) and share > 0 \
         order by built = wanted desc, b.id desc limit 1";
    let names: Vec<&str> = projections.iter().map(|name| name.as_str()).collect();
    Ok(sqlx::query_as(EARLIER).bind(names).fetch_optional(connection).await?)
}

async fn busy(connection: &mut PgConnection, patience: Duration) -> Result<Vec<Busy>, Error> {
    let mut busy = workers(connection, patience).await?;
    busy.extend(runs(connection, patience).await?);
    busy.extend(transactions(connection).await?);
    Ok(busy)
}

async fn workers(connection: &mut PgConnection, patience: Duration) -> Result<Vec<Busy>, Error> {
    const WORKERS: &str = "select distinct p.name from orderstore.checkpoints c \
         join orderstore.projections p on p.name = c.projection and p.generation = c.generation \
         where p.state = 'live' and c.holder is not null \
         and c.updated_at >= clock_timestamp() - make_interval(secs => $1) order by 1";
    let names: Vec<String> =
        sqlx::query_scalar(WORKERS).bind(patience.as_secs_f64()).fetch_all(connection).await?;
    let names = names.iter().filter_map(|name| name.parse().ok());
    Ok(names.map(|projection| Busy::LiveWorker { projection }).collect())
}

async fn runs(connection: &mut PgConnection, patience: Duration) -> Result<Vec<Busy>, Error> {
    const RUNS: &str = "select b.id, b.phase, b.paused, b.holder is not null \
         and b.updated_at >= clock_timestamp() - make_interval(secs => $1), \
         (select coalesce(array_agg(g.projection order by g.projection), '{}') \
          from orderstore.build_generations g where g.build = b.id) \
         from orderstore.builds b where b.phase not in ('done', 'given-up') \
         and (b.phase <> 'ready' or exists (select from orderstore.build_generations g \
              join orderstore.projections p on p.name = g.projection and p.generation = g.generation \
              where g.build = b.id and p.state = 'building')) order by b.id";
    let rows: Vec<(i64, Phase, bool, bool, Vec<String>)> =
        sqlx::query_as(RUNS).bind(patience.as_secs_f64()).fetch_all(connection).await?;
    let run = |(run, phase, paused, alive, names): (_, _, _, _, Vec<String>)| Busy::Rebuild {
        run,
        phase,
        paused,
        alive,
        projections: names.iter().filter_map(|name| name.parse().ok()).collect(),
    };
    Ok(rows.into_iter().map(run).collect())
}

async fn transactions(connection: &mut PgConnection) -> Result<Vec<Busy>, Error> {
    const LONG: &str = "select pid, coalesce(application_name, ''), xact_start \
         from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
         and backend_type = 'client backend' and xact_start < clock_timestamp() - interval '5 s' \
         order by xact_start";
    let rows: Vec<(i32, String, DateTime<Utc>)> =
        sqlx::query_as(LONG).fetch_all(connection).await?;
    let long = |(pid, application, since)| Busy::LongTransaction { pid, application, since };
    Ok(rows.into_iter().map(long).collect())
}
