//! Reading and following the whole log, `$all`.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{Output, RECENT_RECORDS, Reached, ReadingError};
use crate::storage::{Counted, Direction, Item, LogQuery, Scan, Storage};

/// How long a consumer whose filter lets nothing through waits for a checkpoint at most, however
/// few records pass.
const CHECKPOINT_PAUSE: Duration = Duration::from_secs(1);

/// How long a filter may keep others from running.
const AT_A_TIME: Duration = Duration::from_millis(5);

/// Where in the log to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogStart {
    Start,
    End,
    Position(u64),
}

impl From<Item> for Output {
    fn from(item: Item) -> Self {
        match item {
            Item::Event(event) => Self::Event(event),
            Item::Checkpoint(position) => Self::Checkpoint(position),
        }
    }
}

/// A read of the log with an end: what is committed when it begins.
#[derive(Debug)]
pub(crate) struct LogRead {
    storage: Storage,
    direction: Direction,
    /// What is left, both inclusive. Empty when the first is larger.
    range: (u64, u64),
    remaining: u64,
    scan: Scan,
}

impl LogRead {
    /// Forwards it begins with the record at the start position, backwards with the one before it.
    pub(crate) fn new(
        storage: Storage,
        (direction, from): (Direction, LogStart),
        limit: u64,
        scan: Scan,
    ) -> Self {
        let end = *storage.committed().borrow();
        let range = match (direction, from) {
            (Direction::Forwards, LogStart::Start) | (Direction::Backwards, LogStart::End) => {
                (1, end)
            }
            (Direction::Forwards, LogStart::Position(position)) => (position.max(1), end),
            (Direction::Backwards, LogStart::Position(position)) => {
                (1, position.saturating_sub(1).min(end))
            }
            (Direction::Forwards, LogStart::End) | (Direction::Backwards, LogStart::Start) => {
                (1, 0)
            }
        };
        Self { storage, direction, range, remaining: limit, scan }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Vec<Output>>, ReadingError> {
        while self.remaining > 0 && self.range.0 <= self.range.1 {
            let query = LogQuery {
                range: self.range,
                direction: self.direction,
                limit: self.remaining,
                scan: self.scan.clone(),
            };
            let page = self.storage.read_log(query).await?;
            if self.scan.has_given_up() {
                return Err(ReadingError::CostlyFilter);
            }
            self.remaining = self.remaining.saturating_sub(page.items.len() as u64);
            self.range = match (page.examined, self.direction) {
                (None, _) => (1, 0),
                (Some(_), _) if page.end => (1, 0),
                (Some(examined), Direction::Forwards) => (examined + 1, self.range.1),
                (Some(examined), Direction::Backwards) => (self.range.0, examined - 1),
            };
            if !page.items.is_empty() {
                return Ok(Some(page.items.into_iter().map(Output::from).collect()));
            }
        }
        Ok(None)
    }
}

/// The log followed from a position on, without an end. It only ever asks for what comes after the
/// last record it examined, from memory if that reaches back far enough and else from disk; so
/// there is no moment between reading and following at which a record could be missed or seen
/// twice.
#[derive(Debug)]
pub(crate) struct LogSubscription {
    storage: Storage,
    committed: watch::Receiver<u64>,
    scan: Scan,
    /// Whether the consumer wants to know how far the scan has come.
    checkpoints: bool,
    /// The last position examined.
    examined: u64,
    /// The last position that the consumer was told, and when.
    reported: u64,
    reported_at: Instant,
    /// The last checkpoint, or where it began.
    checkpointed: u64,
    caught_up: bool,
    _counted: Counted,
}

impl LogSubscription {
    /// Begins after `from`. At the end, only what is committed from now on counts.
    pub(crate) fn new(storage: Storage, from: LogStart, scan: Scan, checkpoints: bool) -> Self {
        let committed = storage.committed();
        let examined = match from {
            LogStart::Start => 0,
            LogStart::Position(position) => position,
            LogStart::End => *committed.borrow(),
        };
        let counted = storage.counters().subscriptions.enter();
        Self {
            storage,
            committed,
            scan,
            checkpoints,
            examined,
            reported: examined,
            reported_at: Instant::now(),
            checkpointed: examined,
            caught_up: false,
            _counted: counted,
        }
    }

