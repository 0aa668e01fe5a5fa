//! What the workers of a process say about themselves, put together per projection.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use journal::Position;
use tokio::sync::watch;

use crate::ProjectionName;
use crate::bookkeeping::{GenerationId, Hold};
use crate::fold::Tally;
use crate::slice::Slice;

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has not got to the database yet.
    Starting,
    /// It writes the generation that readers see.
    Live,
    /// It builds a new generation.
    Building,
    /// Other processes write; it waits in case that one of them dies.
    Standby,
    /// It has ended.
    Stopped,
}

/// How the workers of a process are doing at one projection.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerStatus {
    /// Which projection they work on.
    pub projection: ProjectionName,
    /// What they are doing.
    pub role: Role,
    /// Which generation they write.
    pub generation: Option<i64>,
    /// Which slices of it, from 0. Others may be held by other processes.
    pub slices: Vec<u16>,
    /// Everything up to here is in the rows of these slices.
    pub position: Position,
    /// Whether they had nothing left to do.
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
            slices: vec![],
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

/// What a worker has to say after a step.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Step {
    pub(crate) tally: Tally,
    /// How old the last event was, if it was a batch with events in it.
    pub(crate) delay: Option<TimeDelta>,
}

/// Where the workers of one projection say how they are.
#[derive(Debug)]
pub(crate) struct Board {
    shown: watch::Sender<WorkerStatus>,
    /// The generation that is shown; the live one if it is none in particular.
    only: Option<i64>,
    slices: Mutex<BTreeMap<(GenerationId, u16), Post>>,
}

/// How far a worker is with its slice.
#[derive(Debug, Clone, Copy)]
struct Post {
    slice: Slice,
    live: bool,
    position: Position,
    caught_up: bool,
}

impl Board {
    /// Shows how the live generation is doing.
    pub(crate) fn of_live(shown: watch::Sender<WorkerStatus>) -> Self {
        Self { shown, only: None, slices: Mutex::default() }
    }

    /// Shows how one generation is doing, whether readers see it or not.
    pub(crate) fn of(generation: i64, shown: watch::Sender<WorkerStatus>) -> Self {
        Self { shown, only: Some(generation), slices: Mutex::default() }
    }

    /// A worker has made a step.
    pub(crate) fn stepped(&self, hold: &Hold, caught_up: bool, step: Step) {
        let (position, live) = (hold.position, hold.seen.live);
        let post = Post { slice: hold.slice, live, position, caught_up };
        let is_shown = self.shows(hold.generation, &post);
        let mut slices = self.slices.lock().unwrap_or_else(PoisonError::into_inner);
        slices.insert((hold.generation, hold.slice.number), post);
        self.shown.send_modify(|status| {
            self.put_together(&slices, status);
            if is_shown {
                status.last_error = None;
                status.count(step.tally);
                status.stats.batches += u64::from(step.delay.is_some());
                status.delay = step.delay.unwrap_or(status.delay);
            }
        });
    }

    /// A worker does not work on its slice any more.
    pub(crate) fn left(&self, generation: GenerationId, slice: Slice) {
        let mut slices = self.slices.lock().unwrap_or_else(PoisonError::into_inner);
        if slices.remove(&(generation, slice.number)).is_some() {
            self.shown.send_modify(|status| self.put_together(&slices, status));
        }
    }

    /// Somebody else has taken over a slice.
    pub(crate) fn lost(&self, generation: GenerationId, slice: Slice) {
        let slices = self.slices.lock().unwrap_or_else(PoisonError::into_inner);
        let post = slices.get(&(generation, slice.number)).copied();
        drop(slices);
        if post.is_some_and(|post| self.shows(generation, &post)) {
            self.shown.send_modify(|status| status.stats.takeovers += 1);
        }
        self.left(generation, slice);
    }

    /// Something is wrong; it is tried again.
    pub(crate) fn failed(&self, error: String) {
        self.shown.send_modify(|status| {
            status.role = Role::Starting;
            status.last_error = Some(error);
        });
    }

    /// Nobody can say what there is to do. Workers that are at work do not mind.
    pub(crate) fn idles_because(&self, error: &str) {
        let slices = self.slices.lock().unwrap_or_else(PoisonError::into_inner);
        if slices.is_empty() {
            self.shown.send_modify(|status| status.last_error = Some(error.to_owned()));
        }
    }

    /// There is nothing to do at the moment, unless there is.
    pub(crate) fn stand_by(&self) {
        let slices = self.slices.lock().unwrap_or_else(PoisonError::into_inner);
        if slices.iter().any(|((generation, _), post)| self.shows(*generation, post)) {
            return;
        }
        self.shown.send_if_modified(|status| {
            let changes = status.role != Role::Standby || status.last_error.is_some();
            status.role = Role::Standby;
            status.generation = None;
            status.last_error = None;
            changes
        });
    }

    pub(crate) fn stopped(&self) {
        self.shown.send_modify(|status| status.role = Role::Stopped);
    }

    fn shows(&self, generation: GenerationId, post: &Post) -> bool {
        self.only.map_or(post.live, |only| only == generation.number)
    }

    fn put_together(
        &self,
        slices: &BTreeMap<(GenerationId, u16), Post>,
        status: &mut WorkerStatus,
    ) {
        let shown =
            || slices.iter().filter(|((generation, _), post)| self.shows(*generation, post));
        // During a change of generations, workers of both may think that theirs is the live one.
        let Some(((generation, _), last)) = shown().next_back() else {
            if status.role != Role::Starting {
                status.role = Role::Standby;
            }
            status.generation = None;
            status.slices = vec![];
            return;
        };
        let these = || shown().filter(|((of, _), _)| of == generation).map(|(_, post)| post);
        status.role = if last.live { Role::Live } else { Role::Building };
        status.generation = Some(generation.number);
        status.slices = these().map(|post| post.slice.number).collect();
        status.position = these().map(|post| post.position).min().unwrap_or(last.position);
        status.caught_up = these().all(|post| post.caught_up);
    }
}
