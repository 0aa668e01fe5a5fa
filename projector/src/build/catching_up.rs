//! From filled generations to live ones: ordinary workers fold what happened meanwhile, the new
//! generation is compared with the live one, gets its indexes, and readers are shown it.
//!
//! Where a projector runs, its workers may be at the new generation already. Whoever it is, how far
//! they are is in the checkpoints.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::engine::{Engine, Outcome};
use super::indexing::Index;
use super::progress::Compared;
use super::run::{Part, Run};
use crate::board::{Board, WorkerStatus};
use crate::bookkeeping::{self, GenerationId, Lock};
use crate::compare::{Sums, compare};
use crate::failure::Failure;
use crate::generation::Generation;
use crate::projection::Projection;
use crate::projections::{With, with};
use crate::promotion::{self, Change, Way};
use crate::worker::{Context, Worker};
use crate::writer::Writer;
use crate::{Comparison, Error, database, fleet, generation, quarantine, verdict};

/// How often it is looked how far the new generation is.
const LOOK: Duration = Duration::from_millis(50);
/// The live generation may meet a bad event a little later than the new one.
const LIVE_IS_AS_FAR: Duration = Duration::from_secs(3);
/// So often generations are compared, at most, until all streams have stood still once.
const COMPARISONS: u32 = 3;
/// How often slices that nobody holds are taken.
const TAKE: Duration = Duration::from_secs(1);
/// Readers wait while a promotion is tried, so one that failed is not tried again at once.
const BETWEEN_PROMOTIONS: Duration = Duration::from_secs(1);
const MOST_BETWEEN_PROMOTIONS: Duration = Duration::from_secs(10);

/// So much later than the one before it a generation begins. The server makes a session with
/// everybody's priority, and a dozen at once would keep others waiting.
const APART: Duration = Duration::from_millis(30);

/// Brings all generations of the run to where the live ones are, and makes them live.
pub(super) async fn catch_up(engine: &Engine, run: &Run) -> Result<Outcome, Failure> {
    let building = run.parts.iter().filter(|part| part.building);
    let all = building.zip(0..).map(|(part, number)| async move {
        sleep(APART * number).await;
        with(part.generation.projection, CatchUp { engine, run, part }).await
    });
    let mut outcome = Outcome::Done;
    for caught_up in join_all(all).await {
        match caught_up? {
            Outcome::Done => {}
            other @ (Outcome::Ready | Outcome::Stopped) => outcome = other,
        }
    }
    Ok(outcome)
}

struct CatchUp<'a> {
    engine: &'a Engine,
    run: &'a Run,
    part: &'a Part,
}

impl<'a> With for CatchUp<'a> {
    type Output = BoxFuture<'a, Result<Outcome, Failure>>;

    fn with<P: Projection>(self) -> Self::Output {
        Box::pin(self.catch_up::<P>())
    }
}

