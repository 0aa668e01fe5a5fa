//! The one thread that writes. It takes everything that waits, judges and inserts it in one
//! transaction, commits once (one fsync), and only then shows the events to readers and answers. A
//! commit that fails for lack of space, or because another program holds the database, is undone
//! and refused; after any other failure nobody can say what is on the disk, so the writer stops
//! writing for good.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, ffi};
use tokio::sync::{mpsc, oneshot, watch};

use super::answering::{Answering, Reply};
use super::compact::{self, Candidate, Removed};
use super::counters::Counters;
use super::directory::DataDir;
use super::folding::Folding;
use super::heads::{Heads, RecentIds};
use super::recovery::{self, Folded};
use super::tail::Tail;
use super::transaction::{Committed, Transaction};
use super::{Change, Write, WriteError, Written, checksum, schema, sql};
use crate::error::Failure;

/// Writes in one transaction at most.
const BATCH_WRITES: usize = 1_024;

/// Bytes after which a transaction takes no further write.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Streams whose state is remembered, at least.
const HEADS: usize = 100_000;

/// Ids that are recognised when an append without an expected revision repeats them.
const RECENT_IDS: usize = 32_768;

/// A write-ahead log as long as this was not folded into the database when it should have been.
const LONG_LOG: u64 = 48 * 1024 * 1024;

/// How long emptying the write-ahead log waits for those who read it: our own readers are short.
pub(super) const UNTIL_READERS_END: Duration = Duration::from_secs(1);

pub(super) enum Message {
    Write(Write, Reply),
    /// Compact a little, between two commits.
    Compact(Step, oneshot::Sender<Result<Progress, WriteError>>),
    /// Answer what waits, bring everything to the disk, and end.
    Close,
}

/// A piece of a compaction, small enough that appends hardly notice.
#[derive(Debug)]
pub(crate) enum Step {
    /// Remove events of these streams.
    Remove(Vec<Candidate>),
    /// Give free space back.
    Shrink,
    /// What was removed also goes from the write-ahead log.
    Finish,
}

/// What became of a piece of a compaction.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) events: u64,
    /// Bytes of payload that were removed.
    pub(crate) bytes: u64,
    /// Streams that are done, or one when there is no more space to give back.
    pub(crate) done: usize,
}

/// What the writer knows about the log besides the database. Forgotten and read again when a
/// transaction is undone.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) heads: Heads,
    pub(super) recent: RecentIds,
    /// Events whose place is among the recent ones, at least those that are.
    pub(super) recent_places: usize,
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
        let (heads, recent_places) = (Heads::new(HEADS), sql::recent_places(connection)?);
        Ok(Self { heads, recent, recent_places, last_position, last_created })
    }
}

pub(super) struct Writer {
    // Declared before the connection, so that it ends first: the last one to go folds what is left.
    pub(super) folding: Folding,
    pub(super) connection: Connection,
    pub(super) memory: Memory,
    pub(super) tail: Arc<Tail>,
    pub(super) counters: Arc<Counters>,
    pub(super) answering: Answering,
    pub(super) committed: watch::Sender<u64>,
    pub(super) failure: watch::Sender<Option<Failure>>,
    /// What was destroyed may still stand in the write-ahead log.
    pub(super) unclean: bool,
    /// The write-ahead log may hold commits of which nobody knows whether they are on the disk, or
    /// which were refused: nothing is written before it is emptied.
    pub(super) blocked: bool,
    /// Held until the connection is closed.
    pub(super) directory: DataDir,
}

