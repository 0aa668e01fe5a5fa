//! `Append`: one stream of messages in, first the target, then the events; one answer out.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};

use super::arriving::Held;
use super::messages::write::{
    AppendContent, AppendReq, AppendResp, AppendResult, Current, Expected as WireExpected, Target,
    WrongExpectedVersion,
};
use super::{Context, convert, status};
use crate::event::Proposed;
use crate::security::Action;
use crate::semantics::append::Expected;
use crate::storage::{Change, Write, Written};

pub(super) async fn append(
    context: Arc<Context>,
    request: Request<Streaming<AppendReq>>,
) -> Result<Response<AppendResp>, Status> {
    let (headers, _, mut messages) = request.into_parts();
    let mut held = context.arriving.nothing();
    let arriving = async {
        let target = target(&mut messages).await?;
        let stream = convert::writable_stream(target.stream_identifier.as_ref())?;
        context.allow(&headers, Action::Append(&stream)).await?;
        let expected = convert::expected(target.expected)?;
        let events = receive(&mut messages, context.max_append_size, &mut held).await?;
        Ok((stream, expected, events))
    };
    let (stream, expected, events) = context.until_stopped(arriving).await?;
    let write = Write { stream: Arc::clone(&stream), expected, change: Change::Append(events) };
    let not_written = |error| status::not_written(&error);
    let receipt = context.storage.submit(write).await.map_err(not_written)?;
    // From here on the queue counts it.
    drop(held);
    let written = receipt.written().await.map_err(not_written)?;
    let result = match written {
        Written::Done { revision, position } => {
            AppendResult::Success(convert::success(revision, position))
        }
        Written::WrongExpected { current } => {
            AppendResult::WrongExpectedVersion(wrong_expected_version(expected, current))
        }
        Written::Deleted => return Err(status::stream_deleted(&stream)),
    };
    Ok(Response::new(AppendResp { result: Some(result) }))
}

async fn target(messages: &mut Streaming<AppendReq>) -> Result<Target, Status> {
    match messages.message().await? {
        Some(AppendReq { content: Some(AppendContent::Options(target)) }) => Ok(target),
        _ => Err(status::invalid("an append begins with its options")),
    }
}

/// Only for those who may append: until the last event is there, the others are in memory.
async fn receive(
    messages: &mut Streaming<AppendReq>,
    limit: usize,
    held: &mut Held,
) -> Result<Vec<Proposed>, Status> {
    let (mut events, mut size) = (Vec::new(), 0);
    let too_large = |error| status::not_received(error, limit);
    while let Some(message) = messages.message().await.map_err(too_large)? {
        let Some(AppendContent::ProposedMessage(message)) = message.content else {
            return Err(status::invalid("after its options, an append holds only events"));
        };
        let event = convert::proposed(message)?;
        size += event.size();
        if size > limit {
            return Err(status::append_too_large(limit));
        }
        held.grow(event.weight()).await.map_err(|_full| status::too_much_arriving())?;
        events.push(event);
    }
    Ok(events)
}

fn wrong_expected_version(expected: Expected, current: Option<u64>) -> WrongExpectedVersion {
    let expected = match expected {
        Expected::Any => WireExpected::Any(()),
        Expected::NoStream => WireExpected::NoStream(()),
        Expected::StreamExists => WireExpected::StreamExists(()),
        Expected::Revision(revision) => WireExpected::Revision(revision),
    };
    let current = current.map_or(Current::NoStream(()), Current::Revision);
    WrongExpectedVersion { current: Some(current), expected: Some(expected) }
}
