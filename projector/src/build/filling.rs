//! Folds partitions on all processors, and copies what comes of them into the tables meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use futures::{StreamExt, TryStreamExt, stream};
use sqlx::postgres::PgConnection;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::time::Instant;

use super::copying::{self, Copied};
use super::dealing::Dealt;
use super::engine::Engine;
use super::folding::{Folded, Folder, Manner};
use super::run::Run;
use super::spill::folded_bytes;
use super::starting::FOLDED_BYTES;
use crate::ProjectionName;
use crate::bookkeeping::GenerationId;
use crate::database;
use crate::failure::Failure;
use crate::priority;
use crate::quarantine::Exceptions;

/// The partitions of a run on their way into the tables.
pub(super) struct Filling<'a> {
    engine: &'a Engine,
    dealt: Dealt,
    folder: Arc<Folder>,
    /// So many are folded at the same time.
    folding: Semaphore,
    /// Sessions that nobody uses right now.
    idle: Mutex<Vec<PgConnection>>,
    partitions: u32,
}

impl<'a> Filling<'a> {
    pub(super) async fn new(engine: &'a Engine, run: &Run, dealt: Dealt) -> Result<Self, Failure> {
        let mut connection = database::connect(&engine.context.address).await?;
        let mut exceptions = BTreeMap::new();
        for part in &run.parts {
            let name = part.generation.projection;
            let skipped = Exceptions::at_the_beginning(&mut connection, name).await?;
            exceptions.insert(name, skipped);
        }
        let journal = engine.context.journal.clone();
        let folder = Folder { journal, runtime: Handle::current(), exceptions };
        let at_once = engine.options.folders();
        Ok(Self {
            engine,
            dealt,
            folder: Arc::new(folder),
            folding: Semaphore::new(at_once),
            idle: Mutex::new(vec![]),
            partitions: run.partitions,
        })
    }

    /// Fills what is `missing`.
    pub(super) async fn fill(
        self,
        missing: BTreeMap<u32, Vec<GenerationId>>,
    ) -> Result<(), Failure> {
        let all = u64::from(self.partitions);
        self.engine.board.fold_from(all - missing.len() as u64, all);
        self.warn_of_large_partitions();
        let under_way = self.engine.options.under_way();
        stream::iter(missing)
            .map(|(partition, generations)| self.partition(partition, generations))
            .buffer_unordered(under_way)
            .try_for_each(|()| std::future::ready(Ok(())))
            .await
    }

    /// There are no more partitions than a process may have files open, so the memory that one
    /// takes grows with the log beyond some length.
    fn warn_of_large_partitions(&self) {
        let under_way = self.engine.options.under_way() as u64;
        let events = self.engine.board.event_bytes.load(Ordering::Relaxed);
        let folded = folded_bytes(events) / u64::from(self.partitions) * under_way;
        if folded > 2 * FOLDED_BYTES as u64 {
            tracing::warn!(
                partitions = self.partitions,
                under_way,
                mib = folded >> 20,
                "so many partitions of so long a log take about so much memory while they are folded"
            );
        }
    }

    async fn partition(
        &self,
        partition: u32,
        generations: Vec<GenerationId>,
    ) -> Result<(), Failure> {
        let names: Vec<ProjectionName> = generations.iter().map(|it| it.projection).collect();
        let folded = self.fold(partition, names, Manner::Together).await?;
        let mut connection = self.session().await?;
        let pid = copying::pid_of(&mut connection).await?;
        let copy_all = async {
            for folded in folded {
                let Some(generation) =
                    generations.iter().find(|it| it.projection == folded.projection).copied()
                else {
                    continue;
                };
                self.copy(&mut connection, generation, partition, folded).await?;
            }
            Ok(())
        };
        copying::while_alive(&self.engine.context.address, pid, copy_all).await?;
        self.idle.lock().await.push(connection);
        self.engine.board.partitions_done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn session(&self) -> Result<PgConnection, Failure> {
        if let Some(connection) = self.idle.lock().await.pop() {
            return Ok(connection);
        }
        copying::connect(&self.engine.context.address, self.engine.options.gentle).await
    }

    async fn copy(
        &self,
        connection: &mut PgConnection,
        generation: GenerationId,
        partition: u32,
        folded: Folded,
    ) -> Result<(), Failure> {
        let (right, mut tally) = (self.engine.right, folded.tally);
        let example = folded.poisoned.first().map(ToString::to_string);
        let mut copied = copying::copy(connection, right, generation, partition, folded).await?;
        if copied == Copied::Refused {
            let name = generation.projection;
            for folded in self.fold(partition, vec![name], Manner::Apart).await? {
                tally = folded.tally;
                copied = copying::copy(connection, right, generation, partition, folded).await?;
            }
        }
        let board = &self.engine.board;
        if let Copied::Now { rows, bytes } = copied {
            if tally.quarantined > 0 {
                tracing::error!(
                    projection = %generation.projection, partition, streams = tally.quarantined,
                    example,
                    "streams with an event that cannot be folded are quarantined; others go on"
                );
            }
            board.events_folded.fetch_add(tally.applied, Ordering::Relaxed);
            board.rows.fetch_add(rows, Ordering::Relaxed);
            board.row_bytes.fetch_add(bytes, Ordering::Relaxed);
            board.of(generation.projection, |it| {
                it.events += tally.applied;
                it.rows += rows;
                it.quarantined += tally.quarantined;
                it.gaps_healed += tally.gaps_healed;
            });
        }
        Ok(())
    }

    /// Folds on a thread of its own, whose priority can be lowered for good.
    async fn fold(
        &self,
        partition: u32,
        names: Vec<ProjectionName>,
        manner: Manner,
    ) -> Result<Vec<Folded>, Failure> {
        // (The semaphore is never closed.)
        let _permit = self.folding.acquire().await;
        self.engine.pacer.go().await?;
        let begun = Instant::now();
        let (folder, partitions) = (Arc::clone(&self.folder), Arc::clone(&self.dealt.partitions));
        let gentle = self.engine.options.gentle;
        let (tell, told) = oneshot::channel();
        let user = self.engine.users.token();
        let work = move || {
            if gentle {
                priority::lower_this_thread();
            }
            // Nobody listens any more once the run has been given up.
            let _ = tell.send(folder.fold(&names, manner, &partitions, partition));
            drop((partitions, user));
        };
        let thread = thread::Builder::new().name("fold".to_owned()).spawn(work);
        let thread = thread.map_err(sqlx::Error::Io)?;
        let rows = match told.await {
            Ok(outcome) => outcome?,
            Err(_) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => return Err(Failure::Lost),
            },
        };
        self.engine.pacer.rest(begun.elapsed()).await?;
        Ok(rows)
    }
}
