//! The one thread that writes. It takes everything that waits, judges and inserts it in one
//! transaction, commits once (one fsync), and only then shows the events to readers and answers. A
//! commit that fails for lack of space, or because another program holds the database, is undone
//! and refused; after any other failure nobody can say what is on the disk, so the writer stops
//! writing for good.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use super::directory::DataDir;
use super::heads::{Heads, RecentIds};
use super::tail::Tail;
use super::transaction::{Committed, Transaction};
use super::{Change, Write, WriteError, Written, schema, sql};
use crate::error::Failure;

/// Writes in one transaction at most.
const BATCH_WRITES: usize = 1_024;

/// Bytes after which a transaction takes no further write.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Streams whose state is remembered, at least.
const HEADS: usize = 100_000;

/// Ids that are recognised when an append without an expected revision repeats them.
const RECENT_IDS: usize = 32_768;

/// How long emptying the write-ahead log waits for those who read it: our own readers are short.
const UNTIL_READERS_END: Duration = Duration::from_secs(1);

/// Where the answer to a write goes.
pub(super) struct Reply {
    pub(super) sender: oneshot::Sender<Result<Written, WriteError>>,
    /// The write's share of the queue, given back with the answer.
    pub(super) _bytes: OwnedSemaphorePermit,
}

pub(super) enum Message {
    Write(Write, Reply),
    /// Answer what waits, bring everything to the disk, and end.
    Close,
}

/// What the writer knows about the log besides the database. Forgotten and read again when a
/// transaction is undone.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) heads: Heads,
    pub(super) recent: RecentIds,
    pub(super) last_position: u64,
    pub(super) last_created: u64,
}

impl Memory {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let (last_position, last_created) = sql::newest(connection)?.unwrap_or_default();
        let mut recent = RecentIds::new(RECENT_IDS);
        for (stream, id, revision) in sql::newest_ids(connection, RECENT_IDS)?.into_iter().rev() {
            recent.push(stream, id, revision);
        }
        Ok(Self { heads: Heads::new(HEADS), recent, last_position, last_created })
    }
}

pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) memory: Memory,
    pub(super) tail: Arc<Tail>,
    pub(super) committed: watch::Sender<u64>,
    pub(super) failure: watch::Sender<Option<Failure>>,
    /// What was destroyed may still stand in the write-ahead log.
    pub(super) unclean: bool,
    /// Held until the connection is closed.
    pub(super) directory: DataDir,
}

impl Writer {
    /// Works until it is told to close or nobody can send any more.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        // A kill may have come between destroying and cleaning up.
        self.clean(UNTIL_READERS_END);
        let mut closing = false;
        while !closing && let Some(first) = queue.blocking_recv() {
            let mut batch = Vec::new();
            let mut bytes = 0;
            let mut next = Some(first);
            while let Some(message) = next.take() {
                match message {
                    Message::Write(write, reply) => {
                        bytes += write.size();
                        batch.push((write, reply));
                    }
                    Message::Close => {
                        closing = true;
                        queue.close();
                    }
                }
                if batch.len() < BATCH_WRITES && bytes < BATCH_BYTES {
                    next = queue.try_recv().ok();
                }
            }
            self.commit(batch);
        }
        self.answer_the_rest(&mut queue);
        self.close();
    }

    /// What was sent before the queue closed is still written.
    fn answer_the_rest(&mut self, queue: &mut mpsc::Receiver<Message>) {
        while let Some(message) = queue.blocking_recv() {
            match message {
                Message::Write(write, reply) => self.commit(vec![(write, reply)]),
                Message::Close => {}
            }
        }
    }

    fn close(self) {
        let Self { connection, directory, .. } = self;
        // Moves the write-ahead log into the database. Not needed for safety: the next start would
        // do it.
        if let Err(error) = sql::empty_write_ahead_log(&connection) {
            tracing::warn!(%error, "the write-ahead log could not be folded into the database");
        }
        if let Err((_, error)) = connection.close() {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
        drop(directory);
    }

    fn commit(&mut self, batch: Vec<(Write, Reply)>) {
        if batch.is_empty() {
            return;
        }
        let failure = self.failure.borrow().clone();
        let answers = match failure {
            Some(failure) => Err(WriteError::Failed(failure)),
            None => self.write(&batch).map_err(|error| self.recover(error)),
        };
        match answers {
            Ok(answers) => {
                for ((_, reply), answer) in batch.into_iter().zip(answers) {
                    // The caller may have gone; a write that was made holds all the same.
                    let _ = answer.map(|answer| reply.sender.send(Ok(answer)));
                }
            }
            Err(error) => {
                for (_, reply) in batch {
                    let _ = reply.sender.send(Err(error.clone()));
                }
            }
        }
    }

    /// No answer for a write that nobody waits for any more (deadline, cancelled call): it is not
    /// made.
    fn write(&mut self, batch: &[(Write, Reply)]) -> rusqlite::Result<Vec<Option<Written>>> {
        let now = ticks_now();
        let mut transaction = Transaction::begin(&self.connection, &mut self.memory, now)?;
        let mut answers = Vec::with_capacity(batch.len());
        for (write, reply) in batch {
            answers.push(match &write.change {
                _ if reply.sender.is_closed() => None,
                Change::Append(events) => {
                    Some(transaction.append(&write.stream, write.expected, events)?)
                }
                Change::Delete => Some(transaction.delete(&write.stream, write.expected)?),
                Change::Tombstone => Some(transaction.tombstone(&write.stream, write.expected)?),
            });
        }
        let Committed { events, scrubbed } = transaction.commit()?;
        if events.is_empty() {
            return Ok(answers);
        }
        if scrubbed {
            // What was destroyed may be among the new events as well: they are read from the disk.
            self.tail.clear();
            self.clean(UNTIL_READERS_END);
        } else {
            self.tail.push(events);
        }
        self.committed.send_replace(self.memory.last_position);
        if self.unclean && !scrubbed {
            self.clean(Duration::ZERO);
        }
        Ok(answers)
    }

    /// What was destroyed in the database also goes from its write-ahead log. Where the reader of
    /// another program is in the way, that is done after a later write.
    fn clean(&mut self, patience: Duration) {
        let emptied = schema::with_patience(&self.connection, patience, sql::empty_write_ahead_log);
        if !matches!(emptied, Ok(true)) && !patience.is_zero() {
            tracing::warn!(
                ?emptied,
                "what was deleted is still in the write-ahead log; does another program read the database?"
            );
        }
        self.unclean = !matches!(emptied, Ok(true));
    }

    /// Undoes a failed transaction if that is certain to be right, and says what the waiting writes
    /// are told.
    fn recover(&mut self, error: rusqlite::Error) -> WriteError {
        if !self.connection.is_autocommit() {
            // If this fails, the transaction is still open, which the next lines notice.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        let code = error.sqlite_error_code();
        if matches!(code, Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy))
            && self.connection.is_autocommit()
            && let Ok(memory) = Memory::load(&self.connection)
        {
            self.memory = memory;
            tracing::error!(%error, "a commit was undone: its appends are refused");
            return match code {
                Some(ErrorCode::DatabaseBusy) => WriteError::Locked,
                Some(_) | None => WriteError::DiskFull,
            };
        }
        tracing::error!(%error, "a commit failed: the event store takes no more writes");
        let failure = Failure(Arc::new(error));
        self.failure.send_replace(Some(failure.clone()));
        WriteError::Failed(failure)
    }
}

/// Ticks of 100 ns since 1970.
pub(crate) fn ticks_now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_nanos() / 100).unwrap_or(u64::MAX)
}
