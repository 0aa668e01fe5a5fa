//! Rebuilds projections beside their live generations, from the beginning of the log.

use std::time::Duration;

use futures::future::BoxFuture;
use journal::{Journal, Position};
use sqlx::Connection;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::database;
use crate::failure::Failure;
use crate::projection::Projection;
use crate::projections::{Definition, With, with};
use crate::projector::build;
use crate::worker::{Context, End, Patience, Role, WorkerStatus};
use crate::{Error, Options, ProjectionName, generation};

/// How often the end of the log is looked up.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A running rebuild. Live generations go on meanwhile; readers notice nothing until the new ones
/// are promoted, each by itself.
///
/// Dropping it stops it where it is, as killing the process does: a running
/// [`Projector`](crate::Projector) then goes on with it, and another rebuild begins again. To give
/// it up, call [`Rebuild::cancel`].
pub struct Rebuild {
    context: Context,
    started: Instant,
    builds: Vec<watch::Receiver<WorkerStatus>>,
    head: watch::Receiver<Position>,
    tasks: Vec<JoinHandle<Result<Option<Rebuilt>, Error>>>,
    _head_follower: AbortOnDropHandle<()>,
}

/// How far the rebuild of one projection is.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildProgress {
    /// Which projection.
    pub projection: ProjectionName,
    /// Number of the new generation, once there is one.
    pub generation: Option<i64>,
    /// Events folded so far.
    pub events: u64,
    /// Where it is in the log.
    pub position: Position,
    /// Where the log ends.
    pub head: Position,
    /// Since the rebuild began.
    pub elapsed: Duration,
    /// Whether the new generation has been promoted.
    pub promoted: bool,
    /// What is wrong right now, if anything is; it is tried again.
    pub last_error: Option<String>,
}

impl BuildProgress {
    /// How much is done, from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a share for a bar on a screen")]
    pub fn done(&self) -> f64 {
        if self.promoted {
            return 1.0;
        }
        let end = self.head.commit.max(1);
        self.position.commit.min(end) as f64 / end as f64
    }

    /// Events per second, on average.
    #[expect(clippy::cast_precision_loss, reason = "a rate for a screen")]
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64().max(0.001)
    }
}

/// A projection that was rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// Which one.
    pub projection: ProjectionName,
    /// Number of the generation that is live now.
    pub generation: i64,
    /// Events folded.
    pub events: u64,
}

impl Rebuild {
    /// Begins to rebuild `projections` (each once), all at the same time. A generation of one of
    /// them that was left half built is dropped.
    ///
    /// # Errors
    /// [`Error::BeingBuilt`] when a running process is building one of them.
    pub async fn start(
        database_url: &str,
        journal: Journal,
        projections: &[ProjectionName],
        options: Options,
    ) -> Result<Self, Error> {
        let address = database::address(database_url).ok_or(Error::BadAddress)?;
        generation::migrate(&address).await?;
        let context = Context::new(address, journal, options);
        let mut tasks = vec![];
        let mut builds = vec![];
        for definition in Definition::ALL {
            if !projections.contains(&definition.name) {
                continue;
            }
            let number = begin(&context, definition).await?;
            let (status, build) = watch::channel(WorkerStatus::starting(definition.name));
            builds.push(build);
            let task = ToTheEnd { context: context.clone(), number, status };
            tasks.push(tokio::spawn(with(definition.name, task)));
        }
        let (tell, head) = watch::channel(Position::START);
        let head_follower = tokio::spawn(follow_head(context.clone(), tell));
        Ok(Self {
            context,
            started: Instant::now(),
            builds,
            head,
            tasks,
            _head_follower: AbortOnDropHandle::new(head_follower),
        })
    }

