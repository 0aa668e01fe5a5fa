//! Where events go. Everything is sent over one call, in order and without waiting for each answer;
//! the target writes it in that order. Every append names the revision that it expects, so a repeated
//! one is recognised and one that does not fit is refused. What was there before is in [`Present`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use embedded_store::maintenance::Record;
use eventstore::{
    AppendToStreamOptions, BatchAppendClient, BatchAppendOptions, BatchWriteResult, Client, Error,
    EventData, ExpectedRevision, ReadStreamOptions, RecordedEvent, StreamPosition,
    TombstoneStreamOptions,
};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::present::Present;

/// Events in one append at most.
const RUN_EVENTS: usize = 500;

/// Bytes after which an append takes no further event. Servers refuse more than a mebibyte.
const RUN_BYTES: usize = 256 * 1024;

/// Events that are sent without an answer at most, and their bytes.
const UNANSWERED_EVENTS: usize = 10_000;
const UNANSWERED_BYTES: usize = 16 * 1024 * 1024;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Metadata and tombstones under way at the same time.
const AT_ONCE: usize = 32;

/// How often metadata are written that do not stay the newest.
const ATTEMPTS: u32 = 3;

/// Event type of what stands where events are gone.
const REMOVED: &str = "$removed";

/// Events of one stream, one after the other, that are appended together.
#[derive(Debug, Clone)]
pub(super) struct Run {
    stream: String,
    first: u64,
    events: Vec<Record>,
    bytes: usize,
}

impl Run {
    pub(super) fn begin(record: Record) -> Self {
        let (stream, first) = (record.stream.clone(), record.revision);
        let mut run = Self { stream, first, events: Vec::new(), bytes: 0 };
        run.push(record);
        run
    }

    pub(super) fn takes(&self, record: &Record) -> bool {
        record.stream == self.stream
            && record.revision == self.first + self.events.len() as u64
            && self.events.len() < RUN_EVENTS
            && self.bytes + size(record) <= RUN_BYTES
    }

    pub(super) fn push(&mut self, record: Record) {
        self.bytes += size(&record);
        self.events.push(record);
    }

    fn expected(&self) -> ExpectedRevision {
        match self.first.checked_sub(1) {
            Some(before) => ExpectedRevision::Exact(before),
            None => ExpectedRevision::NoStream,
        }
    }

    fn proposed(&self) -> Vec<EventData> {
        self.events.iter().map(|event| proposed(event).0).collect()
    }
}

fn size(record: &Record) -> usize {
    record.kind.len() + record.metadata.len() + record.data.len()
}

/// The event, and whether it is marked as JSON. The client takes as JSON only what it can parse, and
/// drops blanks around it; the bytes matter more than the mark.
fn proposed(record: &Record) -> (EventData, bool) {
    let json = std::str::from_utf8(&record.data)
        .ok()
        .filter(|_| record.is_json)
        .and_then(|text| Some((text, serde_json::from_str::<&RawValue>(text).ok()?)))
        .filter(|(text, json)| json.get() == *text)
        .and_then(|(_, json)| EventData::json(&record.kind, &json).ok());
    let marked = json.is_some();
    let event = json
        .unwrap_or_else(|| EventData::binary(&record.kind, record.data.clone().into()))
        .id(record.id);
    let event = if record.metadata.is_empty() {
        event
    } else {
        event.metadata(record.metadata.clone().into())
    };
    (event, marked)
}

type Answer = BoxFuture<'static, eventstore::Result<BatchWriteResult>>;

pub(super) struct Target {
    client: Client,
    batch: Arc<BatchAppendClient>,
    unanswered: VecDeque<(Run, Answer)>,
    events: usize,
    bytes: usize,
    pub(super) present: Present,
    /// Events that could not be marked as JSON.
    pub(super) unmarked: u64,
}

impl Target {
    pub(super) async fn connect(client: Client, bar: &ProgressBar) -> anyhow::Result<Self> {
        let batch = client.batch_append(&BatchAppendOptions::default()).await;
        let batch = Arc::new(batch.context("the target cannot be reached")?);
        let present = Present::read(&client, bar).await.context("the target cannot be read")?;
        Ok(Self {
            client,
            batch,
            unanswered: VecDeque::new(),
            events: 0,
            bytes: 0,
            present,
            unmarked: 0,
        })
    }

    /// Sends a run after those before.
    pub(super) async fn send(&mut self, run: Run) -> anyhow::Result<()> {
        if self.present.ended.contains(&run.stream) {
            return Ok(());
        }
        while self.events >= UNANSWERED_EVENTS || self.bytes >= UNANSWERED_BYTES {
            self.settle_one().await?;
        }
        let unmarked = run.events.iter().filter(|event| event.is_json && !proposed(event).1);
        self.unmarked += unmarked.count() as u64;
        self.push(run).await;
        Ok(())
    }

    async fn push(&mut self, run: Run) {
        let (batch, stream) = (Arc::clone(&self.batch), run.stream.clone());
        let (expected, events) = (run.expected(), run.proposed());
        let mut answer =
            async move { batch.append_to_stream(stream, expected, events).await }.boxed();
        // The first poll hands it to the connection: here, so that the order is kept.
        let answer = match futures::poll!(&mut answer) {
            std::task::Poll::Ready(answered) => futures::future::ready(answered).boxed(),
            std::task::Poll::Pending => answer,
        };
        self.events += run.events.len();
        self.bytes += run.bytes;
        self.unanswered.push_back((run, answer));
    }

