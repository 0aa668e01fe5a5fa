//! Moves one generation forward: takes what the subscription delivers, batch by batch.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use journal::{Delivery, Filter, Journal, Position, Recorded, Subscription, ids};
use schemas::Aggregate;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::failure::Failure;
use crate::fold::Tally;
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
    pub(crate) wanted: Arc<HashMap<ProjectionName, Notify>>,
}

impl Context {
    pub(crate) fn new(address: PgConnectOptions, journal: Journal, options: Options) -> Self {
        let wanted = ProjectionName::ALL.map(|name| (name, Notify::new()));
        Self {
            address: Arc::new(address),
            journal,
            options,
            holder: ids::new_id(),
            stop: CancellationToken::new(),
            wanted: Arc::new(HashMap::from(wanted)),
        }
    }
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has not got to the database yet.
    Starting,
    /// It writes the generation that readers see.
    Live,
    /// It builds a new generation.
    Building,
    /// Another process writes; it waits in case that one dies.
    Standby,
    /// It has ended.
    Stopped,
}

/// How a worker is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerStatus {
    /// Which projection it works on.
    pub projection: ProjectionName,
    /// What it is doing.
    pub role: Role,
    /// Which generation it writes.
    pub generation: Option<i64>,
    /// Everything up to here is in the rows.
    pub position: Position,
    /// Whether it had nothing left to do.
    pub caught_up: bool,
    /// How long after it was recorded the last event came into its rows.
    pub delay: TimeDelta,
    /// What is wrong right now, if anything is; it is tried again for ever.
    pub last_error: Option<String>,
    /// What has happened since the process started.
    pub stats: Stats,
}

/// What has happened since a process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events folded into rows.
    pub events_applied: u64,
    /// Events that were in their rows already, and were dropped.
    pub duplicates_dropped: u64,
    /// Gaps found and filled. Must stay 0: each is a defect of the store or of the way from it.
    pub gaps_healed: u64,
    /// Streams quarantined.
    pub streams_quarantined: u64,
    /// Transactions with events in them.
    pub batches: u64,
    /// How often another process took over.
    pub takeovers: u64,
}

impl WorkerStatus {
    pub(crate) fn starting(projection: ProjectionName) -> Self {
        Self {
            projection,
            role: Role::Starting,
            generation: None,
            position: Position::START,
            caught_up: false,
            delay: TimeDelta::zero(),
            last_error: None,
            stats: Stats::default(),
        }
    }

    fn count(&mut self, tally: Tally) {
        self.stats.events_applied += tally.applied;
        self.stats.duplicates_dropped += tally.duplicates;
        self.stats.gaps_healed += tally.gaps_healed;
        self.stats.streams_quarantined += tally.quarantined;
    }
}

/// How a worker came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was asked to.
    Stopped,
    /// What it built is live now.
    Promoted,
}

/// One worker at its generation.
pub(crate) struct Worker<'a> {
    writer: Writer,
    context: &'a Context,
    status: &'a watch::Sender<WorkerStatus>,
    caught_up: bool,
    /// Whether something was written since the last heartbeat.
    busy: bool,
    /// When the next promotion may be tried.
    promote_from: Instant,
}

/// Readers wait while a promotion is tried, so one that failed is not tried again at once.
const BETWEEN_PROMOTIONS: Duration = Duration::from_secs(1);

/// So long a heartbeat waits for the event store: it must not look dead because the store is.
const HEAD_LIMIT: Duration = Duration::from_secs(1);

impl<'a> Worker<'a> {
    pub(crate) fn new(
        writer: Writer,
        context: &'a Context,
        status: &'a watch::Sender<WorkerStatus>,
    ) -> Self {
        let promote_from = Instant::now();
        Self { writer, context, status, caught_up: false, busy: false, promote_from }
    }

