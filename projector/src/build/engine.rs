//! Carries out a run, from wherever it is to its end.
//!
//! What is done is told by the database alone: which generations are filled, and which partitions
//! are in the tables of the others. So after any interruption, of whomever, the same steps are
//! taken again, and those that are done already are nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::catching_up;
use super::copying::{self, Right};
use super::dealing::{self, Dealt};
use super::filling::Filling;
use super::finishing::{self, Finish, Finished};
use super::left_over;
use super::options::RebuildOptions;
use super::pacing::Pacer;
use super::progress::Board;
use super::run::{self, Part, Phase, Run};
use super::spill::SpillError;
use crate::bookkeeping::GenerationId;
use crate::database;
use crate::failure::Failure;
use crate::projections::{Definition, with};
use crate::worker::{Context, Patience};

impl Failure {
    /// Whether trying again is of no use, or has to wait until somebody has done something.
    fn is_final(&self) -> bool {
        match self {
            Self::Lost => true,
            Self::Spill(_)
            | Self::Moved
            | Self::Database(_)
            | Self::Journal(_)
            | Self::Migration(_)
            | Self::Position
            | Self::TooSlow => self.waits_for_somebody(),
        }
    }

    /// Whether somebody has to do something about it before a run can go on. Trying again would
    /// keep a full disk full.
    pub(crate) fn waits_for_somebody(&self) -> bool {
        match self {
            // The process that had it before us may take a moment to end.
            Self::Spill(error) => !matches!(error, SpillError::InUse { .. }),
            Self::Database(sqlx::Error::Database(error)) => {
                // disk_full, insufficient_privilege, undefined_column
                error.code().is_some_and(|code| ["53100", "42501", "42703"].contains(&&*code))
            }
            Self::Database(_)
            | Self::Lost
            | Self::Moved
            | Self::Journal(_)
            | Self::Migration(_)
            | Self::Position
            | Self::TooSlow => false,
        }
    }
}

/// So many generations are finished, or get their indexes, at the same time.
const FINISHED_AT_ONCE: usize = 2;

/// Carries out one run.
pub(crate) struct Engine {
    pub(super) context: Context,
    pub(super) options: RebuildOptions,
    pub(super) board: Arc<Board>,
    pub(super) pacer: Pacer,
    pub(super) right: Right,
    /// When the run began, in microseconds: together with its number it is like no other.
    begun: i64,
    /// The events of the log, once they have been read.
    dealt: Option<Dealt>,
    /// Threads that read and write what was put aside.
    pub(super) users: TaskTracker,
    /// Whether those on the disk cannot be used.
    spoilt: bool,
    /// Turns to make indexes.
    pub(super) indexing: Semaphore,
}

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All generations are live, or somebody else has decided about them.
    Done,
    /// Some wait for somebody to promote them.
    Ready,
    /// We were stopped before its end.
    Stopped,
}

impl Engine {
    /// Takes the run `id`, from a process that is dead or from ourselves; `None` if it may not be
    /// taken.
    pub(crate) async fn take(
        context: &Context,
        options: RebuildOptions,
        board: Arc<Board>,
        id: i64,
    ) -> Result<Option<Self>, Failure> {
        let mut connection = database::connect(&context.address).await?;
        let taken = run::acquire(&mut connection, id, context.holder, &context.options).await?;
        let Some(run) = taken else { return Ok(None) };
        let (begun, pace) = run::begun_and_pace(&mut connection, id).await?;
        board.go_on_from(&run::figures(&mut connection, id).await?);
        left_over::clear(&mut connection, &options.spill_dir).await?;
        connection.close().await?;
        board.run.store(id.unsigned_abs(), Ordering::Relaxed);
        board.keep_pace(pace);
        for part in &run.parts {
            board.of(part.generation.projection, |it| {
                it.generation = part.generation.number;
                it.filled = part.filled;
                it.promoted = part.live;
            });
        }
        Ok(Some(Self {
            context: context.clone(),
            options,
            board,
            pacer: Pacer::new(),
            right: Right { run: id, epoch: run.epoch },
            begun,
            dealt: None,
            users: TaskTracker::new(),
            spoilt: false,
            indexing: Semaphore::new(FINISHED_AT_ONCE),
        }))
    }

