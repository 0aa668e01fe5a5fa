//! Reading events in order, however long it takes and whatever happens to the connection.
//!
//! A reader remembers where it is. After trouble it goes on from there with another client.

use std::sync::Arc;

use eventstore::{
    Client, ReadAllOptions, ReadEvent, ReadStream, ReadStreamOptions, StreamPosition,
};
use schemas::StreamName;

use crate::gateway::{Asked, Checked, Gateway};
use crate::wire::{self, NotOurs};
use crate::{Error, Position, Recorded};

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
    /// What is being read, and the check its client has passed.
    open: Option<(u64, ReadStream)>,
}

impl Reader {
    pub(crate) fn new(gateway: Arc<Gateway>, source: Source) -> Self {
        Self { gateway, source, open: None }
    }

    /// The next event; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Recorded>, Error> {
        let gateway = Arc::clone(&self.gateway);
        let mut effort = gateway.effort();
        loop {
            if self.open.is_none() && self.source.is_exhausted() {
                return Ok(None);
            }
            let asked = if let Some((check, events)) = self.open.take() {
                effort.ask(check, next_of(events)).await?
            } else {
                let Checked { client, check } = effort.client().await?;
                let opening = async { next_of(self.source.open(&client).await?).await };
                // The client's futures are very large; boxed, they do not make ours so.
                let opening = Box::pin(opening);
                effort.ask(check, opening).await?
            };
            match asked {
                Asked::Answer(_, (_, None)) => return Ok(None),
                Asked::Answer(check, (events, Some(event))) => {
                    self.open = Some((check, events));
                    effort.progressed();
                    if let Some(event) = self.take(event)? {
                        return Ok(Some(event));
                    }
                }
                Asked::No(error) => return self.refused(error),
                Asked::Again => {}
            }
        }
    }

    /// Moves on past `event`. Gives it back when it is one to give.
    fn take(&mut self, event: ReadEvent) -> Result<Option<Recorded>, Error> {
        let ReadEvent::Event(event) = event else { return Ok(None) };
        let Some(received) = wire::received(event) else { return Ok(None) };
        let (revision, position) = match &received {
            Ok(event) => (event.revision, event.position),
            Err(other) => (other.revision, other.position),
        };
        if !self.source.move_past(revision, position) {
            return Ok(None);
        }
        match received {
            Ok(event) => Ok(Some(event)),
            Err(other) => self.not_ours(other).map(|()| None),
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
    fn refused(&self, error: eventstore::Error) -> Result<Option<Recorded>, Error> {
        match error {
            eventstore::Error::ResourceNotFound => Ok(None),
            eventstore::Error::ResourceDeleted => {
                Err(Error::StreamDeleted { stream: self.source.name().to_owned() })
            }
            other => Err(self.gateway.refusal(&other)),
        }
    }
}

async fn next_of(mut events: ReadStream) -> eventstore::Result<(ReadStream, Option<ReadEvent>)> {
    let event = events.next_read_event().await?;
    Ok((events, event))
}

impl Source {
    fn name(&self) -> &str {
        match self {
            Self::Stream { stream, .. } | Self::LastOf { stream, .. } => stream.as_str(),
            Self::All { .. } => "$all",
        }
    }

    fn is_exhausted(&self) -> bool {
        matches!(self, Self::LastOf { left: 0, .. })
    }

    async fn open(&self, client: &Client) -> eventstore::Result<ReadStream> {
        let options = ReadStreamOptions::default();
        match self {
            Self::Stream { stream, from } => {
                let options = options.position(StreamPosition::Position(*from)).forwards();
                client.read_stream(stream.as_str(), &options).await
            }
            Self::LastOf { stream, from, left } => {
                let from = from.map_or(StreamPosition::End, StreamPosition::Position);
                let options = options.position(from).backwards().max_count(*left);
                client.read_stream(stream.as_str(), &options).await
            }
            Self::All { after } => {
                let options = ReadAllOptions::default().position(wire::after(*after)).forwards();
                client.read_all(&options).await
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