    /// Waits for all answers.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        while !self.unanswered.is_empty() {
            self.settle_one().await?;
        }
        Ok(())
    }

    async fn settle_one(&mut self) -> anyhow::Result<()> {
        let Some((run, answer)) = self.unanswered.pop_front() else { return Ok(()) };
        self.events -= run.events.len();
        self.bytes -= run.bytes;
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let answer = answer.context("the target does not answer; repeat the copy to go on")?;
        if answer.is_ok() {
            return Ok(());
        }
        // A refused append ends the call for all. Alone it says why.
        let rest: Vec<_> = self.unanswered.drain(..).map(|(run, _)| run).collect();
        (self.events, self.bytes) = (0, 0);
        self.append(run).await?;
        self.batch = Arc::new(self.client.batch_append(&BatchAppendOptions::default()).await?);
        for run in rest {
            if !self.present.ended.contains(&run.stream) {
                self.push(run).await;
            }
        }
        Ok(())
    }

    async fn append(&mut self, run: Run) -> anyhow::Result<()> {
        let options = AppendToStreamOptions::default().expected_revision(run.expected());
        match self.client.append_to_stream(&*run.stream, &options, run.proposed()).await {
            Ok(_) => Ok(()),
            Err(Error::ResourceDeleted) => {
                self.present.ended.insert(run.stream);
                Ok(())
            }
            Err(Error::WrongExpectedVersion { current, .. }) => bail!(
                "stream '{}' of the target has something else at revision {} (it ends with {current}); \
                 nothing of it was changed",
                run.stream,
                run.first
            ),
            Err(error) => Err(error).context("the copy was interrupted; repeat it to go on"),
        }
    }

    /// Puts empty events where a stream begins later than at its beginning. How many.
    pub(super) async fn fill(&mut self, stream: &str, until: u64) -> anyhow::Result<u64> {
        let from = self.present.next(stream);
        if from >= until || self.present.ended.contains(stream) {
            return Ok(0);
        }
        for first in (from..until).step_by(RUN_EVENTS) {
            let revisions = first..until.min(first + RUN_EVENTS as u64);
            let mut fillers = revisions.map(|revision| filler(stream, revision));
            let Some(filler) = fillers.next() else { break };
            let mut run = Run::begin(filler);
            fillers.for_each(|filler| run.push(filler));
            self.send(run).await?;
        }
        Ok(until - from)
    }

    /// Writes each stream's metadata unless they are its newest already.
    pub(super) async fn metadata(&self, metadata: &BTreeMap<String, Record>) -> anyhow::Result<()> {
        let each = |record| self.metadata_of(record);
        stream::iter(metadata.values()).map(each).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// The target may write metadata of its own after them, when they make a deleted stream visible;
    /// and somebody else may.
    async fn metadata_of(&self, record: &Record) -> anyhow::Result<()> {
        for _ in 0..ATTEMPTS {
            let newest = self.newest(&record.stream).await?;
            if newest.as_ref().is_some_and(|event| event.data == record.data) {
                return Ok(());
            }
            let newest = newest.map(|event| event.revision);
            let event = proposed(record).0.id(self.metadata_id(record, newest));
            let expected = newest.map_or(ExpectedRevision::NoStream, ExpectedRevision::Exact);
            let options = AppendToStreamOptions::default().expected_revision(expected);
            match self.client.append_to_stream(&*record.stream, &options, event).await {
                Ok(_) | Err(Error::WrongExpectedVersion { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Their own id; another one where that is in the target already and something else came after.
    fn metadata_id(&self, record: &Record, newest: Option<u64>) -> Uuid {
        match newest {
            Some(newest) if self.present.knows_metadata(record.id) => {
                Uuid::new_v5(&record.id, &newest.to_be_bytes())
            }
            Some(_) | None => record.id,
        }
    }

    async fn newest(&self, stream: &str) -> anyhow::Result<Option<RecordedEvent>> {
        let newest =
            ReadStreamOptions::default().backwards().position(StreamPosition::End).max_count(1);
        let read = async {
            let mut events = self.client.read_stream(stream, &newest).await?;
            events.next().await
        };
        match read.await {
            Ok(event) => Ok(event.and_then(|event| event.event)),
            Err(Error::ResourceNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends streams for ever.
    pub(super) async fn tombstones(&self, streams: &BTreeSet<String>) -> anyhow::Result<()> {
        let each = |name: &String| self.tombstone(name.clone());
        let streams = streams.iter().filter(|stream| !self.present.ended.contains(*stream));
        stream::iter(streams).map(each).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn tombstone(&self, stream: String) -> anyhow::Result<()> {
        let options = TombstoneStreamOptions::default().expected_revision(ExpectedRevision::Any);
        match self.client.tombstone_stream(stream, &options).await {
            Ok(_) | Err(Error::ResourceDeleted) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The same whenever it is asked for.
fn filler(stream: &str, revision: u64) -> Record {
    let name = format!("{stream}@{revision}");
    Record {
        position: 0,
        stream: stream.to_owned(),
        revision,
        id: Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()),
        kind: REMOVED.to_owned(),
        is_json: false,
        created: 0,
        metadata: Vec::new(),
        data: Vec::new(),
    }
}
