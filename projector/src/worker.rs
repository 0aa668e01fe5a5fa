//! Moves one slice of a generation forward: takes what its feed delivers, batch by batch.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use journal::{Delivery, Journal, Position, Recorded, ids};
use schemas::Aggregate;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::Notify;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Options;
use crate::board::{Board, Step};
use crate::calls::{Calls, Ear};
use crate::failure::Failure;
use crate::feed::{Company, Feed};
use crate::generation;
use crate::projection::Projection;
use crate::writer::Writer;

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
    pub(crate) calls: Arc<Calls>,
    /// Told when processes came or went, or gave work back.
    pub(crate) fleet: Arc<Notify>,
    /// Told when there is a generation to build.
    pub(crate) to_build: Arc<Notify>,
    /// Whom they read the log with.
    pub(crate) company: Company,
}

impl Context {
    pub(crate) fn new(address: PgConnectOptions, journal: Journal, options: Options) -> Self {
        let stop = CancellationToken::new();
        let company = Company::new(&journal, &stop);
        Self {
            address: Arc::new(address),
            journal,
            options,
            holder: ids::new_id(),
            stop,
            calls: Arc::default(),
            fleet: Arc::default(),
            to_build: Arc::default(),
            company,
        }
    }
}

/// One worker at its slice.
pub(crate) struct Worker<'a, P: Projection> {
    writer: Writer<P>,
    context: &'a Context,
    board: &'a Board,
    stop: &'a CancellationToken,
    ear: Ear,
    caught_up: bool,
    /// Whether the feed has come to the end of the log: a batch that is not full leaves nothing then.
    at_the_end: bool,
    /// Whether there is a long way to go, so that full batches are waited for.
    far: bool,
    /// When the last batch was taken.
    taken: Option<Instant>,
    /// When somebody last asked for what readers do not see.
    hurried: Option<Instant>,
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

/// Where readers do not look, so many batches are taken in the time after which a worker counts as
/// dead: it is work beside that for the live generation, and there are the fewer statements for each
/// event, the more events are in a batch.
const UNHURRIED: u32 = 5;
/// So long it is different after somebody has asked for it.
const HURRY: Duration = Duration::from_millis(500);

/// So long a heartbeat waits for the event store: it must not look dead because the store is.
const HEAD_LIMIT: Duration = Duration::from_secs(1);

impl<'a, P: Projection> Worker<'a, P> {
    pub(crate) fn new(
        writer: Writer<P>,
        context: &'a Context,
        board: &'a Board,
        stop: &'a CancellationToken,
    ) -> Self {
        let ear = context.calls.listen(writer.hold.generation.projection);
        Self {
            writer,
            context,
            board,
            stop,
            ear,
            caught_up: false,
            at_the_end: false,
            far: true,
            taken: None,
            hurried: None,
        }
    }

