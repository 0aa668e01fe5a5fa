//! Moves one slice of a generation forward: takes what its feed delivers, batch by batch.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use journal::{Delivery, Journal, Position, Recorded, ids};
use schemas::Aggregate;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Notify, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::board::{Board, Step};
use crate::failure::Failure;
use crate::feed::{Boarding, Feed};
use crate::generation;
use crate::projection::Projection;
use crate::writer::Writer;
use crate::{Options, ProjectionName};

/// What all workers of a process share.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) address: Arc<PgConnectOptions>,
    pub(crate) journal: Journal,
    pub(crate) options: Options,
    /// Who we are in the bookkeeping.
    pub(crate) holder: Uuid,
    pub(crate) stop: CancellationToken,
    /// Told when somebody waits for a projection.
    pub(crate) wanted: Arc<HashMap<ProjectionName, watch::Sender<()>>>,
    /// Told when processes came or went, or gave work back.
    pub(crate) fleet: Arc<Notify>,
    /// Told when there is a generation to build.
    pub(crate) to_build: Arc<Notify>,
    /// Where those meet who have a long way to go.
    pub(crate) boarding: Arc<Boarding>,
}

impl Context {
    pub(crate) fn new(address: PgConnectOptions, journal: Journal, options: Options) -> Self {
        let wanted = ProjectionName::ALL.map(|name| (name, watch::Sender::new(())));
        Self {
            address: Arc::new(address),
            journal,
            options,
            holder: ids::new_id(),
            stop: CancellationToken::new(),
            wanted: Arc::new(HashMap::from(wanted)),
            fleet: Arc::default(),
            to_build: Arc::default(),
            boarding: Arc::default(),
        }
    }
}

/// One worker at its slice.
pub(crate) struct Worker<'a> {
    writer: Writer,
    context: &'a Context,
    board: &'a Board,
    stop: &'a CancellationToken,
    wanted: watch::Receiver<()>,
    caught_up: bool,
    /// Whether there is a long way to go, so that full batches are waited for.
    far: bool,
    /// Whether something was written since the last heartbeat.
    busy: bool,
}

/// So long quarantined streams are tried again before anything else is done …
const AT_THE_START: Duration = Duration::from_millis(500);
/// … and so long after each batch.
const IN_BETWEEN: Duration = Duration::from_millis(50);

/// So long a full batch is waited for when there is a long way to go: the more events of a stream are
/// in a batch, the less often its rows are written.
const GATHERING: Duration = Duration::from_millis(100);
/// Who gets less than this share of a full batch in that time has no long way to go.
const SHORT: usize = 4;

/// So long a heartbeat waits for the event store: it must not look dead because the store is.
const HEAD_LIMIT: Duration = Duration::from_secs(1);

impl<'a> Worker<'a> {
    pub(crate) fn new(
        writer: Writer,
        context: &'a Context,
        board: &'a Board,
        stop: &'a CancellationToken,
    ) -> Self {
        let wanted = context.wanted[&writer.hold.generation.projection].subscribe();
        Self { writer, context, board, stop, wanted, caught_up: false, far: true, busy: false }
    }

    /// Works until it is stopped, and gives the slice back.
    ///
    /// # Errors
    /// [`Failure::Lost`] when another process has taken over. Anything else may be tried again
    /// with a new worker, which begins where this one got to.
    pub(crate) async fn run<P: Projection>(mut self) -> Result<(), Failure> {
        self.retry::<P>(AT_THE_START).await?;
        let Context { journal, boarding, stop, .. } = self.context;
        let (category, from) = (P::Source::CATEGORY, self.writer.hold.position);
        let mut feed = Feed::after(journal, boarding, stop, category, from).await;
        let mut heartbeat = heartbeat(self.context.options.heartbeat);
        loop {
            match self.next(&mut feed, &mut heartbeat).await {
                Next::Stop => {
                    self.writer.release().await;
                    return Ok(());
                }
                Next::Batch(batch) => self.take::<P>(batch).await?,
                Next::Heartbeat if self.busy => self.busy = false,
                Next::Heartbeat | Next::Wanted => {
                    // Somebody waits, or there is not much to take.
                    self.far = false;
                    self.beat::<P>().await?;
                }
            }
            self.retry::<P>(IN_BETWEEN).await?;
        }
    }

    /// Tries quarantined streams that this build has not tried yet.
    async fn retry<P: Projection>(&mut self, limit: Duration) -> Result<(), Failure> {
        if self.writer.has_untried() {
            let caught_up = self.has_caught_up();
            let tally = self.writer.retry_untried::<P>(limit, caught_up).await?;
            self.report(Step { tally, delay: None });
        }
        Ok(())
    }

