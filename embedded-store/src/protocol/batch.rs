//! `BatchAppend`: many appends over one call. They are handed to the writer as they arrive and
//! answered as they commit, so that they share commits; a refusal concerns its own append only.

use std::collections::HashMap;
use std::future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, FuturesUnordered, StreamExt};
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::arriving::Held;
use super::messages::shared::{RpcStatus, Timestamp};
use super::messages::write::{
    BatchAppendReq, BatchAppendResp, BatchDeadline, BatchExpected, BatchOptions, BatchResult,
    ExpectedRevision, ProposedMessage, Success,
};
use super::service::Responses;
use super::{Context, convert, refusal, status};
use crate::event::Proposed;
use crate::security::Action;
use crate::semantics::append::Expected;
use crate::storage::{Change, Receipt, Write, Written, ticks_now};

/// Appends of one call that may wait for their commit; more are not read from the wire until some
/// are answered.
const IN_FLIGHT: usize = 512;

/// Appends of one call that may have arrived in part.
const PARTIAL: usize = 64;

/// Bytes of them, if the largest append is not larger.
const PARTIAL_BYTES: usize = 8 * 1024 * 1024;

/// A deadline further away than this is none.
const FAR_AWAY: Duration = Duration::from_hours(24);

pub(super) async fn batch_append(
    context: Arc<Context>,
    request: Request<Streaming<BatchAppendReq>>,
) -> Result<Response<Responses<BatchAppendResp>>, Status> {
    let (headers, _, incoming) = request.into_parts();
    context.allow(&headers, Action::OpenBatch).await?;
    let batches = Batches {
        context,
        headers,
        incoming,
        partial: HashMap::new(),
        in_flight: FuturesUnordered::new(),
        ended: false,
    };
    let answers = stream::try_unfold(batches, |mut batches| async {
        let answer = batches.next().await?;
        Ok(answer.map(|answer| (answer, batches)))
    });
    Ok(Response::new(answers.boxed()))
}

struct Batches {
    context: Arc<Context>,
    headers: MetadataMap,
    incoming: Streaming<BatchAppendReq>,
    /// Appends of which the last part has not come yet.
    partial: HashMap<Uuid, Partial>,
    in_flight: FuturesUnordered<BoxFuture<'static, BatchAppendResp>>,
    /// The client sends nothing more.
    ended: bool,
}

enum Step {
    Answer(BatchAppendResp),
    Arrived(BatchAppendReq),
    Expired(Uuid),
    Ended,
}

impl Batches {
    async fn next(&mut self) -> Result<Option<BatchAppendResp>, Status> {
        loop {
            if self.ended && self.in_flight.is_empty() {
                return Ok(None);
            }
            let may_read = !self.ended && self.in_flight.len() < IN_FLIGHT;
            let limit = self.context.max_append_size;
            let next_deadline = self.next_deadline();
            let step = async {
                tokio::select! {
                    Some(answer) = self.in_flight.next() => Ok(Step::Answer(answer)),
                    Some(id) = expired(next_deadline) => Ok(Step::Expired(id)),
                    arrived = self.incoming.message(), if may_read => {
                        let arrived = arrived.map_err(|error| status::not_received(error, limit))?;
                        Ok(arrived.map_or(Step::Ended, Step::Arrived))
                    }
                }
            };
            match self.context.until_stopped(step).await? {
                Step::Answer(answer) => return Ok(Some(answer)),
                Step::Ended => self.ended = true,
                Step::Arrived(request) => self.arrived(request).await?,
                Step::Expired(id) => {
                    if let Some(partial) = self.partial.remove(&id) {
                        self.answer_now(partial.answer.with(Err(refusal::timeout())));
                    }
                }
            }
        }
    }