    /// How far all of them are.
    pub fn progress(&self) -> Vec<BuildProgress> {
        let head = *self.head.borrow();
        let elapsed = self.started.elapsed();
        let one = |status: &watch::Receiver<WorkerStatus>| {
            let status = status.borrow();
            BuildProgress {
                projection: status.projection,
                generation: status.generation,
                events: status.stats.events_applied,
                position: status.position,
                head: head.max(status.position),
                elapsed,
                promoted: status.role == Role::Live,
                last_error: status.last_error.clone(),
            }
        };
        self.builds.iter().map(one).collect()
    }

    /// Whether all of them have come to an end.
    pub fn is_finished(&self) -> bool {
        self.tasks.iter().all(JoinHandle::is_finished)
    }

    /// Waits until all of them are live: which ones, in the order of their names.
    ///
    /// # Errors
    /// [`Error::TakenOver`] when another process took one of them over.
    pub async fn finish(mut self) -> Result<Vec<Rebuilt>, Error> {
        let mut rebuilt = vec![];
        for task in std::mem::take(&mut self.tasks) {
            match task.await {
                Ok(ended) => rebuilt.extend(ended?),
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            }
        }
        Ok(rebuilt)
    }

    /// Stops, and drops what is not live yet.
    ///
    /// # Errors
    /// When the database cannot be reached: a running projector then goes on with the rebuild.
    pub async fn cancel(mut self) -> Result<(), Error> {
        let mut connection = database::connect(&self.context.address).await?;
        // Before the workers give their generations back, or somebody else would go on with them.
        for build in &self.builds {
            let name = build.borrow().projection;
            generation::give_up(&mut connection, name).await?;
        }
        self.context.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            // How it ended does not matter any more.
            let _ = task.await;
        }
        generation::drop_retired(&mut connection).await?;
        Ok(connection.close().await?)
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

/// Creates the new generation: its number.
async fn begin(context: &Context, definition: &Definition) -> Result<i64, Error> {
    let projection = definition.name;
    let mut connection = database::connect(&context.address).await?;
    let all = generation::generations(&mut connection, projection).await?;
    if all.iter().any(|generation| generation.version > definition.version) {
        return Err(Error::NewerIsLive { projection });
    }
    let patience = context.options.take_over_after;
    if generation::is_being_built(&mut connection, projection, patience).await? {
        return Err(Error::BeingBuilt { projection });
    }
    let id = generation::begin_rebuild(&mut connection, definition, Some(context.holder))
        .await
        .map_err(|failure| Error::of(projection, failure))?;
    connection.close().await?;
    Ok(id.number)
}

async fn follow_head(context: Context, tell: watch::Sender<Position>) {
    loop {
        if let Ok(head) = context.journal.head().await {
            tell.send_replace(head);
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Builds one generation until it is live, whatever happens to the database meanwhile.
struct ToTheEnd {
    context: Context,
    number: i64,
    status: watch::Sender<WorkerStatus>,
}

impl With for ToTheEnd {
    type Output = BoxFuture<'static, Result<Option<Rebuilt>, Error>>;

    fn with<P: Projection>(self) -> Self::Output {
        Box::pin(async move { to_the_end::<P>(&self.context, self.number, &self.status).await })
    }
}

async fn to_the_end<P: Projection>(
    context: &Context,
    number: i64,
    status: &watch::Sender<WorkerStatus>,
) -> Result<Option<Rebuilt>, Error> {
    let mut patience = Patience::new();
    loop {
        match build::<P>(context, number, status).await {
            Ok(Some(End::Promoted)) => {
                let events = status.borrow().stats.events_applied;
                return Ok(Some(Rebuilt { projection: P::NAME, generation: number, events }));
            }
            Ok(Some(End::Stopped)) => return Ok(None),
            Ok(None) | Err(Failure::Lost) => {
                return Err(Error::TakenOver { projection: P::NAME });
            }
            Err(failure) => {
                let error = failure.story();
                tracing::warn!(projection = %P::NAME, error, "a build was interrupted; it goes on");
                status.send_modify(|status| status.last_error = Some(error));
                patience.wait(&context.stop).await;
            }
        }
        if context.stop.is_cancelled() {
            return Ok(None);
        }
    }
}
