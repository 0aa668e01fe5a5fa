//! `BatchAppend`: many appends over one call. They are handed to the writer as they arrive and
//! answered as they commit, so that they share commits; a refusal concerns its own append only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{self, BoxFuture, Ready};
use futures::stream::{self, FuturesUnordered, StreamExt};
use prost::Message;
use tonic::{Code, Request, Response, Status, Streaming};
use uuid::Uuid;

use super::messages::shared::{self, AnyMessage, RpcStatus, wrong_expected_version as wire};
use super::messages::write::{
    BatchAppendReq, BatchAppendResp, BatchExpected, BatchOptions, BatchResult, ExpectedRevision,
    ProposedMessage, Success,
};
use super::service::Responses;
use super::{Context, convert, status};
use crate::event::Proposed;
use crate::semantics::append::Expected;
use crate::storage::{Change, Receipt, Write, WriteError, Written};

/// Appends of one call that may wait for their commit; more are not read from the wire until some
/// are answered.
const IN_FLIGHT: usize = 512;

/// Appends of one call that may have arrived in part.
const PARTIAL: usize = 64;

pub(super) fn batch_append(
    context: Arc<Context>,
    request: Request<Streaming<BatchAppendReq>>,
) -> Ready<Result<Response<Responses<BatchAppendResp>>, Status>> {
    let batches = Batches {
        context,
        incoming: request.into_inner(),
        partial: HashMap::new(),
        in_flight: FuturesUnordered::new(),
        ended: false,
    };
    let answers = stream::try_unfold(batches, |mut batches| async {
        let answer = batches.next().await?;
        Ok(answer.map(|answer| (answer, batches)))
    });
    future::ready(Ok(Response::new(answers.boxed())))
}

struct Batches {
    context: Arc<Context>,
    incoming: Streaming<BatchAppendReq>,
    partial: HashMap<Uuid, Partial>,
    in_flight: FuturesUnordered<BoxFuture<'static, BatchAppendResp>>,
    /// The client sends nothing more.
    ended: bool,
}

/// An append of which the last part has not come yet.
#[derive(Default)]
struct Partial {
    options: BatchOptions,
    messages: Vec<ProposedMessage>,
    size: usize,
}

enum Step {
    Answer(BatchAppendResp),
    Arrived(BatchAppendReq),
    Ended,
}

impl Batches {
    async fn next(&mut self) -> Result<Option<BatchAppendResp>, Status> {
        loop {
            if self.ended && self.in_flight.is_empty() {
                return Ok(None);
            }
            let may_read = !self.ended && self.in_flight.len() < IN_FLIGHT;
            let step = async {
                tokio::select! {
                    Some(answer) = self.in_flight.next() => Ok(Step::Answer(answer)),
                    arrived = self.incoming.message(), if may_read => {
                        Ok(arrived?.map_or(Step::Ended, Step::Arrived))
                    }
                }
            };
            match self.context.until_stopped(step).await? {
                Step::Answer(answer) => return Ok(Some(answer)),
                Step::Ended => self.ended = true,
                Step::Arrived(request) => self.arrived(request).await?,
            }
        }
    }

    async fn arrived(&mut self, request: BatchAppendReq) -> Result<(), Status> {
        let id = request.correlation_id.ok_or_else(|| status::invalid("a batch has no id"))?;
        let id = convert::uuid(&id)?;
        let too_many = self.partial.len() >= PARTIAL;
        let partial = match self.partial.entry(id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(_) if too_many => {
                return Err(Status::resource_exhausted("too many batches have no end yet"));
            }
            Entry::Vacant(entry) => entry.insert(Partial::default()),
        };
        if let Some(options) = request.options {
            partial.options = options;
        }
        partial.take(request.proposed_messages, self.context.max_append_size);
        if request.is_final
            && let Some(partial) = self.partial.remove(&id)
        {
            self.submit(id, partial).await;
        }
        Ok(())
    }

