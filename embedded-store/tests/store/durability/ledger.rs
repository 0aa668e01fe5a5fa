//! What was sent to a store, what it answered, and whether what is there fits: everything answered
//! is there, everything else is there whole or not at all, nothing is there twice, and every event
//! says what was written.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use embedded_store::maintenance::Depth;
use eventstore::{
    AppendToStreamOptions, Client, DeleteStreamOptions, EventData, ExpectedRevision, Position,
    ReadAllOptions, ReadStreamOptions, RecordedEvent, StreamPosition, TombstoneStreamOptions,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use uuid::Uuid;

use crate::harness::{read, read_all};

/// How long a call may take on a machine under load; nothing is measured.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request, for as long as it matters.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) stream: String,
    pub(super) step: Step,
    /// What the caller knew when it was answered, see [`Clock`]; `None` if nobody can say what
    /// became of it.
    pub(super) answered: Option<u64>,
    /// The stream's newest revision by the answer, or by what was found in the log.
    revision: Option<u64>,
    /// Whether it was found in the log before, so that it must not be there again.
    found: bool,
    /// Whether it was ever handed to a server.
    tried: bool,
    /// Whether the one answer it got says that it was not written.
    refused: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Append { ids: Vec<Uuid>, expected: ExpectedRevision },
    Delete,
    Tombstone,
}

impl Sent {
    fn new(stream: String, step: Step) -> Self {
        let (found, tried, refused) = (false, false, false);
        Self { stream, step, answered: None, revision: None, found, tried, refused }
    }

    /// The newest revision of its stream that it is known to have led to.
    pub(super) fn revision(&self) -> Option<u64> {
        self.revision
    }

    /// Whether it has to be sent again.
    pub(super) fn is_doubtful(&self) -> bool {
        self.answered.is_none() && !self.stream.starts_with("doomed")
    }

    /// Whether a writer of this manner sent it.
    fn is_of(&self, manner: Manner) -> bool {
        match manner {
            Manner::Shared => self.stream.starts_with("shared"),
            Manner::Own(number, _) => self.stream == format!("own-{number}"),
            Manner::Large => self.stream == "large",
            Manner::Doomed => false,
        }
    }

    pub(super) fn forget_where_it_was_found(&mut self) {
        self.found = false;
    }
}

/// Tells how far the disk had come at the moment when an answer arrived.
pub(super) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Ids whose events are large.
fn ids_of_large(ids: &[Uuid]) -> Vec<Uuid> {
    ids.iter().map(|id| Uuid::from_u128(id.as_u128() | 1 << 64)).collect()
}

/// The refusal of a full disk: nothing was written.
pub(super) fn is_disk_full(error: &eventstore::Error) -> bool {
    let code = tonic::Code::ResourceExhausted;
    matches!(error, eventstore::Error::Grpc { code: found, .. } if *found == code)
}

/// What an event with this id says: of very different sizes, and no two alike.
pub(super) fn content(id: Uuid) -> Bytes {
    let (class, number) = id.as_u64_pair();
    let mut random = StdRng::seed_from_u64(number);
    let size = match random.random_range(0..16) {
        _ if class > 0 => random.random_range(30_000..70_000),
        0 => random.random_range(3_000..9_000),
        1..4 => 0,
        _ => random.random_range(1..500),
    };
    let mut piece = [0; 96];
    random.fill(&mut piece[..]);
    piece.repeat(size / piece.len() + 1)[..size].to_vec().into()
}

pub(super) fn event_with(id: Uuid) -> EventData {
    let note = Bytes::copy_from_slice(id.as_bytes());
    EventData::binary("Happened", content(id)).id(id).metadata(note)
}

/// Fails unless the event is, byte for byte, what was written under its id.
pub(super) fn check_content(event: &RecordedEvent) {
    assert_eq!(event.event_type, "Happened", "another type: {}", event.id);
    assert!(event.data == content(event.id), "another content: {}", event.id);
    assert_eq!(&event.custom_metadata[..], event.id.as_bytes(), "other metadata: {}", event.id);
}

/// Ids that were given out, for all writers of a test.
#[derive(Debug, Clone, Default)]
pub(super) struct Ids(Arc<AtomicU64>);

impl Ids {
    pub(super) fn next(&self, count: usize) -> Vec<Uuid> {
        let first = self.0.fetch_add(count as u64, Ordering::Relaxed) + 1;
        (first..).take(count).map(|id| Uuid::from_u128(id.into())).collect()
    }
}

