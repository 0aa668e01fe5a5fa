//! Reading and following one stream.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Output, RECENT_RECORDS, Reached, ReadingError};
use crate::event::TOMBSTONE;
use crate::storage::{
    Counted, Direction, From, Storage, StreamEvents, StreamPage, StreamQuery, ticks_now,
};

/// Revisions in a page of the original servers. Clients can tell: see
/// [`StreamRead::first_revision`].
const SMALL_PAGE: u64 = 32;

/// A read of a stream with an end.
#[derive(Debug)]
pub(crate) struct StreamRead {
    storage: Storage,
    stream: Arc<str>,
    direction: Direction,
    from: From,
    remaining: u64,
    /// Whether the consumer understands first and last revisions.
    with_revisions: bool,
    state: ReadState,
}

#[derive(Debug, PartialEq, Eq)]
enum ReadState {
    First,
    Later,
    Done,
}

impl StreamRead {
    pub(crate) fn new(
        storage: Storage,
        stream: Arc<str>,
        (direction, from): (Direction, From),
        limit: u64,
        with_revisions: bool,
    ) -> Self {
        let state = ReadState::First;
        Self { storage, stream, direction, from, remaining: limit, with_revisions, state }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Vec<Output>>, ReadingError> {
        if self.state == ReadState::Done {
            return Ok(None);
        }
        let query = StreamQuery {
            stream: Arc::clone(&self.stream),
            from: self.from,
            direction: self.direction,
            limit: self.remaining,
            now: ticks_now(),
        };
        match self.storage.read_stream(query).await? {
            StreamPage::Tombstoned => Err(ReadingError::StreamDeleted(Arc::clone(&self.stream))),
            StreamPage::NotFound if self.state == ReadState::First => {
                self.state = ReadState::Done;
                Ok(Some(vec![Output::NotFound]))
            }
            // Deleted between two pages.
            StreamPage::NotFound => Ok(None),
            StreamPage::Events(page) => Ok(self.page(page)),
        }
    }

    fn page(&mut self, page: StreamEvents) -> Option<Vec<Output>> {
        let mut out = Vec::with_capacity(page.events.len() + 1);
        if self.state == ReadState::First && self.with_revisions {
            out.extend(self.first_revision(&page).map(Output::FirstRevision));
        }
        self.remaining = self.remaining.saturating_sub(page.events.len() as u64);
        out.extend(page.events.into_iter().map(Output::Event));
        self.state = ReadState::Later;
        match page.next {
            Some(next) if self.remaining > 0 => self.from = From::Revision(next),
            Some(_) | None => {
                self.state = ReadState::Done;
                out.extend(self.with_revisions.then_some(Output::LastRevision(page.last)));
            }
        }
        (!out.is_empty()).then_some(out)
    }

    /// Where a forward read could have begun, if it began so far before or after this that an
    /// original server's first page of the stream would have been empty.
    fn first_revision(&self, page: &StreamEvents) -> Option<u64> {
        let begin = match (self.direction, self.from) {
            (Direction::Backwards, _) => return None,
            (Direction::Forwards, From::End) => page.last + 1,
            (Direction::Forwards, From::Start) => 0,
            (Direction::Forwards, From::Revision(revision)) => revision,
        };
        if self.remaining == 0 {
            return None;
        }
        let first_page_ends = begin.saturating_add(self.remaining.min(SMALL_PAGE));
        if first_page_ends <= page.first_visible {
            return Some(page.first_visible.min(page.last + 1)).filter(|first| *first != begin);
        }
        page.events.is_empty().then_some(page.last + 1).filter(|first| *first != begin)
    }
}

/// A stream followed from a revision on, without an end. It reads the stream until it has all of it
/// at some position of the log, and from that position on looks at the log's newest records. Should
/// these run away, it reads again.
#[derive(Debug)]
pub(crate) struct StreamSubscription {
    storage: Storage,
    committed: watch::Receiver<u64>,
    stream: Arc<str>,
    /// The first revision that the consumer has not got.
    next: u64,
    place: Place,
    caught_up: bool,
    _counted: Counted,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// Somewhere in the stream.
    Behind,
    /// Everything of the stream up to this position of the log was handed on.
    At(u64),
}

impl StreamSubscription {
    /// Begins after `from`. At the end, only what is committed from now on counts.
    pub(crate) async fn begin(
        storage: Storage,
        stream: Arc<str>,
        from: From,
    ) -> Result<Self, ReadingError> {
        let committed = storage.committed();
        let query = StreamQuery {
            stream: Arc::clone(&stream),
            from: From::End,
            direction: Direction::Forwards,
            limit: 1,
            now: ticks_now(),
        };
        let (page, end) = storage.read_stream_and_end(query).await?;
        let (next, place) = match (from, page) {
            (From::Revision(revision), _) => (revision.saturating_add(1), Place::Behind),
            // Whether it has ended, the next step finds out.
            (From::Start, _) | (From::End, StreamPage::Tombstoned) => (0, Place::Behind),
            (From::End, StreamPage::NotFound) => (0, Place::At(end)),
            (From::End, StreamPage::Events(page)) => (page.last + 1, Place::At(end)),
        };
        let counted = storage.counters().subscriptions.enter();
        Ok(Self { storage, committed, stream, next, place, caught_up: false, _counted: counted })
    }

