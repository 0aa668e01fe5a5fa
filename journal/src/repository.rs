//! The one write path, as its users see it: commands in, answers out.
//!
//! How commands for one stream wait for each other is in `lane`, how those that wait are decided
//! together and appended is in `batch`.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::TryStreamExt;
use schemas::{Aggregate, StateFormat, StreamName};
use thiserror::Error;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::cache::Cache;
use crate::lane::{Lanes, Waiting};
use crate::snapshots::{self, Snapshot, Snapshots};
use crate::{Error, EventStream, ExpectedRevision, Journal, Position, Recorded};

/// Who wants a command, why and because of what. Goes into the metadata of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Id of the command; the same when it is repeated.
    pub command_id: Uuid,
    /// What this belongs to.
    pub correlation_id: Uuid,
    /// The event or command that directly caused it.
    pub causation_id: Uuid,
    /// Who wants it: `user:…`, `client:…`, `process:…`, `cli:…`.
    pub actor: String,
    /// W3C Trace Context of the request, when there is one.
    pub traceparent: Option<String>,
}

/// A command that is in effect.
pub struct Executed<D: Aggregate> {
    /// The state of the stream at `revision`. It may include commands of others that were decided
    /// together with this one.
    pub state: Arc<D::State>,
    /// What the command led to; nothing when it was already in effect.
    pub events: Vec<D::Event>,
    /// Revision of the last known event of the stream (0 when it has none, see `position`).
    pub revision: u64,
    /// Position of that event: a reader that has got here sees the effect. [`Position::START`] when
    /// the stream has no events.
    pub position: Position,
    /// Whether the command was already in effect, so that nothing was written.
    pub replayed: bool,
}

/// A stream as it was read.
pub struct Loaded<D: Aggregate> {
    /// The state after all its events.
    pub state: Arc<D::State>,
    /// Revision of the last of them.
    pub revision: u64,
    /// Position of the last of them.
    pub position: Position,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ExecuteError<R: std::error::Error + 'static> {
    /// A rule forbids it. Decided against the stream as it durably was.
    #[error("the command was rejected")]
    Rejected(#[source] R),
    /// The event store did not play along.
    #[error("the event store did not carry out the command")]
    Store(#[from] Error),
    /// Others wrote to the stream in between, every time. Try again later.
    #[error("too many others write to the same stream; try again later")]
    Contended,
}

/// Why a command that was meant for one revision of its stream was not carried out.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ExecuteAtError<R: std::error::Error + 'static> {
    /// The stream is not where the caller believes it to be: somebody has written to it.
    #[error("the stream is not at revision {expected} any more; look at it again")]
    Moved {
        /// Where the caller believes it to be.
        expected: u64,
        /// Where it is; nothing when it has no events.
        actual: Option<u64>,
    },
    /// It would not have been carried out at any revision.
    #[error("the command was not carried out")]
    Failed(#[from] ExecuteError<R>),
}

/// What a repository has done since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Commands that were asked for.
    pub commands: u64,
    /// Appends that were asked of the store, whatever came of them.
    pub appends: u64,
    /// Reads that were asked of the store.
    pub reads: u64,
    /// Events that they brought.
    pub events_read: u64,
    /// Appends that met a stream that had moved on.
    pub conflicts: u64,
}

/// Executes commands of one kind of aggregate. Clones share lanes and cached states.
pub struct Repository<D: Aggregate> {
    shared: Arc<Shared<D>>,
}

pub(crate) struct Shared<D: Aggregate> {
    pub(crate) journal: Journal,
    pub(crate) lanes: Lanes<D>,
    pub(crate) counters: Counters,
    cache: Mutex<Cache<D::Id, Known<D>>>,
    /// The revisions of the latest snapshots of long streams.
    snapshot_revisions: Mutex<HashMap<D::Id, u64>>,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) commands: AtomicU64,
    pub(crate) appends: AtomicU64,
    pub(crate) reads: AtomicU64,
    pub(crate) events_read: AtomicU64,
    pub(crate) conflicts: AtomicU64,
}

/// What is known of a stream.
pub(crate) struct Known<D: Aggregate> {
    pub(crate) state: Arc<D::State>,
    /// `None` when it has no events.
    pub(crate) revision: Option<u64>,
    pub(crate) position: Position,
    /// The id of its last event, nil when it has none.
    pub(crate) event_id: Uuid,
}

