//! Keeps the read models moving, whatever happens to the database or the event store.
//!
//! Of all slices of all generations that this build can work on, a process holds its fair share
//! (`fleet`). It looks again and again which those are, gives a worker to each, and does what else
//! has to be done by somebody: generations of a new version are begun, built and promoted (`build`),
//! old ones dropped.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use journal::Journal;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use crate::board::{Board, WorkerStatus};
use crate::bookkeeping::GenerationId;
use crate::build::{RebuildOptions, build_what_is_left};
use crate::calls;
use crate::database::{self, Trouble};
use crate::failure::Failure;
use crate::fleet::{self, Node, Post};
use crate::projection::Projection;
use crate::projections::{With, with};
use crate::slice::Slice;
use crate::worker::{Context, Patience, Worker};
use crate::writer::Writer;
use crate::{Error, Options, ProjectionName, generation, opening};

/// How often everybody looks who is there and what there is to do, at least.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Looking takes no longer, even where the database has to be set up first.
const LOOK_LIMIT: Duration = Duration::from_mins(1);

/// Dropping old generations takes no longer: meanwhile nobody shows that we are here.
const TIDYING: Duration = Duration::from_secs(3);

/// Workers that have not ended so long after they were asked to are stopped where they are.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A worker that has gone on for so long has got over what was wrong before.
const GOT_OVER_IT: Duration = Duration::from_secs(5);

/// A running projector: a worker for every slice that is this process's share.
///
/// Several processes may run one on the same database. They share out the slices of the read
/// models, and those of one that dies are taken over by the others.
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
        let mut boards = HashMap::new();
        for name in ProjectionName::ALL {
            let (sender, receiver) = watch::channel(WorkerStatus::starting(name));
            statuses.insert(name, receiver);
            boards.insert(name, Arc::new(Board::of_live(sender)));
        }
        let supervisor = AbortOnDropHandle::new(tokio::spawn(supervise(context, boards)));
        Ok(Self { statuses, supervisor, stop })
    }

    /// How all workers are doing.
    pub fn status(&self) -> Vec<WorkerStatus> {
        self.statuses.values().map(|status| status.borrow().clone()).collect()
    }

    /// Follows how the workers at the live generation of `projection` are doing.
    ///
    /// # Panics
    /// Never: every projection has a status.
    pub fn watch(&self, projection: ProjectionName) -> watch::Receiver<WorkerStatus> {
        self.statuses[&projection].clone()
    }

    /// Tells whether the projector has died, which nothing short of a defect makes it do.
    pub fn death(&self) -> impl Fn() -> bool + Send + Sync + Clone + use<> {
        let supervisor = self.supervisor.abort_handle();
        move || supervisor.is_finished()
    }

    /// Ends all workers after what they are writing, and hands their work to others.
    pub async fn stop(self) {
        drop(self.stop);
        // A worker that panicked has said so; one that hangs is aborted by the drop.
        let _ = timeout(STOP_LIMIT, self.supervisor).await;
    }
}

/// Builds for new versions let live traffic go first, and are promoted as soon as they can be.
fn build_options(context: &Context) -> RebuildOptions {
    RebuildOptions::from(context.options.clone())
}

type Boards = HashMap<ProjectionName, Arc<Board>>;

async fn supervise(context: Context, boards: Boards) {
    let mut tasks = JoinSet::new();
    tasks.spawn(calls::hear(context.clone()));
    tasks.spawn(build_what_is_left(context.clone(), build_options(&context)));
    tasks.spawn(Coordinator::new(context, boards).run());
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            // A defect. Dying visibly, all of us, gets it noticed and the process restarted.
            tracing::error!(%error, "a projector's worker has panicked, so the projector ends");
            return;
        }
    }
}

type Key = (GenerationId, u16);

/// Sees to it that this process holds its share.
struct Coordinator {
    context: Context,
    boards: Boards,
    connection: Option<PgConnection>,
    /// Whether the database has been set up as our options want it.
    prepared: bool,
    held: BTreeMap<Key, Held>,
    /// Since when nobody holds these, as far as we know.
    free: HashMap<Key, Instant>,
}

