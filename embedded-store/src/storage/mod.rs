//! The log on the local disk: a `SQLite` database, one thread that writes it and a pool of
//! connections that read it. Nothing outside this module knows that it is `SQLite`. What a write
//! may do is decided in `semantics`.

mod answering;
mod audit;
mod backup;
pub(crate) mod checksum;
mod compact;
mod counters;
mod directory;
mod folding;
mod heads;
mod import;
mod migration;
mod offline;
mod readers;
mod recovery;
mod scan;
mod schema;
mod sql;
mod tail;
mod transaction;
mod verify;
mod wal;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use self::answering::{Answering, Reply};
pub(crate) use self::audit::{Found, NamesQuery, RecentStreams, Search};
pub(crate) use self::backup::{copy, sync};
pub(crate) use self::compact::Candidates;
pub(crate) use self::counters::{Counted, Counter, Counters};
use self::directory::DataDir;
use self::folding::Folding;
pub(crate) use self::import::{Importer, Judged, events, last_position};
pub(crate) use self::offline::{Format, database_in, examine, open_offline, reader};
pub(crate) use self::readers::{
    Direction, From, LogPage, LogQuery, ReadError, StreamEvents, StreamPage, StreamQuery,
};
use self::recovery::Folded;
pub use self::recovery::Recovery;
pub(crate) use self::scan::{Item, Scan};
use self::tail::Tail;
pub(crate) use self::verify::{Findings, verify};
pub(crate) use self::writer::ticks_now;
use self::writer::{Memory, Message, Writer};
pub(crate) use self::writer::{Progress, Step};
use crate::error::{Error, Failure};
use crate::event::{Proposed, Recorded};
use crate::semantics::append::Expected;

/// Writes that may wait for the writer; who comes after waits for a place.
const QUEUE: usize = 1_024;

/// Bytes of events that may wait for the writer.
const QUEUE_BYTES: u32 = 64 * 1024 * 1024;

/// A change of one stream.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) stream: Arc<str>,
    pub(crate) expected: Expected,
    pub(crate) change: Change,
}

#[derive(Debug)]
pub(crate) enum Change {
    Append(Vec<Proposed>),
    Delete,
    Tombstone,
}

impl Write {
    fn size(&self) -> usize {
        match &self.change {
            Change::Append(events) => events.iter().map(Proposed::weight).sum(),
            Change::Delete | Change::Tombstone => 0,
        }
    }
}

/// What became of a write. Whatever it is, it holds: it was decided by what is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is on the disk, now or since an earlier attempt: the stream's newest revision after it,
    /// if there is one, and the position of its last event, if there was one.
    Done { revision: Option<u64>, position: Option<u64> },
    /// The stream did not look as expected; its newest revision.
    WrongExpected { current: Option<u64> },
    /// The stream is deleted.
    Deleted,
}

/// Why a write was not even decided.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("the server is stopping")]
    Stopping,
    #[error("the disk is full")]
    DiskFull,
    /// The disk is full, and whether the write was made will only be known when it is not.
    #[error("the disk is full, and it is not certain whether the write was made")]
    Uncertain,
    /// Another program holds the database's lock.
    #[error("the database is locked")]
    Locked,
    /// What the write depends on cannot be read.
    #[error(transparent)]
    Damaged(checksum::Damaged),
    #[error("the event store takes no more writes")]
    Failed(#[source] Failure),
}

/// A write that the writer has taken on.
#[derive(Debug)]
pub(crate) struct Receipt(oneshot::Receiver<Result<Written, WriteError>>);

impl Receipt {
    /// Waits until it is committed. Dropped before the writer came to it, the write does not
    /// happen.
    pub(crate) async fn written(self) -> Result<Written, WriteError> {
        self.0.await.unwrap_or(Err(WriteError::Stopping))
    }
}