    /// Works until it is stopped, or, if it is building, until what it builds has been promoted.
    ///
    /// # Errors
    /// [`Failure::Lost`] when another process has taken over. Anything else may be tried again
    /// with a new worker, which begins where this one got to.
    pub(crate) async fn run<P: Projection>(mut self) -> Result<End, Failure> {
        let building = !self.writer.live;
        let tally = self.writer.retry_quarantined::<P>().await?;
        self.report(|status| status.count(tally));
        let filter = Filter::categories(&[P::Source::CATEGORY]);
        let mut subscription = self.context.journal.subscribe(filter, self.writer.hold.position);
        let mut heartbeat = heartbeat(self.context.options.heartbeat);
        loop {
            match self.next(&mut subscription, &mut heartbeat).await {
                Next::Stop => {
                    self.writer.release().await;
                    return Ok(End::Stopped);
                }
                Next::Batch(batch) => self.take::<P>(batch).await?,
                Next::Heartbeat if self.busy => self.busy = false,
                Next::Heartbeat | Next::Wanted => self.beat::<P>().await?,
            }
            if building && self.promote::<P>().await? {
                self.report(|_| {});
                self.writer.release().await;
                return Ok(End::Promoted);
            }
        }
    }

    async fn promote<P: Projection>(&mut self) -> Result<bool, Failure> {
        if !self.caught_up || Instant::now() < self.promote_from {
            return Ok(false);
        }
        let promoted = generation::promote::<P>(&mut self.writer).await?;
        self.promote_from = Instant::now() + BETWEEN_PROMOTIONS;
        Ok(promoted)
    }

    async fn next(&self, subscription: &mut Subscription, heartbeat: &mut Interval) -> Next {
        let wanted = &self.context.wanted[&self.writer.hold.generation.projection];
        tokio::select! {
            biased;
            () = self.context.stop.cancelled() => Next::Stop,
            _ = heartbeat.tick() => Next::Heartbeat,
            () = wanted.notified() => Next::Wanted,
            batch = subscription.next_batch(self.context.options.batch) => Next::Batch(batch),
        }
    }

    async fn take<P: Projection>(&mut self, batch: Vec<Delivery>) -> Result<(), Failure> {
        // A batch that is not full means that nothing more was waiting.
        let full = batch.len() >= self.context.options.batch;
        let mut to = self.writer.hold.position;
        let mut events = Vec::with_capacity(batch.len());
        let mut caught_up = self.caught_up && !full;
        for delivery in batch {
            to = delivery.position().map_or(to, |position| position.max(to));
            match delivery {
                Delivery::Event(event) => events.push(event),
                Delivery::Checkpoint(_) => {}
                Delivery::CaughtUp => caught_up = true,
            }
        }
        self.busy = true;
        self.caught_up = caught_up;
        if events.is_empty() {
            self.writer.advance(to, caught_up).await?;
            self.report(|_| {});
            return Ok(());
        }
        let tally = self.writer.write::<P>(&events, to, caught_up).await?;
        let delay = self.delay_of(&events);
        self.report(|status| {
            status.count(tally);
            status.stats.batches += 1;
            status.delay = delay;
        });
        tracing::debug!(
            projection = %P::NAME, events = events.len(), position = %to, "folded a batch"
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
        self.writer.advance(to, self.caught_up).await?;
        self.report(|_| {});
        Ok(())
    }

    /// The end of the log, if nothing for us is between `at` and there.
    async fn quiet_until<P: Projection>(&self, at: Position) -> Option<Position> {
        let journal = &self.context.journal;
        let head = timeout(HEAD_LIMIT, journal.head()).await.ok()?.ok()?;
        if head <= at {
            return Some(at);
        }
        let quiet = generation::is_quiet(journal, P::Source::CATEGORY, at, head).await;
        quiet.ok()?.then_some(head)
    }

    fn delay_of(&self, events: &[Recorded]) -> TimeDelta {
        let last = events.last().map(|event| event.metadata.recorded_at);
        let now = self.context.journal.clock().now();
        last.map_or(TimeDelta::zero(), |last| (now - last).max(TimeDelta::zero()))
    }

    fn report(&self, change: impl FnOnce(&mut WorkerStatus)) {
        let hold = self.writer.hold;
        self.status.send_modify(|status| {
            status.role = if self.writer.live { Role::Live } else { Role::Building };
            status.generation = Some(hold.generation.number);
            status.position = hold.position;
            status.caught_up = self.caught_up;
            status.last_error = None;
            change(status);
        });
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