/// A slice with a worker of ours.
struct Held {
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// Until when it is kept although it is more than our share.
    keep_until: Option<Instant>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Coordinator {
    fn new(context: Context, boards: Boards) -> Self {
        let (held, free) = (BTreeMap::new(), HashMap::new());
        Self { context, boards, connection: None, prepared: false, held, free }
    }

    async fn run(mut self) {
        let mut patience = Patience::new();
        while !self.context.stop.is_cancelled() {
            let news = Arc::clone(&self.context.fleet);
            // Before looking: what happens meanwhile is not missed.
            let news = news.notified();
            match timeout(LOOK_LIMIT, self.look()).await.unwrap_or(Err(Failure::TooSlow)) {
                Ok(()) => {
                    patience = Patience::new();
                    let wait = async {
                        tokio::select! {
                            () = self.context.stop.cancelled() => {}
                            () = news => {}
                        }
                    };
                    let _ = timeout(LOOK_AGAIN, wait).await;
                }
                Err(failure) => {
                    self.connection = None;
                    self.complain(&failure).await;
                    patience.wait(&self.context.stop).await;
                }
            }
        }
        self.end().await;
    }

    async fn complain(&self, failure: &Failure) {
        let error = failure.story();
        let missing = failure.trouble() == Some(Trouble::NoSuchTable);
        if !missing {
            tracing::warn!(error, "a projector cannot see what there is to do; it tries again");
        }
        let failed = if missing {
            let prepared = generation::prepare(&self.context.address, &self.context.options).await;
            prepared.err().map(|failure| failure.story())
        } else {
            Some(error)
        };
        if let Some(error) = failed {
            for board in self.boards.values() {
                board.idles_because(&error);
            }
        }
    }

    async fn look(&mut self) -> Result<(), Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let options = &self.context.options;
        if !self.prepared || generation::is_unprepared(&mut connection, options).await? {
            generation::prepare(&self.context.address, options).await?;
            self.prepared = true;
        }
        let to_fold = self.open(&mut connection).await?;
        let nodes = fleet::show_up(&mut connection, &self.context).await?;
        let posts = fleet::posts(&mut connection, &self.context, &to_fold).await?;
        self.reap();
        self.assign(&nodes, &posts);
        for board in self.boards.values() {
            board.stand_by();
        }
        // Last, and whatever comes of it: nobody has to wait for that.
        self.connection = self.tidy_up(connection).await;
        Ok(())
    }

    /// Sees to it that readers come to see first generations, of which some are to be folded. Without
    /// the event store nobody knows how, and there is nothing to read.
    async fn open(&self, connection: &mut PgConnection) -> Result<Vec<GenerationId>, Failure> {
        let Context { journal, options, .. } = &self.context;
        match opening::open_or_build(connection, journal, options).await {
            Ok(openings) => {
                if openings.to_build {
                    self.context.to_build.notify_one();
                }
                Ok(openings.to_fold)
            }
            Err(Failure::Journal(error)) => {
                tracing::debug!(%error, "how long the log is cannot be found out yet");
                Ok(vec![])
            }
            Err(failure) => Err(failure),
        }
    }

    /// Drops what nobody needs any more. The connection, if that can still be used.
    async fn tidy_up(&self, mut connection: PgConnection) -> Option<PgConnection> {
        let tidying = async {
            let after = self.context.options.keep_previous;
            generation::retire_previous(&mut connection, after).await?;
            generation::drop_retired(&mut connection).await
        };
        let tidied = timeout(TIDYING, tidying).await.unwrap_or(Err(Failure::TooSlow));
        if let Err(failure) = tidied {
            let error = failure.story();
            tracing::warn!(error, "old generations could not be tidied up; it is tried again");
            return None;
        }
        Some(connection)
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        let mut connection = database::connect(&self.context.address).await?;
        // Who waits for long does not show any signs of life.
        sqlx::query("set lock_timeout = '1s'").execute(&mut connection).await?;
        Ok(connection)
    }

    /// Forgets workers that have ended.
    fn reap(&mut self) {
        let ended: Vec<Key> =
            self.held.iter().filter(|(_, it)| it.task.is_finished()).map(|(key, _)| *key).collect();
        for key in ended {
            if let Some(mut held) = self.held.remove(&key) {
                pass_on_panic(&mut held.task);
            }
        }
    }

    fn assign(&mut self, nodes: &[Node], posts: &[Post]) {
        let now = Instant::now();
        let exists =
            |key: &Key| posts.iter().any(|post| (post.generation, post.slice.number) == *key);
        for (_, gone) in self.held.iter().filter(|(key, _)| !exists(key)) {
            gone.stop.cancel();
        }
        self.free.retain(|key, _| exists(key));
        for of_one in posts.chunk_by(|one, other| one.generation == other.generation) {
            let Some(first) = of_one.first() else { continue };
            let (projection, of) = (first.generation.projection, first.slice.of);
            let share = fleet::share(nodes, self.context.holder, projection, first.version, of);
            self.give_back(first.generation, share.into(), now);
            self.take(of_one, share.into(), now);
        }
    }