/// How one writer writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// To streams that others write to as well.
    Shared,
    /// To a stream of its own, always with the exact revision. The number of the stream and its
    /// newest revision.
    Own(u32, Option<u64>),
    /// To streams that are deleted or ended again.
    Doomed,
    /// Many large events at a time, to a stream of their own.
    Large,
}

pub(super) struct Writer {
    pub(super) client: Client,
    pub(super) manner: Manner,
    pub(super) random: StdRng,
    pub(super) ids: Ids,
    pub(super) clock: Clock,
    /// How many requests of all writers were answered.
    pub(super) answered: watch::Sender<u64>,
    /// What an earlier writer of this manner left in doubt: it is sent again first.
    pub(super) doubtful: Vec<Sent>,
    /// Requests at most.
    pub(super) requests: usize,
}

impl Writer {
    /// Writes until a request fails or enough were sent. Everything that was sent.
    pub(super) async fn run(mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        for mut doubtful in std::mem::take(&mut self.doubtful) {
            doubtful.refused = false;
            let answered = self.send(&mut doubtful).await;
            if let (Manner::Own(_, last), Some(revision)) = (&mut self.manner, doubtful.revision) {
                *last = Some(revision);
            }
            sent.push(doubtful);
            if !answered {
                return sent;
            }
        }
        while sent.len() < self.requests {
            for (stream, step) in self.next() {
                let mut request = Sent::new(stream, step);
                let answered = self.send(&mut request).await;
                if let (Manner::Own(_, last), Some(revision)) = (&mut self.manner, request.revision)
                {
                    *last = Some(revision);
                }
                sent.push(request);
                if !answered {
                    return sent;
                }
            }
        }
        sent
    }

    fn next(&mut self) -> Vec<(String, Step)> {
        let several = self.random.random_bool(0.3);
        let count = if several { self.random.random_range(2..6) } else { 1 };
        let ids = self.ids.next(count);
        match self.manner {
            Manner::Shared => {
                let stream = format!("shared-{}", self.random.random_range(0..3));
                vec![(stream, Step::Append { ids, expected: ExpectedRevision::Any })]
            }
            Manner::Own(number, last) => {
                let expected = last.map_or(ExpectedRevision::NoStream, ExpectedRevision::Exact);
                vec![(format!("own-{number}"), Step::Append { ids, expected })]
            }
            Manner::Large => {
                let ids = ids_of_large(&self.ids.next(12));
                let expected = ExpectedRevision::Any;
                vec![("large".to_owned(), Step::Append { ids, expected })]
            }
            Manner::Doomed => {
                let stream = format!("doomed-{}", ids[0].as_u128());
                let append = |ids| Step::Append { ids, expected: ExpectedRevision::Any };
                let mut steps = vec![(stream.clone(), append(ids))];
                if self.random.random_bool(0.3) {
                    steps.push((stream, Step::Tombstone));
                } else {
                    steps.push((stream.clone(), Step::Delete));
                    steps.push((stream, append(self.ids.next(2))));
                }
                steps
            }
        }
    }

    /// Whether it was answered.
    async fn send(&self, sent: &mut Sent) -> bool {
        let (known, first) = (sent.revision, !std::mem::replace(&mut sent.tried, true));
        match self.call(sent).await {
            Ok(revision) => {
                assert!(known.is_none() || known == revision, "another answer for {sent:?}");
                sent.revision = revision;
                sent.answered = Some((self.clock)());
                self.answered.send_modify(|answered| *answered += 1);
                true
            }
            Err(eventstore::Error::WrongExpectedVersion { .. }) => {
                panic!("a wrong revision for {sent:?}")
            }
            Err(error) => {
                sent.refused = first && is_disk_full(&error);
                false
            }
        }
    }