    /// Takes a part of an append. A part of an append that never began, or that was refused
    /// already, is passed over.
    async fn arrived(&mut self, request: BatchAppendReq) -> Result<(), Status> {
        let id = request.correlation_id.ok_or_else(|| status::invalid("a batch has no id"))?;
        let id = convert::uuid(&id)?;
        if let Some(options) = request.options
            && !self.partial.contains_key(&id)
        {
            match begin(&self.context, &self.headers, id, options).await {
                Ok(partial) if self.partial.len() < PARTIAL => {
                    self.partial.insert(id, partial);
                }
                Ok(_) => return Err(status::too_many_batches()),
                Err(answer) => {
                    self.answer_now(answer);
                    return Ok(());
                }
            }
        }
        let Some(mut partial) = self.partial.remove(&id) else { return Ok(()) };
        let limit = self.context.max_append_size;
        if let Err(refused) = partial.take(request.proposed_messages, limit) {
            self.answer_now(partial.answer.with(Err(refused)));
        } else if request.is_final {
            self.submit(partial).await;
        } else {
            self.keep(id, partial).await?;
        }
        Ok(())
    }

    /// The partial append whose client gives up first.
    fn next_deadline(&self) -> Option<(Instant, Uuid)> {
        self.partial.iter().filter_map(|(id, partial)| Some((partial.deadline?, *id))).min()
    }

    /// Keeps an append until its next part, or its deadline.
    async fn keep(&mut self, id: Uuid, mut partial: Partial) -> Result<(), Status> {
        let kept: usize = self.partial.values().map(|partial| partial.size).sum();
        if kept + partial.size > PARTIAL_BYTES.max(self.context.max_append_size) {
            return Err(status::too_many_batches());
        }
        partial.hold().await?;
        self.partial.insert(id, partial);
        Ok(())
    }

    /// Hands the append to the writer before the next is read, so that one client's appends stay in
    /// order.
    async fn submit(&mut self, append: Partial) {
        let Partial { answer, stream, expected, deadline, events, held, .. } = append;
        let write = Write { stream: Arc::clone(&stream), expected, change: Change::Append(events) };
        let submitted = self.context.storage.submit(write).await;
        // From here on the queue counts it.
        drop(held);
        match submitted {
            Err(error) => {
                self.answer_now(answer.with(Err(refusal::of(&status::not_written(&error)))));
            }
            Ok(receipt) => self.in_flight.push(
                async move {
                    let written = written(receipt, &stream, expected);
                    let written = match deadline {
                        None => written.await,
                        // Given up before the writer came to it, it is not written.
                        Some(deadline) => tokio::time::timeout_at(deadline, written)
                            .await
                            .unwrap_or_else(|_late| Err(refusal::timeout())),
                    };
                    answer.with(written)
                }
                .boxed(),
            ),
        }
    }

    fn answer_now(&mut self, answer: BatchAppendResp) {
        self.in_flight.push(future::ready(answer).boxed());
    }
}

async fn begin(
    context: &Context,
    headers: &MetadataMap,
    id: Uuid,
    options: BatchOptions,
) -> Result<Partial, BatchAppendResp> {
    let patience = patience(options.deadline, ticks_now());
    let answer = Answer { id, options };
    match target(context, headers, &answer.options).await {
        Ok(_) if patience.is_some_and(|patience| patience.is_zero()) => {
            Err(answer.with(Err(refusal::timeout())))
        }
        Ok((stream, expected)) => {
            let deadline = patience.map(|patience| Instant::now() + patience);
            let held = context.arriving.nothing();
            let (events, size, weight) = (Vec::new(), 0, 0);
            Ok(Partial { answer, stream, expected, deadline, events, size, weight, held })
        }
        Err(refused) => Err(answer.with(Err(refusal::of(&refused)))),
    }
}

async fn target(
    context: &Context,
    headers: &MetadataMap,
    options: &BatchOptions,
) -> Result<(Arc<str>, Expected), Status> {
    let stream = convert::writable_stream(options.stream_identifier.as_ref())?;
    context.allow(headers, Action::Append(&stream)).await?;
    Ok((stream, convert::expected(options.expected)?))
}

/// An append as far as it has come.
struct Partial {
    answer: Answer,
    stream: Arc<str>,
    expected: Expected,
    /// Until when its client waits.
    deadline: Option<Instant>,
    events: Vec<Proposed>,
    size: usize,
    /// Bytes of memory that are not counted yet.
    weight: usize,
    held: Held,
}

