//! The rows of `orderstore.quarantine` and `orderstore.skipped`: the statements on them are here.

use std::collections::HashSet;

use futures::TryStreamExt;
use schemas::StreamName;
use sqlx::postgres::PgConnection;

use super::build::this_build;
use crate::ProjectionName;
use crate::bookkeeping::GenerationId;
use crate::fold::Poisoned;
use crate::slice::Slice;

/// The streams in `slice` of `generation` that are quarantined.
pub(crate) async fn quarantined(
    connection: &mut PgConnection,
    generation: GenerationId,
    slice: Slice,
) -> sqlx::Result<HashSet<StreamName>> {
    const QUARANTINED: &str =
        "select stream from orderstore.quarantine where projection = $1 and generation = $2";
    // There may be many, of which few are ours.
    let names = sqlx::query_scalar(QUARANTINED)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .fetch(connection);
    let ours = |name: String| {
        let stream = name.parse().ok().filter(|stream| slice.has(stream));
        std::future::ready(Ok(stream))
    };
    names.try_filter_map(ours).try_collect().await
}

/// How many streams of `generation` are quarantined.
pub(crate) async fn count(
    connection: &mut PgConnection,
    generation: GenerationId,
) -> sqlx::Result<i64> {
    const COUNT: &str =
        "select count(*) from orderstore.quarantine where projection = $1 and generation = $2";
    sqlx::query_scalar(COUNT)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .fetch_one(connection)
        .await
}

/// The streams of `generation` that this build has not tried since they were quarantined, or that
/// wait for an event that is skipped by now. Those that have waited longest come first.
pub(crate) async fn untried(
    connection: &mut PgConnection,
    generation: GenerationId,
) -> sqlx::Result<Vec<StreamName>> {
    const ANY: &str = "select exists (select from orderstore.quarantine \
         where projection = $1 and generation = $2)";
    const UNTRIED: &str = "select q.stream from orderstore.quarantine q \
         where q.projection = $1 and q.generation = $2 \
         and (q.build is distinct from $3 or exists (select from orderstore.skipped s \
              where s.projection = q.projection and s.stream = q.stream \
              and s.revision = q.revision)) \
         order by q.since, q.stream";
    let any: bool = sqlx::query_scalar(ANY)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .fetch_one(&mut *connection)
        .await?;
    if !any {
        return Ok(vec![]);
    }
    let names: Vec<String> = sqlx::query_scalar(UNTRIED)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .bind(this_build().await)
        .fetch_all(connection)
        .await?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// Notes that streams of `generation` are quarantined from now on; again, if they were before.
pub(crate) async fn begin(
    connection: &mut PgConnection,
    generation: GenerationId,
    poisoned: &[Poisoned],
) -> sqlx::Result<()> {
    const QUARANTINE: &str = "insert into orderstore.quarantine \
         (projection, generation, stream, revision, event_type, error, build) \
         select $1, $2, n.*, $7 \
         from unnest($3::text[], $4::bigint[], $5::text[], $6::text[]) as n \
         on conflict (projection, generation, stream) \
         do update set revision = excluded.revision, event_type = excluded.event_type, \
         error = excluded.error, build = excluded.build";
    if poisoned.is_empty() {
        return Ok(());
    }
    let streams: Vec<&str> = poisoned.iter().map(|poisoned| poisoned.stream.as_str()).collect();
    let revisions: Vec<i64> = poisoned
        .iter()
        .map(|poisoned| i64::try_from(poisoned.revision).unwrap_or(i64::MAX))
        .collect();
    let types: Vec<Option<String>> =
        poisoned.iter().map(|poisoned| poisoned.event_type.as_deref().map(storable)).collect();
    let errors: Vec<String> =
        poisoned.iter().map(|poisoned| storable(&poisoned.error.to_string())).collect();
    sqlx::query(QUARANTINE)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .bind(streams)
        .bind(revisions)
        .bind(types)
        .bind(errors)
        .bind(this_build().await)
        .execute(connection)
        .await
        .map(drop)
}

/// Leaves it to whoever works on `generation` to try `stream` again.
pub(crate) async fn leave(
    connection: &mut PgConnection,
    generation: GenerationId,
    stream: &StreamName,
) -> sqlx::Result<()> {
    const UNTRIED: &str = "update orderstore.quarantine set build = null \
         where projection = $1 and generation = $2 and stream = $3";
    sqlx::query(UNTRIED)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .bind(stream.as_str())
        .execute(connection)
        .await
        .map(drop)
}

/// Without the one character that Postgres does not take, and which may be what is wrong.
fn storable(text: &str) -> String {
    text.replace('\0', "␀")
}

/// Ends the quarantine of `stream`.
pub(crate) async fn end(
    connection: &mut PgConnection,
    generation: GenerationId,
    stream: &StreamName,
) -> sqlx::Result<()> {
    const END: &str = "delete from orderstore.quarantine \
         where projection = $1 and generation = $2 and stream = $3";
    sqlx::query(END)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .bind(stream.as_str())
        .execute(connection)
        .await
        .map(drop)
}

/// Forgets all quarantines of `generation`, which begins again with no rows.
pub(crate) async fn forget(
    connection: &mut PgConnection,
    generation: GenerationId,
) -> sqlx::Result<()> {
    const FORGET: &str =
        "delete from orderstore.quarantine where projection = $1 and generation = $2";
    sqlx::query(FORGET)
        .bind(generation.projection.as_str())
        .bind(generation.number)
        .execute(connection)
        .await
        .map(drop)
}

/// The events that every generation of `projection` passes over.
pub(crate) async fn skipped(
    connection: &mut PgConnection,
    projection: ProjectionName,
) -> sqlx::Result<Vec<(StreamName, u64)>> {
    const SKIPPED: &str = "select stream, revision from orderstore.skipped where projection = $1";
    let rows: Vec<(String, i64)> =
        sqlx::query_as(SKIPPED).bind(projection.as_str()).fetch_all(connection).await?;
    let event = |(stream, revision): (String, i64)| {
        Some((stream.parse().ok()?, u64::try_from(revision).ok()?))
    };
    Ok(rows.into_iter().filter_map(event).collect())
}
