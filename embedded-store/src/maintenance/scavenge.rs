//! Compaction of a running server, as clients start and stop it and read about it: one at a time,
//! with an id, and with a history in `$scavenges` and a stream of its own. The writer does a piece of
//! it now and then, between the commits of appends.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::beginning;
use crate::event::{LINK_KIND, METADATA_KIND, Proposed};
use crate::semantics::append::Expected;
use crate::semantics::names;
use crate::storage::{
    Change, Direction, From, ReadError, Step, Storage, StreamPage, StreamQuery, Write, WriteError,
    Written, ticks_now,
};

/// Stream of links to what happened in all of them.
const INDEX: &str = "$scavenges";

/// Events of one scavenge.
const STARTED: &str = "$scavengeStarted";
const COMPLETED: &str = "$scavengeCompleted";

/// Links in which those that were interrupted are looked for.
const LISTED: u64 = 100;

/// How long that is visible, in seconds.
const HISTORY: u64 = 30 * 24 * 60 * 60;

/// The one scavenge that may run.
#[derive(Debug)]
pub(crate) struct Scavenger {
    storage: Storage,
    /// How the node calls itself.
    node: String,
    running: Arc<Mutex<Option<Running>>>,
}

#[derive(Debug, Clone)]
struct Running {
    id: Arc<str>,
    cancel: CancellationToken,
    ended: watch::Receiver<bool>,
}

/// What became of a wish to start one. With its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    Started(Arc<str>),
    /// Another one runs already.
    InProgress(Arc<str>),
}

/// Why one did not come to its end.
#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What one scavenge removed so far.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    events: u64,
    bytes: u64,
}

impl Scavenger {
    pub(crate) fn new(storage: Storage, (host, port): &(String, u16)) -> Self {
        Self { storage, node: format!("{host}:{port}"), running: Arc::default() }
    }

