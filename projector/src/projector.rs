//! Keeps a worker going for every projection, whatever happens to the database or the event store.

use std::collections::BTreeMap;
use std::time::Duration;

use journal::Journal;
use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgListener, PgPoolOptions};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::DropGuard;
use tokio_util::task::AbortOnDropHandle;

use crate::bookkeeping::{Claim, GenerationId, WANTED};
use crate::database::{self, Trouble};
use crate::failure::Failure;
use crate::projection::Projection;
use crate::projections::{Definition, With, with};
use crate::worker::{Context, End, Patience, Role, Worker, WorkerStatus};
use crate::writer::Writer;
use crate::{Error, Options, ProjectionName, generation};

/// How often a standby looks whether it is needed, and everybody for generations to build.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Workers that have not ended so long after they were asked to are stopped where they are.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A running projector: one worker per projection, and builders for new generations.
///
/// Several processes may run one on the same database. The one that started last writes; the others
/// stand by.
#[derive(Debug)]
pub struct Projector {
    statuses: BTreeMap<ProjectionName, watch::Receiver<WorkerStatus>>,
    supervisor: AbortOnDropHandle<()>,
    stop: DropGuard,
}

impl Projector {
    /// Starts working, and returns at once: neither the database nor the event store need be up.
    /// Sets the database up first, as [`migrate`](crate::migrate) does.
    ///
    /// Must be called inside a Tokio runtime. Dropping the projector stops it.
    ///
    /// # Errors
    /// [`Error::BadAddress`].
    pub fn start(database_url: &str, journal: Journal, options: Options) -> Result<Self, Error> {
        let address = database::address(database_url).ok_or(Error::BadAddress)?;
        let context = Context::new(address, journal, options);
        let stop = context.stop.clone().drop_guard();
        let mut statuses = BTreeMap::new();
        let mut senders = vec![];
        for name in ProjectionName::ALL {
            let (sender, receiver) = watch::channel(WorkerStatus::starting(name));
            statuses.insert(name, receiver);
            senders.push(sender);
        }
        let supervisor = AbortOnDropHandle::new(tokio::spawn(supervise(context, senders)));
        Ok(Self { statuses, supervisor, stop })
    }

    /// How all workers are doing.
    pub fn status(&self) -> Vec<WorkerStatus> {
        self.statuses.values().map(|status| status.borrow().clone()).collect()
    }

    /// Follows how the worker of `projection` is doing.
    ///
    /// # Panics
    /// Never: every projection has a worker.
    pub fn watch(&self, projection: ProjectionName) -> watch::Receiver<WorkerStatus> {
        self.statuses[&projection].clone()
    }

    /// Tells whether the projector has died, which nothing short of a defect makes it do.
    pub fn death(&self) -> impl Fn() -> bool + Send + Sync + Clone + use<> {
        let supervisor = self.supervisor.abort_handle();
        move || supervisor.is_finished()
    }

    /// Ends all workers after what they are writing, and hands their work to standbys.
    pub async fn stop(self) {
        drop(self.stop);
        // A worker that panicked has said so; one that hangs is aborted by the drop.
        let _ = timeout(STOP_LIMIT, self.supervisor).await;
    }
}

async fn supervise(context: Context, senders: Vec<watch::Sender<WorkerStatus>>) {
    let mut tasks = JoinSet::new();
    for status in senders {
        let name = status.borrow().projection;
        tasks.spawn(with(name, Tend { context: context.clone(), status }));
    }
    tasks.spawn(build_what_is_left(context.clone()));
    tasks.spawn(hear_who_waits(context));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            // A defect. Dying visibly, all of us, gets it noticed and the process restarted.
            tracing::error!(%error, "a projector's worker has panicked, so the projector ends");
            return;
        }
    }
}

/// Keeps the worker of one live generation going.
struct Tend {
    context: Context,
    status: watch::Sender<WorkerStatus>,
}

impl With for Tend {
    type Output = futures::future::BoxFuture<'static, ()>;

    fn with<P: Projection>(self) -> Self::Output {
        Box::pin(async move { tend::<P>(&self.context, &self.status).await })
    }
}

