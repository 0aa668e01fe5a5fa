//! Reading: a pool of read-only connections on blocking threads, and the two kinds of pages that
//! are read through it. A page is one short transaction, so that no reader holds the log back.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::checksum::{self, Damaged};
use super::counters::Counters;
use super::scan::{Item, Scan};
use super::writer::UNTIL_READERS_END;
use super::{recovery, schema, sql};
use crate::event::{Recorded, TOMBSTONE};
use crate::semantics::names;

/// Connections at most, and so queries at a time.
const CONNECTIONS: usize = 8;

/// Events in one page at most.
const PAGE_EVENTS: usize = 512;

/// Bytes of payload after which a page ends.
const PAGE_BYTES: usize = 256 * 1024;

/// Records that one page of the log examines at most.
const PAGE_RECORDS: usize = 4_096;

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the server is stopping")]
    Stopping,
    #[error("the database cannot be read")]
    Database(#[source] rusqlite::Error),
    #[error(transparent)]
    Damaged(Damaged),
    /// What holds the events together is damaged, or one of them beyond recognition.
    #[error(
        "the database of the event store (events.sqlite) is damaged. Find out what is with \
         `orderstore event-store verify`, and restore a backup"
    )]
    Corrupt(#[source] rusqlite::Error),
}

impl std::convert::From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        match checksum::damaged(&error) {
            Some(damaged) => Self::Damaged(damaged.clone()),
            None if recovery::is_damage(&error) => Self::Corrupt(error),
            None => Self::Database(error),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Forwards,
    Backwards,
}

/// Where in a stream to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Start,
    End,
    Revision(u64),
}

#[derive(Debug, Clone)]
pub(crate) struct StreamQuery {
    pub(crate) stream: Arc<str>,
    pub(crate) from: From,
    pub(crate) direction: Direction,
    pub(crate) limit: u64,
    /// Ticks of 100 ns since 1970, for `$maxAge`.
    pub(crate) now: u64,
}

#[derive(Debug)]
pub(crate) enum StreamPage {
    /// Never written to, or deleted.
    NotFound,
    /// Ended for ever.
    Tombstoned,
    Events(StreamEvents),
}

#[derive(Debug)]
pub(crate) struct StreamEvents {
    pub(crate) events: Vec<Arc<Recorded>>,
    /// Where the next page begins; `None` at the end.
    pub(crate) next: Option<u64>,
    pub(crate) first_visible: u64,
    pub(crate) last: u64,
}

#[derive(Debug)]
pub(crate) struct LogQuery {
    /// Positions, both inclusive.
    pub(crate) range: (u64, u64),
    pub(crate) direction: Direction,
    /// Events to hand on at most.
    pub(crate) limit: u64,
    pub(crate) scan: Scan,
}

#[derive(Debug)]
pub(crate) struct LogPage {
    pub(crate) items: Vec<Item>,
    /// The last position examined, if any was.
    pub(crate) examined: Option<u64>,
    /// Whether the page went to the end of its range.
    pub(crate) end: bool,
    pub(crate) scan: Scan,
}

#[derive(Debug)]
pub(crate) struct Readers {
    database: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    /// The queries that run, also those whose caller has gone.
    queries: TaskTracker,
    counters: Arc<Counters>,
}

impl Readers {
    pub(crate) fn new(database: PathBuf, counters: Arc<Counters>) -> Self {
        let (permits, queries) = (Arc::new(Semaphore::new(CONNECTIONS)), TaskTracker::new());
        Self { database, idle: Mutex::new(Vec::new()), permits, queries, counters }
    }

    /// Queries that run or are about to.
    pub(super) fn running(&self) -> usize {
        CONNECTIONS.saturating_sub(self.permits.available_permits())
    }

    /// Where the files are.
    pub(super) fn directory(&self) -> &Path {
        self.database.parent().unwrap_or(&self.database)
    }

