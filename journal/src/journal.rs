//! The journal: appending to streams, reading and deleting them. Every call is bounded.
//!
//! What is decided before an append is not here (`repository`), nor how the client is kept alive
//! (`gateway`).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use eventstore::{
    AppendToStreamOptions, DeleteStreamOptions, EventData, ReadAllOptions, StreamPosition,
};
use futures::FutureExt as _;
use futures::stream::{self, BoxStream, StreamExt};
use schemas::StreamName;

use crate::gateway::{Asked, Effort, Gateway};
use crate::open_call::{self, Answer, OpenCalls, Why};
use crate::reader::{Reader, Source};
use crate::snapshots::Snapshots;
use crate::{
    Appended, Clock, Error, ExpectedRevision, Filter, Options, Position, Proposed, Raw, Recorded,
    Scan, Subscription, prepare_tls, wire,
};

/// Events in order, read as they are asked for. Ends at what was the last event while reading, or
/// after the first error.
pub type EventStream = BoxStream<'static, Result<Recorded, Error>>;

/// The event store, as everybody else sees it. Clones share one connection.
#[derive(Clone, Debug)]
pub struct Journal {
    options: Options,
    gateway: Arc<Gateway>,
    /// Small appends go over a call that stays open.
    open_calls: Arc<OpenCalls>,
    /// A connection of their own for subscriptions, from the first one on: what is on its way to
    /// a slow one must not be in the way of answers to calls.
    following: Arc<OnceLock<Arc<Gateway>>>,
    /// And one for scans: they fill theirs to the brim.
    scanning: Arc<OnceLock<Arc<Gateway>>>,
    snapshots: Option<Arc<Snapshots>>,
    clock: Arc<dyn Clock>,
}

impl Journal {
    /// A journal in the store that `options` name.
    ///
    /// Returns at once; the store need not be up. Must be called inside a Tokio runtime, which
    /// then keeps the connection alive.
    ///
    /// # Errors
    /// [`Error::BadAddress`]. [`Error::SnapshotFolder`]. [`Error::Tls`], see [`prepare_tls`].
    pub fn connect(options: Options, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        prepare_tls()?;
        let gateway = Arc::new(open(&options)?);
        let folder = options.snapshot_dir.as_deref();
        let snapshots = folder.map(Snapshots::open).transpose()?.map(Arc::new);
        let (following, scanning) = (Arc::default(), Arc::default());
        let open_calls = Arc::new(OpenCalls::new(options.refused_calls_end));
        Ok(Self { options, gateway, open_calls, following, scanning, snapshots, clock })
    }

    /// Where states of long streams are kept, if anywhere.
    pub(crate) fn snapshots(&self) -> Option<&Arc<Snapshots>> {
        self.snapshots.as_ref()
    }

    /// The clock this journal was connected with.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// How long any one call may take.
    pub fn deadline(&self) -> Duration {
        self.gateway.deadline()
    }

    /// How many events that are not ours subscriptions, [`read_all`](Self::read_all) and
    /// [`recorded`](Self::recorded) have left out so far. Not counted: what the store itself writes.
    pub fn skipped_events(&self) -> u64 {
        self.gateway.skipped() + self.following.get().map_or(0, |following| following.skipped())
    }