async fn tend<P: Projection>(context: &Context, status: &watch::Sender<WorkerStatus>) {
    let mut patience = Patience::new();
    let mut claim = Claim::TakeOver;
    while !context.stop.is_cancelled() {
        let was_working = status.borrow().role == Role::Live;
        let outcome = work::<P>(context, status, claim).await;
        if status.borrow().role == Role::Live {
            // From now on whoever takes over is newer than we are.
            claim = Claim::UnlessAlive(context.options.take_over_after);
            patience = Patience::new();
        }
        match outcome {
            Ok(Attempt::Ended) => break,
            Ok(Attempt::Standby(why)) => {
                if was_working || status.borrow().role != Role::Standby {
                    tracing::info!(projection = %P::NAME, why, "standing by");
                }
                stand_by(status);
                let _ = timeout(LOOK_AGAIN, context.stop.cancelled()).await;
            }
            Err(Failure::Lost) => {
                tracing::warn!(projection = %P::NAME, "another projector has taken over");
                stand_by(status);
                status.send_modify(|status| status.stats.takeovers += 1);
            }
            Err(failure) => {
                let error = failure.story();
                tracing::warn!(projection = %P::NAME, error, "a worker was interrupted; it goes on");
                status.send_modify(|status| {
                    status.role = Role::Starting;
                    status.last_error = Some(error);
                });
                if failure.trouble() == Some(Trouble::NoSuchTable) {
                    set_up(context, status).await;
                }
                patience.wait(&context.stop).await;
            }
        }
    }
    status.send_modify(|status| status.role = Role::Stopped);
}

fn stand_by(status: &watch::Sender<WorkerStatus>) {
    status.send_modify(|status| {
        status.role = Role::Standby;
        status.generation = None;
    });
}

/// What came of trying to work.
enum Attempt {
    /// It was stopped.
    Ended,
    /// It is not our turn.
    Standby(&'static str),
}

async fn work<P: Projection>(
    context: &Context,
    status: &watch::Sender<WorkerStatus>,
    claim: Claim,
) -> Result<Attempt, Failure> {
    let mut connection = database::connect(&context.address).await?;
    let generations = generation::generations(&mut connection, P::NAME).await?;
    connection.close().await?;
    let Some(live) = generations.iter().find(|generation| generation.state == "live") else {
        generation::migrate(&context.address).await?;
        return Ok(Attempt::Standby("there is no live generation yet"));
    };
    if live.version > P::VERSION {
        return Ok(Attempt::Standby("the live generation is that of a newer orderstore"));
    }
    if live.version < P::VERSION {
        if !generations.iter().any(|generation| generation.state == "building") {
            generation::migrate(&context.address).await?;
        }
        return Ok(Attempt::Standby("a generation of the new version is being built"));
    }
    let id = GenerationId { projection: P::NAME, number: live.number };
    let (journal, holder) = (context.journal.clone(), context.holder);
    let writer = Writer::acquire(&context.address, journal, id, true, holder, claim).await?;
    let Some(writer) = writer else {
        return Ok(Attempt::Standby("another projector is at work"));
    };
    match Worker::new(writer, context, status).run::<P>().await? {
        End::Stopped | End::Promoted => Ok(Attempt::Ended),
    }
}

async fn set_up(context: &Context, status: &watch::Sender<WorkerStatus>) {
    if let Err(failure) = generation::migrate(&context.address).await {
        let error = failure.story();
        tracing::warn!(error, "the database could not be set up; it is tried again");
        status.send_modify(|status| status.last_error = Some(error));
    }
}

/// Passes on that somebody waits for a projection.
async fn hear_who_waits(context: Context) {
    let address = context.address.as_ref().clone().application_name("orderstore projector");
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(address);
    let mut patience = Patience::new();
    while !context.stop.is_cancelled() {
        let hearing = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(WANTED).await?;
            while let Some(wanted) = listener.try_recv().await? {
                if let Ok(name) = wanted.payload().parse::<ProjectionName>() {
                    context.wanted[&name].notify_one();
                }
            }
            Ok::<_, sqlx::Error>(())
        };
        let heard = tokio::select! {
            () = context.stop.cancelled() => Ok(()),
            heard = hearing => heard,
        };
        match heard {
            Ok(()) => patience = Patience::new(),
            Err(error) => tracing::debug!(%error, "could not hear who waits for projections"),
        }
        patience.wait(&context.stop).await;
    }
    pool.close().await;
}