    /// The revision that was answered, if there is one. The official client sometimes never comes
    /// back from a call whose connection is cut at the wrong moment: that call is in doubt, too.
    async fn call(&self, sent: &Sent) -> eventstore::Result<Option<u64>> {
        let (client, stream) = (&self.client, &*sent.stream);
        let call = async {
            match &sent.step {
                Step::Append { ids, expected } => {
                    let events: Vec<_> = ids.iter().map(|id| event_with(*id)).collect();
                    let options = AppendToStreamOptions::default().expected_revision(*expected);
                    let answer = client.append_to_stream(stream, &options, events).await;
                    answer.map(|answer| Some(answer.next_expected_version))
                }
                Step::Delete => {
                    let options = DeleteStreamOptions::default();
                    client.delete_stream(stream, &options).await.map(|_| None)
                }
                Step::Tombstone => {
                    let options = TombstoneStreamOptions::default();
                    client.tombstone_stream(stream, &options).await.map(|_| None)
                }
            }
        };
        let called = tokio::time::timeout(PATIENCE, call).await;
        called.unwrap_or(Err(eventstore::Error::DeadlineExceeded))
    }
}

/// Hands out what is to be sent again, to writers of the manner it was sent in, to each once.
pub(super) fn share_out(doubtful: Vec<Sent>, manners: &[Manner]) -> Vec<Vec<Sent>> {
    let mut shares = vec![Vec::new(); manners.len()];
    for (number, sent) in doubtful.into_iter().enumerate() {
        let takers: Vec<_> =
            (0..manners.len()).filter(|taker| sent.is_of(manners[*taker])).collect();
        shares[takers[number % takers.len()]].push(sent);
    }
    shares
}

/// What is known to be in the log. Streams that are to be deleted are not remembered.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    streams: HashMap<String, Vec<Uuid>>,
    position: Option<Position>,
}

impl Ledger {
    pub(super) fn last_revision(&self, stream: &str) -> Option<u64> {
        Some(self.streams.get(stream)?.len() as u64 - 1)
    }

    /// Reads what is new in the log and compares it with what was sent since. Only what was
    /// answered by `moment` counts as answered.
    pub(super) async fn check_new(&mut self, client: &Client, sent: &mut [Sent], moment: u64) {
        let from = self.position.map_or(StreamPosition::Start, StreamPosition::Position);
        let mut log = read_all(client, &ReadAllOptions::default().position(from)).await;
        if self.position.is_some() && log.first().map(|event| event.position) == self.position {
            log.remove(0);
        }
        self.compare(&log, sent, moment);
    }

    pub(super) fn compare(&mut self, log: &[RecordedEvent], sent: &mut [Sent], moment: u64) {
        let mut wanted: HashMap<Uuid, usize> = HashMap::new();
        for (number, sent) in sent.iter().enumerate() {
            if let Step::Append { ids, .. } = &sent.step {
                wanted.extend(ids.iter().map(|id| (*id, number)));
            }
        }
        let mut found: HashMap<usize, Vec<(Uuid, u64)>> = HashMap::new();
        for event in log {
            assert!(self.position < Some(event.position), "out of order: {event:?}");
            self.position = Some(event.position);
            if event.stream_id.starts_with('$') || event.event_type.starts_with('$') {
                continue;
            }
            check_content(event);
            let number = wanted.get(&event.id);
            let number = number.unwrap_or_else(|| panic!("there twice or never sent: {event:?}"));
            assert_eq!(event.stream_id, sent[*number].stream, "in another stream");
            found.entry(*number).or_default().push((event.id, event.revision));
            if !event.stream_id.starts_with("doomed") {
                let stream = self.streams.entry(event.stream_id.clone()).or_default();
                assert_eq!(event.revision, stream.len() as u64, "a gap in {}", event.stream_id);
                stream.push(event.id);
            }
        }
        for (number, sent) in sent.iter_mut().enumerate() {
            let found = found.remove(&number).unwrap_or_default();
            if !sent.stream.starts_with("doomed") {
                compare_append(sent, &found, moment);
            }
        }
        compare_doomed(log, sent, moment);
    }

    /// Reads everything and compares it with what is known, by the log and by stream.
    pub(super) async fn check_all(&self, client: &Client) {
        let all = ReadAllOptions::default().position(StreamPosition::Start);
        let log = read_all(client, &all).await;
        assert!(log.windows(2).all(|pair| pair[0].position < pair[1].position));
        let mut streams: HashMap<String, Vec<Uuid>> = HashMap::new();
        for event in &log {
            if event.event_type.starts_with('$') {
                continue;
            }
            check_content(event);
            if !event.stream_id.starts_with("doomed") {
                streams.entry(event.stream_id.clone()).or_default().push(event.id);
            }
        }
        assert!(streams == self.streams, "the log is not what it was");
        for (stream, ids) in &self.streams {
            let events = read(client, stream, &ReadStreamOptions::default()).await.unwrap();
            events.iter().for_each(check_content);
            let revisions = events.iter().map(|event| event.revision);
            assert!(revisions.eq(0..ids.len() as u64), "a gap in {stream}");
            let read: Vec<_> = events.iter().map(|event| event.id).collect();
            assert!(&read == ids, "index and log differ in {stream}");
        }
    }
}