    /// Appends `events` to `stream`, all or none, if the stream is as `expected`.
    ///
    /// When the answer gets lost the append is repeated within the deadline: the store recognises the same event ids at the same revision, so it happens once.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the stream is not as expected. [`Error::Unavailable`] with
    /// `in_doubt` when it is unknown whether the events were appended. [`Error::Refused`] when
    /// there is nothing to append.
    pub async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: Vec<Proposed>,
    ) -> Result<Appended, Error> {
        if events.is_empty() {
            return Err(Error::Refused { reason: "an append without events".to_owned() });
        }
        let data = events.iter().map(wire::proposed).collect::<Result<Vec<EventData>, Error>>()?;
        let mut effort = self.gateway.effort();
        let is_small =
            events.len() <= open_call::MOST_EVENTS && size_of(&events) <= open_call::MOST_BYTES;
        if is_small
            && let Some(appended) =
                self.append_together(&mut effort, stream, expected, &data).await?
        {
            return Ok(appended);
        }
        loop {
            let checked = effort.client().await?;
            let options = AppendToStreamOptions::default()
                .expected_revision(wire::expected(expected))
                .deadline(effort.share());
            let appending =
                checked.client.append_to_stream(stream.as_str(), &options, data.clone());
            // The client's futures are very large; boxed, they do not make ours so.
            let appending = Box::pin(appending);
            match effort.ask(checked.check, appending).await? {
                Asked::Answer(written) => {
                    let position = wire::position(written.position);
                    return Ok(Appended { revision: written.next_expected_version, position });
                }
                Asked::No(error) => return Err(self.not_appended(stream, expected, &events, error)),
                Asked::Again => {}
            }
        }
    }

    /// Appends over the call that is open for many. `None` says nothing about whether it happened.
    async fn append_together(
        &self,
        effort: &mut Effort<'_>,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: &[EventData],
    ) -> Result<Option<Appended>, Error> {
        let checked = effort.client().await?;
        if effort.share() < open_call::LEAST_TIME {
            return Ok(None);
        }
        let Some(call) = self.open_calls.of(&checked) else { return Ok(None) };
        let appending = call.append(stream.as_str(), wire::expected(expected), events.to_vec());
        match effort.attempt(checked.check, appending).await {
            Some(Answer::Appended(appended)) => return Ok(Some(appended)),
            Some(Answer::Refused) => call.give_up(Why::Refused),
            Some(Answer::Ended) => {
                call.give_up(Why::Refused);
                tokio::time::sleep(open_call::BEFORE_REPEATING).await;
            }
            None => call.give_up(Why::Silent),
        }
        Ok(None)
    }

    /// Deletes `stream` if its last event is number `revision`: it reads as if it had never been,
    /// and the next append goes on with the next number. Deleting it again changes nothing.
    ///
    /// The embedded store destroys at once what the events said, `EventStoreDB` with a scavenge of a
    /// completed chunk. **Neither removes the last event**: what must go must not be the last.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the last event has another number. [`Error::Unavailable`] with
    /// `in_doubt` when it is unknown whether the stream was deleted.
    pub async fn delete_stream(&self, stream: &StreamName, revision: u64) -> Result<(), Error> {
        let expected = ExpectedRevision::Exact(revision);
        let mut effort = self.gateway.effort();
        loop {
            let checked = effort.client().await?;
            let options = DeleteStreamOptions::default()
                .expected_revision(wire::expected(expected))
                .deadline(effort.share());
            // The client's futures are very deep; behind a pointer, they do not make ours so.
            let deleting = checked.client.delete_stream(stream.as_str(), &options).boxed();
            match effort.ask(checked.check, deleting).await? {
                Asked::Answer(_position) => return Ok(()),
                Asked::No(error) => return Err(self.not_deleted(stream, expected, &error).await),
                Asked::Again => {}
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the client's errors, not ours")]
    async fn not_deleted(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        error: &eventstore::Error,
    ) -> Error {
        match error {
            eventstore::Error::ResourceDeleted => {
                Error::StreamDeleted { stream: stream.to_string() }
            }
            // The client does not understand this answer to a delete and passes it on as text.
            eventstore::Error::Grpc { message, .. } if message.contains("WrongExpectedVersion") => {
                let last = match self.read_last(stream, 1).await {
                    Ok(last) => last,
                    Err(error) => return error,
                };
                let actual = last.first().map(|event| event.revision);
                Error::Conflict { stream: stream.clone(), expected, actual }
            }
            other => self.gateway.refusal(other),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the client's errors, not ours")]
    fn not_appended(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: &[Proposed],
        error: eventstore::Error,
    ) -> Error {
        let stream = stream.clone();
        match error {
            eventstore::Error::WrongExpectedVersion { current, .. } => {
                Error::Conflict { stream, expected, actual: wire::actual(current) }
            }
            eventstore::Error::ResourceDeleted => {
                Error::StreamDeleted { stream: stream.to_string() }
            }
            eventstore::Error::Grpc { message, .. } if message.contains("Append Size") => {
                let bytes = size_of(events);
                Error::TooLarge { stream, events: events.len(), bytes }
            }
            other => self.gateway.refusal(&other),
        }
    }

    /// The events of `stream` from `from_revision` (inclusive) on; none if there is no such
    /// stream. Waiting for any one of them is bounded by the deadline.
    ///
    /// # Errors
    /// As the last item. [`Error::Foreign`] for an event that is not ours.
    pub fn read(&self, stream: &StreamName, from_revision: u64) -> EventStream {
        self.events(Source::Stream { stream: stream.clone(), from: from_revision })
    }

    /// The last `count` events of `stream`, oldest first; none if there is no such stream.
    pub async fn read_last(
        &self,
        stream: &StreamName,
        count: usize,
    ) -> Result<Vec<Recorded>, Error> {
        let source = Source::LastOf { stream: stream.clone(), from: None, left: count };
        let mut reader = Reader::new(Arc::clone(&self.gateway), source);
        let mut events = Vec::new();
        while let Some(event) = reader.next().await? {
            events.push(event);
        }
        events.reverse();
        Ok(events)
    }

    /// All of our events after `after` (exclusive; [`Position::START`] for everything), up to the
    /// last one. Events that are not ours are left out.
    ///
    /// # Errors
    /// As the last item.
    pub fn read_all(&self, after: Position) -> EventStream {
        self.events(Source::All { after })
    }

    fn events(&self, source: Source) -> EventStream {
        let reader = Reader::new(Arc::clone(&self.gateway), source);
        let next = async |reader: Option<Reader>| {
            let mut reader = reader?;
            match reader.next().await {
                Ok(Some(event)) => Some((Ok(event), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        };
        stream::unfold(Some(reader), next).boxed()
    }

    /// The position of the last event of the store, whoever wrote it; [`Position::START`] when
    /// there is none.
    pub async fn head(&self) -> Result<Position, Error> {
        head_by(&self.gateway, self.gateway.effort()).await
    }

    /// Everything that passes `filter` after `from` (exclusive), and then what happens, for ever.
    ///
    /// Dropping the subscription ends it.
    #[expect(clippy::needless_pass_by_value, reason = "made for this call, where it is called")]
    pub fn subscribe(&self, filter: Filter, from: Position) -> Subscription {
        Subscription::start(self.another(&self.following), &filter, from)
    }

    /// Everything that passes `filter` after `after` (exclusive) up to the end of the log, as it
    /// came. Nothing happens before the first batch is asked for.
    ///
    /// Dropping the scan ends it.
    pub fn scan(&self, filter: Filter, after: Position) -> Scan {
        Scan::new(self.another(&self.scanning), filter, after)
    }

    /// What [`read_all`](Self::read_all) would give for an event that was scanned: `None` for one
    /// that is not ours, which is counted.
    pub fn recorded(&self, event: Raw) -> Option<Recorded> {
        let recorded = event.understood();
        if let Err(other) = &recorded
            && !other.is_the_stores_own()
        {
            self.gateway.count_skipped(&other.stream, other.position, &other.reason);
        }
        recorded.ok()
    }

    /// The connection in `place`, made when it is first needed.
    fn another(&self, place: &OnceLock<Arc<Gateway>>) -> Arc<Gateway> {
        let gateway = place.get_or_init(|| match open(&self.options) {
            Ok(gateway) => Arc::new(gateway),
            // Not reachable: the address was understood when this journal was connected.
            Err(_) => Arc::clone(&self.gateway),
        });
        Arc::clone(gateway)
    }

    /// Asks the store for something cheap: an answer means that it can be worked with.
    pub async fn ready(&self) -> Result<(), Error> {
        self.head().await.map(|_| ())
    }

    /// Waits until the store can be worked with, for `limit` at most.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it could not be in time; other errors at once.
    pub async fn wait_ready(&self, limit: Duration) -> Result<(), Error> {
        head_by(&self.gateway, self.gateway.effort_within(limit)).await.map(|_| ())
    }
}

/// The position of the last event of the store.
pub(crate) async fn head_by(gateway: &Gateway, mut effort: Effort<'_>) -> Result<Position, Error> {
    let options = ReadAllOptions::default().position(StreamPosition::End).max_count(1);
    loop {
        let checked = effort.client().await?;
        let asking = Box::pin(async {
            let mut events = checked.client.read_all(&options).await?;
            events.next().await
        });
        match effort.ask(checked.check, asking).await? {
            Asked::Answer(Some(last)) => {
                return Ok(wire::position(last.get_original_event().position));
            }
            Asked::Answer(None) => return Ok(Position::START),
            Asked::No(error) => return Err(gateway.refusal(&error)),
            Asked::Again => {}
        }
    }
}

/// Bytes of data.
fn size_of(events: &[Proposed]) -> usize {
    events.iter().map(|event| event.encoded.data.len()).sum()
}

fn open(options: &Options) -> Result<Gateway, Error> {
    let Options { event_store, event_store_deadline, .. } = options;
    let settings = event_store.settings()?.clone();
    Ok(Gateway::open(settings, event_store.to_string(), *event_store_deadline))
}