impl Writer {
    /// Works until it is told to close or nobody can send any more.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Message>) {
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
                    Message::Compact(step, reply) => {
                        // In its own turn and its own transaction: what waited before goes first.
                        self.commit(std::mem::take(&mut batch));
                        let _ = reply.send(self.compact(&step));
                        break;
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
                Message::Compact(..) | Message::Close => {}
            }
        }
    }

    fn close(self) {
        let Self { folding, connection, directory, .. } = self;
        drop(folding);
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
            None => self
                .unblock()
                .and_then(|()| self.write(&batch).map_err(|error| self.recover(error))),
        };
        match answers {
            Ok(answers) => {
                let answers = batch.into_iter().zip(answers);
                let answers = answers.filter_map(|((_, reply), answer)| Some((reply, answer?)));
                self.answering.send(answers.collect());
            }
            Err(error) => {
                for (_, reply) in batch {
                    let _ = reply.sender.send(Err(error.clone()));
                }
            }
        }
        self.folding.committed();
        self.fold_when_long();
    }

    /// No answer for a write that nobody waits for any more (deadline, cancelled call): it is not
    /// made.
    fn write(
        &mut self,
        batch: &[(Write, Reply)],
    ) -> rusqlite::Result<Vec<Option<Result<Written, WriteError>>>> {
        let began = Instant::now();
        let now = ticks_now();
        let mut transaction = Transaction::begin(&self.connection, &mut self.memory, now)?;
        let mut answers = Vec::with_capacity(batch.len());
        for (write, reply) in batch {
            let before = transaction.changes();
            let written = match &write.change {
                _ if reply.sender.is_closed() => {
                    answers.push(None);
                    continue;
                }
                Change::Append(events) => transaction.append(&write.stream, write.expected, events),
                Change::Delete => transaction.delete(&write.stream, write.expected),
                Change::Tombstone => transaction.tombstone(&write.stream, write.expected),
            };
            answers.push(Some(match written {
                Ok(written) => Ok(written),
                // Only the stream whose past cannot be read takes no more writes.
                Err(error) => match checksum::damaged(&error) {
                    Some(damaged) if transaction.changes() == before => {
                        Err(WriteError::Damaged(damaged.clone()))
                    }
                    Some(_) | None => return Err(error),
                },
            }));
        }
        let Committed { events, scrubbed } = transaction.commit()?;
        if let Some(error) = self.folding.failure() {
            return Err(error);
        }
        if events.is_empty() {
            return Ok(answers);
        }
        let bytes = events.iter().map(|event| event.metadata.len() + event.data.len()).sum();
        self.counters.committed(events.len(), bytes, began.elapsed());
        if scrubbed {
            // What was destroyed may be among the new events as well: they are read from the disk.
            self.tail.clear();
            // Who waited in vain once, or knows it will be, does not keep appends waiting.
            let in_vain = self.unclean || self.counters.long_reads.get() > 0;
            self.clean(if in_vain { Duration::ZERO } else { UNTIL_READERS_END });
        } else {
            self.tail.push(events);
        }
        self.committed.send_replace(self.memory.last_position);
        if self.unclean && !scrubbed {
            self.clean(Duration::ZERO);
        }
        Ok(answers)
    }

    fn compact(&mut self, step: &Step) -> Result<Progress, WriteError> {
        if let Some(failure) = self.failure.borrow().clone() {
            return Err(WriteError::Failed(failure));
        }
        self.unblock()?;
        let streams = match step {
            Step::Remove(streams) => streams,
            Step::Shrink => {
                let all = compact::shrink(&self.connection);
                let all = all.map_err(|error| self.recover(error))?;
                return Ok(Progress { done: usize::from(all), ..Progress::default() });
            }
            Step::Finish => {
                self.clean(UNTIL_READERS_END);
                return Ok(Progress::default());
            }
        };
        let removed = self.remove(streams).map_err(|error| self.recover(error))?;
        self.folding.committed();
        self.tail.forget(&removed.positions.iter().copied().collect());
        let events = removed.positions.len() as u64;
        Ok(Progress { events, bytes: removed.bytes, done: removed.done })
    }

    fn remove(&self, streams: &[Candidate]) -> rusqlite::Result<Removed> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let removed = compact::remove(&self.connection, streams, ticks_now())?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(removed)
    }

    /// What was destroyed in the database also goes from its write-ahead log. Where the reader of
    /// another program is in the way, that is done after a later write.
    fn clean(&mut self, patience: Duration) {
        let empty = sql::empty_write_ahead_log;
        let turn = self.folding.keep_off();
        let emptied = schema::with_patience(&self.connection, patience, empty);
        drop(turn);
        if !matches!(emptied, Ok(true)) && !patience.is_zero() {
            tracing::warn!(
                ?emptied,
                "what was deleted is still in the write-ahead log; does another program read the database?"
            );
        }
        self.unclean = !matches!(emptied, Ok(true));
        self.fail_unless_full(emptied.err());
    }

    /// `SQLite` folds the write-ahead log into the database by itself, after every few thousand
    /// pages, and keeps quiet when that fails. Nothing is lost then, but the log grows for ever.
    fn fold_when_long(&mut self) {
        let long =
            fs::metadata(self.directory.write_ahead_log()).is_ok_and(|log| log.len() > LONG_LOG);
        if long && self.failure.borrow().is_none() {
            let fold = sql::empty_write_ahead_log;
            let turn = self.folding.keep_off();
            let folded = schema::with_patience(&self.connection, Duration::ZERO, fold);
            drop(turn);
            self.fail_unless_full(folded.err());
        }
    }

    /// Folding the write-ahead log failed: on a full disk it is tried again later, on one that has
    /// lost a write nothing more is written.
    fn fail_unless_full(&mut self, error: Option<rusqlite::Error>) {
        if let Some(error) = error
            && !recovery::is_full(&error)
        {
            self.fail(error);
        }
    }

    /// Empties the write-ahead log if that has to come first.
    fn unblock(&mut self) -> Result<(), WriteError> {
        if !self.blocked {
            return Ok(());
        }
        let turn = self.folding.keep_off();
        let folded = recovery::fold(&self.connection);
        drop(turn);
        match folded {
            Ok(Folded::Yes) => {}
            Ok(Folded::Busy) => return Err(WriteError::Locked),
            Ok(Folded::NoSpace) => return Err(WriteError::DiskFull),
            Err(error) => return Err(self.fail(error)),
        }
        // Or a loss of power could bring back what it held.
        self.directory.sync_write_ahead_log().map_err(|error| {
            let code = ffi::Error::new(ffi::SQLITE_IOERR_FSYNC);
            self.fail(rusqlite::Error::SqliteFailure(code, Some(error.to_string())))
        })?;
        (self.blocked, self.unclean) = (false, false);
        tracing::info!("there is space again: the event store takes appends");
        Ok(())
    }

    /// Undoes a failed transaction if that is certain to be right, and says what the waiting writes
    /// are told.
    fn recover(&mut self, error: rusqlite::Error) -> WriteError {
        if !self.connection.is_autocommit() {
            // If this fails, the transaction is still open, which the next lines notice.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        let busy = error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
        if (busy || recovery::is_full(&error))
            && self.connection.is_autocommit()
            && let Ok(memory) = Memory::load(&self.connection)
        {
            self.memory = memory;
            tracing::error!(%error, "a commit was undone: its appends are refused");
            if busy {
                return WriteError::Locked;
            }
            // The index is written last, so the whole commit may be in the write-ahead log, where
            // the next start would find it.
            self.blocked |= recovery::is_index_full(&error);
            return match self.unblock() {
                Err(failed @ WriteError::Failed(_)) => failed,
                Err(_) => WriteError::Uncertain,
                Ok(()) => WriteError::DiskFull,
            };
        }
        self.fail(error)
    }

    /// Ends all writing: nobody can say any more what is on the disk.
    fn fail(&mut self, error: rusqlite::Error) -> WriteError {
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
