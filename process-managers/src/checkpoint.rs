//! From where a restart continues: a position in the log, and the processes still open before it.
//!
//! Kept in a stream of the event store, so that processes need nothing else. Those that have been open
//! for a while are listed by name; those that are young, or have not even begun, hold the position
//! back instead, which costs reading their events again. Either way no open process is forgotten.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::ids::{ProcessId, derive_uuid};
use journal::{Error, ExpectedRevision, Journal, Position, Proposed, ids};
use schemas::{Encoded, Metadata, StreamName};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::manager::Status;

const EVENT_TYPE: &str = "process-manager-checkpointed";
/// A process that has been open for so long is listed by name.
const YOUNG: Duration = Duration::from_secs(30);
/// Names in one checkpoint, so that it stays below an event's limit of one MiB; more hold the
/// position back.
const MOST_NAMES: usize = 20_000;

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// Everything up to here is routed.
    #[serde(with = "as_text")]
    pub(crate) position: Position,
    /// Processes that were started before and are still open.
    pub(crate) open: Vec<ProcessId>,
}

mod as_text {
    use journal::Position;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(position: &Position, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(position)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Position, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The open processes, and how far the log is routed.
#[derive(Debug)]
pub(crate) struct Register {
    entries: Mutex<Entries>,
    report: watch::Sender<Status>,
}

#[derive(Debug)]
struct Entries {
    routed: Position,
    open: HashMap<ProcessId, Entry>,
    caught_up: bool,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Routing again from here meets the process again.
    before: Position,
    since: Instant,
    /// Whether its stream says what it is to do. Until then only the event does that it begins with.
    begun: bool,
}

impl Register {
    pub(crate) fn new(routed: Position, report: watch::Sender<Status>) -> Self {
        let entries = Entries { routed, open: HashMap::new(), caught_up: false };
        Self { entries: Mutex::new(entries), report }
    }

    /// Notes an open process, unless it was noted before.
    pub(crate) fn open(&self, process: ProcessId, before: Position) {
        let entry = Entry { before, since: Instant::now(), begun: false };
        self.entries().open.entry(process).or_insert(entry);
    }

    /// Notes that a process has begun, so that its stream alone is enough to go on.
    pub(crate) fn begun(&self, process: ProcessId) {
        if let Some(entry) = self.entries().open.get_mut(&process) {
            entry.begun = true;
        }
    }

    pub(crate) fn close(&self, process: ProcessId) {
        self.entries().open.remove(&process);
        self.publish();
    }

    /// Everything that was in the log at the start is routed.
    pub(crate) fn catch_up(&self) {
        self.entries().caught_up = true;
    }

    /// Tells whoever watches how far it is.
    pub(crate) fn publish(&self) {
        let entries = self.entries();
        let (position, open, caught_up) = (entries.routed, entries.open.len(), entries.caught_up);
        self.report.send_replace(Status { position, open, caught_up });
    }

    pub(crate) fn route_to(&self, position: Position) {
        self.entries().routed = position;
    }

    pub(crate) fn routed(&self) -> Position {
        self.entries().routed
    }

    pub(crate) fn len(&self) -> usize {
        self.entries().open.len()
    }

    /// What a restart needs, as of now.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        let entries = self.entries();
        let mut open: Vec<_> = entries.open.iter().collect();
        open.sort_by_key(|(_, entry)| entry.before);
        let can_be_named = |entry: &Entry| entry.begun && entry.since.elapsed() >= YOUNG;
        let old = open.iter().take_while(|(_, entry)| can_be_named(entry));
        let named = old.count().min(MOST_NAMES);
        let position = open.get(named).map_or(entries.routed, |(_, entry)| entry.before);
        let mut open: Vec<_> = open[..named].iter().map(|(process, _)| **process).collect();
        open.sort_unstable();
        Checkpoint { position, open }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream that checkpoints are kept in.
#[derive(Debug)]
pub(crate) struct CheckpointStream {
    journal: Journal,
    stream: StreamName,
    revision: Option<u64>,
    last: Option<Checkpoint>,
}

impl CheckpointStream {
    /// Opens the stream of `process` and reads the last checkpoint in it.
    pub(crate) async fn open(journal: Journal, process: &str) -> Result<Self, Error> {
        let stream = StreamName::new("process_manager", process);
        let mut checkpoints = Self { journal, stream, revision: None, last: None };
        checkpoints.read().await?;
        Ok(checkpoints)
    }

    /// The last checkpoint.
    pub(crate) fn last(&self) -> Option<&Checkpoint> {
        self.last.as_ref()
    }

    async fn read(&mut self) -> Result<(), Error> {
        let Some(recorded) = self.journal.read_last(&self.stream, 1).await?.pop() else {
            return Ok(());
        };
        self.revision = Some(recorded.revision);
        // One that cannot be read counts as none: everything is routed again, which is harmless.
        self.last = serde_json::from_slice(&recorded.data).ok();
        Ok(())
    }

    /// Appends `checkpoint` unless it says what the last one said.
    pub(crate) async fn save(&mut self, checkpoint: Checkpoint) -> Result<(), Error> {
        if self.last.as_ref() == Some(&checkpoint) {
            return Ok(());
        }
        let expected = self.revision.map_or(ExpectedRevision::NoStream, ExpectedRevision::Exact);
        let proposed = self.propose(&checkpoint);
        match self.journal.append(&self.stream, expected, vec![proposed]).await {
            Ok(appended) => {
                self.revision = Some(appended.revision);
                self.last = Some(checkpoint);
                Ok(())
            }
            // Another instance keeps checkpoints as well. Each is true for both; go on after it.
            Err(Error::Conflict { .. }) => self.read().await,
            Err(error) => Err(error),
        }
    }

    fn propose(&self, checkpoint: &Checkpoint) -> Proposed {
        let event_id = ids::new_id();
        let correlation_id: Uuid = derive_uuid(&["process-manager", self.stream.as_str()]);
        let data = serde_json::to_vec(checkpoint).unwrap_or_default().into();
        Proposed {
            event_id,
            encoded: Encoded { event_type: EVENT_TYPE, version: 1, data },
            metadata: Metadata {
                command_id: event_id,
                correlation_id,
                causation_id: event_id,
                actor: "process:fulfilment".to_owned(),
                schema_version: 1,
                recorded_at: self.journal.clock().now(),
                traceparent: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(number: u128) -> ProcessId {
        ProcessId(Uuid::from_u128(number))
    }

    fn at(commit: u64) -> Position {
        Position { commit, prepare: commit }
    }

    fn open(register: &Register, number: u128, before: u64) {
        register.open(process(number), at(before));
        register.begun(process(number));
    }

    #[tokio::test(start_paused = true)]
    async fn young_processes_hold_the_position_back_and_old_ones_are_named() {
        let register = Register::new(Position::START, watch::Sender::default());
        open(&register, 1, 10);
        tokio::time::advance(YOUNG).await;
        open(&register, 2, 20);
        register.route_to(at(30));
        assert_eq!(register.checkpoint(), Checkpoint { position: at(20), open: vec![process(1)] });

        register.close(process(2));
        assert_eq!(register.checkpoint(), Checkpoint { position: at(30), open: vec![process(1)] });
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_has_not_begun_is_never_named() {
        let register = Register::new(Position::START, watch::Sender::default());
        register.open(process(1), at(10));
        tokio::time::advance(YOUNG).await;
        register.route_to(at(30));
        assert_eq!(register.checkpoint(), Checkpoint { position: at(10), open: vec![] });

        register.begun(process(1));
        assert_eq!(register.checkpoint(), Checkpoint { position: at(30), open: vec![process(1)] });
    }

    #[tokio::test(start_paused = true)]
    async fn more_processes_than_can_be_named_hold_the_position_back() {
        let register = Register::new(Position::START, watch::Sender::default());
        let count = u64::try_from(MOST_NAMES).unwrap() + 1;
        for number in 0..count {
            open(&register, number.into(), number);
        }
        tokio::time::advance(YOUNG).await;
        register.route_to(at(count));
        let checkpoint = register.checkpoint();
        assert_eq!(checkpoint.open.len(), MOST_NAMES);
        assert_eq!(checkpoint.position, at(count - 1));
    }
}
