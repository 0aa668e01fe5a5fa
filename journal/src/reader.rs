//! Reading events in order, however long it takes and whatever happens to the connection.
//!
//! A reader remembers where it is, and reads page by page into memory. So whoever is slow to take
//! what was read keeps no answer of the store half read: on the one connection that all calls
//! share, unread answers use up what may be on its way, until nobody's answer gets through.

use std::collections::VecDeque;
use std::sync::Arc;

use eventstore::{
    Client, ReadAllOptions, ReadEvent, ReadStream, ReadStreamOptions, StreamPosition,
};
use schemas::StreamName;

use crate::gateway::{Asked, Checked, Gateway};
use crate::wire::{self, NotOurs};
use crate::{Error, Position, Recorded};

/// A page has so many events …
const PAGE: usize = 512;
/// … or ends after the event with which it reaches so many bytes.
const PAGE_BYTES: usize = 4 << 20;

/// What is read, and from where on.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// One stream, from a revision (inclusive) on.
    Stream { stream: StreamName, from: u64 },
    /// The last events of one stream, newest first.
    LastOf { stream: StreamName, from: Option<u64>, left: usize },
    /// Everything after a position.
    All { after: Position },
}

/// Reads one event after the other.
pub(crate) struct Reader {
    gateway: Arc<Gateway>,
    source: Source,
    /// Read, but not taken yet.
    page: VecDeque<Recorded>,
    /// What comes after that page.
    then: Then,
}

enum Then {
    More,
    Failure(Error),
    End,
}

impl Reader {
    pub(crate) fn new(gateway: Arc<Gateway>, source: Source) -> Self {
        Self { gateway, source, page: VecDeque::new(), then: Then::More }
    }

    /// The next event; `None` after the last one, and after an error.
    pub(crate) async fn next(&mut self) -> Result<Option<Recorded>, Error> {
        loop {
            if let Some(event) = self.page.pop_front() {
                return Ok(Some(event));
            }
            match std::mem::replace(&mut self.then, Then::End) {
                Then::More => self.then = self.turn_page().await?,
                Then::Failure(error) => return Err(error),
                Then::End => return Ok(None),
            }
        }
    }

    async fn turn_page(&mut self) -> Result<Then, Error> {
        let gateway = Arc::clone(&self.gateway);
        let mut effort = gateway.effort();
        loop {
            let Checked { client, check } = effort.client().await?;
            let mut page = Vec::new();
            // The client's futures are very large; boxed, they do not make ours so.
            let reading = Box::pin(read_page(&client, &self.source, &mut page));
            let asked = effort.ask(check, reading).await;
            let progressed = !page.is_empty();
            for event in page {
                if let Err(error) = self.take(event) {
                    return Ok(Then::Failure(error));
                }
            }
            match asked {
                Ok(Asked::Answer(ended)) if ended || self.source.is_exhausted() => {
                    return Ok(Then::End);
                }
                Ok(Asked::Answer(_)) => return Ok(Then::More),
                Ok(Asked::No(error)) => return Ok(self.refused(&error)),
                // What has come is to be taken first; the rest gets an effort of its own.
                Ok(Asked::Again) | Err(_) if progressed => return Ok(Then::More),
                Ok(Asked::Again) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Moves on past `event`, and keeps it if it is one to give.
    fn take(&mut self, event: eventstore::ResolvedEvent) -> Result<(), Error> {
        let Some(received) = wire::received(event) else { return Ok(()) };
        let (revision, position) = match &received {
            Ok(event) => (event.revision, event.position),
            Err(other) => (other.revision, other.position),
        };
        if !self.source.move_past(revision, position) {
            return Ok(());
        }
        match received {
            Ok(event) => {
                self.page.push_back(event);
                Ok(())
            }
            Err(other) => self.not_ours(other),
        }
    }

    fn not_ours(&self, other: NotOurs) -> Result<(), Error> {
        match &self.source {
            Source::Stream { .. } | Source::LastOf { .. } => Err(other.into_error()),
            Source::All { .. } => {
                if !other.is_the_stores_own() {
                    self.gateway.count_skipped(&other.stream, other.position, &other.reason);
                }
                Ok(())
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the client's errors, not ours")]
    fn refused(&self, error: &eventstore::Error) -> Then {
        match error {
            eventstore::Error::ResourceNotFound => Then::End,
            eventstore::Error::ResourceDeleted => {
                Then::Failure(Error::StreamDeleted { stream: self.source.name().to_owned() })
            }
            other => Then::Failure(self.gateway.refusal(other)),
        }
    }
}

/// Reads into `page`, where it stays even if this is given up half-way. Whether that was the end.
async fn read_page(
    client: &Client,
    source: &Source,
    page: &mut Vec<eventstore::ResolvedEvent>,
) -> eventstore::Result<bool> {
    let count = source.page();
    let mut events = source.open(client, count).await?;
    let mut bytes = 0;
    while bytes < PAGE_BYTES {
        match events.next_read_event().await? {
            Some(ReadEvent::Event(event)) => {
                bytes += event.event.as_ref().map_or(0, |event| event.data.len());
                page.push(event);
            }
            Some(_position) => {}
            None => return Ok(page.len() < count),
        }
    }
    Ok(false)
}

impl Source {
    fn name(&self) -> &str {
        match self {
            Self::Stream { stream, .. } | Self::LastOf { stream, .. } => stream.as_str(),
            Self::All { .. } => "$all",
        }
    }

    fn page(&self) -> usize {
        match self {
            Self::LastOf { left, .. } => PAGE.min(*left),
            Self::Stream { .. } | Self::All { .. } => PAGE,
        }
    }

    fn is_exhausted(&self) -> bool {
        matches!(self, Self::LastOf { left: 0, .. })
    }

    async fn open(&self, client: &Client, count: usize) -> eventstore::Result<ReadStream> {
        let options = ReadStreamOptions::default().max_count(count);
        match self {
            Self::Stream { stream, from } => {
                let options = options.position(StreamPosition::Position(*from)).forwards();
                client.read_stream(stream.as_str(), &options).await
            }
            Self::LastOf { stream, from, .. } => {
                let from = from.map_or(StreamPosition::End, StreamPosition::Position);
                let options = options.position(from).backwards();
                client.read_stream(stream.as_str(), &options).await
            }
            Self::All { after } => {
                let options = ReadAllOptions::default().max_count(count).forwards();
                client.read_all(&options.position(wire::after(*after))).await
            }
        }
    }

    /// Notes that the event at this place has been read; false when it was read before.
    fn move_past(&mut self, revision: u64, position: Position) -> bool {
        match self {
            Self::Stream { from, .. } => *from = revision + 1,
            Self::LastOf { from, left, .. } => {
                *left -= 1;
                match revision.checked_sub(1) {
                    Some(next) => *from = Some(next),
                    None => *left = 0,
                }
            }
            // A read begins *at* a position, so the event at it comes once more.
            Self::All { after } if position <= *after => return false,
            Self::All { after } => *after = position,
        }
        true
    }
}