    /// Notes of those that the end of a server interrupted that they have ended.
    pub(crate) async fn end_interrupted(storage: Storage) {
        match interrupted(&storage).await {
            Ok(scavenges) => {
                for scavenge in scavenges {
                    let error = "The node was restarted.".into();
                    let told = scavenge.tell_end("Interrupted", error, Duration::ZERO, 0).await;
                    if let Err(error) = told {
                        tracing::warn!(%error, "the history of a compaction cannot be written");
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the history of compactions cannot be read"),
        }
    }

    /// Starts one unless one runs. When this returns, its first event is written.
    pub(crate) async fn start(&self, threads: i32, from_chunk: i32) -> Start {
        let (ended_sender, ended) = watch::channel(false);
        let cancel = CancellationToken::new();
        let id: Arc<str> = new_id().to_string().into();
        {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(running) = &*running {
                return Start::InProgress(Arc::clone(&running.id));
            }
            *running = Some(Running { id: Arc::clone(&id), cancel: cancel.clone(), ended });
        }
        let scavenge = Scavenge {
            storage: self.storage.clone(),
            stream: format!("{INDEX}-{id}").into(),
            fields: json!({ "scavengeId": &*id, "nodeEndpoint": self.node }),
            cancel,
        };
        let (began_sender, began) = oneshot::channel();
        let running = Arc::clone(&self.running);
        tokio::spawn(async move {
            scavenge.run(threads, from_chunk, began_sender).await;
            *running.lock().unwrap_or_else(PoisonError::into_inner) = None;
            ended_sender.send_replace(true);
        });
        // An error means that it ended before; either way there is nothing more to wait for.
        let _ = began.await;
        Start::Started(id)
    }

    /// Stops the one with this id, or whichever runs if the id is `current`, and waits until it has
    /// ended. `Err` with the id of the one that runs, if another does.
    pub(crate) async fn stop(&self, id: &str) -> Result<Arc<str>, Option<Arc<str>>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(mut running) = running else { return Err(None) };
        if id != "current" && id != &*running.id {
            return Err(Some(running.id));
        }
        running.cancel.cancel();
        // An error means that its task is gone.
        let _ = running.ended.wait_for(|ended| *ended).await;
        Ok(running.id)
    }
}

/// Those that began and did not end, among the newest in the list of all.
async fn interrupted(storage: &Storage) -> Result<Vec<Scavenge>, ReadError> {
    let query = StreamQuery {
        stream: INDEX.into(),
        from: From::End,
        direction: Direction::Backwards,
        limit: LISTED,
        now: ticks_now(),
    };
    let StreamPage::Events(page) = storage.read_stream(query).await? else { return Ok(Vec::new()) };
    let targets = page.events.iter().filter_map(|link| names::link_target(&link.data));
    let targets = targets.map(|(revision, stream)| (revision, stream.into())).collect();
    let told = storage.read_linked(targets, ticks_now()).await?;
    let told: Vec<_> = told.into_iter().flatten().collect();
    let ended: HashSet<_> =
        told.iter().filter(|event| &*event.kind == COMPLETED).map(|event| &event.stream).collect();
    let open = told
        .iter()
        .filter(|event| &*event.kind == STARTED && !ended.contains(&event.stream))
        .filter_map(|event| {
            let fields: Value = serde_json::from_slice(&event.data).ok()?;
            let (id, node) = (fields.get("scavengeId")?, fields.get("nodeEndpoint")?);
            Some(Scavenge {
                storage: storage.clone(),
                stream: Arc::clone(&event.stream),
                fields: json!({ "scavengeId": id, "nodeEndpoint": node }),
                cancel: CancellationToken::new(),
            })
        });
    Ok(open.collect())
}

/// One scavenge under way.
struct Scavenge {
    storage: Storage,
    stream: Arc<str>,
    /// What all of its events say.
    fields: Value,
    cancel: CancellationToken,
}

impl Scavenge {
    async fn run(self, threads: i32, from_chunk: i32, began: oneshot::Sender<()>) {
        let start = Instant::now();
        tracing::info!(stream = &*self.stream, "compacting the event store");
        if let Err(error) = self.tell_start(threads, from_chunk).await {
            tracing::warn!(%error, "the history of the compaction cannot be written");
        }
        let _ = began.send(());
        let mut totals = Totals::default();
        let outcome = self.compact(&mut totals).await;
        let (result, error) = match &outcome {
            Ok(true) => ("Success", Value::Null),
            Ok(false) => ("Stopped", Value::Null),
            Err(error) => ("Errored", Value::from(error.to_string())),
        };
        tracing::info!(events = totals.events, bytes = totals.bytes, result, "compacted");
        let told = self.tell_end(result, error, start.elapsed(), totals.bytes).await;
        if let Err(error) = told {
            tracing::warn!(%error, "the history of the compaction cannot be written");
        }
    }

    /// False if it was stopped before the end.
    async fn compact(&self, totals: &mut Totals) -> Result<bool, Cause> {
        let outcome = self.remove_and_shrink(totals).await;
        // Also after an error, or what was removed would stay in the write-ahead log.
        if totals.events > 0 {
            let finished = self.storage.compact(Step::Finish).await;
            if outcome.is_ok() {
                finished?;
            }
        }
        outcome
    }

    async fn remove_and_shrink(&self, totals: &mut Totals) -> Result<bool, Cause> {
        let removed = self.remove(totals).await?;
        if removed {
            while !self.cancel.is_cancelled() && self.storage.compact(Step::Shrink).await?.done == 0
            {
            }
        }
        Ok(removed)
    }

    async fn remove(&self, totals: &mut Totals) -> Result<bool, Cause> {
        let mut next = Some(0);
        while let Some(after) = next {
            let candidates = self.storage.compactable(after).await?;
            let mut streams = candidates.streams;
            while !streams.is_empty() {
                if self.cancel.is_cancelled() {
                    return Ok(false);
                }
                let progress = self.storage.compact(Step::Remove(streams.clone())).await?;
                totals.events += progress.events;
                totals.bytes += progress.bytes;
                streams.drain(..progress.done);
            }
            next = candidates.next;
        }
        Ok(!self.cancel.is_cancelled())
    }

    async fn tell_start(&self, threads: i32, from_chunk: i32) -> Result<(), WriteError> {
        // In a log that an older version began; refused where it is done.
        self.restrict(INDEX, Expected::NoStream, beginning::scavenges_metadata_id()).await?;
        self.restrict(&self.stream, Expected::Any, new_id()).await?;
        let more = json!({
            "alwaysKeepScavenged": false,
            "mergeChunks": false,
            "startFromChunk": from_chunk,
            "threads": threads,
        });
        self.tell(STARTED, more).await
    }

    async fn tell_end(
        &self,
        result: &str,
        error: Value,
        elapsed: Duration,
        bytes: u64,
    ) -> Result<(), WriteError> {
        let more = json!({
            "result": result,
            "error": error,
            "timeTaken": time_span(elapsed),
            "spaceSaved": bytes,
            "maxChunkScavenged": 0,
        });
        self.tell(COMPLETED, more).await
    }

    /// Writes an event of this scavenge, and a link to it.
    async fn tell(&self, kind: &str, more: Value) -> Result<(), WriteError> {
        let mut fields = self.fields.clone();
        if let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) {
            fields.extend(more);
        }
        let event = proposed(kind, true, fields.to_string());
        let written = self.append(&self.stream, Expected::Any, event).await?;
        if let Written::Done { revision: Some(revision), .. } = written {
            let link = proposed(LINK_KIND, false, format!("{revision}@{}", self.stream));
            self.append(INDEX, Expected::Any, link).await?;
        }
        Ok(())
    }

    /// Lets operators read a stream, and hides what is old.
    async fn restrict(&self, stream: &str, expected: Expected, id: Uuid) -> Result<(), WriteError> {
        let metadata = json!({
            "$maxAge": HISTORY,
            "$acl": { "$r": ["$ops"], "$w": [], "$d": [], "$mr": [], "$mw": [] },
        });
        let event = Proposed { id, ..proposed(METADATA_KIND, true, metadata.to_string()) };
        self.append(&names::metastream_of(stream), expected, event).await.map(|_| ())
    }

    async fn append(
        &self,
        stream: &str,
        expected: Expected,
        event: Proposed,
    ) -> Result<Written, WriteError> {
        let change = Change::Append(vec![event]);
        self.storage.write(Write { stream: stream.into(), expected, change }).await
    }
}

#[expect(clippy::disallowed_methods, reason = "no client's command: the server's own event")]
fn new_id() -> Uuid {
    Uuid::new_v4()
}

fn proposed(kind: &str, is_json: bool, data: String) -> Proposed {
    Proposed { id: new_id(), kind: kind.into(), is_json, metadata: Bytes::new(), data: data.into() }
}

/// Hours, minutes and seconds, as the protocol's own servers write them.
fn time_span(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:07}", seconds % 60, elapsed.subsec_nanos() / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_span_has_hours_minutes_seconds_and_ticks() {
        assert_eq!(time_span(Duration::from_millis(7_384_005)), "02:03:04.0050000");
    }
}
