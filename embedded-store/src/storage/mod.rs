//! The log on the local disk: a `SQLite` database, one thread that writes it and a pool of
//! connections that read it. Nothing outside this module knows that it is `SQLite`. What a write
//! may do is decided in `semantics`.

mod directory;
mod heads;
mod readers;
mod scan;
mod schema;
mod sql;
mod tail;
mod transaction;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use self::directory::DataDir;
pub(crate) use self::readers::{
    Direction, From, LogPage, LogQuery, ReadError, StreamEvents, StreamPage, StreamQuery,
};
pub(crate) use self::scan::{Item, Scan};
use self::tail::Tail;
pub(crate) use self::writer::ticks_now;
use self::writer::{Memory, Message, Reply, Writer};
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
            Change::Append(events) => events.iter().map(Proposed::size).sum(),
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
    /// Another program holds the database's lock.
    #[error("the database is locked")]
    Locked,
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
    writer: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Storage {
    /// Opens the log in `data_dir`, or in a temporary directory. Reads from the disk, so not for an
    /// async thread.
    pub(crate) fn open(data_dir: Option<&Path>, durable: bool) -> Result<Self, Error> {
        let directory = DataDir::open(data_dir)?;
        let connection = schema::open_writer(&directory, durable)?;
        Self::start(directory, connection)
    }

    fn start(directory: DataDir, connection: Connection) -> Result<Self, Error> {
        let memory = Memory::load(&connection).map_err(|source| Error::Database {
            path: directory.path().to_owned(),
            source: source.into(),
        })?;
        let (sender, queue) = mpsc::channel(QUEUE);
        let (committed, committed_receiver) = watch::channel(memory.last_position);
        let (failure, failure_receiver) = watch::channel(None);
        let readers = Arc::new(readers::Readers::new(directory.database()));
        let tail = Arc::new(Tail::default());
        let writer = Writer {
            connection,
            memory,
            tail: Arc::clone(&tail),
            committed,
            failure,
            unclean: true,
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

    /// Why the writer stopped for good, once it has.
    pub(crate) fn failure(&self) -> watch::Receiver<Option<Failure>> {
        self.failure.clone()
    }

    /// Up to `limit` of the events after `position` if they are recent enough to be in memory.
    pub(crate) fn recent_after(&self, position: u64, limit: usize) -> Option<Vec<Arc<Recorded>>> {
        self.tail.after(position, limit)
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

    /// Answers everything that was handed in before, refuses what comes after, and returns when all
    /// is on the disk and the directory is free.
    pub(crate) async fn close(&self) {
        // An error means that it is closed already.
        let _ = self.queue.send(Message::Close).await;
        self.readers.close();
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