    pub(super) async fn next(&mut self) -> Result<Vec<Output>, ReadingError> {
        loop {
            let committed = *self.committed.borrow_and_update();
            let mut out = Vec::new();
            if self.examined < committed {
                self.advance(committed, &mut out).await?;
                if self.scan.has_given_up() {
                    return Err(ReadingError::CostlyFilter);
                }
            } else if self.caught_up {
                self.wait().await?;
            } else {
                self.caught_up = true;
                if self.checkpoints && self.examined > self.checkpointed {
                    out.push(Output::Checkpoint(self.examined));
                }
                out.push(Output::CaughtUp(self.reached()));
            }
            if out.is_empty() && self.owes_checkpoint() && self.checkpoint_at() <= Instant::now() {
                out.push(Output::Checkpoint(self.examined));
            }
            if !out.is_empty() {
                self.note_report(&out);
                return Ok(out);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Examines some of the records up to `committed`.
    async fn advance(&mut self, committed: u64, out: &mut Vec<Output>) -> Result<(), ReadingError> {
        if let Some(events) = self.storage.recent_after(self.examined, RECENT_RECORDS) {
            if events.is_empty() {
                // The newest records were removed from the log since they were committed.
                self.examined = committed;
            }
            let (mut items, begun) = (Vec::new(), Instant::now());
            for event in events {
                let position = event.position;
                if self.scan.wants(&event.stream, &event.kind) {
                    items.push(Item::Event(event));
                }
                self.scan.examined(position, &mut items);
                self.examined = position;
                if begun.elapsed() > AT_A_TIME {
                    break;
                }
            }
            out.extend(items.into_iter().map(Output::from));
            return Ok(());
        }
        let query = LogQuery {
            range: (self.examined + 1, committed),
            direction: Direction::Forwards,
            limit: u64::MAX,
            scan: self.scan.clone(),
        };
        let page = self.storage.read_log(query).await?;
        if self.caught_up && !page.end {
            self.caught_up = false;
            out.push(Output::FellBehind(self.reached()));
        }
        self.scan = page.scan;
        self.examined = page.examined.unwrap_or(committed);
        out.extend(page.items.into_iter().map(Output::from));
        Ok(())
    }

    /// Waits for a commit, or until a checkpoint is due.
    async fn wait(&mut self) -> Result<(), ReadingError> {
        let deadline = self.checkpoint_at();
        let owes_checkpoint = self.owes_checkpoint();
        let changed = self.committed.changed();
        let changed = if owes_checkpoint {
            let Ok(changed) = timeout_at(deadline, changed).await else { return Ok(()) };
            changed
        } else {
            changed.await
        };
        changed.map_err(|_gone| ReadingError::Stopping)
    }

    fn reached(&self) -> Reached {
        if self.examined == 0 { Reached::Nothing } else { Reached::Position(self.examined) }
    }

    /// Whether records have been examined that the consumer does not know of.
    fn owes_checkpoint(&self) -> bool {
        self.checkpoints && self.examined > self.reported
    }

    fn checkpoint_at(&self) -> Instant {
        self.reported_at + CHECKPOINT_PAUSE
    }

    fn note_report(&mut self, out: &[Output]) {
        let reported = out.iter().rev().find_map(|output| match output {
            Output::Event(event) => Some(event.position),
            Output::Checkpoint(position) => Some(*position),
            Output::CaughtUp(_)
            | Output::FellBehind(_)
            | Output::NotFound
            | Output::FirstRevision(_)
            | Output::LastRevision(_) => None,
        });
        if let Some(position) = reported {
            self.reported = position;
            self.reported_at = Instant::now();
        }
        for output in out {
            if let Output::Checkpoint(position) = output {
                self.checkpointed = *position;
            }
        }
    }
}