impl Partial {
    fn take(&mut self, messages: Vec<ProposedMessage>, limit: usize) -> Result<(), RpcStatus> {
        for message in messages {
            let event = convert::proposed(message).map_err(|refused| refusal::of(&refused))?;
            self.size += event.size();
            if self.size > limit {
                return Err(refusal::too_large(limit));
            }
            self.weight += event.weight();
            self.events.push(event);
        }
        Ok(())
    }

    /// Counts what it takes in memory.
    async fn hold(&mut self) -> Result<(), Status> {
        let more = std::mem::take(&mut self.weight);
        self.held.grow(more).await.map_err(|_full| status::too_much_arriving())
    }
}

/// Waits until it is too late for an append.
async fn expired(next: Option<(Instant, Uuid)>) -> Option<Uuid> {
    let (deadline, id) = next?;
    tokio::time::sleep_until(deadline).await;
    Some(id)
}

/// How long a client waits; `None` if that is for ever. Nothing when the time has passed.
fn patience(deadline: Option<BatchDeadline>, now: u64) -> Option<Duration> {
    let until = |time: Timestamp| {
        let seconds = u64::try_from(time.seconds).unwrap_or_default();
        Duration::new(seconds, u32::try_from(time.nanos).unwrap_or_default())
    };
    let now = convert::time(now);
    let left = match deadline? {
        BatchDeadline::At(time) => until(time).saturating_sub(until(now)),
        BatchDeadline::In(duration) => until(duration),
    };
    (left < FAR_AWAY).then_some(left)
}

/// What an answer repeats of its request.
struct Answer {
    id: Uuid,
    options: BatchOptions,
}

impl Answer {
    fn with(self, result: Result<Success, RpcStatus>) -> BatchAppendResp {
        let result = match result {
            Ok(success) => BatchResult::Success(success),
            Err(refusal) => BatchResult::Error(refusal),
        };
        let expected = self.options.expected.map(|expected| match expected {
            ExpectedRevision::Revision(revision) => BatchExpected::Revision(revision),
            ExpectedRevision::NoStream(()) => BatchExpected::NoStream(()),
            ExpectedRevision::Any(()) => BatchExpected::Any(()),
            ExpectedRevision::StreamExists(()) => BatchExpected::StreamExists(()),
        });
        BatchAppendResp {
            correlation_id: Some(convert::uuid_as_numbers(self.id)),
            result: Some(result),
            stream_identifier: Some(self.options.stream_identifier.unwrap_or_default()),
            expected,
        }
    }
}

async fn written(receipt: Receipt, stream: &str, expected: Expected) -> Result<Success, RpcStatus> {
    match receipt.written().await {
        Ok(Written::Done { revision, position }) => Ok(convert::success(revision, position)),
        Ok(Written::WrongExpected { current }) => {
            Err(refusal::wrong_expected_version(expected, current))
        }
        Ok(Written::Deleted) => Err(refusal::stream_deleted(stream)),
        Err(error) => Err(refusal::of(&status::not_written(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01, in ticks.
    const NOW: u64 = 17_672_256_000_000_000;

    fn seconds(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanos: 500_000_000 }
    }

    #[test]
    fn a_deadline_is_a_time_or_a_duration() {
        let half_past = Duration::from_millis(2_500);
        let at = |time| patience(Some(BatchDeadline::At(seconds(time))), NOW);
        assert_eq!(at(1_767_225_602), Some(half_past));
        assert_eq!(at(1_767_225_598), Some(Duration::ZERO));
        let within = |duration| patience(Some(BatchDeadline::In(seconds(duration))), NOW);
        assert_eq!(within(2), Some(half_past));
        assert_eq!(within(-2).map(|left| left.as_secs()), Some(0));
        // The time where the duration belongs.
        assert_eq!(within(1_767_225_602), None);
        assert_eq!(patience(None, NOW), None);
    }
}