/// Looks through everything in the files, destroyed events and all checksums included.
pub(super) fn verify(directory: &Path) {
    let found = embedded_store::maintenance::verify(directory, Depth::Full, &mut |_| {}).unwrap();
    assert!(found.problems.is_empty(), "{:?}", found.problems);
}

/// An append is there whole or not at all, once, and where its answer says.
fn compare_append(sent: &mut Sent, found: &[(Uuid, u64)], moment: u64) {
    let Step::Append { ids, .. } = &sent.step else { return };
    if found.is_empty() {
        let answered = sent.answered.is_some_and(|at| at <= moment);
        assert!(sent.found || !answered, "lost: {sent:?}");
        return;
    }
    assert!(!sent.refused, "there although it was refused: {sent:?}");
    assert!(!sent.found, "there twice: {sent:?}");
    assert!(found.iter().map(|(id, _)| id).eq(ids), "there in part: {found:?} of {sent:?}");
    assert!(found.windows(2).all(|pair| pair[0].1 + 1 == pair[1].1), "not in a row: {sent:?}");
    let last = found.last().map(|(_, revision)| *revision);
    assert!(sent.revision.is_none() || sent.revision == last, "elsewhere: {found:?} of {sent:?}");
    sent.found = true;
    sent.revision = last;
}

/// A stream that was written to, deleted or ended, and perhaps written to again, is as after one of
/// these steps: after the last one that was answered, or after one more.
fn compare_doomed(log: &[RecordedEvent], sent: &[Sent], moment: u64) {
    let mut streams: HashMap<&str, Vec<&Sent>> = HashMap::new();
    for sent in sent.iter().filter(|sent| sent.stream.starts_with("doomed")) {
        streams.entry(&sent.stream).or_default().push(sent);
    }
    let mut found: HashMap<&str, Vec<&RecordedEvent>> = HashMap::new();
    for event in log {
        let stream = event.stream_id.strip_prefix("$$").unwrap_or(&event.stream_id);
        found.entry(stream).or_default().push(event);
    }
    for (stream, steps) in streams {
        let answered =
            steps.iter().take_while(|step| step.answered.is_some_and(|at| at <= moment)).count();
        let found = found.remove(stream).unwrap_or_default();
        let mut found: Vec<String> = found.into_iter().map(shape).collect();
        found.sort_unstable();
        let possible: Vec<_> =
            (answered..=steps.len().min(answered + 1)).map(|done| shapes(&steps[..done])).collect();
        // A recording tells of later steps as well: what is not answered by a moment may still be
        // there.
        let later: Vec<_> = (answered..=steps.len()).map(|done| shapes(&steps[..done])).collect();
        let possible = if moment == u64::MAX { possible } else { later };
        assert!(possible.contains(&found), "{stream} has {found:?}, possible is {possible:?}");
    }
}

/// What of an event matters in a doomed stream.
fn shape(event: &RecordedEvent) -> String {
    if event.stream_id.starts_with("$$") {
        let truncated = event.data.windows(19).any(|part| part == b"9223372036854775807");
        return if truncated { "deleted" } else { "revived" }.to_owned();
    }
    if event.event_type.starts_with('$') { "ended".to_owned() } else { event.id.to_string() }
}

fn shapes(steps: &[&Sent]) -> Vec<String> {
    let (mut shapes, mut newest) = (Vec::new(), None);
    for step in steps {
        match &step.step {
            Step::Append { ids, .. } => {
                if !shapes.is_empty() {
                    shapes.push("revived".to_owned());
                }
                shapes.extend(ids.iter().map(Uuid::to_string));
                newest = shapes.last().cloned();
            }
            // The newest event of a deleted stream stays, the others are destroyed.
            Step::Delete => {
                shapes = newest.iter().cloned().collect();
                shapes.push("deleted".to_owned());
            }
            Step::Tombstone => shapes = vec!["ended".to_owned()],
        }
    }
    // In which order the records of one commit lie is not asked.
    shapes.sort_unstable();
    shapes
}
