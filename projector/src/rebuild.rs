//! Rebuilds projections beside their live generations, from the beginning of the log.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use journal::Journal;
use sqlx::Connection;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::build::{self, Board, BuildProgress, Engine, Outcome, Progress, RebuildOptions};
use crate::failure::Failure;
use crate::worker::Context;
use crate::{Error, ProjectionName, calls, database, generation};

/// A rebuild that has not ended so long after it was asked to is left where it is.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A running rebuild. Live generations go on meanwhile; readers notice nothing until the new ones
/// are promoted, each by itself.
///
/// Dropping it stops it where it is, as killing the process does: a running
/// [`Projector`](crate::Projector) then goes on with it, and so does another rebuild of the same
/// projections. To give it up, call [`Rebuild::cancel`].
pub struct Rebuild {
    context: Context,
    projections: Vec<ProjectionName>,
    board: Arc<Board>,
    run: i64,
    /// Where its events are put aside, and who reads and writes there.
    aside: (PathBuf, TaskTracker),
    task: Option<JoinHandle<Result<Outcome, Failure>>>,
    _hearing: AbortOnDropHandle<()>,
}

/// What came of a rebuild.
#[derive(Debug, Clone, PartialEq)]
pub struct Rebuilt {
    /// How it went.
    pub progress: Progress,
    /// What became of each projection.
    pub projections: Vec<BuildProgress>,
    /// Whether all of them are live.
    pub promoted: bool,
}

/// Postgres has no room, or the role may not do what it must.
#[derive(Debug, thiserror::Error)]
#[error(
    "the rebuild is paused, for Postgres refuses to write: {0}; make room, or grant what is missing"
)]
struct Refused(sqlx::Error);

impl Rebuild {
    /// Begins to rebuild `projections`, in one pass over the log, or goes on with a rebuild of the
    /// same ones that was left half done. Another that was left half done loses those that are
    /// rebuilt now.
    ///
    /// # Errors
    /// [`Error::BeingBuilt`] when a running process is building one of them.
    pub async fn start(
        database_url: &str,
        journal: Journal,
        projections: &[ProjectionName],
        options: impl Into<RebuildOptions>,
    ) -> Result<Self, Error> {
        let options = options.into();
        let address = database::address(database_url).ok_or(Error::BadAddress)?;
        generation::migrate(&address).await?;
        let mut projections = projections.to_vec();
        projections.sort_unstable();
        projections.dedup();
        let context = Context::new(address, journal, options.worker.clone());
        let run = build::start(&context, &projections, &options).await?;
        let board = Arc::new(Board::new());
        let engine = Engine::take(&context, options, Arc::clone(&board), run).await?;
        let taken_over = Error::BeingBuilt { projection: projections[0], paused: false };
        let engine = engine.ok_or(taken_over)?;
        let aside = (engine.directory(), engine.users());
        let task = Some(tokio::spawn(engine.carry_out()));
        let hearing = AbortOnDropHandle::new(tokio::spawn(calls::hear(context.clone())));
        Ok(Self { context, projections, board, run, aside, task, _hearing: hearing })
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.board.progress()
    }

    /// Whether it has come to an end.
    pub fn is_finished(&self) -> bool {
        self.task.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until all projections are live, or ready to be promoted.
    ///
    /// # Errors
    /// [`Error::TakenOver`] when another process goes on with it; [`Error::Disk`] when there is no
    /// room for the events, or for the rows.
    pub async fn finish(mut self) -> Result<Rebuilt, Error> {
        if let Some(task) = self.task.take() {
            match task.await {
                Ok(Ok(_)) => {}
                Ok(Err(failure)) => return Err(self.error(failure)),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => return Err(Error::TakenOver { projection: self.projections[0] }),
            }
        }
        let progress = self.progress();
        let projections = progress.projections.clone();
        let promoted = projections.iter().all(|it| it.promoted);
        Ok(Rebuilt { progress, projections, promoted })
    }

    fn error(&self, failure: Failure) -> Error {
        let waits_for_somebody = failure.waits_for_somebody();
        match failure {
            Failure::Database(error) if waits_for_somebody => Error::Disk(Box::new(Refused(error))),
            failure @ (Failure::Database(_)
            | Failure::Lost
            | Failure::Moved
            | Failure::Journal(_)
            | Failure::Migration(_)
            | Failure::Position
            | Failure::TooSlow
            | Failure::Spill(_)) => Error::of(self.projections[0], failure),
        }
    }

    /// Stops where it is, and lets others go on with it at once.
    pub async fn stop(mut self) {
        self.end().await;
    }

    /// Stops, and drops what is not live yet.
    ///
    /// # Errors
    /// When the database cannot be reached: a running projector then goes on with the rebuild.
    pub async fn cancel(mut self) -> Result<(), Error> {
        let mut connection = database::connect(&self.context.address).await?;
        // Before anybody stops, or somebody else would go on with it.
        build::give_up(&mut connection, self.run).await?;
        for &name in &self.projections {
            generation::give_up(&mut connection, name).await?;
        }
        self.end().await;
        build::remove_left_over(std::mem::take(&mut self.aside.0)).await;
        generation::drop_retired(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Stops, and waits until nothing is left that reads or writes.
    async fn end(&mut self) {
        self.context.stop.cancel();
        let (task, users) = (self.task.take(), &self.aside.1);
        let ended = async {
            if let Some(task) = task {
                // How it ended does not matter any more.
                let _ = task.await;
            }
            users.close();
            users.wait().await;
        };
        // If it hangs, others go on with it once it has been silent for a while, and remove what
        // it has put aside.
        let _ = timeout(STOP_LIMIT, ended).await;
    }
}

impl Drop for Rebuild {
    fn drop(&mut self) {
        self.context.stop.cancel();
    }
}

impl std::fmt::Debug for Rebuild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rebuild").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

/// Pauses the rebuilds of `projections`, whichever processes carry them out; of all projections if
/// none are named. They stand still within a second, and stay so, even if somebody else goes on
/// with them, until [`resume`]. Those that are concerned.
///
/// # Errors
/// When the database cannot be reached.
pub async fn pause(
    database_url: &str,
    projections: &[ProjectionName],
) -> Result<Vec<ProjectionName>, Error> {
    set_paused(database_url, projections, true).await
}

/// Lets paused rebuilds go on. Those that are concerned.
///
/// # Errors
/// When the database cannot be reached.
pub async fn resume(
    database_url: &str,
    projections: &[ProjectionName],
) -> Result<Vec<ProjectionName>, Error> {
    set_paused(database_url, projections, false).await
}

async fn set_paused(
    database_url: &str,
    projections: &[ProjectionName],
    paused: bool,
) -> Result<Vec<ProjectionName>, Error> {
    let address = database::address(database_url).ok_or(Error::BadAddress)?;
    let mut connection = database::connect(&address).await?;
    let set = build::set_paused(&mut connection, projections, paused).await?;
    connection.close().await?;
    Ok(set)
}