    /// Works until it is stopped, and gives the slice back.
    ///
    /// # Errors
    /// [`Failure::Lost`] when another process has taken over. Anything else may be tried again
    /// with a new worker, which begins where this one got to.
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        self.retry(AT_THE_START).await?;
        let (slice, from) = (self.writer.hold.slice, self.writer.hold.position);
        let company = &self.context.company;
        let mut feed = Feed::after(company, P::Source::CATEGORY, slice, from).await;
        let mut heartbeat = heartbeat(self.context.options.heartbeat);
        loop {
            match self.next(&mut feed, &mut heartbeat).await {
                Next::Stop => {
                    self.writer.release().await;
                    return Ok(());
                }
                Next::Batch(batch) => self.take(batch).await?,
                // A batch is a sign of life.
                Next::Heartbeat if self.is_busy() => {}
                // There is something, and it is going to be taken soon.
                Next::Heartbeat if self.is_unhurried() && feed.has_some() => {}
                Next::Heartbeat => self.beat().await?,
                Next::Called => {
                    (self.hurried, self.far) = (Some(Instant::now()), false);
                    // What has come is taken at once.
                    if !feed.has_some() {
                        self.beat().await?;
                    }
                }
            }
            self.retry(IN_BETWEEN).await?;
            let Context { address, holder, options, .. } = self.context;
            self.writer.stand_up(address, *holder, options.take_over_after).await?;
        }
    }

    /// Tries quarantined streams that this build has not tried yet.
    async fn retry(&mut self, limit: Duration) -> Result<(), Failure> {
        if self.writer.has_untried() {
            let caught_up = self.has_caught_up();
            let tally = self.writer.retry_untried(limit, caught_up).await?;
            self.report(Step { tally, delay: None }).await?;
        }
        Ok(())
    }

    /// Whether nothing is left to do. What readers do not see yet had better be complete first.
    fn has_caught_up(&self) -> bool {
        self.caught_up && (self.writer.hold.seen.live || !self.writer.has_untried())
    }

    async fn next(&mut self, feed: &mut Feed, heartbeat: &mut Interval) -> Next {
        let patience = self.patience();
        let seen = self.writer.hold.seen.live;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Next::Stop,
            // Before the others: a heartbeat may take longer than the time between two, and
            // readers may ask all the time. What they wait for is in here.
            batch = feed.gather(self.context.options.batch, patience) => Next::Batch(batch),
            _ = heartbeat.tick() => Next::Heartbeat,
            () = self.ear.called(seen) => Next::Called,
        }
    }

    /// How long a batch that is not full is waited for.
    fn patience(&self) -> Duration {
        let gathering = if self.far { GATHERING } else { Duration::ZERO };
        match self.taken {
            Some(taken) if self.is_unhurried() => {
                let apart = self.context.options.take_over_after / UNHURRIED;
                gathering.max(apart.saturating_sub(taken.elapsed()))
            }
            _ => gathering,
        }
    }

    /// Whether a batch was taken since the last heartbeat.
    fn is_busy(&self) -> bool {
        self.taken.is_some_and(|at| at.elapsed() < self.context.options.heartbeat)
    }

    /// Whether nobody waits for what is written here.
    fn is_unhurried(&self) -> bool {
        let is_called = self.hurried.is_some_and(|at| at.elapsed() < HURRY);
        !self.writer.hold.seen.live && !is_called
    }

    async fn take(&mut self, batch: Vec<Delivery>) -> Result<(), Failure> {
        // A batch that is not full means that nothing more was waiting.
        let full = batch.len() >= self.context.options.batch;
        self.far = full || self.far && batch.len() >= self.context.options.batch / SHORT;
        let slice = self.writer.hold.slice;
        let mut to = self.writer.hold.position;
        let mut events = Vec::with_capacity(batch.len());
        self.at_the_end &= !full;
        for delivery in batch {
            to = delivery.position().map_or(to, |position| position.max(to));
            match delivery {
                Delivery::Event(event) if slice.has(&event.stream) => events.push(event),
                // Of another slice.
                Delivery::Event(_) | Delivery::Checkpoint(_) => {}
                Delivery::CaughtUp => (self.at_the_end, self.far) = (true, false),
            }
        }
        self.taken = Some(Instant::now());
        self.caught_up = self.at_the_end;
        let caught_up = self.has_caught_up();
        if events.is_empty() {
            self.writer.advance(to, caught_up).await?;
            return self.report(Step::default()).await;
        }
        let tally = self.writer.write(&events, to, caught_up).await?;
        let delay = Some(self.delay_of(&events));
        self.report(Step { tally, delay }).await?;
        tracing::debug!(
            projection = %P::NAME, %slice, events = events.len(), position = %to, "folded a batch"
        );
        Ok(())
    }

    /// Shows a sign of life. When nothing has come for a while, looks how far the log is and moves
    /// the checkpoint there: the subscription itself is in no hurry to tell about events of others,
    /// and readers may be waiting.
    async fn beat(&mut self) -> Result<(), Failure> {
        // Somebody waits, or there is not much to take.
        self.far = false;
        let at = self.writer.hold.position;
        let mut to = at;
        match self.quiet_until(at).await {
            Some(head) => {
                to = head.max(at);
                (self.caught_up, self.at_the_end) = (true, true);
            }
            // It is on its way.
            None => self.caught_up = false,
        }
        self.writer.advance(to, self.has_caught_up()).await?;
        self.report(Step::default()).await
    }

    /// The end of the log, if nothing for us is between `at` and there.
    async fn quiet_until(&self, at: Position) -> Option<Position> {
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

    /// Tells what has become of a step: nobody hears that all is there before readers see it.
    async fn report(&mut self, step: Step) -> Result<(), Failure> {
        let caught_up = self.has_caught_up() && self.writer.open_if_complete().await?;
        self.board.stepped(&self.writer.hold, caught_up, step);
        Ok(())
    }
}

enum Next {
    Stop,
    Batch(Vec<Delivery>),
    Heartbeat,
    Called,
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