    /// Gives back what is more than our `share` of `generation`.
    fn give_back(&self, generation: GenerationId, share: usize, now: Instant) {
        let ours = || {
            self.held.iter().filter(|(key, held)| key.0 == generation && !held.stop.is_cancelled())
        };
        let too_many = ours().count().saturating_sub(share);
        let may_go = ours().rev().filter(|(_, held)| held.keep_until.is_none_or(|it| it < now));
        for (_, held) in may_go.take(too_many) {
            held.stop.cancel();
        }
    }

    /// Takes free slices of a generation, up to our `share`, and beyond it those that nobody else
    /// has taken for so long that something must be wrong.
    fn take(&mut self, posts: &[Post], share: usize, now: Instant) {
        let mut held = posts.iter().filter(|post| self.holds(post)).count();
        for post in posts {
            let key = (post.generation, post.slice.number);
            if self.held.contains_key(&key) || !post.free {
                self.free.remove(&key);
                continue;
            }
            let since = *self.free.entry(key).or_insert(now);
            let is_overdue = now - since > self.context.options.take_over_after;
            if held < share || is_overdue {
                held += 1;
                let keep_until = is_overdue.then(|| now + fleet::generosity(&self.context.options));
                let worker = self.begin(post.generation, post.slice, keep_until);
                self.held.insert(key, worker);
            }
        }
    }

    fn holds(&self, post: &Post) -> bool {
        let held = self.held.get(&(post.generation, post.slice.number));
        held.is_some_and(|held| !held.stop.is_cancelled())
    }

    fn begin(&self, generation: GenerationId, slice: Slice, keep_until: Option<Instant>) -> Held {
        let stop = self.context.stop.child_token();
        let work = Hold {
            context: self.context.clone(),
            board: Arc::clone(&self.boards[&generation.projection]),
            generation,
            slice,
            stop: stop.clone(),
        };
        let task = tokio::spawn(with(generation.projection, work));
        Held { stop, task, keep_until }
    }

    /// Lets all workers end, and says goodbye.
    async fn end(mut self) {
        for held in self.held.values() {
            held.stop.cancel();
        }
        for held in self.held.values_mut() {
            if let Err(error) = (&mut held.task).await
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        for board in self.boards.values() {
            board.stopped();
        }
        if let Some(mut connection) = self.connection.take() {
            let leaving = async {
                fleet::leave(&mut connection, self.context.holder).await?;
                connection.close().await
            };
            if let Ok(Err(error)) = timeout(LOOK_AGAIN, leaving).await {
                tracing::debug!(%error, "could not say goodbye; the others will notice");
            }
        }
    }
}

/// A defect in a worker is one of the projector: without this it would begin anew for ever.
fn pass_on_panic(task: &mut JoinHandle<()>) {
    if let Some(Err(error)) = futures::FutureExt::now_or_never(task)
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// Keeps a worker at one slice going.
struct Hold {
    context: Context,
    board: Arc<Board>,
    generation: GenerationId,
    slice: Slice,
    stop: CancellationToken,
}

impl With for Hold {
    type Output = futures::future::BoxFuture<'static, ()>;

    fn with<P: Projection>(self) -> Self::Output {
        Box::pin(async move { self.work::<P>().await })
    }
}

impl Hold {
    async fn work<P: Projection>(self) {
        let (projection, generation) = (P::NAME, self.generation.number);
        let slice = self.slice;
        let mut patience = Patience::new();
        while !self.stop.is_cancelled() {
            let began = Instant::now();
            match self.try_work::<P>().await {
                Ok(()) => break,
                Err(Failure::Lost) => {
                    tracing::info!(%projection, generation, %slice, "a slice is not ours any more");
                    self.board.lost(self.generation, slice);
                    break;
                }
                Err(failure) => {
                    let error = failure.story();
                    tracing::warn!(
                        %projection, generation, %slice, error,
                        "a worker was interrupted; it goes on"
                    );
                    self.board.failed(error);
                    if began.elapsed() > GOT_OVER_IT {
                        patience = Patience::new();
                    }
                    patience.wait(&self.stop).await;
                }
            }
        }
        self.board.left(self.generation, slice);
        // What was given back or lost is somebody else's, or ours again: look at once.
        self.context.fleet.notify_one();
    }

    async fn try_work<P: Projection>(&self) -> Result<(), Failure> {
        let context = &self.context;
        let (journal, patience) = (context.journal.clone(), context.options.take_over_after);
        let (id, slice) = (self.generation, self.slice);
        let writer =
            Writer::<P>::acquire(&context.address, journal, id, slice, context.holder, patience);
        let Some(writer) = writer.await? else { return Ok(()) };
        tracing::debug!(projection = %P::NAME, generation = id.number, %slice, "at work on a slice");
        Worker::new(writer, context, &self.board, &self.stop).run().await
    }
}