/// Looks for generations that nobody builds (a new version, a rebuild that was killed) and builds
/// them.
async fn build_what_is_left(context: Context) {
    let mut builds = JoinSet::new();
    let mut building = BTreeMap::new();
    let mut connection: Option<PgConnection> = None;
    while !context.stop.is_cancelled() {
        match left_over(&context, &mut connection).await {
            Ok(left_over) => {
                for id in left_over {
                    building.entry(id.projection).or_insert_with(|| {
                        let build = Build { context: context.clone(), number: id.number };
                        builds.spawn(with(id.projection, build))
                    });
                }
            }
            // The workers tell about the same trouble.
            Err(failure) => {
                let error = failure.story();
                tracing::debug!(error, "could not look for generations to build");
                connection = None;
            }
        }
        let _ = timeout(LOOK_AGAIN, context.stop.cancelled()).await;
        while let Some(ended) = builds.try_join_next() {
            pass_on_panic(ended);
        }
        building.retain(|_, build| !build.is_finished());
    }
    while let Some(ended) = builds.join_next().await {
        pass_on_panic(ended);
    }
}

/// A defect in a build is one of the projector: without this it would begin anew for ever.
fn pass_on_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn left_over(
    context: &Context,
    connection: &mut Option<PgConnection>,
) -> Result<Vec<GenerationId>, Failure> {
    const BUILDING: &str = "select p.name, p.generation, p.version from orderstore.projections p \
         join orderstore.checkpoints c on c.projection = p.name and c.generation = p.generation \
         where p.state = 'building' and (c.holder is null \
         or c.updated_at < clock_timestamp() - make_interval(secs => $1))";
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(database::connect(&context.address).await?),
    };
    // What readers still used when it was replaced.
    generation::drop_retired(connection).await?;
    let found: Vec<(String, i64, i32)> = sqlx::query_as(BUILDING)
        .bind(context.options.take_over_after.as_secs_f64())
        .fetch_all(connection)
        .await?;
    let ours = |(name, number, version): (String, i64, i32)| {
        let projection: ProjectionName = name.parse().ok()?;
        let definition = Definition::ALL.iter().find(|known| known.name == projection)?;
        (definition.version == version).then_some(GenerationId { projection, number })
    };
    Ok(found.into_iter().filter_map(ours).collect())
}

/// Builds one generation to its end.
struct Build {
    context: Context,
    number: i64,
}

impl With for Build {
    type Output = futures::future::BoxFuture<'static, ()>;

    fn with<P: Projection>(self) -> Self::Output {
        Box::pin(async move {
            let (status, _) = watch::channel(WorkerStatus::starting(P::NAME));
            match build::<P>(&self.context, self.number, &status).await {
                Ok(_) | Err(Failure::Lost) => {}
                Err(failure) => {
                    let error = failure.story();
                    tracing::warn!(projection = %P::NAME, error, "a build was interrupted; it goes on");
                }
            }
        })
    }
}

/// Builds generation `number` from where it is; `None` if somebody else is at it.
pub(crate) async fn build<P: Projection>(
    context: &Context,
    number: i64,
    status: &watch::Sender<WorkerStatus>,
) -> Result<Option<End>, Failure> {
    let id = GenerationId { projection: P::NAME, number };
    let claim = Claim::UnlessAlive(context.options.take_over_after);
    let (journal, holder) = (context.journal.clone(), context.holder);
    let writer = Writer::acquire(&context.address, journal, id, false, holder, claim).await?;
    let Some(writer) = writer else { return Ok(None) };
    tracing::info!(projection = %P::NAME, generation = number, "building a generation");
    let end = Worker::new(writer, context, status).run::<P>().await?;
    if end == End::Promoted {
        let mut connection = database::connect(&context.address).await?;
        generation::drop_retired(&mut connection).await?;
        connection.close().await?;
    }
    Ok(Some(end))
}