impl CatchUp<'_> {
    async fn catch_up<P: Projection>(self) -> Result<Outcome, Failure> {
        let engine = self.engine;
        let (status, _) = watch::channel(WorkerStatus::starting(P::NAME));
        let number = self.part.generation.number;
        let mut workers = Workers {
            context: &engine.context,
            generation: self.part.generation,
            board: Arc::new(Board::of(number, status.clone())),
            stop: engine.context.stop.child_token(),
            tasks: JoinSet::new(),
            ours: BTreeSet::new(),
            taken: None,
            connection: None,
        };
        let outcome = self.decide::<P>(&mut workers).await;
        workers.end().await;
        let applied = status.borrow().stats.events_applied;
        engine.board.of(P::NAME, |it| {
            it.events += applied;
            it.promoted = matches!(outcome, Ok(Outcome::Done));
        });
        outcome
    }

    /// Follows the log with the generation until there is nothing left to do about it: has it
    /// compared, indexed, and seen by readers, if that is wanted and right.
    async fn decide<P: Projection>(&self, workers: &mut Workers<'_>) -> Result<Outcome, Failure> {
        self.follow::<P>(workers).await?;
        let refusal = if self.run.promote { self.judge::<P>(workers).await? } else { None };
        // Comparing needs none of them, and takes as long as everything else.
        while !workers.generation().await?.indexed {
            workers.rest().await;
            self.index::<P>().await?;
            self.follow::<P>(workers).await?;
        }
        if let Some(why_not) = &refusal {
            self.refuse(why_not).await?;
            return Ok(Outcome::Ready);
        }
        if !self.run.promote {
            let why = "it is not to be promoted";
            self.wait_for_promotion(why, tracing::Level::INFO).await?;
            return Ok(Outcome::Ready);
        }
        self.promote::<P>(workers).await
    }

    /// Waits until the generation is where the log is.
    async fn follow<P: Projection>(&self, workers: &mut Workers<'_>) -> Result<(), Failure> {
        loop {
            self.engine.pacer.go().await?;
            if workers.keep_going::<P>().await? {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }

    /// Why readers had better not see the generation, if there is a reason.
    async fn judge<P: Projection>(
        &self,
        workers: &mut Workers<'_>,
    ) -> Result<Option<String>, Failure> {
        let begun = Instant::now();
        while let Some(why_not) = self.follows_fewer(workers.session().await?).await? {
            if begun.elapsed() >= LIVE_IS_AS_FAR {
                return Ok(Some(why_not));
            }
            sleep(LOOK).await;
            self.follow::<P>(workers).await?;
        }
        self.differs::<P>(workers).await
    }

    /// Has readers see it, as soon as the server lets that happen.
    async fn promote<P: Projection>(&self, workers: &mut Workers<'_>) -> Result<Outcome, Failure> {
        let (context, generation) = (&self.engine.context, self.part.generation);
        let mut pause = BETWEEN_PROMOTIONS;
        loop {
            self.follow::<P>(workers).await?;
            let tried = Instant::now();
            let (address, journal) = (&context.address, &context.journal);
            match promotion::change(address, journal, generation, Way::Forward).await {
                Ok(Change::Done { .. }) => return Ok(Outcome::Done),
                Ok(Change::Behind) => pause = BETWEEN_PROMOTIONS,
                // Readers wait while it is tried, so it is tried less and less often.
                Ok(Change::InTheWay) => pause = (pause * 2).min(MOST_BETWEEN_PROMOTIONS),
                Ok(Change::Dependent { what }) => {
                    self.refuse(&promotion::dependent_in_words(&what)).await?;
                    return Ok(Outcome::Ready);
                }
                // It is live already, or nobody wants it any more.
                Err(Failure::Lost) => return self.is_live().await,
                Err(failure) => return Err(failure),
            }
            tokio::time::sleep_until(tried + pause).await;
        }
    }

    async fn index<P: Projection>(&self) -> Result<(), Failure> {
        let Engine { context, options, right, indexing, .. } = self.engine;
        // (It is never closed.)
        let _turn = indexing.acquire().await;
        let (generation, gentle) = (self.part.generation, options.gentle);
        Index { context, right: *right, generation, gentle }.with::<P>().await
    }

    async fn refuse(&self, why: &str) -> Result<(), Failure> {
        self.wait_for_promotion(why, tracing::Level::WARN).await
    }

    async fn wait_for_promotion(&self, why: &str, level: tracing::Level) -> Result<(), Failure> {
        let projection = self.part.generation.projection;
        let why = format!(
            "generation {} of {projection} is not live: {why}; look at it with `orderstore \
             projections diff {projection}`, then promote or drop it",
            self.part.generation.number
        );
        if level == tracing::Level::WARN {
            tracing::warn!(%projection, why, "a new generation waits");
        } else {
            tracing::info!(%projection, why, "a new generation waits");
        }
        let mut connection = database::connect(&self.engine.context.address).await?;
        verdict::note_refusal(&mut connection, self.part.generation, &why).await;
        connection.close().await?;
        self.engine.board.of(projection, |it| it.refusal = Some(why));
        Ok(())
    }

    /// Why readers would miss streams that the live generation follows, if they would. There need
    /// not be any rows left to compare then, so this does not depend on a threshold.
    async fn follows_fewer(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Option<String>, Failure> {
        let generation = self.part.generation;
        let projection = generation.projection;
        let all = generation::generations(connection, projection).await?;
        let Some(live) = all.iter().find(|it| it.state == "live") else { return Ok(None) };
        let live = GenerationId { number: live.number, ..generation };
        let quarantined = quarantine::count(connection, generation).await?;
        let before = quarantine::count(connection, live).await?;
        Ok((quarantined > before).then(|| {
            format!(
                "{quarantined} of its streams are quarantined, and {before} of those of the live \
                 generation; `orderstore projections quarantine list {projection}` says why, and \
                 `orderstore projections promote {projection}` has readers see it all the same"
            )
        }))
    }

    /// Why the generation is too different from the live one, if it is.
    async fn differs<P: Projection>(
        &self,
        workers: &mut Workers<'_>,
    ) -> Result<Option<String>, Failure> {
        let (engine, generation) = (self.engine, self.part.generation);
        if !engine.options.compare {
            return Ok(None);
        }
        let all = generation::generations(workers.session().await?, P::NAME).await?;
        let Some(live) = all.iter().find(|it| it.state == "live") else { return Ok(None) };
        let is_same = live.version == self.part.version;
        let allowed = self.run.threshold.unwrap_or(if is_same { 0 } else { u64::MAX });
        let blue = GenerationId { number: live.number, ..generation };
        let compared = self.compare::<P>(blue, allowed).await;
        let comparison = match compared {
            Ok(comparison) => comparison,
            Err(Failure::Database(error)) if allowed == u64::MAX => {
                let projection = P::NAME;
                tracing::warn!(%projection, %error, "a new generation cannot be compared");
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        let told = Compared {
            rows: comparison.rows(),
            differing: comparison.differing(),
            not_compared: comparison.not_compared,
        };
        let Compared { rows, differing, not_compared } = told;
        tracing::info!(
            projection = %P::NAME, generation = generation.number, version = self.part.version,
            live_version = live.version, rows, differing, not_compared,
            "a new generation was compared with the live one"
        );
        engine.board.of(P::NAME, |it| it.compared = Some(told));
        // Streams that could not be compared count as well, unless it is because nobody works on
        // the live generation: it would never come to them.
        let connection = workers.session_after_a_while().await?;
        verdict::note_comparison(connection, &comparison).await;
        let patience = engine.context.options.take_over_after;
        let is_fed = fleet::is_fed(connection, blue, patience).await?;
        let differing = if is_fed { comparison.differing_at_most() } else { differing };
        if differing <= allowed {
            return Ok(None);
        }
        let comparison = Box::new(comparison);
        let error = Error::TooDifferent { projection: P::NAME, allowed, comparison };
        Ok(Some(format!("{error}, or rebuild it with `--threshold` or `--no-compare`")))
    }

    /// Again and again if all that is wrong are streams that do not stand still.
    async fn compare<P: Projection>(
        &self,
        blue: GenerationId,
        allowed: u64,
    ) -> Result<Comparison, Failure> {
        let mut comparisons = 1;
        loop {
            let green = self.part.generation;
            let comparison =
                compare(&self.engine.context, P::NAME, blue, green, Sums::OfGreen).await?;
            let too_many = comparison.differing() > allowed;
            if too_many || comparison.differing_at_most() <= allowed || comparisons == COMPARISONS {
                return Ok(comparison);
            }
            comparisons += 1;
        }
    }

    async fn is_live(&self) -> Result<Outcome, Failure> {
        let generation = self.part.generation;
        let mut connection = database::connect(&self.engine.context.address).await?;
        let all = generation::generations(&mut connection, generation.projection).await?;
        connection.close().await?;
        let live = all.iter().any(|it| it.number == generation.number && it.state == "live");
        if live { Ok(Outcome::Done) } else { Err(Failure::Lost) }
    }
}

/// Our own workers at a generation, where nobody else is at it.
struct Workers<'a> {
    context: &'a Context,
    generation: GenerationId,
    board: Arc<Board>,
    stop: CancellationToken,
    tasks: JoinSet<(u16, Result<(), Failure>)>,
    /// The numbers of their slices.
    ours: BTreeSet<u16>,
    /// When free slices were taken last.
    taken: Option<Instant>,
    connection: Option<PgConnection>,
}

impl Workers<'_> {
    /// Gives workers to slices that nobody holds. Whether all slices have caught up.
    async fn keep_going<P: Projection>(&mut self) -> Result<bool, Failure> {
        while let Some(ended) = self.tasks.try_join_next() {
            let (slice, ended) = match ended {
                Ok(ended) => ended,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // The runtime is shutting down.
                Err(_) => return Err(Failure::Lost),
            };
            self.ours.remove(&slice);
            match ended {
                // Somebody else has taken it, or it has ended in good order.
                Ok(()) | Err(Failure::Lost) => {}
                Err(failure) => return Err(failure),
            }
        }
        if self.taken.is_none_or(|taken| taken.elapsed() >= TAKE) {
            self.take::<P>().await?;
            self.taken = Some(Instant::now());
        }
        let generation = self.generation;
        let all = bookkeeping::positions(self.session().await?, generation, Lock::None).await?;
        Ok(!all.is_empty() && all.iter().all(|slice| slice.caught_up))
    }

    /// For looking how far things are.
    async fn session(&mut self) -> sqlx::Result<&mut PgConnection> {
        Ok(match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(database::connect(&self.context.address).await?),
        })
    }

    /// The same when nothing was asked in it for a while: what is between us and the server may have
    /// ended it for that.
    async fn session_after_a_while(&mut self) -> sqlx::Result<&mut PgConnection> {
        if let Some(connection) = &mut self.connection
            && connection.ping().await.is_err()
        {
            self.connection = None;
        }
        self.session().await
    }

    /// The generation as it is now.
    async fn generation(&mut self) -> Result<Generation, Failure> {
        let generation = self.generation;
        generation::one(self.session_after_a_while().await?, generation).await
    }

    async fn take<P: Projection>(&mut self) -> Result<(), Failure> {
        let generation = self.generation().await?;
        let (context, patience) = (self.context, self.context.options.take_over_after);
        // What one of our workers holds, another of ours could take from it.
        for slice in generation.slices() {
            if self.ours.contains(&slice.number) {
                continue;
            }
            let journal = context.journal.clone();
            let writer = Writer::<P>::acquire(
                &context.address,
                journal,
                self.generation,
                slice,
                context.holder,
                patience,
            );
            let Some(writer) = writer.await? else { continue };
            let (context, board) = (context.clone(), Arc::clone(&self.board));
            let stop = self.stop.clone();
            self.ours.insert(slice.number);
            self.tasks.spawn(async move {
                let ended = Worker::new(writer, &context, &board, &stop).run().await;
                (slice.number, ended)
            });
        }
        Ok(())
    }

    /// Has them give back what they hold. Whoever keeps going afterwards begins with new ones.
    async fn rest(&mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.stop = self.context.stop.child_token();
        self.ours.clear();
        self.taken = None;
    }

    async fn end(mut self) {
        self.rest().await;
        if let Some(connection) = self.connection {
            // The server notices by itself, too.
            let _ = connection.close().await;
        }
    }
}
