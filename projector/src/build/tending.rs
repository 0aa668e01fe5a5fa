//! What a running projector does about builds: it fills new generations that nobody fills, and goes
//! on with runs whose process is dead.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use tokio::time::timeout;

use super::engine::{Engine, Outcome};
use super::left_over;
use super::options::RebuildOptions;
use super::progress::Board;
use super::starting;
use crate::database;
use crate::failure::Failure;
use crate::worker::{Context, Patience};

/// How often it is looked for something to do.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Builds what is left, one run at a time, until it is stopped.
pub(crate) async fn build_what_is_left(context: Context, options: RebuildOptions) {
    let mut connection = None;
    let mut patience = Patience::new();
    while !context.stop.is_cancelled() {
        match build_next(&context, &options, &mut connection).await {
            Ok(true) => patience = Patience::new(),
            Ok(false) => {
                patience = Patience::new();
                let news = async {
                    tokio::select! {
                        () = context.stop.cancelled() => {}
                        () = context.to_build.notified() => {}
                    }
                };
                let _ = timeout(LOOK_AGAIN, news).await;
            }
            Err(failure) => {
                connection = None;
                let error = failure.story();
                // The workers tell about the same trouble.
                tracing::debug!(error, "could not build what is left");
                patience.wait(&context.stop).await;
            }
        }
    }
}

/// Carries out one run that nobody carries out. Whether there was one.
async fn build_next(
    context: &Context,
    options: &RebuildOptions,
    connection: &mut Option<PgConnection>,
) -> Result<bool, Failure> {
    let session = match connection {
        Some(connection) => connection,
        none => none.insert(database::connect(&context.address).await?),
    };
    let left = starting::left_behind(session, context).await?;
    let mut failed = None;
    for run in left.runs {
        match build(context, options, run).await {
            Ok(true) => return Ok(true),
            // Others may have better luck.
            Ok(false) => {}
            Err(failure) => failed = Some(failure),
        }
    }
    if !left.generations.is_empty()
        && let Some(run) = starting::adopt(context, options).await?
    {
        return build(context, options, run).await;
    }
    left_over::clear(session, &options.spill_dir).await?;
    failed.map_or(Ok(false), Err)
}

/// Carries out the run `run`. Whether it could be taken.
async fn build(context: &Context, options: &RebuildOptions, run: i64) -> Result<bool, Failure> {
    let board = Arc::new(Board::new());
    let Some(engine) = Engine::take(context, options.clone(), board, run).await? else {
        return Ok(false);
    };
    tracing::info!(run, "building what is left");
    match engine.carry_out().await {
        Ok(Outcome::Done | Outcome::Ready | Outcome::Stopped) | Err(Failure::Lost) => Ok(true),
        Err(failure) => {
            let error = failure.story();
            tracing::error!(run, error, "a build cannot go on");
            Err(failure)
        }
    }
}