impl<D: Aggregate> Repository<D> {
    /// A repository that keeps the states of up to `capacity` streams in memory.
    pub fn new(journal: Journal, capacity: usize) -> Self {
        let shared = Shared {
            journal,
            lanes: Lanes::default(),
            counters: Counters::default(),
            cache: Mutex::new(Cache::new(capacity)),
            snapshot_revisions: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Decides `command` and appends what follows from it.
    ///
    /// Every answer, a rejection too, was decided against what was durable when it is given, and
    /// after the call began. Dropping the future does not take back a command that was begun.
    ///
    /// # Errors
    /// [`ExecuteError::Rejected`] when a rule forbids it. [`ExecuteError::Store`] when it is not,
    /// or not certainly, in effect: repeat it under the same command id.
    pub async fn execute(
        &self,
        id: &D::Id,
        command: D::Command,
        context: Context,
    ) -> Result<Executed<D>, ExecuteError<D::Rejection>> {
        self.execute_at(id, command, context, None).await.map_err(|error| match error {
            ExecuteAtError::Failed(error) => error,
            // Nobody expected anything, so nothing was found to have moved.
            ExecuteAtError::Moved { .. } => ExecuteError::Contended,
        })
    }

    /// The same, but only if the stream is at the revision `expected`, when one is given.
    ///
    /// The expectation is held against the very state that the command is decided on: others that
    /// wait for the same stream and are decided before it count as written. A command that is
    /// already in effect is answered as such wherever the stream is, since repeating it after its
    /// answer got lost would otherwise always fail. What a stream without events does not allow is
    /// rejected, not moved: there is nothing to look at again.
    ///
    /// # Errors
    /// [`ExecuteAtError::Moved`] when the stream is at another revision; that goes before any rule
    /// that forbids the command there. Everything else as [`execute`](Self::execute).
    pub async fn execute_at(
        &self,
        id: &D::Id,
        command: D::Command,
        context: Context,
        expected: Option<u64>,
    ) -> Result<Executed<D>, ExecuteAtError<D::Rejection>> {
        self.shared.counters.commands.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        Lanes::enter(&self.shared, id, Waiting { command, context, expected, answer });
        answered.await.unwrap_or(Err(ExecuteError::Store(Error::GivenUp).into()))
    }

    /// The state of the stream of `id` as it is now; `None` when it has no events.
    ///
    /// Reads what is new since it was last known, so other processes' writes are seen.
    pub async fn load(&self, id: &D::Id) -> Result<Option<Loaded<D>>, Error> {
        let known = self.shared.read_on(id, self.shared.cached(id)).await?;
        self.shared.remember(id, &known);
        let Known { state, revision, position, .. } = known;
        Ok(revision.map(|revision| Loaded { state, revision, position }))
    }

    /// The journal this repository writes to.
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        let Counters { commands, appends, reads, events_read, conflicts } = &self.shared.counters;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            commands: of(commands),
            appends: of(appends),
            reads: of(reads),
            events_read: of(events_read),
            conflicts: of(conflicts),
        }
    }

    /// How many streams have commands under way: nothing is kept for the others.
    pub fn busy_streams(&self) -> usize {
        self.shared.lanes.busy()
    }
}

impl<D: Aggregate> Shared<D> {
    const STATES: Option<&'static StateFormat<D::State>> = const { &D::STATES }.as_ref();

    pub(crate) fn stream(id: &D::Id) -> StreamName {
        StreamName::new(D::CATEGORY, id)
    }

    pub(crate) fn cached(&self, id: &D::Id) -> Option<Known<D>> {
        self.cache().get(id)
    }

    /// Keeps `known` for next time, unless more is known already.
    pub(crate) fn remember(&self, id: &D::Id, known: &Known<D>) {
        {
            let mut cache = self.cache();
            if cache.get(id).is_none_or(|before| before.revision <= known.revision) {
                cache.put(id.clone(), known.clone());
            }
        }
        self.write_snapshot(id, known);
    }

    /// Keeps `known` even if more seemed to be known: that was wrong.
    fn correct(&self, id: &D::Id, known: &Known<D>) {
        self.cache().put(id.clone(), known.clone());
        self.snapshot_revisions().remove(id);
        self.write_snapshot(id, known);
    }

    /// `known`, and what has happened since; from the start, or from a snapshot, when nothing is known.
    ///
    /// What may be written to a snapshot is held against the log first: see [`check`](Self::check). For
    /// the others that would be an event more in every read, and a wrong state goes with its process.
    pub(crate) async fn read_on(
        &self,
        id: &D::Id,
        known: Option<Known<D>>,
    ) -> Result<Known<D>, Error> {
        match known {
            Some(known) if Self::STATES.is_none() => {
                let from = known.revision.map_or(0, |revision| revision + 1);
                self.fold(known, self.read(id, from)).await
            }
            known => self.check(id, known).await,
        }
    }