    /// Hands the append to the writer before the next is read, so that one client's appends stay in
    /// order.
    async fn submit(&mut self, id: Uuid, append: Partial) {
        let answer = Answer { id, options: append.options.clone() };
        let write = match append.into_write(self.context.max_append_size) {
            Ok(write) => write,
            Err(refusal) => return self.answer_now(answer.with(Err(refusal))),
        };
        let (stream, expected) = (Arc::clone(&write.stream), write.expected);
        match self.context.storage.submit(write).await {
            Err(error) => self.answer_now(answer.with(Err(not_written(&error)))),
            Ok(receipt) => self.in_flight.push(
                async move { answer.with(written(receipt, &stream, expected).await) }.boxed(),
            ),
        }
    }

    fn answer_now(&mut self, answer: BatchAppendResp) {
        self.in_flight.push(future::ready(answer).boxed());
    }
}

impl Partial {
    /// Adds events, but keeps none of an append that is too large already.
    fn take(&mut self, messages: Vec<ProposedMessage>, limit: usize) {
        self.size += messages
            .iter()
            .map(|message| message.data.len() + message.custom_metadata.len())
            .sum::<usize>();
        self.messages.extend(messages);
        if self.size > limit {
            self.messages.clear();
        }
    }

    fn into_write(self, limit: usize) -> Result<Write, RpcStatus> {
        let refused = |refusal: Status| bad_request(refusal.message());
        let stream = convert::writable_stream(self.options.stream_identifier.as_ref());
        let stream = stream.map_err(refused)?;
        let expected = convert::expected(self.options.expected).map_err(refused)?;
        let events: Result<Vec<Proposed>, Status> =
            self.messages.into_iter().map(convert::proposed).collect();
        let events = events.map_err(refused)?;
        if self.size.max(events.iter().map(Proposed::size).sum()) > limit {
            return Err(too_large(limit));
        }
        Ok(Write { stream, expected, change: Change::Append(events) })
    }
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
        Ok(Written::WrongExpected { current }) => Err(wrong_expected_version(expected, current)),
        Ok(Written::Deleted) => Err(stream_deleted(stream)),
        Err(error) => Err(not_written(&error)),
    }
}

fn wrong_expected_version(expected: Expected, current: Option<u64>) -> RpcStatus {
    let expected = match expected {
        Expected::Any => wire::Expected::Any(()),
        Expected::NoStream => wire::Expected::NoStream(()),
        Expected::StreamExists => wire::Expected::StreamExists(()),
        Expected::Revision(revision) => wire::Expected::Revision(revision),
    };
    let current = current.map_or(wire::Current::NoStream(()), wire::Current::Revision);
    let details = shared::WrongExpectedVersion { current: Some(current), expected: Some(expected) };
    refusal(Code::AlreadyExists, "WrongExpectedVersion", &details)
}

fn stream_deleted(stream: &str) -> RpcStatus {
    let stream_identifier = Some(convert::identifier(stream));
    refusal(Code::NotFound, "StreamDeleted", &shared::StreamDeleted { stream_identifier })
}

fn too_large(limit: usize) -> RpcStatus {
    let max_append_size = u32::try_from(limit).unwrap_or(u32::MAX);
    let details = shared::MaximumAppendSizeExceeded { max_append_size };
    refusal(Code::InvalidArgument, "MaximumAppendSizeExceeded", &details)
}

fn bad_request(message: &str) -> RpcStatus {
    let details = shared::BadRequest { message: message.to_owned() };
    refusal(Code::InvalidArgument, "BadRequest", &details)
}

/// These have no details in the protocol.
fn not_written(error: &WriteError) -> RpcStatus {
    let status = status::not_written(error);
    let code = status.code() as i32;
    RpcStatus { code, message: status.message().to_owned(), details: None }
}

/// `name` is the message's name in the package that all services share.
fn refusal<M: Message>(code: Code, name: &str, details: &M) -> RpcStatus {
    let details = AnyMessage {
        type_url: format!("type.googleapis.com/event_store.client.{name}"),
        value: details.encode_to_vec().into(),
    };
    RpcStatus { code: code as i32, message: name.to_owned(), details: Some(details) }
}