    /// Refuses new reads and closes idle connections.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.queries.close();
        self.idle().clear();
    }

    /// After [`Self::close`]: waits until nobody reads any more, but not for ever.
    pub(crate) async fn ended(&self) {
        if tokio::time::timeout(UNTIL_READERS_END, self.queries.wait()).await.is_err() {
            tracing::warn!("queries still run while the event store closes");
        }
    }

    pub(crate) async fn stream(
        self: &Arc<Self>,
        query: StreamQuery,
    ) -> Result<StreamPage, ReadError> {
        self.run(move |connection| stream_page(connection, &query)).await
    }

    /// Like [`Self::stream`], and also the position that the log reached when it was read: every
    /// event of the stream up to there was seen.
    pub(crate) async fn stream_and_end(
        self: &Arc<Self>,
        query: StreamQuery,
    ) -> Result<(StreamPage, u64), ReadError> {
        self.run(move |connection| {
            let end = sql::newest(connection)?.map_or(0, |(position, _)| position);
            Ok((stream_page(connection, &query)?, end))
        })
        .await
    }

    pub(crate) async fn log(self: &Arc<Self>, query: LogQuery) -> Result<LogPage, ReadError> {
        self.run(move |connection| log_page(connection, query)).await
    }

    /// The events that these links point at; `None` for one that is gone or hidden.
    pub(crate) async fn linked(
        self: &Arc<Self>,
        targets: Vec<(u64, Arc<str>)>,
        now: u64,
    ) -> Result<Vec<Option<Arc<Recorded>>>, ReadError> {
        self.run(move |connection| {
            targets.into_iter().map(|target| linked(connection, target, now)).collect()
        })
        .await
    }

    /// Runs `read` in one transaction on a blocking thread.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_closed| ReadError::Stopping)?;
        let readers = Arc::clone(self);
        let reading = self.queries.spawn_blocking(move || {
            let answer = readers.read(read);
            // Here, and not when the caller has the answer: a caller that does not wait for it must
            // not make room for another query while its own still runs.
            drop(permit);
            answer
        });
        reading.await.unwrap_or(Err(ReadError::Stopping))
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, ReadError> {
        let connection = match self.take() {
            Some(connection) => connection,
            None => schema::open_reader(&self.database)?,
        };
        let began = Instant::now();
        let transaction = connection.unchecked_transaction()?;
        let answer = read(&transaction)?;
        transaction.commit()?;
        self.counters.queried(began.elapsed());
        self.put_back(connection);
        Ok(answer)
    }

    fn take(&self) -> Option<Connection> {
        self.idle().pop()
    }

    fn put_back(&self, connection: Connection) {
        let mut idle = self.idle();
        if !self.permits.is_closed() {
            idle.push(connection);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stream_page(connection: &Connection, query: &StreamQuery) -> rusqlite::Result<StreamPage> {
    if let Some(original) = names::original_of(&query.stream)
        && is_tombstoned(connection, original)?
    {
        return Ok(StreamPage::Tombstoned);
    }
    let Some(id) = sql::stream_id(connection, &query.stream)? else {
        return Ok(StreamPage::NotFound);
    };
    let last = match sql::last_revision(connection, id)? {
        None => return Ok(StreamPage::NotFound),
        Some(TOMBSTONE) => return Ok(StreamPage::Tombstoned),
        Some(last) => last,
    };
    let retention = sql::retention(connection, &query.stream)?;
    if retention.is_deleted() {
        return Ok(StreamPage::NotFound);
    }
    let first = sql::first_visible(connection, id, retention, (last, query.now))?;
    visible_events(connection, id, query, (first, last)).map(StreamPage::Events)
}

fn is_tombstoned(connection: &Connection, stream: &str) -> rusqlite::Result<bool> {
    let Some(id) = sql::stream_id(connection, stream)? else { return Ok(false) };
    Ok(sql::last_revision(connection, id)? == Some(TOMBSTONE))
}

fn visible_events(
    connection: &Connection,
    id: i64,
    query: &StreamQuery,
    (first, last): (u64, u64),
) -> rusqlite::Result<StreamEvents> {
    let (low, high, statement) = match query.direction {
        Direction::Forwards => {
            let low = match query.from {
                From::Start => first,
                From::End => last + 1,
                From::Revision(revision) => revision.max(first),
            };
            (low, last, sql::FORWARDS_IN_STREAM)
        }
        Direction::Backwards => {
            let high = match query.from {
                From::Start => 0,
                From::End => last,
                From::Revision(revision) => revision.min(last),
            };
            (first, high, sql::BACKWARDS_IN_STREAM)
        }
    };
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX).min(PAGE_EVENTS);
    let mut page = StreamEvents { events: Vec::new(), next: None, first_visible: first, last };
    if low > high || limit == 0 {
        return Ok(page);
    }
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows =
        statement.query([id, sql::signed(low), sql::signed(high), sql::signed(limit as u64)])?;
    let mut bytes = 0;
    while bytes < PAGE_BYTES
        && let Some(row) = rows.next()?
    {
        let event = match sql::recorded(row, Arc::clone(&query.stream)) {
            Ok(event) => event,
            // What comes before a damaged event is still handed on; the next page begins with it.
            Err(error) if is_damaged(&error) && !page.events.is_empty() => break,
            Err(error) => return Err(error),
        };
        bytes += event.metadata.len() + event.data.len();
        page.events.push(Arc::new(event));
    }
    page.next = page.events.last().and_then(|event| match query.direction {
        Direction::Forwards => (event.revision < high).then(|| event.revision + 1),
        Direction::Backwards => (event.revision > low).then(|| event.revision - 1),
    });
    Ok(page)
}

fn log_page(connection: &Connection, query: LogQuery) -> rusqlite::Result<LogPage> {
    let LogQuery { range: (low, high), direction, limit, mut scan } = query;
    let statement = match direction {
        Direction::Forwards => sql::FORWARDS_IN_LOG,
        Direction::Backwards => sql::BACKWARDS_IN_LOG,
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(PAGE_EVENTS);
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows =
        statement.query([sql::signed(low), sql::signed(high), sql::signed(PAGE_RECORDS as u64)])?;
    let (mut items, mut examined, mut records) = (Vec::new(), None, 0);
    let (mut events, mut bytes) = (0, 0);
    while events < limit && bytes < PAGE_BYTES {
        let Some(row) = rows.next()? else {
            let end = records < PAGE_RECORDS;
            return Ok(LogPage { items, examined, end, scan });
        };
        let position = sql::position(row)?;
        let (kind, stream) = sql::kind_and_stream(row)?;
        if scan.wants(stream, kind) {
            let event = match sql::recorded(row, stream.into()) {
                Ok(event) => event,
                Err(error) if is_damaged(&error) && examined.is_some() => break,
                Err(error) => return Err(error),
            };
            bytes += event.metadata.len() + event.data.len();
            events += 1;
            items.push(Item::Event(Arc::new(event)));
        }
        scan.examined(position, &mut items);
        examined = Some(position);
        records += 1;
    }
    Ok(LogPage { items, examined, end: false, scan })
}

fn is_damaged(error: &rusqlite::Error) -> bool {
    checksum::damaged(error).is_some()
}

fn linked(
    connection: &Connection,
    (revision, stream): (u64, Arc<str>),
    now: u64,
) -> rusqlite::Result<Option<Arc<Recorded>>> {
    let query = StreamQuery {
        stream,
        from: From::Revision(revision),
        direction: Direction::Forwards,
        limit: 1,
        now,
    };
    let StreamPage::Events(mut page) = stream_page(connection, &query)? else { return Ok(None) };
    Ok(page.events.pop().filter(|event| event.revision == revision))
}