    /// The same, but nothing is believed of which the log has another past by now: it may have been
    /// restored, or the stream deleted.
    pub(crate) async fn check(
        &self,
        id: &D::Id,
        known: Option<Known<D>>,
    ) -> Result<Known<D>, Error> {
        let known = known.filter(|known| known.revision.is_some());
        let was_known = known.is_some();
        let known = match known {
            Some(known) => self.go_on_from(id, known).await?,
            None => match self.read_snapshot(id).await {
                Some(snapshot) => self.go_on_from(id, snapshot).await?,
                None => None,
            },
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let known = self.fold(Known::nothing(), self.read(id, 0)).await?;
        if was_known {
            self.correct(id, &known);
        }
        Ok(known)
    }

    fn read(&self, id: &D::Id, from: u64) -> EventStream {
        self.counters.reads.fetch_add(1, Ordering::Relaxed);
        self.journal.read(&Self::stream(id), from)
    }

    async fn fold(&self, known: Known<D>, mut events: EventStream) -> Result<Known<D>, Error> {
        let Some(first) = events.try_next().await? else { return Ok(known) };
        let Known { state, mut revision, mut position, mut event_id } = known;
        let mut state = Arc::unwrap_or_clone(state);
        let mut next = Some(first);
        while let Some(event) = next {
            self.counters.events_read.fetch_add(1, Ordering::Relaxed);
            state = D::evolve(state, &decode::<D>(&event)?);
            revision = Some(event.revision);
            (position, event_id) = (event.position, event.event_id);
            next = events.try_next().await?;
        }
        Ok(Known { state: Arc::new(state), revision, position, event_id })
    }

    /// What this process, or another one, knew of a long stream.
    async fn read_snapshot(&self, id: &D::Id) -> Option<Known<D>> {
        let (format, snapshots) = (Self::STATES?, self.journal.snapshots()?);
        let Snapshot { state, revision, event_id } =
            Snapshots::read(snapshots, Self::stream(id), format).await?;
        self.snapshot_revisions().insert(id.clone(), revision);
        let (state, revision) = (Arc::new(state), Some(revision));
        Some(Known { state, revision, position: Position::START, event_id })
    }

    /// `known`, and what has happened since, unless the log has another event where `known` ends.
    async fn go_on_from(&self, id: &D::Id, known: Known<D>) -> Result<Option<Known<D>>, Error> {
        let mut events = self.read(id, known.revision.unwrap_or(0));
        if let Some(last) = events.try_next().await? {
            self.counters.events_read.fetch_add(1, Ordering::Relaxed);
            if (Some(last.revision), last.event_id) == (known.revision, known.event_id) {
                let known = Known { position: last.position, ..known };
                return self.fold(known, events).await.map(Some);
            }
        }
        let (stream, revision) = (Self::stream(id), known.revision);
        tracing::info!(%stream, revision, "what was known is of another past, and is forgotten");
        self.snapshot_revisions().remove(id);
        Ok(None)
    }

    /// Keeps the state of a stream that has become long, beside whatever else is done.
    fn write_snapshot(&self, id: &D::Id, known: &Known<D>) {
        let (Some(format), Some(snapshots)) = (Self::STATES, self.journal.snapshots()) else {
            return;
        };
        let Some(revision) = known.revision else { return };
        {
            let mut revisions = self.snapshot_revisions();
            if !snapshots::is_due(revisions.get(id).copied(), revision) {
                return;
            }
            // Whether or not it can be written: what fails for one command fails for the next.
            revisions.insert(id.clone(), revision);
        }
        let last = (revision, known.event_id);
        Snapshots::write(snapshots, Self::stream(id), format, last, Arc::clone(&known.state));
    }

    fn cache(&self) -> MutexGuard<'_, Cache<D::Id, Known<D>>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot_revisions(&self) -> MutexGuard<'_, HashMap<D::Id, u64>> {
        self.snapshot_revisions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn decode<D: Aggregate>(event: &Recorded) -> Result<D::Event, Error> {
    event.decode().map_err(|source| Error::Undecodable {
        stream: event.stream.clone(),
        revision: event.revision,
        source,
    })
}

impl<D: Aggregate> Known<D> {
    /// A stream without events.
    pub(crate) fn nothing() -> Self {
        Self {
            state: Arc::new(D::initial()),
            revision: None,
            position: Position::START,
            event_id: Uuid::nil(),
        }
    }

    pub(crate) fn expected(&self) -> ExpectedRevision {
        ExpectedRevision::after(self.revision)
    }
}

// Derived implementations would ask `D` itself to be cloneable and printable.

impl<D: Aggregate> Clone for Known<D> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), ..*self }
    }
}

impl<D: Aggregate> Clone for Repository<D> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<D: Aggregate> fmt::Debug for Repository<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("category", &D::CATEGORY)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl<D: Aggregate> Clone for Executed<D> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), events: self.events.clone(), ..*self }
    }
}

impl<D: Aggregate> fmt::Debug for Executed<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executed")
            .field("state", &self.state)
            .field("events", &self.events)
            .field("revision", &self.revision)
            .field("position", &self.position)
            .field("replayed", &self.replayed)
            .finish()
    }
}

impl<D: Aggregate> Clone for Loaded<D> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), ..*self }
    }
}

impl<D: Aggregate> fmt::Debug for Loaded<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("state", &self.state)
            .field("revision", &self.revision)
            .field("position", &self.position)
            .finish()
    }
}
