//! One lane per stream that has commands under way: they wait for each other, in order.
//!
//! A lane is a queue and a task that takes from it everything that waits, again and again, until
//! nothing is left; then both are gone. Callers only wait for their answer, so one that goes away
//! disturbs nobody.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemas::Aggregate;
use tokio::sync::oneshot;

use crate::repository::Shared;
use crate::{Context, ExecuteAtError, Executed, batch};

/// More commands than this are not decided together.
const TOGETHER: usize = 512;

/// What a caller gets.
pub(crate) type Answer<D> = Result<Executed<D>, ExecuteAtError<<D as domain::Decider>::Rejection>>;

/// A command that waits to be decided.
pub(crate) struct Waiting<D: Aggregate> {
    pub(crate) command: D::Command,
    pub(crate) context: Context,
    /// Revision that the stream must be at, if the caller cares.
    pub(crate) expected: Option<u64>,
    pub(crate) answer: oneshot::Sender<Answer<D>>,
}

/// All lanes of a repository.
pub(crate) struct Lanes<D: Aggregate> {
    waiting: Mutex<HashMap<D::Id, Vec<Waiting<D>>>>,
}

impl<D: Aggregate> Default for Lanes<D> {
    fn default() -> Self {
        Self { waiting: Mutex::default() }
    }
}

impl<D: Aggregate> Lanes<D> {
    /// Lets `command` wait for its turn.
    pub(crate) fn enter(shared: &Arc<Shared<D>>, id: &D::Id, command: Waiting<D>) {
        match shared.lanes.waiting().entry(id.clone()) {
            Entry::Occupied(mut lane) => lane.get_mut().push(command),
            Entry::Vacant(lane) => {
                lane.insert(vec![command]);
                let lane = Lane { shared: Arc::clone(shared), id: id.clone(), open: true };
                tokio::spawn(lane.run());
            }
        }
    }

    pub(crate) fn busy(&self) -> usize {
        self.waiting().len()
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<D::Id, Vec<Waiting<D>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lane<D: Aggregate> {
    shared: Arc<Shared<D>>,
    id: D::Id,
    /// Whether the queue is still this task's. After it was given up there may be a new one.
    open: bool,
}

impl<D: Aggregate> Lane<D> {
    async fn run(mut self) {
        while let Some(waiting) = self.take() {
            batch::settle(&self.shared, &self.id, waiting).await;
        }
    }

    /// What is to be decided together next. Closes the lane when nothing waits.
    fn take(&mut self) -> Option<Vec<Waiting<D>>> {
        let mut lanes = self.shared.lanes.waiting();
        let waiting = lanes.get_mut(&self.id)?;
        if waiting.is_empty() {
            lanes.remove(&self.id);
            self.open = false;
            return None;
        }
        let together = waiting.len().min(TOGETHER);
        Some(waiting.drain(..together).collect())
    }
}

impl<D: Aggregate> Drop for Lane<D> {
    /// Also when the task panics or the runtime stops: nobody must wait in a lane without a task.
    fn drop(&mut self) {
        if self.open {
            self.shared.lanes.waiting().remove(&self.id);
        }
    }
}