/// A handle on the log; cheap to clone. The writer ends when it is closed or the last handle is
/// gone.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    queue: mpsc::Sender<Message>,
    queue_bytes: Arc<Semaphore>,
    committed: watch::Receiver<u64>,
    failure: watch::Receiver<Option<Failure>>,
    tail: Arc<Tail>,
    readers: Arc<readers::Readers>,
    counters: Arc<Counters>,
    recovery: Arc<Recovery>,
    writer: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Storage {
    /// Opens the log in `data_dir`, or in a temporary directory. Reads from the disk, so not for an
    /// async thread.
    pub(crate) fn open(data_dir: Option<&Path>, durable: bool) -> Result<Self, Error> {
        let directory = DataDir::open(data_dir)?;
        let recovery = recovery::examine(&directory, durable)?;
        let connection = schema::open_writer(&directory, durable)?;
        Self::start(directory, connection, durable, recovery)
    }

    fn start(
        directory: DataDir,
        connection: Connection,
        durable: bool,
        mut recovery: Recovery,
    ) -> Result<Self, Error> {
        let not_opened = |error| recovery::not_opened(&directory, error);
        let folded = recovery::fold(&connection).map_err(not_opened)?;
        let memory = Memory::load(&connection).map_err(not_opened)?;
        recovery.newest_position = memory.last_position;
        recovery::report(&recovery, folded);
        let folding = schema::open_folder(&directory.database(), durable).map_err(not_opened)?;
        let folding = Folding::start(folding).map_err(Error::Thread)?;
        let (sender, queue) = mpsc::channel(QUEUE);
        let (committed, committed_receiver) = watch::channel(memory.last_position);
        let (failure, failure_receiver) = watch::channel(None);
        let counters = Arc::new(Counters::default());
        let readers = Arc::new(readers::Readers::new(directory.database(), Arc::clone(&counters)));
        let tail = Arc::new(Tail::default());
        let writer = Writer {
            folding,
            connection,
            memory,
            tail: Arc::clone(&tail),
            counters: Arc::clone(&counters),
            answering: Answering::start(),
            committed,
            failure,
            unclean: folded != Folded::Yes,
            blocked: folded == Folded::NoSpace,
            directory,
        };
        let thread = thread::Builder::new()
            .name("event-store-writer".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(Error::Thread)?;
        Ok(Self {
            queue: sender,
            queue_bytes: Arc::new(Semaphore::new(QUEUE_BYTES as usize)),
            committed: committed_receiver,
            failure: failure_receiver,
            tail,
            readers,
            counters,
            recovery: Arc::new(recovery),
            writer: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Hands a write to the writer, in order, waiting for a place in its queue.
    pub(crate) async fn submit(&self, write: Write) -> Result<Receipt, WriteError> {
        let bytes = u32::try_from(write.size()).unwrap_or(u32::MAX).min(QUEUE_BYTES);
        let bytes = Arc::clone(&self.queue_bytes).acquire_many_owned(bytes).await;
        let bytes = bytes.map_err(|_closed| WriteError::Stopping)?;
        let (reply, receipt) = oneshot::channel();
        let sent =
            self.queue.send(Message::Write(write, Reply { sender: reply, _bytes: bytes })).await;
        sent.map(|()| Receipt(receipt)).map_err(|_closed| WriteError::Stopping)
    }

    /// Writes, and waits until it is committed.
    pub(crate) async fn write(&self, write: Write) -> Result<Written, WriteError> {
        self.submit(write).await?.written().await
    }

    /// The newest committed position, and a notice when it moves.
    pub(crate) fn committed(&self) -> watch::Receiver<u64> {
        self.committed.clone()
    }

    /// How often something was committed since the log was opened.
    pub(crate) fn commits(&self) -> u64 {
        self.counters.commits.get()
    }

    /// What the start found of the server before.
    pub(crate) fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Why the writer stopped for good, once it has.
    pub(crate) fn failure(&self) -> watch::Receiver<Option<Failure>> {
        self.failure.clone()
    }

    /// Up to `limit` of the events after `position` if they are recent enough to be in memory.
    pub(crate) fn recent_after(&self, position: u64, limit: usize) -> Option<Vec<Arc<Recorded>>> {
        let recent = self.tail.after(position, limit);
        let counters = &self.counters;
        if recent.is_some() { &counters.pages_from_memory } else { &counters.pages_from_disk }
            .add(1);
        recent
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Writes that wait for the writer, and their bytes.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let bytes = (QUEUE_BYTES as usize).saturating_sub(self.queue_bytes.available_permits());
        (self.queue.max_capacity() - self.queue.capacity(), bytes)
    }

    /// Queries that run or are about to.
    pub(crate) fn running_queries(&self) -> usize {
        self.readers.running()
    }

    /// Events that are kept in memory, and their bytes.
    pub(crate) fn in_memory(&self) -> (usize, usize) {
        self.tail.extent()
    }

    /// Where the files are.
    pub(crate) fn directory(&self) -> &Path {
        self.readers.directory()
    }

    pub(crate) async fn recent_streams(&self, limit: usize) -> Result<RecentStreams, ReadError> {
        self.readers.run(move |connection| audit::recent_streams(connection, limit)).await
    }

    pub(crate) async fn names(&self, query: NamesQuery) -> Result<Vec<String>, ReadError> {
        self.readers.run(move |connection| audit::names(connection, &query)).await
    }

    pub(crate) async fn search(&self, search: Search) -> Result<Found, ReadError> {
        self.readers.run(move |connection| audit::search(connection, &search)).await
    }

    /// How many streams were ever named, metastreams included.
    pub(crate) async fn count_streams(&self) -> Result<u64, ReadError> {
        self.readers.run(audit::count_streams).await
    }

    pub(crate) async fn read_stream(&self, query: StreamQuery) -> Result<StreamPage, ReadError> {
        self.readers.stream(query).await
    }

    pub(crate) async fn read_stream_and_end(
        &self,
        query: StreamQuery,
    ) -> Result<(StreamPage, u64), ReadError> {
        self.readers.stream_and_end(query).await
    }

    pub(crate) async fn read_log(&self, query: LogQuery) -> Result<LogPage, ReadError> {
        self.readers.log(query).await
    }

    pub(crate) async fn read_linked(
        &self,
        targets: Vec<(u64, Arc<str>)>,
        now: u64,
    ) -> Result<Vec<Option<Arc<Recorded>>>, ReadError> {
        self.readers.linked(targets, now).await
    }

    /// Streams after this number that have something to remove.
    pub(crate) async fn compactable(&self, after: i64) -> Result<Candidates, ReadError> {
        self.readers
            .run(move |connection| compact::candidates(connection, after, ticks_now()))
            .await
    }

    /// Lets the writer do a piece of a compaction when its turn comes.
    pub(crate) async fn compact(&self, step: Step) -> Result<Progress, WriteError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.queue.send(Message::Compact(step, reply)).await;
        sent.map_err(|_closed| WriteError::Stopping)?;
        answer.await.unwrap_or(Err(WriteError::Stopping))
    }

    /// Answers everything that was handed in before, refuses what comes after, and returns when all
    /// is on the disk and the directory is free.
    pub(crate) async fn close(&self) {
        // First, because the connection that is closed last folds the write-ahead log and removes it,
        // and one that only reads cannot.
        self.readers.close();
        self.readers.ended().await;
        // An error means that it is closed already.
        let _ = self.queue.send(Message::Close).await;
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Neither join can fail: the writer does not panic, and the closure only waits.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        self.queue.closed().await;
    }

    /// Like [`Self::close`], but without waiting.
    pub(crate) fn close_soon(&self) {
        // When the queue is full, the writer ends with the last handle.
        let _ = self.queue.try_send(Message::Close);
        self.readers.close();
    }
}
