//! Reads the log once and deals its events out to partitions, by the hash of their streams' names.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use journal::{Batch, Filter, Journal, Position, Scan};
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::pacing::Pacer;
use super::progress::Board;
use super::spill::{Partitions, RawEvent, Settings, SpillError, partition_of};
use crate::failure::Failure;

/// How often it is made sure that what has been read need not be read again. Only once there is
/// so much that some of it is on the disk anyway …
const CHECKPOINT: Duration = Duration::from_secs(5);
/// … and less often on slow disks: so many times as long as it took lies between two.
const CHECKPOINTS_APART: u32 = 20;

/// The events of a run, by partition.
#[derive(Debug, Clone)]
pub(super) struct Dealt {
    pub(super) partitions: Arc<Partitions>,
    /// Everything up to here.
    pub(super) end: Position,
}

/// What is read, and where it is put aside.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) directory: PathBuf,
    /// Tells this run from all others.
    pub(super) identity: String,
    pub(super) count: u32,
    pub(super) memory_bytes: usize,
    pub(super) categories: Vec<&'static str>,
    /// Where to end; at the end of the log if it was never reached before.
    pub(super) until: Option<Position>,
    /// Whether what is there cannot be used.
    pub(super) anew: bool,
    /// Who uses the directory, which goes on when nobody waits for it any more.
    pub(super) users: TaskTracker,
}

/// Reads the log, or the rest of it if another process has put aside what came before.
pub(super) async fn deal(
    journal: &Journal,
    plan: &Plan,
    pacer: &Pacer,
    board: &Board,
) -> Result<Dealt, Failure> {
    let (mut partitions, from) = begin(plan.clone()).await?;
    board.events_scanned.store(partitions.events(), Ordering::Relaxed);
    if from == Position::START {
        board.event_bytes.store(0, Ordering::Relaxed);
    }
    board.ends_at(plan.until.unwrap_or(journal.head().await?));
    board.scan_from(from);
    let mut scan = journal.scan(Filter::categories(&plan.categories), from);
    let mut checkpoint = Instant::now() + CHECKPOINT;
    let mut at = from;
    while plan.until.is_none_or(|end| at < end) {
        let begun = Instant::now();
        let Some(batch) = next(&mut scan, board).await? else { break };
        at = batch.position;
        count(board, &batch);
        let until = plan.until;
        let save = partitions.written_bytes() > 0 && Instant::now() >= checkpoint;
        let saving = Instant::now();
        partitions = blocking(&plan.users, partitions, move |partitions| {
            put(partitions, &batch, until)?;
            if save { partitions.checkpoint(batch.position) } else { Ok(()) }
        })
        .await?;
        if save {
            checkpoint = Instant::now() + CHECKPOINT.max(saving.elapsed() * CHECKPOINTS_APART);
        }
        board.spilled_bytes.store(partitions.written_bytes(), Ordering::Relaxed);
        board.scanned(at);
        pacer.rest(begun.elapsed()).await?;
    }
    let end = plan.until.unwrap_or(at);
    if partitions.written_bytes() > 0 {
        let save = move |partitions: &mut Partitions| partitions.checkpoint(end);
        partitions = blocking(&plan.users, partitions, save).await?;
    }
    board.spilled_bytes.store(partitions.written_bytes(), Ordering::Relaxed);
    Ok(Dealt { partitions: Arc::new(*partitions), end })
}

/// Removes what was put aside. What cannot be removed stays: the rows are in the tables.
pub(super) async fn discard(dealt: Dealt, users: &TaskTracker) {
    // Somebody who was given up may still be reading. What stays is removed by the next one.
    let Some(partitions) = Arc::into_inner(dealt.partitions) else { return };
    if let Err(failure) = on_blocking_thread(users, move || partitions.discard()).await {
        tracing::warn!(error = failure.story(), "cannot remove events that were put aside");
    }
}

/// What is there, and up to where.
async fn begin(plan: Plan) -> Result<(Box<Partitions>, Position), Failure> {
    let users = plan.users.clone();
    on_blocking_thread(&users, move || {
        let settings = Settings {
            identity: plan.identity,
            budget_bytes: plan.memory_bytes,
            expected_bytes: 0,
        };
        match Partitions::resume(&plan.directory, settings.clone()) {
            Ok(resumed)
                if !plan.anew && resumed.partitions.count() == plan.count as usize =>
            {
                tracing::info!(position = %resumed.position, "going on with events that were put aside");
                return Ok((Box::new(resumed.partitions), resumed.position));
            }
            Err(
                error @ (SpillError::Full { .. }
                | SpillError::Io { .. }
                | SpillError::InUse { .. }
                | SpillError::SmallBudget { .. }),
            ) => return Err(error),
            Ok(_) | Err(SpillError::NothingToResume { .. }) => {}
            Err(reason @ (SpillError::Torn { .. } | SpillError::Foreign { .. })) => {
                tracing::warn!(%reason, "events that were put aside cannot be used; the log is read again");
            }
        }
        let partitions = Partitions::open(&plan.directory, plan.count as usize, settings)?;
        Ok((Box::new(partitions), Position::START))
    })
    .await
}

/// The next batch, however long the event store is away.
async fn next(scan: &mut Scan, board: &Board) -> Result<Option<Batch>, Failure> {
    loop {
        match scan.next().await {
            Ok(batch) => {
                board.went_on();
                return Ok(batch);
            }
            Err(error) if error.is_transient() => {
                let failure = Failure::from(error);
                tracing::warn!(
                    error = failure.story(),
                    "reading the log was interrupted; it goes on"
                );
                board.failed(failure.story());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn count(board: &Board, batch: &Batch) {
    let bytes: usize =
        batch.events.iter().map(|event| event.metadata.len() + event.data.len()).sum();
    board.events_scanned.fetch_add(batch.events.len() as u64, Ordering::Relaxed);
    board.event_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
}

fn put(
    partitions: &mut Partitions,
    batch: &Batch,
    until: Option<Position>,
) -> Result<(), SpillError> {
    let count = partitions.count();
    for event in &batch.events {
        if until.is_some_and(|end| event.position > end) {
            break;
        }
        partitions.push(partition_of(&event.stream, count), RawEvent::from(event))?;
    }
    Ok(())
}

async fn blocking(
    users: &TaskTracker,
    mut partitions: Box<Partitions>,
    work: impl FnOnce(&mut Partitions) -> Result<(), SpillError> + Send + 'static,
) -> Result<Box<Partitions>, Failure> {
    on_blocking_thread(users, move || work(&mut partitions).map(|()| partitions)).await
}

async fn on_blocking_thread<T: Send + 'static>(
    users: &TaskTracker,
    work: impl FnOnce() -> Result<T, SpillError> + Send + 'static,
) -> Result<T, Failure> {
    // What is done may hold the directory, and nobody may be there to take it: the user goes after it.
    let user = users.token();
    match spawn_blocking(move || (work(), user)).await {
        Ok((done, _)) => Ok(done?),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        Err(_) => Err(Failure::Lost),
    }
}