    /// Carries the run out, whatever happens to the database and the event store meanwhile.
    ///
    /// # Errors
    /// [`Failure::Lost`] when somebody else has taken over; [`Failure::Spill`] and some of
    /// [`Failure::Database`] when a disk is full or broken, or a permission is missing: the run is
    /// paused then, or it would be tried again and again.
    pub(crate) async fn carry_out(mut self) -> Result<Outcome, Failure> {
        let stop = self.context.stop.clone();
        let (beating, yielding) = self.background();
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(Outcome::Stopped),
            outcome = self.go_on() => outcome,
        };
        if let Err(failure) = &outcome {
            self.board.failed(failure.story());
        }
        drop((beating, yielding));
        let let_go = async || {
            let mut connection = database::connect(&self.context.address).await?;
            let Right { run, epoch } = self.right;
            if let Err(failure) = &outcome
                && failure.waits_for_somebody()
            {
                run::pause(&mut connection, run, epoch, &failure.story()).await?;
            }
            run::release(&mut connection, run, epoch).await?;
            connection.close().await
        };
        // The server is not there: it is noticed that we are gone.
        let _ = timeout(Duration::from_secs(5), let_go()).await;
        outcome
    }

    fn background(&self) -> (AbortOnDropHandle<()>, AbortOnDropHandle<()>) {
        let Self { context, board, pacer, right, .. } = self;
        let (right, max_lag) = (*right, self.options.max_lag);
        let beating = {
            let (context, board, pacer) = (context.clone(), Arc::clone(board), pacer.clone());
            tokio::spawn(async move { pacer.beat(&context, right, &board).await })
        };
        let yielding = {
            let (context, board, pacer) = (context.clone(), Arc::clone(board), pacer.clone());
            tokio::spawn(async move { pacer.yield_to_live(&context, max_lag, &board).await })
        };
        (AbortOnDropHandle::new(beating), AbortOnDropHandle::new(yielding))
    }

    async fn go_on(&mut self) -> Result<Outcome, Failure> {
        let mut patience = Patience::new();
        loop {
            self.pacer.go().await?;
            match self.attempt().await {
                Err(Failure::Spill(SpillError::Torn { path, reason })) => {
                    let path = path.display();
                    tracing::warn!(%path, reason, "events that were put aside are damaged; the log is read again");
                    (self.dealt, self.spoilt) = (None, true);
                }
                Err(Failure::Moved) => {
                    tracing::warn!(
                        "rows were lost in a crash of the database; they are made again"
                    );
                    patience.wait(&self.context.stop).await;
                }
                Err(failure) if failure.is_final() => return Err(failure),
                Err(failure) => {
                    let error = failure.story();
                    tracing::warn!(
                        run = self.right.run,
                        error,
                        "a build was interrupted; it goes on"
                    );
                    self.board.failed(error);
                    patience.wait(&self.context.stop).await;
                }
                Ok(outcome) => return Ok(outcome),
            }
        }
    }

    /// Takes all steps that are left.
    async fn attempt(&mut self) -> Result<Outcome, Failure> {
        let mut connection = database::connect(&self.context.address).await?;
        let mut run = run::read(&mut connection, self.right.run, self.right.epoch).await?;
        let unfilled: Vec<Part> =
            run.parts.iter().filter(|part| part.building && !part.filled).copied().collect();
        if !unfilled.is_empty() {
            let missing = self.missing(&mut connection, &run, &unfilled).await?;
            if !missing.is_empty() {
                let dealt = self.deal(&mut connection, &mut run).await?;
                self.enter(&mut connection, &run, Phase::Fold).await?;
                Filling::new(self, &run, dealt).await?.fill(missing).await?;
            }
            self.enter(&mut connection, &run, Phase::Finish).await?;
            self.finish(&run, &unfilled).await?;
        }
        match self.dealt.take() {
            Some(dealt) => dealing::discard(dealt, &self.users).await,
            // The process that has read them may have died before it came here.
            None => left_over::remove(self.directory()).await,
        }
        self.enter(&mut connection, &run, Phase::CatchUp).await?;
        let outcome = catching_up::catch_up(self, &run).await?;
        let last = match outcome {
            Outcome::Done => Phase::Done,
            Outcome::Ready => Phase::Ready,
            Outcome::Stopped => return Ok(outcome),
        };
        let now = run::read(&mut connection, run.id, run.epoch).await?;
        if now.parts.iter().any(|part| part.building && !part.filled) {
            return Err(Failure::Moved);
        }
        self.enter(&mut connection, &run, last).await?;
        connection.close().await?;
        Ok(outcome)
    }

    async fn enter(
        &self,
        connection: &mut PgConnection,
        run: &Run,
        phase: Phase,
    ) -> Result<(), Failure> {
        self.board.enter(phase);
        run::enter(connection, run, phase, run.end).await
    }

    /// The partitions that are not in the tables yet, and of which generations. Generations with
    /// nothing in them are made ready.
    async fn missing(
        &self,
        connection: &mut PgConnection,
        run: &Run,
        unfilled: &[Part],
    ) -> Result<BTreeMap<u32, Vec<GenerationId>>, Failure> {
        let mut missing: BTreeMap<u32, Vec<GenerationId>> = BTreeMap::new();
        for part in unfilled {
            let generation = part.generation;
            let done = finishing::done(connection, generation).await?;
            if done.is_none() {
                let definition = Definition::of_name(generation.projection);
                finishing::prepare(connection, self.right, generation, &definition).await?;
            }
            let done: BTreeSet<u32> = done.unwrap_or_default().into_iter().collect();
            for partition in (0..run.partitions).filter(|number| !done.contains(number)) {
                missing.entry(partition).or_default().push(generation);
            }
        }
        Ok(missing)
    }

    /// The events of the log, read now unless they have been.
    async fn deal(
        &mut self,
        connection: &mut PgConnection,
        run: &mut Run,
    ) -> Result<Dealt, Failure> {
        if let Some(dealt) = &self.dealt {
            // Noting where it ended may be what was interrupted.
            run.end = Some(dealt.end);
            return Ok(dealt.clone());
        }
        self.enter(connection, run, Phase::Scan).await?;
        let categories: BTreeSet<_> =
            run.parts.iter().map(|part| part.generation.projection.category()).collect();
        let plan = dealing::Plan {
            directory: self.directory(),
            identity: format!("run {} begun {} of {categories:?}", run.id, self.begun),
            count: run.partitions,
            memory_bytes: self.options.memory_bytes,
            categories: categories.into_iter().collect(),
            until: run.end,
            anew: self.spoilt,
            users: self.users.clone(),
        };
        let dealt = dealing::deal(&self.context.journal, &plan, &self.pacer, &self.board).await?;
        (self.dealt, self.spoilt) = (Some(dealt.clone()), false);
        run.end = Some(dealt.end);
        Ok(dealt)
    }

    /// Where events are put aside.
    pub(crate) fn directory(&self) -> PathBuf {
        left_over::directory(&self.options.spill_dir, self.right.run, self.begun)
    }

    /// The threads that use that directory: they go on for a moment when nobody waits for them any
    /// more.
    pub(crate) fn users(&self) -> TaskTracker {
        self.users.clone()
    }

    async fn finish(&self, run: &Run, unfilled: &[Part]) -> Result<(), Failure> {
        let Some(end) = run.end else { return Err(Failure::Moved) };
        let finish = async |part: &Part| {
            self.pacer.go().await?;
            let (context, generation) = (&self.context, part.generation);
            let mut connection = copying::connect(&context.address, self.options.gentle).await?;
            let pid = copying::pid_of(&mut connection).await?;
            let finish = Finish {
                connection: &mut connection,
                right: self.right,
                generation,
                partitions: run.partitions,
                end,
                journal: &context.journal,
                gentle: self.options.gentle,
            };
            let finished = with(generation.projection, finish);
            match copying::while_alive(&context.address, pid, finished).await? {
                Finished::Incomplete => return Err(Failure::Moved),
                Finished::Filled { events, rows } => {
                    self.board
                        .of(generation.projection, |it| (it.events, it.rows) = (events, rows));
                }
                Finished::Emptied => {}
            }
            self.board.of(generation.projection, |it| it.filled = true);
            connection.close().await?;
            Ok(())
        };
        stream::iter(unfilled)
            .map(finish)
            .buffer_unordered(FINISHED_AT_ONCE)
            .try_for_each(|()| std::future::ready(Ok(())))
            .await
    }
}
