//! Beginning a run, going on with one that was left behind, and finding those.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use tokio::time::sleep;

use super::options::RebuildOptions;
use super::run::{self, Unfinished};
use super::spill::partitions_for;
use crate::bookkeeping::GenerationId;
use crate::failure::Failure;
use crate::projections::Definition;
use crate::worker::Context;
use crate::{Error, ProjectionName, database, generation};

/// Held while runs are begun, so that two processes do not begin the same. A number of ours.
const BEGINNING: i64 = 0x6f72_6465_7262_6c64;

/// How often it is listened for a sign of life of somebody who may have died.
const LISTEN_AGAIN: Duration = Duration::from_millis(50);

/// Bytes of an event, about, for guessing how long the log is.
const EVENT_BYTES: u64 = 900;
/// What is folded at once may take so much memory.
pub(super) const FOLDED_BYTES: usize = 64 << 20;

/// Begins a run of `projections`, or goes on with one that was left behind: its number.
///
/// # Errors
/// [`Error::BeingBuilt`] when a running process builds one of them.
pub(crate) async fn start(
    context: &Context,
    projections: &[ProjectionName],
    options: &RebuildOptions,
) -> Result<i64, Error> {
    let mut connection = database::connect(&context.address).await?;
    database::exclude_others(&mut connection, BEGINNING).await?;
    let patience = context.options.take_over_after;
    let unfinished = certainly_unfinished(&mut connection, projections, patience).await?;
    for &projection in projections {
        // Who works at what a dead run has filled is in nobody's way.
        let in_a_run = unfinished.iter().any(|run| run.is_of(projection));
        check(&mut connection, context, projection, in_a_run).await?;
    }
    let concerned: Vec<&Unfinished> =
        unfinished.iter().filter(|run| projections.iter().any(|&name| run.is_of(name))).collect();
    if let Some(alive) = concerned.iter().find(|run| run.alive) {
        let built = projections.iter().find(|&&name| alive.is_of(name));
        let projection = built.copied().unwrap_or(ProjectionName::Orders);
        return Err(Error::BeingBuilt { projection, paused: alive.paused });
    }
    if !options.restart
        && let [left] = concerned[..]
        && !left.ready
        && left.all.len() == projections.len()
        && left.all.iter().all(|name| projections.iter().any(|it| it.as_str() == name))
        && run::is_ours(&mut connection, left.id, &context.options).await?
    {
        tracing::info!(run = left.id, "going on with a rebuild that was left half done");
        run::ask_again(&mut connection, left.id, options, patience).await?;
        return Ok(left.id);
    }
    for left in &concerned {
        for &name in projections.iter().filter(|&&name| left.is_of(name)) {
            run::take_out(&mut connection, left.id, name).await?;
        }
    }
    Ok(begin(&mut connection, context, projections, options).await?)
}

/// The runs that are not at their end. Whoever carries out one of `projections` has shown a sign of
/// life just now, or not for `patience`: what was killed a moment ago is not said to be going on.
async fn certainly_unfinished(
    connection: &mut PgConnection,
    projections: &[ProjectionName],
    patience: Duration,
) -> sqlx::Result<Vec<Unfinished>> {
    let before = run::unfinished(connection, patience).await?;
    let is_silent = |now: &Unfinished| {
        let is_concerned = projections.iter().any(|&name| now.is_of(name));
        let was_seen = |it: &Unfinished| it.id == now.id && it.seen == now.seen;
        now.alive && is_concerned && before.iter().any(was_seen)
    };
    loop {
        let now = run::unfinished(connection, patience).await?;
        if !now.iter().any(is_silent) {
            return Ok(now);
        }
        sleep(LISTEN_AGAIN).await;
    }
}

/// Whether a new generation of `projection` may be begun.
async fn check(
    connection: &mut PgConnection,
    context: &Context,
    projection: ProjectionName,
    in_a_run: bool,
) -> Result<(), Error> {
    let version = context.options.version_of(projection);
    let all = generation::generations(connection, projection).await?;
    if all.iter().any(|generation| generation.version > version) {
        return Err(Error::NewerIsLive { projection });
    }
    let patience = context.options.take_over_after;
    if !in_a_run && generation::is_being_built(connection, projection, patience).await? {
        return Err(Error::BeingBuilt { projection, paused: false });
    }
    Ok(())
}

async fn begin(
    connection: &mut PgConnection,
    context: &Context,
    projections: &[ProjectionName],
    options: &RebuildOptions,
) -> Result<i64, Failure> {
    // First, because it may fail: a generation that is begun is built, by whoever finds it.
    let partitions = partitions(context, options).await?;
    let mut generations = vec![];
    for definition in Definition::ALL.iter().filter(|it| projections.contains(&it.name)) {
        let new = generation::begin_rebuild(connection, definition, &context.options).await?;
        generations.push(new);
    }
    run::begin(connection, &generations, partitions, options, context.holder).await
}

/// Into how many partitions to deal out the streams of a log as long as this one.
async fn partitions(context: &Context, options: &RebuildOptions) -> Result<u32, Failure> {
    if let Some(partitions) = options.partitions {
        return Ok(partitions);
    }
    let head = context.journal.head().await?;
    // Where positions are not numbers of events but of bytes, it comes to the most there may be.
    let bytes = head.commit.saturating_mul(EVENT_BYTES);
    let count = partitions_for(bytes, FOLDED_BYTES, options.under_way());
    Ok(u32::try_from(count).unwrap_or(1))
}

/// What nobody does although it should be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftBehind {
    /// Runs whose process is dead, and that are of this build's versions.
    pub(crate) runs: Vec<i64>,
    /// New generations that no run fills yet.
    pub(crate) generations: Vec<GenerationId>,
}

/// Looks for runs and generations that nobody builds.
pub(crate) async fn left_behind(
    connection: &mut PgConnection,
    context: &Context,
) -> Result<LeftBehind, Failure> {
    let patience = context.options.take_over_after;
    let unfinished = run::unfinished(connection, patience).await?;
    let mut runs = vec![];
    for run in unfinished.iter().filter(|run| !run.alive && !run.ready && !run.paused) {
        if run::is_ours(connection, run.id, &context.options).await? {
            runs.push(run.id);
        }
    }
    Ok(LeftBehind { runs, generations: unbuilt(connection, context).await? })
}

async fn unbuilt(
    connection: &mut PgConnection,
    context: &Context,
) -> Result<Vec<GenerationId>, Failure> {
    let found = run::unbuilt(connection, context.options.take_over_after).await?;
    let ours = |(name, number, version): (String, i64, i32)| {
        let projection: ProjectionName = name.parse().ok()?;
        let is_ours = context.options.version_of(projection) == version;
        is_ours.then_some(GenerationId { projection, number })
    };
    Ok(found.into_iter().filter_map(ours).collect())
}

/// Begins a run that fills the new generations that nobody builds: its number, if there are any.
pub(crate) async fn adopt(
    context: &Context,
    options: &RebuildOptions,
) -> Result<Option<i64>, Failure> {
    let mut connection = database::connect(&context.address).await?;
    database::exclude_others(&mut connection, BEGINNING).await?;
    let generations = unbuilt(&mut connection, context).await?;
    if generations.is_empty() {
        return Ok(None);
    }
    let partitions = partitions(context, options).await?;
    let id = run::begin(&mut connection, &generations, partitions, options, context.holder).await?;
    Ok(Some(id))
}
