//! Runs seen by those who do not carry them out: which there are, and what is done about them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, FromRow};

use super::kept_threshold;
use crate::build::RebuildOptions;
use crate::failure::Failure;
use crate::{ProjectionName, bookkeeping};

/// A run that is not at its end, from outside.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Unfinished {
    pub(crate) id: i64,
    /// Whether its holder has shown a sign of life.
    pub(crate) alive: bool,
    /// When it last did.
    pub(crate) seen: DateTime<Utc>,
    /// The projections that are left to build.
    pub(crate) projections: Vec<String>,
    /// All that it builds or has built.
    #[sqlx(rename = "all_of_it")]
    pub(crate) all: Vec<String>,
    /// Whether it waits for somebody to promote what it built.
    pub(crate) ready: bool,
    /// Whether somebody has paused it.
    pub(crate) paused: bool,
}

impl Unfinished {
    pub(crate) fn is_of(&self, projection: ProjectionName) -> bool {
        self.projections.iter().any(|name| name == projection.as_str())
    }
}

/// The runs that are not at their end. Those of which nobody has shown a sign of life within
/// `patience` are not alive.
pub(crate) async fn unfinished(
    connection: &mut PgConnection,
    patience: Duration,
) -> sqlx::Result<Vec<Unfinished>> {
    const UNFINISHED: &str = "select b.id, b.phase = 'ready' as ready, b.paused, b.updated_at as seen, \
         b.holder is not null \
         and b.updated_at >= clock_timestamp() - make_interval(secs => $1) as alive, \
         (select coalesce(array_agg(g.projection), '{}') from orderstore.build_generations g \
          join orderstore.projections p on p.name = g.projection and p.generation = g.generation \
          where g.build = b.id and p.state = 'building') as projections, \
         (select coalesce(array_agg(g.projection), '{}') from orderstore.build_generations g \
          where g.build = b.id) as all_of_it \
         from orderstore.builds b where b.phase not in ('done', 'given-up') order by b.id";
    sqlx::query_as(UNFINISHED).bind(patience.as_secs_f64()).fetch_all(connection).await
}

/// The generations that are to be built and that no run fills, by projection and version. Nobody
/// who works at them has shown a sign of life within `patience`.
pub(crate) async fn unbuilt(
    connection: &mut PgConnection,
    patience: Duration,
) -> sqlx::Result<Vec<(String, i64, i32)>> {
    const UNBUILT: &str = "select p.name, p.generation, p.version from orderstore.projections p \
         where p.state = 'building' and not exists (select from orderstore.build_generations g \
             where g.projection = p.name and g.generation = p.generation) \
         and not exists (select from orderstore.checkpoints c \
             where c.projection = p.name and c.generation = p.generation and c.holder is not null \
             and c.updated_at >= clock_timestamp() - make_interval(secs => $1)) order by 1";
    sqlx::query_as(UNBUILT).bind(patience.as_secs_f64()).fetch_all(connection).await
}

/// Those of the runs `ids` that have ended, and when each began, in microseconds. Not those that
/// have ended just now: somebody may not have noticed yet.
pub(crate) async fn ended(
    connection: &mut PgConnection,
    ids: &[i64],
) -> sqlx::Result<Vec<(i64, i64)>> {
    const ENDED: &str = "select id, (extract(epoch from started_at) * 1000000)::bigint \
         from orderstore.builds where id = any($1) and phase in ('ready', 'done', 'given-up') \
         and ended_at < clock_timestamp() - interval '5 s'";
    sqlx::query_as(ENDED).bind(ids).fetch_all(connection).await
}

/// Lets the run `id` go on as whoever asks for it again wants it: neither its pause counts any more,
/// nor what was to become of its generations. Nothing changes if somebody carries it out by now, who
/// has shown a sign of life within `patience`.
pub(crate) async fn ask_again(
    connection: &mut PgConnection,
    id: i64,
    options: &RebuildOptions,
    patience: Duration,
) -> Result<(), Failure> {
    const ASK: &str = "update orderstore.builds set paused = false, promote = $2, threshold = $3 \
         where id = $1 and (holder is null \
         or updated_at < clock_timestamp() - make_interval(secs => $4))";
    let mut transaction = bookkeeping::durable(connection).await?;
    sqlx::query(ASK)
        .bind(id)
        .bind(options.promote)
        .bind(kept_threshold(options))
        .bind(patience.as_secs_f64())
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}

/// Sets or ends the pause of all runs of `projections` (of all runs, if there are none). The
/// projections that it is about.
pub(crate) async fn set_paused(
    connection: &mut PgConnection,
    projections: &[ProjectionName],
    paused: bool,
) -> Result<Vec<ProjectionName>, Failure> {
    const SET: &str = "with these as (select distinct b.id from orderstore.builds b \
         join orderstore.build_generations g on g.build = b.id \
         where b.phase in ('scan', 'fold', 'finish', 'catch-up') \
         and (cardinality($1::text[]) = 0 or g.projection = any($1))), \
         done as (update orderstore.builds b set paused = $2 from these t where b.id = t.id \
         returning b.id) \
         select g.projection from orderstore.build_generations g join done d on d.id = g.build \
         order by 1";
    let names: Vec<&str> = projections.iter().map(|name| name.as_str()).collect();
    let mut transaction = bookkeeping::durable(connection).await?;
    let set: Vec<String> =
        sqlx::query_scalar(SET).bind(names).bind(paused).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(set.iter().filter_map(|name| name.parse().ok()).collect())
}

/// Takes a projection out of the run `id`, which nobody carries out. What is left of it can still
/// be carried out.
pub(crate) async fn take_out(
    connection: &mut PgConnection,
    id: i64,
    projection: ProjectionName,
) -> Result<(), Failure> {
    const TAKE_OUT: &str =
        "delete from orderstore.build_generations where build = $1 and projection = $2";
    const GIVE_UP: &str = "update orderstore.builds set phase = 'given-up', holder = null, \
         epoch = epoch + 1, ended_at = clock_timestamp() where id = $1 \
         and not exists (select from orderstore.build_generations where build = $1)";
    let mut transaction = connection.begin().await?;
    sqlx::query(TAKE_OUT).bind(id).bind(projection.as_str()).execute(&mut *transaction).await?;
    sqlx::query(GIVE_UP).bind(id).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// Gives the run up, whoever carries it out.
pub(crate) async fn give_up(connection: &mut PgConnection, id: i64) -> Result<(), Failure> {
    const GIVE_UP: &str = "update orderstore.builds set phase = 'given-up', holder = null, \
         epoch = epoch + 1, ended_at = clock_timestamp() where id = $1 \
         and phase not in ('done', 'given-up')";
    let mut transaction = bookkeeping::durable(connection).await?;
    sqlx::query(GIVE_UP).bind(id).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}