    pub(super) async fn next(&mut self) -> Result<Vec<Output>, ReadingError> {
        loop {
            let committed = *self.committed.borrow_and_update();
            let out = match self.place {
                Place::Behind => self.read().await?,
                Place::At(position) if position < committed => self.follow(position, committed)?,
                Place::At(_) if !self.caught_up => {
                    self.caught_up = true;
                    vec![Output::CaughtUp(self.reached())]
                }
                Place::At(_) => {
                    self.committed.changed().await.map_err(|_gone| ReadingError::Stopping)?;
                    continue;
                }
            };
            if !out.is_empty() {
                return Ok(out);
            }
            tokio::task::yield_now().await;
        }
    }

    async fn read(&mut self) -> Result<Vec<Output>, ReadingError> {
        let query = StreamQuery {
            stream: Arc::clone(&self.stream),
            from: From::Revision(self.next),
            direction: Direction::Forwards,
            limit: u64::MAX,
            now: ticks_now(),
        };
        let (page, end) = self.storage.read_stream_and_end(query).await?;
        let page = match page {
            StreamPage::Tombstoned => return Err(self.deleted()),
            StreamPage::NotFound => {
                self.place = Place::At(end);
                return Ok(Vec::new());
            }
            StreamPage::Events(page) => page,
        };
        let mut out = Vec::with_capacity(page.events.len() + 1);
        if page.next.is_none() {
            self.place = Place::At(end);
        } else if self.caught_up {
            self.caught_up = false;
            out.push(Output::FellBehind(self.reached()));
        }
        if let Some(last) = page.events.last() {
            self.next = last.revision + 1;
        }
        out.extend(page.events.into_iter().map(Output::Event));
        Ok(out)
    }

    fn reached(&self) -> Reached {
        self.next.checked_sub(1).map_or(Reached::Nothing, Reached::Revision)
    }

    fn follow(&mut self, position: u64, committed: u64) -> Result<Vec<Output>, ReadingError> {
        let Some(events) = self.storage.recent_after(position, RECENT_RECORDS) else {
            self.place = Place::Behind;
            return Ok(Vec::new());
        };
        if events.is_empty() {
            // The newest records were removed from the log since they were committed.
            self.place = Place::At(committed);
        }
        let mut out = Vec::new();
        for event in events {
            if event.stream == self.stream && event.revision == TOMBSTONE && out.is_empty() {
                return Err(self.deleted());
            }
            if event.stream == self.stream && event.revision == TOMBSTONE {
                // First what came before it; the next call ends here again.
                return Ok(out);
            }
            self.place = Place::At(event.position);
            if event.stream == self.stream && event.revision >= self.next {
                self.next = event.revision + 1;
                out.push(Output::Event(event));
            }
        }
        Ok(out)
    }

    fn deleted(&self) -> ReadingError {
        ReadingError::StreamDeleted(Arc::clone(&self.stream))
    }
}