    /// Whether nothing is left to do. What readers do not see yet had better be complete first.
    fn has_caught_up(&self) -> bool {
        self.caught_up && (self.writer.hold.seen.live || !self.writer.has_untried())
    }

    async fn next(&mut self, feed: &mut Feed, heartbeat: &mut Interval) -> Next {
        let patience = if self.far { GATHERING } else { Duration::ZERO };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Next::Stop,
            // Before the others: a heartbeat may take longer than the time between two, and
            // readers may ask all the time. What they wait for is in here.
            batch = feed.gather(self.context.options.batch, patience) => Next::Batch(batch),
            _ = heartbeat.tick() => Next::Heartbeat,
            // (The other end is in our own context.)
            _ = self.wanted.changed() => Next::Wanted,
        }
    }

    async fn take<P: Projection>(&mut self, batch: Vec<Delivery>) -> Result<(), Failure> {
        // A batch that is not full means that nothing more was waiting.
        let full = batch.len() >= self.context.options.batch;
        self.far = full || self.far && batch.len() >= self.context.options.batch / SHORT;
        let slice = self.writer.hold.slice;
        let mut to = self.writer.hold.position;
        let mut events = Vec::with_capacity(batch.len());
        let mut caught_up = self.caught_up && !full;
        for delivery in batch {
            to = delivery.position().map_or(to, |position| position.max(to));
            match delivery {
                Delivery::Event(event) if slice.has(&event.stream) => events.push(event),
                // Of another slice.
                Delivery::Event(_) | Delivery::Checkpoint(_) => {}
                Delivery::CaughtUp => (caught_up, self.far) = (true, false),
            }
        }
        self.busy = true;
        self.caught_up = caught_up;
        let caught_up = self.has_caught_up();
        if events.is_empty() {
            self.writer.advance(to, caught_up).await?;
            self.report(Step::default());
            return Ok(());
        }
        let tally = self.writer.write::<P>(&events, to, caught_up).await?;
        let delay = Some(self.delay_of(&events));
        self.report(Step { tally, delay });
        tracing::debug!(
            projection = %P::NAME, %slice, events = events.len(), position = %to, "folded a batch"
        );
        Ok(())
    }

    /// Shows a sign of life. When nothing has come for a while, looks how far the log is and moves
    /// the checkpoint there: the subscription itself is in no hurry to tell about events of others,
    /// and readers may be waiting.
    async fn beat<P: Projection>(&mut self) -> Result<(), Failure> {
        let at = self.writer.hold.position;
        let mut to = at;
        match self.quiet_until::<P>(at).await {
            Some(head) => {
                to = head.max(at);
                self.caught_up = true;
            }
            None => self.caught_up = false,
        }
        self.writer.advance(to, self.has_caught_up()).await?;
        self.report(Step::default());
        Ok(())
    }

    /// The end of the log, if nothing for us is between `at` and there.
    async fn quiet_until<P: Projection>(&self, at: Position) -> Option<Position> {
        let journal = &self.context.journal;
        let head = timeout(HEAD_LIMIT, journal.head()).await.ok()?.ok()?;
        if head <= at {
            return Some(at);
        }
        let slice = self.writer.hold.slice;
        let ours = |stream: &schemas::StreamName| slice.has(stream);
        let quiet = generation::is_quiet(journal, P::Source::CATEGORY, at, head, ours).await;
        quiet.ok()?.then_some(head)
    }

    fn delay_of(&self, events: &[Recorded]) -> TimeDelta {
        let last = events.last().map(|event| event.metadata.recorded_at);
        let now = self.context.journal.clock().now();
        last.map_or(TimeDelta::zero(), |last| (now - last).max(TimeDelta::zero()))
    }

    fn report(&self, step: Step) {
        self.board.stepped(&self.writer.hold, self.has_caught_up(), step);
    }
}

enum Next {
    Stop,
    Batch(Vec<Delivery>),
    Heartbeat,
    Wanted,
}

fn heartbeat(every: Duration) -> Interval {
    let mut heartbeat = interval(every);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick of an interval comes at once.
    heartbeat.reset();
    heartbeat
}

/// Waiting times between tries: doubled up to five seconds.
pub(crate) struct Patience(Duration);

impl Patience {
    pub(crate) const fn new() -> Self {
        Self(Duration::from_millis(100))
    }

    /// Waits, unless `stop` comes first.
    pub(crate) async fn wait(&mut self, stop: &CancellationToken) {
        // Whether it was the time or the stop does not matter to anybody.
        let _ = timeout(self.0, stop.cancelled()).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(5));
    }
}
